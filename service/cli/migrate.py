"""Brings the database to the newest schema and loads the plan files."""

import os

import click
from cryptography.fernet import InvalidToken

from billing.core.errors import InvalidError
from billing.settings import Settings
from billing.store.migrate import current, migrate
from service.cli import pgtools


@click.command()
@click.option("--reencrypt", is_flag=True, help="Encrypt every stored secret anew with the first of SEKISU_SECRET_KEY.")
def command(*, reencrypt: bool) -> None:
    """Brings the database to the newest schema, with the prices of every plan file, and prints the revision it is at.

    Plan files are those that ship with Sekisu and those of SEKISU_PLANS_DIR (docs/plans.md); a bad one is told with its
    line, and nothing is done. Doing it again changes nothing; several processes may do it at once.
    """
    settings = Settings.load(os.environ)
    with pgtools.database(settings) as url:
        before = current(url)
        try:
            after = migrate(url, settings.plans, settings.vault.rotate if reencrypt else None)
        except InvalidToken as fault:
            lost = "a stored secret cannot be decrypted with any key of SEKISU_SECRET_KEY; nothing was encrypted anew"
            raise InvalidError(lost) from fault
    click.echo(f"{after} (was {before or 'empty'})" if before != after else after)
