"""How the service stands: what is due and since when, what failed, and what needs a person. Reading only."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.core.plans import RERATING_DAYS
from billing.store.db import Conn, Row, many, one
from workers.verifying import UNEXPLAINED

#: The states a delivery can wait in, and the statuses of a charge, always told, at zero too.
DELIVERIES = ("kept", "parked", "quarantined")
CHARGES = ("queued", "held", "sending", "pending", "unknown", "failed")
REFUNDS = ("queued", "held", "sending", "pending", "unknown", "failed")
#: How long a charge's outcome may stay unknown before a person should look.
UNKNOWN_FOR = "1 hour"


@dataclass(frozen=True, slots=True)
class Standing:
    """One look. `oldest_due` is the row that is due the longest (None: nothing is); instants are UTC wall time.

    `unknown_long` counts charges without an outcome for over an hour, `alarms` those since the instant asked for, by
    kind; `unexplained` counts all there ever were (law 3: each waits for a person). `unpaid` are failed charges not
    tried again by themselves, `late_facts` wait for a verdict (law 10), `unreconciled` are workspaces whose last
    pull failed. `needs_person` says why, in words.
    """

    now: datetime
    oldest_due: dict[str, Any] | None
    deliveries: dict[str, int]
    facts: dict[str, Any]
    charges: dict[str, int]
    unknown_long: int
    refunds: dict[str, int]
    mails: dict[str, int]
    callbacks: dict[str, int]
    alarms: dict[str, int]
    unexplained: int
    unpaid: int
    late_facts: int
    unreconciled: int

    @property
    def needs_person(self) -> list[str]:
        """What nobody but a person will put right; empty when all is well."""
        counts = {
            "quarantined deliveries": self.deliveries["quarantined"],
            "quarantined callbacks": self.callbacks["quarantined"],
            "failed charges": self.unpaid,
            "failed refunds": self.refunds["failed"],
            "failed mails": self.mails["failed"],
            "charges without an outcome for over an hour": self.unknown_long,
            "unexplained differences": self.unexplained,
            "late facts without a verdict": self.late_facts,
            "workspaces that could not be reconciled": self.unreconciled,
            "alarms": sum(self.alarms.values()),
        }
        return [f"{count} {name}" for name, count in counts.items() if count]


def look(connection: Conn, alarm_hours: float) -> Standing:
    """Look once, in the caller's transaction; alarms count for so many hours."""
    deliveries = _counted(connection, "SELECT state AS name, count(*) AS n FROM delivery GROUP BY 1", DELIVERIES)
    charges = _counted(connection, "SELECT status AS name, count(*) AS n FROM charge GROUP BY 1", CHARGES)
    refunds = _counted(connection, "SELECT status AS name, count(*) AS n FROM refund GROUP BY 1", REFUNDS)
    mails = _counted(connection, "SELECT status AS name, count(*) AS n FROM mail GROUP BY 1", ("queued", "failed"))
    callbacks = _counted(
        connection, "SELECT state AS name, count(*) AS n FROM callback GROUP BY 1", ("parked", "quarantined")
    )
    alarms = many(connection, _ALARMS, {"hours": alarm_hours, "unexplained": UNEXPLAINED})
    counts = _row(connection, _COUNTS, {"unexplained": UNEXPLAINED})
    return Standing(
        now=counts["now"],
        oldest_due=one(connection, _DUE),
        deliveries=deliveries,
        facts=_row(connection, _FACTS),
        charges=charges,
        unknown_long=counts["unknown_long"],
        refunds=refunds,
        mails=mails,
        callbacks=callbacks,
        alarms={row["kind"]: row["n"] for row in alarms},
        unexplained=counts["unexplained"],
        unpaid=counts["unpaid"],
        late_facts=counts["late_facts"],
        unreconciled=counts["unreconciled"],
    )


def _row(connection: Conn, query: str, parameters: dict[str, Any] | None = None) -> Row:
    row = one(connection, query, parameters)
    assert row is not None  # noqa: S101 - an aggregate has one row
    return row


def _counted(connection: Conn, query: str, names: tuple[str, ...]) -> dict[str, int]:
    found = {row["name"]: row["n"] for row in many(connection, query)}
    return {name: found.get(name, 0) for name in names}


#: A workspace with a clock of its own is due in its own time, so its age in wall time says nothing: it comes last.
_DUE = """
SELECT what, id, since FROM (
    SELECT 'delivery' AS what, id, due_at AS since FROM delivery WHERE state = 'kept' AND due_at <= clock_timestamp()
    UNION ALL
    SELECT 'callback', gateway || '/' || id, due_at FROM callback WHERE due_at <= clock_timestamp()
    UNION ALL
    SELECT 'charge', id, due_at FROM charge WHERE due_at <= clock_timestamp()
    UNION ALL
    SELECT 'refund', id, due_at FROM refund WHERE due_at <= clock_timestamp() AND status <> 'held'
    UNION ALL
    SELECT 'workspace', w.id, CASE WHEN c.id IS NULL THEN w.due_at END FROM workspace w
    LEFT JOIN clock c ON c.id = w.clock_id WHERE w.due_at <= COALESCE(c.now, clock_timestamp())
) due ORDER BY since NULLS LAST LIMIT 1
"""
_FACTS = """
SELECT count(*) AS unsettled, min(f.heard_at) AS oldest FROM fact f JOIN workspace w ON w.id = f.workspace_id
LEFT JOIN clock c ON c.id = w.clock_id
WHERE f.settled_at IS NULL AND f.at <= GREATEST(COALESCE(c.now, clock_timestamp()), w.settled_through)
"""
_ALARMS = """
SELECT kind, count(*) AS n FROM alarm
WHERE kind <> %(unexplained)s AND at > clock_timestamp() - make_interval(secs => %(hours)s * 3600)
GROUP BY kind ORDER BY kind
"""
_COUNTS = f"""
SELECT clock_timestamp() AS now,
    (SELECT count(*) FROM charge WHERE status = 'unknown'
     AND first_sent_at < clock_timestamp() - interval '{UNKNOWN_FOR}') AS unknown_long,
    (SELECT count(*) FROM charge c JOIN workspace w ON w.id = c.workspace_id
     WHERE c.status = 'failed' AND w.state <> 'past_due'
       AND COALESCE((SELECT sum(l.amount - l.reduced) FROM charge_line l WHERE l.charge_id = c.id), 1) > 0) AS unpaid,
    (SELECT count(*) FROM fact f WHERE f.heard_at - f.at > interval '{RERATING_DAYS} days'
       AND NOT EXISTS (SELECT FROM fact v WHERE v.workspace_id = f.workspace_id AND v.kind = 'late.accepted'
                       AND v.data->'facts' ? f.id)) AS late_facts,
    (SELECT count(*) FROM workspace WHERE pull_fault IS NOT NULL) AS unreconciled,
    (SELECT count(*) FROM alarm WHERE kind = %(unexplained)s) AS unexplained
"""  # noqa: S608 - a constant of this file
