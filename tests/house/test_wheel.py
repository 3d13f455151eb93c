"""The wheel holds exactly service, workers and billing, with migrations, plans and py.typed."""

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.house.source import PACKAGES, ROOT

FILES = ("pyproject.toml", "README.md", "LICENSE", "THIRD_PARTY_NOTICES.md")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built from a copy, so that nothing is left in the tree."""
    if not (ROOT / "README.md").is_file() or int(version("setuptools").partition(".")[0]) < 77:
        if os.environ.get("CI"):
            pytest.fail("CI needs the README and the setuptools of requirements-dev.txt")
        pytest.skip("needs the README and setuptools 77, as `make` installs it")
    folder: Path = tmp_path_factory.mktemp("wheel")
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    build = "from setuptools.build_meta import build_wheel; build_wheel('.')"  # an environment of uv's has no pip
    subprocess.run([sys.executable, "-c", build], cwd=folder, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def wanted() -> set[str]:
    """Every Python file of the packages but those among fixtures, and the data that the code reads."""
    found = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            parts = path.relative_to(ROOT).parts
            named = path.name in ("py.typed", "plans.yaml") or "console" in parts
            data = path.suffix in (".py", ".sql", ".typ") or named
            if path.is_file() and data and not {"fixtures", "__pycache__"} & set(parts):
                found.add("/".join(parts))
    return found


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == wanted()
    assert {f"{package}/py.typed" for package in PACKAGES} <= held


def test_the_wheel_carries_the_licence_and_the_notices_and_the_command(wheel: zipfile.ZipFile) -> None:
    names = [name for name in wheel.namelist() if ".dist-info/" in name]
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/THIRD_PARTY_NOTICES.md") for name in names)
    entry_points = next(name for name in names if name.endswith("entry_points.txt"))
    assert "sekisu = service.cli.main:main" in wheel.read(entry_points).decode()


def test_no_lock_names_an_index_and_every_requirement_has_a_hash() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        assert not [line for line in lines if "://" in line or "--index" in line or "--find-links" in line]
        pins = [number for number, line in enumerate(lines) if "==" in line and not line.startswith(" ")]
        assert pins
        assert all("--hash=sha256:" in lines[number + 1] for number in pins)
