"""Shows what is due and since when, what failed, and whether something needs a person."""

import json
import sys
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from billing.core.calendar import written
from service.cli import opened
from workers.standing import Standing, look


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of a table.")
@click.option("--alarm-hours", default=24.0, show_default=True, help="How long an alarm counts.")
def command(as_json: bool, alarm_hours: float) -> None:
    """Shows the oldest due row, deliveries, facts, charges, callbacks, alarms and unexplained differences.

    Exit code 0: all is well, or will be by itself. Exit code 1: something needs a person, namely a quarantined
    delivery or callback, a failed charge, a charge without an outcome for over an hour, an unexplained difference
    (`sekisu verify`), or an alarm of the last --alarm-hours.
    """
    with opened.database() as (_, database), database.reading() as connection:
        standing = look(connection, alarm_hours)
    needs = standing.needs_person
    if as_json:
        answer = {"ok": not needs, "needs_person": needs, **asdict(standing)}
        click.echo(json.dumps(answer, default=_written, ensure_ascii=False))
    else:
        _table(standing)
    sys.exit(1 if needs else 0)


def _written(value: object) -> object:
    return written(value) if isinstance(value, datetime) else str(value)


def _table(standing: Standing) -> None:
    due = standing.oldest_due
    since = f"{due['what']} {due['id']}, {_age(standing.now, due['since'])}" if due else "nothing is due"
    oldest = standing.facts["oldest"]
    lines: list[tuple[str, Any]] = [
        ("oldest due row", since),
        ("deliveries", _counts(standing.deliveries)),
        (
            "facts",
            f"{standing.facts['unsettled']} unsettled" + (f", heard {_age(standing.now, oldest)}" if oldest else ""),
        ),
        ("charges", _counts(standing.charges)),
        ("refunds", _counts(standing.refunds)),
        ("mails", _counts(standing.mails)),
        ("callbacks", _counts(standing.callbacks)),
        ("alarms", _counts(standing.alarms) or "none"),
        ("unexplained", standing.unexplained),
    ]
    for name, value in lines:
        click.echo(f"{name:<16} {value}")
    needs = standing.needs_person
    click.echo(f"{'needs a person':<16} {', '.join(needs) or 'nothing'}")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _age(now: datetime, since: datetime | None) -> str:
    if since is None:
        return "by its own clock"
    return f"since {written(since)} ({max(0.0, (now - since).total_seconds()):.0f} s)"
