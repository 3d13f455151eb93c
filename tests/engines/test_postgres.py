"""The embedded PostgreSQL: what a first start makes, what outlives a restart, and what is refused in one sentence."""

import filecmp
import socket
import subprocess
import sysconfig
from pathlib import Path

import psycopg
import pytest

from billing.engines import postgres as launcher
from billing.engines.process import EngineError
from tests.engines.conftest import Postgres

MADE = "CREATE TABLE seats (n int); INSERT INTO seats VALUES (7)"


def ask(url: str, question: str) -> tuple[object, ...]:
    with psycopg.connect(url) as connection:
        row = connection.execute(question).fetchone()
    assert row is not None
    return row


def program(pid: int) -> Path:
    return Path(f"/proc/{pid}/exe").readlink()


def test_a_first_start_makes_role_and_database_sekisu(postgres: Postgres) -> None:
    url = postgres(fresh=True).url
    role = "SELECT current_user, rolcreaterole, rolsuper FROM pg_roles WHERE rolname = current_user"
    assert ask(url, role) == ("sekisu", True, False)
    owner = "SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'sekisu'"
    assert ask(url, owner) == ("sekisu", "UTF8")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE seats (n int)")
        connection.execute("CREATE ROLE seats_reader")


def test_it_is_durable_and_hears_only_this_machine_unless_told(postgres: Postgres) -> None:
    url = postgres(settings={"fsync": "on", "max_connections": "33"}).url
    wanted = {
        "fsync": "on",
        "synchronous_commit": "on",
        "listen_addresses": "127.0.0.1",
        "jit": "off",
        "TimeZone": "UTC",
        "max_connections": "33",
    }
    assert {name: ask(url, f"SHOW {name}")[0] for name in wanted} == wanted


def test_rows_address_and_password_outlive_a_restart(postgres: Postgres) -> None:
    first = postgres()
    with psycopg.connect(first.url) as connection:
        connection.execute(MADE)
    first.stop()
    assert first.process.returncode == 0
    second = postgres()
    assert second.url == first.url
    assert ask(second.url, "SELECT n FROM seats") == (7,)


def test_passwords_are_for_the_owner_alone_and_not_in_the_command_line(postgres: Postgres, base: Path) -> None:
    engine = postgres()
    words = Path(f"/proc/{engine.process.pid}/cmdline").read_text()
    for name in ("password", "superuser-password"):
        file = base / "postgres" / name
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_text() not in words
    assert (base / "postgres" / "password").read_text() in engine.url
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(engine.url.replace(":", ":not", 2).replace(":not", ":", 1))


def test_a_bare_path_still_finds_the_programs_of_the_environment(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not launcher.wheel_binaries():
        pytest.skip("the extra `embedded` is not installed")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    ours = launcher.wheel_binaries()[0] / "postgres"
    assert ours.resolve().is_relative_to(Path(sysconfig.get_path("purelib")).resolve())
    assert filecmp.cmp(program(postgres().process.pid), ours, shallow=False)  # that one, or for `nobody` a copy of it


def test_data_of_another_major_version_is_refused_with_the_steps(postgres: Postgres, base: Path) -> None:
    postgres().stop()
    (base / "postgres" / "data" / "PG_VERSION").write_text("12\n")
    with pytest.raises(EngineError, match=r"data of PostgreSQL 12 .* dump .* restore"):
        postgres()
    assert (base / "postgres" / "data" / "PG_VERSION").read_text() == "12\n"


def test_a_first_start_that_was_cut_short_is_begun_anew(postgres: Postgres, base: Path) -> None:
    (base / "postgres" / "data.new" / "base").mkdir(parents=True)
    assert ask(postgres().url, "SELECT 1") == (1,)


def test_a_pid_file_whose_number_went_to_another_program_does_not_stop_a_start(postgres: Postgres, base: Path) -> None:
    postgres().stop()
    other = subprocess.Popen(["sleep", "60"])
    try:
        (base / "postgres" / "data" / "postmaster.pid").write_text(f"{other.pid}\n{base}/postgres/data\n")
        assert ask(postgres().url, "SELECT 1") == (1,)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_second_start_on_the_same_folder_is_refused_and_harms_nothing(postgres: Postgres) -> None:
    engine = postgres()
    with pytest.raises(EngineError, match="in use by another Sekisu"):
        postgres()
    assert ask(engine.url, "SELECT 1") == (1,)


def test_a_start_that_fails_says_the_engines_own_last_words_and_leaves_the_folder_free(postgres: Postgres) -> None:
    with pytest.raises(EngineError, match=r'did not start \(invalid value for parameter "shared_buffers"'):
        postgres(settings={"shared_buffers": "much"})
    assert ask(postgres().url, "SELECT 1") == (1,)


def test_a_wanted_port_that_is_taken_is_named(postgres: Postgres) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EngineError, match=f"Port {port} on 127.0.0.1 is taken"):
            postgres(settings={"port": str(port)})


def test_a_folder_that_cannot_be_written_is_named(postgres: Postgres, base: Path) -> None:
    (base / "file").touch()
    with pytest.raises(EngineError, match=r"file cannot be written .* SEKISU_DATA_DIR"):
        postgres(base / "file")


def test_without_any_postgresql_the_extra_is_named(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "wheel_binaries", list)
    monkeypatch.setattr(launcher, "DEBIAN", Path("/nonexistent"))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(EngineError, match=r"install sekisu\[embedded\]"):
        postgres()
