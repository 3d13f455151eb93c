"""Fixtures of the engine tests: a folder anyone may pass through, and starts that end with the test."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from billing.engines.postgres import start_postgres
from billing.engines.process import Engine, remnants
from billing.engines.valkey import start_valkey

Postgres = Callable[..., Engine]
Valkey = Callable[[], Engine]


def open_folder() -> Path:
    """Make an empty folder that others may pass through (pytest's are private), in memory where there is plenty."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**30
    fit = roomy and not os.statvfs(memory).f_flag & os.ST_NOEXEC
    folder = Path(tempfile.mkdtemp(prefix="sekisu-test-", dir=memory if fit else None))
    folder.chmod(0o755)
    return folder


def all_left(folder: Path) -> set[int]:
    """Return the pids of every engine process at work in a data directory."""
    return remnants(folder / "postgres" / "data", "postgres") | remnants(folder / "valkey", "valkey")


def furnish(template: Path, data_dir: Path) -> None:
    """Give `data_dir` a copy of the template's cluster, if there is nothing yet."""
    if not data_dir.is_file() and not (data_dir / "postgres").exists():
        shutil.copytree(template / "postgres", data_dir / "postgres")


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The test's folder."""
    monkeypatch.delenv("SEKISU_ENGINE_WAY", raising=False)
    folder = open_folder()
    yield folder
    for pid in all_left(folder):  # only where a test of their death failed
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def template() -> Iterator[Path]:
    """A folder in which PostgreSQL was started once and stopped: copying it is quicker than making another."""
    folder = open_folder()
    start_postgres(folder, {"fsync": "off"}).stop()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def ending(base: Path) -> Iterator[ExitStack]:
    """What must end before the folder goes."""
    assert base.exists()
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def postgres(base: Path, ending: ExitStack, template: Path) -> Postgres:
    """Starts PostgreSQL on the test's folder (or another one), by default one that was started before."""

    def start(data_dir: Path = base, settings: Mapping[str, str] | None = None, fresh: bool = False) -> Engine:
        if not fresh:
            furnish(template, data_dir)
        engine = start_postgres(data_dir, {"fsync": "off"} | dict(settings or {}))
        ending.callback(engine.stop)
        return engine

    return start


@pytest.fixture
def valkey(base: Path, ending: ExitStack) -> Valkey:
    """Starts Valkey on the test's folder."""

    def start() -> Engine:
        engine = start_valkey(base)
        ending.callback(engine.stop)
        return engine

    return start
