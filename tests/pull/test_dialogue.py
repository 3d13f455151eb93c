"""A room says what to ask and reads the answers; it is pure, asks page by page, and never takes half for a whole."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from types import ModuleType
from urllib.parse import parse_qs, urlencode

import pytest

from billing.tools import backlog, chatwork, standard, trello
from billing.tools.backlog import snapshot as of_backlog
from billing.tools.room import Ask, Event, Person, Refusal, Room, Scope, Snapshot, Step
from billing.tools.trello import snapshot as of_trello
from tests.core.telling import when as at
from tests.pull.tool import Backlog, Chatwork, Tool, Trello

MARCH = at("2025-03-01")
ROOMS = {"trello": trello, "backlog": backlog, "chatwork": chatwork}
TOOLS: dict[str, type[Tool]] = {"trello": Trello, "backlog": Backlog, "chatwork": Chatwork}


def told(tool: Tool, ask: Ask) -> object:
    """What the tool answers to an ask, without a network."""
    return tool.answer([part for part in ask.path.split("/") if part], parse_qs(urlencode(ask.params)))


def dialogue(room: Room | ModuleType, tool: Tool, scope: Scope) -> Step:
    """A pull to its end."""
    answers: dict[Ask, object] = {}
    while isinstance(step := room.pull(scope, answers), tuple):
        assert step
        assert not set(step) & answers.keys()
        answers |= {ask: told(tool, ask) for ask in step}
    return step


def town(tool: Trello | Backlog | Chatwork) -> None:
    """Aoi (1) and Ren (2) belong; Ren and Sora (3) are on board 11, board 12 is closed and empty."""
    for kind, who, board in [
        ("member.joined", "1", None),
        ("board.attached", None, "11"),
        ("board.attached", None, "12"),
        ("member.joined", "2", None),
        ("board.member_added", "2", "11"),
        ("board.member_added", "3", "11"),
        ("board.closed", None, "12"),
    ]:
        tool.happens(kind, at("2025-03-02"), who, board)


def test_trello_tells_members_boards_and_guests_of_one_workspace() -> None:
    tool = Trello()
    town(tool)
    snapshot = dialogue(trello, tool, Scope("w1"))
    assert isinstance(snapshot, Snapshot)
    assert snapshot.complete
    assert snapshot.boards == {"11": False, "12": True}
    assert snapshot.events == ()
    assert snapshot.people == (
        Person("1", None, True, (), "joined", "normal"),
        Person("2", None, True, ("11",), "joined", "normal"),
        Person("3", None, False, ("11",), "joined", "normal"),
    )


def test_backlog_tells_users_and_projects_of_one_space() -> None:
    tool = Backlog()
    town(tool)
    snapshot = dialogue(backlog, tool, Scope("kobo"))
    assert isinstance(snapshot, Snapshot)
    assert snapshot.boards == {"11": False, "12": True}
    assert [(p.id, p.member, p.boards, p.role) for p in snapshot.people] == [
        ("1", True, (), None),
        ("2", True, ("11",), None),
        ("3", False, ("11",), None),
    ]


def test_chatwork_tells_who_is_in_group_rooms_and_nothing_of_the_contract() -> None:
    tool = Chatwork()
    town(tool)
    snapshot = dialogue(chatwork, tool, Scope("kobo"))
    assert isinstance(snapshot, Snapshot)
    assert not snapshot.complete
    assert snapshot.boards == {"11": False, "12": False}
    assert [(p.id, p.member, p.boards) for p in snapshot.people] == [("2", False, ("11",)), ("3", False, ("11",))]


def test_a_tool_without_lists_refuses_and_names_the_way_out() -> None:
    assert standard.API is None
    step = standard.pull(Scope("w"), {})
    assert isinstance(step, Refusal)
    assert "import" in step.reason


@pytest.mark.parametrize("name", ["trello", "backlog"])
def test_events_are_asked_for_page_by_page_and_are_the_facts_their_webhooks_would_be(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_trello, "PAGE", 3)
    monkeypatch.setattr(of_backlog, "PAGE", 3)
    tool = Trello() if name == "trello" else Backlog()
    tool.happens("board.attached", MARCH, None, "11")
    bodies = [tool.happens("board.member_added", at(f"2025-03-{day:02d}"), str(day), "11") for day in range(2, 12)]
    snapshot = dialogue(ROOMS[name], tool, Scope("w1", MARCH))
    assert isinstance(snapshot, Snapshot)
    webhooks = [event for body in bodies for event in _read(ROOMS[name], body)]
    added = {event.source_id: event for event in snapshot.events if event.kind == "board.member_added"}
    assert added == {event.source_id: event for event in webhooks}


def _read(room: ModuleType, body: Mapping[str, object]) -> tuple[Event, ...]:
    events: tuple[Event, ...] = room.read({}, json.dumps(body).encode()).events
    return events


def test_events_are_asked_for_from_an_instant_on() -> None:
    for tool, room in ((Trello(), trello), (Backlog(), backlog)):
        tool.happens("board.attached", MARCH, None, "11")
        tool.happens("board.member_added", at("2025-03-02"), "2", "11")
        tool.happens("board.member_added", at("2025-03-09"), "3", "11")
        snapshot = dialogue(room, tool, Scope("w1", at("2025-03-05")))
        assert isinstance(snapshot, Snapshot)
        assert [event.member for event in snapshot.events] == ["3"]


def test_a_board_shows_its_owner_only_since_it_last_moved() -> None:
    tool = Trello()
    tool.happens("board.attached", at("2025-03-02"), None, "11")
    tool.happens("board.member_added", at("2025-03-03"), "2", "11")
    tool.happens("board.attached", at("2025-03-04"), None, "11")
    tool.happens("board.member_added", at("2025-03-05"), "3", "11")
    snapshot = dialogue(trello, tool, Scope("w1", MARCH))
    assert isinstance(snapshot, Snapshot)
    owners = {event.member: event.owner for event in snapshot.events if event.member}
    assert owners == {"2": None, "3": "w1"}


@pytest.mark.parametrize("name", sorted(ROOMS))
@pytest.mark.parametrize(
    "odd", [None, {}, "x", [None], [5], [{"id": None}], [{"idMember": 5, "id": "", "room_id": "x"}]]
)
def test_half_a_roster_is_never_taken_for_a_whole_one(name: str, odd: object) -> None:
    tool = TOOLS[name]()
    town(tool)  # type: ignore[arg-type]
    scope = Scope("w1", datetime(2025, 1, 1, tzinfo=UTC))
    answers: dict[Ask, object] = {}
    while isinstance(step := ROOMS[name].pull(scope, answers), tuple):
        answers |= {ask: told(tool, ask) for ask in step}
    for ask in answers:
        assert isinstance(ROOMS[name].pull(scope, answers | {ask: odd}), Refusal), ask


@pytest.mark.parametrize("name", sorted(ROOMS))
def test_a_workspace_whose_id_has_a_slash_stays_one_part_of_the_path(name: str) -> None:
    (first, *_) = ROOMS[name].pull(Scope("w/../1"), {})
    assert ".." not in first.path.replace("%2F..%2F", "")
