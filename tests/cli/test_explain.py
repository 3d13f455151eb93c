"""`sekisu explain`: a ledger entry, or every line of a charge."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from billing.core.errors import NotFoundError
from tests.cli.story import sekisu, told
from tests.workers.world import World


@pytest.fixture
def story(database_url: str) -> Iterator[World]:
    world, _ = told(database_url)
    yield world
    world.database.close()


def test_an_entry_is_explained_by_its_facts_rules_and_arithmetic(story: World, tmp_path: Path) -> None:
    row = story.row("SELECT * FROM entry WHERE kind = 'seats_added' AND amount > 0 ORDER BY seq LIMIT 1")
    result = sekisu(story.database.url, tmp_path, "explain", row["id"], "--json")
    told_of = json.loads(result.stdout)
    assert (told_of["entry_id"], told_of["amount"]) == (row["id"], row["amount"])
    assert [fact["member"] for fact in told_of["facts"]] == ["cleo"]
    said = sekisu(story.database.url, tmp_path, "explain", row["id"]).stdout
    assert "rules TR-08, XX-02" in said
    assert f"{row['unit_amount']} x 1 x {row['fraction']} = " in said
    assert "member.joined cleo" in said
    assert told_of["text"]["ja"] in sekisu(story.database.url, tmp_path, "explain", row["id"], "--lang", "ja").stdout


def test_a_charge_is_explained_line_by_line(story: World, tmp_path: Path) -> None:
    charge = story.row("SELECT id FROM charge ORDER BY id LIMIT 1")["id"]
    keys = [row["key"] for row in story.rows("SELECT key FROM charge_line WHERE charge_id = %s ORDER BY key", charge)]
    result = sekisu(story.database.url, tmp_path, "explain", charge, "--json")
    told_of = json.loads(result.stdout)
    assert (told_of["charge"]["id"], sorted(e["key"] for e in told_of["explanations"])) == (charge, keys)
    said = sekisu(story.database.url, tmp_path, "explain", charge).stdout
    assert said.startswith(f"{charge} (succeeded): $25.00")


def test_an_id_of_neither_is_one_sentence(story: World, tmp_path: Path) -> None:
    result = sekisu(story.database.url, tmp_path, "explain", "ch_nowhere")
    assert isinstance(result.exception, NotFoundError)
    assert str(result.exception) == "there is no ledger entry and no charge ch_nowhere"
