"""Figures for files, by matplotlib: the same numbers give the same bytes.

Every function gives a figure, or None where the table has nothing to draw. Colours are never the only sign: series
differ by marker and line, verdicts by fill.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from framesift.measures.measure import overlaps
from framesift.report.gallery import EXCLUDED, RIGHT, outcome_of
from framesift.report.inputs import Inputs
from framesift.report.style import BASELINE, COLOURS, SeriesStyle, looks
from framesift.report.training import QUALITIES, SMOOTHED, TASKS, Points, TrainingCurve
from framesift.storage.files import atomic_write
from framesift.tables.rows import BETTER, WORSE, Row, RowId, number, series, verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Larger groupings are left to the browser: more panels cannot be read.
MOST_GROUPS = 16
_SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "text.parse_math": False,  # questions may speak of dollars
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "framesift",
}


def figures(inputs: Inputs) -> Iterator[tuple[str, Figure]]:
    """Every figure that the table has numbers for, with the name of its file."""
    made: list[tuple[str, Figure | None]] = [
        ("accuracy_by_budget", accuracy_by_budget(inputs)),
        *((f"gain_by_{grouping}", gain_by_group(inputs, grouping)) for grouping in inputs.groupings),
        *((f"overlap_{budget}", overlap(inputs, budget)) for budget in inputs.named_selections()),
        ("accuracy_by_cost", accuracy_by_cost(inputs)),
        ("training", training(inputs)),
        *((f"score_curve_{what}", score_curve(inputs, question)) for what, question in examples(inputs).items()),
    ]
    for name, figure in made:
        if figure is not None:
            yield _safe(name), figure


def write_figures(inputs: Inputs, folder: Path, questions: Sequence[str] = ()) -> list[Path]:
    """Write all figures as SVG and PNG.

    Parameters
    ----------
    inputs : Inputs
    folder : Path
        It is made where it is missing.
    questions : sequence of str
        Further questions whose score curves are wanted.
    """
    files = []
    wanted = [(f"score_curve_{question}", score_curve(inputs, question)) for question in questions]
    for name, figure in [*figures(inputs), *((_safe(name), figure) for name, figure in wanted if figure)]:
        title = figure.get_suptitle()
        for suffix, metadata in (
            (".svg", {"Date": None, "Title": title}),
            (".png", {"Software": None, "Title": title}),
        ):
            file = folder / f"{name}{suffix}"
            with atomic_write(file) as temporary, _settings():
                figure.savefig(temporary, metadata=metadata, dpi=150, format=suffix[1:])
            files.append(file)
    return files


def _settings() -> Any:
    import matplotlib

    return matplotlib.rc_context(_SETTINGS)


def _new(rows: int, columns: int, size: tuple[float, float], title: str, **options: Any) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle("\n".join(textwrap.wrap(title, max(40, int(size[0] * 11)))), fontsize=11, fontweight="bold")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def _height(inputs: Inputs) -> float:
    """Inches that a legend of every series needs."""
    return max(4.2, 0.9 + 0.2 * len(set(inputs.names)))


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)


def _looks(inputs: Inputs) -> dict[str, SeriesStyle]:
    return looks(inputs.names, inputs.baseline_name)


# Accuracy against frame budget


def budgets_of(inputs: Inputs) -> dict[str, dict[str, list[Row]]]:
    """Answerer -> series -> rows by budget, for answerers with several budgets."""
    made: dict[str, dict[str, list[Row]]] = {}
    for row in inputs.rows:
        if row["accuracy"]:
            made.setdefault(row["answerer"], {}).setdefault(series(row), []).append(row)
    return {
        answerer: of_series
        for answerer, of_series in made.items()
        if len({row["budget"] for rows in of_series.values() for row in rows}) > 1
    }


def accuracy_by_budget(inputs: Inputs) -> Figure | None:
    """One panel an answerer: accuracy with 95 % bands against the budget; None with one budget."""
    panels = budgets_of(inputs)
    if not panels:
        return None
    with _settings():
        look = _looks(inputs)
        figure, axes = _new(
            1, len(panels), (1.5 + 4.6 * len(panels), _height(inputs)), "Accuracy against frame budget", sharey=True
        )
        for axis, (answerer, of_series) in zip(axes[0], panels.items(), strict=True):
            for name, rows in of_series.items():
                _band(axis, name, sorted(rows, key=lambda row: int(row["budget"])), look[name])
            axis.set_xscale("log", base=2)
            ticks = sorted({int(row["budget"]) for rows in of_series.values() for row in rows})
            axis.set_xticks(ticks, [str(tick) for tick in ticks])
            axis.minorticks_off()
            axis.set_title(answerer)
            axis.set_xlabel("Frame budget (frames)")
        axes[0][0].set_ylabel("Accuracy (%), band: 95 % interval")
        figure.legend(*_legend(axes[0]), loc="outside right upper")
        return figure


def _band(axis: Axes, name: str, rows: Sequence[Row], look: SeriesStyle) -> None:
    budgets = [int(row["budget"]) for row in rows]
    axis.plot(
        budgets,
        [100 * float(row["accuracy"]) for row in rows],
        color=look.colour,
        marker=look.marker,
        linestyle=look.line,
        label=name,
        zorder=3,
    )
    low, high = ([100 * (number(row, f"accuracy_{end}") or 0.0) for row in rows] for end in ("low", "high"))
    axis.fill_between(budgets, low, high, color=look.colour, alpha=0.12, linewidth=0)


def _legend(axes: Sequence[Axes]) -> tuple[list[Any], list[str]]:
    """Every series once, though several panels show it."""
    found: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values()), list(found)


# Gain by group


def gains_of(inputs: Inputs, grouping: str) -> dict[str, list[Row]]:
    """Group -> rows with a difference; without controls."""
    made: dict[str, list[Row]] = {}
    for row in inputs.groups:
        if row["grouping"] == grouping and row["difference"] and not row["control"]:
            made.setdefault(row["group"], []).append(row)
    return made


def row_label(inputs: Inputs, row: Row) -> str:
    """A series, with what tells it from others where the table has several answerers or budgets."""
    parts = [series(row)]
    if len({one["answerer"] for one in inputs.rows}) > 1:
        parts.append(row["answerer"])
    if len({one["budget"] for one in inputs.rows}) > 1:
        parts.append(f"{row['budget']} frames")
    return ", ".join(parts)


def gain_by_group(inputs: Inputs, grouping: str) -> Figure | None:
    """One panel a group: the difference to the baseline of every row, with its interval.

    None where there is no difference, one group only, or more groups than can be read.
    """
    groups = gains_of(inputs, grouping)
    if len(groups) < 2 or len(groups) > MOST_GROUPS:
        return None
    labels = list(dict.fromkeys(row_label(inputs, row) for rows in groups.values() for row in rows))
    columns = min(len(groups), 4)
    lines = math.ceil(len(groups) / columns)
    with _settings():
        figure, axes = _new(
            lines,
            columns,
            (2.2 + 2.5 * columns, 1.3 + lines * (0.9 + 0.26 * len(labels))),
            f"Gain over {inputs.spec.baseline} by {grouping}",
            sharey=True,
            sharex=True,
        )
        for axis, (group, rows) in zip(axes.flat, groups.items(), strict=False):
            for row in rows:
                _gain(axis, labels.index(row_label(inputs, row)), row)
            axis.axvline(0, color="black", linewidth=0.8, zorder=1)
            axis.set_title("\n".join(textwrap.wrap(f"{group} (n = {rows[0]['n_total']})", 30)), fontsize=9)
            axis.set_yticks(range(len(labels)), labels)
        for axis in list(axes.flat)[len(groups) :]:
            axis.set_visible(False)
        axes[0][0].set_ylim(len(labels) - 0.5, -0.5)
        axes[0][0].set_ylabel("Method")
        figure.supxlabel(
            "Gain (percentage points); line: 95 % interval; filled: better (circle) or worse (square)",
            fontsize=9,
        )
        return figure


def _gain(axis: Axes, place: int, row: Row) -> None:
    said = verdict(row)
    colour = {BETTER: COLOURS[0], WORSE: COLOURS[1]}.get(said, BASELINE)
    low, high = number(row, "difference_low"), number(row, "difference_high")
    if low is not None and high is not None:
        axis.plot([100 * low, 100 * high], [place, place], color=colour, linewidth=1.6, zorder=2)
    axis.plot(
        [100 * float(row["difference"])],
        [place],
        marker={BETTER: "o", WORSE: "s"}.get(said, "D"),
        color=colour,
        markerfacecolor=colour if said in (BETTER, WORSE) else "white",
        markersize=5.5,
        linestyle="none",
        zorder=3,
    )


# Overlap between methods


def overlap(inputs: Inputs, budget: int) -> Figure | None:
    """Matrix of the mean Jaccard index of every two selections of a budget; None with fewer than two."""
    selections = inputs.named_selections()[budget]
    if len(selections) < 2:
        return None
    values, names = overlaps(selections), list(selections)
    size = 2.6 + (0.55 if len(names) <= 12 else 0.4) * len(names)
    with _settings():
        figure, axes = _new(1, 1, (size + 1.4, size), f"Frames in common, {budget} frames")
        axis = axes[0][0]
        image = axis.imshow(values, vmin=0, vmax=1, cmap="cividis")
        axis.grid(False)
        axis.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
        axis.set_yticks(range(len(names)), names)
        axis.set_xlabel("Method")
        axis.set_ylabel("Method")
        for line, column in np.ndindex(values.shape):
            if math.isfinite(value := values[line, column]):
                axis.text(
                    column, line, f"{value:.2f}", ha="center", va="center", fontsize=7,
                    color="black" if value > 0.5 else "white",
                )  # fmt: skip
        bar = figure.colorbar(image, ax=axis, shrink=0.8)
        bar.set_label("Jaccard index (mean over questions)")
        return figure


# Accuracy against cost


def seconds_columns(timings: Sequence[Row]) -> list[str]:
    """Columns of seconds that are known of every row, so that none looks cheap because a part of its cost is unknown.

    A row without a scorer needs no seconds of scoring. Seconds of GPUs are left out: they pass at the same time.
    """
    found = [name for name in (timings[0] if timings else ()) if "seconds" in name and "gpu" not in name.lower()]
    return [
        name
        for name in found
        if all(row[name] or (name.startswith("scoring") and not row["scorer"]) for row in timings)
        and any(row[name] for row in timings)
    ]


def costs_of(inputs: Inputs) -> tuple[list[tuple[Row, float]], list[str]]:
    """Rows with their seconds per question, and the columns of the timings that were added up."""
    columns = seconds_columns(inputs.timings)
    seconds = {}
    for row in inputs.timings:
        if parts := [value for name in columns if (value := number(row, name)) is not None]:
            seconds[RowId.of(row)] = sum(parts)
    found = [
        (row, seconds[RowId.of(row)])
        for row in inputs.rows
        if row["accuracy"] and not row["control"] and RowId.of(row) in seconds
    ]
    return found, columns


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other beats in both: cheaper or as cheap, and better or as good (Pareto front).

    >>> front([(2, 0.5), (1, 0.4), (3, 0.45)])
    [(1, 0.4), (2, 0.5)]
    """
    kept: list[tuple[float, float]] = []
    for cost, gain in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not kept or gain > kept[-1][1]:
            kept.append((cost, gain))
    return kept


