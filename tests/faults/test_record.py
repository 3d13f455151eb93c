"""The record of long runs: where it is written, and when it is old."""

import subprocess
from pathlib import Path

import pytest

from tests.faults import record
from tests.faults.breaking import Tally


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one change of the workers, in which the record is looked for."""
    monkeypatch.setattr(record, "ROOT", tmp_path)
    _git(tmp_path, "init", "-q")
    _change(tmp_path, "workers/settle.py", "1")
    return tmp_path


def _git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=Aoi", "-c", "user.email=aoi@kobo.example", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _change(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    _git(folder, "add", ".")
    _git(folder, "commit", "-q", "-m", name)


def _record(folder: Path) -> Path:
    place = folder / "reliability.md"
    record.write(record.written("python -m tests.faults --seeds 1", {"fault seeds": Tally(runs=1)}, [], 1.0), place)
    return place


def test_a_record_is_written_between_its_marks_and_the_rest_stays(repository: Path) -> None:
    place = repository / "reliability.md"
    place.write_text(f"# Before\n\n{record.BEGIN}\nold\n{record.END}\n\nbehind\n")
    _record(repository)
    text = place.read_text()
    assert text.startswith(f"# Before\n\n{record.BEGIN}")
    assert text.endswith(f"{record.END}\n\nbehind\n")
    assert "old" not in text
    assert "| **lost** | 0 |" in text
    assert f"Commit `{_git(repository, 'rev-parse', 'HEAD')}`" in text


def test_a_record_is_old_when_the_core_or_the_workers_changed_since_and_not_when_something_else_did(
    repository: Path,
) -> None:
    place = _record(repository)
    assert record.warning(place) is None
    _change(repository, "docs/rules.md", "1")
    assert record.warning(place) is None
    _change(repository, "billing/core/money.py", "1")
    told = record.warning(place)
    assert told is not None
    assert "older than" in told
    _record(repository)
    assert record.warning(place) is None


def test_no_record_is_told_and_where_there_is_no_git_nothing_is(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "holds no record" in str(record.warning(repository / "none.md"))
    monkeypatch.setattr(record, "ROOT", tmp_path_factory.mktemp("bare"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path_factory.getbasetemp()))
    assert record.warning(repository / "none.md") is None
