"""What a workspace's life is read from: its commands and payments, and the terms each billed period pinned (law 3)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from billing.core import plans
from billing.core.course import Course, Stretch
from billing.core.facts import Fact
from billing.core.life import course as core_course
from billing.core.lines import Pins
from billing.core.plans import Terms
from billing.store import rows
from billing.store.db import Conn, Row, many


def course(connection: Conn, workspace: Row) -> Course:
    """The course of a workspace (a row with its `now`) up to its now."""
    return core_course(life(connection, workspace["id"]), workspace["now"], workspace["time_zone"])


def life(connection: Conn, workspace_id: str) -> list[Fact]:
    """The accepted commands and payment outcomes of a workspace."""
    query = "SELECT * FROM fact WHERE workspace_id = %s AND source IN ('command', 'payment')"
    return [rows.fact(row) for row in many(connection, query, (workspace_id,))]


def pins(connection: Conn, workspace_id: str) -> Pins:
    """The terms pinned by every billed period of the workspace, by subscription and number."""
    query = "SELECT subscription_id, n, terms::text AS terms FROM period WHERE workspace_id = %s"
    found = many(connection, query, (workspace_id,))
    return pins_read((row["subscription_id"], row["n"], row["terms"]) for row in found)


def pins_read(told: Iterable[tuple[str, int, str]]) -> dict[tuple[str, int], Terms]:
    """The pins of the periods (subscription, number, terms as text) that the database told."""
    return {(subscription, n): plans.read_text(text) for subscription, n, text in told}


def pin(connection: Conn, workspace_id: str, stretches: Sequence[Stretch], terms: Mapping[Any, Terms]) -> None:
    """Pin the terms of periods when they are first billed; pinning them again changes nothing."""
    connection.cursor().executemany(
        """INSERT INTO period (subscription_id, n, workspace_id, start_at, end_at, terms)
           VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING""",
        [
            (
                one.subscription,
                one.n,
                workspace_id,
                one.opens,
                one.period.end,
                json.dumps(plans.written(terms[one.key])),
            )
            for one in stretches
        ],
    )


def repin(connection: Conn, workspace_id: str, data: Mapping[str, Any]) -> None:
    """Pin other terms for a period, because a person ordered it (law 3); the fact keeps who, when and what."""
    connection.execute(
        "UPDATE period SET terms = %s WHERE workspace_id = %s AND subscription_id = %s AND n = %s",
        (json.dumps(data["terms"]), workspace_id, data["subscription"], data["n"]),
    )


def file(connection: Conn, workspace: Row, fact: Fact) -> None:
    """File an accepted command or a payment outcome; settlement takes it as it takes any fact."""
    connection.execute(
        """INSERT INTO fact (workspace_id, id, kind, at, heard_at, source, source_id, ordinal, source_seq, data)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (workspace_id, id) DO NOTHING""",
        (
            workspace["id"],
            fact.id,
            fact.kind,
            fact.at,
            fact.heard_at,
            fact.source,
            fact.source_id,
            fact.ordinal,
            fact.seq,
            json.dumps(dict(fact.data), default=str),
        ),
    )
