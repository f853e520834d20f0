"""Signs that a comparison is not what it seems."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from framesift.tables.cells import Cell

IDENTICAL = "identical answers"
ENOUGH = 10  # fewer differing questions than this may agree by chance


def identical_answers(cells: Sequence[Cell]) -> Iterator[tuple[Cell, Cell, int]]:
    """Pairs of cells that were given different frames but gave the same responses.

    The selection may then never have reached the model. Compared are cells of one answerer and budget, on the questions
    whose given frames differ; at least ten such questions are needed, and every response must be the same.

    Yields
    ------
    (Cell, Cell, int)
        The pair, and the number of questions with different frames.
    """
    for first, second in combinations(cells, 2):
        if (first.spec.answerer, first.spec.budget) != (second.spec.answerer, second.spec.budget):
            continue
        differing = 0
        for question_id, outcome in first.outcomes.items():
            other = second.outcomes.get(question_id)
            if other is None or other.frames == outcome.frames:
                continue
            if other.response != outcome.response:
                break
            differing += 1
        else:
            if differing >= ENOUGH:
                yield first, second, differing
