"""New ids: a prefix that says what it is, then time-ordered and unguessable."""

import os
import time


def new_id(prefix: str) -> str:
    """A new opaque id like `ch_00064a...`: microseconds since 1970 in 14 hex digits, then 128 random bits.

    Where a tool cannot sign, the id in the address is all that vouches for a delivery.
    """
    return f"{prefix}_{time.time_ns() // 1000:014x}{os.urandom(16).hex()}"
