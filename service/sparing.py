"""What happens again and again is told a few times and then counted: no stranger fills a log or a table."""

import threading
import time
from collections.abc import Callable

#: Seconds, and times within them that are told one by one.
WINDOW, SINGLY = 60.0, 60
#: Callers remembered at a time.
_MOST = 10_000


class Sparing:
    """Says when a thing that happens again and again is worth telling, and of how many times it then tells."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, int, int]] = {}

    def note(self, who: str) -> int:
        """It happened again: of how many times to tell now, or 0. The first SINGLY are told, then each doubling."""
        now = self._clock()
        with self._lock:
            if len(self._seen) >= _MOST:
                self._seen.clear()
            began, count, told = self._seen.get(who, (now, 0, 0))
            untold = count - told
            if now - began >= WINDOW:
                began, count, told = now, 0, -untold
            count += 1
            tell = count <= SINGLY or (count % SINGLY == 0 and (count // SINGLY).bit_count() == 1)
            self._seen[who] = (began, count, count if tell else told)
            return count - told if tell else 0
