"""Writes openapi.yaml from the code, or says whether it is what the code says."""

import difflib
import sys
from itertools import islice
from pathlib import Path

import click
from flask import Flask

from billing.core.errors import NotFoundError
from billing.settings import Settings
from billing.store.db import Database
from service import api
from workers.bell import Bell

#: Lines of a difference that are shown.
_MOST_LINES = 40


def described() -> str:
    """The document of this code. It needs no setting, no database and no broker."""
    app = Flask("described", static_folder=None)
    api.register(app, Settings(data_dir=Path()), Database(""), Bell(""))
    text: str = app.extensions[api.DESCRIPTION]
    return text


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 when the file is not what the code says.")
@click.option("--file", "path", type=click.Path(path_type=Path), default=Path("openapi.yaml"), show_default=True)
def command(check: bool, path: Path) -> None:
    """Writes openapi.yaml from the code."""
    text = described()
    if not check:
        path.write_text(text, encoding="utf-8")
        click.echo(f"{path} is written")
        return
    if not path.is_file():
        raise NotFoundError(f"there is no {path} here; write it with `sekisu openapi`")
    found = path.read_text(encoding="utf-8")
    if found == text:
        click.echo(f"{path} is what the code says")
        return
    difference = difflib.unified_diff(found.splitlines(), text.splitlines(), str(path), "the code", lineterm="")
    click.echo("\n".join(islice(difference, _MOST_LINES)))
    click.echo(f"{path} is not what the code says; write it with `sekisu openapi`", err=True)
    sys.exit(1)
