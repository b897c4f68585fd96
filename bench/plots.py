"""Bar charts as SVG. The page has only three, so it needs no library."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 760
_LABELS = 250
_BAR = 18
_STEP = 26
_TOP = 44
_MARGIN = 16
_ROOM_FOR_FIGURE = 90

PLAIN, OURS, OTHER = "#8a94a3", "#0b6e4f", "#c2703d"


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its label, its length, and the figure that is written beside it."""

    label: str
    value: float
    figure: str
    colour: str = PLAIN


def bars(title: str, drawn: Sequence[Bar]) -> str:
    """Return a picture of horizontal bars that all start at zero."""
    height = _TOP + _STEP * len(drawn) + _MARGIN
    longest = max(bar.value for bar in drawn)
    lines = [line for row, bar in enumerate(drawn) for line in _bar(bar, row, longest)]
    return "\n".join((*_frame(title, height), *lines, "</svg>\n"))


def _frame(title: str, height: int) -> list[str]:
    box = f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}"'
    font = 'font-family="system-ui, sans-serif" font-size="13" fill="#1b1f24"'
    heading = f'x="{_MARGIN}" y="26" font-size="15" font-weight="600"'
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} {font}>',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f"<text {heading}>{escape(title)}</text>",
    ]


def _bar(bar: Bar, row: int, longest: float) -> list[str]:
    top = _TOP + _STEP * row
    room = WIDTH - _LABELS - _ROOM_FOR_FIGURE
    length = max(1.0, room * bar.value / longest)
    middle = top + _BAR - 5
    size = f'width="{length:.1f}" height="{_BAR}" rx="2" fill="{bar.colour}"'
    return [
        f'<text x="{_LABELS - 8}" y="{middle}" text-anchor="end">{escape(bar.label)}</text>',
        f'<rect x="{_LABELS}" y="{top}" {size}/>',
        f'<text x="{_LABELS + length + 6:.1f}" y="{middle}">{escape(bar.figure)}</text>',
    ]
