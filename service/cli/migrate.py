"""Brings the database to the newest schema and loads the shipped prices."""

import os

import click

from billing.settings import Settings
from billing.store.migrate import current, migrate
from service.cli import pgtools


@click.command()
def command() -> None:
    """Brings the database to the newest schema, with the shipped prices, and prints the revision it is at.

    Doing it again changes nothing; several processes may do it at once. Prices that are there already stand.
    """
    with pgtools.database(Settings.load(os.environ)) as url:
        before = current(url)
        after = migrate(url)
    click.echo(f"{after} (was {before or 'empty'})" if before != after else after)
