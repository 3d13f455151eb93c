"""The connections webhooks come in by, remembered for a moment so that a request does not cost a SELECT."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.fernet import InvalidToken, MultiFernet

from billing.core.errors import UnavailableError
from billing.store import inbox
from billing.store.db import Database

#: Seconds a connection is remembered; rotation and removal take effect within it and a glance more.
FRESH = 1.0
#: Seconds more that other requests may use it while one asks again.
STALE = 0.5
#: Seconds that a request waits for another one that asks the same.
PATIENCE = 2.0
#: Connections remembered at a time.
MOST = 10_000

_LOG = logging.getLogger("sekisu.receiver")


@dataclass(frozen=True, slots=True)
class Connection:
    """A live connection. `complete` is False when a secret could not be decrypted with the keys we have."""

    id: str
    tool: str
    callback_url: str
    secrets: tuple[str, ...]
    complete: bool


class Connections:
    """Looks connections up; only those that exist are remembered, so a new one works at once."""

    def __init__(
        self, db: Database, vault: MultiFernet, public_url: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._db = db
        self._vault = vault
        self._public_url = public_url
        self._clock = clock
        self._known: dict[str, tuple[float, Connection]] = {}
        self._asking: dict[str, threading.Lock] = {}

    def remembers(self, connection_id: str) -> bool:
        """True when this process has met the connection: finding it is cheap, and it is somebody's."""
        return connection_id in self._known

    def recall(self, connection_id: str) -> Connection | None:
        """The connection, if it need not be looked up: it was just now, or another request is at it. Never waits."""
        found = self._known.get(connection_id)
        if found is None:
            return None
        age = self._clock() - found[0]
        asked_for = age < FRESH + STALE and connection_id in self._asking
        return found[1] if age < FRESH or asked_for else None

    def find(self, connection_id: str) -> Connection | None:
        """The live connection of this id, or None. Raises UnavailableError when the database does not answer."""
        found = self._known.get(connection_id)
        age = self._clock() - found[0] if found else STALE + FRESH
        if found and age < FRESH:
            return found[1]
        # One asks for all: a crowd that asks together would hold up the database, and so itself.
        asking = self._asking.setdefault(connection_id, threading.Lock())
        if not asking.acquire(timeout=0 if age < FRESH + STALE else PATIENCE):
            if found and age < FRESH + STALE:
                return found[1]
            raise UnavailableError("a connection could not be looked up in time")
        try:
            again = self._known.get(connection_id)
            return again[1] if again and self._clock() - again[0] < FRESH else self._ask(connection_id)
        finally:
            self._asking.pop(connection_id, None)
            asking.release()

    def anew(self, connection: Connection) -> Connection:
        """The connection as it is now; one removed meanwhile stays as given. Raises UnavailableError."""
        return self._ask(connection.id) or connection

    def _ask(self, connection_id: str) -> Connection | None:
        asked = self._clock()  # before the question: what it answers is at most this old
        with self._db.reading() as transaction:
            row = inbox.live_connection(transaction, connection_id)
        if row is None:
            self._known.pop(connection_id, None)
            return None
        if len(self._known) >= MOST:
            self._known.clear()
        connection = self._opened(connection_id, row)
        self._known[connection_id] = (asked, connection)
        return connection

    def _opened(self, connection_id: str, row: dict[str, object]) -> Connection:
        tool, kept = str(row["tool"]), row["secrets"]
        secrets = [self._decrypted(connection_id, token) for token in kept] if isinstance(kept, list) else []
        return Connection(
            id=connection_id,
            tool=tool,
            callback_url=str(row["callback_url"] or f"{self._public_url}/webhooks/{tool}/{connection_id}"),
            secrets=tuple(secret for secret in secrets if secret is not None),
            complete=None not in secrets,
        )

    def _decrypted(self, connection_id: str, token: bytes) -> str | None:
        try:
            return self._vault.decrypt(token).decode()
        except (InvalidToken, UnicodeDecodeError):
            _LOG.error("a secret of connection %s cannot be decrypted with SEKISU_SECRET_KEY", connection_id)
            return None
