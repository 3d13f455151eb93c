"""Has kept deliveries read again, by id or all that are parked or quarantined."""

import sys

import click

from service.cli import opened
from workers.replaying import replay, waiting


@click.command()
@click.argument("ids", nargs=-1, metavar="[DELIVERY_ID]...")
@click.option("--state", type=click.Choice(["parked", "quarantined"]), help="All deliveries in this state.")
def command(ids: tuple[str, ...], state: str | None) -> None:
    """Has deliveries read again; facts already known stay single.

    All named deliveries are replayed or none: one whose raw body was dropped cannot be. With --state those without
    a body are left out, named, and the exit code is 1; a delivery that bears the id of another event is replayed only
    when it is named itself.
    """
    if bool(ids) == bool(state):
        raise click.UsageError("name deliveries, or give --state parked or --state quarantined")
    lost: list[str] = []
    with opened.database() as (settings, database):
        with database.transaction("replay") as connection:
            if state:
                found, lost = waiting(connection, state)
                ids = tuple(found)
            replayed = replay(connection, ids) if ids else []
        opened.ring(settings, *{("read", row["connection_id"]) for row in replayed})
    click.echo(f"{len(replayed)} deliveries will be read again")
    for delivery_id in lost:
        click.echo(f"sekisu: the raw body of delivery {delivery_id} was dropped, so it cannot be read again", err=True)
    sys.exit(1 if lost else 0)
