"""`sekisu up`, whole: real engines, real processes, real signals."""

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.cli.processes import ROOT, alive, await_true
from tests.conftest import open_folder
from tests.ports import free_port

PARTS = ("service.asgi", "service.cli.migrate", "workers.actors", "workers.ticker")
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="watches processes in /proc"),
    pytest.mark.skipif(not all(find_spec(part) for part in PARTS), reason="the product is not whole yet"),
]


class Up:
    """A `sekisu up` on free ports, its log in a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, sandbox_port = free_port(), free_port()
        self.environ = {
            # Nothing of this machine's own PostgreSQL or Valkey may be needed: the engines come with the environment.
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "SEKISU_DATA_DIR": str(folder / "data"),
            "SEKISU_PORT": str(self.port),
            "SEKISU_SANDBOX_PORT": str(sandbox_port),
        }
        self.start()

    def start(self) -> None:
        self.log = (self.folder / "log").open("w")
        command = [sys.executable, "-m", "service.cli.main", "up"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=self.environ, stdout=self.log, stderr=self.log)
        await_true(lambda: "sekisu: ready at" in self.words() or self.process.poll() is not None, 90)
        assert self.process.poll() is None, self.words()

    def words(self) -> str:
        return (self.folder / "log").read_text()

    def tree(self) -> dict[int, str]:
        """Every process below this one, with its command line."""
        parents = {pid: _parent(pid) for pid in (int(path.name) for path in Path("/proc").glob("[0-9]*"))}
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return {pid: _command(pid) for pid in found - {self.process.pid}}

    def named(self, word: str) -> set[int]:
        return {pid for pid, command in self.tree().items() if word in command and alive(pid)}

    def status(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


@contextlib.contextmanager
def running_up() -> Iterator[Up]:
    """A `sekisu up` for the time of the block, on data that the account `nobody` can get to."""
    folder = open_folder()
    (folder / "data").mkdir()
    (folder / "data").chmod(0o711)
    running = Up(folder)
    try:
        yield running
    finally:
        running.process.send_signal(signal.SIGTERM)
        try:
            running.process.wait(60)
        finally:
            running.process.kill()
            running.log.close()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    with running_up() as running:
        yield running


def test_up_says_where_it_answers_and_where_the_admin_key_is(up: Up) -> None:
    assert f"ready at http://127.0.0.1:{up.port}" in up.words()
    key = up.folder / "data" / "api-key"
    assert str(key) in up.words()
    assert key.read_text().strip() not in up.words()
    assert (up.status("/healthz"), up.status("/readyz")) == (200, 200)


def test_the_engines_come_from_the_environment_and_everything_runs(up: Up) -> None:
    commands = " ".join(up.tree().values())
    assert f"{Path(sys.prefix)}" in next(command for command in up.tree().values() if "valkey-server" in command)
    assert all(word in commands for word in ("postgres -D", "valkey-server", "sandbox", " worker", " ticker"))
    # Where setproctitle is installed, the web server calls itself by its own name.
    assert any(word in commands for word in (" web", "granian"))


def test_workers_and_the_ticker_let_the_door_go_first(up: Up) -> None:
    nice = {
        part: {os.getpriority(os.PRIO_PROCESS, pid) for pid in up.named(part)}
        for part in ("main worker", "main ticker")
    }
    door = min(os.getpriority(os.PRIO_PROCESS, pid) for pid in up.named("service.asgi"))
    assert all(found and min(found) > door for found in nice.values()), (nice, door)


def test_killed_workers_come_back(up: Up) -> None:
    before = up.named("service.cli.main worker")
    assert len(before) == 3
    for pid in before:
        with contextlib.suppress(ProcessLookupError):  # the first one takes its forks along
            os.kill(pid, signal.SIGKILL)
    await_true(lambda: len(up.named("service.cli.main worker") - before) == 3, 15)


def test_a_killed_engine_comes_back_at_the_same_address(up: Up) -> None:
    before = up.named("valkey-server")
    os.kill(next(iter(before)), signal.SIGKILL)
    await_true(lambda: bool(up.named("valkey-server") - before), 15)
    await_true(lambda: up.status("/readyz") == 200, 15)


def test_a_second_up_on_the_same_data_directory_is_refused_in_one_sentence(up: Up) -> None:
    port, sandbox_port = free_port(), free_port()
    environ = {**up.environ, "SEKISU_PORT": str(port), "SEKISU_SANDBOX_PORT": str(sandbox_port)}
    command = [sys.executable, "-m", "service.cli.main", "up"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "another `sekisu up`" in line


def test_a_killed_up_leaves_nothing_and_starts_again_within_ten_seconds(up: Up) -> None:
    tree = up.tree()
    assert len(tree) > 10
    up.process.kill()
    up.process.wait()
    await_true(lambda: not any(alive(pid) for pid in tree), 8)
    began = time.monotonic()
    up.start()
    assert time.monotonic() - began < 10
    assert up.status("/readyz") == 200


def test_an_up_that_is_asked_to_stop_ends_all_in_order(up: Up) -> None:
    tree = up.tree()
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(60) == 0
    assert not any(alive(pid) for pid in tree)
    assert "did not stop" not in up.words()
    up.start()  # for whoever comes next in this file, and because stopping must not spoil the data
    assert up.status("/readyz") == 200
