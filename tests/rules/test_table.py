"""The rule table and the page it becomes: nothing is missing, and what would be wrong is told."""

from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.rules.mutate import became
from tests.rules.rule import WITHOUT, Rule
from tests.rules.table import PAGE, faults, numbered, page, rules

GOOD = Rule(
    "TR-01",
    "A seat costs its price.",
    "test_trello.py::test_tr_01_a_seat_costs",
    "billing/core/lines.py:added_line",
    "billing/core/lines.py",
    "seats * price",
    "seats",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository in which GOOD is good."""
    for name, text in {
        "tests/rules/test_trello.py": "def test_tr_01_a_seat_costs() -> None:\n    assert True\n",
        "billing/core/lines.py": "def added_line(seats: int, price: int) -> int:\n    return seats * price\n",
        "billing/plans.yaml": "minimum: 5\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def told(rule: Rule, root: Path) -> list[str]:
    """What is wrong with one row."""
    return [fault for fault in faults([rule], root) if "it has no row" not in fault]


def test_every_rule_has_a_row_a_test_that_is_there_and_code_that_can_be_broken() -> None:
    assert faults(rules()) == []


def test_the_page_is_what_the_rows_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(rules())


def test_only_the_five_that_ask_for_nothing_to_run_have_no_machine_part() -> None:
    assert sorted(rule.id for rule in rules() if not rule.test) == sorted(WITHOUT)


def test_the_fixed_list_is_that_of_the_rulebook() -> None:
    ids = list(numbered())
    assert len(ids) == len(set(ids)) == 30 + 30 + 30 + 15 + 33
    assert (ids[0], ids[-1]) == ("TR-01", "A-33")
    assert {"TR-30", "CW-30", "BL-30", "XX-15"} <= set(ids)


def test_a_rule_without_a_row_or_with_two_is_told(root: Path) -> None:
    found = faults([GOOD, GOOD], root)
    assert "TR-01: it has more than one row" in found
    assert "TR-02: it has no row" in found
    assert "TR-01: it has no row" not in found


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"says": ""}, "one line"),
        ({"says": "a\nb"}, "one line"),
        ({"test": ""}, "not named after it"),
        ({"test": "test_trello.py::test_tr_02_a_seat_costs"}, "not named after it"),
        ({"test": "test_trello.py::test_tr_01_a_seat"}, "no test"),
        ({"test": "test_nothing.py::test_tr_01_a_seat_costs"}, "no test"),
        ({"code": ""}, "there is no "),
        ({"code": "billing/core/lines.py"}, "there is no billing/core/lines.py"),
        ({"code": "billing/core/lines.py:taken_line"}, "there is no billing/core/lines.py:taken_line"),
        ({"code": "billing/core/lines.py:added_line, billing/plans.yaml:maximum"}, "billing/plans.yaml:maximum"),
        ({"old": "seats + price"}, "stands 0 times"),
        ({"old": "price"}, "stands 2 times"),
        ({"file": "billing/core/none.py"}, "stands 0 times"),
        ({"old": ""}, "stands 0 times"),
        ({"new": "seats * price"}, "changes nothing"),
        ({"why": "it is hard"}, "may have no machine part"),
    ],
)
def test_what_is_wrong_with_a_row_is_told(root: Path, more: dict[str, str], fault: str) -> None:
    assert told(GOOD, root) == []
    assert any(fault in one for one in told(replace(GOOD, **more), root))


def test_a_row_of_data_names_a_word_of_its_file(root: Path) -> None:
    assert told(replace(GOOD, code="billing/plans.yaml:minimum, billing/core/lines.py:added_line"), root) == []


def test_one_of_the_five_needs_its_reason_and_no_other_may_do_without_a_test(root: Path) -> None:
    assert told(Rule("A-32", "Nothing is inferred.", why="there is nothing to run"), root) == []
    assert told(Rule("A-32", "Nothing is inferred."), root) == ["A-32: it has no machine part and does not say why"]
    assert told(Rule("A-31", "Tax is said.", why="there is nothing to run"), root)


def test_a_row_shows_its_test_and_code_and_one_of_the_five_its_reason() -> None:
    text = page([GOOD, Rule("TR-30", "a | b", why="it only points elsewhere")])
    assert f"| TR-01 | A seat costs its price. | `{GOOD.test}` | `billing/core/lines.py:added_line` |" in text
    assert "| TR-30 | a \\| b | no machine part | it only points elsewhere |" in text
    assert "tests.rules.mutate --all" in text


@pytest.mark.parametrize(
    ("code", "out", "word"),
    [
        (0, "1 passed", "green"),
        (1, "FAILED tests/rules/test_trello.py::test_tr_01", "red"),
        (1, "ERROR tests/rules/test_trello.py::test_tr_01 - the database", "fell over"),
        (2, "ERROR tests/rules/test_trello.py - SyntaxError", "fell over"),
        (4, "no tests ran", "fell over"),
    ],
)
def test_only_a_test_that_failed_is_red(code: int, out: str, word: str) -> None:
    assert became(CompletedProcess([], code, out, "")).startswith(word)
