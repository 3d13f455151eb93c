"""The two sides of a comparison, driven only from outside: HTTP in, the payment endpoint's book out."""

import json
import os
import secrets
import signal
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, cast

from bench import machine
from bench.events import SECRET, request
from bench.load import LoadError, Volley, fire, must
from bench.machine import Cpu, await_true, free_port, spawn
from bench.peer import store
from billing.engines.postgres import start_postgres
from billing.engines.valkey import start_valkey

Json = dict[str, Any]


class Side(Protocol):
    """What a row needs of Sekisu and of the peer."""

    name: str
    port: int
    path: str

    def prepare(self, count: int) -> list[str]:
        """New workspaces, each with one seat paid; their external ids."""

    def worker_pids(self) -> list[int]:
        """The roots of the processes that work in the background: stopped while a queue is being filled."""

    def cpu(self) -> Cpu:
        """CPU used so far."""

    def check(self, changes: int) -> None:
        """Raises LoadError unless all `changes` so far are counted, charged and paid."""

    def stop(self) -> None:
        """Ends every process of the side."""


class Sink:
    """The payment endpoint both sides post to."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = spawn(["-m", "bench.sink", str(self.port)], {}, folder / "sink.log")
        await_true(lambda: machine.listens(self.port), "the sink listens")

    def book(self) -> Json:
        """posts, charges, seats, amount, last_at (see `bench.sink`)."""
        answer = must(fire(self.port, [request("GET", "/book", b"", {})]), 200)
        return cast("Json", json.loads(answer.bodies[0]))

    def workspaces(self) -> dict[str, list[int]]:
        """[seats added, amount asked for] of each workspace, by the id the charges named."""
        answer = must(fire(self.port, [request("GET", "/workspaces", b"", {})]), 200)
        return cast("dict[str, list[int]]", json.loads(answer.bodies[0]))

    def stop(self) -> None:
        """Ends the process."""
        machine.stop(self.process)


class Server:
    """A WSGI application under granian, WSGI, with the flags given."""

    def __init__(self, app: str, flags: list[str], environment: dict[str, str], log: Path) -> None:
        self.port = free_port()
        arguments = ["-m", "granian", "--interface", "wsgi", "--port", str(self.port), "--no-ws", *flags, app]
        self.process = spawn(arguments, environment, log)
        await_true(lambda: ready(self.port, "/healthz"), f"{app} answers")

    def stop(self) -> None:
        """Ends the process."""
        machine.stop(self.process)


def ready(port: int, path: str) -> bool:
    """True when GET `path` answers 200."""
    try:
        return fire(port, [request("GET", path, b"", {})]).statuses[200] == 1
    except (OSError, LoadError):
        return False


def bare(folder: Path) -> Server:
    """The bare Flask route: two processes of one thread."""
    return Server("bench.bare:app", ["--workers", "2", "--blocking-threads", "1"], {}, folder / "bare.log")


class Peer:
    """The baseline of `bench.peer` on the same embedded engines as Sekisu."""

    name = "peer"
    path = "/webhooks/standard/peer"

    def __init__(self, folder: Path, payment_url: str) -> None:
        folder.mkdir()
        self.engines = [start_postgres(folder / "postgres"), start_valkey(folder / "valkey")]
        environment = {
            "PEER_DATABASE_URL": self.engines[0].url,
            "PEER_BROKER_URL": self.engines[1].url,
            "PEER_PAYMENT_URL": payment_url,
            "PEER_SECRET": SECRET,
        }
        self.url = environment["PEER_DATABASE_URL"]
        store.create(self.url)
        flags = ["--workers", "2", "--blocking-threads", "4"]
        self.web = Server("bench.peer.app:app", flags, environment, folder / "web.log")
        self.port = self.web.port
        # Threads: the work is waiting for PostgreSQL and HTTP; measured a tenth faster here than four forked processes.
        options = [
            "--pool",
            "threads",
            "--concurrency",
            "8",
            "--loglevel",
            "WARNING",
            "--without-gossip",
            "--without-mingle",
        ]
        arguments = ["-m", "celery", "-A", "bench.peer.tasks:celery", "worker", *options]
        self.worker = spawn(arguments, environment, folder / "worker.log")

    def prepare(self, count: int) -> list[str]:
        """New workspaces, by SQL."""
        run = secrets.token_hex(4)
        ids = [f"w-{run}-{i}" for i in range(count)]
        store.add_workspaces(self.url, ids)
        return ids

    def worker_pids(self) -> list[int]:
        """Celery's parent."""
        return [self.worker.pid]

    def cpu(self) -> Cpu:
        """Receiver and worker; the engines' beside it."""
        engines = machine.cpu([engine.process.pid for engine in self.engines])
        return machine.cpu([self.web.process.pid, self.worker.pid]) + Cpu(0.0, engines.engines)

    def check(self, changes: int) -> None:
        """Reads the peer's own tables."""
        wanted = (changes, changes, changes)
        await_true(lambda: store.tally(self.url) == wanted, f"the peer's tables show {changes} paid changes", 30)

    def stop(self) -> None:
        """Ends worker, web and engines."""
        machine.stop(self.worker)
        self.web.stop()
        for engine in reversed(self.engines):
            engine.stop()


