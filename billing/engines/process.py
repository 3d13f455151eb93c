"""What both launchers share: a child that dies with us, a lock on the folder, a steady port, private files."""

import fcntl
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from billing.core.errors import SekisuError

CHILD = Path(__file__).with_name("child.py")
LOG_LIMIT = 10 * 1024 * 1024
# Below the range the kernel takes outgoing ports from: a kept port is rarely lost to a client between two starts.
PORTS = range(20_000, 32_000)


class EngineError(SekisuError):
    """An embedded engine cannot run; the message is one sentence with the way out."""

    code = "engine"


@dataclass
class Engine:
    """A running engine. `url` holds its password; `process` is the engine itself, not a shim."""

    name: str
    url: str = field(repr=False)
    process: subprocess.Popen[bytes]
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    lock: int | None = field(default=None, repr=False)

    def stop(self, timeout: float = 20) -> None:
        """End the engine in order, by force after `timeout` seconds; a second call does nothing."""
        for number, patience in ((self.stop_signal, timeout), (self.death_signal, 6.0), (signal.SIGKILL, 6.0)):
            if self.process.poll() is not None:
                break
            self.process.send_signal(number)
            await_true(lambda: self.process.poll() is not None, patience)
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None


def await_true(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until `condition` holds; False when it still does not after `seconds`."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


def prepare(data_dir: Path, name: str, mode: int) -> Path:
    """Return the engine's own folder `data_dir/name`, made if missing; raises EngineError when it cannot be written."""
    folder = data_dir.absolute() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(mode)
        (folder / "lock").touch(mode=0o600)
    except OSError as fault:
        raise EngineError(
            f"{data_dir} cannot be written ({fault.strerror}): make it writable or set SEKISU_DATA_DIR elsewhere."
        ) from fault
    return folder


def take_lock(folder: Path) -> int:
    """Hold `folder` until the returned descriptor is closed or we die.

    With the lock in hand, any engine still at work in the folder is the remnant of a starter that is gone.
    """
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def taken() -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    if not await_true(taken, 1.5):  # a starter killed a moment ago may still be on its way out
        os.close(descriptor)
        raise EngineError(f"{folder} is in use by another Sekisu: stop that, or set SEKISU_DATA_DIR to another folder.")
    return descriptor


@contextmanager
def holding(data_dir: Path, name: str, mode: int) -> Iterator[tuple[Path, int]]:
    """Give the engine's folder, locked, and its lock; a fault on the way unlocks it and leaves as EngineError.

    On success the lock stays, for the Engine to release when it is stopped.
    """
    folder = prepare(data_dir, name, mode)
    lock = take_lock(folder)
    try:
        yield folder, lock
    except OSError as fault:
        os.close(lock)
        raise EngineError(f"{folder} cannot be used ({fault}): mend that, or set SEKISU_DATA_DIR elsewhere.") from fault
    except BaseException:
        os.close(lock)
        raise


def write_private(path: Path, text: str) -> None:
    """Put `text` at `path`, mode 0600, all of it or nothing."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def private(path: str, flags: int) -> int:
    """Open `path` for the owner's eyes only (an `opener`)."""
    return os.open(path, flags, 0o600)


def secret(path: Path) -> str:
    """Return the password kept at `path`, made on first use; safe inside a URL."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24))
    return path.read_text().strip()


def is_free(port: int) -> bool:
    """Tell whether an engine could listen on 127.0.0.1:`port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def steady_port(path: Path) -> int:
    """Return the port kept at `path`; when there is none, or another program has it, a free one is chosen and kept."""
    kept = path.read_text().strip() if path.exists() else ""
    if kept.isdecimal() and is_free(int(kept)):
        return int(kept)
    port = next((port for _ in range(200) if is_free(port := secrets.choice(PORTS))), None)
    if port is None:
        raise EngineError(
            f"No port between {PORTS[0]} and {PORTS[-1]} is free: end some of the programs that listen there."
        )
    write_private(path, str(port))
    return port


def child_command(identity: str, death: signal.Signals, folder: Path, command: Sequence[str | Path]) -> list[str]:
    """Return the words that run `command` in `folder` as `identity` (see child.py), ended by `death` when we die."""
    helper = [sys.executable, "-I", "-S", str(CHILD), str(os.getpid()), str(int(death)), identity, str(folder)]
    return helper + [str(word) for word in command]


def environment() -> dict[str, str]:
    """Return what an engine may see of our environment: neither our secrets nor PG* variables nor a foreign locale."""
    kept = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C", "TZ": "UTC"}


def spawn(words: Sequence[str], log: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start `words` in a session of its own, output appended to `log`; return it and the log's size before.

    A log that grew too long is kept as `.old`. The kernel ties the child to the *thread* that calls this: call it from
    one that lives as long as the engine shall.
    """
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_name(log.name + ".old"))
    with open(log, "ab", opener=private) as output:
        size = output.tell()
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(),
            start_new_session=True,
        )
    return process, size


def last_words(text: str) -> str:
    """Return the line of an engine's output that says best why it ended, without time and pid."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [found[1] for line in lines if (found := re.search(r"(?:FATAL|PANIC|ERROR|\berror):\s+(.+)", line))]
    if told:
        return told[-1]
    return re.sub(r"^\d+:[A-Z] .*? [#*.-] ", "", lines[-1]) if lines else "it said nothing"


def await_ready(engine: Engine, ready: Callable[[], bool], log: Path, size: int, seconds: float) -> None:
    """Wait until `engine` answers; raises EngineError with its last words when it ends or stays silent too long."""
    if await_true(lambda: engine.process.poll() is not None or ready(), seconds) and engine.process.poll() is None:
        return
    words = last_words(log.read_bytes()[size:].decode(errors="replace"))
    raise EngineError(f"{engine.name} did not start ({words}): mend that and start again, the whole story is in {log}.")


def remnants(folder: Path, program: str) -> set[int]:
    """Return the pids at work in `folder` whose executable's name contains `program` (on Linux; elsewhere none)."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            at_work = (entry / "cwd").readlink() == folder.resolve()
            if at_work and program in (entry / "exe").readlink().name:
                found.add(int(entry.name))
        except OSError:
            continue  # gone, a zombie, or not ours to see
    return found


def end_remnants(folder: Path, program: str, leader: int | None, gentle: signal.Signals) -> None:
    """End what a killed starter left in `folder`, the lock being held: `leader` first by `gentle`, then by force."""
    left = remnants(folder, program)
    if leader in left:
        os.kill(leader or 0, gentle)
    if await_true(lambda: not remnants(folder, program), 4.0):
        return
    for pid in remnants(folder, program):
        os.kill(pid, signal.SIGKILL)
    if not await_true(lambda: not remnants(folder, program), 4.0):
        raise EngineError(f"Processes {sorted(remnants(folder, program))} hold {folder}: end them and start again.")
