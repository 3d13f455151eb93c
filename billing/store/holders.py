"""Who holds a lease: one process of one host, so that those who start there know a dead one's leases at once.

A wrong guess, between containers of one host name, is harmless: the same request goes out again under the same key.
"""

import os
import platform
from functools import lru_cache
from pathlib import Path


def mine() -> str:
    """This process, as leases name it: `host/pid/start`."""
    return _named(os.getpid())


@lru_cache(maxsize=1)
def _named(pid: int) -> str:
    return f"{platform.node()}/{pid}/{_start(pid)}"


def is_dead(holder: str) -> bool:
    """Whether a holder was a process of this host that is no more; False for any other host's."""
    host, pid, start = holder.rsplit("/", 2)
    return host == platform.node() and _start(int(pid)) != start


def _start(pid: int) -> str:
    """When a process started, by its kernel's count; empty when it is no more, `some time` where no kernel tells."""
    try:
        state, *_, started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:20]
    except OSError:
        return "" if Path("/proc/self").exists() else _known(pid)
    return "" if state in "ZX" else started


def _known(pid: int) -> str:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass  # somebody else's, and alive
    return "some time"
