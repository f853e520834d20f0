"""The rows of a table: accuracies of cells, and of groups of questions within them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from framesift.core.errors import InputError, did_you_mean
from framesift.data.questions import Evidence, Question
from framesift.measures.measure import MeasureInputs
from framesift.measures.measure import measure as measure_selection
from framesift.program.cli import log
from framesift.tables.ceilings import add_ceilings
from framesift.tables.cells import Cell, CellSpec, Outcome, TableSpec, changes, paired
from framesift.tables.columns import SELECTION
from framesift.tables.flags import similar_rows
from framesift.tables.power import detectable_difference
from framesift.tables.rows import IDENTITY
from framesift.tables.statistics import (
    clustered_accuracy_interval,
    clustered_p_value,
    difference_interval,
    difference_p_value,
    seed_of,
)
from framesift.tables.timings import is_gpu, job_seconds, on_gpu
from framesift.tables.verdicts import add_verdicts

EVIDENCE = "evidence"
Row = dict[str, Any]
#: grouping -> group -> ids of its questions
Groups = dict[str, dict[str, list[str]]]

#: Groups with an order of their own.
_GROUP_ORDER = ("short", "medium", "long", "one_moment", "two_moments", "whole_video")


def groups_of(questions: Sequence[Question], evidence: Mapping[str, Evidence]) -> Groups:
    """The groupings of a dataset, and the kind of evidence as another one.

    Raises
    ------
    InputError
        If there is evidence and the dataset already has a grouping with that name.
    """
    groups: Groups = {}
    for question in sorted(questions, key=lambda question: question.question_id):
        named = dict(question.groups)
        if evidence and EVIDENCE in named:
            raise InputError("the dataset has a grouping of this name already", field=f"grouping {EVIDENCE!r}")
        if question.question_id in evidence:
            named[EVIDENCE] = evidence[question.question_id].kind
        for grouping, group in named.items():
            groups.setdefault(grouping, {}).setdefault(group, []).append(question.question_id)
    return {
        grouping: {group: groups[grouping][group] for group in sorted(groups[grouping], key=_group_order)}
        for grouping in sorted(groups, key=lambda grouping: (grouping == EVIDENCE, grouping))
    }


def _group_order(group: str) -> tuple[int, float, str]:
    """Sort key: groups of `_GROUP_ORDER` first, then numbers by size, then the alphabet."""
    if group in _GROUP_ORDER:
        return 0, _GROUP_ORDER.index(group), group
    if group.isdecimal():
        return 1, int(group), group
    return 2, 0, group


def baseline_of(spec: TableSpec, cells: Sequence[Cell]) -> dict[tuple, Cell]:
    """The baseline of each cell, by identity of the cell; baseline cells have none.

    The baseline has the same answerer and budget and, if there are several, the same scorer.
    """
    found: dict[tuple, Cell] = {}
    for cell in cells:
        if spec.baseline is None or (cell.spec.method == spec.baseline and not cell.spec.control):
            continue
        near = [
            other
            for other in cells
            if other.spec.method == spec.baseline
            and (other.spec.answerer, other.spec.budget) == (cell.spec.answerer, cell.spec.budget)
            and not other.spec.control
        ]
        if len(near) > 1:
            near = [other for other in near if other.spec.scorer == cell.spec.scorer]
        if near:
            found[cell.spec.identity] = near[0]
        else:
            log.warning("%s: has no baseline to compare with, so no difference", cell.spec.name)
    return found


def make_rows(
    spec: TableSpec, cells: Sequence[Cell], groups: Groups, n_total: int, known: MeasureInputs
) -> tuple[list[Row], list[Row]]:
    """Rows of the table and rows of its groups, as numbers; None if there is nothing to measure.

    Parameters
    ----------
    spec : TableSpec
    cells : sequence of Cell
        In the order of the rows.
    groups : Groups
        From `groups_of`.
    n_total : int
        Questions of the dataset.
    known : MeasureInputs
        Data for the measures of selections.

    Raises
    ------
    InputError
        If `group_by` is not a grouping of the dataset.
    """
    if spec.group_by is not None and spec.group_by not in groups:
        raise InputError(
            "is not a grouping of this dataset",
            field="--spec: group_by",
            value=spec.group_by,
            expected=f"one of {', '.join(groups)}" if groups else "null: the dataset has no groupings",
            hint=did_you_mean(spec.group_by, groups),
        )
    baselines = baseline_of(spec, cells)
    flags = _flags(cells)
    shared = _shared(cells)
    table, long = [], []
    for cell in cells:
        baseline = baselines.get(cell.spec.identity)
        every = [*cell.outcomes, *(name for name in baseline.outcomes if name not in cell.outcomes)] if baseline else []
        row = {
            **_identity(cell.spec),
            "protocol": _protocol(spec, cell),
            **_counts(cell, n_total),
            **measure(cell, baseline, every or cell.outcomes, seed_of(spec.seed, cell.spec.identity)),
            "lmms_eval": cell.judged.value,
            "disagreements": sum(_disagrees(outcome) for outcome in cell.outcomes.values()),
            **_frames(cell),
            **_mean_costs(cell, "prompt_tokens", "kept_tokens"),
            "protocols_differ": (
                sum(outcome.replaced for outcome in cell.outcomes.values()) if cell.selection is not None else None
            ),
            "shared": shared[cell.spec.identity],
            **_selected(cell, baseline, known),
            "flag": flags.get(cell.spec.identity),
        }
        for grouping, members in groups.items():
            for group, ids in members.items():
                numbers = measure(cell, baseline, ids, seed_of(spec.seed, cell.spec.identity, grouping, group))
                n = sum(question_id in cell.outcomes for question_id in ids)
                place = {"grouping": grouping, "group": group, "n": n, "n_total": len(ids)}
                long.append({**_identity(cell.spec), **place, **numbers})
                if grouping == spec.group_by:
                    row[f"accuracy[{group}]"] = numbers["accuracy"]
        table.append(row)
    add_verdicts(table, cells, baselines)
    add_ceilings(table, cells, baselines)
    return table, long


def measure(cell: Cell, baseline: Cell | None, question_ids: Iterable[str], seed: int) -> Row:
    """Accuracy of a cell on some questions, and its difference to the baseline.

    The accuracy is over the questions that the cell answered, the difference over those that both answered. Open
    answers without a judgement are left out.

    Returns
    -------
    Row
        Accuracy and difference, each with its interval; `p_value`, `p_clustered`; `n_paired`, `n_unpaired` (questions
        that only one of the two answered), `videos` of the paired questions, or of all without a baseline; `wins`,
        `ties`, `losses`; `detectable`, `evidence_recall`. None for numbers without data.
    """
    question_ids = list(question_ids)
    answered = [question_id for question_id in question_ids if _known(cell, question_id)]
    outcomes = [cell.outcomes[question_id] for question_id in answered]
    videos, correct = [outcome.answer.video_id for outcome in outcomes], [bool(outcome.correct) for outcome in outcomes]
    interval = clustered_accuracy_interval(videos, correct, seed)
    recalls = [outcome.recall for outcome in outcomes if outcome.recall is not None]
    return {
        "accuracy": sum(correct) / len(correct) if correct else None,
        "accuracy_low": interval.low if interval else None,
        "accuracy_high": interval.high if interval else None,
        "videos": len(set(videos)),
        **_compare(cell, baseline, question_ids),
        "evidence_recall": fmean(recalls) if recalls else None,
    }


_COMPARED = (
    *("difference", "difference_low", "difference_high", "p_value", "p_clustered"),
    *("n_paired", "n_unpaired", "wins", "ties", "losses", "detectable"),
)


def _compare(cell: Cell, baseline: Cell | None, question_ids: Sequence[str]) -> Row:
    """The difference to the baseline on the questions that both answered."""
    nothing: Row = dict.fromkeys(_COMPARED)
    if baseline is None:
        return nothing
    pairs = paired(cell, baseline, question_ids)
    unpaired = sum(_known(cell, question_id) != _known(baseline, question_id) for question_id in question_ids)
    counts = {"n_paired": len(pairs), "n_unpaired": unpaired}
    if not pairs:
        return nothing | counts | {"videos": 0}
    videos, differences = changes(pairs)
    wins, ties, losses = (differences.count(change) for change in (1, 0, -1))
    interval = difference_interval(videos, differences)
    return {
        "difference": (wins - losses) / len(differences),
        "difference_low": interval.low if interval else None,
        "difference_high": interval.high if interval else None,
        "p_value": difference_p_value(wins, losses),
        "p_clustered": clustered_p_value(videos, differences),
        **counts,
        "videos": len(set(videos)),
        **{"wins": wins, "ties": ties, "losses": losses},
        "detectable": detectable_difference(videos, differences),
    }


def timing_rows(cells: Sequence[Cell], n_total: int, benchmarks: str | Path | None) -> list[Row]:
    """Seconds per question of scoring, selecting and answering; not part of the table, since they differ between runs.

    Scoring and selecting are times of jobs in `benchmarks`, over all questions of the dataset (`n_total`); answering is
    the time of the model, over the questions answered. GPU seconds are those of jobs and answers that record a GPU.
    """
    return [_timing(cell, n_total, benchmarks) for cell in cells]


def _timing(cell: Cell, n_total: int, benchmarks: str | Path | None) -> Row:
    scoring = _each(job_seconds(cell.spec.features, benchmarks), n_total)
    selecting = _each(job_seconds([cell.spec.selection] if cell.spec.selection else [], benchmarks), n_total)
    answering = [(outcome.answer.seconds, is_gpu(outcome.answer.device)) for outcome in cell.outcomes.values()]
    return {
        **_identity(cell.spec),
        "n": len(cell.outcomes),
        "scoring_seconds": scoring,
        "scoring_gpu_seconds": (scoring if on_gpu(cell.spec.features) else 0.0) if scoring is not None else None,
        "selecting_seconds": selecting,
        "seconds_per_question": fmean(seconds for seconds, _ in answering) if answering else None,
        "gpu_seconds_per_question": fmean(seconds * gpu for seconds, gpu in answering) if answering else None,
        **_mean_costs(cell, "first_token_seconds", "token_seconds"),
        "peak_memory_gb": max(_costs(cell, "peak_memory_gb"), default=None),
        "usage": _usage(cell),
    }


def _each(seconds: float | None, n: int) -> float | None:
    return seconds / n if seconds is not None and n else None


def _mean_costs(cell: Cell, *names: str) -> Row:
    """Means of costs over the answers that have them."""
    return {name: fmean(values) if (values := _costs(cell, name)) else None for name in names}


def _costs(cell: Cell, name: str) -> list[float]:
    return [outcome.answer.cost[name] for outcome in cell.outcomes.values() if name in outcome.answer.cost]


def _usage(cell: Cell) -> str | None:
    """Token counts summed over the answers of a cell: ``completion_tokens 20; prompt_tokens 4000``."""
    total: Counter[str] = Counter()
    for outcome in cell.outcomes.values():
        total.update(outcome.answer.usage)
    return "; ".join(f"{name} {count}" for name, count in sorted(total.items())) or None


def _known(cell: Cell, question_id: str) -> bool:
    """Whether a cell has a judged answer to a question."""
    return question_id in cell.outcomes and cell.outcomes[question_id].correct is not None


def _disagrees(outcome: Outcome) -> bool:
    return outcome.task_correct is not None and outcome.correct is not None and outcome.task_correct != outcome.correct


def _protocol(spec: TableSpec, cell: Cell) -> str:
    if cell.selection is None:
        return "not known: a run of others"
    return f"{spec.protocol}, selector as released" if cell.spec.released else spec.protocol


def _shared(cells: Sequence[Cell]) -> dict[tuple, int]:
    """Number of answers that each cell shares with another: asked once, with the same frames."""
    keys = {
        cell.spec.identity: [outcome.answer.key for outcome in cell.outcomes.values() if outcome.answer.key]
        for cell in cells
    }
    users = Counter(key for of_cell in keys.values() for key in of_cell)
    return {identity: sum(users[key] > 1 for key in of_cell) for identity, of_cell in keys.items()}


def _identity(spec: CellSpec) -> Row:
    return {name: getattr(spec, name) for name in IDENTITY}


def _counts(cell: Cell, n_total: int) -> Row:
    n = len(cell.outcomes)
    unparsed = sum(outcome.unparsed for outcome in cell.outcomes.values())
    unjudged = sum(outcome.correct is None for outcome in cell.outcomes.values())
    return {"n": n, "n_total": n_total, "excluded": n_total - n, "unparsed": unparsed, "unjudged": unjudged}


def _frames(cell: Cell) -> Row:
    given = [len(outcome.answer.frames_given) for outcome in cell.outcomes.values() if outcome.answer.frames_given]
    return {
        "frames_mean": fmean(given) if given else None,
        "frames_min": min(given, default=None),
        "frames_max": max(given, default=None),
    }


def _selected(cell: Cell, baseline: Cell | None, known: MeasureInputs) -> Row:
    """Measures of the selection without its answers, on all its questions; none for controls and imported runs."""
    if cell.selection is None or cell.spec.control:
        return dict.fromkeys(SELECTION)
    numbers = measure_selection(cell.selection, baseline.selection if baseline else None, cell.selection, known)
    return {name: numbers[name] for name in SELECTION}


def _flags(cells: Sequence[Cell]) -> dict[tuple, str]:
    flags: dict[tuple, set[str]] = {}
    for pair in similar_rows(cells):
        log.warning("%s", pair)
        for cell in (pair.first, pair.second):
            flags.setdefault(cell.spec.identity, set()).add(pair.flag)
    return {identity: "; ".join(sorted(found)) for identity, found in flags.items()}
