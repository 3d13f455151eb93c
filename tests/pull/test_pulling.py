"""A pull over real sockets: credentials, pages, rate limits, waiting when told to, and faults that end it whole."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from billing.core.errors import InvalidError
from billing.tools import backlog, chatwork, trello
from billing.tools.room import Api, Ask, Scope
from tests.core.telling import when
from tests.pull.tool import Backlog, Chatwork, Tool, Trello, served
from workers import outbound, pulling
from workers.pulling import Line, PullError, pull

SINCE = when("2025-03-01")


@pytest.fixture
def tool() -> Iterator[Trello]:
    with served(Trello()) as made:
        assert isinstance(made, Trello)
        made.happens("board.attached", when("2025-03-02"), None, "b1")
        made.happens("board.member_added", when("2025-03-03"), "ren", "b1")
        made.happens("member.joined", when("2025-03-04"), "aoi")
        yield made


def line(tool: Tool, waits: list[float] | None = None, **more: object) -> Line:
    """A line to a pretend tool whose waiting is only noted."""
    api: Api | None = {Trello: trello.API, Backlog: backlog.API, Chatwork: chatwork.API}[type(tool)]
    assert api is not None
    noted = waits if waits is not None else []
    given = {"credential": dict(tool.credential), "allowed": "any", "pause": noted.append, **more}
    return Line(replace(api, url=""), tool.url, **given)  # type: ignore[arg-type]


def fault(tool: Tool, waits: list[float] | None = None, **more: object) -> PullError:
    with pytest.raises(PullError) as caught:
        pull(trello, Scope("w1", SINCE), line(tool, waits, **more))
    return caught.value


@pytest.mark.parametrize("kind", [Trello, Backlog, Chatwork])
def test_each_tool_is_asked_with_its_own_credential(kind: type[Trello]) -> None:
    rooms = {Trello: trello, Backlog: backlog, Chatwork: chatwork}
    with served(kind()) as tool:
        tool.town.change("board.attached", None, "11")
        tool.town.change("board.member_added", "5", "11")
        assert [person.id for person in pull(rooms[kind], Scope("w1", SINCE), line(tool)).people] == ["5"]
        wrong = line(tool, credential=dict.fromkeys(tool.credential, "wrong"))
        with pytest.raises(PullError, match="401"):
            pull(rooms[kind], Scope("w1", SINCE), wrong)


def test_a_429_is_waited_for_as_long_as_the_tool_says(tool: Trello) -> None:
    calm = pull(trello, Scope("w1", SINCE), line(tool))
    waits: list[float] = []
    tool.throttle, tool.retry_after = 2, "7"
    assert pull(trello, Scope("w1", SINCE), line(tool, waits)) == calm
    assert waits == [7.0] * len(waits)
    assert len(waits) >= 3


def test_a_429_beyond_patience_ends_the_pull(tool: Trello) -> None:
    tool.throttle, tool.retry_after = 2, "400"
    told = fault(tool)
    assert told.retry
    assert "429" in str(told)


def test_waiting_is_told_as_a_date_or_as_the_second_of_the_reset_too(tool: Trello) -> None:
    for headers, most in [
        ({"Retry-After": "Wed, 01 Jan 2025 00:00:00 GMT"}, 2),
        ({"X-RateLimit-Reset": str(int(time.time()) + 90)}, 91),
        ({"Retry-After": "soon"}, 2),
        ({}, 2),
    ]:
        waits: list[float] = []
        tool.fault = (429, headers, {})
        fault(tool, waits, patience_s=100.0)
        assert 0 <= waits[0] <= most


def test_a_tool_that_always_says_now_is_not_hammered(tool: Trello) -> None:
    waits: list[float] = []
    tool.fault = (429, {"Retry-After": "0"}, {})
    fault(tool, waits, patience_s=100.0)
    assert sum(waits) <= 100
    assert len(waits) < 10


def test_the_rate_is_kept_without_being_told(tool: Trello) -> None:
    waits: list[float] = []
    slow = line(tool, waits)
    slow = replace(slow, api=replace(slow.api, rate=(2, 60.0)))
    pull(trello, Scope("w1"), slow)
    assert len(tool.asked) == 3
    assert len(waits) == 1
    assert 50 < waits[0] <= 60


def test_a_credential_the_tool_refuses_ends_the_pull_at_once_and_is_never_told(tool: Trello) -> None:
    told = fault(tool, credential={"key": "k1", "token": "apricot"})
    assert not told.retry
    assert "401" in str(told)
    assert "apricot" not in str(told)
    assert len(tool.asked) == 1


def test_a_tool_that_fails_is_tried_some_times_and_then_left(tool: Trello) -> None:
    waits: list[float] = []
    tool.fault = (503, {}, "")
    told = fault(tool, waits)
    assert told.retry
    assert len(tool.asked) == pulling.TRIES
    assert waits == sorted(waits) or max(waits) < 10


def test_a_tool_that_is_not_there_is_told_without_its_address() -> None:
    with served(Trello()) as tool:
        pass
    told = fault(tool)
    assert told.retry
    assert "127.0.0.1" not in str(told)
    assert "k1" not in str(told)


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, b"<html>"),
        (200, {}, b'[{"id": "\\u0000"}]'),
        (200, {}, b"[" * 100 + b"]" * 100),
        (200, {}, {"not": "a list"}),
        (302, {"Location": "http://127.0.0.1:1/"}, b"[]"),
        (404, {}, b"[]"),
        (204, {}, b""),
    ],
)
def test_an_answer_that_is_no_list_ends_the_pull(tool: Trello, answer: tuple[int, dict[str, str], object]) -> None:
    tool.fault = answer
    fault(tool)


def test_an_endless_answer_is_not_read_to_its_end(tool: Trello, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "MOST_BYTES", 100)
    tool.fault = (200, {}, b"[" + b" " * 5000 + b"]")
    fault(tool)


def test_a_dialogue_that_does_not_end_is_ended(tool: Trello, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "MOST_ASKS", 3)
    assert "does not end" in str(fault(tool))


def test_a_missing_part_of_the_credential_or_address_is_named(tool: Trello) -> None:
    with pytest.raises(PullError, match="lacks token"):
        line(tool, credential={"key": "k"})
    with pytest.raises(PullError, match="api_url"):
        replace(line(tool), url="")


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example/1",
        "https://127.0.0.1/1",
        "https://[::1]/1",
        "https://[::ffff:10.0.0.1]/1",
        "https://10.1.2.3/1",
        "https://169.254.169.254/latest",
        "https://localhost/1",
        "https://user@api.example/",
        "https://api.example/?a=1",
        "ftp://api.example/",
        "https://[bad",
        "nonsense",
    ],
)
def test_an_address_that_is_not_public_is_refused(url: str) -> None:
    with pytest.raises(InvalidError):
        outbound.check_address(url, "public")


def test_a_public_address_is_allowed_and_any_address_where_the_operator_says_so() -> None:
    outbound.check_address("https://kobo.backlog.example/api/v2", "public")
    outbound.check_address("http://10.1.2.3:8080/1", "any")


def test_a_name_that_leads_inside_is_found_out_before_a_byte_is_sent(tool: Trello) -> None:
    adapter = outbound.adapter("public")
    request = outbound.prepared(f"{tool.url}/organizations/w1/boards", [], {})
    with pytest.raises(Exception, match="inside a network"):
        adapter.send(request, timeout=(2, 2))
    assert tool.asked == []
    assert outbound.adapter("any").send(request, timeout=(2, 2)).status_code == 401
    adapter.close()


def test_an_ask_keeps_its_own_parameters_beside_the_credential(tool: Trello) -> None:
    one = line(tool)
    assert one.ask(Ask("/organizations/w1/boards", (("filter", "all"), ("filter", "open"))))
