"""Explains a ledger entry or a charge: which facts, which rules, which arithmetic."""

import json
import shutil
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click

from billing.core.calendar import written
from billing.core.money import written as money
from service.cli import check_line, opened
from workers.explaining import explained
from workers.exporting import export

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("wanted", metavar="ENTRY_OR_CHARGE_ID", required=False)
@click.option("--lang", type=click.Choice(["en", "ja"]), default="en", show_default=True, help="Of the sentences.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of sentences.")
@click.option("--export", "export_to", type=_FILE, metavar="FILE", help="Write out the entry and all it rests on.")
@click.option("--checker", type=_FILE, metavar="FILE", help="Write out the program that checks such a file offline.")
def command(wanted: str | None, lang: str, as_json: bool, export_to: Path | None, checker: Path | None) -> None:
    """Explains the ledger entry, or every line of the charge, of that id.

    --export writes the entry with every fact, price and ledger row it rests on; --checker writes one Python file that
    needs nothing of Sekisu and computes the entry again from them.
    """
    if checker is not None:
        shutil.copyfile(Path(check_line.__file__), checker)
    if wanted is None:
        if checker is None or export_to is not None:
            raise click.UsageError("say which: give the id of a ledger entry or of a charge")
        return
    if export_to is not None:
        with opened.database() as (_, database), database.snapshot() as connection:
            told = export(connection, wanted)
        export_to.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        return
    _explain(wanted, lang, as_json)


def _explain(wanted: str, lang: str, as_json: bool) -> None:
    with opened.database() as (_, database), database.reading() as connection:
        charge, entries = explained(connection, wanted)
    if as_json:
        answer = entries[0] if charge is None else {"charge": charge, "explanations": entries}
        click.echo(json.dumps(answer, default=_plain, ensure_ascii=False))
        return
    if charge is not None:
        asked = f"{money(charge['amount'], charge['currency'])}, of it tax {money(charge['tax'], charge['currency'])}"
        used = f", after {money(charge['credit'], charge['currency'])} of credit" if charge["credit"] else ""
        click.echo(f"{charge['id']} ({charge['status']}): {asked}{used}")
    for entry in entries:
        _tell(entry, lang)


def _tell(entry: dict[str, Any], lang: str) -> None:
    click.echo(f"{entry['entry_id']}: {money(entry['amount'], entry['currency'])}")
    click.echo(f"  {entry['text'][lang]}")
    sum_ = f"{entry['unit_amount']} x {entry['seats']} x {entry['fraction']} = {entry['exact']}"
    click.echo(f"  {sum_} -> {entry['line_amount']} ({entry['method']}, {entry['rounding']})")
    click.echo(f"  rules {', '.join(entry['rules'])}")
    for fact in entry["facts"]:
        who = " ".join(str(fact[name]) for name in ("member", "board") if fact[name])
        click.echo(f"  {fact['at']} {fact['kind']} {who} ({fact['id']}, heard {fact['heard_at']})")


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return written(value)
    return value.isoformat() if isinstance(value, date) else str(value)
