"""Prices as dated, append-only data. Plans live in files; loading them adds rows and a version, and changes none."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from billing.core import plans
from billing.core.calendar import MONTHS
from billing.core.errors import InvalidError, NotFoundError, RefusedError
from billing.core.plans import Terms
from billing.store import planfile
from billing.store.db import Conn, Row, many, one
from billing.store.planfile import ONCE, OPTION, Plan

#: Of a file's plan: what its terms have under another name, or each price has for itself.
_NOT_TERMS = ("proration", "prices", "where")
#: The row of the newest version of the catalogue that knows a plan says what is offered now. Plans of a file that is
#: no longer loaded keep their last version, so whoever pays by them goes on as before.
_NEWEST = "catalogue_version = (SELECT max(n.catalogue_version) FROM price n WHERE n.plan = price.plan)"
_PLANS = "SELECT DISTINCT plan FROM price WHERE starts_with(plan, %s) ORDER BY plan"


def shipped() -> list[Plan]:
    """Every plan and option that a room brings along, as `load` takes them. Raises PlanFileError."""
    return planfile.shipped()


def load(connection: Conn, wanted: Iterable[Mapping[str, Any]]) -> int:
    """Add every price as rows of a new version when one is new, changed or gone; answers the version in force.

    What is in force is what was loaded last: an unchanged catalogue adds nothing, one that was changed back adds a
    version. Plans that are not in `wanted` stand as they are. Safe from many processes at once.
    """
    rows_wanted = list(_price_rows(wanted))
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('catalogue', 7))")
    newest = version(connection)
    if not _differ(connection, rows_wanted):
        return newest
    # The number is part of the digest: a catalogue that was changed back has the rows of an older version.
    told = json.dumps([newest + 1, rows_wanted], sort_keys=True, default=str)
    digest = hashlib.sha256(told.encode()).hexdigest()
    connection.execute("INSERT INTO catalogue (version, digest) VALUES (%s, %s)", (newest + 1, digest))
    for row in rows_wanted:
        terms = row["terms"] | {"price_id": f"{row['id']}.v{newest + 1}", "catalogue_version": newest + 1}
        connection.execute(
            """INSERT INTO price (id, plan, interval, currency, unit_amount, valid_from, terms, catalogue_version)
               VALUES (%(price_id)s, %(plan)s, %(interval)s, %(currency)s, %(unit_amount)s, %(valid_from)s, %(terms)s,
                       %(catalogue_version)s)""",
            terms | {"valid_from": row["valid_from"], "terms": json.dumps(terms)},
        )
    return newest + 1


def _differ(connection: Conn, rows_wanted: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a wanted plan's dated prices are others than those of the newest version that knows the plan."""
    stored: dict[str, dict[str, Any]] = {}
    for row in many(connection, f"SELECT plan, interval, valid_from, terms FROM price WHERE {_NEWEST}"):  # noqa: S608
        terms = row["terms"] | {"price_id": "", "catalogue_version": 1}
        stored.setdefault(row["plan"], {})[f"{row['interval']} {row['valid_from']}"] = terms
    asked: dict[str, dict[str, Any]] = {}
    for new in rows_wanted:
        asked.setdefault(new["plan"], {})[f"{new['interval']} {new['valid_from']}"] = new["terms"]
    return any(prices != stored.get(plan) for plan, prices in asked.items())


