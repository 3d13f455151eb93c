"""Compares workspaces with their tools' full lists and files what webhooks lost."""

import json
import sys
import time

import click

from billing.store.db import Database, many
from service.cli import opened
from workers.reconcile import Report, reconcile

#: Seconds before a long pull starts to say how far it is, and between two words of it.
_QUIET = 2.0
_WHY = {"webhook_missed": "webhook missed", "webhook_failed": "webhook failed", "out_of_scope": "no webhook tells it"}


@click.command()
@click.argument("workspace_ids", nargs=-1, metavar="[WORKSPACE_ID]...")
@click.option("--all", "everyone", is_flag=True, help="Every workspace whose connection has a credential.")
@click.option("--dry-run", is_flag=True, help="Only say what differs and why; file nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of sentences.")
def command(workspace_ids: tuple[str, ...], everyone: bool, dry_run: bool, as_json: bool) -> None:
    """Pulls the full lists of workspaces, says what differs from what webhooks told and why, and files it as facts.

    Exit code 1 when a workspace could not be reconciled; then nothing was filed for it. Facts with a time of their
    own are filed as their webhooks would have told them; others carry the interval in which they were observed.
    """
    if bool(workspace_ids) == everyone:
        raise click.UsageError("name workspaces, or give --all")
    reports: list[Report] = []
    with opened.database() as (settings, database):
        names = _all(database) if everyone else list(dict.fromkeys(workspace_ids))
        for done, name in enumerate(names):
            said = _Progress(f"{done + 1} of {len(names)} workspaces")
            reports.append(reconcile(database, settings, name, dry_run=dry_run, progress=said.hear))
            if not as_json:
                _tell(reports[-1])
        opened.ring(settings, *{("settle", name) for report in reports for name in report.touched})
    if as_json:
        whole = {"ok": not _faults(reports), "workspaces": [report.json() for report in reports]}
        click.echo(json.dumps(whole, ensure_ascii=False))
    else:
        differences = sum(len(report.differences) for report in reports)
        click.echo(
            f"reconciled {len(reports) - _faults(reports)} of {len(reports)} workspaces: {differences} differences"
        )
    sys.exit(1 if _faults(reports) else 0)


class _Progress:
    """Says on stderr how far a long pull is."""

    def __init__(self, which: str) -> None:
        self.which = which
        self.said = time.monotonic()

    def hear(self, answers: int) -> None:
        if time.monotonic() - self.said >= _QUIET:
            self.said = time.monotonic()
            click.echo(f"{self.which}: {answers} answers", err=True)


def _all(database: Database) -> list[str]:
    query = """SELECT w.id FROM workspace w WHERE EXISTS (
                   SELECT FROM connection c WHERE c.account_id = w.account_id AND c.tool = w.tool
                   AND c.removed_at IS NULL AND c.credential IS NOT NULL AND c.id = COALESCE(w.connection_id, c.id))
               ORDER BY w.id"""
    with database.reading() as connection:
        return [row["id"] for row in many(connection, query)]


def _faults(reports: list[Report]) -> int:
    return sum(report.fault is not None for report in reports)


def _tell(report: Report) -> None:
    if report.fault is not None:
        click.echo(f"{report.workspace_id} could not be reconciled, nothing was filed: {report.fault}", err=True)
        return
    for difference in report.differences:
        told = difference.json()
        between = difference.observed and f"observed between {told['observed']['from']} and {told['observed']['to']}"
        subject = " ".join(filter(None, (difference.member, difference.board)))
        click.echo(
            f"{report.workspace_id} {difference.kind} {subject}: {between or told['at']}; "
            f"{_WHY[difference.why]} ({difference.detail})"
        )
    if any(difference.observed for difference in report.differences):
        hidden = "not computed, a renewal is due" if report.largest_hidden is None else _money(report)
        click.echo(f"{report.workspace_id} largest difference the time unseen can hide: {hidden}")


def _money(report: Report) -> str:
    return f"{report.largest_hidden} {report.currency or ''} minor units".replace("  ", " ")
