"""What a story is: parts, each one workspace's life told step by step, with what must come of every step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from billing.core import calendar
from service.cli.stage import Scene

Act = Callable[[Scene], object]
Look = Callable[[Scene], str]


def nothing(scene: Scene) -> None:
    """Time passes, and that is all."""


def state(scene: Scene) -> str:
    """How the workspace stands: its state."""
    return scene.state()


def billable(scene: Scene) -> str:
    """How the workspace stands: how many are billable."""
    return f"{sum(row['classification'] == 'billable' for row in scene.rows('members'))} billable"


def standing(person: str) -> Look:
    """How a person stands: billable or free, and by which rule."""

    def look(scene: Scene) -> str:
        row = next((row for row in scene.rows("members") if row["id"] == scene.id(person)), None)
        return f"{row['classification']} {row['rule']}" if row else "unknown"

    return look


def give(command: str, who: str, role: str, **body: Any) -> Act:
    """Give a command as a person with a role."""
    return lambda scene: scene.command(command, {"actor": {"id": scene.id(who), "role": role}, **body})


@dataclass(frozen=True, slots=True)
class Paper:
    """A document that must have been issued: amounts in minor units, the tax in them; an invoice's last day to pay."""

    kind: str
    amount: int
    tax: int = 0
    due_on: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What happens at `at` (UTC), and what must come of it.

    `look` tells how somebody or something stands, which must be `stands`. `seats` are purchased, occupied, vacant.
    `charged` (with `tax` in it) and `refunded` are what is new, in minor units, as are `papers`. `refused`: the rule by
    which the service must refuse. `inferred`: nobody published the webhook's shape. `why` says, in words, why it is so.
    """

    at: datetime
    who: str
    event: str
    act: Act
    stands: str
    seats: tuple[int, int, int]
    why: str
    charged: int = 0
    tax: int = 0
    refunded: int = 0
    papers: tuple[Paper, ...] = ()
    refused: str = ""
    look: Look = state
    inferred: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One workspace's life. `explain`: the kind of ledger entry whose explanation is shown at the end."""

    title: str
    tool: str
    name: str
    currency: str
    time_zone: str
    start: datetime
    steps: Sequence[Step]
    explain: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    """Parts in the order in which they are told."""

    name: str
    parts: Sequence[Part]


def moment(text: str, zone: str = "UTC") -> datetime:
    """The instant of `2025-01-15` or `2025-01-15 23:59` in a zone, UTC."""
    day, _, clock = text.partition(" ")
    there = datetime.combine(date.fromisoformat(day), time.fromisoformat(clock or "00:00"), calendar.zone(zone))
    return there.astimezone(UTC)