def accuracy_by_cost(inputs: Inputs) -> Figure | None:
    """One panel an answerer: accuracy against seconds a question, with the Pareto front; None without timings."""
    found, columns = costs_of(inputs)
    if len(found) < 2:
        return None
    answerers = list(dict.fromkeys(row["answerer"] for row, _ in found))
    several = len({row["budget"] for row, _ in found}) > 1
    with _settings():
        look = _looks(inputs)
        size = (1.8 + 4.6 * len(answerers), _height(inputs))
        figure, axes = _new(1, len(answerers), size, "Accuracy against cost", sharey=True)
        for axis, answerer in zip(axes[0], answerers, strict=True):
            own = [(row, seconds) for row, seconds in found if row["answerer"] == answerer]
            for row, seconds in own:
                _priced(axis, row, seconds, look[series(row)], several)
            line = front([(seconds, 100 * float(row["accuracy"])) for row, seconds in own])
            line.append((max(seconds for _, seconds in own), line[-1][1]))
            axis.step(
                *zip(*line, strict=True), where="post", color="black", linewidth=0.9, linestyle=(0, (1, 2)),
                label="Pareto front", zorder=1,
            )  # fmt: skip
            axis.set_title(answerer)
            axis.set_xlabel("Seconds a question")
            axis.set_xlim(left=0)
        axes[0][0].set_ylabel("Accuracy (%), bar: 95 % interval")
        figure.legend(*_legend(axes[0]), loc="outside right upper")
        figure.supxlabel(f"added up: {', '.join(columns)}", fontsize=7, color="#555555")
        return figure


