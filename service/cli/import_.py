"""Imports a workspace's full roster from a JSON or CSV file; the differences become facts."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from billing.core.calendar import read as instant
from billing.core.errors import InvalidError
from service.cli import opened, roster_file
from workers.roster_import import import_roster


class _Instant(click.ParamType[datetime]):
    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return value if isinstance(value, datetime) else instant(value)
        except (InvalidError, OverflowError) as fault:
            self.fail(str(fault), param, ctx)


@click.command(name="import")
@click.argument("workspace_id")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--at", type=_Instant(), metavar="INSTANT", help="When it was so (2025-01-15T00:00:00Z); default: now.")
@click.option("--dry-run", is_flag=True, help="Only say how many facts it would make.")
def command(workspace_id: str, file: Path, at: datetime | None, dry_run: bool) -> None:
    """Imports the full roster of WORKSPACE_ID from FILE: whoever is not in it is gone.

    FILE is JSON as `POST /v1/workspaces/{id}/roster` takes it, or a .csv with the columns id, name, member
    (true or false), boards (separated by `;`), state (joined, pending, deactivated) and role, of which only id
    must be there. Or a contract's list of users as Chatwork names its fields, with the columns account_id, name,
    role (administrator, ...) and state: it says nothing of rooms. One bad row refuses the whole file.
    """
    roster = roster_file.read(file)
    with opened.database() as (settings, database):
        with database.transaction("import") as connection:
            told = (at or roster["at"], roster["members"], roster["boards"])
            made = import_roster(connection, workspace_id, *told, contract=roster["contract"])
            if dry_run:
                connection.rollback()
        if made and not dry_run:
            opened.ring(settings, ("settle", workspace_id))
    click.echo(f"{made} facts" + (" would be made" if dry_run else ""))
