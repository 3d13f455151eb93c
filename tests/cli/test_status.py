"""`sekisu status`: what is due, what failed, and whether a person is needed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from billing.store.inbox import alarm
from tests.cli.story import answer, person, sekisu, told
from tests.workers.world import World, at


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url, at("2025-01-15"), tool="trello")
    yield made
    made.database.close()


def looked(world: World, folder: Path, *arguments: str) -> tuple[int, dict[str, object]]:
    result = sekisu(world.database.url, folder, "status", "--json", *arguments)
    return result.exit_code, json.loads(result.stdout)


def test_an_empty_house_needs_nobody(world: World, tmp_path: Path) -> None:
    code, standing = looked(world, tmp_path)
    assert (code, standing["ok"], standing["oldest_due"], standing["needs_person"]) == (0, True, None, [])
    assert standing["deliveries"] == {"kept": 0, "parked": 0, "quarantined": 0}


def test_work_that_waits_is_told_with_its_age_and_needs_nobody(world: World, tmp_path: Path) -> None:
    kept = person(world, "addMemberToOrganization", "ada", "2025-01-10")
    code, standing = looked(world, tmp_path)
    due = standing["oldest_due"]
    assert isinstance(due, dict)
    assert (code, due["what"], due["id"]) == (0, "delivery", kept)
    assert standing["deliveries"] == {"kept": 1, "parked": 0, "quarantined": 0}
    world.read()
    assert looked(world, tmp_path)[1]["deliveries"] == {"kept": 0, "parked": 1, "quarantined": 0}
    world.workspace("w1")
    world.read()
    facts = looked(world, tmp_path)[1]["facts"]
    assert isinstance(facts, dict)
    assert facts["unsettled"] == 1
    assert facts["oldest"] == "2025-01-15T00:00:00.000Z"
    told_to_people = sekisu(world.database.url, tmp_path, "status")
    assert "1 unsettled, heard since" in told_to_people.stdout


def test_a_quarantined_delivery_needs_a_person(world: World, tmp_path: Path) -> None:
    world.workspace("w1")
    person(world, "addMemberToOrganization", "ada", "2025-03-10")
    world.read()
    code, standing = looked(world, tmp_path)
    assert code == 1
    assert standing["needs_person"] == ["1 quarantined deliveries", "1 alarms"]
    assert "1 quarantined deliveries" in sekisu(world.database.url, tmp_path, "status").stdout


def test_a_failed_charge_needs_a_person_once_it_is_not_tried_again(database_url: str, tmp_path: Path) -> None:
    world, workspace = told(database_url)
    # It is tried again by itself for a while, as the plan says.
    assert looked(world, tmp_path)[1]["needs_person"] == []
    assert world.row("SELECT state FROM workspace WHERE id = %s", workspace)["state"] == "past_due"
    for week in ("2025-02-28", "2025-03-07", "2025-03-14"):
        world.advance(at(week), workspace)
        answer(world, "failed")
    world.advance(at("2025-03-21"), workspace)
    assert world.row("SELECT state FROM workspace WHERE id = %s", workspace)["state"] == "free"
    code, standing = looked(world, tmp_path)
    assert code == 1
    assert "1 failed charges" in standing["needs_person"]  # type: ignore[operator]
    world.database.close()


def test_a_charge_without_an_outcome_needs_a_person_after_an_hour(database_url: str, tmp_path: Path) -> None:
    world, workspace = told(database_url)
    world.advance(at("2025-02-28"), workspace)
    answer(world, "unknown")
    assert looked(world, tmp_path)[1]["needs_person"] == []
    with world.database.transaction("test") as connection:
        connection.execute("UPDATE charge SET first_sent_at = first_sent_at - interval '2 hours'")
    assert looked(world, tmp_path)[1]["needs_person"] == ["1 charges without an outcome for over an hour"]
    world.database.close()


def test_an_alarm_counts_for_a_day_and_an_unexplained_difference_for_good(world: World, tmp_path: Path) -> None:
    with world.database.transaction("test") as connection:
        alarm(connection, "delivery_id_reused", "a word")
        connection.execute("UPDATE alarm SET at = now() - interval '30 hours'")
    assert looked(world, tmp_path)[0] == 0
    assert looked(world, tmp_path, "--alarm-hours", "48")[0] == 1
    with world.database.transaction("test") as connection:
        alarm(connection, "unexplained", "k: owed is not what was posted")
        connection.execute("UPDATE alarm SET at = now() - interval '300 hours'")
    assert looked(world, tmp_path)[1]["needs_person"] == ["1 unexplained differences"]


def test_the_help_says_what_the_exit_codes_mean(world: World, tmp_path: Path) -> None:
    said = " ".join(sekisu(world.database.url, tmp_path, "status", "--help").stdout.split())
    assert "Exit code 0" in said
    assert "Exit code 1: something needs a person" in said
