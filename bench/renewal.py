"""Many subscriptions renew at one instant: the ticker and the workers of `sekisu up` settle and charge them all."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bench import sides
from bench.house import StateError
from bench.load import LoadError
from bench.machine import await_true
from bench.mould import Mould, mould
from bench.row import Row, limit
from bench.rows import Bench
from billing.store.db import Database
from workers.verifying import check

_SECONDS = 3 * 3600.0
#: Seconds allowed, and aimed for, for one of a hundred thousand; a smaller run is judged by the same pace.
_AT_LEAST, _AIM = 600.0 / 100_000, 120.0 / 100_000


def renewal(bench: Bench) -> list[Row]:
    """From the moment the workers may begin until every renewal is charged and the sink has answered; the period before
    began a month ago. The subscriptions are copies of one that the product started and charged.
    """
    count = bench.size.subscriptions
    sink = sides.Sink(bench.folder)
    side = sides.Sekisu(bench.folder / "renewing", sink.url)
    try:
        template = _template(side, bench.size.seats)
        sides.pause(side)
        copies = mould(side.database_url, template, frozenset({"clock_id"}))
        bench.say(f"copying one subscription of {bench.size.seats} seats {count:,} times")
        copies.copy(1, count, lambda done: bench.say(f"  {done:,} copies") if done % 25_000 == 0 else None)
        _must_verify(side, copies, count)
        copies.connection.autocommit = True
        copies.connection.execute("VACUUM (ANALYZE)")
        return [_measured(bench, side, sink, copies, count)]
    finally:
        side.stop()
        sink.stop()


def _measured(bench: Bench, side: sides.Sekisu, sink: sides.Sink, copies: Mould, count: int) -> Row:
    before, used, began = sink.book(), side.cpu(), time.monotonic()
    with bench.profile.on("renewal"):
        sides.resume(side)
        pace = _Pace(bench, count, began)
        await_true(lambda: pace.told(sink.book()["charges"] - before["charges"]), "every renewal", _SECONDS, 0.25)
    book = sink.book()
    seconds = book["last_at"] - began
    spent = side.cpu() - used
    await_true(lambda: _paid(copies) == count + 1, "every charge is booked as paid", 120, 0.5)
    _must_verify(side, copies, count)
    if book["charges"] - before["charges"] != count:
        raise LoadError(f"{book['charges'] - before['charges']} charges for {count} renewals")
    notes = {
        "renewals_per_s": count / seconds,
        "cpu_ms_each": spent.program / count * 1000,
        "engines_ms_each": spent.engines / count * 1000,
    }
    row = limit(f"renewal, {count:,} of {bench.size.seats} seats", "s", [seconds], count * _AT_LEAST, count * _AIM)
    return replace(row, notes=notes)


class _Pace:
    """Says how far it is, now and then."""

    def __init__(self, bench: Bench, count: int, began: float) -> None:
        self.bench, self.count, self.began, self.said = bench, count, began, 0

    def told(self, done: int) -> bool:
        """Whether all are done."""
        if done // 10_000 > self.said // 10_000:
            self.bench.say(f"  {done:,} renewed after {time.monotonic() - self.began:.0f} s")
            self.said = done
        return done >= self.count


def month_ago(today: datetime) -> datetime:
    """A midnight (UTC) from which a month ends at or before `today`, and two months after it."""
    first = today.replace(day=min(today.day, 28), hour=0, minute=0, second=0, microsecond=0)
    return (first.replace(day=1) - timedelta(days=1)).replace(day=first.day)


def _template(side: sides.Sekisu, seats: int) -> str:
    """A workspace of `seats` people whose first month was charged and paid, under a clock that stands at its start."""
    start = month_ago(datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    [clock] = side.post("/v1/clocks", [{"now": start}])
    told = {
        "tool": "standard",
        "connection_id": side.connection,
        "external_id": "bench-renewing-00000000",
        "name": "Renewing",
    }
    [made] = side.post("/v1/workspaces", [told | {"time_zone": "UTC", "clock_id": clock["id"]}])
    place, people = f"/v1/workspaces/{made['id']}", range(seats)
    members = [{"id": f"p{n}", "name": f"Person {n}", "member": True, "boards": [], "state": "joined"} for n in people]
    side.post(f"{place}/roster", [{"at": start, "members": members, "boards": []}])
    actor = {"id": "bench-admin", "role": "admin"}
    body = {"actor": actor, "plan": "trello-premium", "interval": "month", "payment_method": "card"}
    side.post(f"{place}/subscription", [body])
    await_true(lambda: side.get(place)["pending"] == 0, "the template is paid")
    await_true(lambda: bool(side.get(f"{place}/documents")["data"]), "its receipt is issued")
    return str(made["id"])


def _paid(copies: Mould) -> int:
    """Charges of a second period that were collected, and the template's own first one."""
    query = "SELECT count(*) AS n FROM charge WHERE status = 'succeeded' AND (n = 1 OR workspace_id = %s)"
    row = copies.connection.execute(query, (copies.workspace_id,)).fetchone()
    return int(row["n"]) if row else 0


def _must_verify(side: sides.Sekisu, copies: Mould, count: int) -> None:
    """Raises StateError when `sekisu verify` would find a fault in the first or the last copy."""
    database = Database(side.database_url, size=1)
    try:
        for n in sorted({1, count}):
            with database.transaction("bench") as connection:
                faults, _ = check(connection, copies.renamed(copies.workspace_id, n))
            if faults:
                raise StateError(f"copy {n}: {len(faults)} faults, first {faults[0]}")
    finally:
        database.close()
