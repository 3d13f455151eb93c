"""Secrets change while the service runs: two are live, then one, and what is stored follows."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from billing.payments.wire import genuine, signed_headers
from billing.settings import Settings, SettingsError, fernet_keys
from billing.tools.standard import signature
from service.cli.migrate import command as migrate
from tests.security.place import ADMIN_KEY, SIGNING, Caller, Place, furnish, opened, settings

OLD, NEW, OTHER = ("whsec_" + base64.b64encode(word * 8).decode() for word in (b"plum", b"pear", b"figs"))
CALLBACK = (
    b'{"type": "charge.succeeded", "timestamp": "2025-01-01T00:00:00Z", "data": {"charge_id": "c", "attempt": 1}}'
)


def call_back(place: Place, secret: str, name: str = "msg", age_s: int = 0) -> int:
    headers = signed_headers(secret, name, datetime.now(UTC) - timedelta(seconds=age_s), CALLBACK)
    client = place.app.test_client()
    return client.post("/callbacks/payments/standard", data=CALLBACK, headers=headers).status_code


def test_while_the_payment_secret_is_rotated_either_vouches_for_a_callback_and_then_the_new_one_only(
    new_database: Callable[[], str], valkey_url: str, tmp_path: Path
) -> None:
    url = new_database()
    for live, fits in ((OLD, [True, False]), (f"{NEW},{OLD}", [True, True]), (NEW, [False, True])):
        with opened(settings(url, valkey_url, tmp_path, PAYMENT_SECRET=live)) as place:
            assert [call_back(place, secret) == 200 for secret in (OLD, NEW)] == fits
            assert call_back(place, OTHER) == 401


def test_what_we_send_is_signed_with_each_live_payment_secret_so_that_either_end_may_change_first() -> None:
    now = datetime(2025, 1, 1, tzinfo=UTC)
    sent = signed_headers(f"{NEW},\n{OLD}", "msg", now, b"{}")
    assert [signature.verify(secret, sent, b"{}", now) for secret in (OLD, NEW, OTHER)] == [True, True, False]
    assert genuine(f"{OTHER},{OLD}", sent, b"{}", now)
    assert not genuine(OTHER, sent, b"{}", now)
    assert signed_headers("", "msg", now, b"{}") == {}
    assert not genuine("", sent, b"{}", now)


@pytest.mark.parametrize("secret", [f"{OLD},short", f"{OLD},,{NEW}", ","])
def test_a_list_of_payment_secrets_with_a_wrong_one_is_a_fault_at_start(tmp_path: Path, secret: str) -> None:
    with pytest.raises(SettingsError, match="SEKISU_PAYMENT_SECRET") as caught:
        Settings.load({"SEKISU_DATA_DIR": str(tmp_path), "SEKISU_PAYMENT_SECRET": secret})
    assert OLD not in str(caught.value)


@pytest.mark.parametrize(("age_s", "status"), [(0, 200), (290, 200), (310, 401), (-290, 200), (-310, 401)])
def test_a_callback_is_taken_within_five_minutes_of_its_stamp_and_not_later(
    database_url: str, valkey_url: str, tmp_path: Path, age_s: int, status: int
) -> None:
    with opened(settings(database_url, valkey_url, tmp_path, PAYMENT_SECRET=OLD)) as place:
        assert call_back(place, OLD, age_s=age_s) == status


def rekeyed(made: Settings, keys: str, *more: str) -> Result:
    return CliRunner().invoke(migrate, more, env={**made.environ(), "SEKISU_SECRET_KEY": keys})


def test_a_new_secret_key_encrypts_all_that_is_stored_and_the_old_one_can_go(
    database_url: str, valkey_url: str, tmp_path: Path
) -> None:
    made = settings(database_url, valkey_url, tmp_path)
    with opened(made) as place:
        furnish(place)
        credential = {"credential": {"key": "k-1", "token": "t-1"}}
        place.callers["own"].told("PATCH", f"/v1/connections/{place.ids['connection_id']}", credential)
        kept = place.callers["own"].call("POST", "/v1/clocks", {"now": "2025-01-01T00:00:00Z"}, Idempotency_Key="k")
    assert rekeyed(made, "the new one,only for tests", "--reencrypt").exit_code == 0
    alone = replace(made, secret_keys=fernet_keys("the new one"))
    with opened(alone) as place:
        (row,) = place.run("SELECT secrets, credential FROM connection")
        assert [alone.vault.decrypt(bytes(one)).decode() for one in row["secrets"]] == [SIGNING]
        assert json.loads(alone.vault.decrypt(bytes(row["credential"]))) == credential["credential"]
        keys = place.run("SELECT count(*) AS n FROM idempotency")
        assert keys[0]["n"] == 1
        key = Caller(place.app, ADMIN_KEY)
        assert key.call("GET", "/v1/clocks/none").status_code == 404
        (answer,) = place.run("SELECT answer FROM idempotency")
        assert kept.get_json()["id"] in alone.vault.decrypt(str(answer["answer"]).encode()).decode()


def test_nothing_is_encrypted_anew_when_one_secret_cannot_be_read(
    database_url: str, valkey_url: str, tmp_path: Path
) -> None:
    made = settings(database_url, valkey_url, tmp_path)
    with opened(made) as place:
        furnish(place)
        before = place.state()
        ran = rekeyed(made, "a key that never was", "--reencrypt")
        assert ran.exit_code != 0
        assert "cannot be decrypted" in str(ran.exception)
        assert place.state() == before
        assert rekeyed(made, "the new one,only for tests").exit_code == 0
        assert place.state() == before  # without the word nothing is touched


def test_the_first_admin_key_is_replaced_by_another_and_then_opens_nothing(own_place: Place) -> None:
    second = own_place.caller(None)
    third = second.told("POST", "/v1/keys", {"account_id": None})
    second.told("DELETE", f"/v1/keys/{second.id}")
    assert second.call("GET", "/v1/accounts").status_code == 401
    assert Caller(own_place.app, third["key"]).call("GET", "/v1/accounts").status_code == 200
