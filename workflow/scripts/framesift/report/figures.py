"""Figures for files, drawn by matplotlib from `figure_data`: the same numbers give the same bytes.

Every function returns a figure, or None if the table has nothing to draw. Colours are never the only sign: series
differ by marker and line, verdicts by fill.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from framesift.core.errors import InputError
from framesift.report import figure_data
from framesift.report.gallery import EXCLUDED, RIGHT, outcome_of
from framesift.report.inputs import Inputs
from framesift.report.style import BASELINE, COLOURS, SeriesStyle, looks
from framesift.report.training import HELD_OUT, QUALITIES, SMOOTHED, TASKS
from framesift.storage.files import atomic_write
from framesift.tables.rows import BETTER, WORSE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Most groups of a figure; with more panels it is unreadable.
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


def figures(inputs: Inputs, questions: Sequence[str] = ()) -> Iterator[tuple[str, Figure]]:
    """Every figure that the table has numbers for, by the name of its file, and the score curves of `questions`."""
    made: list[tuple[str, Figure | None]] = [
        ("accuracy_by_budget", accuracy_by_budget(inputs)),
        *((f"gain_by_{grouping}", gain_by_group(inputs, grouping)) for grouping in inputs.groupings),
        *((f"overlap_{budget}", overlap(inputs, budget)) for budget in inputs.named_selections()),
        ("accuracy_by_cost", accuracy_by_cost(inputs)),
        ("training", training(inputs)),
        *((f"score_curve_{what}", score_curve(inputs, question)) for what, question in examples(inputs).items()),
        *((f"score_curve_{question}", score_curve(inputs, question)) for question in questions),
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
        Created if it does not exist.
    questions : sequence of str
        Ids of further questions to draw score curves of.
    """
    files = []
    for name, figure in figures(inputs, questions):
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


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)


def _looks(inputs: Inputs) -> dict[str, SeriesStyle]:
    return looks(inputs.names, inputs.baseline_name)


def accuracy_by_budget(inputs: Inputs) -> Figure | None:
    """One panel per answerer: accuracy with its 95 % band against the budget; None with one budget."""

    def draw(axis: Axes, points: figure_data.Points, look: dict[str, SeriesStyle]) -> None:
        for one in figure_data.series_of(points):
            style = look[one.name]
            axis.plot(
                one.x, one.accuracy, color=style.colour, marker=style.marker, linestyle=style.line, label=one.name,
                zorder=3,
            )  # fmt: skip
            axis.fill_between(one.x, one.low, one.high, color=style.colour, alpha=0.12, linewidth=0)
        axis.set_xscale("log", base=2)
        ticks = sorted({budget for _, budget in points})
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()

    labels = ("Frame budget (frames)", "Accuracy (%), band: 95 % interval")
    return _by_answerer(inputs, figure_data.accuracy_by_budget(inputs), "Accuracy against frame budget", labels, draw)


def _by_answerer(
    inputs: Inputs,
    panels: Mapping[str, figure_data.Points],
    title: str,
    labels: tuple[str, str],
    draw: Callable[[Axes, figure_data.Points, dict[str, SeriesStyle]], None],
    margin: float = 1.5,
    note: str = "",
) -> Figure | None:
    """One panel per answerer, with the legend beside them; None without panels."""
    if not panels:
        return None
    with _settings():
        look = _looks(inputs)
        size = (margin + 4.6 * len(panels), max(4.2, 0.9 + 0.2 * len(look)))  # the legend has a line for every series
        figure, axes = _new(1, len(panels), size, title, sharey=True)
        for axis, (answerer, points) in zip(axes[0], panels.items(), strict=True):
            draw(axis, points, look)
            axis.set_title(answerer)
            axis.set_xlabel(labels[0])
        axes[0][0].set_ylabel(labels[1])
        figure.legend(*_legend(axes[0]), loc="outside right upper")
        if note:
            figure.supxlabel(note, fontsize=7, color="#555555")
        return figure


def _legend(axes: Sequence[Axes]) -> tuple[list[Any], list[str]]:
    """Every series once, though several panels show it."""
    found: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values()), list(found)


def gain_by_group(inputs: Inputs, grouping: str) -> Figure | None:
    """One panel per group: the difference of every row to the baseline, with its interval.

    None without differences, with one group, or with more than `MOST_GROUPS`.
    """
    groups = figure_data.gains(inputs, grouping)
    if not groups or len(groups) > MOST_GROUPS:
        return None
    labels = list(dict.fromkeys(gain.label for gains in groups.values() for gain in gains))
    columns = min(len(groups), 4)
    lines = math.ceil(len(groups) / columns)
    with _settings():
        size = (2.2 + 2.5 * columns, 1.3 + lines * (0.9 + 0.26 * len(labels)))
        title = f"Gain over {inputs.spec.baseline} by {grouping}"
        figure, axes = _new(lines, columns, size, title, sharey=True, sharex=True)
        for axis, (group, gains) in zip(axes.flat, groups.items(), strict=False):
            for gain in gains:
                _draw_gain(axis, labels.index(gain.label), gain)
            axis.axvline(0, color="black", linewidth=0.8, zorder=1)
            axis.set_title("\n".join(textwrap.wrap(f"{group} (n = {gains[0].row['n_total']})", 30)), fontsize=9)
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


