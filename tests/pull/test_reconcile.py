"""`reconcile` against tools that lose one webhook in ten, answer page by page, and say 429 now and then."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from billing.core import calendar
from billing.core.facts import BOARD_MEMBER_KINDS
from billing.tools.backlog import snapshot as of_backlog
from billing.tools.trello import snapshot as of_trello
from tests.pull.tool import Backlog, Chatwork, Trello, served
from tests.pull.town import BOARDS, PEOPLE, START, House, Life, both, house
from workers import reconcile as reconciling

ADDITIONS = frozenset({"member.joined", "board.member_added"})


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_trello, "PAGE", 5)
    monkeypatch.setattr(of_backlog, "PAGE", 5)


@pytest.fixture
def trello(database_url: str, tmp_path: Path) -> Iterator[House]:
    with served(Trello()) as tool, house(database_url, tmp_path, tool) as made:  # type: ignore[arg-type]
        yield made


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_house_that_lost_additions_has_the_same_roster_and_the_same_ledger_after_each_reconcile(
    new_database: Callable[[], str], tmp_path: Path, seed: int
) -> None:
    tool = Trello(throttle=9)
    with both(tool, new_database, tmp_path) as (whole, lossy):
        life = Life(tool, Random(seed))
        life.begin(whole, lossy)
        for one in (whole, lossy):
            one.world.start(one.workspace, "trello-premium", "month")
        for _ in range(4):
            life.go_on(25, whole, lossy, lambda kind: kind in ADDITIONS)
            report = lossy.reconcile()
            assert report.fault is None
            assert not any(difference.observed for difference in report.differences)
            assert lossy.roster() == whole.roster()
            assert lossy.ledger() == whole.ledger()
        assert len(life.lost) >= 4
        assert lossy.waits
        assert lossy.reconcile().differences == []


@pytest.mark.parametrize("seed", [4, 5, 6])
def test_a_house_that_lost_anything_has_the_same_roster_after_each_reconcile_and_the_ledger_once_it_hears(
    new_database: Callable[[], str], tmp_path: Path, seed: int
) -> None:
    tool = Trello(throttle=7)
    with both(tool, new_database, tmp_path) as (whole, lossy):
        life = Life(tool, Random(seed))
        life.begin(whole, lossy)
        for one in (whole, lossy):
            one.world.start(one.workspace, "trello-premium", "month")
        observed = 0
        for _ in range(4):
            life.go_on(25, whole, lossy, lambda _: True)
            since = lossy.reconcile().since
            assert since is not None
            assert lossy.roster() == whole.roster()
        for fact in lossy.facts("roster"):
            assert fact["at"] == calendar.read(fact["data"]["observed"]["to"])
            assert fact["data"]["observed"]["from"] < fact["data"]["observed"]["to"]
            observed += 1
        assert observed
        for body in life.lost:
            lossy.hear(body)
        lossy.settle()
        assert lossy.roster() == whole.roster()
        assert lossy.ledger() == whole.ledger()


@pytest.mark.parametrize("seed", [7, 8])
def test_backlog_tells_lost_project_members_at_their_own_time_and_the_space_only_as_observed(
    new_database: Callable[[], str], tmp_path: Path, seed: int
) -> None:
    tool = Backlog(throttle=8)
    with served(tool), house(new_database(), tmp_path, tool, "kobo") as lossy:
        life = Life(tool, Random(seed))
        life.begin()
        lossy.reconcile()
        for _ in range(3):
            told = len(tool.activities)
            life.go_on(25, lossy, lossy, lambda _: False)
            report = lossy.reconcile()
            assert report.fault is None
            assert {who for who, (membership, _) in lossy.members().items() if membership == "member"} == set(
                tool.town.members
            )
            assert lossy.seats() == {(board, who) for board, people in tool.town.boards.items() for who in people}
            assert lossy.closed() == tool.town.closed
            for difference in report.differences:
                assert (difference.observed is None) == (difference.kind in BOARD_MEMBER_KINDS)
                assert (difference.why == "out_of_scope") == (difference.kind not in BOARD_MEMBER_KINDS)
            assert len(tool.activities) > told


def test_chatwork_tells_who_is_in_the_rooms_as_observed_and_leaves_the_contract_alone(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    tool = Chatwork(throttle=3)
    with served(tool), house(new_database(), tmp_path, tool, "kobo") as lossy:
        life = Life(tool, Random(9))
        life.begin()
        for _ in range(2):
            life.go_on(20, lossy, lossy, lambda _: False)
            report = lossy.reconcile()
            assert lossy.seats() == {(board, who) for board, people in tool.town.boards.items() for who in people}
            assert {difference.why for difference in report.differences} == {"out_of_scope"}
            assert not lossy.facts("chatwork")
            assert not any(membership == "member" for membership, _ in lossy.members().values())


def begun(made: House) -> Life:
    life = Life(made.tool, Random(1))
    life.begin(made)
    made.world.start(made.workspace, "trello-premium", "year")
    made.reconcile()
    return life


def test_a_dry_run_says_what_a_run_would_file_and_files_nothing(trello: House) -> None:
    begun(trello)
    trello.to(START + timedelta(days=10))
    trello.tool.happens("member.left", START + timedelta(days=4), PEOPLE[0])
    before = trello.world.rows("SELECT count(*) FROM fact")
    dry = trello.reconcile(dry_run=True)
    assert (dry.facts, len(dry.differences)) == (0, 1)
    assert trello.world.rows("SELECT count(*) FROM fact") == before
    assert not trello.world.rows("SELECT * FROM drift")
    report = trello.reconcile()
    assert report.facts == 1
    assert [d.kind for d in report.differences] == [d.kind for d in dry.differences] == ["member.left"]


def test_what_was_observed_lies_between_the_last_look_and_this_one(trello: House) -> None:
    begun(trello)
    trello.to(START + timedelta(days=10))
    trello.reconcile()
    trello.to(START + timedelta(days=20))
    trello.tool.happens("member.left", START + timedelta(days=14), PEOPLE[0])
    (difference,) = trello.reconcile().differences
    assert difference.observed is not None
    assert difference.observed.start == START + timedelta(days=10)
    assert difference.observed.end == difference.at == START + timedelta(days=20)
    assert difference.why == "webhook_missed"


def test_the_largest_money_difference_that_the_time_unseen_can_hide_is_told(trello: House) -> None:
    """TR-08: a person seen in a list on day 59 may have joined on any day since the last look."""
    begun(trello)
    trello.to(START + timedelta(days=59))
    trello.tool.town.members["999"] = "normal"  # no action tells of it: it is only in the list
    report = trello.reconcile()
    (seen,) = trello.ledger()[1:]
    early = House(trello.world, trello.settings, trello.tool, trello.workspace)
    assert (report.currency, [d.why for d in report.differences]) == ("USD", ["webhook_missed"])
    body = Trello.happens(Trello(count=500), "member.joined", START + timedelta(microseconds=1000), "999")
    early.hear(body)
    early.settle()
    (genuine,) = early.ledger()[1:]
    assert report.largest_hidden == genuine[3] - seen[3] > 0


def test_nothing_is_hidden_where_every_fact_has_its_own_time(trello: House) -> None:
    begun(trello)
    trello.to(START + timedelta(days=10))
    trello.tool.happens("member.joined", START + timedelta(days=5), PEOPLE[20])
    report = trello.reconcile()
    assert report.largest_hidden == 0
    (difference,) = report.differences
    assert difference.observed is None
    assert difference.at == START + timedelta(days=5)


def test_a_delivery_that_failed_is_named_as_the_reason(trello: House) -> None:
    begun(trello)
    trello.to(START + timedelta(days=10))
    body = trello.tool.happens("member.left", START + timedelta(days=4), PEOPLE[0])
    row = trello.world.deliver(body)
    trello.world.rows("UPDATE delivery SET state = 'quarantined', reason = 'a bad day' WHERE id = %s RETURNING id", row)
    (difference,) = trello.reconcile().differences
    assert difference.why == "webhook_failed"
    assert row in difference.detail
    assert "a bad day" in difference.detail


def test_the_genuine_webhook_takes_the_observed_facts_place(trello: House) -> None:
    begun(trello)
    first = START + timedelta(days=4)
    trello.to(START + timedelta(days=10))
    trello.tool.town.members["999"] = "normal"
    trello.reconcile()
    observed = trello.ledger()
    trello.hear(Trello.happens(Trello(count=500), "member.joined", first, "999"))
    trello.settle()
    told = [line for line in trello.ledger() if line[1] != "period"]
    assert told[0][0] == first
    assert len(told) == len(observed) - 1
    (row,) = trello.world.rows("SELECT since FROM member WHERE member = '999'")
    assert row["since"] == first
    assert trello.reconcile().differences == []


@pytest.mark.parametrize(
    "broken", [(401, {}, "no"), (503, {}, ""), (200, {}, {"no": "list"}), (429, {"Retry-After": "9999"}, "")]
)
def test_a_tool_that_cannot_be_read_is_told_of_the_workspace_and_nothing_is_half_done(
    trello: House, broken: tuple[int, dict[str, str], object]
) -> None:
    begun(trello)
    trello.to(START + timedelta(days=10))
    trello.tool.happens("member.left", START + timedelta(days=4), PEOPLE[0])
    before = trello.roster()
    trello.tool.fault = broken
    report = trello.reconcile()
    assert report.fault
    assert trello.roster() == before
    (row,) = trello.world.rows("SELECT pull_fault FROM workspace")
    assert row["pull_fault"] == report.fault
    (row,) = trello.world.rows("SELECT fault FROM drift")
    assert row["fault"] == report.fault
    trello.reconcile()
    assert len(trello.world.rows("SELECT id FROM drift")) == 1
    trello.tool.fault = None
    assert trello.reconcile().fault is None
    assert trello.world.rows("SELECT pull_fault FROM workspace") == [{"pull_fault": None}]


def test_a_tool_that_breaks_off_in_the_middle_changes_nothing(trello: House, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(trello)
    before = trello.roster()
    serve = trello.tool.serve

    def broken(path: str, *rest: Any) -> Any:
        return (404, {}, "gone") if path == f"/boards/{BOARDS[1]}/memberships" else serve(path, *rest)

    trello.tool.town.members.clear()
    monkeypatch.setattr(of_trello, "_OF_BOARD", "addMemberToBoard")
    trello.tool.serve = broken  # type: ignore[method-assign, assignment]
    with served(trello.tool) as tool:
        trello.world.rows("UPDATE connection SET api_url = %s RETURNING id", tool.url)
        assert "404" in str(trello.reconcile().fault)
    assert trello.roster() == before


def test_somebody_who_moves_while_the_tool_is_asked_is_left_to_the_webhook(trello: House) -> None:
    """The list was read before ren left; the webhook is right, and the list is old."""
    trello.world.rows("UPDATE workspace SET clock_id = NULL RETURNING id")
    begun(trello)
    serve = trello.tool.serve
    left: list[dict[str, Any]] = []

    def slow(path: str, *rest: Any) -> Any:
        answer = serve(path, *rest)
        if path.endswith(f"{BOARDS[0]}/memberships") and not left:
            (row,) = trello.world.rows("SELECT clock_timestamp() AS now")
            left.append(trello.tool.happens("member.left", row["now"] + timedelta(milliseconds=2), PEOPLE[0]))
            trello.hear(left[0])
            trello.world.read()
        return answer

    trello.tool.serve = slow  # type: ignore[method-assign, assignment]
    with served(trello.tool) as tool:
        trello.world.rows("UPDATE connection SET api_url = %s RETURNING id", tool.url)
        report = trello.reconcile()
    assert left
    assert report.differences == []


def test_a_workspace_without_a_credential_or_beside_another_that_may_be_meant_is_not_guessed_at(
    database_url: str, tmp_path: Path
) -> None:
    with served(Backlog()) as tool, house(database_url, tmp_path, tool) as made:  # type: ignore[arg-type]
        made.world.workspace("another-space")
        assert "several" in str(made.reconcile().fault)
        made.world.rows("UPDATE connection SET credential = NULL RETURNING id")
        assert "credential" in str(made.reconcile().fault)


def test_a_plan_that_says_so_bills_what_was_observed_from_the_start_of_the_interval(
    trello: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(trello)
    monkeypatch.setattr(reconciling, "_at_start", lambda *_: True)
    trello.to(START + timedelta(days=10))
    trello.tool.town.members["999"] = "normal"
    (difference,) = trello.reconcile().differences
    assert difference.observed is not None
    assert difference.at == difference.observed.start == START
    assert trello.ledger()[-1][0] == START