def training(inputs: Inputs) -> Figure | None:
    """One column a trained scorer: losses above, what validation measured below; None without curves."""
    if not inputs.training:
        return None
    with _settings():
        size = (1.8 + 4.6 * len(inputs.training), 6.0)
        figure, axes = _new(2, len(inputs.training), size, "Training", sharex="col", sharey="row")
        for column, (scorer, curve) in enumerate(inputs.training.items()):
            losses, measured = axes[0][column], axes[1][column]
            losses.set_title(scorer)
            for name, points in losses_of(curve).items():
                losses.plot(*zip(*points, strict=True), label=name, **_drawn(name))
            for name, title in QUALITIES.items():
                if found := curve.validation.get(name):
                    measured.plot(*zip(*found, strict=True), label=title, **_drawn(title))
            for start in curve.stages[1:]:
                for axis in (losses, measured):
                    axis.axvline(start, color=BASELINE, linewidth=0.9, linestyle=":")
            measured.set_xlabel("Step")
            measured.set_ylim(0, 1)
        axes[0][0].set_ylabel("Loss")
        axes[1][0].set_ylabel("On videos held out")
        for row in axes:
            row[-1].legend(*_legend(row), loc="best")
        figure.supxlabel(f"losses are means of {SMOOTHED} steps", fontsize=7, color="#555555")
        return figure


