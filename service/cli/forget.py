"""Drops raw bodies of old months; what they said stays, as facts."""

import json
from datetime import datetime

import click

from billing.store import months
from service.cli import opened


@click.command()
@click.option("--bodies-before", "month", required=True, metavar="YYYY-MM", help="The first month to keep.")
@click.option("--dry-run", is_flag=True, help="Only say what would be dropped.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def command(month: str, dry_run: bool, as_json: bool) -> None:
    """Drops the raw bodies of deliveries received before a month (UTC).

    Facts, ledger and the ids of deliveries stay, so a redelivery is still known; but `replay` and `verify --shuffle`
    cannot read those deliveries any more. A month with deliveries that wait for somebody is not dropped, nor are others
    with it.
    """
    try:
        day = datetime.strptime(month, "%Y-%m").date()  # noqa: DTZ007 - a month has no zone; months are UTC's
    except ValueError as fault:
        raise click.BadParameter(
            f"{month!r} is no month; write it like 2026-01", param_hint="--bodies-before"
        ) from fault
    with opened.database() as (_, database), database.transaction("forget") as connection:
        found = months.before(connection, day)
        if not dry_run:
            months.drop(connection, found)
    names = [row["month"].replace("_", "-") for row in found]
    if as_json:
        click.echo(json.dumps({"dropped": [] if dry_run else names, "would_drop": names if dry_run else []}))
        return
    click.echo(f"{'would drop' if dry_run else 'dropped'}: {', '.join(names) or 'nothing'}")