def _price_rows(wanted: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    for plan in wanted:
        shared = {key: value for key, value in plan.items() if key not in _NOT_TERMS}
        for price in plan["prices"]:
            own = {"price_id": "", "interval": price["interval"], "unit_amount": price["unit_amount"]}
            terms = plans.written(plans.read({**shared, **own, "method": plan["proration"]}))
            yield {
                "id": f"{plan['plan']}.{price['interval']}.{price['valid_from']}",
                "plan": plan["plan"],
                "interval": price["interval"],
                "valid_from": price["valid_from"],
                # How well the price is known stands beside it; terms that are read leave both out.
                "terms": terms | {"grade": price["grade"], "source": price["source"]},
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
        query = "SELECT DISTINCT plan, interval FROM price WHERE NOT starts_with(plan, %s) ORDER BY plan, interval"
        choice = ", ".join(f"{row['plan']} by the {row['interval']}" for row in many(connection, query, (OPTION,)))
        raise InvalidError(f"no price of {plan!r} by the {interval!r} is valid on {day}; there is: {choice}")
    return plans.read(row["terms"])


def offers(connection: Conn, plan: str, day: date) -> dict[str, Terms]:
    """By interval, the shortest first, what a plan is sold at on a civil day; empty when it is not.

    An interval that the plan's newest version does not have any more is not sold; `price_at` still knows it, for
    those who pay by it.
    """
    return {} if plan.startswith(OPTION) else _sold(connection, plan, day)  # nobody subscribes to an option


def _sold(connection: Conn, plan: str, day: date) -> dict[str, Terms]:
    found = many(
        connection,
        f"""SELECT DISTINCT ON (interval) interval, terms FROM price
            WHERE plan = %(plan)s AND valid_from <= %(day)s
              AND interval IN (SELECT price.interval FROM price WHERE plan = %(plan)s AND {_NEWEST})
            ORDER BY interval, catalogue_version DESC, valid_from DESC""",  # noqa: S608 - a constant of this file
        {"plan": plan, "day": day},
    )
    by_interval = {row["interval"]: plans.read(row["terms"]) for row in found}
    return dict(sorted(by_interval.items(), key=lambda one: (MONTHS.get(one[0], 0), one[0])))


def free_plan(connection: Conn, tool: str, day: date) -> Terms | None:
    """The plan of rank 0 whose id begins with the tool's name, at its shortest interval, or None (TR-29, B-05)."""
    for row in many(connection, _PLANS, (f"{tool}-",)):
        for terms in offers(connection, row["plan"], day).values():
            if terms.rank == 0:
                return terms
    return None


def option_at(connection: Conn, option: str, day: date) -> Terms:
    """What a one-off option costs on a civil day (BL-27, BL-28): a flat price per order, its items in `features`.

    Raises NotFoundError naming the options there are; RefusedError (BL-28) while the option has no price.
    """
    terms = _sold(connection, f"{OPTION}{option}", day).get(ONCE)
    if terms is not None:
        return terms
    known = [row["plan"].removeprefix(OPTION) for row in many(connection, _PLANS, (OPTION,))]
    if option not in known:
        raise NotFoundError(f"there is no option {option!r}; there is: {', '.join(known) or 'none'}")
    raise RefusedError(
        "BL-28",
        f"the option {option} has no price on {day}; write one (options, unit_amount) in a file of the plans "
        "directory (SEKISU_PLANS_DIR, see docs/plans.md) and run `sekisu plans --load`",
    )


def version(connection: Conn) -> int:
    """The newest version of the catalogue; 0 when nothing was ever loaded."""
    return int((one(connection, "SELECT COALESCE(max(version), 0) AS v FROM catalogue") or {"v": 0})["v"])


def listed(connection: Conn, day: date) -> list[Row]:
    """Every dated price of the newest version of each plan and option; `in_force`: the one valid on the civil day."""
    return many(
        connection,
        f"""SELECT plan, interval, valid_from, currency, unit_amount, terms, catalogue_version AS version, id,
                   valid_from <= %(day)s AND valid_from = max(valid_from) FILTER (WHERE valid_from <= %(day)s)
                       OVER (PARTITION BY plan, interval) AS in_force
            FROM price WHERE {_NEWEST} ORDER BY plan, interval, valid_from""",  # noqa: S608 - a constant of this file
        {"day": day},
    )


def with_unit_amount(terms: Terms, unit_amount: int) -> Terms:
    """The same terms at a price agreed elsewhere (minor units): what a customer who already pays was charged."""
    return replace(terms, unit_amount=unit_amount, price_id=f"{terms.price_id}.opening")
