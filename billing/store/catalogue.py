"""Prices as dated, append-only data. Plans live in files; loading them adds rows and a version, and changes none."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from billing.core.calendar import MONTHS
from billing.core.errors import InvalidError
from billing.core.lines import Terms
from billing.store import rows
from billing.store.db import Conn, many, one

_TOOLS = Path(__file__).parent.parent / "tools"


class _Price(Schema):
    interval = fields.String(required=True, validate=validate.OneOf(sorted(MONTHS)))
    valid_from = fields.Date(required=True)
    unit_amount = fields.Integer(required=True, strict=True, validate=validate.Range(min=0))
    grade = fields.String(required=True)
    source = fields.String(required=True)


class _Plan(Schema):
    plan = fields.String(required=True)
    shape = fields.String(required=True, validate=validate.OneOf(["auto_seats"]))
    currency = fields.String(required=True, validate=validate.Length(equal=3))
    proration = fields.String(
        required=True, validate=validate.OneOf(["months_days", "actual_days", "thirty_360", "seconds"])
    )
    rounding = fields.String(required=True, validate=validate.OneOf(["half_up", "half_even", "floor", "ceil"]))
    guests_free = fields.Boolean(load_default=False)
    closed_boards_count = fields.Boolean(load_default=False)
    prices = fields.List(fields.Nested(_Price), required=True, validate=validate.Length(min=1))


class _File(Schema):
    class Meta:
        unknown = EXCLUDE

    plans = fields.List(fields.Nested(_Plan), required=True)


def shipped() -> list[dict[str, Any]]:
    """Every plan that a room brings along. Raises InvalidError naming file and fault."""
    files = sorted(_TOOLS.glob("*/plans.yaml"))
    return [
        plan for path in files for plan in read(path.read_text(encoding="utf-8"), f"{path.parent.name}/{path.name}")
    ]


def read(text: str, name: str) -> list[dict[str, Any]]:
    """The plans of one file. A bad file is refused whole. Raises InvalidError naming `name` and the fault."""
    try:
        plans: list[dict[str, Any]] = _File().load(yaml.safe_load(text))["plans"]
    except (yaml.YAMLError, ValidationError) as fault:
        raise InvalidError(f"{name} is not a plan file: {fault}") from fault
    return plans


def load(connection: Conn, plans: Iterable[Mapping[str, Any]]) -> int:
    """Add the prices that are new or changed as rows of a new version; answers the version in force.

    An unchanged catalogue adds nothing. Safe from many processes at once.
    """
    wanted = list(_price_rows(plans))
    digest = hashlib.sha256(json.dumps(wanted, sort_keys=True, default=str).encode()).hexdigest()
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('catalogue', 7))")
    known = one(connection, "SELECT version FROM catalogue WHERE digest = %s", (digest,))
    if known:
        return int(known["version"])
    version = int((one(connection, "SELECT COALESCE(max(version), 0) + 1 AS v FROM catalogue") or {"v": 1})["v"])
    connection.execute("INSERT INTO catalogue (version, digest) VALUES (%s, %s)", (version, digest))
    for row in wanted:
        terms = row["terms"] | {"price_id": f"{row['id']}.v{version}", "catalogue_version": version}
        connection.execute(
            """INSERT INTO price (id, plan, interval, currency, unit_amount, valid_from, terms, catalogue_version)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s)""",
            (
                terms["price_id"],
                row["plan"],
                row["interval"],
                row["currency"],
                row["unit_amount"],
                row["valid_from"],
                json.dumps(terms),
                version,
            ),
        )
    return version


def _price_rows(plans: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    for plan in plans:
        for price in plan["prices"]:
            terms = Terms(
                price_id="",
                plan=plan["plan"],
                interval=price["interval"],
                currency=plan["currency"],
                unit_amount=price["unit_amount"],
                method=plan["proration"],
                rounding=plan["rounding"],
                shape=plan["shape"],
                guests_free=plan["guests_free"],
                closed_boards_count=plan["closed_boards_count"],
            )
            yield {
                "id": f"{plan['plan']}.{price['interval']}.{price['valid_from']}",
                "plan": plan["plan"],
                "interval": price["interval"],
                "currency": plan["currency"],
                "unit_amount": price["unit_amount"],
                "valid_from": price["valid_from"],
                "terms": rows.terms_json(terms),
            }


def price_at(connection: Conn, plan: str, interval: str, day: date) -> Terms:
    """The terms of a plan valid on a civil day, of the newest catalogue version that knows it (XX-10).

    Raises InvalidError naming the plans there are, when there is none.
    """
    row = one(
        connection,
        """SELECT terms FROM price WHERE plan = %s AND interval = %s AND valid_from <= %s
           ORDER BY catalogue_version DESC, valid_from DESC LIMIT 1""",
        (plan, interval, day),
    )
    if row is None:
        offered = many(connection, "SELECT DISTINCT plan, interval FROM price ORDER BY plan, interval")
        choice = ", ".join(f"{row['plan']} by the {row['interval']}" for row in offered)
        raise InvalidError(f"no price of {plan!r} by the {interval!r} is valid on {day}; there is: {choice}")
    return rows.terms(row["terms"])


def with_unit_amount(terms: Terms, unit_amount: int) -> Terms:
    """The same terms at a price agreed elsewhere (minor units): what a customer who already pays was charged."""
    return replace(terms, unit_amount=unit_amount, price_id=f"{terms.price_id}.opening")
