"""Measures this machine against a hand-written peer (needs a source checkout)."""

import subprocess
import sys
from pathlib import Path

import click

from billing.core.errors import SekisuError

_ROOT = Path(__file__).parents[2]


class NoBenchError(SekisuError):
    """The bench is part of the source, not of the wheel."""

    code = "no_bench"


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ROW]... [--quick] [--json]")
def command(arguments: tuple[str, ...]) -> None:
    """Measures each ROW (without one: all) as ratios in one run; the exit code is that of `python -m bench`."""
    run(_ROOT, arguments)


def run(root: Path, arguments: tuple[str, ...]) -> None:
    """Run each row in turn and exit with the worst code. Raises NoBenchError where there is no bench."""
    if not (root / "bench" / "__main__.py").is_file():
        raise NoBenchError("the bench is not in the wheel; clone the source and run `make bench` there")
    options = [argument for argument in arguments if argument.startswith("-")]
    rows = [[argument] for argument in arguments if not argument.startswith("-")] or [[]]
    program = [sys.executable, "-m", "bench"]
    sys.exit(max(subprocess.run([*program, *row, *options], cwd=root, check=False).returncode for row in rows))
