"""Documents converge to charges: what is due is issued once, numbered without a gap, never changed."""

import threading
from typing import Any

import psycopg
import pytest

from billing.core.errors import ConflictError, NotFoundError
from billing.store import documents as store
from billing.store.db import Database
from tests.papers.desk import Desk
from workers import documents


def brief(rows: Any) -> list[tuple[str, int, int]]:
    return [(row["kind"], row["amount"], row["tax"]) for row in rows]


def test_bl_22_a_bank_transfer_is_invoiced_when_its_charge_is_opened(desk: Desk) -> None:
    charge = desk.charge(211_200)
    (invoice,) = desk.issue()
    assert brief([invoice]) == [("invoice", 211_200, 19_200)]
    assert (invoice["charge_id"], str(invoice["due_on"])) == (charge, "2026-04-30")
    assert invoice["number"] == f"INV-{desk.workspace[-8:].upper()}-000001"
    content = invoice["content"]
    assert content["supplied"] == {"from": "2026-05-01", "to": "2026-07-31"}
    assert (content["issued_on"], content["chain_head"]) == ("2026-04-20", "abcdef")
    assert content["lines"][0]["description"]["ja"] == "backlog-standard 利用料"
    assert desk.issue() == []


def test_bl_21_a_card_gets_a_receipt_at_capture_and_nothing_before(desk: Desk) -> None:
    charge = desk.charge(17_600, method="card")
    assert desk.issue() == []
    desk.status(charge, "succeeded")
    assert brief(desk.issue()) == [("receipt", 17_600, 1_600)]


@pytest.mark.parametrize("status", ["sending", "pending", "unknown", "failed", "succeeded"])
def test_bl_22_an_invoice_that_is_late_is_issued_all_the_same(desk: Desk, status: str) -> None:
    desk.charge(17_600, status=status)
    assert brief(desk.issue()) == [("invoice", 17_600, 1_600)]


def test_what_shadow_computed_or_nobody_asks_for_gets_no_document(desk: Desk) -> None:
    desk.charge(17_600, status="held", held_reason="shadow")
    desk.charge(17_600, status="cancelled")
    desk.charge(17_600, method="card", status="failed")
    assert desk.issue() == []
    assert desk.rows("document") == []


def test_a_paused_charge_is_invoiced_once_it_is_released(desk: Desk) -> None:
    charge = desk.charge(17_600, status="held", held_reason="paused")
    assert desk.issue() == []
    desk.run("UPDATE charge SET status = 'queued', held_reason = NULL WHERE id = %s", charge)
    assert len(desk.issue()) == 1


def test_xx_03_tax_is_added_once_to_prices_without_it(desk: Desk) -> None:
    desk.charge(105, 105, 105, asked=346, tax=("1/10", "exclusive", "floor"), method="card", status="succeeded")
    assert brief(desk.issue()) == [("receipt", 346, 31)]


def test_credit_is_shown_and_the_rest_is_asked(desk: Desk) -> None:
    desk.charge(17_600, credit=1_000)
    (invoice,) = desk.issue()
    assert (invoice["amount"], invoice["tax"], invoice["content"]["total"]) == (16_600, 1_600, 17_600)


def test_b_33_what_was_taken_back_becomes_a_return_invoice_of_exactly_that(desk: Desk) -> None:
    charge = desk.charge(462_000, status="succeeded")
    (invoice,) = desk.issue()
    desk.take_back(charge, 9_240)
    (first,) = desk.issue()
    assert brief([first]) == [("return_invoice", -9_240, -840)]
    assert first["original_id"] == invoice["id"]
    assert first["content"]["original"]["number"] == invoice["number"]
    assert first["content"]["exempt"]
    assert desk.issue() == []
    desk.take_back(charge, 452_760)
    (second,) = desk.issue()
    assert brief([second]) == [("return_invoice", -452_760, -41_160)]
    assert not second["content"]["exempt"]
    assert sum(row["amount"] for row in desk.documents()) == sum(row["tax"] for row in desk.documents()) == 0


def test_xx_13_a_full_reversal_in_odd_parts_leaves_nothing_of_a_tax_rounded_once(desk: Desk) -> None:
    charge = desk.charge(
        105, 105, 105, asked=346, tax=("1/10", "exclusive", "floor"), method="card", status="succeeded"
    )
    desk.issue()
    for part in ((17, 0, 50), (88, 105, 0), (0, 0, 55)):
        desk.take_back(charge, *part)
        desk.issue()
    assert len(desk.documents()) == 4
    assert sum(row["amount"] for row in desk.documents()) == sum(row["tax"] for row in desk.documents()) == 0


def test_an_invoice_that_shrank_before_it_was_sent_is_corrected_by_a_new_document(desk: Desk) -> None:
    charge = desk.charge(17_600, 8_800)
    desk.issue()
    desk.run("UPDATE charge_line SET amount = 0 WHERE charge_id = %s AND amount = 8800", charge)
    desk.run("UPDATE charge SET amount = 17600, document_due = true WHERE id = %s", charge)
    assert brief(desk.issue()) == [("return_invoice", -8_800, -800)]


def test_what_was_reduced_while_it_was_under_way_is_receipted_as_captured_and_then_returned(desk: Desk) -> None:
    charge = desk.charge(17_600, method="card", status="pending")
    desk.take_back(charge, 600)
    desk.status(charge, "succeeded")
    assert brief(desk.issue()) == [("receipt", 17_600, 1_600), ("return_invoice", -600, -55)]


