"""Commands and quotes are judged on settled ground, by the roster as it stands."""

from collections.abc import Iterator
from typing import Any

import pytest

from billing.core.errors import RefusedError
from billing.store import subscriptions
from tests.workers.world import World, at
from workers import commands, quotes, settle
from workers.roster_import import import_roster


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    world = World(database_url, at("2025-01-15"))
    yield world
    world.database.close()


def test_a_quote_during_which_a_period_opens_is_of_the_period_that_opened(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = world.workspace("w1")
    world.tell("member.joined", "w1", "casper", at("2025-01-10"))
    world.read_and_settle()
    world.start(workspace, interval="month")
    real = settle.settle_fully

    def settled(*arguments: Any, **named: Any) -> None:
        monkeypatch.setattr(quotes, "settle_fully", real)
        real(*arguments, **named)
        world.advance(at("2025-02-15"))

    monkeypatch.setattr(quotes, "settle_fully", settled)
    with world.database.transaction("test") as connection:
        quote = quotes.quote(connection, "live", workspace, {"command": "members", "count": 1})
    assert [(line["instant"], line["amount"]) for line in quote["lines"]] == [("2025-02-15T00:00:00.000Z", 1250)]
    assert world.charges(workspace) == [1250, 1250]


def test_a_fact_filed_while_a_start_is_judged_is_charged_apart_from_what_was_quoted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = world.workspace("w1")
    world.tell("member.joined", "w1", "casper", at("2025-01-10"))
    world.read_and_settle()
    body = {"plan": "trello-premium", "interval": "year"}
    with world.database.transaction("test") as connection:
        quote = quotes.quote(connection, "live", workspace, {"command": "subscription", **body})
    real = subscriptions.file

    def file(*arguments: Any) -> None:
        world.tell("member.joined", "w1", "michael", at("2025-01-10"))
        world.read()
        real(*arguments)

    monkeypatch.setattr(subscriptions, "file", file)
    world.start(workspace, quote_id=quote["id"])
    assert world.charges(workspace) == [quote["amount"]] == [11999]
    world.settle(workspace)
    assert world.charges(workspace) == [11999, 11999]
    assert world.row("SELECT due_at FROM workspace")["due_at"] == at("2026-01-15")


def test_who_left_is_no_administrator_any_more(world: World) -> None:
    workspace = world.workspace("w1")
    with world.database.transaction("test") as connection:
        import_roster(connection, workspace, None, [{"id": "casper", "role": "admin"}], None)
    world.settle(workspace)
    world.advance(at("2025-01-16"))
    world.tell("member.left", "w1", "casper", at("2025-01-16"))
    world.read_and_settle()
    body, actor = {"plan": "trello-premium", "interval": "year"}, {"id": "casper", "role": "normal"}
    with pytest.raises(RefusedError, match="normal"), world.database.transaction("test") as connection:
        commands.give(connection, "live", workspace, "subscription", body, actor)
