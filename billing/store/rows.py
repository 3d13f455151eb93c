"""From rows to the core's values and back; no SQL, no decisions."""

import json
from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction
from typing import Any

from billing.core import plans
from billing.core.explanation import describe
from billing.core.facts import Fact
from billing.core.lines import Line
from billing.core.plans import Terms
from billing.core.roster import BoardHead, MemberHead, Span

Row = Mapping[str, Any]


def fact(row: Row) -> Fact:
    """A row of `fact` or `board_fact`."""
    return Fact(
        id=row["id"],
        kind=row["kind"],
        at=row["at"],
        heard_at=row["heard_at"],
        source=row["source"],
        source_id=row["source_id"],
        ordinal=row["ordinal"],
        member=row["member"],
        board=row["board"],
        workspace=row["workspace"],
        owner=row["owner"],
        seq=row["source_seq"],
        data=row["data"],
    )


def fact_read(told: Row) -> Fact:
    """A row of `fact` that the database told as JSON."""
    at = datetime.fromisoformat
    return fact({**told, "at": at(told["at"]), "heard_at": at(told["heard_at"])})


def member_read(told: Row) -> MemberHead:
    """A row of `member` that the database told as JSON."""
    times = {name: datetime.fromisoformat(told[name]) for name in ("since", "last_at") if told[name] is not None}
    return member_head({**told, **times})


def member_head(row: Row) -> MemberHead:
    """A row of `member`."""
    return MemberHead(
        membership=row["membership"],
        deactivated=row["deactivated"],
        on=row["on_boards"],
        open=row["open_boards"],
        shut=row["shut_boards"],
        billable=row["billable"],
        rule=row["rule"],
        since=row["since"],
        fact_id=row["fact_id"],
        last_at=row["last_at"],
        name=row["name"],
        role=row["role"],
    )


def board_head(row: Row) -> BoardHead:
    """A row of `board_head`."""
    return BoardHead(
        owner=row["owner"],
        closed=row["closed"],
        initial=row["initial"],
        hint_at=row["hint_at"],
        explicit_at=row["explicit_at"],
        last_at=row["last_at"],
    )


def span(row: Row) -> Span:
    """A row of `span`."""
    return Span(row["member"], row["start_at"], row["fact_id"], row["end_at"])


def line(row: Row) -> Line:
    """A row of `line`."""
    return Line(
        subscription=row["subscription_id"],
        n=row["n"],
        kind=row["kind"],
        instant=row["instant"],
        unit_amount=row["unit_amount"],
        seats=row["seats"],
        fraction=Fraction(row["fraction"]),
        amount=row["amount"],
        currency=row["currency"],
        method=row["method"],
        rounding=row["rounding"],
        rules=tuple(row["rules"]),
        facts=tuple(row["facts"]),
    )


def terms(data: Mapping[str, Any]) -> Terms:
    """The pinned terms of a period, from their JSON."""
    return plans.read(data)


def terms_json(value: Terms) -> str:
    """The JSON text that `terms` reads."""
    return json.dumps(plans.written(value))


def line_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A LINE of the contract from a row of `line` or `entry` (there `id` is the entry's), with its instant as it is."""
    return {
        "key": row["key"],
        "kind": row["kind"],
        "instant": row["instant"],
        "description": describe(row["kind"], row["seats"]),
        "seats": row["seats"],
        "unit_amount": row["unit_amount"],
        "fraction": str(Fraction(row["fraction"])),
        "amount": row["amount"],
        "currency": row["currency"],
        "rules": list(row["rules"]),
        "entry_id": row["entry_id"],
    }


def line_row(line: Line, entry_id: str | None) -> dict[str, Any]:
    names = ("key", "kind", "instant", "seats", "unit_amount", "fraction", "amount", "currency", "rules")
    return {name: getattr(line, name) for name in names} | {"entry_id": entry_id}
