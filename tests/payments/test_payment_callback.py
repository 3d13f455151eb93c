"""What the payment endpoint calls back, and when its signature counts."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from billing.core.errors import InvalidError
from billing.payments.callback import read
from billing.tools.standard import signature

NOW = datetime(2031, 2, 1, 9, 30, tzinfo=UTC)


def _body(kind: str = "charge.succeeded", at: object = "2031-02-01T18:30:00.250+09:00", **data: object) -> bytes:
    known = {"charge_id": "ch_kettle", "attempt": 2, "reference": "px_9", "failure_code": None}
    return json.dumps({"type": kind, "timestamp": at, "data": known | data, "later": 1}).encode()


def test_a_charge_callback_names_charge_attempt_and_outcome() -> None:
    callback = read(_body())

    assert (callback.subject, callback.id, callback.attempt, callback.succeeded) == ("charge", "ch_kettle", 2, True)
    assert callback.at == NOW.replace(microsecond=250_000)
    assert callback.at.tzinfo is UTC
    assert (callback.reference, callback.failure_code) == ("px_9", None)


def test_a_failure_carries_its_code() -> None:
    callback = read(_body("charge.failed", failure_code="no_funds"))

    assert (callback.succeeded, callback.failure_code) == (False, "no_funds")


def test_a_refund_is_named_by_refund_id_else_by_charge_id() -> None:
    assert read(_body("refund.succeeded", refund_id="rf_1")).id == "rf_1"
    assert read(_body("refund.failed", charge_id="rf_2")).id == "rf_2"
    assert read(_body("refund.failed", charge_id="rf_2", attempt=None)).attempt == 1


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("type", _body("charge.maybe")),
        ("data", b"{}"),
        ("timestamp", _body(at="2031-02-01T09:30:00")),
        ("timestamp", _body(at="0001-01-01T00:00:00+23:00")),
        ("timestamp", _body(at=7)),
        ("data.charge_id", _body(charge_id=None)),
        ("data.charge_id", _body(charge_id=7)),
        ("data.charge_id", _body(charge_id="")),
        ("data.charge_id", _body(charge_id="ch\x00")),
        ("data.charge_id", _body(charge_id="ch\ud800")),
        ("data.charge_id", _body(charge_id="c" * 300)),
        ("data.refund_id", _body("refund.failed", charge_id=None)),
        ("data.attempt", _body(attempt=None)),
        ("data.attempt", _body(attempt=0)),
        ("data.attempt", _body(attempt=1.5)),
        ("data.attempt", _body(attempt=2**31)),
        ("data.reference", _body(reference=["px"])),
        ("data", b'{"type": "charge.failed", "timestamp": "2031-02-01T09:30:00Z", "data": 3}'),
        ("data", b'{"type": "charge.failed", "timestamp": "2031-02-01T09:30:00Z"}'),
        ("body", b"[]"),
        ("body", b""),
        ("body", b"\xff"),
        ("body", b"[" * 100_000),
        ("body", b"9" * 5_000),
    ],
)
def test_a_callback_that_cannot_be_read_names_the_field(field: str, body: bytes) -> None:
    with pytest.raises(InvalidError) as fault:
        read(body)

    assert str(fault.value).partition(":")[0] == field


@pytest.mark.parametrize(
    ("late_s", "genuine"), [(0, True), (299, True), (301, False), (-299, True), (-301, False), (86_400, False)]
)
def test_a_callback_signed_too_early_or_too_late_is_not_genuine(secret: str, late_s: int, genuine: bool) -> None:
    stamp = int(NOW.timestamp())
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(stamp),
        "webhook-signature": signature.sign(secret, "msg_1", stamp, _body()),
    }

    assert signature.verify(secret, headers, _body(), NOW + timedelta(seconds=late_s)) is genuine
    assert signature.verify(secret, headers, _body(attempt=3), NOW) is False
