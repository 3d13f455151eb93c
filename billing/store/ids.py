"""New ids: a prefix that says what it is, then time-ordered and unguessable."""

import os
import time


def new_id(prefix: str) -> str:
    """A new opaque id like `ch_019a...`: 48 bits of milliseconds, then 80 random bits, in hex."""
    return f"{prefix}_{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"
