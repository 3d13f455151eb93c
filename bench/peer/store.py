"""The peer's tables and its pools. A pool is made in the process that uses it, never before a fork."""

import os
from functools import cache

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

SCHEMA = """
CREATE TABLE workspaces (
    id text PRIMARY KEY, seats integer NOT NULL, occupied integer NOT NULL,
    unit_amount bigint NOT NULL, currency text NOT NULL,
    period_start date NOT NULL, period_end date NOT NULL
);
CREATE TABLE events (
    id text PRIMARY KEY, kind text NOT NULL, workspace text NOT NULL REFERENCES workspaces, member text NOT NULL,
    at timestamptz NOT NULL, body bytea NOT NULL, received_at timestamptz NOT NULL DEFAULT now(),
    counted boolean NOT NULL DEFAULT false
);
CREATE TABLE charges (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), event_id text NOT NULL UNIQUE REFERENCES events,
    workspace text NOT NULL REFERENCES workspaces, seats integer NOT NULL,
    amount bigint NOT NULL, currency text NOT NULL,
    status text NOT NULL DEFAULT 'open', reference text, paid_at timestamptz
);
"""


@cache
def pool() -> ConnectionPool[psycopg.Connection[TupleRow]]:
    """This process's connections to PEER_DATABASE_URL; a lone statement is its own transaction, in one round trip."""
    options = {"autocommit": True}
    return ConnectionPool(os.environ["PEER_DATABASE_URL"], kwargs=options, min_size=1, max_size=8, open=True)


def create(url: str) -> None:
    """Makes the tables, once, in an empty database."""
    with psycopg.connect(url) as connection:
        connection.execute(SCHEMA)


def add_workspaces(url: str, ids: list[str]) -> None:
    """Workspaces with one seat of 11999 cents a year, a quarter of the year gone."""
    row = "INSERT INTO workspaces VALUES (%s, 1, 1, 11999, 'USD', current_date - 91, current_date + 274)"
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.executemany(row, [(name,) for name in ids])


def tally(url: str) -> tuple[int, int, int]:
    """(events, charges paid, seats added) so far."""
    query = """SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM charges WHERE status = 'paid'),
                      (SELECT coalesce(sum(seats - 1), 0) FROM workspaces)"""
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    if row is None:
        raise LookupError("an aggregate gave no row")
    return int(row[0]), int(row[1]), int(row[2])


def waiting(url: str) -> int:
    """Events that are neither counted nor paid for."""
    query = """SELECT count(*) FROM events e WHERE NOT counted
               AND NOT EXISTS (SELECT FROM charges c WHERE c.event_id = e.id AND c.status = 'paid')"""
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
