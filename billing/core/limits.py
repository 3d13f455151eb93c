"""What exceeds a plan. Facts are never refused (law 9): they are kept, billed, and flagged with the rule. Pure."""

from dataclasses import dataclass

from billing.core.classification import Standing
from billing.core.errors import RefusedError
from billing.core.plans import Terms


@dataclass(frozen=True, slots=True)
class Counts:
    """How many there are: `users` (members and invited people), `collaborators` (those and guests on open boards,
    B-05), `open_boards`."""

    users: int
    collaborators: int
    open_boards: int


@dataclass(frozen=True, slots=True)
class Flag:
    """Something that exceeds the plan: by which rule, and what to do."""

    rule: str
    detail: str


def flags(terms: Terms | None, counts: Counts, purchased: int, held: int = 0) -> list[Flag]:
    """Everything that exceeds the plan in force: caps (B-05, CW-04, XX-15, BL-04) and licences (CW-05, CW-08).

    `held`: charges that wait for a payment method (TR-12).
    """
    if terms is None:
        return []
    found = []
    for name, count in (
        ("users", counts.users),
        ("collaborators", counts.collaborators),
        ("open_boards", counts.open_boards),
    ):
        cap = terms.caps.get(name)
        if cap is not None and count > cap:
            told = f"{count} {name.replace('_', ' ')}, {terms.plan} holds {cap}: a larger plan is needed"
            found.append(Flag(terms.cap_rules.get(name, "XX-15"), told))
    if terms.shape == "licences" and terms.rank and counts.users > purchased:
        found.append(
            Flag("CW-08", f"{counts.users} users on {purchased} licences: buy {counts.users - purchased} more")
        )
    if held:
        found.append(Flag("TR-12", f"{held} charges are held: no payment method is on file"))
    return found


#: States in which nobody works there any more: not paid, or over. What is there stays as it was (A-19, B-16, B-24).
LOCKED = ("suspended", "expired", "closed", "migrated")


def access(state: str, terms: Terms | None, counts: Counts) -> str:
    """What people may still do: `full`, `view_only` above the Free plan's collaborators (A-10, B-05), `locked`."""
    if state in LOCKED:
        return "locked"
    cap = terms.caps.get("collaborators") if terms else None
    return "view_only" if cap is not None and counts.collaborators > cap else "full"


def manageable(standing: Standing) -> bool:
    """Whether `may_everywhere` allows it (TR-17)."""
    try:
        may_everywhere(standing)
    except RefusedError:
        return False
    return True


def may_everywhere(standing: Standing) -> None:
    """Deactivating a person on all boards at once, or seeing their activity: not for a single-board guest (TR-17).

    Raises RefusedError.
    """
    if standing.membership == "none" and standing.boards == 1:
        raise RefusedError("TR-17", "not available for a single-board guest")
