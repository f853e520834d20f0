"""The cells of a table: each joins the questions, one selection and one answerer's answers by question id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from framesift.answering.answer_file import Answer, union_of_chunks
from framesift.answering.protocols import Presentation, UniformArm, differ
from framesift.core.errors import InputError, did_you_mean, invalid
from framesift.data.questions import Evidence, Question
from framesift.judging.verdict_file import JudgedCell
from framesift.measures.evidence import evidence_recall
from framesift.selection.select_frames import Selected, read_selection
from framesift.tables.rows import RowId
from framesift.video.table import Video


class CellSpec(BaseModel):
    """One row to make, and the files it is made from.

    `features` are the files of scores and embeddings that the selection read; only their timings are used.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    answerer: str
    method: str
    scorer: str | None = None
    budget: int = Field(ge=1)
    released: bool = False
    oracle: bool = False
    churn: Literal["churn 1", "churn 2"] | None = None
    showing: dict[str, Any] = {}
    uniform: UniformArm | None = None
    selection: str | None = None
    features: tuple[str, ...] = ()
    answers: tuple[str, ...] = Field(min_length=1)

    @property
    def identity(self) -> RowId:
        return RowId(self.answerer, self.method, self.scorer or "", self.budget, self.control or "")

    @property
    def control(self) -> str | None:
        return self.churn or self.showing.get("control")

    @property
    def name(self) -> str:
        return str(self.identity)


