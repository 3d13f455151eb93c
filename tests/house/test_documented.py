"""What a person can type or set is in the README."""

import re

import pytest

from billing.settings import names
from service.cli.main import commands
from tests.house.source import ROOT

README = ROOT / "README.md"


@pytest.fixture(scope="module")
def readme() -> str:
    if not README.is_file() or "SEKISU_" not in README.read_text(encoding="utf-8"):
        pytest.skip("the README has no settings yet")
    return README.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", names())
def test_every_setting_is_in_the_readme(readme: str, name: str) -> None:
    short = name.removeprefix("SEKISU_")
    assert re.search(rf"\b(?:SEKISU_)?{short}\b", readme)


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_is_in_the_readme(readme: str, name: str) -> None:
    assert re.search(rf"`(?:sekisu )?{name}\b", readme) or f"sekisu {name}" in readme


def test_a_setting_that_code_reads_is_one_of_the_settings() -> None:
    """Only the settings module reads the environment's settings, so that no setting is unnamed."""
    internal = {"SEKISU_LIFELINE", "SEKISU_ENGINE_WAY"}  # what a process tells its child; what the engines' tests force
    found = set()
    for package in ("billing", "workers", "service"):
        for path in (ROOT / package).rglob("*.py"):
            for name in re.findall(r"[\"'](SEKISU_[A-Z_]+)[\"']", path.read_text(encoding="utf-8")):
                if "CRASH" not in name:
                    found.add(name.removesuffix("_FILE"))
    assert found <= {*names(), *internal}
