"""The rows as one SVG picture: how far each reached, on a scale where 1 is what it must reach. Pure.

A bar to the right of 1 reached it, one to the left fell short.
"""

from collections.abc import Mapping, Sequence
from html import escape
from math import log10

from bench.row import Row

_LEFT, _WIDE, _STEP, _TOP = 300, 420, 30, 70
#: The scale's ends, in multiples of what a row must reach; logarithmic.
_LEAST, _MOST = 0.1, 100.0
_COLOURS = {"ok": "#2f7d4f", "below": "#b4442c", "void": "#8a8a8a"}


def svg(rows: Sequence[Row], machine: Mapping[str, str]) -> str:
    """The picture as text."""
    height = _TOP + _STEP * len(rows) + 20
    about = ", ".join(f"{name} {value}" for name, value in machine.items())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="1000" height="{height}" fill="#ffffff"/>',
        '<text x="10" y="20" font-size="15">What each row reached of what it must (1); bold: the aim</text>',
        f'<text x="10" y="38" fill="#555">{escape(about)}</text>',
        *(_grid(tick, height) for tick in (0.1, 1.0, 10.0, 100.0)),
        *(part for n, row in enumerate(rows) for part in _bar(row, _TOP + _STEP * n)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def place(reached: float) -> float:
    """Where a multiple of what must be reached lies, in pixels from the left."""
    inside = min(max(reached, _LEAST), _MOST)
    return round(_LEFT + _WIDE * (log10(inside) - log10(_LEAST)) / (log10(_MOST) - log10(_LEAST)), 1)


def _grid(tick: float, height: int) -> str:
    x, colour = place(tick), "#222" if tick == 1 else "#ddd"
    return (
        f'<line x1="{x}" y1="{_TOP - 12}" x2="{x}" y2="{height - 12}" stroke="{colour}"/>'
        f'<text x="{x}" y="{_TOP - 16}" text-anchor="middle" fill="#555">{tick:g}</text>'
    )


def _bar(row: Row, top: int) -> list[str]:
    aim = row.at_least / row.aim if row.aim < row.at_least else row.aim / max(row.at_least, 1e-9)
    ends = sorted((place(1), place(row.reached)))
    mark, figure = place(aim), f"{row.figure:,.3g}{'x' if row.ratio is not None else f' {row.unit}'}"
    colour = _COLOURS[row.verdict]
    goal = f"{figure}  (at least {row.at_least:g}, aim {row.aim:g}){'  noisy' if row.noisy else ''}"
    return [
        f'<text x="10" y="{top + 14}">{escape(row.name)}</text>',
        f'<rect x="{ends[0]}" y="{top + 3}" width="{ends[1] - ends[0]:.1f}" height="14" fill="{colour}"/>',
        f'<line x1="{mark}" y1="{top}" x2="{mark}" y2="{top + 20}" stroke="#222" stroke-width="3"/>',
        f'<text x="{_LEFT + _WIDE + 12}" y="{top + 14}">{escape(goal)}</text>',
    ]