class Sekisu:
    """`sekisu up` with its embedded engines, as a user starts it."""

    name = "sekisu"

    def __init__(self, folder: Path, payment_url: str | None) -> None:
        """Without `payment_url` the embedded sandbox is the payment endpoint."""
        folder.mkdir()
        self.data = folder / "data"
        self.port = free_port()
        self.key = "bench-" + secrets.token_hex(16)
        environment = {
            "SEKISU_DATA_DIR": str(self.data),
            "SEKISU_PORT": str(self.port),
            "SEKISU_SANDBOX_PORT": str(free_port()),
            "SEKISU_API_KEY": self.key,
            "SEKISU_PAYMENT_SECRET": SECRET,
        }
        if payment_url is not None:
            environment["SEKISU_PAYMENT_URL"] = payment_url
        program = "from service.cli.main import main; main()"
        self.process = spawn(["-c", program, "up"], environment, folder / "up.log")
        try:
            await_true(lambda: self.process.poll() is not None or ready(self.port, "/readyz"), "sekisu up answers", 90)
            [made] = self.post("/v1/connections", [{"tool": "standard", "secrets": [SECRET], "callback_url": None}])
        except BaseException as fault:
            self.stop()
            fault.add_note((folder / "up.log").read_text()[-1000:])
            raise
        self.connection = made["id"]
        self.path = f"/webhooks/standard/{self.connection}"

    def _fire(self, requests: list[bytes], connections: int = 8) -> list[Json]:
        volley: Volley = must(fire(self.port, requests, connections), 200, 201)
        return [json.loads(body) for body in volley.bodies]

    def get(self, path: str) -> Json:
        """One GET of the API."""
        [found] = self._fire([request("GET", path, b"", {"Authorization": f"Bearer {self.key}"})])
        return found

    def post(self, path: str, bodies: list[Json], ids: list[str] | None = None) -> list[Json]:
        """POSTs of the API, one for each body; `{id}` in the path is each of `ids`."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        paths = [path.format(id=name) for name in ids] if ids else [path] * len(bodies)
        packed = [json.dumps(body).encode() for body in bodies]
        return self._fire([request("POST", where, body, headers) for where, body in zip(paths, packed, strict=True)])

    @property
    def database_url(self) -> str:
        """The embedded database, as `up` tells other commands on its data directory."""
        return str(json.loads((self.data / "running.json").read_text())["database_url"])

    def prepare(self, count: int) -> list[str]:
        """New workspaces with one member each, on trello-premium by the year, the first charge paid."""
        run = secrets.token_hex(4)
        names = [f"w-{run}-{i}" for i in range(count)]
        common = {"tool": "standard", "connection_id": self.connection, "time_zone": "UTC", "clock_id": None}
        ids = [w["id"] for w in self.post("/v1/workspaces", [{**common, "external_id": n, "name": n} for n in names])]
        person = {"id": "first", "name": "First Person", "member": True, "boards": [], "state": "joined"}
        roster = {"at": datetime.now(UTC).isoformat().replace("+00:00", "Z"), "members": [person], "boards": []}
        self.post("/v1/workspaces/{id}/roster", [roster] * count, ids)
        actor = {"id": "bench-admin", "role": "admin"}
        start = {"actor": actor, "plan": "trello-premium", "interval": "year", "payment_method": "card"}
        self.post("/v1/workspaces/{id}/subscription", [start] * count, ids)
        await_true(lambda: self._pending() == 0, "every subscription is started and paid", 300, 1.0)
        return names

    def all(self, path: str) -> Iterator[Json]:
        """What a list of the API holds, page after page."""
        cursor = ""
        while True:
            page = self.get(f"{path}{cursor}")
            yield from page["data"]
            if page["next"] is None:
                return
            cursor = f"?cursor={page['next']}"

    def _pending(self) -> int:
        return sum(int(workspace["pending"]) for workspace in self.all("/v1/workspaces"))

    def worker_pids(self) -> list[int]:
        """The direct children of `up` that are its workers and its ticker."""
        return self.child_pids("worker", "ticker")

    def child_pids(self, *kinds: str) -> list[int]:
        """The direct children of `up` of those kinds. Raises LoadError when there is none."""
        family = machine.children(self.process.pid)
        found = [pid for pid in family if set(kinds) & set(machine.words(pid))]
        if not found:
            raise LoadError(f"no {kinds} among the children of up: {[machine.words(pid) for pid in family]}")
        return found

    def cpu(self) -> Cpu:
        """Everything under `up`: receiver, workers, ticker, supervisor; the engines' beside it."""
        return machine.cpu([self.process.pid])

    def check(self, changes: int) -> None:
        """Nothing is pending in any workspace."""
        await_true(lambda: self._pending() == 0, "no workspace has anything pending", 60, 0.5)

    def stop(self) -> None:
        """Ends `up`, and so everything."""
        machine.stop(self.process)


def workplace() -> tempfile.TemporaryDirectory[str]:
    """A folder for data and logs that an engine under another account can enter."""
    folder = tempfile.TemporaryDirectory(prefix="sekisu-bench-")
    os.chmod(folder.name, 0o755)  # noqa: PTH101, S103 - PostgreSQL may run as `nobody` in it
    return folder


def pause(side: Side) -> None:
    """Freezes the background workers."""
    machine.signal_trees(side.worker_pids(), signal.SIGSTOP)


def resume(side: Side) -> None:
    """Thaws them."""
    machine.signal_trees(side.worker_pids(), signal.SIGCONT)