def test_b_33_small_returns_are_left_out_where_the_issuer_says_so_until_they_add_up(desk: Desk) -> None:
    desk.run("""UPDATE account SET issuer = issuer || '{"small_returns": false}'""")
    charge = desk.charge(52_800)
    desk.issue()
    desk.take_back(charge, 6_000)
    assert desk.issue() == []
    desk.take_back(charge, 5_000)
    assert brief(desk.issue()) == [("return_invoice", -11_000, -1_000)]


def test_a_20_a_bank_receipt_is_issued_on_request_once_it_is_paid(desk: Desk) -> None:
    charge = desk.charge(52_800)
    with desk.database.transaction("test") as connection, pytest.raises(ConflictError):
        documents.receipt(connection, None, charge)
    desk.status(charge, "succeeded")
    with desk.database.transaction("test") as connection:
        asked = [documents.receipt(connection, None, charge) for _ in range(2)]
        receipt = store.get(connection, None, asked[0])
    assert asked[0] == asked[1]
    assert brief([receipt]) == [("receipt", 52_800, 4_800)]
    assert not receipt["content"]["qualified"]
    desk.take_back(charge, 52_800)
    assert brief(desk.issue()) == [("return_invoice", -52_800, -4_800)]
    with desk.database.transaction("test") as connection, pytest.raises(NotFoundError):
        documents.receipt(connection, "acc_other", charge)


def test_xx_13_a_document_is_never_changed_and_keeps_what_it_said(desk: Desk) -> None:
    desk.charge(17_600)
    (invoice,) = desk.issue()
    desk.run("UPDATE account SET issuer = '{}', recipient = '{}'")
    with desk.database.transaction("test") as connection:
        assert store.get(connection, None, invoice["id"])["content"]["recipient"]["name"] == "合同会社すずらん設計"
    desk.charge(17_600)
    (later,) = desk.issue()
    assert later["content"]["issuer"] == {"name": "Hidamari"}
    assert later["content"]["recipient"] == {"name": "すずらんスペース"}
    assert not later["content"]["qualified"]
    with psycopg.connect(desk.database.url, autocommit=True) as owner:  # not even by the owner of the tables
        for statement in (
            "UPDATE document SET number = 'INV-1'",
            "DELETE FROM document",
            "TRUNCATE document",
            "UPDATE document_line SET amount = 0",
            "DELETE FROM document_pdf",
        ):
            if "pdf" in statement:
                with desk.database.transaction("test") as connection:
                    store.keep_pdf(connection, invoice, "ja", "00", b"%PDF")
            with pytest.raises(psycopg.errors.RestrictViolation):
                owner.execute(statement.encode())


def test_numbers_have_no_gap_and_a_fault_uses_none(desk: Desk) -> None:
    desk.charge(100)
    desk.charge(17_600, asked=17_000)  # asks for something else than its lines: a person's
    desk.charge(300)
    issued = desk.issue()
    assert [row["seq"] for row in issued] == [1, 2]
    assert [row["amount"] for row in issued] == [100, 300]
    (alarm,) = desk.rows("alarm")
    assert "17000" in alarm["detail"]
    desk.charge(100, method="card", status="succeeded")
    (receipt,) = desk.issue()
    assert receipt["number"].endswith("-000001")


def test_an_invoice_under_a_test_clock_bears_the_day_its_charge_was_opened(desk: Desk) -> None:
    desk.charge(100, created="2026-05-01T00:00")
    desk.charge(200, created="2026-06-01T00:00")
    desk.advance("2026-09-01T00:00")
    assert [row["content"]["issued_on"] for row in desk.issue()] == ["2026-05-01", "2026-06-01"]
    desk.charge(300, created="2026-05-15T00:00")
    (late,) = desk.issue()
    assert late["content"]["issued_on"] == "2026-06-01"  # numbers and dates go the same way


def test_two_at_once_issue_each_document_once_with_gap_free_numbers(desk: Desk) -> None:
    for amount in range(1, 21):
        desk.charge(amount * 100)
    other = Database(desk.database.url, size=2)
    found: list[str] = []
    faults: list[Exception] = []
    barrier = threading.Barrier(4)

    def work(database: Database) -> None:
        barrier.wait()
        try:
            with database.transaction("test") as connection:
                found.extend(documents.issue_due(connection, desk.workspace))
        except Exception as fault:  # noqa: BLE001 - a thread's fault would be lost
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(database,)) for database in (desk.database, other) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    rows = desk.documents()
    assert not faults
    assert len(found) == len(set(found)) == len(rows) == 20
    assert sorted(row["seq"] for row in rows) == list(range(1, 21))


def test_the_sweep_issues_in_every_workspace_and_then_finds_nothing(desk: Desk) -> None:
    desk.charge(100)
    assert documents.sweep(desk.database) == 1
    assert documents.sweep(desk.database) == 0


def test_xx_01_a_charge_with_lines_of_two_currencies_gets_an_alarm_and_no_document(desk: Desk) -> None:
    charge = desk.charge(100)
    desk.line(charge, "sub_other", 100, "USD", 1)
    assert desk.issue() == []
    assert "another currency" in desk.rows("alarm")[0]["detail"]
