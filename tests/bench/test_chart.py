"""The chart: one picture, readable by any viewer, that does not flatter."""

from dataclasses import replace
from xml.etree import ElementTree

from bench.chart import place, svg
from bench.row import Row, compare, limit

GOOD = compare("end-to-end", "changes/s", [(400, 100)], 2, 5)
SHORT = limit("late <join>", "s", [4.0], 1.0, 0.2)
SVG = "{http://www.w3.org/2000/svg}"


def bars(rows: list[Row]) -> list[tuple[float, float, str]]:
    """(left end, right end, colour) of each bar; the first rectangle is the ground."""
    found = ElementTree.fromstring(svg(rows, {"cores": "2"})).findall(f"{SVG}rect")[1:]  # noqa: S314 - our own text
    at = [(float(bar.attrib["x"]), float(bar.attrib["width"]), bar.attrib["fill"]) for bar in found]
    return [(left, round(left + width, 1), colour) for left, width, colour in at]


def test_a_row_that_reached_its_mark_has_a_bar_to_the_right_of_it_and_one_that_did_not_to_the_left() -> None:
    good, short = bars([GOOD, SHORT])
    assert good[:2] == (place(1), place(2))
    assert short[:2] == (place(0.25), place(1))
    assert good[2] != short[2]


def test_the_scale_ends_where_the_picture_does() -> None:
    assert place(1e-9) == place(0.1) < place(1) < place(1e9) == place(100)


def test_the_picture_says_on_what_machine_and_whether_it_was_noisy() -> None:
    text = svg([replace(GOOD, foreign=0.5), SHORT], {"cores": "2", "commit": "abc & more"})
    assert "cores 2, commit abc &amp; more" in text
    assert text.count("noisy") == 1
    assert "late &lt;join&gt;" in text
    assert "4 s  (at least 1, aim 0.2)" in text
    assert "4x  (at least 2, aim 5)" in text
