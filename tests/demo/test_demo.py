"""`sekisu demo` and the demonstration of `sekisu up --demo`: the whole service, real engines, real HTTP."""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.cli import demo, story
from service.cli.client import AnswerError, Client
from service.cli.stage import DemoError
from tests.cli.processes import ROOT, await_true
from tests.cli.test_up import Up, running_up
from tests.conftest import open_folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watches processes in /proc")


def mentioned(folder: Path) -> list[int]:
    """The processes that were told of the folder, by their environment or their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            told = (path / "environ").read_bytes() + (path / "cmdline").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in told:
            found.append(int(path.name))
    return found


@pytest.fixture(scope="module")
def alone() -> Iterator[tuple["subprocess.CompletedProcess[str]", Path]]:
    """One `sekisu demo` where no `up` runs, and its temporary folder."""
    folder = open_folder()
    # A database of the environment must not be touched: the demonstration brings its own.
    foreign = {"SEKISU_DATABASE_URL": "postgresql://u@127.0.0.1:1/d", "SEKISU_PAYMENT_URL": "http://127.0.0.1:1"}
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(folder / "home"), "TMPDIR": str(folder), **foreign}
    (folder / "home").mkdir()
    command = [sys.executable, "-m", "service.cli.main", "demo"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=120)
    yield done, folder
    shutil.rmtree(folder, ignore_errors=True)


def test_the_demonstration_charges_11999_then_8999_then_nothing_and_renews_for_24000(
    alone: tuple["subprocess.CompletedProcess[str]", Path],
) -> None:
    done = alone[0]
    assert done.returncode == 0, done.stdout + done.stderr
    assert "step by step: 11999, 8999, 0, 0, 24000" in done.stdout
    rows = [line for line in done.stdout.splitlines() if re.match(r"20\d\d-\d\d-\d\d ", line)]
    charges = [(row.split()[1], row.split()[-4:]) for row in rows]
    assert charges == [
        ("Casper", ["0", "1", "0", "$0.00"]),
        ("Casper", ["1", "1", "0", "$119.99"]),
        ("Michael", ["2", "2", "0", "$89.99"]),
        ("Michael", ["2", "1", "1", "$0.00"]),
        ("Kristen", ["2", "2", "0", "$0.00"]),
        ("everyone", ["2", "2", "0", "$240.00"]),
    ]


def test_the_payment_endpoints_book_agrees_and_the_explanation_is_told_in_both_languages(
    alone: tuple["subprocess.CompletedProcess[str]", Path],
) -> None:
    out = alone[0].stdout
    assert [line.split()[1:] for line in out.splitlines() if line.startswith("  ch_")] == [
        ["$119.99", "succeeded"],
        ["$89.99", "succeeded"],
        ["$240.00", "succeeded"],
    ]
    assert "3 charges, $449.98 in all; ours sum to $449.98" in out
    explained = out.partition("Why $89.99?")[2]
    assert "3/4 of the period" in explained
    assert "四捨五入" in explained


def test_a_webhook_whose_shape_nobody_published_is_marked(
    alone: tuple["subprocess.CompletedProcess[str]", Path],
) -> None:
    assert "deactivatedMemberInOrganization *" in alone[0].stdout
    assert "addMemberToOrganization *" not in alone[0].stdout
    assert "* the shape of this webhook is inferred" in alone[0].stdout


def test_nothing_is_left_of_a_demonstration(
    alone: tuple["subprocess.CompletedProcess[str]", Path],
) -> None:
    folder = alone[1]
    assert [path.name for path in folder.iterdir()] == ["home"]
    assert not list((folder / "home").rglob("*"))
    assert mentioned(folder) == []
    assert mentioned(Path(os.environ["PATH"]))  # the search can find


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    with running_up() as running:
        yield running


class Played:
    """What a play is given, and what it printed."""

    def __init__(self, up: Up) -> None:
        self.address = f"http://127.0.0.1:{up.port}"
        self.key = (up.folder / "data" / "api-key").read_text().strip()
        self.sandbox = f"http://127.0.0.1:{up.environ['SEKISU_SANDBOX_PORT']}"
        self.lines: list[str] = []

    def play(self, sandbox: str = "") -> None:
        demo.play(self.address, self.key, sandbox or self.sandbox, self.lines.append)


def test_a_play_on_a_running_up_can_be_repeated_and_hands_over_a_key_that_only_reads_its_own_account(up: Up) -> None:
    environ = {**up.environ, "SEKISU_API_KEY": ""}
    command = [sys.executable, "-m", "service.cli.main", "demo", "trello"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    played = Played(up)
    played.play()
    link = played.lines[-1].rpartition(" ")[2]
    address, _, key = link.partition("/#key=")
    assert (address, key == played.key) == (played.address, False)
    reader = Client(address, key)
    (workspace,) = reader.get("/v1/workspaces")["data"]
    assert workspace["name"] == story.NAME
    with pytest.raises(AnswerError, match="403"):
        reader.post("/v1/clocks", {"now": "2025-01-15T00:00:00.000Z"})


def test_a_number_that_is_not_as_the_rules_say_fails_the_play_and_names_the_step(
    up: Up, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, start, *_ = story.STEPS
    wrong = dataclasses.replace(start, charged=12000)
    monkeypatch.setattr(story, "STEPS", (first, wrong))
    with pytest.raises(DemoError, match="Casper, start: charge is 11999, the rules say 12000"):
        Played(up).play()


def test_no_story_is_played_on_an_endpoint_that_keeps_no_book(up: Up) -> None:
    played = Played(up)
    with pytest.raises(DemoError, match="nothing was played"):
        played.play(sandbox=played.address)
    assert played.lines == []


def test_the_console_is_at_the_root_of_the_running_service(up: Up) -> None:
    assert (up.status("/"), up.status("/console/console.js"), up.status("/v1/workspaces")) == (200, 200, 401)


def test_the_log_of_up_is_quiet_about_faults_after_the_plays(up: Up) -> None:
    await_true(lambda: up.status("/readyz") == 200)
    assert "Traceback" not in up.words()
