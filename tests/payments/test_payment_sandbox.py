"""The sandbox over real HTTP: the protocol, the book, and every way it misbehaves."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from billing.payments import callback
from billing.payments.gateway import Gateway
from billing.payments.sandbox import Sandbox
from billing.tools.standard import signature

Make = Callable[..., dict[str, object]]


def _faults(sandbox: Sandbox, mode: str | None, times: int | None = None, seconds: float = 0.0) -> None:
    answer = requests.put(f"{sandbox.url}/faults", json={"mode": mode, "times": times, "seconds": seconds}, timeout=5)
    assert answer.status_code == 200, answer.text


def _book(sandbox: Sandbox) -> dict[str, Any]:
    book: dict[str, Any] = requests.get(f"{sandbox.url}/book", timeout=5).json()
    return book


def _await(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not what():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.01)


def _next_is_of(receiver: Any, gateway: Gateway, last: dict[str, object]) -> bool:
    """Whether nothing was called back before `last`, which is charged now to mark the end."""
    gateway.charge(last)
    return callback.read(receiver.next()[1]).id == last["id"]


def test_a_charge_is_booked_once_with_its_key(sandbox: Sandbox, gateway: Gateway, body: Make) -> None:
    outcome = gateway.charge(body())

    assert outcome.kind == "succeeded"
    assert outcome.reference
    assert _book(sandbox) == {
        "charges": [
            {
                "charge_id": "ch_kettle",
                "keys": ["ch_kettle.1"],
                "posts": 1,
                "status": "succeeded",
                "currency": "USD",
                "amount": 2100,
            }
        ],
        "refunds": [],
    }


def test_the_same_key_and_body_gets_the_saved_answer(sandbox: Sandbox, gateway: Gateway, body: Make) -> None:
    first, second = gateway.charge(body()), gateway.charge(body())

    assert first == second
    [charge] = _book(sandbox)["charges"]
    assert (charge["posts"], charge["keys"]) == (2, ["ch_kettle.1"])


def test_the_same_key_with_another_body_charges_nothing_and_is_looked_up(
    sandbox: Sandbox, gateway: Gateway, body: Make
) -> None:
    first = gateway.charge(body())

    outcome = gateway.charge(body(amount=9900))

    assert (outcome.kind, outcome.reference) == ("succeeded", first.reference)
    [charge] = _book(sandbox)["charges"]
    assert (charge["amount"], charge["posts"]) == (2100, 2)


def test_another_attempt_of_a_charge_that_succeeded_charges_nothing(
    sandbox: Sandbox, gateway: Gateway, body: Make, receiver: Any
) -> None:
    first = gateway.charge(body(attempt=1, callback_url=receiver.url))
    receiver.next()
    _faults(sandbox, "decline")
    second = gateway.charge(body(attempt=2, callback_url=receiver.url))

    _faults(sandbox, None)

    assert (second.kind, second.reference) == ("succeeded", first.reference)
    assert _next_is_of(receiver, gateway, body("ch_last", callback_url=receiver.url))
    assert _book(sandbox)["charges"][0]["keys"] == ["ch_kettle.1", "ch_kettle.2"]


def test_a_decline_is_final_for_its_attempt_and_the_next_may_succeed(
    sandbox: Sandbox, gateway: Gateway, body: Make
) -> None:
    _faults(sandbox, "decline", times=1)

    kinds = [gateway.charge(body(attempt=attempt)).kind for attempt in (1, 1, 2, 1)]

    assert kinds == ["failed", "failed", "succeeded", "failed"]
    assert gateway.lookup("ch_kettle").kind == "succeeded"


def test_the_environment_names_no_proxy_for_us(gateway: Gateway, body: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    assert gateway.charge(body()).kind == "succeeded"


def test_a_lookup_tells_the_state_or_that_there_is_none(sandbox: Sandbox, gateway: Gateway, body: Make) -> None:
    _faults(sandbox, "decline", times=1)
    gateway.charge(body())

    assert gateway.lookup("ch_kettle").failure_code == "card_declined"
    assert gateway.lookup("ch_never").kind == "absent"


def test_what_is_not_signed_by_us_and_now_is_refused(sandbox: Sandbox, secret: str, body: Make) -> None:
    hour = timedelta(hours=1)
    gateways = [
        Gateway(sandbox.url, "whsec_" + "QUFB" * 8, clock=lambda: datetime.now(UTC)),
        Gateway(sandbox.url, secret, clock=lambda: datetime.now(UTC) - hour),
        Gateway(sandbox.url, secret, clock=lambda: datetime.now(UTC) + hour),
    ]

    assert [gateway.charge(body()).failure_code for gateway in gateways] == ["http_401"] * 3
    assert requests.post(f"{sandbox.url}/charges", json=body(), timeout=5).status_code == 401
    assert _book(sandbox)["charges"] == []


def test_a_sandbox_without_a_secret_takes_unsigned_requests(body: Make) -> None:
    with Sandbox() as open_sandbox:
        answer = requests.post(
            f"{open_sandbox.url}/charges", json=body(), headers={"Idempotency-Key": "ch_kettle.1"}, timeout=5
        )

    assert (answer.status_code, answer.json()["status"]) == (201, "succeeded")


@pytest.mark.parametrize("wrong", [{"amount": 0}, {"amount": -5}, {"amount": 9.5}, {"currency": "usd"}, {"attempt": 0}])
def test_a_charge_of_no_amount_or_no_sense_is_refused(
    sandbox: Sandbox, gateway: Gateway, body: Make, wrong: dict[str, object]
) -> None:
    assert gateway.charge(body() | wrong).failure_code == "http_422"
    assert _book(sandbox)["charges"] == []


def test_error_books_nothing_and_the_retry_succeeds(sandbox: Sandbox, gateway: Gateway, body: Make) -> None:
    _faults(sandbox, "error", times=1)

    assert gateway.charge(body()).kind == "retry"
    assert gateway.lookup("ch_kettle").kind == "absent"
    assert _book(sandbox)["charges"][0]["status"] == "unbooked"
    assert gateway.charge(body()).kind == "succeeded"
    assert _book(sandbox)["charges"][0]["posts"] == 2


def test_cut_books_the_charge_and_the_same_key_learns_of_it(sandbox: Sandbox, gateway: Gateway, body: Make) -> None:
    _faults(sandbox, "cut", times=1)

    assert gateway.charge(body()).kind == "retry"
    assert gateway.lookup("ch_kettle").kind == "succeeded"
    assert gateway.charge(body()).kind == "succeeded"
    assert _book(sandbox)["charges"][0]["keys"] == ["ch_kettle.1"]


def test_delay_longer_than_our_patience_is_an_unknown_outcome_in_progress(
    sandbox: Sandbox, gateway: Gateway, secret: str, body: Make
) -> None:
    _faults(sandbox, "delay", times=1, seconds=0.6)
    hasty = Gateway(sandbox.url, secret, clock=lambda: datetime.now(UTC), read_timeout=0.1)

    assert hasty.charge(body()).detail == "no answer: ReadTimeout"
    assert hasty.charge(body()).detail == "HTTP 409: unknown outcome"
    _await(lambda: gateway.charge(body()).kind == "succeeded")
    assert len(_book(sandbox)["charges"]) == 1


def test_delay_answers_late_and_holds_up_nobody_else(sandbox: Sandbox, gateway: Gateway, body: Make) -> None:
    _faults(sandbox, "delay", seconds=0.3)
    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        kinds = {outcome.kind for outcome in pool.map(lambda n: gateway.charge(body(f"ch_{n}")), range(8))}

    assert kinds == {"succeeded"}
    assert 0.3 <= time.monotonic() - started < 0.3 * 6


def test_forget_keys_still_lets_at_most_one_attempt_succeed(
    sandbox: Sandbox, gateway: Gateway, body: Make, receiver: Any
) -> None:
    gateway.charge(body(callback_url=receiver.url))
    receiver.next()
    _faults(sandbox, "forget_keys")

    assert gateway.charge(body(callback_url=receiver.url)).kind == "succeeded"
    assert gateway.charge(body(callback_url=None)).kind == "succeeded"
    assert _next_is_of(receiver, gateway, body("ch_last", callback_url=receiver.url))
    assert _book(sandbox)["charges"][0]["amount"] == 2100


def test_replay_first_repeats_even_a_500(sandbox: Sandbox, gateway: Gateway, body: Make) -> None:
    _faults(sandbox, "error", times=1)
    gateway.charge(body())
    _faults(sandbox, "replay_first", times=2)

    details = [gateway.charge(body()).detail for _ in range(3)]
    _faults(sandbox, "replay_first", times=1)
    details += [gateway.charge(body()).detail for _ in range(2)]

    assert details == ["HTTP 500: unknown outcome"] * 2 + ["HTTP 201", "HTTP 500: unknown outcome", "HTTP 201"]


def test_a_fault_ends_after_its_times_or_when_cleared(sandbox: Sandbox, gateway: Gateway, body: Make) -> None:
    _faults(sandbox, "decline", times=2)
    counted = [gateway.charge(body(f"ch_{n}")).kind for n in range(3)]
    _faults(sandbox, "decline")
    open_ended = gateway.charge(body("ch_8")).kind
    _faults(sandbox, "decline", times=0)
    none = gateway.charge(body("ch_7")).kind
    _faults(sandbox, None)

    assert [*counted, open_ended, none] == ["failed", "failed", "succeeded", "failed", "succeeded"]
    assert gateway.charge(body("ch_9")).kind == "succeeded"


@pytest.mark.parametrize(
    "wrong", [{"mode": "explode"}, {}, {"mode": "cut", "times": -1}, {"mode": "cut", "times": "x"}, 7]
)
def test_an_unknown_fault_is_refused(sandbox: Sandbox, wrong: object) -> None:
    assert requests.put(f"{sandbox.url}/faults", json=wrong, timeout=5).status_code == 422


def test_pending_becomes_final_by_a_signed_callback(
    sandbox: Sandbox, gateway: Gateway, body: Make, receiver: Any, secret: str
) -> None:
    _faults(sandbox, "pending", times=1, seconds=0.1)

    outcome = gateway.charge(body(callback_url=receiver.url))
    second = gateway.charge(body(attempt=2, callback_url=receiver.url))
    headers, raw = receiver.next()
    heard = callback.read(raw)

    assert (outcome.kind, second.kind) == ("pending", "pending")
    assert signature.verify(secret, headers, raw, datetime.now(UTC))
    assert (heard.subject, heard.id, heard.attempt, heard.succeeded) == ("charge", "ch_kettle", 1, True)
    assert heard.reference == outcome.reference == gateway.lookup("ch_kettle").reference
    assert gateway.lookup("ch_kettle").kind == "succeeded"


def test_every_final_outcome_is_called_back(sandbox: Sandbox, gateway: Gateway, body: Make, receiver: Any) -> None:
    _faults(sandbox, "decline", times=1)
    gateway.charge(body("ch_cup", callback_url=receiver.url))
    failed = callback.read(receiver.next()[1])
    gateway.charge(body("ch_pot", callback_url=receiver.url))
    succeeded = callback.read(receiver.next()[1])

    assert (failed.id, failed.succeeded, failed.failure_code) == ("ch_cup", False, "card_declined")
    assert (succeeded.id, succeeded.succeeded, succeeded.failure_code) == ("ch_pot", True, None)


def test_duplicate_callback_sends_the_same_message_twice(
    sandbox: Sandbox, gateway: Gateway, body: Make, receiver: Any
) -> None:
    _faults(sandbox, "duplicate_callback", times=1)
    gateway.charge(body(callback_url=receiver.url))

    (one, first), (two, second) = receiver.next(), receiver.next()

    assert one["webhook-id"] == two["webhook-id"]
    assert first == second


def test_a_callback_is_repeated_until_it_is_heard(gateway: Gateway, body: Make, receiver: Any) -> None:
    receiver.statuses += [503, 401]
    gateway.charge(body(callback_url=receiver.url))

    ids = {receiver.next()[0]["webhook-id"] for _ in range(3)}

    assert len(ids) == 1


def test_a_refund_gives_back_at_most_what_was_taken(
    sandbox: Sandbox, gateway: Gateway, body: Make, receiver: Any
) -> None:
    gateway.charge(body(callback_url=receiver.url))
    receiver.next()
    refund = {"id": "rf_1", "charge_id": "ch_kettle", "currency": "USD", "amount": 2000, "reason": "TR-20"}

    outcomes = [gateway.refund(refund), gateway.refund(refund), gateway.refund(refund | {"id": "rf_2"})]
    heard = sorted((callback.read(receiver.next()[1]) for _ in range(2)), key=lambda one: one.id)

    assert [outcome.kind for outcome in outcomes] == ["succeeded", "succeeded", "failed"]
    assert outcomes[2].failure_code == "refund_exceeds_charge"
    assert [(one.subject, one.id, one.succeeded) for one in heard] == [
        ("refund", "rf_1", True),
        ("refund", "rf_2", False),
    ]
    assert _book(sandbox)["refunds"][0] == {
        "refund_id": "rf_1",
        "charge_id": "ch_kettle",
        "keys": ["rf_1.1"],
        "posts": 2,
        "status": "succeeded",
        "currency": "USD",
        "amount": 2000,
    }
    assert gateway.refund(refund | {"id": "rf_3", "charge_id": "ch_none"}).failure_code == "charge_not_refundable"


def test_fifty_parallel_attempts_of_one_charge_take_the_money_once(
    sandbox: Sandbox, gateway: Gateway, body: Make, receiver: Any
) -> None:
    def attempt(number: int) -> str:
        return gateway.charge(body(attempt=number, callback_url=receiver.url)).kind

    with ThreadPoolExecutor(10) as pool:
        kinds = set(pool.map(attempt, range(1, 51)))
    receiver.next()

    assert kinds == {"succeeded"}
    assert _next_is_of(receiver, gateway, body("ch_last", callback_url=receiver.url))
    assert _book(sandbox)["charges"][0]["posts"] == 50


def test_the_book_survives_a_restart_and_a_torn_last_line(tmp_path: Path, secret: str, body: Make) -> None:
    def asking(sandbox: Sandbox) -> Gateway:
        return Gateway(sandbox.url, secret, clock=lambda: datetime.now(UTC))

    with Sandbox(secret=secret, data_dir=tmp_path) as sandbox:
        _faults(sandbox, "pending", times=1, seconds=60)
        asking(sandbox).charge(body("ch_slow"))
        answered = asking(sandbox).charge(body("ch_done"))
        before = _book(sandbox)
    [file] = tmp_path.iterdir()
    with file.open("a") as torn:
        torn.write('{"kind":"charge","key":"ch_torn.1","ord')
    with Sandbox(secret=secret, data_dir=tmp_path) as sandbox:
        after = _book(sandbox)
        again = asking(sandbox).charge(body("ch_done"))
        _await(lambda: asking(sandbox).lookup("ch_slow").kind == "succeeded")
    with Sandbox(secret=secret, data_dir=tmp_path) as sandbox:
        last = {charge["charge_id"]: (charge["status"], charge["posts"]) for charge in _book(sandbox)["charges"]}

    assert after == before
    assert again == answered
    assert last == {"ch_slow": ("succeeded", 1), "ch_done": ("succeeded", 2)}


def test_the_sandbox_runs_as_a_process_and_ends_on_sigterm(tmp_path: Path, secret: str, body: Make) -> None:
    with Sandbox() as lender:
        port = int(lender.url.rpartition(":")[2])
    command = [sys.executable, "-m", "billing.payments.sandbox", "--port", str(port), "--data-dir", str(tmp_path)]
    process = subprocess.Popen(command, env={**os.environ, "SEKISU_PAYMENT_SECRET": secret})
    try:
        gateway = Gateway(f"http://127.0.0.1:{port}", secret, clock=lambda: datetime.now(UTC))
        _await(lambda: gateway.lookup("ch_kettle").kind == "absent")
        kind = gateway.charge(body()).kind
        process.terminate()
        code = process.wait(5)
    finally:
        process.kill()
        process.wait()

    assert (kind, code) == ("succeeded", 0)
    assert json.loads(next(tmp_path.iterdir()).read_text())["order"]["id"] == "ch_kettle"
