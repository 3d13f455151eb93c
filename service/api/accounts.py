"""Accounts and their keys; only an admin key comes here."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from billing.core import registration
from billing.core.errors import InvalidError
from billing.store import accounts, keys
from billing.store.db import Row
from service.api import here, paging
from service.api.auth import SCOPES, USUAL_SCOPES
from service.api.faults import FieldsError
from service.api.fields import Instant, flag, one_of, page_of, text
from service.api.resource import Resource

ACCOUNTS = Resource("accounts", "Who pays.", admin_only=True)
KEYS = Resource("keys", "API keys. Only their digests are stored.", admin_only=True)


def registration_number(value: str) -> None:
    """Raises ValidationError unless it is T and 13 digits; the check digit only warns (B-32)."""
    try:
        registration.checked(value)
    except InvalidError as fault:
        raise ValidationError(str(fault)) from fault


class Recipient(Schema):
    """Whom documents are made out to."""

    name = text()
    address = text(1000)


class Issuer(Recipient):
    """Who issues documents. Without a registration number they are no qualified invoices, and say so (B-31).

    `small_returns` false: no return invoice below JPY 10,000, which the law exempts (B-33).
    """

    registration_number = fields.String(validate=registration_number, metadata={"example": "T7120001168421"})
    bank_account = text(1000)
    small_returns = flag()


class AccountChange(Schema):
    """What is left out stays; documents that were issued keep what they say (XX-13).

    `tax_rate` is an exact fraction such as 1/10, for prices that name none; null: none.
    """

    issuer = fields.Nested(Issuer)
    recipient = fields.Nested(Recipient)
    tax_rate = fields.String(
        allow_none=True,
        validate=validate.Regexp(r"(0|1/[0-9]{1,3}|[0-9]{1,3}/[0-9]{2,4}|0\.[0-9]{1,4})\Z"),
        metadata={"example": "1/10"},
    )


class NewAccount(Schema):
    """`payment_reference` is what the payment endpoint knows the account by."""

    name = text(required=True)
    payment_reference = text(load_default=None, allow_none=True)


class Account(Schema):
    """Who pays."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    payment_reference = fields.String(required=True, allow_none=True)
    issuer = fields.Nested(Issuer, required=True)
    recipient = fields.Nested(Recipient, required=True)
    tax_rate = fields.String(required=True, allow_none=True)
    warnings = fields.List(
        fields.String(), required=True, metadata={"description": "What looks wrong, and may not be."}
    )
    created_at = Instant(required=True)


class NewKey(Schema):
    """A key acts in one account only; with `account_id` null it is another admin key.

    `read`: every GET. `write`: everything else. `commands`: of that only commands and their quotes. `metrics`, of an
    admin key: /metrics. Left out: read and write.
    """

    account_id = text(load_default=accounts.DEFAULT, allow_none=True)
    scopes = fields.List(
        one_of(*SCOPES), load_default=lambda: list(USUAL_SCOPES), validate=validate.Length(min=1, max=len(SCOPES))
    )

    @validates_schema
    def metrics_are_of_all(self, data: Mapping[str, Any], **_: object) -> None:
        """Raises ValidationError for a key of one account that shall read the metrics, which are of all."""
        if "metrics" in data["scopes"] and data["account_id"] is not None:
            raise ValidationError(
                "The metrics are of every account; only a key with account_id null reads them.", "scopes"
            )


class Key(Schema):
    """An API key, without the key."""

    id = fields.String(required=True)
    account_id = fields.String(required=True, allow_none=True)
    scopes = fields.List(fields.String(), required=True)
    created_at = Instant(required=True)


class MadeKey(Key):
    """An API key just made: `key` is shown this once."""

    key = fields.String(required=True)


@ACCOUNTS.get("/accounts", page_of(Account), paging.Query)
def list_accounts(query: dict[str, Any]) -> dict[str, Any]:
    """List the accounts."""
    (after,) = paging.after(query, "accounts", str) or (None,)
    found = [_told(row) for row in accounts.page(here.connection(), after, query["limit"] + 1)]
    return paging.page(found, query, "accounts", paging.by_id)


@ACCOUNTS.post("/accounts", Account, NewAccount)
def make_account(body: dict[str, Any]) -> dict[str, Any]:
    """Make an account."""
    return _told(accounts.insert(here.connection(), body["name"], body["payment_reference"]))


@ACCOUNTS.get("/accounts/<account_id>", Account)
def get_account(account_id: str) -> dict[str, Any]:
    """One account."""
    return _told(accounts.get(here.connection(), account_id))


@ACCOUNTS.patch("/accounts/<account_id>", Account, AccountChange)
def change_account(body: dict[str, Any], account_id: str) -> dict[str, Any]:
    """Say who issues and who receives the documents of an account, and at which rate its prices are taxed."""
    connection = here.connection()
    if body.get("tax_rate") is not None:
        body["tax_rate"] = _rate(body["tax_rate"])
    accounts.change(connection, account_id, accounts.get(connection, account_id) | body)
    return _told(accounts.get(connection, account_id))


def _rate(written: str) -> str:
    """The exact fraction, in its lowest terms. Raises FieldsError."""
    _, _, bottom = written.partition("/")
    rate = Fraction(written) if not bottom or int(bottom) else Fraction(1)
    if rate >= 1:
        raise FieldsError({"tax_rate": ["Must be below 1; ten per cent is 1/10."]})
    return str(rate)


def _told(row: Row) -> dict[str, Any]:
    number = row["issuer"].get("registration_number")
    return row | {"warnings": registration.checked(number) if number else []}


@KEYS.get("/keys", page_of(Key), paging.Query)
def list_keys(query: dict[str, Any]) -> dict[str, Any]:
    """List the living keys."""
    (after,) = paging.after(query, "keys", str) or (None,)
    return paging.page(keys.page(here.connection(), after, query["limit"] + 1), query, "keys", paging.by_id)


@KEYS.post("/keys", MadeKey, NewKey)
def make_key(body: dict[str, Any]) -> dict[str, Any]:
    """Make a key; the answer is the only place where it can be read."""
    account_id = body["account_id"]
    if account_id is not None:
        accounts.require(here.connection(), account_id)
    row, key = keys.insert(here.connection(), account_id, body["scopes"])
    return row | {"key": key}


@KEYS.delete("/keys/<key_id>")
def revoke_key(key_id: str) -> None:
    """Revoke a key at once."""
    keys.revoke(here.connection(), key_id)
