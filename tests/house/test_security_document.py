"""docs/security.md claims nothing without a test, and names no test that is gone."""

import ast
import re

from tests.house.source import ROOT

TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
CLAIMS, _, TABLE = TEXT.partition("## Evidence\n")
EVIDENCE = dict(re.findall(r"^\| (E\d+) \| (.+) \|$", TABLE, re.MULTILINE))


def names_in(path: str) -> set[str]:
    """The tests of a file; none if it is gone."""
    if not (ROOT / path).is_file():
        return set()
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TABLE)
    assert len(named) > 30
    assert [
        f"{path}::{name}" for path, name in named if not names_in(path) or (name and name not in names_in(path))
    ] == []


def test_every_claim_has_evidence_and_every_evidence_a_claim() -> None:
    claimed = set(re.findall(r"\bE\d+\b", CLAIMS.partition("\n\n## ")[2]))
    assert claimed == EVIDENCE.keys()
    for title in ("## Threats", "## OWASP API", "## ASVS"):
        section = CLAIMS.partition(title)[2].partition("\n## ")[0]
        rows = [line for line in section.splitlines() if line.startswith("| ") and "---" not in line][1:]
        assert rows
        assert [row for row in rows if not re.search(r"\bE\d+\b[^|]*\|$", row)] == []


def test_all_ten_risks_of_owasp_are_answered_and_the_document_stays_short() -> None:
    section = CLAIMS.partition("## OWASP API")[2].partition("\n## ")[0]
    assert re.findall(r"^\| API(\d+) ", section, re.MULTILINE) == [str(number) for number in range(1, 11)]
    assert TEXT.count("\n") < 200
