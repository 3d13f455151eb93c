"""New ids: a prefix that says what it is, then time-ordered and unguessable."""

import os
import time


def new_id(prefix: str) -> str:
    """A new opaque id like `ch_00064a...`: microseconds since 1970 in 14 hex digits, then 80 random bits."""
    return f"{prefix}_{time.time_ns() // 1000:014x}{os.urandom(10).hex()}"
