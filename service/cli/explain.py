"""Explains a ledger entry or a charge: which facts, which rules, which arithmetic."""

import json
from datetime import date, datetime
from typing import Any

import click

from billing.core.calendar import written
from billing.core.money import written as money
from service.cli import opened
from workers.explaining import explained


@click.command()
@click.argument("wanted", metavar="ENTRY_OR_CHARGE_ID")
@click.option("--lang", type=click.Choice(["en", "ja"]), default="en", show_default=True, help="Of the sentences.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of sentences.")
def command(wanted: str, lang: str, as_json: bool) -> None:
    """Explains the ledger entry, or every line of the charge, of that id."""
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
