"""What every room gives the house, and how a room is found.

A room is a folder beside this file. Its package has the names of `Room`; nothing else in the house names a tool.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, cast

from billing.core.classification import Policy
from billing.core.errors import NotFoundError

_NOTHING: Mapping[str, object] = MappingProxyType({})
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Event:
    """One fact as a room read it, before it is numbered and filed. The fields mean what they mean in `Fact`.

    `workspace` and `owner` are the tool's own ids. `name` is the member's display name, if the delivery shows it.
    """

    kind: str
    at: datetime
    source_id: str
    ordinal: int = 0
    workspace: str | None = None
    board: str | None = None
    owner: str | None = None
    member: str | None = None
    name: str | None = None
    seq: int | None = None
    data: Mapping[str, object] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one delivery says: events; or none, with the reason; or quarantined (genuine but unreadable).

    `action` is the tool's own word for what happened (for the counters). `known` is False for an action the room has
    never heard of. `reread` asks for a snapshot, because the delivery only hints at a change.
    """

    events: tuple[Event, ...] = ()
    reason: str | None = None
    quarantined: bool = False
    action: str = ""
    known: bool = True
    reread: bool = False


@dataclass(frozen=True, slots=True)
class Api:
    """Where a tool is asked for its full lists.

    `url` is the base of every ask ("": each customer has another one, so the connection must name it). `credential`
    says where each part of a credential goes: its name to `query:NAME` or `header:NAME`; every part listed must be
    given. `rate` is how many requests the tool allows in how many seconds. `announced` are the kinds of facts that the
    tool's webhooks can tell of; any other can only be seen in a list.
    """

    url: str
    credential: Mapping[str, str]
    rate: tuple[int, float]
    announced: frozenset[str]


@dataclass(frozen=True, slots=True)
class Ask:
    """One request of a pull: GET `path` under the API's base with `params`, answered with JSON."""

    path: str
    params: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Person:
    """A member as a snapshot or a roster import lists them. `state` is joined, pending or deactivated."""

    id: str
    name: str | None = None
    member: bool = False
    boards: tuple[str, ...] = ()
    state: str = "joined"
    role: str | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """What a pull is for: the tool's own id of the workspace, and the instant from which events are asked for again.

    `since` None: no events.
    """

    workspace: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The end of a pull: how things stand, and the events of the time since, with their own times and ids.

    `boards` maps each board of the workspace to whether it is closed; None: the answers do not list boards.
    `complete` False: the answers do not say who belongs to the workspace itself, only who is on the boards named.
    """

    people: tuple[Person, ...] = ()
    boards: Mapping[str, bool] | None = None
    events: tuple[Event, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Refusal:
    """The end of a pull that cannot go on: half a roster would look like people who left."""

    reason: str


#: A step of a pull: more to ask (every ask not answered yet), or one of the two ends.
Step = tuple[Ask, ...] | Snapshot | Refusal


class Room(Protocol):
    """The names a room's package must have. None of the functions may raise, whatever the bytes are."""

    #: False: the tool cannot sign, and only the unguessable address vouches for a delivery.
    SIGNED: bool
    #: True: a board's id is unique in the whole tool and a board can move between workspaces.
    SHARED_BOARDS: bool
    #: True: its workspaces run its own vendor's plans, or the operator's, never another vendor's.
    OWN_PLANS: bool
    #: Who takes a seat before a plan says so; a plan's own policy holds from its first period on.
    SEATS: Policy
    #: The time zone whose civil days the tool's dates are, unless a workspace names its own (XX-14).
    ZONE: str
    #: Where to ask for full lists; None: the tool has no endpoint, and a customer imports a roster.
    API: Api | None

    def greet(self, method: str, headers: Mapping[str, str], body: bytes) -> bool:
        """True when this request is the tool's handshake: answered 200 before any signature check, kept nowhere."""

    def verify(self, headers: Mapping[str, str], body: bytes, secret: str, callback_url: str, now: datetime) -> bool:
        """True when the raw body was signed with `secret`; constant time. Header names are lower case."""

    def sign(self, body: bytes, secret: str, callback_url: str, now: datetime, delivery_id: str) -> dict[str, str]:
        """The headers that make `body` genuine: for the demo, the tests and the bench."""

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:
        """The tool's own id of the delivery, else `sha256:` and the hex digest of the body."""

    def fingerprint(self, headers: Mapping[str, str], body: bytes) -> str:
        """Hex digest of the event as the room canonicalises it: the same event redelivered has the same one."""

    def read(self, headers: Mapping[str, str], body: bytes) -> Reading:
        """The facts in a delivery."""

    def pull(self, scope: Scope, answers: Mapping[Ask, object]) -> Step:
        """The next step towards a snapshot, from all answers so far (JSON as read). Asked again until it ends."""


def names() -> list[str]:
    """The rooms there are, by looking."""
    return sorted(p.name for p in _HERE.iterdir() if (p / "__init__.py").is_file())


def load(tool: str) -> Room:
    """The room of a tool; a broken room breaks only its own route.

    Raises NotFoundError when there is no such room.
    """
    if not tool.isidentifier() or tool not in names():
        raise NotFoundError(f"there is no room for the tool {tool!r}; rooms: {', '.join(names())}")
    return cast("Room", importlib.import_module(f"billing.tools.{tool}"))


@lru_cache(maxsize=64)
def seats(tool: str) -> Policy:
    """Who takes a seat of a tool before a plan says so; asked at every settlement. Raises NotFoundError."""
    return load(tool).SEATS
