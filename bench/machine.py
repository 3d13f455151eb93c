"""What the operating system knows: free ports, children and the CPU they used."""

import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from billing.engines.postgres import find_binaries

_TICK = os.sysconf("SC_CLK_TCK")
_ENGINES = ("postgres", "valkey-server", "redis-server")
REPOSITORY = Path(__file__).parent.parent


class StartError(Exception):
    """A process did not come up, or not in time."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds: of the program, and of PostgreSQL and Valkey under it."""

    program: float
    engines: float

    def __sub__(self, other: "Cpu") -> "Cpu":
        return Cpu(self.program - other.program, self.engines - other.engines)

    def __add__(self, other: "Cpu") -> "Cpu":
        return Cpu(self.program + other.program, self.engines + other.engines)


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def spawn(arguments: list[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Starts a Python module of this environment in its own session; its output goes to `log`."""
    with log.open("ab") as sink:
        return subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, **environment},
            stdout=sink,
            stderr=sink,
            stdin=subprocess.DEVNULL,
            cwd=REPOSITORY,
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes], seconds: float = 20.0) -> None:
    """Asks the process to end, and kills its session if it does not."""
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def await_true(test: Callable[[], bool], what: str, seconds: float = 60.0, pause: float = 0.05) -> None:
    """Polls until `test` holds. Raises StartError, naming `what`, after `seconds`."""
    end = time.monotonic() + seconds
    while not test():
        if time.monotonic() > end:
            raise StartError(f"{what}: not within {seconds:.0f} s")
        time.sleep(pause)


def listens(port: int) -> bool:
    """True when something accepts on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _processes() -> dict[int, tuple[int, str, float]]:
    """pid -> (parent, name, CPU seconds of itself and its reaped children)."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                text = (folder / "stat").read_text()
            except OSError:
                continue  # it ended while we looked
            name = text[text.index("(") + 1 : text.rindex(")")]
            fields = text[text.rindex(")") + 2 :].split()
            found[int(folder.name)] = (int(fields[1]), name, sum(map(int, fields[11:15])) / _TICK)
    return found


def tree(root: int) -> list[int]:
    """The process and all its living descendants."""
    processes = _processes()
    family = [root] if root in processes else []
    for pid in family:
        family += [child for child, (parent, _, _) in processes.items() if parent == pid]
    return family


def children(root: int) -> list[int]:
    """The direct children of a process."""
    return [pid for pid, (parent, _, _) in _processes().items() if parent == root]


def cpu(roots: list[int]) -> Cpu:
    """What the trees under `roots` have used so far, reaped children included."""
    processes = _processes()
    family = {pid for root in roots for pid in tree(root)} & processes.keys()
    engines = sum(processes[pid][2] for pid in family if processes[pid][1] in _ENGINES)
    return Cpu(sum(processes[pid][2] for pid in family) - engines, engines)


def busy() -> float:
    """CPU seconds the whole machine has used since it started."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, *rest = map(int, fields[:8])
    return (user + nice + system + sum(rest)) / _TICK


def words(pid: int) -> list[str]:
    """The command line of a process; empty when it is gone."""
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def signal_trees(roots: list[int], number: signal.Signals) -> None:
    """Sends a signal to every process of the trees, the parents first."""
    for root in roots:
        for pid in tree(root):
            os.kill(pid, number)


def facts() -> dict[str, str]:
    """What a figure depends on: cores, Python, PostgreSQL, the commit, and the cores others keep busy just now."""
    postgres = subprocess.run([find_binaries() / "postgres", "--version"], capture_output=True, text=True, check=True)
    git = ["git", "-C", str(REPOSITORY)]
    commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=False).stdout
    before = busy()
    time.sleep(1.0)
    return {
        "cores": str(os.cpu_count()),
        "Python": platform.python_version(),
        "PostgreSQL": postgres.stdout.split()[-1] if postgres.stdout.split() else "unknown",
        "commit": (commit.strip() or "unknown") + (" and changes" if changed else ""),
        "busy elsewhere": f"{busy() - before:.2f} cores",
    }


def name(pid: int) -> str:
    """The name of a process; empty when it is gone."""
    return _processes().get(pid, (0, "", 0.0))[1]


def memory(pid: int) -> tuple[float, float]:
    """(proportional, resident) megabytes of a process; nothing when it is gone.

    Proportional: what it shares with others is divided among them, so that shares add up.
    """
    try:
        text = (Path("/proc") / str(pid) / "smaps_rollup").read_text()
    except OSError:
        return 0.0, 0.0
    told = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines()[1:]}
    return told["Pss"] / 1000, told["Rss"] / 1000
