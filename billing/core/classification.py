"""Who is billable and who is free, and by which rule. One pure function; every answer names its rule."""

from dataclasses import dataclass
from typing import Literal

Membership = Literal["none", "pending", "member"]

#: The version of the rules below. A period pins it when it opens (law 3); changed rules get a new number.
RULE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Standing:
    """All that classification looks at. `boards` counts the workspace's open boards the person is on (TR-02, A-05);
    `closed_boards` those that are closed. Roles are not here on purpose: they never enter the count (TR-14)."""

    membership: Membership = "none"
    deactivated: bool = False
    boards: int = 0
    closed_boards: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """What a plan's seat policy may vary: whether guests cost (B-04), whether closed boards count (A-05), whether an
    invited person already takes a seat (B-15), and by which rule names a standing is told (standing, rule)."""

    guests_free: bool = False
    closed_boards_count: bool = False
    pending_count: bool = False
    names: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer: billable or free, and the rule that says so."""

    billable: bool
    rule: str


#: The one policy of the vendors' ordinary plans.
ORDINARY = Policy()


def classify(standing: Standing, policy: Policy = ORDINARY) -> Verdict:
    """Billable or free, with the rule (TR-01, TR-02, TR-15, TR-18, TR-19, A-05, A-06, B-04, B-15)."""
    word, billable = _judged(standing, policy)
    return Verdict(billable, dict(policy.names).get(word, _RULES[word]))


def _judged(standing: Standing, policy: Policy) -> tuple[str, bool]:
    boards = standing.boards + (standing.closed_boards if policy.closed_boards_count else 0)
    if standing.deactivated:
        return "deactivated", False
    if standing.membership == "member":
        return "member", True
    if standing.membership == "pending":
        return "pending", policy.pending_count
    if boards >= 2:
        return ("guest_free", False) if policy.guests_free else ("guest", True)
    if boards == 1:
        return "single_guest", False
    return ("closed_only" if standing.closed_boards else "gone"), False


#: The rule behind each standing, where a plan names no other.
_RULES = {
    "deactivated": "TR-19",
    "member": "TR-01",
    "pending": "TR-18",
    "guest_free": "B-04",
    "guest": "TR-02",
    "single_guest": "TR-15",
    "closed_only": "A-05",
    "gone": "TR-06",
}


def present(standing: Standing) -> bool:
    """Whether the person is on the roster at all: invited, a member, a guest, or flagged deactivated."""
    on_boards = standing.boards + standing.closed_boards > 0
    return standing.membership != "none" or standing.deactivated or on_boards