def _draw_gain(axis: Axes, place: int, gain: figure_data.Gain) -> None:
    colour = {BETTER: COLOURS[0], WORSE: COLOURS[1]}.get(gain.verdict, BASELINE)
    if gain.low is not None and gain.high is not None:
        axis.plot([gain.low, gain.high], [place, place], color=colour, linewidth=1.6, zorder=2)
    axis.plot(
        [gain.value],
        [place],
        marker={BETTER: "o", WORSE: "s"}.get(gain.verdict, "D"),
        color=colour,
        markerfacecolor=colour if gain.verdict in (BETTER, WORSE) else "white",
        markersize=5.5,
        linestyle="none",
        zorder=3,
    )


def overlap(inputs: Inputs, budget: int) -> Figure | None:
    """Matrix of the mean Jaccard index of every two selections of a budget; None with fewer than two."""
    found = figure_data.overlap(inputs, budget)
    if found is None:
        return None
    names, values = found
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


def accuracy_by_cost(inputs: Inputs) -> Figure | None:
    """One panel per answerer: accuracy against seconds per question, with the Pareto front; None without timings."""
    panels, columns = figure_data.accuracy_by_cost(inputs)
    several = len({row["budget"] for points in panels.values() for row, _ in points}) > 1

    def draw(axis: Axes, points: figure_data.Points, look: dict[str, SeriesStyle]) -> None:
        for one in figure_data.series_of(points):
            _draw_costs(axis, one, look[one.name], several)
        axis.step(
            *figure_data.front_line(points), where="post", color="black", linewidth=0.9, linestyle=(0, (1, 2)),
            label="Pareto front", zorder=1,
        )  # fmt: skip
        axis.set_xlim(left=0)

    labels, note = ("Seconds a question", "Accuracy (%), bar: 95 % interval"), f"added up: {', '.join(columns)}"
    return _by_answerer(inputs, panels, "Accuracy against cost", labels, draw, 1.8, note)


def _draw_costs(axis: Axes, one: figure_data.AccuracySeries, look: SeriesStyle, with_budget: bool) -> None:
    accuracy = np.array(one.accuracy)
    axis.errorbar(
        one.x,
        accuracy,
        yerr=np.maximum(0.0, [accuracy - one.low, np.array(one.high) - accuracy]),
        fmt=look.marker,
        color=look.colour,
        elinewidth=0.9,
        capsize=2,
        markersize=7,
        label=one.name,
    )
    for row, x, value in zip(one.rows, one.x, one.accuracy, strict=True) if with_budget else ():
        axis.annotate(row["budget"], (x, value), xytext=(6, 3), textcoords="offset points", fontsize=7)


def training(inputs: Inputs) -> Figure | None:
    """One column per trained scorer: losses above, validation below; None without curves."""
    if not inputs.training:
        return None
    looks_of = looks([*TASKS, HELD_OUT, *QUALITIES.values()])
    with _settings():
        size = (1.8 + 4.6 * len(inputs.training), 6.0)
        figure, axes = _new(2, len(inputs.training), size, "Training", sharex="col", sharey="row")
        for column, (scorer, curve) in enumerate(inputs.training.items()):
            axes[0][column].set_title(scorer)
            for axis, curves in zip(axes[:, column], (curve.all_losses, curve.qualities), strict=True):
                for name, points in curves.items():
                    look = looks_of[name]
                    style = {"color": look.colour, "linestyle": look.line, "linewidth": 1.4}
                    axis.plot(*zip(*points, strict=True), label=name, **style)
                for start in curve.stages[1:]:
                    axis.axvline(start, color=BASELINE, linewidth=0.9, linestyle=":")
            axes[1][column].set_xlabel("Step")
            axes[1][column].set_ylim(0, 1)
        axes[0][0].set_ylabel("Loss")
        axes[1][0].set_ylabel("On videos held out")
        for row in axes:
            row[-1].legend(*_legend(row), loc="best")
        figure.supxlabel(f"losses are means of {SMOOTHED} steps", fontsize=7, color="#555555")
        return figure


def examples(inputs: Inputs) -> dict[str, str]:
    """Questions worth a look: the first that a selection wins, and the first that it loses."""
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
    """Scores of the candidates of a question over time, its evidence, and the frames that each method chose.

    Raises
    ------
    InputError
        If the question is not in the labels.
    """
    if question_id not in inputs.questions:
        raise InputError("is not a question of the labels", field="--question", value=question_id)
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
    """Seconds by series; with several budgets, the budget follows in a line of its own."""
    named = inputs.named_selections()
    return {
        name + (f"\n{budget} frames" if len(named) > 1 else ""): list(selection[question_id].times)
        for budget, selections in named.items()
        for name, selection in selections.items()
    }
