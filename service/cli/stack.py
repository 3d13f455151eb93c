"""The whole service on one machine: the engines, the sandbox, web, workers and ticker, under one supervisor."""

import contextlib
import fcntl
import http.client
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from billing.core.errors import SekisuError
from billing.engines.postgres import start_postgres
from billing.engines.process import Engine, await_true
from billing.engines.valkey import start_valkey
from billing.settings import ADDRESSES, LOCK_FILE, RUNNING_FILE, Settings, names
from service.cli.ports import check_port
from service.cli.supervisor import Child, Log, Supervisor

#: Seconds each kind of process gets to finish what it began.
_GRACE = {"web": 12.0, "worker": 25.0, "ticker": 10.0, "sandbox": 5.0}
_READY_SECONDS = 90.0
#: Starts in a row after which a child that keeps dying is given up, while the service has never been ready.
_PATIENCE = 4
_MAIN = "service.cli.main"


class StartError(SekisuError):
    """A part of the service does not start; the message names it and its last words."""

    code = "start"


@contextlib.contextmanager
def only_one(data_dir: Path) -> Iterator[None]:
    """Holds the data directory for one `sekisu up`; the kernel frees it however this process ends.

    Raises StartError when the directory is not writable or another `up` holds it.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(data_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(
            f"the data directory {data_dir} is not writable ({error.strerror}); set SEKISU_DATA_DIR to another folder"
        ) from None
    try:
        # Another command may be looking at the lock just now, so one refusal proves nothing.
        if not await_true(lambda: _locked(handle), 1.0):
            raise StartError(
                f"another `sekisu up` runs on {data_dir}; stop it, or set SEKISU_DATA_DIR to another folder"
            )
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Stack:
    """Everything `up` runs. `settings` has the addresses of the embedded engines once `start` returned."""

    def __init__(self, settings: Settings, supervisor: Supervisor, log: Log) -> None:
        self.settings = settings
        self.supervisor = supervisor
        self._log = log
        self._engines: dict[str, Engine] = {}
        self._starters: dict[str, Callable[[], Engine]] = {}
        self._children: dict[str, Child] = {}

    def start(self) -> None:
        """Starts engines, migrates, starts the rest and waits until the service answers.

        Raises SekisuError, in one sentence, for the first thing that does not start.
        """
        embedded_sandbox = not self.settings.payment_url
        check_port(self.settings.host, self.settings.port, "SEKISU_PORT")
        if embedded_sandbox:
            check_port("127.0.0.1", self.settings.sandbox_port, "SEKISU_SANDBOX_PORT")
        self._start_engines()
        self._migrate()
        if embedded_sandbox:
            self._start_sandbox()
        for name in ("web", "worker", "ticker"):
            self._child(name, _MAIN, [name])
        self._await_ready()

    def _start_engines(self) -> None:
        folder = self.settings.data_dir
        if not self.settings.database_url:
            self._starters["database_url"] = lambda: start_postgres(folder)
        if not self.settings.redis_url:
            self._starters["redis_url"] = lambda: start_valkey(folder)
        for name, starter in self._starters.items():
            engine = self._engines[name] = starter()
            self._log("up", f"{engine.name} runs, process {engine.process.pid}")
            self.settings = _with(self.settings, name, engine.url)
        self._write_running()
        self.supervisor.checks.append(self._mind_engines)

    def _start_sandbox(self) -> None:
        port = str(self.settings.sandbox_port)
        self.settings = replace(self.settings, payment_url=f"http://127.0.0.1:{port}")
        folder = str(self.settings.data_dir / "sandbox")
        self._child("sandbox", "billing.payments.sandbox", ["--port", port, "--data-dir", folder])
        self._write_running()

    def _child(self, name: str, module: str, arguments: list[str], *, keep: bool = True) -> Child:
        grace = _GRACE.get(name, 60.0)
        child = self.supervisor.start(name, module, arguments, self._environ(), grace, keep=keep)
        self._children[name] = child
        return child

    def _environ(self) -> dict[str, str]:
        """Ours, with the settings as they now are; they come from nowhere else."""
        ours = {f"{name}{end}" for name in names() for end in ("", "_FILE")}
        others = {name: value for name, value in os.environ.items() if name not in ours}
        # A worker that lost the broker looks again soon (Dramatiq's default is 3,000 ms).
        return {"dramatiq_restart_delay": "250", **others, **self.settings.environ()}

    def _write_running(self) -> None:
        """Tells other commands on this data directory where the engines are."""
        found = {name: getattr(self.settings, name) for name in ADDRESSES}
        path = self.settings.data_dir / RUNNING_FILE
        draft = path.with_suffix(".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            json.dump(found, stream)
        draft.replace(path)

    def _migrate(self) -> None:
        # A child, so that the supervisor's memory stays small: it never loads the migration tool.
        child = self._child("migrate", _MAIN, ["migrate"], keep=False)
        ended = self.supervisor.wait(lambda: child.code is not None, 120.0)
        if not self.supervisor.stopping and (not ended or child.code):
            raise StartError(f"the database could not be migrated: {_last_words(child)}")
        self.supervisor.children.remove(child)

    def _await_ready(self) -> None:
        kept = [child for child in self._children.values() if child.keep]
        ready = self.supervisor.wait(
            lambda: any(child.deaths >= _PATIENCE for child in kept) or self.is_ready(), _READY_SECONDS
        )
        failing = [child for child in kept if child.deaths >= _PATIENCE]
        if failing:
            raise StartError(f"{failing[0].name} does not start: {_last_words(failing[0])}")
        if not ready and not self.supervisor.stopping:
            raise StartError(f"the service did not answer on {self.base_url} within {_READY_SECONDS:.0f} s")

    @property
    def base_url(self) -> str:
        """Where the service answers on this machine (an unspecified host is asked on the loopback address)."""
        host = self.settings.host
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - compared, not bound
        return f"http://{host}:{self.settings.port}"

    def is_ready(self) -> bool:
        """True when `/readyz` answers 200 now."""
        host, port = self.base_url.removeprefix("http://").rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _mind_engines(self) -> None:
        """Starts an engine that ended again, at the same address; the processes find it there by themselves."""
        for name, engine in self._engines.items():
            code = engine.process.poll()
            if code is None:
                continue
            self._log("up", f"{engine.name} ended (exit code {code}); it starts again")
            engine.stop(0)
            again = self._engines[name] = self._starters[name]()
            if again.url != engine.url:
                raise StartError(f"{engine.name} came back at another address; start `sekisu up` again")

    def stop(self) -> None:
        """Ends all in order: web, workers, ticker, sandbox, then the broker, then the database."""
        self.supervisor.stopping = True
        for name in ("migrate", "web", "worker", "ticker", "sandbox"):
            if name in self._children:
                self.supervisor.stop(self._children[name])
        for name in ("redis_url", "database_url"):
            if name in self._engines:
                self._engines[name].stop()
        with contextlib.suppress(OSError):
            (self.settings.data_dir / RUNNING_FILE).unlink()


def _with(settings: Settings, name: str, url: str) -> Settings:
    return replace(settings, database_url=url) if name == "database_url" else replace(settings, redis_url=url)


def _last_words(child: Child) -> str:
    said = next((line for line in reversed(child.words) if line), f"it said nothing (exit code {child.code})")
    return said.removeprefix("sekisu: ")


@contextlib.contextmanager
def running(settings: Settings, log: Log) -> Iterator[Stack]:
    """The whole service, ready, for the time of the block; call it in the main thread.

    Raises SekisuError when a part does not start. The block ends early only if it looks at `supervisor.stopping`.
    """
    with only_one(settings.data_dir), Supervisor(log) as supervisor:
        stack = Stack(settings, supervisor, log)
        try:
            stack.start()
            yield stack
        finally:
            stack.stop()
