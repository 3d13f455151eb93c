"""The stored roster against the facts: by the full replay, and by folding everybody again from an empty head."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime

from billing.core import calendar
from billing.core.classification import classify
from billing.core.facts import LIFE_KINDS
from billing.core.lines import BOUGHT, policies
from billing.core.observed import standing_in
from billing.core.replay import Replay, seen_from
from billing.core.roster import Fold, Heads, MemberHead, Span, deltas, spans_of
from billing.core.statement import accepted
from billing.store import rows
from billing.store.db import Conn, Row, many
from workers.checks.lines import said
from workers.checks.snapshot import Fault, Snapshot

#: What a row that should not be, and one that should, say and should say.
_STANDS, _MISSING = ("stands", "no such row"), ("missing", "a row")


def faults(connection: Conn, snapshot: Snapshot) -> Iterator[Fault]:
    """Members, boards, who is on which board, billable spans, occupancy steps, and where the workspace stands."""
    external_id, turns = snapshot.workspace["external_id"], policies(snapshot.course, snapshot.pins, snapshot.base)
    facts = [fact for fact in snapshot.facts if fact.kind not in LIFE_KINDS]
    verdicts = accepted(snapshot.facts)
    replay = Replay(external_id, facts, turns, verdicts)
    seen = {fact.id: seen_from(fact, verdicts) for fact in facts}
    fold = Fold(Heads(), external_id, turns)
    fold.show(fact for fact in facts if seen[fact.id] == fact.at)
    counted = {fact.id: fact for fact in standing_in(facts)}
    spans = spans_of(fold.run_seen(list(counted.values()), facts, seen))
    fold.pass_over(fact for fact in facts if fact.id not in counted)
    yield from _members(snapshot, _of(connection, snapshot, "member"), replay, fold)
    yield from _boards(snapshot, _of(connection, snapshot, "board_head"), replay)
    yield from _seats(snapshot, _of(connection, snapshot, "seat"), replay)
    stored = [rows.span(row) for row in _of(connection, snapshot, "span")]
    yield from _spans(snapshot, stored, spans, replay)
    steps = {row["at"]: row["delta"] for row in _of(connection, snapshot, "step") if row["delta"]}
    yield from _steps(snapshot, steps, spans, replay)
    yield from _position(snapshot, replay, steps)


def _of(connection: Conn, snapshot: Snapshot, table: str) -> list[Row]:
    return many(connection, f"SELECT * FROM {table} WHERE workspace_id = %s", (snapshot.id,))  # noqa: S608 - our tables


def _members(snapshot: Snapshot, found: list[Row], replay: Replay, fold: Fold) -> Iterator[Fault]:
    stored = {row["member"]: rows.member_head(row) for row in found}
    wanted = {name: fold.heads.members[name] for name in fold.touched}
    for name in sorted(stored.keys() | wanted.keys()):
        have, want = stored.get(name), wanted.get(name)
        if have is None or want is None:
            told, there = ("is missing", _MISSING) if want else ("no fact knows them", _STANDS)
            yield snapshot.fault("roster", f"member {name}", told, "member", name, *there)
            continue
        known, stands = asdict(want) | _replayed(replay, name), asdict(have)
        wrong = [field for field, value in stands.items() if value != known[field]]
        if wrong:
            told = "; ".join(f"{field} {stands[field]}, by the facts {known[field]}" for field in wrong)
            says, should = (said({field: row[field] for field in wrong}) for row in (stands, known))
            yield snapshot.fault("roster", f"member {name}", told, "member", name, says, should)


def _replayed(replay: Replay, name: str) -> dict[str, object]:
    """What the full replay knows of a person, in the words of a head; it has the last word."""
    person, standing = replay.people[name], replay.standing(name)
    verdict = classify(standing, replay.policy_now)
    head = MemberHead(
        membership=person.membership,
        deactivated=person.deactivated,
        on=len(person.on),
        open=standing.boards,
        shut=standing.closed_boards,
        billable=verdict.billable,
        rule=verdict.rule,
    )
    unknown = ("since", "fact_id", "last_at", "name", "role")
    return {field: value for field, value in asdict(head).items() if field not in unknown}


def _boards(snapshot: Snapshot, found: list[Row], replay: Replay) -> Iterator[Fault]:
    stored = {row["board"]: (row["owner"], row["closed"]) for row in found}
    named = {fact.board for fact in snapshot.facts if fact.board is not None}
    for board in sorted(stored.keys() | named):
        wanted = (replay.owner.get(board), board in replay.closed) if board in named else None
        if stored.get(board) != wanted:
            told = f"owner and closed {stored.get(board)}, by the facts {wanted}"
            says, should = str(stored.get(board, "missing")), str(wanted or "no such board")
            yield snapshot.fault("roster", f"board {board}", told, "board_head", board, says, should)


def _seats(snapshot: Snapshot, found: list[Row], replay: Replay) -> Iterator[Fault]:
    stored = {(row["board"], row["member"]) for row in found if row["present"]}
    wanted = {(board, name) for name, person in replay.people.items() for board in person.on}
    for board, name in sorted(stored ^ wanted):
        there = (board, name) in stored
        told = "is on it only by the stored roster" if there else "is on it by the facts"
        row = ("seat", f"{board}, {name}", *(_STANDS if there else _MISSING))
        yield snapshot.fault("roster", f"seat {name} on {board}", told, *row)


def _spans(snapshot: Snapshot, stored: list[Span], folded: list[Span], replay: Replay) -> Iterator[Fault]:
    for span in sorted(set(stored) ^ set(folded), key=lambda span: (span.start, span.member)):
        told = "is stored and not by the facts" if span in stored else "is missing"
        subject = f"span of {span.member} from {calendar.written(span.start)}"
        named = ("span", f"{span.member}, {calendar.written(span.start)}", *(_STANDS if span in stored else _MISSING))
        yield snapshot.fault("roster", subject, f"{told} (to {span.end and calendar.written(span.end)})", *named)
    filled: dict[datetime, list[str]] = {}
    for span in (one for one in stored if one.fact_id):  # whom a turn of the seat policy seated, nobody's fact did
        filled.setdefault(span.start, []).append(span.fact_id)
    for moment in replay.history:
        if sorted(filled.pop(moment.at, [])) != list(moment.filled_by):
            yield snapshot.fault("roster", f"spans from {calendar.written(moment.at)}", "the replay fills other seats")


def _steps(snapshot: Snapshot, steps: dict[datetime, int], spans: list[Span], replay: Replay) -> Iterator[Fault]:
    wanted: Counter[datetime] = Counter()
    occupied = 0
    for moment in replay.history:
        wanted[moment.at], occupied = moment.occupied - occupied, moment.occupied
    folded = deltas(spans)
    for at in sorted(steps.keys() | wanted.keys() | folded.keys()):
        if not steps.get(at, 0) == wanted[at] == folded[at]:
            says, should = f"{steps.get(at, 0):+d}", f"{wanted[at]:+d}"
            row = ("step", calendar.written(at), says, should)
            yield snapshot.fault("roster", f"step at {calendar.written(at)}", f"{says}, by the facts {should}", *row)


def _position(snapshot: Snapshot, replay: Replay, steps: dict[datetime, int]) -> Iterator[Fault]:
    row, owed, life = snapshot.workspace, snapshot.owed or (), snapshot.course
    running = life.at(row["settled_through"]) if row["settled_through"] else None
    if life.suspended:  # what is suspended keeps its seats, also when its period is over
        running = life.stretches[-1]
    bought = (
        line.seats for line in owed if running and (line.subscription, line.n) == running.key and line.kind in BOUGHT
    )
    gone = (grant.count for grant in life.grants if running and grant.key == running.key and grant.count < 0)
    wanted = {
        "occupied": replay.history[-1].occupied if replay.history else 0,
        "purchased": sum(bought) + sum(gone),
        "opened": len(life.stretches),
        "state": life.state,
    }
    for name, value in wanted.items():
        if row[name] != value:
            named = ("workspace", snapshot.id, f"{name} {row[name]}", f"{name} {value}")
            yield snapshot.fault("roster", name, f"{row[name]}, by the facts {value}", *named)
    last = max([*steps, *(line.instant for line in owed)], default=None)
    if last is not None and (row["frontier"] is None or row["frontier"] < last):
        named = ("workspace", snapshot.id, f"frontier {row['frontier']}", f"frontier {last} or later")
        yield snapshot.fault(
            "roster", "frontier", f"{row['frontier']} lies before the last step or line, {last}", *named
        )
