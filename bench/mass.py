"""Big states in minutes: the rows the product would have written, by one set-based statement per table.

People of a workspace whose seats are all bought join, and leave and come back, one fact after the other: every fact
makes a step of occupancy, every stay a span, and no fact costs money. `bench.house.House.must_verify` shows, on a small
one, that the product finds nothing to object to.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from bench.house import ACCOUNT, House
from billing.store.db import Conn, many

#: From this many facts on, indexes are made anew after the rows instead of with each of them.
_MANY = 500_000
#: The i-th fact: of person i % people, in round i / people. In their last round everybody is in.
_ROWS = """
WITH told AS (
    SELECT i, (i %% %(people)s)::int AS who, %(first)s::timestamptz + i * %(gap)s::interval AS at,
           (%(rounds)s - 1 - i / %(people)s) %% 2 = 0 AS comes
    FROM generate_series(0, %(facts)s::bigint - 1) AS i
), named AS (
    SELECT *, 'p' || who AS member, 'past-' || %(name)s || '-' || i AS source_id FROM told
), known AS (
    SELECT *, 'fact_' || left(encode(sha256(convert_to(
        concat_ws(E'\\x1f', %(account)s::text, 'standard', source_id, '0'), 'UTF8')), 'hex'), 32) AS id FROM named
)
"""
_FACTS = (
    "INSERT INTO fact (workspace_id, id, kind, at, heard_at, source, source_id, ordinal, member, workspace, data, "
    "delivery_id, settled_at)"
    + _ROWS
    + """SELECT %(workspace)s, id, CASE WHEN comes THEN 'member.joined' ELSE 'member.left' END, at, at, 'standard',
       source_id, 0, member, %(name)s, jsonb_build_object('name', 'Person ' || who), 'dl_' || md5(source_id), now()
FROM known ORDER BY i"""
)
#: Who starts by leaving was never there: no stay, no step.
_SPANS = (
    "INSERT INTO span (workspace_id, member, start_at, end_at, fact_id)"
    + _ROWS
    + """SELECT %(workspace)s, member, at,
       CASE WHEN i + %(people)s < %(facts)s THEN at + %(people)s * %(gap)s::interval END, id
FROM known WHERE comes"""
)
_STEPS = (
    "INSERT INTO step (workspace_id, at, delta)"
    + _ROWS
    + """SELECT %(workspace)s, at, CASE WHEN comes THEN 1 ELSE -1 END
FROM known WHERE comes OR i >= %(people)s"""
)
_MEMBERS = (
    "INSERT INTO member (workspace_id, member, membership, deactivated, on_boards, open_boards, shut_boards, billable, "
    "rule, since, fact_id, last_at, name)"
    + _ROWS
    + """SELECT %(workspace)s, member, 'member', false, 0, 0, 0, true, %(rule)s, at, id, at, 'Person ' || who
FROM known WHERE i >= %(facts)s - %(people)s"""
)
_PLACE = """
UPDATE workspace SET occupied = occupied + %(people)s, frontier = %(last)s, settled_through = %(now)s
WHERE id = %(workspace)s
"""


@dataclass(frozen=True, slots=True)
class Crowd:
    """`facts` (a multiple of `people`) in the past of a workspace named `name`, which has `people` members now."""

    name: str
    people: int
    facts: int


def crowded(house: House, crowd: Crowd, first: datetime, now: datetime) -> str:
    """A workspace whose period began before `first` and whose facts fill the time until `now`; its id.

    The seats of all its people, and of the one the product itself let in, were paid for elsewhere.
    """
    workspace_id = house.workspace(crowd.name)
    house.file([house.event("member.joined", crowd.name, house.now, member="first", name="First Person")])
    house.settle(workspace_id)
    house.start(workspace_id, opening_seats=crowd.people + 1)
    gap = timedelta(milliseconds=max(1, int((now - first).total_seconds() * 1000) // (crowd.facts + 1)))
    [head] = house.sql("SELECT rule FROM member WHERE workspace_id = %s", workspace_id)
    told = {
        "workspace": workspace_id,
        "account": ACCOUNT,
        "name": crowd.name,
        "people": crowd.people,
        "facts": crowd.facts,
        "rounds": crowd.facts // crowd.people,
        "first": first,
        "gap": gap,
        "last": first + gap * (crowd.facts - 1),
        "now": now,
        "rule": head["rule"],
    }
    with house.database.transaction("bench") as connection:
        connection.execute("RESET ROLE")  # indexes are the owner's
        with _indexes_after(connection, ["fact", "span", "step", "member"], crowd.facts >= _MANY):
            for query in (_FACTS, _SPANS, _STEPS, _MEMBERS, _PLACE):
                connection.execute(query, told)
    return workspace_id


@contextmanager
def _indexes_after(connection: Conn, tables: list[str], wanted: bool) -> Iterator[None]:
    """Takes keys and indexes off while rows are written, and puts the same ones back."""
    keys = many(
        connection,
        """SELECT conrelid::regclass::text AS of, quote_ident(conname) AS name, pg_get_constraintdef(oid) AS made
           FROM pg_constraint WHERE contype IN ('p', 'u') AND conrelid::regclass::text = ANY(%s)""",
        (tables if wanted else [],),
    )
    for key in keys:
        connection.execute(f"ALTER TABLE {key['of']} DROP CONSTRAINT {key['name']}")
    plain = many(
        connection,
        """SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS made
           FROM pg_index WHERE indrelid::regclass::text = ANY(%s)""",
        (tables if wanted else [],),
    )
    for index in plain:
        connection.execute(f"DROP INDEX {index['name']}")
    yield
    for key in keys:
        connection.execute(f"ALTER TABLE {key['of']} ADD CONSTRAINT {key['name']} {key['made']}")
    for index in plain:
        connection.execute(index["made"])