def losses_of(curve: TrainingCurve) -> dict[str, Points]:
    """Losses of the tasks, and on what was held out."""
    held_out = {"importance, held out": curve.validation["loss"]} if "loss" in curve.validation else {}
    return {**curve.losses, **held_out}


def _drawn(name: str) -> dict[str, Any]:
    look = looks([*TASKS, "importance, held out", *QUALITIES.values()])[name]
    return {"color": look.colour, "linestyle": look.line, "linewidth": 1.4}


def _priced(axis: Axes, row: Row, seconds: float, look: SeriesStyle, several: bool) -> None:
    value = 100 * float(row["accuracy"])
    low, high = (100 * (number(row, f"accuracy_{end}") or 0.0) for end in ("low", "high"))
    axis.errorbar(
        [seconds],
        [value],
        yerr=[[max(0.0, value - low)], [max(0.0, high - value)]],
        fmt=look.marker,
        color=look.colour,
        elinewidth=0.9,
        capsize=2,
        markersize=7,
        label=series(row),
    )
    if several:
        axis.annotate(row["budget"], (seconds, value), xytext=(6, 3), textcoords="offset points", fontsize=7)


# The score curve of a question


def examples(inputs: Inputs) -> dict[str, str]:
    """Questions worth a look: the first that a selection wins, the first that it loses, in the order of the labels."""
    found: dict[str, str] = {}
    if not inputs.scores:
        return found
    for name in inputs.questions:
        for place, baseline in enumerate(inputs.baselines):
            if baseline is None or inputs.cells[place].spec.control:
                continue
            ours, theirs = outcome_of(inputs, place, name), outcome_of(inputs, baseline, name)
            if EXCLUDED in (ours, theirs) or (ours == RIGHT) == (theirs == RIGHT):
                continue
            found.setdefault("won" if ours == RIGHT else "lost", name)
    return dict(sorted(found.items()))


def score_curve(inputs: Inputs, question_id: str) -> Figure | None:
    """Scores of a question's candidates over time, its evidence, and the frames that each method chose.

    Raises
    ------
    InputError
        For a question that is not in the labels.
    """
    from framesift.core.errors import InputError

    if question_id not in inputs.questions:
        raise InputError("is no question of the labels", field="--question", value=question_id)
    question = inputs.questions[question_id]
    video = inputs.videos.get(question.video_id)
    if video is None or not video.frames:
        return None
    usable = {
        scorer: scores[question_id].scores
        for scorer, scores in inputs.scores.items()
        if question_id in scores and not scores[question_id].error and scores[question_id].frames == video.frames
    }
    chosen = _chosen(inputs, question_id)
    spans = inputs.evidence[question_id].spans if question_id in inputs.evidence else ()
    with _settings():
        look = _looks(inputs)
        figure, axes = _new(
            len(usable) + 1,
            1,
            (8.5, 1.4 + 1.5 * len(usable) + 0.6 + 0.22 * len(chosen)),
            textwrap.shorten(f"Question {question_id}: {question.question}", 180, placeholder=" …"),
            sharex=True,
            gridspec_kw={"height_ratios": [1.5] * len(usable) + [0.4 + 0.22 * len(chosen)]},
        )
        for axis, (scorer, values) in zip(axes[:, 0], usable.items(), strict=False):
            axis.plot(video.times, values, color="black", linewidth=0.8)
            axis.set_ylabel(f"Score\n({scorer})")
        ticks = axes[-1][0]
        for place, (name, times) in enumerate(chosen.items()):
            ticks.plot(
                times, [place] * len(times), look[name.split("\n")[0]].marker, linestyle="none", markersize=4.5,
                color=look[name.split("\n")[0]].colour,
            )  # fmt: skip
        ticks.set_yticks(range(len(chosen)), [name.replace("\n", ", ") for name in chosen])
        ticks.set_ylim(len(chosen) - 0.5, -0.5)
        ticks.set_ylabel("Chosen by")
        ticks.set_xlabel("Time (s)" + ("; hatched: evidence" if spans else ""))
        for axis in axes[:, 0]:
            for start, end in spans:
                slack = 0.002 * video.duration if start == end else 0.0
                axis.axvspan(
                    start - slack, end + slack, facecolor="#F0E442", edgecolor="#8a8200", alpha=0.45, hatch="////",
                    linewidth=0.5, zorder=0,
                )  # fmt: skip
        return figure


def _chosen(inputs: Inputs, question_id: str) -> Mapping[str, list[float]]:
    """Seconds by series; where there are several budgets, the budget follows in a line of its own."""
    named = inputs.named_selections()
    return {
        name + (f"\n{budget} frames" if len(named) > 1 else ""): list(selection[question_id].times)
        for budget, selections in named.items()
        for name, selection in selections.items()
    }
