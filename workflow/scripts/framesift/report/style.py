"""The look of series: colours that colour-blind readers distinguish, and markers and lines for greyscale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Okabe and Ito's palette (Color Universal Design, 2008) without black, which is reserved for axes, and without yellow,
#: which is too pale for white paper.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
#: Readable on white and on near-black.
BASELINE = "#767676"
#: Names of markers and lines in matplotlib and plotly.
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
    """Colour, marker and line of one series; marker and line have matplotlib's names."""

    colour: str
    marker: str
    line: str


def looks(names: Sequence[str], baseline: str | None = None) -> dict[str, SeriesStyle]:
    """A look for every series; the baseline is grey.

    Colours repeat after 6, markers after 7 and lines after 4 series, so the first 84 looks are different.

    Parameters
    ----------
    names : sequence of str
        In the order of the table, so that a series looks the same in every figure.
    baseline : str, optional
        The series that others are compared with.

    Examples
    --------
    >>> looks(["uniform", "aks"], baseline="uniform")["aks"]
    SeriesStyle(colour='#0072B2', marker='o', line='-')
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
