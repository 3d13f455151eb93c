"""Backup and restore, on a real embedded PostgreSQL."""

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from billing.settings import Settings
from billing.store.migrate import current, head, migrate
from service.cli import backup, pgtools, restore
from tests.conftest import open_folder


def cli(command: object, folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, env={"SEKISU_DATA_DIR": str(folder)})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def saved() -> Iterator[tuple[Path, Settings]]:
    """An archive of a migrated database with one more account, and the settings it was made under."""
    folder = open_folder()
    settings = Settings.load({"SEKISU_DATA_DIR": str(folder)})
    with pgtools.database(settings) as url:
        migrate(url)
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE keepsake (word text); INSERT INTO keepsake VALUES ('席数')")
            connection.execute("GRANT SELECT ON keepsake TO sekisu_app")
    result = cli(backup.command, folder, str(folder / "saved.tar"))
    assert result.exit_code == 0, result.output
    yield folder / "saved.tar", settings
    shutil.rmtree(folder)


@pytest.fixture
def second() -> Iterator[Path]:
    """An empty data directory."""
    folder = open_folder()
    yield folder
    shutil.rmtree(folder)


def test_only_its_owner_may_read_a_backup(saved: tuple[Path, Settings]) -> None:
    assert stat.S_IMODE(saved[0].stat().st_mode) == 0o600


def test_a_backup_never_overwrites(saved: tuple[Path, Settings]) -> None:
    result = cli(backup.command, saved[1].data_dir, str(saved[0]))
    assert result.exit_code == 2
    assert "there already" in result.output


def test_a_restore_brings_back_rows_rights_and_secrets(saved: tuple[Path, Settings], second: Path) -> None:
    archive, before = saved
    result = cli(restore.command, second, str(archive))
    assert result.exit_code == 0, result.output
    assert "secret-key" in result.output
    after = Settings.load({"SEKISU_DATA_DIR": str(second)})
    assert (after.secret_keys, after.payment_secret, after.api_key) == (
        before.secret_keys,
        before.payment_secret,
        before.api_key,
    )
    with pgtools.database(after) as url:
        assert current(url) == head()
        with psycopg.connect(url) as connection:
            connection.execute("SET ROLE sekisu_app")
            assert connection.execute("SELECT word FROM keepsake").fetchone() == ("席数",)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("DELETE FROM journal")


def test_a_restore_into_a_database_with_tables_is_refused_unless_forced(saved: tuple[Path, Settings]) -> None:
    archive, settings = saved
    refused = cli(restore.command, settings.data_dir, str(archive))
    assert isinstance(refused.exception, restore.RestoreError)
    assert "not empty" in str(refused.exception)
    forced = cli(restore.command, settings.data_dir, "--force", str(archive))
    assert forced.exit_code == 0, forced.output


def test_what_is_no_backup_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear reader")
    refused = cli(restore.command, tmp_path / "data", str(tmp_path / "letter"))
    assert isinstance(refused.exception, restore.RestoreError)


def test_nothing_is_no_backup(second: Path) -> None:
    settings = Settings.load({"SEKISU_DATA_DIR": str(second)})
    with pgtools.database(settings):
        pass
    refused = cli(backup.command, second, str(second / "saved.tar"))
    assert isinstance(refused.exception, backup.EmptyError)
    assert not (second / "saved.tar").exists()


def test_a_folder_without_a_database_is_named_and_none_is_made_in_it(tmp_path: Path) -> None:
    refused = cli(backup.command, tmp_path / "data", str(tmp_path / "saved.tar"))
    assert isinstance(refused.exception, pgtools.NoDatabaseError)
    assert str(tmp_path / "data") in str(refused.exception)
    assert "SEKISU_DATA_DIR" in str(refused.exception)
    assert not (tmp_path / "data" / "postgres").exists()
