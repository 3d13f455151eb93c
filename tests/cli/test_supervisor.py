"""The supervisor: children live in sessions of their own, come back when they die, and end with their starter."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.cli.supervisor import Supervisor
from tests.cli.processes import ROOT, alive, await_true, living, noted

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watches processes in /proc")


@pytest.fixture
def up(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A supervisor with a crew of two, in a process of its own."""
    process = subprocess.Popen([sys.executable, "-m", "tests.cli.processes", str(tmp_path), "up"], cwd=ROOT)
    try:
        await_true(lambda: len(living(tmp_path, "member")) == 2)
        yield process
    finally:
        process.kill()
        process.wait()


def whole_tree(notes: Path) -> set[int]:
    return noted(notes, "crew") | noted(notes, "member")


def test_when_the_supervisor_is_killed_nothing_of_its_tree_is_left(
    up: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    tree = whole_tree(tmp_path)
    assert len(tree) == 3
    up.kill()
    await_true(lambda: not any(alive(pid) for pid in tree), 5.0)


def test_when_a_child_is_killed_its_forks_die_and_all_come_back_at_once(
    up: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    before = whole_tree(tmp_path)
    (crew,) = living(tmp_path, "crew")
    os.kill(crew, signal.SIGKILL)
    await_true(lambda: not any(alive(pid) for pid in before), 5.0)
    await_true(lambda: len(living(tmp_path, "member")) == 2, 10.0)
    assert up.poll() is None


def test_a_killed_member_of_a_crew_is_replaced_without_the_others_noticing(
    up: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    victim, other = living(tmp_path, "member")
    began = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    await_true(lambda: len(living(tmp_path, "member") - {victim}) == 2)
    assert time.monotonic() - began < 2.0
    assert alive(other)
    assert len(noted(tmp_path, "crew")) == 1
    assert up.poll() is None


def test_a_supervisor_that_is_asked_to_stop_ends_with_all_it_started(
    up: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    tree = whole_tree(tmp_path)
    up.send_signal(signal.SIGTERM)
    assert up.wait(timeout=20) == 0
    assert not any(alive(pid) for pid in tree)


def test_a_child_has_a_session_of_its_own_so_that_ctrl_c_reaches_the_supervisor_alone(
    up: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    (crew,) = living(tmp_path, "crew")
    assert os.getsid(crew) == crew != os.getsid(up.pid)


def test_a_child_that_does_not_stop_in_its_time_is_killed(tmp_path: Path) -> None:
    log: list[str] = []
    with Supervisor(lambda _, line: log.append(line)) as supervisor:
        child = supervisor.start("deaf", "tests.cli.processes", [str(tmp_path), "stubborn"], _environ(), 0.3)
        assert supervisor.wait(lambda: bool(living(tmp_path, "deaf")), 20.0)
        supervisor.stop(child)
        assert not living(tmp_path, "deaf")
    assert any("did not stop" in line for line in log)


def test_a_child_that_keeps_failing_is_started_again_with_growing_pauses(tmp_path: Path) -> None:
    log: list[str] = []
    with Supervisor(lambda _, line: log.append(line)) as supervisor:
        child = supervisor.start("broken", "tests.cli.processes", [str(tmp_path), "failing"], _environ(), 1.0)
        assert supervisor.wait(lambda: child.deaths == 3, 30.0)
        assert list(child.words)[-1] == "it is broken"
    pauses = [line.rpartition("in ")[2] for line in log if "starts again" in line]
    assert pauses == ["0.1 s", "0.2 s", "0.4 s"]


def test_a_child_that_is_not_kept_is_not_started_again(tmp_path: Path) -> None:
    with Supervisor(lambda *_: None) as supervisor:
        child = supervisor.start("once", "tests.cli.processes", [str(tmp_path), "failing"], _environ(), 1.0, keep=False)
        assert supervisor.wait(lambda: child.code is not None, 20.0)
        supervisor.turn(0.3)
        assert (child.code, child.process, child.deaths) == (1, None, 0)


def _environ() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}
