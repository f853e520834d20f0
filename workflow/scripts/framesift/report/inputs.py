"""The files that figures and the report are made from, named by options."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from framesift.answering.answer_file import Answer, union_of_chunks
from framesift.core.errors import InputError
from framesift.data.evidence import evidence_in_seconds
from framesift.data.questions import Evidence, Question, read_questions
from framesift.judging.verdict_file import read_judged
from framesift.program.cli import add_inputs
from framesift.report.training import TrainingCurve, read_curve
from framesift.scoring.score_table import QuestionScores, read_scores
from framesift.selection.select_frames import Selected
from framesift.tables.accuracy import Groups, baseline_of, groups_of
from framesift.tables.cells import Cell, CellSources, TableSpec, read_cells, read_table_spec
from framesift.tables.rows import Row, RowId, is_baseline, read_rows, series
from framesift.video.table import Video, read_videos

SPEC = (
    "table: the spec of make_table.py; scores: the score file of each selection that was made from one;"
    " training: the curves.csv of each scorer that was trained"
)
_COLUMNS = ("n", "accuracy", "accuracy_low", "accuracy_high", "difference", "difference_low")


@dataclass(frozen=True)
class Inputs:
    """A table with everything that it was made from.

    Attributes
    ----------
    spec : TableSpec
    rows, groups, timings : list of Row
        The files of the table; `rows` and `cells` correspond one to one.
    cells : list of Cell
    answers : list of mapping
        By question id, one mapping per cell; failed answers are included, with the reason.
    questions, videos, evidence : mapping
        By id; evidence in seconds.
    scores : mapping
        By the scorer's label: scores by question id.
    training : mapping
        Training curves by the label of the scorer, if known.
    published : list of Row
        Published numbers beside ours, from compare_published.py.
    """

    spec: TableSpec
    rows: list[Row]
    groups: list[Row]
    timings: list[Row]
    cells: list[Cell]
    answers: list[Mapping[str, Answer]]
    questions: Mapping[str, Question]
    videos: Mapping[str, Video]
    evidence: Mapping[str, Evidence]
    scores: Mapping[str, Mapping[str, QuestionScores]] = field(default_factory=dict)
    training: Mapping[str, TrainingCurve] = field(default_factory=dict)
    published: Sequence[Row] = ()

    @cached_property
    def names(self) -> list[str]:
        """Names of the cells, without answerer and budget."""
        return [series(row) for row in self.rows]

    @cached_property
    def baseline_name(self) -> str | None:
        """The series of the baseline; None if it has several, one per scorer."""
        found = {name for name, row in zip(self.names, self.rows, strict=True) if is_baseline(row, self.spec.baseline)}
        return found.pop() if len(found) == 1 else None

    @cached_property
    def baselines(self) -> list[int | None]:
        """The place of the baseline of each cell; None for cells without one."""
        places = {cell.spec.identity: place for place, cell in enumerate(self.cells)}
        found = baseline_of(self.spec, self.cells)
        return [
            places[found[cell.spec.identity].spec.identity] if cell.spec.identity in found else None
            for cell in self.cells
        ]

    @cached_property
    def groupings(self) -> Groups:
        """Grouping, group, and the questions in it."""
        return groups_of(list(self.questions.values()), self.evidence)

    @cached_property
    def selections(self) -> dict[str, Mapping[str, Selected]]:
        """Selections by file."""
        return {
            cell.spec.selection: cell.selection
            for cell in self.cells
            if cell.spec.selection is not None and cell.selection is not None
        }

    def named_selections(self) -> dict[int, dict[str, Mapping[str, Selected]]]:
        """Selections by budget and name of the row, without negative controls."""
        made: dict[int, dict[str, Mapping[str, Selected]]] = {}
        for name, cell in zip(self.names, self.cells, strict=True):
            if cell.selection is not None and not cell.spec.control:
                made.setdefault(cell.spec.budget, {}).setdefault(name, cell.selection)
        return made


def add_options(options: argparse.ArgumentParser) -> None:
    """The files that both programs read."""
    add_inputs(options, "labels")
    options.add_argument("--videos", metavar="FILE.parquet", help="from index-videos")
    options.add_argument("--evidence", metavar="FILE.json", help="kind and spans of evidence by question id")
    options.add_argument("--judged", required=True, metavar="FILE.json", help="from judge-answers")
    options.add_argument("--table", required=True, metavar="FILE.csv", help="from make-table")
    options.add_argument("--groups", required=True, metavar="FILE.csv", help="its groups")
    options.add_argument("--timings", metavar="FILE.csv", help="its timings, for what accuracy costs")


def read_inputs(args: argparse.Namespace) -> Inputs:
    """Read what the options name.

    Raises
    ------
    InputError
        If a file is missing or damaged, or the table was made from another spec.
    """
    spec, score_files, curves = _spec(args.spec)
    questions = {question.question_id: question for question in read_questions(args.labels)}
    videos = read_videos(args.videos) if args.videos else {}
    evidence = evidence_in_seconds(questions.values(), videos, args.evidence)
    ordered = spec.in_order()
    rows = read_rows(args.table, _COLUMNS)
    expected = [cell.identity for cell in ordered]
    if [RowId.of(row) for row in rows] != expected:
        raise InputError(
            "has other rows than its spec",
            file=args.table,
            value=len(rows),
            expected=f"{len(expected)} rows, in the order of make_table.py",
            hint="make the table again",
        )
    sources = CellSources(questions, videos, evidence, read_judged(args.judged), spec.evidence_tolerance)
    return Inputs(
        spec=spec,
        rows=rows,
        groups=read_rows(args.groups, _COLUMNS),
        timings=read_rows(args.timings) if args.timings else [],
        cells=read_cells(ordered, sources),
        answers=[union_of_chunks(cell.answers) for cell in ordered],
        questions=questions,
        videos=videos,
        evidence=evidence,
        scores=_scores(ordered, score_files),
        training={scorer: curve for scorer, file in curves.items() if (curve := read_curve(file))},
    )


def _spec(given: Any) -> tuple[TableSpec, dict[str, str], dict[str, str]]:
    if not isinstance(given, dict) or "table" not in given or not isinstance(given["table"], dict):
        raise InputError("must hold the spec of a table", field="--spec: table", expected="the spec of make_table.py")
    files = {name: given.get(name, {}) for name in ("scores", "training")}
    if given.keys() - {"table", *files} or not all(isinstance(one, dict) for one in files.values()):
        expected = "table, scores and training"
        raise InputError("holds something else", field="--spec", value=sorted(given), expected=expected)
    return read_table_spec(given["table"]), files["scores"], files["training"]


def _scores(ordered: Sequence[Any], files: Mapping[str, str]) -> dict[str, Mapping[str, QuestionScores]]:
    by_scorer = {cell.scorer: files[cell.selection] for cell in ordered if cell.scorer and cell.selection in files}
    return {scorer: read_scores(file) for scorer, file in by_scorer.items()}
