"""Accounts and keys."""

import hashlib

import pytest

from tests.api.conftest import Caller, House


def test_an_account_has_a_name_and_perhaps_a_payment_reference(admin: Caller) -> None:
    made = admin.post("/v1/accounts", {"name": "Kobo", "payment_reference": "cus_1"})
    bare = admin.post("/v1/accounts", {"name": "Bare"})
    assert (made["name"], made["payment_reference"], bare["payment_reference"]) == ("Kobo", "cus_1", None)
    assert [row["id"] for row in admin.get("/v1/accounts")["data"]] == [made["id"], bare["id"], "default"]


def test_a_key_is_shown_once_and_only_its_digest_is_stored(house: House, admin: Caller) -> None:
    made = admin.post("/v1/keys", {"account_id": "default", "scopes": ["read"]})
    assert made["key"].startswith("sk_")
    assert made["scopes"] == ["read"]
    (row,) = house.run("SELECT * FROM api_key")
    assert bytes(row["digest"]) == hashlib.sha256(made["key"].encode()).digest()
    listed = admin.get("/v1/keys")["data"]
    assert [(one["id"], "key" in one) for one in listed] == [(made["id"], False)]


def test_a_key_without_scopes_reads_and_writes(admin: Caller) -> None:
    assert admin.post("/v1/keys", {"account_id": "default"})["scopes"] == ["read", "write"]


def test_a_key_of_no_account_is_another_admin_key_only_when_that_is_said(house: House, admin: Caller) -> None:
    Caller(house.app, admin.post("/v1/keys", {"account_id": None})["key"]).get("/v1/accounts")
    Caller(house.app, admin.post("/v1/keys", {})["key"]).get("/v1/accounts", 403)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/accounts", {}, "name"),
        ("/v1/accounts", {"name": ""}, "name"),
        ("/v1/accounts", {"name": "n", "colour": "red"}, "colour"),
        ("/v1/keys", {"account_id": "default", "scopes": ["admin"]}, "scopes.0"),
        ("/v1/keys", {"account_id": "default", "scopes": []}, "scopes"),
    ],
)
def test_a_wrong_field_is_named(admin: Caller, path: str, body: object, field: str) -> None:
    told = admin.post(path, body, 422)
    assert told["code"] == "invalid"
    assert field in told["errors"]


def test_a_key_of_an_unknown_account_is_404(admin: Caller) -> None:
    admin.post("/v1/keys", {"account_id": "acc_none"}, 404)
