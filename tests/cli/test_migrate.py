"""`sekisu migrate`, and `sekisu bench` where there is no bench."""

import secrets
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from billing.core.errors import UnavailableError
from billing.store.migrate import current, head
from service.cli import bench
from tests.cli.story import sekisu
from tests.conftest import other_database


@pytest.fixture
def empty_url(superuser_url: str, postgres_url: str) -> str:
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER sekisu").format(sql.Identifier(name)))
    return other_database(postgres_url, name)


def test_migrate_brings_an_empty_database_to_the_head_and_prints_it(empty_url: str, tmp_path: Path) -> None:
    first = sekisu(empty_url, tmp_path, "migrate")
    assert (first.exit_code, first.stdout) == (0, f"{head()} (was empty)\n"), first.output
    assert current(empty_url) == head()
    with psycopg.connect(empty_url) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM price").fetchone() == (True,)
    assert sekisu(empty_url, tmp_path, "migrate").stdout == f"{head()}\n"


def test_a_database_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    result = sekisu("postgresql://nobody@127.0.0.1:1/none", tmp_path, "migrate")
    assert isinstance(result.exception, UnavailableError)


def test_an_installed_wheel_says_in_one_sentence_that_the_bench_is_in_the_source(tmp_path: Path) -> None:
    with pytest.raises(bench.NoBenchError, match="clone the source"):
        bench.run(tmp_path, ("receiver",))


def test_bench_runs_the_rows_of_a_source_checkout_in_one_run_and_ends_with_its_code(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__main__.py").write_text("import sys\nprint(sys.argv[1:])\nsys.exit('bad' in sys.argv)\n")
    with pytest.raises(SystemExit) as ended:
        bench.run(tmp_path, ("bad", "good", "--quick"))
    assert ended.value.code == 1
    assert capfd.readouterr().out == "['bad', 'good', '--quick']\n"
    assert sys.executable
