"""Plays the worked story with signed webhooks against the whole service, and checks every number."""

import os
import shutil
import socket
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from billing.core.errors import SekisuError
from billing.core.money import written
from billing.settings import Settings, is_running
from service.cli import story
from service.cli.client import AnswerError, Client
from service.cli.stack import Stack, running
from service.cli.stage import DemoError, Stage

Echo = Callable[[str], object]

CURRENCY = "USD"
#: Seconds the whole story may take; each step has its own, shorter patience.
_LONGEST = 600.0
#: Lines of the service's log that are shown when it fails.
_LAST_WORDS = 40
#: What says where the data directory is.
_PLACES = ("SEKISU_DATA_DIR", "XDG_DATA_HOME")
_ROW = "{:<10}  {:<8}  {:<33}  {:<25}  {:>9} {:>8} {:>6}  {:>8}"
_HEAD = _ROW.format("", "", "", "billable or free,", "seats", "", "", "")
_SECOND_HEAD = _ROW.format("when", "who", "event", "and why", "purchased", "occupied", "vacant", "charge")
_WORDS = {
    "start": "start trello-premium, yearly",
    "renewal": "renewal (time passes)",
    "billable TR-01": "billable, member (TR-01)",
    "free TR-19": "free, deactivated (TR-19)",
}


@click.command()
@click.argument("name", type=click.Choice(["trello"]), default="trello")
def command(name: str) -> None:
    """Plays the story NAME (trello) and exits: on the running `sekisu up`, else on one made for it and removed."""
    if not is_running(_data_dir()):
        _alone()
        return
    settings = Settings.load(os.environ)
    play(_address(settings), settings.api_key, settings.payment_url, click.echo)


def play(base_url: str, api_key: str, sandbox_url: str, echo: Echo, *, stays: bool = True) -> None:
    """Play the story on the service at `base_url` and print it; `stays`: the service can be looked at afterwards.

    `api_key` is an admin key. Raises DemoError, with every fault, when a number is not as the rules say, and
    AnswerError when the service or the sandbox does not answer.
    """
    sandbox = Client(sandbox_url)
    _must_be_sandbox(sandbox, sandbox_url)
    client = Client(base_url, api_key)
    stage = Stage(client, story.TOOL, story.NAME, story.START)
    echo(f"\nThe story of TR-10 and TR-11, in signed Trello webhooks to {stage.connection['webhook_url']}\n")
    faults = [*_steps(stage, echo), *_book(stage, sandbox, sandbox_url, echo)]
    if not faults:
        amounts = ", ".join(str(step.charged) for step in story.STEPS if step.seats[0])
        echo(f"  Every number is as the rules say; in minor units, step by step: {amounts}")
    _explanation(stage, client, echo)
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


def _steps(stage: Stage, echo: Echo) -> Iterator[str]:
    """Play and print each step; yields what is not as the rules say."""
    for line in (_HEAD.rstrip(), _SECOND_HEAD, "-" * len(_SECOND_HEAD)):
        echo(line)
    trello, known = story.Trello(stage), 0
    for step in story.STEPS:
        trello.act(step)
        charges = stage.of("charges")["data"]
        charged = sum(charge["amount"] for charge in charges[known:])
        known = len(charges)
        seats = stage.of("seats")
        counts = (seats["purchased"], seats["occupied"], seats["vacant"])
        verdict = _verdict(stage, trello.ids.get(step.who))
        event = _WORDS.get(step.event, step.event) + (" *" if step.event in story.INFERRED else "")
        money = written(charged, CURRENCY)
        echo(_ROW.format(f"{step.at:%Y-%m-%d}", step.who, event, _WORDS.get(verdict, verdict), *counts, money))
        echo(f"{'':<12}{step.why}")
        found = {"verdict": verdict, "seats": counts, "charge": charged}
        wanted = {"verdict": step.verdict, "seats": step.seats, "charge": step.charged}
        for name, value in wanted.items():
            if found[name] != value:
                yield f"{step.at:%Y-%m-%d} {step.who}, {step.event}: {name} is {found[name]}, the rules say {value}"
    echo("\n* the shape of this webhook is inferred: nobody has published one")


def _verdict(stage: Stage, person: str | None) -> str:
    members = stage.of("members")["data"]
    if person is None:
        return f"{sum(member['classification'] == 'billable' for member in members)} billable"
    row = next((member for member in members if member["id"] == person), None)
    return f"{row['classification']} {row['rule']}" if row else "unknown"


def _book(stage: Stage, sandbox: Client, url: str, echo: Echo) -> Iterator[str]:
    """Compare the payment endpoint's own book with our charges; yields every difference."""
    ours = {charge["id"]: charge for charge in stage.of("charges")["data"]}
    theirs = [row for row in sandbox.get("/book")["charges"] if row["charge_id"] in ours]
    echo(f"\nThe payment endpoint's own book ({url}/book):")
    for row in theirs:
        echo(f"  {row['charge_id']}  {written(row['amount'], row['currency']):>8}  {row['status']}")
    asked, collected = (sum(row["amount"] for row in rows) for rows in (ours.values(), theirs))
    echo(f"  {len(theirs)} charges, {written(collected, CURRENCY)} in all; ours sum to {written(asked, CURRENCY)}")
    yield from (f"the book lacks our charge {name}" for name in ours if name not in {r["charge_id"] for r in theirs})
    if asked != collected or len(theirs) != len(ours):
        yield f"the book has {len(theirs)} charges of {collected} in all, we have {len(ours)} of {asked}"
    for row in theirs:
        charge = ours[row["charge_id"]]
        if (row["status"], row["amount"], len(row["keys"])) != ("succeeded", charge["amount"], 1):
            yield f"the book has {row}, we have {charge['amount']} {charge['status']}"


def _explanation(stage: Stage, client: Client, echo: Echo) -> None:
    """Why the second seat costs what it does, as the API explains it."""
    added = [entry for entry in stage.of("ledger")["data"] if entry["kind"] == "seats_added"]
    if not added:
        return
    told: dict[str, Any] = client.get(f"/v1/ledger/{added[0]['entry_id']}/explanation")
    echo(f"\nWhy {written(told['amount'], told['currency'])}? (ledger entry {told['entry_id']})")
    echo(click.wrap_text(told["text"]["en"], len(_SECOND_HEAD), "  ", "  "))
    echo(f"  {told['text']['ja']}")


def perform(stack: Stack, *, stays: bool) -> None:
    """Play on a stack that is ready. In a thread, because the main one must go on minding the children.

    Raises what `play` raises; ends with exit code 130 when it is interrupted.
    """
    settings = stack.settings
    faults: list[SekisuError] = []

    def run() -> None:
        try:
            play(stack.base_url, settings.api_key, settings.payment_url, click.echo, stays=stays)
        except SekisuError as error:
            faults.append(error)

    thread = threading.Thread(target=run, name="demo", daemon=True)
    thread.start()
    ended = stack.supervisor.wait(lambda: not thread.is_alive(), _LONGEST)
    if faults:
        raise faults[0]
    if not ended:
        raise click.exceptions.Exit(130)


def _alone() -> None:
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
            perform(stack, stays=False)
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
