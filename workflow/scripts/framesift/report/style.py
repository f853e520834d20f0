"""How series look: colours that colour-blind readers tell apart, and markers and lines for readers in grey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Okabe and Ito's palette (Color Universal Design, 2008) without black, which stands for no series, and without
#: yellow, which is too pale for white paper.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
#: Readable on white and on near-black.
BASELINE = "#767676"
#: Markers and lines by matplotlib's name, with plotly's.
MARKERS = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "X": "x",
}
LINES = {"-": "solid", "--": "dash", "-.": "dashdot", ":": "dot"}


@dataclass(frozen=True)
class SeriesStyle:
    """Colour, marker and line of one series; marker and line by matplotlib's names."""

    colour: str
    marker: str
    line: str


def looks(names: Sequence[str], baseline: str | None = None) -> dict[str, SeriesStyle]:
    """A look for every series; the baseline is grey.

    Colours repeat after 6, markers after 7 and lines after 4 series, so no two of the first 84 are alike.

    Parameters
    ----------
    names : sequence of str
        In the order of the table, so that a series looks the same in every figure.
    baseline : str, optional
        The series that others are compared with.
    """
    made = {}
    others = 0
    for name in dict.fromkeys(names):
        if name == baseline:
            made[name] = SeriesStyle(BASELINE, "*", "-")
            continue
        made[name] = SeriesStyle(
            COLOURS[others % len(COLOURS)], list(MARKERS)[others % len(MARKERS)], list(LINES)[others % len(LINES)]
        )
        others += 1
    return made


def plotly_marker(look: SeriesStyle) -> str:
    return MARKERS.get(look.marker, "star")


def plotly_line(look: SeriesStyle) -> str:
    return LINES[look.line]
