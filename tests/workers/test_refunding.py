"""Refunds sent (TR-26, A-09), on a real database, against the payment sandbox over real HTTP."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from billing.payments.gateway import RETRY_FOR_S, Outcome
from billing.payments.sandbox import Sandbox
from billing.settings import Settings
from billing.store import refunds
from tests.workers.giving_back import NOW, SECRET, House
from tests.workers.world import World
from workers import ticker
from workers.bell import Bell
from workers.jobs import Jobs
from workers.refunding import answered


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url, NOW)
    yield made
    made.database.close()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(secret=SECRET, callback_delay_s=0.0) as running:
        yield running


@pytest.fixture
def house(world: World, sandbox: Sandbox) -> Iterator[House]:
    made = House(world, sandbox)
    yield made
    made.door.close()


def keys(found: Sequence[dict[str, Any]]) -> list[tuple[str, int, str, int]]:
    return [(key, row["posts"], row["status"], row["amount"]) for row in found for key in row["keys"]]


def test_tr_26_a_refund_is_posted_once_and_succeeds_at_once(house: House) -> None:
    refund = house.ask_back()
    assert (house.send(), house.send()) == (1, 0)
    assert keys(house.book()) == [(f"{refund}.1", 1, "succeeded", 12625)]
    assert house.statuses() == ["succeeded"]
    assert house.world.row("SELECT reference, due_at, leased_until FROM refund")["reference"].startswith("sb_")
    assert (house.balances(), house.alarms()) == ({"cash": 0, "credit": 0}, [])


def test_a_pending_refund_waits_for_its_callback_and_is_not_asked_for_again(house: House) -> None:
    house.ask_back()
    house.faults("pending", seconds=0.05)
    house.send()
    assert house.door.kept.get(timeout=5) == "refund.succeeded"
    assert house.statuses() == ["pending"]
    assert house.read() == 1
    assert house.statuses() == ["succeeded"]
    assert house.world.row("SELECT due_at FROM refund")["due_at"] is None
    assert [row["posts"] for row in house.book()] == [1]
    state = house.world.rows("SELECT state, charge_id FROM callback ORDER BY received_at")[-1]
    assert state == {"state": "done", "charge_id": house.charge}


def test_an_endpoint_that_was_down_is_asked_again_under_the_same_key(world: World, tmp_path: Path) -> None:
    with Sandbox(secret=SECRET, data_dir=tmp_path) as first:
        house = House(world, first)
        port = int(first.url.rpartition(":")[2])
    refund = house.ask_back()
    house.send()
    assert house.statuses() == ["unknown"]
    house.due_again()
    house.send()
    assert world.row("SELECT status, leased_until FROM refund") == {"status": "unknown", "leased_until": None}
    with Sandbox(port=port, secret=SECRET, data_dir=tmp_path):
        house.due_again()
        house.send()
        assert keys(house.book()) == [(f"{refund}.1", 1, "succeeded", 12625)]
    assert world.row("SELECT status, tries FROM refund") == {"status": "succeeded", "tries": 3}
    house.door.close()


@pytest.mark.parametrize("mode", ["error", "cut"])
def test_an_answer_that_says_nothing_is_asked_for_again_and_refunds_once(house: House, mode: str) -> None:
    refund = house.ask_back()
    house.faults(mode)
    house.send()
    assert house.statuses() == ["unknown"]
    house.due_again()
    house.send()
    assert keys(house.book()) == [(f"{refund}.1", 2, "succeeded", 12625)]
    assert house.statuses() == ["succeeded"]


def test_a_declined_refund_becomes_credit_once_and_raises_an_alarm(house: House) -> None:
    house.ask_back()
    house.faults("decline")
    house.send()
    assert house.door.kept.get(timeout=5) == "refund.failed"
    house.read()
    assert house.statuses() == ["failed"]
    assert house.world.row("SELECT detail FROM refund") == {"detail": "card_declined"}
    assert house.balances() == {"cash": 12625, "credit": 12625}
    alarm = house.world.row("SELECT kind, workspace_id FROM alarm")
    assert alarm == {"kind": "refund_failed", "workspace_id": house.workspace}
    assert house.world.row("SELECT count(*) AS n FROM journal WHERE kind = 'refund_reversed'") == {"n": 1}


def test_a_sender_that_died_between_its_post_and_booking_is_taken_over_and_refunds_once(house: House) -> None:
    refund = house.ask_back()
    [taken] = house.lease(0.0)
    assert house.gateway.refund(refunds.body(taken)).kind == "succeeded"
    assert house.statuses() == ["sending"]
    assert house.send() == 1
    assert keys(house.book()) == [(f"{refund}.1", 2, "succeeded", 12625)]
    assert house.statuses() == ["succeeded"]
    assert house.balances() == {"cash": 0, "credit": 0}


def test_two_senders_share_the_refunds_and_post_each_once(house: House) -> None:
    for _ in range(24):
        house.ask_back(500)
    with ThreadPoolExecutor(2) as pool:
        sent = sum(pool.map(lambda _: house.send(), range(2)))
    assert sent == 24
    assert [row["posts"] for row in house.book()] == [1] * 24
    assert set(house.statuses()) == {"succeeded"}


def test_a_sender_takes_what_another_is_not_taking_and_waits_for_nobody(house: House) -> None:
    for _ in range(20):
        house.ask_back(500)
    with house.world.database.transaction("test") as one, house.world.database.transaction("test") as other:
        other.execute("SET LOCAL lock_timeout = '500ms'")
        taken = [refunds.lease(connection, 16, 60.0) for connection in (one, other)]
        refunds.hold(other, live=False)
    assert [len(rows) for rows in taken] == [16, 4]
    assert len({row["id"] for rows in taken for row in rows}) == 20


def test_a_frozen_senders_token_is_refused(house: House) -> None:
    refund = house.ask_back()
    [frozen] = house.lease(0.0)
    [thawed] = house.lease()
    assert thawed["token"] == frozen["token"] + 1
    assert not house.say(refund, "failed", frozen["token"])
    assert (house.statuses(), house.balances()["credit"], house.alarms()) == (["sending"], 0, [])
    assert house.say(refund, "succeeded", thawed["token"])
    assert house.statuses() == ["succeeded"]


def test_a_callback_that_comes_before_the_answer_counts_and_the_answer_says_nothing_new(house: House) -> None:
    refund = house.ask_back()
    [taken] = house.lease()
    outcome = house.gateway.refund(refunds.body(taken))
    assert house.door.kept.get(timeout=5) == "refund.succeeded"
    house.read()
    assert house.statuses() == ["succeeded"]
    assert not house.say(refund, outcome.kind, taken["token"], reference=outcome.reference)
    assert (house.statuses(), house.alarms()) == (["succeeded"], [])


def test_a_callback_that_comes_before_its_refund_waits_and_one_for_nobody_is_left_to_a_person(house: House) -> None:
    house.call_back("refund.succeeded", "early", charge_id=house.charge, refund_id="rf_early", attempt=2)
    house.call_back("refund.failed", "stray", charge_id="rf_nobody", refund_id=None)
    house.read()
    query = "SELECT id, state, reason, due_at IS NULL AS left FROM callback WHERE id IN ('early', 'stray') ORDER BY id"
    waits = {"state": "parked", "left": False}
    assert house.world.rows(query) == [
        {"id": "early", "reason": "there is no refund rf_early", **waits},
        {"id": "stray", "reason": "there is no refund rf_nobody", **waits},
    ]
    house.ask_back(refund="rf_early")
    house.lease()
    with house.world.database.transaction("test") as connection:
        connection.execute("UPDATE callback SET received_at = now() - interval '2 days' WHERE id = 'stray'")
    house.due_again()
    house.read()
    assert house.statuses() == ["succeeded"]
    assert [(row["state"], row["left"]) for row in house.world.rows(query)] == [("done", True), ("parked", True)]


def test_late_and_duplicate_callbacks_change_nothing_and_a_contrary_one_raises_an_alarm(house: House) -> None:
    refund = house.ask_back()
    house.faults("duplicate_callback")
    house.send()
    assert [house.door.kept.get(timeout=5) for _ in range(2)] == ["refund.succeeded"] * 2
    before = house.world.rows("SELECT * FROM journal ORDER BY seq")
    house.call_back("refund.succeeded", "late", refund_id=refund)
    house.call_back("refund.failed", "contrary", refund_id=refund)
    house.call_back("refund.failed", "contrary again", refund_id=refund)
    house.read()
    assert house.statuses() == ["succeeded"]
    assert house.world.rows("SELECT * FROM journal ORDER BY seq") == before
    assert house.alarms() == ["refund_contradicted"]
    assert {row["state"] for row in house.world.rows("SELECT state FROM callback")} == {"done"}


def test_a_failed_refund_stays_failed_whatever_is_said_later(house: House) -> None:
    refund = house.ask_back()
    house.lease()
    assert house.say(refund, "failed")
    assert not house.say(refund, "succeeded")
    assert not house.say(refund, "failed")
    assert (house.statuses(), house.balances()["credit"]) == (["failed"], 12625)
    assert house.alarms() == ["refund_failed", "refund_contradicted"]


def test_a_callback_that_names_the_charge_alone_means_the_refund_that_was_sent(house: House) -> None:
    second = house.ask_back(2000)
    house.call_back("refund.succeeded", "too soon", charge_id=house.charge, attempt=1, reference="px_2")
    house.read()
    assert house.statuses() == ["queued"]
    first = house.ask_back(1000)
    house.lease()
    house.say(second, "pending", reference="px_2")
    house.call_back("refund.failed", "which", charge_id=house.charge)
    house.due_again()
    house.read()
    house.say(first, "pending", reference="px_1")
    house.call_back("refund.failed", "other", charge_id=house.charge, reference="px_9")
    house.read()
    found = house.world.rows("SELECT id, status FROM refund ORDER BY amount")
    assert found == [{"id": first, "status": "pending"}, {"id": second, "status": "succeeded"}]
    reasons = house.world.rows("SELECT reason FROM callback WHERE state = 'parked' ORDER BY id")
    assert [row["reason"] for row in reasons] == [
        f"there is no refund {house.charge}",
        f"{house.charge} has 2 refunds",
    ]


@pytest.mark.parametrize("service", ["paused", "shadow"])
def test_a_service_that_does_not_collect_holds_what_was_not_sent_and_asks_for_what_was(
    house: House, service: str
) -> None:
    sent = house.ask_back(1000)
    house.faults("error")
    house.send()
    house.due_again()
    held = house.ask_back(2000)
    assert (house.send(service), house.send(service)) == (1, 0)
    found = house.world.rows("SELECT id, status FROM refund ORDER BY amount")
    assert found == [{"id": sent, "status": "succeeded"}, {"id": held, "status": "held"}]
    assert (house.pending(), house.ready()) == (0, True)
    assert house.send() == 1
    assert house.statuses() == ["succeeded", "succeeded"]


@pytest.mark.parametrize("collect", ["paused", "shadow"])
def test_a_workspace_that_does_not_collect_holds_its_refunds_until_it_is_live(
    world: World, sandbox: Sandbox, collect: str
) -> None:
    house = House(world, sandbox, collect)
    house.ask_back()
    assert (house.send(), house.statuses(), house.pending()) == (0, ["held"], 0)
    with world.database.transaction("test") as connection:
        connection.execute("UPDATE workspace SET collect = 'live'")
    assert (house.send(), house.statuses()) == (1, ["succeeded"])
    house.door.close()


def test_a_refund_is_pending_until_it_is_final_and_keeps_its_clock_busy_until_its_first_answer(house: House) -> None:
    assert (house.pending(), house.ready()) == (0, True)
    house.ask_back()
    assert (house.pending(), house.ready()) == (1, False)
    [taken] = house.lease(0.0)
    assert (house.pending(), house.ready()) == (1, False)
    house.say(taken["id"], "unknown", taken["token"], retry_in_s=0.0)
    assert (house.pending(), house.ready()) == (1, True)
    [again] = house.lease()
    assert (again["status"], house.ready()) == ("unknown", True)
    house.say(taken["id"], "pending", again["token"])
    assert (house.pending(), house.ready()) == (1, True)
    house.say(taken["id"], "succeeded")
    assert (house.pending(), house.ready()) == (0, True)


@pytest.mark.parametrize(("status", "hours"), [("unknown", 73), ("pending", 73), ("pending", 1)])
def test_an_unknown_refund_after_three_days_and_a_pending_one_ever_is_not_posted_again_but_left_to_a_person(
    house: House, status: str, hours: int
) -> None:
    refund = house.ask_back()
    house.lease()
    house.say(refund, status, reference="px_1")
    with house.world.database.transaction("test") as connection:
        query = "UPDATE refund SET due_at = now(), first_sent_at = now() - make_interval(hours => %s)"
        connection.execute(query, (hours,))
    assert (house.send(), house.send()) == (1, 0)
    assert (house.statuses(), house.book(), house.alarms()) == ([status], [], ["refund_unanswered"])
    assert house.world.row("SELECT due_at FROM refund")["due_at"] is None
    assert house.say(refund, "succeeded")


@pytest.mark.parametrize(("collect", "status"), [("live", "succeeded"), ("paused", "held")])
def test_a_sweep_sends_refunds_where_charges_are_sent(house: House, tmp_path: Path, collect: str, status: str) -> None:
    house.ask_back()
    settings = Settings(
        tmp_path,
        database_url=house.world.database.url,
        payment_url=house.sandbox.url,
        payment_secret=SECRET,
        collect=collect,
    )
    jobs = Jobs(settings)
    ticker.sweep(jobs, Bell("redis://127.0.0.1:1"))
    jobs.database.close()
    assert house.statuses() == [status]


def test_no_word_is_tried_again_later_and_not_before_the_endpoint_asked_for() -> None:
    waits = [answered(Outcome("retry"), "sending", tries, lambda: 0.5).retry_in_s for tries in (1, 2, 3)]
    assert waits == [1.0, 2.0, 4.0]
    asked = answered(Outcome("retry", retry_after_s=90.0), "sending", 1, lambda: 0.5)
    assert (asked.status, asked.retry_in_s) == ("unknown", 90.0)
    assert answered(Outcome("pending", "px_1"), "sending", 1, lambda: 0.5).retry_in_s == RETRY_FOR_S
