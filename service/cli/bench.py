"""Measures this machine against what it must reach (needs a source checkout)."""

import os
import subprocess
import sys
from pathlib import Path

import click

from billing.core.errors import SekisuError

_ROOT = Path(__file__).parents[2]


class NoBenchError(SekisuError):
    """The bench is part of the source, not of the wheel."""

    code = "no_bench"


@click.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ROW]... [--quick] [--json] [--chart FILE]")
def command(arguments: tuple[str, ...]) -> None:
    """Measures each ROW (without one: all) in one run; arguments and exit code are those of `python -m bench`."""
    run(_ROOT, arguments)


def run(root: Path, arguments: tuple[str, ...]) -> None:
    """Run the bench from where the caller stands and exit with its code. Raises NoBenchError where there is none."""
    if not (root / "bench" / "__main__.py").is_file():
        raise NoBenchError("the bench is not in the wheel; clone the source and run `make bench` there")
    # -P: the folder the caller stands in is no place to import from.
    program = [sys.executable, "-P", "-m", "bench", *arguments]
    paths = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH", "")]))
    sys.exit(subprocess.run(program, env={**os.environ, "PYTHONPATH": paths}, check=False).returncode)
