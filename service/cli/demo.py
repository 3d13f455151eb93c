"""Plays the stories with signed webhooks against the whole service, and checks every number."""

import os
import shutil
import socket
import tempfile
import threading
from collections import deque
from pathlib import Path

import click

from billing.core.errors import SekisuError
from billing.settings import Settings, is_running
from service.cli.client import AnswerError, Client
from service.cli.stack import Stack, running
from service.cli.stage import DemoError, Stage
from service.cli.stories import STORIES
from service.cli.telling import Echo, tell

#: The story that is told when none is named.
_FIRST = "trello"
#: Seconds the whole story may take; each step has its own, shorter patience.
_LONGEST = 600.0
#: Lines of the service's log that are shown when it fails.
_LAST_WORDS = 40
#: What says where the data directory is.
_PLACES = ("SEKISU_DATA_DIR", "XDG_DATA_HOME")


@click.command()
@click.argument("name", type=click.Choice(list(STORIES)), default=_FIRST)
def command(name: str) -> None:
    """Plays the story NAME and exits: on the running `sekisu up`, else on one made for it and removed.

    Without NAME the trello one is played. A number that is not as the rules say is exit code 1.
    """
    if not is_running(_data_dir()):
        _alone(name)
        return
    settings = Settings.load(os.environ)
    play(name, _address(settings), settings.api_key, settings.payment_url, click.echo)


def play(name: str, base_url: str, api_key: str, sandbox_url: str, echo: Echo, *, stays: bool = True) -> None:
    """Play a story on the service at `base_url` and print it; `stays`: the service can be looked at afterwards.

    `api_key` is an admin key. Raises DemoError, with every fault, when a number is not as the rules say or there is no
    such story, and AnswerError when the service or the sandbox does not answer.
    """
    story = STORIES.get(name)
    if story is None:
        raise DemoError(f"there is no story {name!r}; there is: {', '.join(STORIES)}")
    sandbox = Client(sandbox_url)
    _must_be_sandbox(sandbox, sandbox_url)
    stage = Stage(Client(base_url, api_key), sandbox, story.parts[0].name)
    faults = tell(story, stage, echo)
    if faults:
        raise DemoError("; ".join(faults))
    if stays:
        echo(f"\nThe console, for this story only and for reading: {base_url}/#key={stage.reading_key}")


def _must_be_sandbox(sandbox: Client, url: str) -> None:
    """Raises DemoError unless a sandbox answers: a real endpoint must never be asked for the story's money."""
    try:
        book = sandbox.get("/book")
    except AnswerError as error:
        raise DemoError(f"{url} is no sandbox that keeps a book, so nothing was played on it ({error})") from error
    if not isinstance(book, dict) or not isinstance(book.get("charges"), list):
        raise DemoError(f"{url} is no sandbox that keeps a book, so nothing was played on it")


def perform(stack: Stack, name: str, *, stays: bool) -> None:
    """Play the story of that name on a stack that is ready, in a thread: the main one goes on minding the children.

    Raises what `play` raises; ends with exit code 130 when it is interrupted.
    """
    settings = stack.settings
    faults: list[SekisuError] = []

    def run() -> None:
        try:
            play(name, stack.base_url, settings.api_key, settings.payment_url, click.echo, stays=stays)
        except SekisuError as error:
            faults.append(error)

    thread = threading.Thread(target=run, name="demo", daemon=True)
    thread.start()
    ended = stack.supervisor.wait(lambda: not thread.is_alive(), _LONGEST)
    if faults:
        raise faults[0]
    if not ended:
        raise click.exceptions.Exit(130)


def _alone(name: str) -> None:
    """Start the whole service, embedded, in a folder of its own; play; end all of it and remove the folder."""
    folder = Path(tempfile.mkdtemp(prefix="sekisu-demo-"))
    folder.chmod(0o711)  # the account that runs the database for root may pass through, no more
    words: deque[str] = deque(maxlen=_LAST_WORDS)
    port, sandbox_port = _free_ports()
    ports = {"SEKISU_PORT": str(port), "SEKISU_SANDBOX_PORT": str(sandbox_port)}
    try:
        settings = Settings.load({"SEKISU_DATA_DIR": str(folder), **ports})
        click.echo("sekisu: starting everything in a folder that will be removed; this takes a few seconds")
        with running(settings, lambda name, line: words.append(f"{name:<8}| {line}")) as stack:
            perform(stack, name, stays=False)
    except SekisuError:
        for line in words:
            click.echo(line, err=True)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _data_dir() -> Path:
    """The data directory of the environment's settings; unlike a full reading, looking makes no secrets in it."""
    environ = {name: value for name, value in os.environ.items() if name.startswith(_PLACES)}
    secret = {"SEKISU_PAYMENT_SECRET": f"whsec_{'A' * 32}", "SEKISU_API_KEY": "-", "SEKISU_SECRET_KEY": "-"}
    return Settings.load({**environ, **secret}).data_dir


def _address(settings: Settings) -> str:
    """Where the running `up` answers on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104 - compared, not bound
    return f"http://{host}:{settings.port}"


def _free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]
