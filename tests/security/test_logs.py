"""No secret and no person is in a log, an alarm, the audit or what the hashes of the ledger are made of."""

import hashlib
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from billing.payments.wire import signed_headers
from billing.store import ledger
from service.cli import logs
from tests.security.place import ADMIN_KEY, CANARY, SIGNING, Place, furnish, opened, settings

PAYMENT_SECRET = "whsec_cGx1bXBsdW1wbHVtcGx1bXBsdW1wbHVtcGx1bXBsdW0="
CREDENTIAL = {"key": "credential-key-9d1", "token": "credential-token-9d1"}


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the ledger hashes from here on."""
    seen: list[object] = []
    genuine = ledger._sha256

    def noted(value: object) -> bytes:
        seen.append(value)
        return genuine(value)

    monkeypatch.setattr(ledger, "_sha256", noted)
    return seen


@pytest.fixture
def lived(
    database_url: str, valkey_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, hashed: list[object]
) -> Iterator[Place]:
    """A house in which much was done, rightly and wrongly, with every word of it in the log."""
    caplog.set_level(logging.DEBUG)
    with opened(settings(database_url, valkey_url, tmp_path, PAYMENT_SECRET=PAYMENT_SECRET)) as place:
        furnish(place)
        own, path = place.callers["own"], f"/v1/connections/{place.ids['connection_id']}"
        own.told("PATCH", path, {"credential": CREDENTIAL, "secrets": [SIGNING]})
        for caller in place.callers.values():
            caller.call("GET", f"/v1/workspaces/{place.ids['workspace_id']}/members")
            caller.call("POST", "/v1/clocks", {"now": CANARY})
        hook = f"/webhooks/trello/{place.ids['connection_id']}"
        place.app.test_client().post(hook, data=CANARY, headers={"X-Trello-Webhook": "forged-9d1"})
        headers = signed_headers(PAYMENT_SECRET, "msg", datetime.now(UTC), CANARY.encode())
        place.app.test_client().post("/callbacks/payments/standard", data=CANARY, headers=headers)
        place.app.test_client().post("/callbacks/payments/standard", data=CANARY, headers={"webhook-id": "x"})
        yield place


def test_no_secret_and_no_person_is_in_the_log(lived: Place, caplog: pytest.LogCaptureFixture) -> None:
    line = logs._JsonFormatter()
    text = "".join(line.format(record) for record in [*caplog.get_records("setup"), *caplog.records])
    assert "forged" in text
    keys = [caller.key for caller in lived.callers.values() if caller.key and caller.key != "sk_wrong"]
    for word in (ADMIN_KEY, SIGNING, PAYMENT_SECRET, *CREDENTIAL.values(), "forged-9d1", *keys):
        assert word not in text
    assert CANARY not in text


def test_no_secret_is_stored_in_the_open_and_no_person_in_alarms_and_the_audit(lived: Place) -> None:
    tables = [row["t"] for row in lived.run("SELECT tablename AS t FROM pg_tables WHERE schemaname = 'public'")]
    for table in tables:
        text = str([row["x"] for row in lived.run(f"SELECT x::text AS x FROM {table} x")])  # noqa: S608
        for word in (ADMIN_KEY, SIGNING, PAYMENT_SECRET, *CREDENTIAL.values(), lived.callers["own"].key):
            assert word not in text, table
            assert word.encode().hex() not in text, table
        if table in ("alarm", "audit", "idempotency", "api_key", "journal"):
            assert CANARY not in text, table


def test_the_hashes_of_the_ledger_cover_no_personal_data(lived: Place, hashed: list[object]) -> None:
    assert hashed
    assert CANARY not in str(hashed)
    digest = hashlib.sha256(lived.callers["own"].key.encode()).digest()
    assert lived.run("SELECT id FROM api_key WHERE digest = %s", digest) == [{"id": lived.callers["own"].id}]
