"""The bench's arithmetic: what a measurement becomes, and what is said of it."""

from dataclasses import replace

import pytest

from bench import table
from bench.row import Row, compare, limit, percentiles
from bench.rows import QUICK, Size

FAST = compare("quick one", "changes/s", [(500, 100), (400, 100), (900, 100)], 2, 5)
SLOW = compare("slow one", "ms CPU/change", [(6, 10), (7, 10), (8, 10)], 0.5, 0.2)


def test_the_ratio_of_a_row_is_the_median_of_its_pairs() -> None:
    assert (FAST.sekisu, FAST.baseline, FAST.ratio) == (500, 100, 5)
    assert FAST.ratio == FAST.figure


def test_where_the_aim_lies_below_less_is_better() -> None:
    assert (FAST.verdict, SLOW.verdict) == ("ok", "below")
    assert compare("cpu", "ms", [(5, 10)], 0.5, 0.2).verdict == "ok"
    assert compare("rate", "/s", [(199, 100)], 2, 5).verdict == "below"


def test_a_measure_that_stands_for_itself_has_a_limit_and_no_baseline() -> None:
    row = limit("board", "s", [0.2, 1.4, 0.9], 1.0, 0.3)
    assert (row.sekisu, row.baseline, row.ratio, row.figure) == (0.9, None, None, 0.9)
    assert (row.verdict, row.notes) == ("ok", {"worst": 1.4})
    assert limit("board", "s", [1.01], 1.0, 0.3).verdict == "below"


def test_what_is_reached_is_one_where_it_is_just_enough_and_more_where_it_is_better() -> None:
    assert limit("board", "s", [1.0], 1.0, 0.3).reached == 1
    assert limit("board", "s", [0.5], 1.0, 0.3).reached == 2
    assert FAST.reached == 2.5
    assert SLOW.reached == pytest.approx(0.5 / 0.7)


def test_percentiles_are_waits_that_so_many_did_not_exceed() -> None:
    found = percentiles("", [n / 1000 for n in range(100, 0, -1)])
    assert found == {"p50_ms": 51.0, "p95_ms": 96.0, "p99_ms": 100.0}
    assert percentiles("small_", [0.002]) == {"small_p50_ms": 2.0, "small_p95_ms": 2.0, "small_p99_ms": 2.0}


def test_a_line_of_the_table_names_figure_marks_verdict_and_noise() -> None:
    line = table.line(replace(FAST, foreign=0.42))
    assert line.split()[:8] == ["quick", "one", "500", "100", "changes/s", "5.00x", "2x", "5x"]
    assert "ok" in line
    assert "noisy: 0.42 cores busy elsewhere" in line
    assert "noisy" not in table.line(replace(FAST, foreign=0.3))


def test_a_line_without_a_baseline_shows_a_dash_for_it_and_for_the_ratio() -> None:
    words = table.line(limit("memory", "MB", [200.0], 300, 150)).split()
    assert words[:8] == ["memory", "200", "-", "MB", "-", "300", "150", "ok"]


def test_rows_of_the_same_runs_are_measured_once_and_only_those_asked_for_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = []

    def both(_bench: object) -> list[Row]:
        runs.append("both")
        return [replace(FAST, name="cpu"), replace(FAST, name="end-to-end"), replace(FAST, name="cpu, 50 workspaces")]

    monkeypatch.setattr(table, "ROWS", {"cpu": both, "end-to-end": both})
    found = table.measure(None, ["cpu", "end-to-end"])  # type: ignore[arg-type] # the rows above ask nothing of it
    assert [row.name for row in found] == ["cpu", "end-to-end", "cpu, 50 workspaces"]
    assert runs == ["both"]
    assert [row.name for row in table.measure(None, ["cpu"])] == ["cpu", "cpu, 50 workspaces"]  # type: ignore[arg-type]


def test_a_scale_changes_the_sizes_that_take_gigabytes_and_no_other() -> None:
    tenth = Size().scaled(0.1)
    assert (tenth.members, tenth.past, tenth.subscriptions) == (100_000, 1_000_000, 10_000)
    assert replace(tenth, members=1_000_000, past=10_000_000, subscriptions=100_000) == Size()
    assert QUICK.scaled(0.0001).past % 1000 == 0


def test_a_peer_slower_than_a_fair_one_makes_its_rows_void() -> None:
    slow = [replace(FAST, baseline=199.0), SLOW]
    assert [row.verdict for row in table.unless_void(slow)] == ["void", "void"]
    assert table.unless_void([replace(FAST, baseline=200.0), SLOW])[1].verdict == "below"
