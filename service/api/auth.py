"""Who calls, and what that key may do."""

import hmac
from collections.abc import Mapping
from typing import Any

from flask import request

from billing.store import accounts, keys
from billing.store.db import Conn
from service.api import here
from service.api.faults import ForbiddenError, UnauthorizedError
from service.api.here import Caller

#: What a key may do. `read`: every GET. `write`: every other method. `commands`: of these only commands and their
#: quotes. `metrics`: an admin key's, for /metrics alone. An admin key (one of no account) may besides do what is the
#: admin's, as far as its scopes go.
SCOPES = ("read", "write", "commands", "metrics")
#: What a key gets when nothing is said.
USUAL_SCOPES = ("read", "write")
_READING = frozenset({"GET", "HEAD"})


def bearer() -> str:
    """The key of this request. Raises UnauthorizedError when there is none."""
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not key.strip():
        raise UnauthorizedError("send the header `Authorization: Bearer` with an API key")
    return key.strip()


def identify(connection: Conn, admin_key: str, key: str) -> Caller:
    """Whose key it is. Raises UnauthorizedError when nobody's."""
    digest = keys.digest(key)
    if admin_key and hmac.compare_digest(digest, keys.digest(admin_key)):
        return Caller("admin", None, frozenset(SCOPES))
    row = keys.find(connection, digest)
    if row is None:
        raise UnauthorizedError("this API key is not known, or was revoked")
    return Caller(row["id"], row["account_id"], frozenset(row["scopes"]))


def permit(caller: Caller, method: str, *, admin_only: bool, also: str | None = None) -> None:
    """Raises ForbiddenError when the key's scopes do not cover the method, or an account key asks for the admin's.

    `also` is a narrower scope that is enough to write here.
    """
    enough = ["read"] if method in _READING else [name for name in (also, "write") if name]
    if caller.scopes.isdisjoint(enough):
        raise ForbiddenError(f"this key lacks the scope {' or '.join(map(repr, enough))}")
    if admin_only and not caller.admin:
        raise ForbiddenError("only an admin key may do this")


def account_for(body: Mapping[str, Any]) -> str:
    """The account that a new object belongs to: the key's own, or the one the admin names.

    Raises ForbiddenError when an account key names one, NotFoundError when there is no such account.
    """
    own = here.scope()
    if own is None:
        return accounts.require(here.connection(), body.get("account_id") or accounts.DEFAULT)
    if "account_id" in body:
        raise ForbiddenError("an account key acts in its own account; leave account_id out")
    return own


def account_filter(query: Mapping[str, Any]) -> str | None:
    """The account a list is of: the key's own; for the admin the one named, else all (None)."""
    own, named = here.scope(), query.get("account_id")
    if own is not None and named is not None:
        raise ForbiddenError("an account key acts in its own account; leave account_id out")
    return own or named
