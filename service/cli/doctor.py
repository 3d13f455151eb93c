"""Looks for what is wrong with this installation, and says the way out of each fault."""

import http.client
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from billing.core.errors import SekisuError
from billing.engines.postgres import find_binaries
from billing.engines.valkey import find_binary
from billing.settings import SECRET_FILES, Settings, SettingsError, is_running
from billing.store import migrate
from service.cli.ports import check_port

_LEAST_DISK = 512 * 1024 * 1024  # bytes


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `way_out` is what to do about a fault; empty where all is well."""

    subject: str
    ok: bool
    detail: str
    way_out: str = ""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of a table.")
def command(as_json: bool) -> None:
    """Checks settings, data directory, engines, database, broker, payment endpoint, disk; exit code 1 on a fault."""
    findings = list(examine())
    healthy = all(finding.ok for finding in findings)
    if as_json:
        click.echo(
            json.dumps({"ok": healthy, "findings": [asdict(finding) for finding in findings]}, ensure_ascii=False)
        )
    else:
        for finding in findings:
            click.echo(f"{'ok   ' if finding.ok else 'FAULT'}  {finding.subject:<18} {finding.detail}")
            if finding.way_out:
                click.echo(f"       {'':<18} -> {finding.way_out}")
    sys.exit(0 if healthy else 1)


def examine() -> Iterator[Finding]:
    """Everything `doctor` looks at, in order; a wrong setting ends the list, since nothing else can be judged."""
    yield _python()
    try:
        settings = Settings.load(os.environ)
    except SettingsError as error:
        for fault in error.faults:
            yield Finding("settings", False, fault, "set it right and run `sekisu doctor` again")
        return
    yield Finding("settings", True, "every setting can be read")
    for look in (_data_dir, _disk, _secrets, _ports, _postgres, _database, _valkey, _broker, _payments):
        yield look(settings)


def _python() -> Finding:
    good = sys.version_info >= (3, 11)
    return Finding("python", good, platform.python_version(), "" if good else "install Python 3.11 or newer")


def _data_dir(settings: Settings) -> Finding:
    folder = settings.data_dir
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        return Finding("data directory", True, str(folder))
    return Finding("data directory", False, f"{folder} is not writable", "set SEKISU_DATA_DIR to another folder")


def _disk(settings: Settings) -> Finding:
    folder = settings.data_dir
    free = shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free
    way_out = "" if free >= _LEAST_DISK else f"free some space below {folder}; PostgreSQL stops when the disk is full"
    return Finding("free disk", not way_out, f"{free // 1024**2:,} MiB", way_out)


def _secrets(settings: Settings) -> Finding:
    files = [settings.data_dir / name for name in SECRET_FILES]
    open_ones = [str(path) for path in files if path.is_file() and path.stat().st_mode & 0o077]
    if open_ones:
        return Finding("secret files", False, "others may read them", f"chmod 600 {' '.join(open_ones)}")
    return Finding("secret files", True, "only their owner may read them")


def _ports(settings: Settings) -> Finding:
    if is_running(settings.data_dir):
        return Finding("ports", True, f"`sekisu up` runs on {settings.data_dir}")
    try:
        check_port(settings.host, settings.port, "SEKISU_PORT")
        if not settings.payment_url:
            check_port("127.0.0.1", settings.sandbox_port, "SEKISU_SANDBOX_PORT")
    except SekisuError as error:
        what, _, way_out = str(error).partition("; ")
        here = "if it is `sekisu up` on another folder that is meant, set SEKISU_DATA_DIR to that one; else "
        return Finding("ports", False, what, here + way_out)
    return Finding("ports", True, f"{settings.port} is free")


def _engine(subject: str, find: Callable[[], Path]) -> Finding:
    try:
        program = find()
        told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=10)
        return Finding(subject, told.returncode == 0, f"{told.stdout.strip() or 'does not run'} ({program})")
    except SekisuError as error:
        return Finding(subject, False, str(error), "install sekisu[embedded], or set the address of one that runs")


def _postgres(settings: Settings) -> Finding:
    if settings.database_url and not is_running(settings.data_dir):
        return Finding("PostgreSQL", True, "not ours to start: SEKISU_DATABASE_URL names one")
    return _engine("PostgreSQL", lambda: find_binaries() / "postgres")


def _valkey(settings: Settings) -> Finding:
    if settings.redis_url and not is_running(settings.data_dir):
        return Finding("Valkey", True, "not ours to start: SEKISU_REDIS_URL names one")
    return _engine("Valkey", find_binary)


def _database(settings: Settings) -> Finding:
    if not settings.database_url:
        return Finding("database", True, "embedded; `sekisu up` starts it")
    try:
        found = migrate.current(settings.database_url)
    except SekisuError as error:
        return Finding("database", False, str(error), "start it, or set SEKISU_DATABASE_URL right")
    if found != migrate.head():
        return Finding("database", False, f"at revision {found}, not {migrate.head()}", "run `sekisu migrate`")
    return Finding("database", True, f"answers, at revision {found}")


def _broker(settings: Settings) -> Finding:
    if not settings.redis_url:
        return Finding("broker", True, "embedded; `sekisu up` starts it")
    try:
        with redis.Redis.from_url(settings.redis_url, socket_timeout=3, retry=Retry(NoBackoff(), 0)) as client:
            client.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        return Finding("broker", False, f"does not answer: {error}", "start it, or set SEKISU_REDIS_URL right")
    return Finding("broker", True, "answers")


def _payments(settings: Settings) -> Finding:
    if not settings.payment_url:
        return Finding("payment endpoint", True, "the embedded sandbox; `sekisu up` starts it")
    parts = urlsplit(settings.payment_url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=5)
    try:
        # Any answer will do: we only want to know that somebody is there.
        connection.request("GET", f"{parts.path}/charges/doctor")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return Finding(
            "payment endpoint", False, f"does not answer: {error}", "start it, or set SEKISU_PAYMENT_URL right"
        )
    finally:
        connection.close()
    return Finding("payment endpoint", True, f"somebody answers (HTTP {status} to a charge that nobody knows)")
