"""The product's processes as its users run them: each a subprocess, in a session of its own, that a test may kill."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from service.cli.lifeline import VARIABLE

ROOT = Path(__file__).parents[2]


class Part:
    """One process and all it forks; it dies with the tests, whatever ends them."""

    def __init__(self, name: str, words: list[str], environ: Mapping[str, str], folder: Path) -> None:
        self.name, self.words, self.environ, self.log = name, words, environ, folder / f"{name}.log"
        self._lifeline = os.pipe()
        self.start()

    def start(self, *words: str, **settings: str) -> None:
        """Start it, or start it again; `words` and `settings` stand in for those it was made with, this once."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SEKISU_")}
        environ = {**inherited, **self.environ, **settings, VARIABLE: str(self._lifeline[0]), "PYTHONUNBUFFERED": "1"}
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service.cli.lifeline", *(words or self.words)],
                cwd=ROOT,
                env=environ,
                pass_fds=[self._lifeline[0]],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )

    def pids(self) -> set[int]:
        """Every living process of its session."""
        numbers = (int(entry.name) for entry in Path("/proc").glob("[0-9]*"))
        return {pid for pid in numbers if _session(pid) == self.process.pid}

    def kill(self) -> set[int]:
        """kill -9 of all its processes at once; answers which they were."""
        pids = self.pids()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return pids

    def stop(self) -> None:
        """Ask it to stop, as a supervisor does; by force after 30 s."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def close(self) -> None:
        """The end of it."""
        self.stop()
        for end in self._lifeline:
            os.close(end)


def _session(pid: int) -> int:
    try:
        state, _, _, session = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:4]
    except (OSError, ValueError):
        return 0
    return 0 if state in "ZX" else int(session)
