"""Recomputes every line, balance and chain from the facts, and names what differs."""

import json
import re
import secrets
import sys
import time
from collections.abc import Callable

import click

from service.cli import opened
from workers.checks.chain import LEAST
from workers.shuffling import Shuffled, shuffle
from workers.verifying import Paper, Report, verify

#: Seconds before a long run starts to say how far it is, and between two words of it.
_QUIET = 2.0


@click.command()
@click.option("--workspace", "workspace_id", metavar="ID", help="Only this workspace.")
@click.option("--shuffle", "rounds", type=click.IntRange(0, 10_000), default=0, metavar="N", help="Replay N orders.")
@click.option("--seed", type=int, help="Of the shuffled orders; without it a new one, which is printed.")
@click.option(
    "--head",
    "heads",
    multiple=True,
    metavar="NUMBER:HEAD",
    callback=lambda _context, _option, given: [_paper(text) for text in given],
    help="A chain head printed on a document: its number (or a workspace's id) and the digits. Several may be given.",
)
@click.option("--papers", is_flag=True, help="Render each kept document again and compare its bytes.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of sentences.")
def command(
    workspace_id: str | None, rounds: int, seed: int | None, heads: list[Paper], papers: bool, as_json: bool
) -> None:
    """Recomputes facts, lines, balances, rosters, charges, documents and hash chains; exit code 1 on any difference.

    A difference between what the facts say and what was posted is recorded as an `unexplained` alarm, once.

    --shuffle N hears this database's own deliveries, imports and commands again in N random orders, with copies,
    batches and deaths, in a temporary schema, and compares facts, roster and lines. Nothing is sent or changed.
    """
    chosen = secrets.randbelow(1_000_000) if seed is None else seed
    shuffled: Shuffled | None = None
    with opened.database() as (_, database):
        report = verify(database, workspace_id, _progress("workspaces"), heads, render=papers)
        if rounds:
            shuffled = shuffle(database.url, workspace_id, rounds, chosen, _progress("orders"))
            report.faults += shuffled.faults
    if as_json:
        click.echo(json.dumps(report.json() | {"shuffle": shuffled and shuffled.json()}, ensure_ascii=False))
    else:
        _tell(report, shuffled)
    sys.exit(0 if report.ok else 1)


def _paper(text: str) -> Paper:
    """A head as a person types it off a document: `INV-1A2B3C4D-000001:0123456789abcdef`."""
    name, _, head = text.strip().rpartition(":")
    head = head.strip().lower()
    if not name or not re.fullmatch(f"[0-9a-f]{{{LEAST},64}}", head):
        raise click.BadParameter(
            f"{text!r}: write the document's number, a colon, and the head's {LEAST} digits or more"
        )
    return Paper(name.strip(), head)


def _progress(what: str) -> Callable[[int, int], None]:
    """Says on stderr how far a long run is."""
    said = time.monotonic()

    def hear(done: int, whole: int) -> None:
        nonlocal said
        if time.monotonic() - said >= _QUIET:
            said = time.monotonic()
            click.echo(f"{done} of {whole} {what}", err=True)

    return hear


def _tell(report: Report, shuffled: Shuffled | None) -> None:
    first = report.first
    if first:
        click.echo(f"first wrong row: {first.table} {first.row}")
        click.echo(f"  says        {first.says or '-'}")
        click.echo(f"  should say  {first.should or '-'}")
    for fault in report.faults:
        click.echo(f"{fault.workspace_id} {fault.check:<9} {fault.subject}: {fault.detail}")
    for workspace_id in report.waiting:
        click.echo(f"{workspace_id} waits for a settlement; its lines and roster were not judged")
    if shuffled:
        for sentence in shuffled.skipped:
            click.echo(f"not shuffled: {sentence}")
        told = f"{shuffled.rounds} orders of {shuffled.deliveries} deliveries and {shuffled.facts} other facts"
        click.echo(f"shuffled {shuffled.workspaces} workspaces: {told}, seed {shuffled.seed}")
    told = ", ".join(f"{count:,} {name}" for name, count in report.counts.items())
    click.echo(f"checked {told}")
    found = f"{len(report.faults)} differences" if report.faults else "no difference"
    click.echo(f"verified {report.workspaces} workspaces: {found}")
