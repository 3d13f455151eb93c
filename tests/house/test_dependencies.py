"""What we build on: pinned by hash, from the index only, under licences that let us, and installed as it is locked."""

import re
from importlib import metadata

import pytest

from tests.house.source import ROOT

LOCK = (ROOT / "requirements.txt").read_text(encoding="utf-8").replace("\\\n", " ")
PINS = re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==(\S+)(?: ; ([^-]+?))? +--hash", LOCK, re.MULTILINE)
#: Words of the licences we use; copyleft only as a library that is imported, never changed.
GOOD = re.compile(r"\b(MIT|BSD|Apache|PSF|MPL|Mozilla Public License|Lesser General Public|LGPL|OFL)\b")
BAD = re.compile(r"\b(AGPL|Affero|SSPL|Commons Clause|GPL-[23]\.0)\b")


def test_every_line_of_the_lock_is_a_pin_with_hashes_and_nothing_else() -> None:
    lines = [line for line in LOCK.splitlines() if line.strip()]
    assert len(lines) == len(PINS) > 20
    assert not re.search(r"@|://|--(extra-)?index|git\+|file:", LOCK)
    assert all(len(found) == 64 for found in re.findall(r"--hash=sha256:([0-9a-f]+)", LOCK))


@pytest.mark.parametrize(("name", "version", "condition"), PINS, ids=lambda one: one)
def test_what_is_installed_is_what_is_locked_and_its_licence_is_one_of_ours(
    name: str, version: str, condition: str
) -> None:
    try:
        found = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        assert condition, f"{name} is locked and not installed"
        return
    assert found["Version"] == version
    classifiers = [word for word in found.get_all("Classifier") or [] if word.startswith("License")]
    said = " ".join([found.get("License-Expression") or "", (found.get("License") or "")[:200], *classifiers])
    assert GOOD.search(said), said
    assert not BAD.search(said), said


def test_the_audit_of_known_faults_fails_when_it_cannot_look_one_up() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = makefile.partition("\naudit:")[2].partition("\n\n")[0]
    assert {"pip-audit", "--strict", "--require-hashes", "requirements.txt"} <= set(recipe.split())
