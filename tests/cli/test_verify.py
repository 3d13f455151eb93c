"""`sekisu verify` on a real database: green on a true story, red for each way to falsify it."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from billing.core import classification
from billing.core.classification import Policy, Standing, Verdict, classify
from billing.store import catalogue, ledger
from tests.cli.story import faults, forge, on_board, person, sekisu, told
from tests.workers.world import World, at
from workers.roster_import import import_roster
from workers.verifying import verify


@pytest.fixture
def story(database_url: str) -> Iterator[tuple[World, str]]:
    world, workspace = told(database_url)
    yield world, workspace
    world.database.close()


def test_a_true_story_with_late_facts_paid_and_failed_charges_and_credit_is_verified(
    story: tuple[World, str], tmp_path: Path
) -> None:
    world, workspace = story
    assert world.row("SELECT credit, count(*) OVER () AS n FROM workspace") == {"credit": 0, "n": 1}
    kinds = {row["kind"] for row in world.rows("SELECT DISTINCT kind FROM journal")}
    assert kinds == {"line", "line_reversed", "payment", "credit", "credit_used"}
    result = sekisu(world.database.url, tmp_path, "verify")
    assert result.exit_code == 0, result.output
    assert "verified 1 workspaces: no difference" in result.stdout
    assert sekisu(world.database.url, tmp_path, "verify", "--workspace", workspace).exit_code == 0


def test_an_edited_line_is_found(story: tuple[World, str], tmp_path: Path) -> None:
    world, _ = story
    key = world.row("SELECT key FROM line WHERE seats > 0 ORDER BY instant LIMIT 1")["key"]
    forge(world.database.url, "UPDATE line SET amount = amount + 1 WHERE key = %(key)s", key=key)
    result = sekisu(world.database.url, tmp_path, "verify", "--json")
    assert result.exit_code == 1
    assert faults(result) == [("line", key)]


def test_an_edited_entry_is_found_and_its_row_of_the_journal_named(story: tuple[World, str], tmp_path: Path) -> None:
    world, _ = story
    row = world.row("SELECT j.seq, j.id, e.key FROM journal j JOIN entry e ON e.id = j.ref ORDER BY j.seq LIMIT 1")
    forge(
        world.database.url,
        "UPDATE entry SET amount = amount + 1, line_amount = line_amount + 1 WHERE seq = %(seq)s",
        seq=row["seq"],
    )
    found = faults(sekisu(world.database.url, tmp_path, "verify", "--json"))
    assert ("chain", f"journal {row['seq']} ({row['id']})") in found
    assert ("statement", row["key"]) in found
    assert ("line", row["key"]) in found


@pytest.mark.parametrize(
    "change",
    [
        "rules = '{TR-99}'",
        "heard_at = heard_at, posted_at = posted_at + interval '1 day'",
        "currency = 'EUR'",
        "line_amount = 7",
        "facts = '{}'",
    ],
)
def test_no_column_of_an_entry_can_be_edited_unnoticed(story: tuple[World, str], change: str) -> None:
    world, _ = story
    forge(world.database.url, f"UPDATE entry SET {change} WHERE seq = (SELECT max(seq) FROM entry)")  # noqa: S608
    assert not verify(world.database, None, lambda *_: None).ok


def test_a_movement_that_is_no_line_cannot_be_edited(story: tuple[World, str], tmp_path: Path) -> None:
    world, _ = story
    row = world.row("SELECT seq, id FROM journal WHERE kind = 'payment' ORDER BY seq LIMIT 1")
    forge(world.database.url, "UPDATE journal SET amount = amount - 1 WHERE seq = %(seq)s", seq=row["seq"])
    found = faults(sekisu(world.database.url, tmp_path, "verify", "--json"))
    assert ("chain", f"journal {row['seq']} ({row['id']})") in found
    assert ("books", "cash_clearing USD") in found


def test_a_truncated_tail_is_found_and_the_first_missing_row_named(story: tuple[World, str], tmp_path: Path) -> None:
    world, _ = story
    last = world.row("SELECT max(seq) AS seq FROM journal")["seq"]
    forge(
        world.database.url,
        "DELETE FROM journal WHERE seq >= %(seq)s",
        "DELETE FROM entry WHERE seq >= %(seq)s",
        seq=last - 1,
    )
    result = sekisu(world.database.url, tmp_path, "verify", "--json")
    assert ("chain", f"journal {last - 1}") in faults(result)


def test_a_whole_rechained_copy_is_found_by_a_head_that_was_sent_with_a_charge(
    story: tuple[World, str], tmp_path: Path
) -> None:
    world, workspace = story
    head, seq = b"", 0
    with psycopg.connect(world.database.url, row_factory=dict_row) as connection:
        connection.execute("ALTER TABLE journal DISABLE TRIGGER USER")
        for row in connection.execute("SELECT * FROM journal ORDER BY seq").fetchall():
            posted_at, content, seq = row["posted_at"], row["digest"], row["seq"]
            if row["kind"] == "payment":  # paid a day earlier than it was
                posted_at -= timedelta(days=1)
                content = ledger.digest(row["kind"], row["ref"], row["amount"], row["currency"], posted_at)
            head = ledger.linked(head, content)
            connection.execute(
                "UPDATE journal SET posted_at = %s, digest = %s, hash = %s WHERE seq = %s",
                (posted_at, content, head, seq),
            )
        connection.execute("UPDATE workspace SET chain_head = %s WHERE id = %s", (head, workspace))
    sent = world.rows("SELECT id FROM charge WHERE body IS NOT NULL ORDER BY id")
    found = faults(sekisu(world.database.url, tmp_path, "verify", "--json"))
    assert found == [("chain", row["id"]) for row in sent[1:]]
    assert len(sent) > 2


@pytest.mark.parametrize(
    ("statement", "subject"),
    [
        ("UPDATE member SET billable = false WHERE member = 'ada'", "member ada"),
        ("UPDATE member SET since = since + interval '1 day' WHERE member = 'cleo'", "member cleo"),
        ("DELETE FROM member WHERE member = 'dora'", "member dora"),
        ("UPDATE seat SET present = false", "seat dora on b1"),
        ("UPDATE board_head SET closed = true", "board b1"),
        ("DELETE FROM span WHERE member = 'ada'", "span of ada from 2025-01-10T00:00:00.000Z"),
        ("UPDATE step SET delta = 2 WHERE at = '2025-01-20'", "step at 2025-01-20T00:00:00.000Z"),
        ("UPDATE workspace SET occupied = 9", "occupied"),
        ("UPDATE workspace SET purchased = 9", "purchased"),
        ("UPDATE workspace SET frontier = NULL", "frontier"),
    ],
)
def test_an_edited_roster_is_found(story: tuple[World, str], tmp_path: Path, statement: str, subject: str) -> None:
    world, _ = story
    forge(world.database.url, statement)
    result = sekisu(world.database.url, tmp_path, "verify", "--json")
    assert result.exit_code == 1
    assert ("roster", subject) in faults(result)
    assert {check for check, _ in faults(result)} == {"roster"}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE charge SET amount = amount + 1 WHERE status = 'succeeded'",
        "UPDATE charge SET status = 'succeeded' WHERE status = 'failed'",
        "UPDATE charge SET body = jsonb_set(body, '{amount}', '1')",
        "UPDATE charge_line SET reduced = 0, credited = 0",
        "UPDATE workspace SET credit = 5",
    ],
)
def test_money_that_charges_and_ledger_tell_differently_is_found(story: tuple[World, str], statement: str) -> None:
    world, _ = story
    forge(world.database.url, statement)
    found = verify(world.database, None, lambda *_: None).faults
    assert found
    assert {fault.check for fault in found} <= {"charge", "books"}


def test_a_deleted_fact_makes_what_was_posted_unexplained(story: tuple[World, str], tmp_path: Path) -> None:
    world, _ = story
    forge(world.database.url, "DELETE FROM fact WHERE member = 'cleo'")
    result = sekisu(world.database.url, tmp_path, "verify")
    assert result.exit_code == 1
    assert "owed is not what was posted" in result.stdout


def test_a_fact_that_waits_to_be_settled_is_no_difference(story: tuple[World, str], tmp_path: Path) -> None:
    world, workspace = story
    forge(world.database.url, "UPDATE fact SET settled_at = NULL WHERE member = 'cleo'")
    result = sekisu(world.database.url, tmp_path, "verify")
    assert result.exit_code == 0
    assert f"{workspace} waits for a settlement" in result.stdout


def _guests_cost(standing: Standing, policy: Policy = classification.ORDINARY) -> Verdict:
    if standing.boards == 1:
        return Verdict(billable=True, rule="TR-15")
    return classify(standing, policy)


def test_a_new_price_and_a_changed_rule_post_nothing_and_verify_names_the_rule_change_once(
    story: tuple[World, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, workspace = story
    before = world.row("SELECT count(*) AS n FROM journal")
    with world.database.transaction("test") as connection:
        plans = catalogue.shipped()
        plans[0]["prices"][0]["unit_amount"] += 1
        catalogue.load(connection, plans)
        connection.execute(
            """INSERT INTO price (id, plan, interval, currency, unit_amount, valid_from, terms, catalogue_version)
               SELECT id || '.dear', plan, interval, currency, unit_amount * 2, valid_from, terms, 2 FROM price
               WHERE plan = 'trello-premium' AND catalogue_version = 1
               ON CONFLICT (plan, interval, valid_from, catalogue_version) DO NOTHING"""
        )
    assert world.settle(workspace) == []
    assert sekisu(world.database.url, tmp_path, "verify").exit_code == 0
    for module in ("billing.core.replay", "billing.core.roster", "workers.checks.roster"):
        monkeypatch.setattr(f"{module}.classify", _guests_cost)
    assert world.settle(workspace) == []
    assert world.row("SELECT count(*) AS n FROM journal") == before
    for _ in range(2):
        result = sekisu(world.database.url, tmp_path, "verify", "--json")
        assert result.exit_code == 1
        assert any(fault["unexplained"] for fault in json.loads(result.stdout)["faults"])
    alarms = world.rows("SELECT detail FROM alarm WHERE kind = 'unexplained'")
    unexplained = [subject for check, subject in faults(result) if check == "statement"]
    assert sorted(row["detail"].partition(": ")[0] for row in alarms) == sorted(unexplained)


def test_shuffled_deliveries_imports_and_dropped_bodies_end_in_what_stands(
    story: tuple[World, str], tmp_path: Path
) -> None:
    world, workspace = story
    second = world.workspace("w2")
    on_board(world, "dora", "b2", "2025-02-18")
    dropped = on_board(world, "edgar", "b1", "2025-02-18")
    world.read_and_settle()
    with world.database.transaction("test") as connection:
        connection.execute("DELETE FROM delivery_body WHERE id = %s", (dropped,))
        people = [{"id": name, "boards": ["b1", "b9"]} for name in ("ada", "fay")]
        assert import_roster(connection, second, at("2025-02-19"), people, None) > 0
    for name in (workspace, second):
        world.settle(name)
    result = sekisu(world.database.url, tmp_path, "verify", "--shuffle", "6", "--seed", "7", "--json")
    assert result.exit_code == 0, result.output
    shuffled = json.loads(result.stdout)["shuffle"]
    assert (shuffled["workspaces"], shuffled["rounds"], shuffled["skipped"]) == (2, 6, [])
    assert shuffled["deliveries"] == world.row("SELECT count(*) AS n FROM delivery_body")["n"]
    assert shuffled["facts"] > 4


def test_shuffling_finds_what_no_order_of_the_deliveries_would_give(story: tuple[World, str], tmp_path: Path) -> None:
    world, _ = story
    forge(
        world.database.url, "UPDATE member SET rule = 'TR-02' WHERE member = 'ada'", "UPDATE line SET seats = seats + 1"
    )
    result = sekisu(world.database.url, tmp_path, "verify", "--shuffle", "1", "--json")
    assert result.exit_code == 1
    subjects = [subject for check, subject in faults(result) if check == "shuffle"]
    assert "member ada" in subjects
    assert any(subject.startswith("line sub_") for subject in subjects)


def test_shuffling_leaves_the_live_tables_and_the_schemas_as_they_were(
    story: tuple[World, str], tmp_path: Path
) -> None:
    world, _ = story
    query = """SELECT (SELECT count(*) FROM journal) AS journal, (SELECT count(*) FROM charge) AS charges,
                      (SELECT max(xmin::text::bigint) FROM fact) AS facts, (SELECT count(*) FROM pg_tables
                       WHERE schemaname NOT LIKE 'pg\\_%%' AND schemaname <> 'information_schema') AS tables"""
    before = world.row(query)
    assert sekisu(world.database.url, tmp_path, "verify", "--shuffle", "2").exit_code == 0
    assert world.row(query) == before


def test_what_waits_to_be_read_is_not_shuffled_and_said_so(story: tuple[World, str], tmp_path: Path) -> None:
    world, _ = story
    person(world, "addMemberToOrganization", "gil", "2025-02-19")
    result = sekisu(world.database.url, tmp_path, "verify", "--shuffle", "2")
    assert result.exit_code == 0
    assert "not shuffled: trello workspaces of account default wait for 1 kept deliveries" in result.stdout
