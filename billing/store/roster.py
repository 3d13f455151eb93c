"""What a settlement changed of the roster, as parts of the book that is written whole."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from billing.core.incremental import Change
from billing.core.roster import BoardHead, Flip, MemberHead, Span
from billing.store.ledger import Book


def tell(book: Book, change: Change) -> None:
    """Add heads, seats, spans and steps of one change to the book."""
    ended, opened = _net(change.flips)
    parts: dict[str, list[Any]] = {
        "members": [_member(name, head) for name, head in change.members.items()],
        "boards": [_board(name, head) for name, head in change.boards.items()],
        "seats": [
            {"board": board, "member": member, "present": present} for (board, member), present in change.seats.items()
        ],
        "rewritten": [{"member": member} for member in sorted(change.rewritten)],
        "ended": [{"member": member, "at": at} for member, at in ended],
        "spans": [_span(span) for span in (*change.spans, *opened)],
        "steps": [{"at": at, "delta": delta} for at, delta in change.steps.items()],
    }
    book.parts |= {name: part for name, part in parts.items() if part}


def _member(name: str, head: MemberHead) -> dict[str, Any]:
    return {
        "member": name,
        "membership": head.membership,
        "deactivated": head.deactivated,
        "on_boards": head.on,
        "open_boards": head.open,
        "shut_boards": head.shut,
        "billable": head.billable,
        "rule": head.rule,
        "since": head.since,
        "fact_id": head.fact_id,
        "last_at": head.last_at,
        "name": head.name,
        "role": head.role,
    }


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


def _span(span: Span) -> dict[str, Any]:
    return {"member": span.member, "start_at": span.start, "end_at": span.end, "fact_id": span.fact_id}


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
