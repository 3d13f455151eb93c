"""The `sekisu` command: finds its subcommands by looking in this folder and imports only the one that is asked for."""

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import cast

import click

from billing.core.errors import SekisuError

_HERE = Path(__file__).parent
_COMMAND = re.compile(r"^(?:def command\(|command(?:: [^=]+)? = )", re.MULTILINE)
_FIRST_SENTENCE = re.compile(r'\A"""(.+?)(?:\.\s|\.?"""|\n\n)', re.DOTALL)


def commands() -> dict[str, Path]:
    """The files of this folder that have a command, by the command's name (`import_.py` is `import`)."""
    files = sorted(_HERE.glob("*.py"))
    return {path.stem.rstrip("_").replace("_", "-"): path for path in files if _COMMAND.search(path.read_text())}


def module(name: str) -> ModuleType:
    """Imports the module of a command, so that what no command needs is never loaded."""
    return importlib.import_module(f"service.cli.{commands()[name].stem}")


class _Commands(click.Group):
    """A group that reads only the first sentence of each command's file to print the help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(commands())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return cast("click.Command", module(cmd_name).command) if cmd_name in commands() else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _first_sentence(path)) for name, path in commands().items()])


def _first_sentence(path: Path) -> str:
    found = _FIRST_SENTENCE.match(path.read_text(encoding="utf-8"))
    return " ".join(found[1].split()) if found else ""


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sekisu")
def sekisu() -> None:
    """Sekisu turns membership webhooks into correct, explained, prorated seat charges."""


def main() -> None:
    """The console script: a fault of ours is one sentence on stderr and exit code 1; wrong usage is 2."""
    try:
        sekisu()
    except SekisuError as error:
        for sentence in getattr(error, "faults", (str(error),)):
            lines = [line.strip() for line in sentence.splitlines()]  # a server's own words may be several
            click.echo(f"sekisu: {'; '.join(filter(None, lines))}", err=True)
        sys.exit(1)
    except BrokenPipeError:  # `sekisu ... | head`
        sys.exit(1)
    except OSError as error:  # a file or a network that is not there: the machine's fault, not ours
        click.echo(f"sekisu: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
