"""Shows the prices in force; checks plan files, or loads those of the operator's directory now."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from billing.core.calendar import local_date
from billing.core.errors import InvalidError
from billing.settings import Settings
from billing.store import catalogue, planfile
from billing.store.db import Row, wall_clock
from service.cli import opened


@click.command()
@click.option(
    "--check", type=click.Path(path_type=Path), metavar="PATH", help="Judge a plan file or a directory; load nothing."
)
@click.option(
    "--load", is_flag=False, flag_value="", default=None, metavar="[DIR]", help="Load SEKISU_PLANS_DIR, or DIR, now."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of a table.")
def command(check: Path | None, load: str | None, as_json: bool) -> None:
    """Shows every price of the catalogue, with what is valid today, where it comes from and how well it is known.

    Plans are dated data files (docs/plans.md). A bad file is told with its line and refused with its whole directory,
    exit code 1. Periods that are open keep the price they opened with; a loaded price counts from its date on.
    """
    if check and load is not None:
        raise click.UsageError("--check and --load cannot be used together")
    if check:
        _check(check, as_json)
    elif load is not None:
        _load(Path(load) if load else None, as_json)
    else:
        _list(as_json)


def _check(path: Path, as_json: bool) -> None:
    found = _found(path)
    plans = planfile.joined(found)
    told = {
        "files": list(found.files),
        "plans": [plan["plan"] for plan in found.plans],
        "options": [option["option"] for option in found.options],
        "warnings": _warnings(plans, found.files),
    }
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    click.echo(f"good: {len(found.plans)} plans and {len(found.options)} options in {len(found.files)} files")
    _warn(told["warnings"])


def _load(folder: Path | None, as_json: bool) -> None:
    chosen = folder or Settings.load(os.environ).plans
    found = _found(chosen) if folder or chosen.is_dir() else planfile.Found()
    plans = planfile.joined(found)
    with opened.database() as (_, database), database.transaction("plans.load") as connection:
        before = catalogue.version(connection)
        after = catalogue.load(connection, plans)
    warnings = _warnings(plans, found.files)
    if as_json:
        told = {"version": after, "before": before, "files": list(found.files), "warnings": warnings}
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    files = f"{len(found.files)} files of {chosen}" if chosen.exists() else f"{chosen} is not there"
    click.echo(f"{'loaded' if after != before else 'unchanged'}: catalogue version {after} ({files})")
    _warn(warnings)


def _found(path: Path) -> planfile.Found:
    if not path.exists():
        raise InvalidError(f"{path} is not there")
    return planfile.own(path)


def _warnings(plans: Iterable[Mapping[str, Any]], files: Iterable[str]) -> list[str]:
    """Of the operator's own files only: nobody can mend what is shipped."""
    return [told for told in planfile.warnings(plans) if told.startswith(tuple(f"{file}:" for file in files))]


def _warn(warnings: Iterable[str]) -> None:
    for told in warnings:
        click.echo(f"warning: {told}", err=True)


def _list(as_json: bool) -> None:
    with opened.database() as (settings, database), database.reading() as connection:
        version = catalogue.version(connection)
        rows = catalogue.listed(connection, local_date(wall_clock(connection), "UTC"))
    if as_json:
        told = {"version": version, "directory": str(settings.plans), "prices": [_price(row) for row in rows]}
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    click.echo(f"catalogue version {version}; your own plan files: {settings.plans}")
    for row in map(_price, rows):
        price = "no price" if row["unit_amount"] is None else f"{row['unit_amount']} {row['currency']}"
        mark = "*" if row["in_force"] else " "
        name = f"{mark} {row['plan']:<30} {row['interval']:<9} {row['valid_from']} {price:>14}"
        click.echo(f"{name}  {row['grade']:<11} {row['source']}")


def _price(row: Row) -> dict[str, Any]:
    terms = row["terms"]
    priced = row["interval"] != planfile.UNPRICED
    return {
        "id": row["id"],
        "plan": row["plan"],
        "interval": row["interval"] if priced else planfile.ONCE,
        "valid_from": row["valid_from"].isoformat(),
        "unit_amount": row["unit_amount"] if priced else None,
        "currency": row["currency"],
        "in_force": row["in_force"],
        "version": row["version"],
        "grade": terms.get("grade", ""),
        "source": terms.get("source", ""),
        "terms": {key: value for key, value in terms.items() if key not in ("grade", "source")},
    }
