"""Runs everything, supervised: engines, migrations, the sandbox endpoint, web, workers and ticker."""

import os
from pathlib import Path
from typing import TextIO

import click

from billing.settings import Settings
from service.cli import main
from service.cli.stack import Stack, running
from service.cli.supervisor import Log


@click.command()
@click.option("--demo", metavar="NAME", help="Play this demo once everything answers, then stay up.")
@click.option(
    "--log-file", type=click.Path(dir_okay=False, path_type=Path), help="Write the children's log here, not to stderr."
)
def command(demo: str | None, log_file: Path | None) -> None:
    """Runs everything until Ctrl-C: engines (unless their addresses are set), sandbox, web, workers and ticker."""
    settings = Settings.load(os.environ)
    log_file = log_file or (settings.data_dir / "up.log" if demo else None)
    with running(settings, logger(settings, log_file)) as stack:
        if not stack.supervisor.stopping:
            _announce(stack, log_file)
            if demo:
                main.module("demo").perform(stack, demo, stays=True)
            click.echo(f"sekisu: open {stack.base_url}/docs; Ctrl-C stops everything")
        stack.supervisor.run()
        click.echo("sekisu: stopping")


def logger(settings: Settings, log_file: Path | None) -> Log:
    """Writes the children's lines with their name before each, or as they are where each is a JSON object."""
    bare = settings.log_format == "json"
    opened: list[TextIO] = []

    def log(name: str, line: str) -> None:
        text = line if bare and line.startswith("{") else f"{name:<8}| {line}"
        if log_file and not opened:  # not earlier: the data directory is made only now
            opened.append(log_file.open("a", encoding="utf-8", buffering=1))
        click.echo(text, file=opened[0] if opened else None, err=not opened)

    return log


def _announce(stack: Stack, log_file: Path | None) -> None:
    settings = stack.settings
    click.echo(f"sekisu: ready at {stack.base_url}")
    if (settings.data_dir / "api-key").is_file():
        click.echo(f"sekisu: the admin key is in {settings.data_dir / 'api-key'}")
    click.echo(f"sekisu: payments go to {settings.payment_url}")
    click.echo(
        f"sekisu: the log is {f'in {log_file}' if log_file else 'below, each line after the name of its process'}"
    )