class TableSpec(BaseModel):
    """Everything a table depends on besides the content of its input files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str
    dataset: str
    protocol: str
    baseline: str | None = None
    group_by: str | None = None
    evidence_tolerance: float = Field(default=0.0, ge=0)
    seed: int = Field(default=0, ge=0)
    cells: tuple[CellSpec, ...] = Field(min_length=1)

    def in_order(self) -> list[CellSpec]:
        """Cells in the order of the table: answerer, budget, the baseline first, then method and scorer.

        Answerers, methods and scorers keep the order in which the spec first names them.
        """
        answerers, methods, scorers = (
            list(dict.fromkeys(getattr(cell, field) for cell in self.cells))
            for field in ("answerer", "method", "scorer")
        )
        return sorted(
            self.cells,
            key=lambda cell: (
                answerers.index(cell.answerer),
                cell.budget,
                cell.method != self.baseline,
                methods.index(cell.method),
                scorers.index(cell.scorer),
                cell.control or "",
            ),
        )


def read_table_spec(spec: Mapping[str, Any]) -> TableSpec:
    """Check the spec of a table.

    Raises
    ------
    InputError
        If a field is missing, unknown or of another type, two cells have one name, or the baseline is not a method.
    """
    try:
        table = TableSpec.model_validate(spec)
    except ValidationError as error:
        raise invalid(error, "--spec") from None
    seen = set()
    for cell in table.cells:
        if cell.identity in seen:
            raise InputError(
                "two cells have the same answerer, method, scorer, budget and control",
                field="--spec: cells",
                value=cell.name,
                hint="give selectors, scorers and answerers that differ different labels",
            )
        seen.add(cell.identity)
    methods = {cell.method for cell in table.cells}
    if table.baseline is not None and table.baseline not in methods:
        raise InputError(
            "is not a method of this table",
            field="--spec: baseline",
            value=table.baseline,
            expected=f"one of {', '.join(sorted(methods))}",
            hint=did_you_mean(table.baseline, methods),
        )
    return table


@dataclass(frozen=True)
class Outcome:
    """One question that was answered.

    Attributes
    ----------
    answer : Answer
        What the model replied, and the frames it was really given.
    correct : bool or None
        None for an open answer without a judgement.
    unparsed : bool
        An answer in which no option was found; never correct.
    recall : float or None
        Evidence recall, for a question with evidence spans.
    task_correct : bool or None
        The verdict of lmms-eval's task, where it has one.
    replaced : bool
        The protocols `fair` and `released` show other frames for this question.
    """

    answer: Answer
    correct: bool | None
    unparsed: bool
    recall: float | None
    task_correct: bool | None = None
    replaced: bool = False


@dataclass(frozen=True)
class Cell:
    """A row to make: its spec, its selection, the task's own number, and the outcome of every question not excluded.

    An imported run has no selection. `reasons` says why the other questions are excluded.
    """

    spec: CellSpec
    selection: Mapping[str, Selected] | None
    judged: JudgedCell
    outcomes: dict[str, Outcome]
    reasons: dict[str, str]


def paired(cell: Cell, baseline: Cell, question_ids: Iterable[str] | None = None) -> list[tuple[Outcome, Outcome]]:
    """The outcomes of a cell and of its baseline on the questions for which both have a judged answer."""
    pairs = (
        (cell.outcomes[question_id], baseline.outcomes[question_id])
        for question_id in (cell.outcomes if question_ids is None else question_ids)
        if question_id in cell.outcomes and question_id in baseline.outcomes
    )
    return [(ours, theirs) for ours, theirs in pairs if ours.correct is not None and theirs.correct is not None]


def changes(pairs: Iterable[tuple[Outcome, Outcome]]) -> tuple[list[str], list[int]]:
    """The video of each question, and 1 if only the first of its outcomes is right, -1 if only the second, else 0."""
    pairs = list(pairs)
    videos = [ours.answer.video_id for ours, _ in pairs]
    return videos, [int(bool(ours.correct)) - int(bool(theirs.correct)) for ours, theirs in pairs]


@dataclass(frozen=True)
class CellSources:
    """What all cells of a table share.

    `evidence` is in seconds (see `framesift.data.evidence.evidence_in_seconds`), and so is its tolerance.
    """

    questions: Mapping[str, Question]
    videos: Mapping[str, Video]
    evidence: Mapping[str, Evidence]
    judged: Mapping[str, JudgedCell]
    evidence_tolerance: float = 0.0


def read_cells(specs: Sequence[CellSpec], sources: CellSources) -> list[Cell]:
    """Read the files of each cell and join them.

    Raises
    ------
    InputError
        If a question is missing from a file or occurs twice, or files disagree about a question.
    """
    questions = sources.questions
    if secret := [question_id for question_id, question in questions.items() if question.answer is None]:
        raise InputError(
            f"{len(secret)} of {len(questions)} questions have no answer in the labels: nothing can be right or wrong",
            field=f"question {secret[0]}",
            hint="use labels with answers (for EgoSchema the subset), or choose only questions that have one",
        )
    selection_of = cache(read_selection)  # cells of several answerers share selections
    return [_read_cell(spec, selection_of(spec.selection) if spec.selection else None, sources) for spec in specs]


def _read_cell(spec: CellSpec, selection: Mapping[str, Selected] | None, sources: CellSources) -> Cell:
    questions, evidence = sources.questions, sources.evidence
    answers = union_of_chunks(spec.answers)
    if spec.id not in sources.judged:
        raise InputError("is not among the judged answers", field=spec.name, hint="judge the answers of this table")
    judged = sources.judged[spec.id]
    if selection is not None:
        _same_questions("selection", spec.selection or "", questions, selection)
    _same_questions("answers", ", ".join(spec.answers), questions, answers)
    answered = {question_id for question_id, answer in answers.items() if answer.error is None}
    _same_questions("verdicts", spec.id, {name: questions[name] for name in answered}, judged.questions)
    showing = Presentation.of(spec.showing)
    outcomes, reasons = {}, {}
    for question_id, question in questions.items():
        selected, answer = selection[question_id] if selection else None, answers[question_id]
        video = sources.videos.get(question.video_id)
        _check(spec, question, selected, answer, video, showing)
        if error := (selected and selected.error) or answer.error:
            reasons[question_id] = error
            continue
        verdict = judged.questions[question_id]
        if verdict.answer != question.answer:
            raise InputError(
                "was judged by another answer than the labels have",
                file=spec.id,
                field=f"question {question_id} ({spec.name})",
                value=verdict.answer,
                expected=repr(question.answer),
                hint="the verdicts may be older than the labels; remove them and run again",
            )
        spans = evidence[question_id].spans if question_id in evidence else ()
        outcomes[question_id] = Outcome(
            answer=answer,
            correct=verdict.correct,
            unparsed=verdict.parsed is None and bool(question.options),
            recall=evidence_recall(_seen(selected, answer, showing), spans, sources.evidence_tolerance),
            task_correct=verdict.task_correct,
            replaced=bool(
                selected and video and differ(selected.frames, video.n_frames, video.fps, spec.budget, spec.uniform)
            ),
        )
    return Cell(spec, selection, judged, outcomes, reasons)


def _seen(selected: Selected | None, answer: Answer, showing: Presentation) -> Sequence[float]:
    """Timestamps of the frames that the model saw: those of the selection, unless it was presented otherwise."""
    if selected is None or showing.control == "blank":
        return ()
    return selected.times if showing.protocol == "fair" and not showing.control else answer.times_given


def _same_questions(what: str, files: str, questions: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    missing, unknown = questions.keys() - found.keys(), found.keys() - questions.keys()
    if missing:
        raise InputError(
            f"{len(missing)} questions of the labels are missing from the {what}",
            file=files,
            field="question_id",
            value=min(missing),
            expected="every question once; failed ones with their error",
            hint="is a chunk missing?" if what == "answers" else "was it made from other labels?",
        )
    if unknown:
        raise InputError(
            f"{len(unknown)} questions of the {what} are not in the labels",
            file=files,
            field="question_id",
            value=min(unknown),
            hint="was it made from other labels?",
        )


def _check(
    spec: CellSpec,
    question: Question,
    selected: Selected | None,
    answer: Answer,
    video: Video | None,
    showing: Presentation,
) -> None:
    """Reject files that do not belong together: a mixed-up file would give a plausible but wrong number."""
    place = f"question {question.question_id} ({spec.name})"
    files = ", ".join(spec.answers)
    for file, video_id in ((spec.selection, selected.video_id if selected else None), (files, answer.video_id)):
        if video_id not in (None, question.video_id):
            raise InputError(
                "is about another video", file=file, field=place, value=video_id, expected=repr(question.video_id)
            )
    if selected is None:
        return
    if len(selected.frames) > spec.budget:
        raise InputError(
            "has more frames than the budget",
            file=spec.selection,
            field=place,
            value=len(selected.frames),
            expected=f"at most {spec.budget}",
        )
    given = list(answer.frames_given)
    if answer.error is not None and not given:
        return
    chosen = selected.frames
    if showing != Presentation() and video is not None:
        chosen = showing.frames(selected.frames, video.n_frames, video.fps, question.question_id)
    if given != chosen:
        raise InputError(
            "the answerer was given other frames than the selection chose",
            file=files,
            field=place,
            value=given,
            expected=str(chosen),
            hint="the answers may be older than the selection; remove them and run again",
        )
