"""A table for a page or a paper: Markdown as GitHub shows it, and LaTeX with booktabs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from framesift.tables import formatting
from framesift.tables.cells import TableSpec
from framesift.tables.rows import Row, blocks
from framesift.tables.statistics import CONFIDENCE, ENOUGH_VIDEOS, RESAMPLES

#: Columns that a table without a value in them leaves out.
_OPTIONAL = ("scorer", "control", "gain", "p", "verdict", "evidence seen", "flag")
_NUMBERS = ("n", "accuracy", "gain", "p", "evidence seen", "frames")
_HEADERS = {"accuracy": "accuracy, %", "gain": "gain, points", "p": "p (Holm)", "evidence seen": "evidence seen, %"}
#: Special characters of LaTeX, for `str.translate`.
LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        **{character: f"\\{character}" for character in "&%$#_"},
    }
)


def markdown(spec: TableSpec, rows: Sequence[Row]) -> str:
    """A Markdown document with one table per answerer and budget.

    Parameters
    ----------
    spec : TableSpec
    rows : sequence of dict
        As the CSV file has them.
    """
    lines = [f"# {_markdown(spec.table)}", "", _markdown(caption(spec, rows)), ""]
    names = _columns(spec, rows)
    for (answerer, budget), block in blocks(rows).items():
        lines += [f"## {_markdown(f'{answerer}, {budget} frames')}", ""]
        lines.append(_markdown_row(_HEADERS.get(name, name) for name in names))
        lines.append(_markdown_row("---:" if name in _NUMBERS else "---" for name in names))
        lines += [_markdown_row(map(_markdown, _values(spec, row, names))) for row in block]
        lines.append("")
    return "\n".join(lines)


def latex(spec: TableSpec, rows: Sequence[Row]) -> str:
    """A LaTeX float with one tabular for all answerers and budgets; it needs the package booktabs.

    Parameters
    ----------
    spec : TableSpec
    rows : sequence of dict
        As the CSV file has them.
    """
    names = _columns(spec, rows)
    lines = [r"% \usepackage{booktabs}", r"\begin{table*}", r"  \centering\small"]
    lines += [f"  \\caption{{{escape_latex(caption(spec, rows))}}}", f"  \\label{{tab:{spec.table.replace('_', '-')}}}"]
    lines.append(f"  \\begin{{tabular}}{{{''.join('r' if name in _NUMBERS else 'l' for name in names)}}}")
    lines += [r"    \toprule", _latex_row(_HEADERS.get(name, name) for name in names)]
    for (answerer, budget), block in blocks(rows).items():
        title = escape_latex(f"{answerer}, {budget} frames")
        lines += [r"    \midrule", f"    \\multicolumn{{{len(names)}}}{{l}}{{\\emph{{{title}}}}} \\\\"]
        lines += [_latex_row(_values(spec, row, names)) for row in block]
    lines += [r"    \bottomrule", r"  \end{tabular}", r"\end{table*}", ""]
    return "\n".join(lines)


def caption(spec: TableSpec, rows: Sequence[Row]) -> str:
    """What the table shows, how it was made, and what its intervals and verdicts mean."""
    budgets = sorted({int(row["budget"]) for row in rows})
    frames = f"at most {', '.join(map(str, budgets))} frames a question"
    sentences = [f"Accuracy on {spec.dataset}, {frames}, protocol {spec.protocol}."]
    sentences.append(
        f"Ranges are {100 * CONFIDENCE:.0f} % intervals over videos: of an accuracy by a bootstrap of {RESAMPLES:,}"
        " resamples of whole videos, at least Wilson's; of a gain by Student's t with the bias-reduced variance CR2,"
        f" where answers changed in at least {ENOUGH_VIDEOS} videos."
    )
    if any(row["n_paired"] for row in rows):
        sentences.append(
            f"Gain is the difference to {spec.baseline} on the questions both answered. p is the larger of"
            " McNemar's exact test and an exact test that flips whole videos, corrected by Holm's method for the number"
            " of methods of one answerer and budget (negative controls, and runs of others, each among their own)."
        )
        sentences.append(
            "The verdict is better or worse where the interval excludes zero and p is below 0.05, and no flag, lack of"
            " videos or difference in the questions answered speaks against it."
        )
    if any(row["evidence_recall"] for row in rows):
        sentences.append("Evidence seen is the share of annotated evidence spans with a frame in them.")
    return " ".join(sentences)


def _columns(spec: TableSpec, rows: Sequence[Row]) -> list[str]:
    every = [_cells(spec, row) for row in rows]
    empty = ("", formatting.NOTHING)
    return [name for name in every[0] if name not in _OPTIONAL or any(cells[name] not in empty for cells in every)]


def _cells(spec: TableSpec, row: Row) -> Row:
    """The texts of a row, by column."""
    return {
        "method": row["method"],
        "scorer": row["scorer"],
        "control": row["control"],
        "n": formatting.answered(row),
        "accuracy": formatting.with_interval(row, "accuracy"),
        "gain": formatting.gain(row, spec.baseline),
        "p": formatting.p_value(row["p_holm"]) if row["n_paired"] else "",
        "verdict": row["verdict"],
        "evidence seen": formatting.percent(row["evidence_recall"]),
        "frames": formatting.frames(row),
        "flag": row["flag"],
    }


def _values(spec: TableSpec, row: Row, names: Sequence[str]) -> list[str]:
    cells = _cells(spec, row)
    return [cells[name] for name in names]


def _markdown_row(values: Iterable[str]) -> str:
    return f"| {' | '.join(values)} |"


def _markdown(text: str) -> str:
    """A text with the special characters of Markdown and HTML escaped."""
    return re.sub(r"([\\`*_{}\[\]<>|#~])", r"\\\1", " ".join(text.split()))


def _latex_row(values: Iterable[str]) -> str:
    return f"    {' & '.join(map(escape_latex, values))} \\\\"


def escape_latex(text: str) -> str:
    r"""A text with the special characters of LaTeX escaped, and with minus signs before numbers.

    Examples
    --------
    >>> print(escape_latex("a_b & -4 %"))
    a\_b \& $-$4 \%
    """
    return re.sub(r"(?<![\w-])-(?=\d)", "$-$", " ".join(text.split()).translate(LATEX))
