"""Loaded by every Python that a profiled row starts (`bench.profile` puts this folder on PYTHONPATH)."""

import os

if os.environ.get("SEKISU_BENCH_SAMPLES"):
    from bench.sampler import watch

    watch()
