"""Signs that a selection did not reach the model, or that the model ignored it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from framesift.measures.overlap import jaccard
from framesift.tables.cells import Cell, Outcome
from framesift.tables.statistics import accuracy_interval

SAME_PIXELS = "same pixels"
SIMILAR_ANSWERS = "answers too alike"
#: Two rows count as having seen different frames if at most this share of their frames is common.
DIFFERENT = 0.5
#: Rows are too similar if, with 95 % confidence, less than this share of their answers differs.
SIMILAR = 0.05
#: Fewer questions with the same pixels may come from videos without motion.
ENOUGH = 10


@dataclass(frozen=True)
class SimilarRows:
    """Two rows that agree more than their frames allow.

    Attributes
    ----------
    first, second : Cell
    flag : str
        `SAME_PIXELS` if frames differed, but the model got the same pixels on most questions; `SIMILAR_ANSWERS` if the
        answers agree.
    n : int
        Questions with different frames.
    agreeing : int
        Those with the same pixels, or with the same response.
    proven : bool
        Whether the pixels are known to differ: the model got them, and answers without looking.
    """

    first: Cell
    second: Cell
    flag: str
    n: int
    agreeing: int
    proven: bool

    def __str__(self) -> str:
        names = f"'{self.first.spec.name}' and '{self.second.spec.name}'"
        if self.flag == SAME_PIXELS:
            return (
                f"{names} chose different frames on {self.n} questions, but the model got the same pixels on"
                f" {self.agreeing} of them; the selection does not reach the model"
            )
        why = (
            "the model got different pixels, so it answers without looking"
            if self.proven
            else "did the selection reach the model?"
        )
        return f"{names} saw different frames on {self.n} questions, but {self.agreeing} answers are the same; {why}"


def similar_rows(cells: Sequence[Cell]) -> Iterator[SimilarRows]:
    """Pairs of rows of one answerer that agree more than their frames allow.

    Only questions with at most half of their frames in common are compared. A row whose frames are unknown (an imported
    run) counts as having seen other frames than every other row. Two negative controls are not compared with one
    another, since neither saw anything.

    Rows that really saw different frames differ in far more than one answer out of twenty. A pair is reported if the
    95 % interval of the share of different answers lies below that, which takes at least 73 such questions.
    """
    for first, second in combinations(cells, 2):
        if first.spec.answerer != second.spec.answerer or (first.spec.control and second.spec.control):
            continue
        pairs = [
            (one.answer, second.outcomes[question_id].answer)
            for question_id, one in first.outcomes.items()
            if question_id in second.outcomes and _saw_differently(first, one, second, second.outcomes[question_id])
        ]
        known = [(one, other) for one, other in pairs if one.pixels and other.pixels]
        same_pixels = sum(one.pixels == other.pixels for one, other in known)
        if len(known) >= ENOUGH and same_pixels > len(known) / 2:
            yield SimilarRows(first, second, SAME_PIXELS, len(known), same_pixels, proven=False)
        changed = sum(one.response != other.response for one, other in pairs)
        interval = accuracy_interval(changed, len(pairs))
        if interval and interval.high < SIMILAR:
            proven = len(known) == len(pairs) and same_pixels == 0
            yield SimilarRows(first, second, SIMILAR_ANSWERS, len(pairs), len(pairs) - changed, proven)


def _saw_differently(first: Cell, one: Outcome, second: Cell, other: Outcome) -> bool:
    if not one.answer.frames_given or not other.answer.frames_given:
        return True
    return jaccard(_seen(first, one), _seen(second, other)) <= DIFFERENT


def _seen(cell: Cell, outcome: Outcome) -> Sequence[int]:
    return () if cell.spec.control == "blank" else outcome.answer.frames_given
