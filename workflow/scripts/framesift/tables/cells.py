"""The cells of a table: each joins questions, one selection and one answerer's answers by question id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from framesift.answers import Answer, read_answers
from framesift.errors import InputError, did_you_mean
from framesift.metrics.evidence import evidence_recall
from framesift.questions import Evidence, Question
from framesift.selection import Selected, read_selection


class CellSpec(BaseModel):
    """One row to make, and the files it is made from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    answerer: str
    method: str
    scorer: str | None = None
    budget: int = Field(ge=1)
    released: bool = False
    selection: str
    answers: tuple[str, ...] = Field(min_length=1)

    @property
    def identity(self) -> tuple[str, str, str, int]:
        """What tells this row from every other."""
        return self.answerer, self.method, self.scorer or "", self.budget

    @property
    def name(self) -> str:
        method = f"{self.method} with {self.scorer}" if self.scorer else self.method
        return f"{method}, {self.budget} frames, {self.answerer}"


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
            ),
        )


def read_table_spec(spec: Mapping[str, Any]) -> TableSpec:
    """Check the spec of a table.

    Raises
    ------
    InputError
        For a field that is missing, unknown or of another type, a cell named twice, or a baseline that is no method.
    """
    try:
        table = TableSpec.model_validate(spec)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(first["msg"], field=f"--spec: {field}", value=first["input"]) from None
    seen = set()
    for cell in table.cells:
        if cell.identity in seen:
            raise InputError(
                "two cells have the same answerer, method, scorer and budget",
                field="--spec: cells",
                value=cell.name,
                hint="give selectors, scorers and answerers that differ different labels",
            )
        seen.add(cell.identity)
    methods = {cell.method for cell in table.cells}
    if table.baseline is not None and table.baseline not in methods:
        raise InputError(
            "is no method of this table",
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
    video_id : str
    correct, unparsed : bool
        An answer in which no option was found is `unparsed`, and never correct.
    response : str
        The answerer's own words.
    frames : tuple of int
        Indices of the frames it was really given.
    recall : float or None
        Evidence recall, for a question with evidence spans.
    seconds : float
        Time the answer took.
    """

    video_id: str
    correct: bool
    unparsed: bool
    response: str
    frames: tuple[int, ...]
    recall: float | None
    seconds: float


@dataclass(frozen=True)
class Cell:
    """A row to be: its spec, its selection, and by question id the outcome of every question not excluded."""

    spec: CellSpec
    selection: Mapping[str, Selected]
    outcomes: dict[str, Outcome]


def read_cells(
    specs: Sequence[CellSpec],
    questions: Sequence[Question],
    evidence: Mapping[str, Evidence],
    evidence_tolerance: float = 0.0,
) -> list[Cell]:
    """Read the files of each cell and join them.

    `evidence` is in seconds (see `framesift.evidence.evidence_in_seconds`), and so is its tolerance.

    Raises
    ------
    InputError
        For a question that a file lacks or that occurs twice, and for files that disagree about a question.
    """
    if secret := [question.question_id for question in questions if question.answer is None]:
        raise InputError(
            f"{len(secret)} of {len(questions)} questions have no answer in the labels: nothing can be right or wrong",
            field=f"question {secret[0]}",
            hint="use labels with answers (for EgoSchema the subset), or choose only questions that have one",
        )
    by_id = {question.question_id: question for question in questions}
    selection_of = cache(read_selection)  # cells of several answerers share selections
    return [_read_cell(spec, by_id, selection_of(spec.selection), evidence, evidence_tolerance) for spec in specs]


def _read_cell(
    spec: CellSpec,
    questions: Mapping[str, Question],
    selection: Mapping[str, Selected],
    evidence: Mapping[str, Evidence],
    tolerance: float,
) -> Cell:
    answers = union_of_chunks(spec.answers)
    _same_questions("selection", spec.selection, questions, selection)
    _same_questions("answers", ", ".join(spec.answers), questions, answers)
    outcomes = {}
    for question_id, question in questions.items():
        selected, answer = selection[question_id], answers[question_id]
        _check(spec, question, selected, answer)
        if selected.error is not None or answer.error is not None:
            continue
        spans = evidence[question_id].spans if question_id in evidence else ()
        outcomes[question_id] = Outcome(
            video_id=question.video_id,
            correct=answer.correct,
            unparsed=answer.parsed is None,
            response=answer.response,
            frames=tuple(answer.frames_given),
            # The times of the selection, not those that the answerer was told: the frames are known to be the same.
            recall=evidence_recall(selected.times, spans, tolerance),
            seconds=answer.seconds,
        )
    return Cell(spec, selection, outcomes)


def union_of_chunks(paths: Sequence[str]) -> dict[str, Answer]:
    """The answers of all chunks by question id.

    Raises
    ------
    InputError
        For a question that is in two chunks.
    """
    answers: dict[str, Answer] = {}
    for path in paths:
        chunk = read_answers(path)
        if twice := answers.keys() & chunk.keys():
            raise InputError(
                "is in two chunks",
                file=path,
                field="question_id",
                value=min(twice),
                expected="each question in one chunk",
                hint="are chunks of two different splits mixed?",
            )
        answers |= chunk
    return answers


def _same_questions(what: str, files: str, questions: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    missing, unknown = questions.keys() - found.keys(), found.keys() - questions.keys()
    if missing:
        raise InputError(
            f"{len(missing)} questions of the labels are missing from the {what}",
            file=files,
            field="question_id",
            value=min(missing),
            expected="every question once; one that failed is there with its error",
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


def _check(spec: CellSpec, question: Question, selected: Selected, answer: Answer) -> None:
    """Refuse files that are not about the same thing: a mixed-up file would give a plausible, wrong number."""
    place = f"question {question.question_id} ({spec.name})"
    files = ", ".join(spec.answers)
    for file, video_id in ((spec.selection, selected.video_id), (files, answer.video_id)):
        if video_id != question.video_id:
            raise InputError(
                "is about another video", file=file, field=place, value=video_id, expected=repr(question.video_id)
            )
    if len(selected.frames) > spec.budget:
        raise InputError(
            "has more frames than the budget",
            file=spec.selection,
            field=place,
            value=len(selected.frames),
            expected=f"at most {spec.budget}",
        )
    given = list(answer.frames_given)
    if (answer.error is None or given) and given != selected.frames:
        raise InputError(
            "the answerer was given other frames than the selection chose",
            file=files,
            field=place,
            value=given,
            expected=str(selected.frames),
            hint="the answers may be older than the selection; remove them and run again",
        )
    if answer.error is not None:
        return
    if answer.answer != question.answer:
        raise InputError(
            "was marked by another answer than the labels have",
            file=files,
            field=place,
            value=answer.answer,
            expected=repr(question.answer),
            hint="the answers may be older than the labels; remove them and run again",
        )
    if answer.correct != (answer.parsed == answer.answer):
        raise InputError(
            "is marked wrongly", file=files, field=place, value=answer.correct, expected="parsed == answer"
        )
