"""What the request under way may use: the house, its transaction, and who calls."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from flask import current_app, g

from billing.settings import Settings
from billing.store.db import Conn, Database

#: Where an app keeps the house.
EXTENSION = "sekisu-api"


class Bell(Protocol):
    """What rings for the workers. No method blocks or raises."""

    def read(self, connection_id: str) -> bool:
        """A connection has deliveries to read."""

    def settle(self, workspace_id: str) -> bool:
        """A workspace has facts to settle."""

    def send(self) -> bool:
        """There are charges to send."""


@dataclass(frozen=True, slots=True)
class House:
    """What every request shares."""

    settings: Settings
    db: Database
    bell: Bell


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. `account_id` None: the admin, who may look into every account."""

    key_id: str
    account_id: str | None
    scopes: frozenset[str]

    @property
    def admin(self) -> bool:
        """Whether this is an admin key."""
        return self.account_id is None


def house() -> House:
    """The house of the app that serves this request."""
    return cast("House", current_app.extensions[EXTENSION])


def connection() -> Conn:
    """The transaction of this request; it is committed before the answer goes out."""
    return cast("Conn", g.connection)


def caller() -> Caller:
    """Who calls."""
    return cast("Caller", g.caller)


def scope() -> str | None:
    """The account this request may look into; None: all of them."""
    return caller().account_id


def afterwards(ring: Callable[[], object]) -> None:
    """Ring a bell once the transaction is committed."""
    cast("list[Callable[[], object]]", g.afterwards).append(ring)
