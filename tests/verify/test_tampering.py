"""`sekisu verify` finds each way to falsify a database as its superuser, and names the first wrong row."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.story import sekisu
from tests.verify.tampering import Forger
from tests.workers.world import World


@dataclass
class Books:
    """A true database, its forger, and what `verify` says of it."""

    world: World
    workspace: str
    forger: Forger
    folder: Path

    def told(self, *more: str) -> dict[str, Any]:
        result = sekisu(self.world.database.url, self.folder, "verify", "--json", *more)
        found: dict[str, Any] = json.loads(result.stdout)
        assert result.exit_code == (0 if found["ok"] else 1)
        return found

    def first(self, *more: str) -> tuple[str, str, str, str]:
        """The first wrong row: its table, its id, what it says, what it should say."""
        found = self.told(*more)
        assert not found["ok"]
        return tuple(found["first"][name] for name in ("table", "row", "says", "should"))  # type: ignore[return-value]

    def one(self, query: str, *values: object) -> Any:
        """The one value of a query."""
        (value,) = self.world.row(query, *values).values()
        return value


@pytest.fixture
def books(story: World, superuser_url: str, tmp_path: Path) -> Books:
    workspace = story.row("SELECT id FROM workspace")["id"]
    return Books(story, workspace, Forger(superuser_url, story.database.url), tmp_path)


def test_a_true_database_is_told_with_counts_of_what_was_checked(books: Books) -> None:
    result = sekisu(books.world.database.url, books.folder, "verify")
    assert result.exit_code == 0, result.output
    found = books.told()
    assert (found["ok"], found["first"], found["faults"]) == (True, None, [])
    query = "SELECT count(*)::int FROM {}"
    tables = {"ledger rows": "journal", "entries": "entry", "lines": "line", "facts": "fact", "documents": "document"}
    assert {name: found["checked"][name] for name in tables} == {
        name: books.one(query.format(table)) for name, table in tables.items()
    }
    assert found["checked"]["documents"] >= 2
    assert found["checked"]["heads"] >= 4
    assert f"{found['checked']['ledger rows']} ledger rows" in result.stdout
    assert result.stdout.endswith("verified 1 workspaces: no difference\n")


def test_an_edited_amount_of_an_entry_is_found(books: Books) -> None:
    name = books.one("SELECT id FROM entry WHERE seq = 1")
    books.forger.run("UPDATE entry SET amount = amount + 1, line_amount = line_amount + 1 WHERE seq = 1")
    assert books.first() == ("entry", name, "amount 2501", "amount 2500")
    chain = books.told()["faults"][0]
    assert (chain["check"], chain["table"], chain["row"]) == ("chain", "entry", name)
    assert (chain["says"][:7], chain["should"][:7], chain["says"] != chain["should"]) == ("digest ", "digest ", True)


@pytest.mark.parametrize(
    ("change", "says", "should"),
    [
        ("seats = seats + 1", "seats 3", "seats 2"),
        ("fraction = '1/2'", "fraction 1/2", "fraction 1"),
        ("rules = '{TR-99}'", "rules ['TR-99']", "rules ['TR-01', 'TR-22']"),
    ],
)
def test_an_edited_line_is_found(books: Books, change: str, says: str, should: str) -> None:
    key = books.one("SELECT key FROM line WHERE kind = 'period' AND n = 0")
    books.forger.run(f"UPDATE line SET {change} WHERE key = %(key)s", key=key)  # noqa: S608 - constants of this file
    assert books.first() == ("line", key, says, should)


def test_an_edited_instant_of_a_fact_is_found_by_the_delivery_that_told_it(books: Books) -> None:
    name = books.one("SELECT id FROM fact WHERE member = 'cleo'")
    books.forger.run("UPDATE fact SET at = at - interval '3 days' WHERE id = %(id)s", id=name)
    before = "at 2025-01-17T00:00:00.000Z"
    assert books.first() == ("fact", name, before, "at 2025-01-20T00:00:00.000Z")
    assert {fault["check"] for fault in books.told()["faults"]} >= {"fact", "roster"}


def test_an_edited_instant_of_an_accepted_command_is_found(books: Books) -> None:
    name = books.one("SELECT fact_id FROM command WHERE verdict = 'accepted'")
    books.forger.run("UPDATE fact SET at = at - interval '1 day' WHERE id = %(id)s", id=name)
    assert books.first() == ("fact", name, "at 2025-01-14T00:00:00.000Z", "at 2025-01-15T00:00:00.000Z")


def test_a_removed_fact_is_found_by_the_delivery_that_told_it(books: Books) -> None:
    name = books.one("SELECT id FROM fact WHERE member = 'ada'")
    books.forger.run("DELETE FROM fact WHERE id = %(id)s", id=name)
    found = [fault for fault in books.told()["faults"] if fault["check"] == "fact"]
    assert [(fault["row"], fault["says"], fault["workspace_id"]) for fault in found] == [
        (name, "missing", books.workspace)
    ]
    assert "kind member.joined, at 2025-01-10T00:00:00.000Z, member ada" in found[0]["should"]


def test_a_removed_fact_is_found_though_the_body_that_told_it_was_dropped(books: Books) -> None:
    name = books.one("SELECT id FROM fact WHERE member = 'ada'")
    books.forger.run("DELETE FROM delivery_body", "DELETE FROM fact WHERE id = %(id)s", id=name)
    found = [fault for fault in books.told()["faults"] if fault["check"] == "fact"]
    assert [(fault["row"], fault["says"], fault["should"]) for fault in found] == [(name, "missing", "a fact")]


def test_a_removed_command_and_a_removed_copy_of_a_boards_fact_are_found(books: Books) -> None:
    command = books.one("SELECT fact_id FROM command WHERE verdict = 'accepted'")
    board = books.one("SELECT id FROM fact WHERE board = 'b1'")
    books.forger.run("DELETE FROM fact WHERE id IN (%(command)s, %(board)s)", command=command, board=board)
    found = {fault["row"]: fault["says"] for fault in books.told()["faults"] if fault["check"] == "fact"}
    assert found == {command: "missing", board: "missing"}


def test_a_planted_fact_is_found_by_the_delivery_that_never_told_it(books: Books) -> None:
    books.forger.run(
        """INSERT INTO fact (workspace_id, id, kind, at, heard_at, source, source_id, ordinal, member, delivery_id,
                             settled_at)
           SELECT workspace_id, 'fact_planted', kind, at, heard_at, source, 'x', ordinal, 'mallory', delivery_id,
                  settled_at FROM fact WHERE member = 'ada'"""
    )
    table, row, says, should = books.first()
    assert (table, row, should) == ("fact", "fact_planted", "no such fact")
    assert says.startswith("kind member.joined")


def test_a_deleted_entry_in_the_middle_is_found(books: Books) -> None:
    row = books.world.row("SELECT id, seq FROM entry WHERE kind = 'seats_added' ORDER BY seq LIMIT 1")
    books.forger.run("DELETE FROM entry WHERE seq = %(seq)s", seq=row["seq"])
    assert books.first() == ("entry", row["id"], "missing", row["id"])
    books.forger.run("DELETE FROM journal WHERE seq = %(seq)s", seq=row["seq"])
    assert books.first() == ("journal", str(row["seq"]), "missing", "a row")


def _cut(books: Books, rows: int) -> int:
    """Delete the last rows of the ledger, as a restore of an older copy would; answers the first that is gone."""
    last: int = books.one("SELECT max(seq) FROM journal")
    first = last - rows + 1
    books.forger.run("DELETE FROM journal WHERE seq >= %(s)s", "DELETE FROM entry WHERE seq >= %(s)s", s=first)
    return first


def test_a_truncated_tail_is_found_by_the_stored_head(books: Books) -> None:
    last = books.one("SELECT max(seq) FROM journal")
    first = _cut(books, 2)
    assert books.first() == ("journal", str(first), "missing", f"rows up to {last}")


def test_a_truncated_tail_with_the_stored_head_rewritten_is_found_by_a_head_that_left_the_house(books: Books) -> None:
    sent = books.one(
        "SELECT seq::int FROM journal WHERE encode(hash, 'hex') = "
        "(SELECT body->>'chain_head' FROM charge WHERE body IS NOT NULL ORDER BY id DESC LIMIT 1)"
    )
    _cut(books, books.one("SELECT max(seq)::int FROM journal") - sent + 1)
    books.forger.rechain()
    found = [fault for fault in books.told()["faults"] if fault["check"] == "chain"]
    charge = books.one("SELECT id FROM charge WHERE body IS NOT NULL ORDER BY id DESC LIMIT 1")
    assert charge in [fault["row"] for fault in found if fault["table"] == "charge"]
    assert {fault["check"] for fault in books.told()["faults"]} == {"chain", "books"}


def test_an_edited_leg_of_the_journal_is_found(books: Books) -> None:
    name = books.one("SELECT id FROM journal WHERE kind = 'payment' ORDER BY seq LIMIT 1")
    books.forger.run("UPDATE journal SET debit = 'write_off' WHERE id = %(id)s", id=name)
    found = ("debit write_off, credit receivable", "debit cash_clearing, credit receivable")
    assert books.first() == ("journal", name, *found)


def test_an_edited_amount_of_the_journal_is_found(books: Books) -> None:
    name = books.one("SELECT id FROM journal WHERE seq = 1")
    books.forger.run("UPDATE journal SET amount = amount - 100 WHERE seq = 1")
    assert books.first() == ("journal", name, "amount 2400", "amount 2500")


def test_swapped_entries_are_found(books: Books) -> None:
    one, other = (row["seq"] for row in books.world.rows("SELECT seq FROM entry ORDER BY seq LIMIT 2"))
    name = books.one("SELECT id FROM entry WHERE seq = %s", one)
    books.forger.run(
        "UPDATE entry SET seq = -1 WHERE seq = %(one)s",
        "UPDATE entry SET seq = %(one)s WHERE seq = %(other)s",
        "UPDATE entry SET seq = %(other)s WHERE seq = -1",
        one=one,
        other=other,
    )
    table, row, says, should = books.first()
    assert (table, row, should) == ("entry", name, name)
    assert says == books.one("SELECT id FROM entry WHERE seq = %s", one)


@pytest.mark.parametrize(
    ("change", "says", "should"),
    [
        ("amount = amount + 1", "amount 2501, body.amount 2500", "amount 2500, body.amount 2501"),
        ("body = jsonb_set(body, '{amount}', '1')", "body.amount 1", "body.amount 2500"),
        ("body = jsonb_set(body, '{lines,0,seats}', '9')", "body.lines[1].seats 9", "body.lines[1].seats 2"),
        ("body = jsonb_set(body, '{tax}', '7')", "body.tax 7", "body.tax 0"),
        ("body = jsonb_set(body, '{lines}', '[]')", "body.lines[1].amount None", "body.lines[1].amount 2500"),
    ],
)
def test_an_edited_charge_is_found(books: Books, change: str, says: str, should: str) -> None:
    name = books.one("SELECT id FROM charge ORDER BY id LIMIT 1")
    books.forger.run(f"UPDATE charge SET {change} WHERE id = %(id)s", id=name)  # noqa: S608 - constants of this file
    assert books.first() == ("charge", name, says, should)


@pytest.mark.parametrize(
    ("change", "says", "should"),
    [
        (
            "content = jsonb_set(content, '{lines,0,seats}', '9')",
            "content.lines[1].seats 9",
            "content.lines[1].seats 2",
        ),
        ("content = jsonb_set(content, '{total}', '9')", "content.total 9", "content.total 2500"),
        ("content = jsonb_set(content, '{rules}', '[]')", "content.rules []", "content.rules ['TR-01', 'TR-22']"),
        ("content = jsonb_set(content, '{qualified}', 'true')", "content.qualified True", "content.qualified False"),
        (
            "content = jsonb_set(content, '{amount}', '9'), amount = 9",
            "amount 9, content.amount 9",
            "amount 2500, content.amount 2500",
        ),
        (
            "content = jsonb_set(content, '{issued_on}', '\"2024-01-01\"')",
            "content.issued_on 2024-01-01",
            "content.issued_on 2025-01-15",
        ),
    ],
)
def test_an_edited_document_is_found(books: Books, change: str, says: str, should: str) -> None:
    name = books.one("SELECT id FROM document WHERE kind = 'receipt' ORDER BY seq LIMIT 1")
    books.forger.run(f"UPDATE document SET {change} WHERE id = %(id)s", id=name)  # noqa: S608 - constants of this file
    assert books.first() == ("document", name, says, should)


def test_a_deleted_document_leaves_a_gap_that_is_found(books: Books) -> None:
    name = books.one("SELECT id FROM document WHERE kind = 'receipt' AND seq = 2")
    gone = books.one("SELECT id FROM document WHERE kind = 'receipt' AND seq = 1")
    for table, column in (("document_pdf", "document_id"), ("document_line", "document_id"), ("document", "id")):
        books.forger.run(f"DELETE FROM {table} WHERE {column} = %(id)s", id=gone)  # noqa: S608 - constants of this file
    table, row, says, should = books.first()
    assert (table, row) == ("document", name)
    assert says.startswith("seq 2, ")
    assert should.startswith("seq 1, ")


def test_edited_bytes_of_a_rendered_document_are_found(books: Books) -> None:
    name = books.one("SELECT document_id FROM document_pdf ORDER BY document_id LIMIT 1")
    books.forger.run("UPDATE document_pdf SET bytes = bytes || '\\x00' WHERE document_id = %(id)s", id=name)
    table, row, _, should = books.first()
    assert (table, row) == ("document_pdf", name)
    assert should == books.one("SELECT sha256 FROM document_pdf WHERE document_id = %s", name)


def test_an_edited_name_on_a_document_is_found_by_rendering_it_again(books: Books) -> None:
    assert books.told("--papers")["ok"]
    name = books.one("SELECT document_id FROM document_pdf ORDER BY document_id LIMIT 1")
    named = "content = jsonb_set(content, '{recipient,name}', '\"Mallory\"')"
    books.forger.run(f"UPDATE document SET {named} WHERE id = %(id)s", id=name)  # noqa: S608 - constants of this file
    assert books.told()["ok"]  # who is named on it stands nowhere else
    table, row, _, should = books.first("--papers")
    assert (table, row) == ("document", name)
    assert should == books.one("SELECT sha256 FROM document_pdf WHERE document_id = %s", name)


def test_an_edited_hearing_of_an_entry_is_found(books: Books) -> None:
    name = books.one("SELECT id FROM entry WHERE kind = 'seats_added' ORDER BY seq LIMIT 1")
    books.forger.run("UPDATE entry SET heard_at = heard_at - interval '7 days' WHERE id = %(id)s", id=name)
    assert books.first()[:3] == ("entry", name, "heard_at 2025-01-18T00:00:00.000Z")


def test_other_terms_pinned_to_a_period_are_found(books: Books) -> None:
    books.forger.run("UPDATE period SET terms = jsonb_set(terms, '{rounding}', '\"floor\"')")
    table, _, says, should = books.first()
    assert (table, says, should) == ("entry", "rounding half_up", "rounding floor")


def _cheaper(books: Books) -> None:
    """The books of somebody who was paid less than was charged: one payment is a day older, and all is hashed anew."""
    books.forger.run("UPDATE journal SET posted_at = posted_at - interval '1 day' WHERE kind = 'payment'")
    books.forger.rechain()


def test_a_whole_rechained_copy_is_found_by_heads_on_charges_and_documents(books: Books) -> None:
    _cheaper(books)
    faults = books.told()["faults"]
    assert {fault["check"] for fault in faults} == {"chain"}
    assert {fault["table"] for fault in faults} == {"charge", "document"}
    documents = [row["id"] for row in books.world.rows("SELECT id FROM document ORDER BY id")]
    assert sorted(fault["row"] for fault in faults if fault["table"] == "document") == documents


def test_a_rechained_copy_whose_charges_and_documents_were_changed_too_is_found_by_the_head_on_paper(
    books: Books,
) -> None:
    query = "SELECT number, content->>'chain_head' AS head FROM document ORDER BY number LIMIT 1"
    paper = books.world.row(query)
    shown = f"{paper['number']}:{paper['head'][:16]}"
    assert books.told("--head", shown)["ok"]
    _cheaper(books)
    new = books.one("SELECT encode(chain_head, 'hex') FROM workspace")
    books.forger.run(
        "UPDATE charge SET body = jsonb_set(body, '{chain_head}', to_jsonb(%(head)s::text)) WHERE body IS NOT NULL",
        "UPDATE document SET content = jsonb_set(content, '{chain_head}', to_jsonb(%(head)s::text))",
        head=new,
    )
    assert books.told()["ok"]  # nothing inside the database can tell any more
    found = books.told("--head", shown)["faults"]
    assert [(fault["table"], fault["says"], fault["should"]) for fault in found] == [
        ("document", new, paper["head"][:16]),
        ("paper", paper["head"][:16], "a head of the chain"),
    ]
    result = sekisu(books.world.database.url, books.folder, "verify", "--head", shown)
    assert result.exit_code == 1
    assert f"the head {paper['head'][:16]} was given from paper and is not in the chain" in result.stdout


def test_a_head_from_paper_is_looked_for_in_the_workspace_it_names(books: Books) -> None:
    head = books.one("SELECT encode(chain_head, 'hex') FROM workspace")
    assert books.told("--head", f"{books.workspace}:{head}")["ok"]
    assert books.told("--head", f"{books.workspace}:{head[:16].upper()}", "--workspace", books.workspace)["ok"]
    table, row, says, should = books.first("--head", f"INV-00000000-000001:{head[:16]}")
    assert (table, row, says, should) == ("document", "INV-00000000-000001", "missing", head[:16])


@pytest.mark.parametrize("text", ["0123456789abcdef", "INV-1A2B3C4D-000001:xyz", "INV-1A2B3C4D-000001:0123"])
def test_what_cannot_be_a_head_is_refused_with_the_way_to_write_it(books: Books, text: str) -> None:
    result = sekisu(books.world.database.url, books.folder, "verify", "--head", text)
    assert result.exit_code == 2
    assert "write the document's number, a colon" in result.output


def test_the_first_wrong_row_is_told_first_in_words(books: Books) -> None:
    key = books.one("SELECT key FROM line WHERE kind = 'period' AND n = 0")
    books.forger.run("UPDATE line SET seats = 9 WHERE key = %(key)s", key=key)
    result = sekisu(books.world.database.url, books.folder, "verify")
    assert result.exit_code == 1
    told = f"first wrong row: line {key}\n  says        seats 9\n  should say  seats 2\n"
    assert result.stdout.startswith(told)
    assert result.stdout.endswith("verified 1 workspaces: 1 differences\n")
