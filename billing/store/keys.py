"""API keys: only the SHA-256 digest of a key is stored, so that a stolen table opens nothing."""

import hashlib
import secrets
from collections.abc import Iterable

from billing.core.errors import NotFoundError
from billing.store.db import Conn, Row, many, one
from billing.store.ids import new_id


def digest(key: str) -> bytes:
    """What is stored of a key. Keys are random, so no salt and no slow hash is needed."""
    return hashlib.sha256(key.encode()).digest()


def insert(connection: Conn, account_id: str | None, scopes: Iterable[str]) -> tuple[Row, str]:
    """Make a key of an account (None: an admin key); the key itself is answered once and never again."""
    key = f"sk_{secrets.token_urlsafe(32)}"
    row = one(
        connection,
        "INSERT INTO api_key (id, account_id, scopes, digest) VALUES (%s, %s, %s, %s) RETURNING *",
        (new_id("key"), account_id, sorted(set(scopes)), digest(key)),
    )
    return row or {}, key


def find(connection: Conn, key_digest: bytes) -> Row | None:
    """The living key of that digest, or None."""
    return one(
        connection,
        "SELECT id, account_id, scopes FROM api_key WHERE digest = %s AND revoked_at IS NULL",
        (key_digest,),
    )


def page(connection: Conn, after: str | None, limit: int) -> list[Row]:
    """Living keys in order of their ids, from behind `after` on."""
    query = "SELECT * FROM api_key WHERE revoked_at IS NULL AND id > %s ORDER BY id LIMIT %s"
    return many(connection, query, (after or "", limit))


def revoke(connection: Conn, key_id: str) -> None:
    """End a key at once. Raises NotFoundError when no living key has that id."""
    query = "UPDATE api_key SET revoked_at = now() WHERE id = %s AND revoked_at IS NULL RETURNING id"
    if one(connection, query, (key_id,)) is None:
        raise NotFoundError(f"there is no key {key_id}")
