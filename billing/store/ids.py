"""New ids: a prefix that says what it is, then time-ordered and unguessable."""

import os
import time

_BYTES = 16
#: Random parts that nobody has yet. Asking the system for each would give the interpreter away to another thread.
_parts: list[str] = []
os.register_at_fork(after_in_child=_parts.clear)  # else parent and child would give out the same


def new_id(prefix: str) -> str:
    """A new opaque id like `ch_00064a...`: microseconds since 1970 in 14 hex digits, then 128 random bits.

    Where a tool cannot sign, the id in the address is all that vouches for a delivery.
    """
    return f"{prefix}_{time.time_ns() // 1000:014x}{_part()}"


def _part() -> str:
    while True:
        try:
            return _parts.pop()  # one of two threads that come at once finds the next, or none
        except IndexError:
            drawn = os.urandom(256 * _BYTES)
            _parts.extend(drawn[i : i + _BYTES].hex() for i in range(0, len(drawn), _BYTES))
