"""Brings the database to the newest schema, with the prices that ship with this version."""

import os

import click

from billing.settings import Settings
from billing.store.migrate import migrate


@click.command()
def command() -> None:
    """Brings the database to the newest schema; safe to run from many processes at once."""
    settings = Settings.load(os.environ)
    settings.need("database_url")
    click.echo(f"the database is at revision {migrate(settings.database_url)}")
