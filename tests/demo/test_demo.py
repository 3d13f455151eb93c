"""`sekisu demo NAME` and the demonstration of `sekisu up --demo`: the whole service, real engines, real HTTP."""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.cli import demo
from service.cli.client import AnswerError, Client
from service.cli.stage import DemoError, Stage
from service.cli.stories import STORIES, trello
from service.cli.story import Paper, Story
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
    assert charges[: len(trello.YEAR.steps)] == [
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
    assert [line.split()[1:] for line in out.splitlines() if line.startswith("  ch_")][:3] == [
        ["$119.99", "succeeded"],
        ["$89.99", "succeeded"],
        ["$240.00", "succeeded"],
    ]
    assert "3 charges, $449.98 in all; ours sum to $449.98" in out
    explained = out.partition("Why $89.99?")[2]
    assert "3/4 of the period" in explained
    assert "四捨五入" in explained


def test_a_month_becomes_a_year_and_all_of_it_is_paid_back_on_day_30_and_none_on_day_31(
    alone: tuple["subprocess.CompletedProcess[str]", Path],
) -> None:
    out = alone[0].stdout
    assert "step by step: 2500, 833, 0, 2500" in out  # three seats shrink to the two that are used (TR-09)
    last_day = out.partition(trello.LAST_DAY.title)[2].partition(trello.TOO_LATE.title)[0]
    assert "step by step: 1250, 11375, 0" in last_day
    assert "paid back: $126.25" in last_day
    assert "2 charges, $126.25 in all; ours sum to $126.25; $126.25 was paid back" in last_day
    too_late = out.partition(trello.TOO_LATE.title)[2]
    assert "refused by TR-26: " in too_late
    assert "was paid back" not in too_late
    assert "refused by TR-25: " in too_late


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

    def play(self, name: str = "trello", sandbox: str = "") -> None:
        demo.play(name, self.address, self.key, sandbox or self.sandbox, self.lines.append)

    @property
    def charged(self) -> list[str]:
        """What each part charged, step by step."""
        return [line.partition("step by step: ")[2] for line in self.lines if "step by step: " in line]


def test_the_chatwork_story_bills_licences_whoever_uses_them_and_lets_them_go_the_day_before(up: Up) -> None:
    played = Played(up)
    played.play("chatwork")
    assert played.charged == [
        # 50 licences for 40 users; giving up in time: 45 at the renewal. Bought again in between: 275 of 365 days.
        "462000, 0, 0, 0, 34807, 0, 0, 415800",
        "462000, 0, 462000, 0, 415800",  # given up on the renewal's day: counts a year later
        "79200, 0, 0",  # Enterprise from 5
        "27720, 0, 0, 0",  # moved into another contract: no renewal, nothing back
    ]
    told = "\n".join(played.lines)
    assert all(f"refused by {rule}: " in told for rule in ("A-22", "CW-14", "B-13", "CW-16", "CW-17"))
    assert told.count("消費税 ¥42,000") == 3


def test_the_backlog_story_is_free_for_thirty_days_and_knows_five_ways_to_pay(up: Up) -> None:
    played = Played(up)
    played.play("backlog")
    assert played.charged == [
        "17600, 0, 0, 17600",  # registered on day 1
        "17600",  # on day 30
        "0",  # on day 31: refused
        *("17600", "211200"),  # by card
        *("52800, 0, 0, 52800", "105600, 0, 0", "211200, 0, 0"),  # by bank transfer
        "0",  # pairs that are not sold
        "2970",  # the exception of the Free plan
    ]
    told = "\n".join(played.lines)
    refusals = ("BL-25", "BL-17", "BL-15", "BL-11", "BL-19", "BL-14")
    assert all(f"refused by {rule}: " in told for rule in refusals)
    assert (told.count("請求書 (invoice)"), told.count("領収書 (receipt)")) == (4, 4 + 2 + 3)


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
    names = [workspace["name"] for workspace in reader.get("/v1/workspaces")["data"]]
    assert names == [part.name for part in STORIES["trello"].parts]
    with pytest.raises(AnswerError, match="403"):
        reader.post("/v1/clocks", {"now": "2025-01-15T00:00:00.000Z"})


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"charged": 12000}, "charge is 11999, the rules say 12000"),
        ({"seats": (2, 1, 1)}, "seats is (1, 1, 0), the rules say (2, 1, 1)"),
        ({"papers": (Paper("receipt", 12000),)}, "documents is (Paper(kind='receipt', amount=11999"),
        ({"refused": "TR-20"}, "refusal is , the rules say TR-20"),
    ],
)
def test_a_number_that_is_not_as_the_rules_say_fails_the_play_and_names_the_step(
    up: Up, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any], fault: str
) -> None:
    first, start, *_ = trello.YEAR.steps
    part = dataclasses.replace(trello.YEAR, steps=(first, dataclasses.replace(start, **wrong)))
    monkeypatch.setattr(demo, "STORIES", {"trello": Story("trello", (part,))})
    with pytest.raises(DemoError, match=re.escape(f"2025-01-15 Casper, {start.event}: {fault}")):
        Played(up).play()


def test_a_charge_that_the_payment_endpoint_does_not_have_fails_the_play(
    up: Up, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = dataclasses.replace(trello.YEAR, steps=trello.YEAR.steps[:2])
    monkeypatch.setattr(demo, "STORIES", {"trello": Story("trello", (part,))})
    monkeypatch.setattr(Stage, "book", lambda stage: {"charges": [], "refunds": []})
    with pytest.raises(DemoError, match="the book lacks our charge ch_"):
        Played(up).play()


def test_a_story_that_went_wrong_ends_with_exit_code_1(up: Up) -> None:
    environ = {**up.environ, "SEKISU_PAYMENT_URL": f"http://127.0.0.1:{up.port}"}
    command = [sys.executable, "-m", "service.cli.main", "demo", "chatwork"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "nothing was played" in done.stderr) == (1, True), done.stderr


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
