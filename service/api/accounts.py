"""Accounts and their keys; only an admin key comes here."""

from typing import Any

from marshmallow import Schema, fields, validate

from billing.store import accounts, keys
from service.api import here, paging
from service.api.auth import SCOPES
from service.api.fields import Instant, one_of, page_of, text
from service.api.resource import Resource

ACCOUNTS = Resource("accounts", "Who pays.", admin_only=True)
KEYS = Resource("keys", "API keys. Only their digests are stored.", admin_only=True)


class NewAccount(Schema):
    """`payment_reference` is what the payment endpoint knows the account by."""

    name = text(required=True)
    payment_reference = text(load_default=None, allow_none=True)


class Account(Schema):
    """Who pays."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    payment_reference = fields.String(required=True, allow_none=True)
    created_at = Instant(required=True)


class NewKey(Schema):
    """A key acts in one account only; with `account_id` null it is another admin key."""

    account_id = text(load_default=accounts.DEFAULT, allow_none=True)
    scopes = fields.List(
        one_of(*SCOPES), load_default=lambda: list(SCOPES), validate=validate.Length(min=1, max=len(SCOPES))
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
    return paging.page(accounts.page(here.connection(), after, query["limit"] + 1), query, "accounts", paging.by_id)


@ACCOUNTS.post("/accounts", Account, NewAccount)
def make_account(body: dict[str, Any]) -> dict[str, Any]:
    """Make an account."""
    return accounts.insert(here.connection(), body["name"], body["payment_reference"])


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
