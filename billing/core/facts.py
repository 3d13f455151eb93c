"""The one vocabulary of things that happened, and the order of those of one instant (law 7)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

#: Rank of each kind within one instant: additions before removals (law 7). Every kind a room may emit is here.
RANK: Mapping[str, int] = MappingProxyType(
    {
        "board.attached": 0,
        "board.reopened": 1,
        "board.member_added": 2,
        "member.joined": 3,
        "member.reactivated": 4,
        "member.invited": 5,
        "member.role_changed": 6,
        "board.detached": 10,
        "board.closed": 11,
        "board.member_removed": 12,
        "member.left": 13,
        "member.deactivated": 14,
        # What a workspace's life is read from: kept in the order of acceptance by `seq`, never late.
        "trial.started": 20,
        "registration.completed": 20,
        "subscription.started": 20,
        "plan.changed": 20,
        "interval.changed": 20,
        "licences.added": 20,
        "licences.removed": 20,
        "payment_method.updated": 20,
        "subscription.cancelled": 20,
        "refund.requested": 20,
        "contract.migrated": 20,
        "option.ordered": 20,
        "period.rerated": 20,
        "late.accepted": 20,
        "payment.failed": 20,
        "payment.succeeded": 20,
    }
)
LIFE_KINDS = frozenset(kind for kind, rank in RANK.items() if rank == 20)

MEMBER_KINDS = frozenset(kind for kind in RANK if kind.startswith("member."))
BOARD_MEMBER_KINDS = frozenset({"board.member_added", "board.member_removed"})
BOARD_KINDS = frozenset({"board.attached", "board.detached", "board.closed", "board.reopened"})

_NOTHING: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened. `at` is when, `heard_at` when we heard; both are UTC instants.

    Unique for ever by (account, source, source_id, ordinal). `workspace` is the tool's own id of the workspace the
    fact speaks of: for `board.attached` the new owner, for `board.detached` the former one (None: whoever it was).
    `owner` is the board's owner that the delivery happened to show: None unknown, "" none, else the workspace's
    external id; it counts only before the board's first attach or detach (DESIGN.md section 6, step 5).
    `seq` is the source's own sequence, if it has one.
    """

    id: str
    kind: str
    at: datetime
    heard_at: datetime
    source: str
    source_id: str
    ordinal: int = 0
    member: str | None = None
    board: str | None = None
    workspace: str | None = None
    owner: str | None = None
    seq: int | None = None
    data: Mapping[str, object] = field(default_factory=lambda: _NOTHING)


def order(fact: Fact) -> tuple[datetime, int, int, str, int]:
    """Sort key of facts: instant, the source's own sequence, additions before removals, then a stable tie-break."""
    return (fact.at, fact.seq or 0, RANK.get(fact.kind, 99), fact.source_id, fact.ordinal)


def fact_id(account: str, source: str, source_id: str, ordinal: int) -> str:
    """The id of a fact: the same event heard twice, in whatever wrapping, has the same id."""
    digest = hashlib.sha256("\x1f".join((account, source, source_id, str(ordinal))).encode("utf-8", "surrogatepass"))
    return "fact_" + digest.hexdigest()[:32]
