"""What a settlement changed of the roster, as parts of the book that is written whole."""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from datetime import datetime
from typing import Any, TypeVar

from billing.core.incremental import Change
from billing.core.roster import BoardHead, Flip, MemberHead, Span
from billing.store.ledger import Book

Key = TypeVar("Key", bound=Hashable)

#: So many of whom the same is to be written are written together.
_CROWD = 100
#: What `_head` tells of a member.
_HEAD = (
    *("membership", "deactivated", "on_boards", "open_boards", "shut_boards"),
    *("billable", "rule", "since", "fact_id", "last_at"),
)


def tell(book: Book, change: Change) -> None:
    """Add heads, seats, spans and steps of one change to the book."""
    ended, opened = _net(change.flips)
    alike = _grouped((_head(head), name) for name, head in change.members.items() if name not in change.described)
    crowds = {told: names for told, names in alike.items() if len(names) >= _CROWD}
    crowded = {name for names in crowds.values() for name in names}
    parts: dict[str, list[Any]] = {
        "members": [_member(name, head) for name, head in change.members.items() if name not in crowded],
        "crowds": [dict(zip(_HEAD, told, strict=True)) | {"members": names} for told, names in crowds.items()],
        "boards": [_board(name, head) for name, head in change.boards.items()],
        "seats": [
            {"board": board, "present": present, "members": names}
            for (board, present), names in _grouped(((b, on), who) for (b, who), on in change.seats.items()).items()
        ],
        "rewritten": [{"member": member} for member in sorted(change.rewritten)],
        "ended": [{"at": at, "members": names} for at, names in _grouped((at, who) for who, at in ended).items()],
        "spans": [
            {"start_at": start, "end_at": end, "fact_id": fact_id, "members": names}
            for (start, end, fact_id), names in _grouped(
                ((one.start, one.end, one.fact_id), one.member) for one in (*change.spans, *opened)
            ).items()
        ],
        "steps": [{"at": at, "delta": delta} for at, delta in change.steps.items()],
    }
    book.parts |= {name: part for name, part in parts.items() if part}


def _grouped(pairs: Iterable[tuple[Key, str]]) -> dict[Key, list[str]]:
    """Those of whom the same is to be written: ten thousand guests of one board are told in one row."""
    found: defaultdict[Key, list[str]] = defaultdict(list)
    for key, name in pairs:
        found[key].append(name)
    return found


def _member(name: str, head: MemberHead) -> dict[str, Any]:
    return dict(zip(_HEAD, _head(head), strict=True)) | {"member": name, "name": head.name, "role": head.role}


def _head(head: MemberHead) -> tuple[Any, ...]:
    standing = (head.membership, head.deactivated, head.on, head.open, head.shut)
    return (*standing, head.billable, head.rule, head.since, head.fact_id, head.last_at)


def _board(name: str, head: BoardHead) -> dict[str, Any]:
    return {
        "board": name,
        "owner": head.owner,
        "closed": head.closed,
        "initial": head.initial,
        "hint_at": head.hint_at,
        "explicit_at": head.explicit_at,
        "last_at": head.last_at,
    }


def _net(flips: Iterable[Flip]) -> tuple[list[tuple[str, datetime]], list[Span]]:
    """What flips mean for stored spans: which open one ends when, and which spans are new."""
    ended: list[tuple[str, datetime]] = []
    opened: list[Span] = []
    running: dict[str, Span] = {}
    for flip in flips:
        if flip.billable:
            running[flip.member] = Span(flip.member, flip.at, flip.fact_id)
        elif flip.member in running:
            begun = running.pop(flip.member)
            opened.append(Span(flip.member, begun.start, begun.fact_id, flip.at))
        else:
            ended.append((flip.member, flip.at))
    return ended, opened + list(running.values())
