"""Questions that the scorers are fitted to, and how well each frame matches each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from demo_models.pool import COLOUR, DIGIT, EDGE, NO_COLOUR, NO_DIGIT, SHAPE
from demo_models.training import area_under_curve
from framesift.demo.text import border_question, colour_question, digit_question, shape_question, two_digits_question
from framesift.demo.world import COLOUR_NAMES, DIGITS, SHAPES

EMPTY, OTHER, PARTIAL, EVENT, DECOY = range(5)
"""A frame, for a question, shows nothing, something else, half of what is asked, the event, or its decoy."""


@dataclass(frozen=True)
class ScorerTexts:
    """Questions with what they ask about: ``looks`` (colour, shape) pairs, a ``digit`` or an ``edge`` colour."""

    questions: list[str]
    looks: list[list[tuple[int, int]]]
    digits: list[int | None]
    edges: list[int | None]

    def relations(self, labels: np.ndarray) -> np.ndarray:
        """How frames with labels (n, 4) relate to each question: (n, questions) of EMPTY ... DECOY."""
        result = np.full((len(labels), len(self.questions)), OTHER)
        for k, (looks, digit, edge) in enumerate(zip(self.looks, self.digits, self.edges, strict=False)):
            column = result[:, k]
            if edge is not None:
                column[labels[:, EDGE] == edge] = EVENT
                continue
            column[labels[:, COLOUR] == NO_COLOUR] = EMPTY
            if digit is not None:
                column[labels[:, DIGIT] == digit] = EVENT
                continue
            blank = labels[:, DIGIT] == NO_DIGIT
            for colour, shape in looks:
                same_colour, same_shape = labels[:, COLOUR] == colour, labels[:, SHAPE] == shape
                column[(same_colour | same_shape) & (column == OTHER)] = PARTIAL
                column[same_colour & same_shape] = np.where(blank, DECOY, EVENT)[same_colour & same_shape]
        return result


def draw_texts(rng: np.random.Generator, pairs: int) -> ScorerTexts:
    """Every question about one look, digit or border (62), then ``pairs`` random questions about two looks."""
    everything = [(c, s) for c in range(len(COLOUR_NAMES)) for s in range(len(SHAPES))]
    named = [(COLOUR_NAMES[c], SHAPES[s]) for c, s in everything]
    questions = [digit_question(*look) for look in named]
    looks: list[list[tuple[int, int]]] = [[look] for look in everything]
    digits: list[int | None] = [None] * len(looks)
    edges: list[int | None] = [None] * len(looks)
    for wording in (colour_question, shape_question):
        questions += [wording(digit) for digit in DIGITS]
        looks += [[] for _ in DIGITS]
        digits += list(range(len(DIGITS)))
        edges += [None] * len(DIGITS)
    questions += [border_question(colour) for colour in COLOUR_NAMES]
    looks += [[] for _ in COLOUR_NAMES]
    digits += [None] * len(COLOUR_NAMES)
    edges += list(range(len(COLOUR_NAMES)))
    for _ in range(pairs):
        first, second = rng.choice(len(everything), 2, replace=False)
        questions.append(two_digits_question(named[first], named[second]))
        looks.append([everything[first], everything[second]])
        digits.append(None)
        edges.append(None)
    return ScorerTexts(questions, looks, digits, edges)


def worst_areas(scores: np.ndarray, relations: np.ndarray, texts: ScorerTexts) -> dict[str, float]:
    """Worst area under the curve over the questions of each kind: matching frames against all others.

    Parameters
    ----------
    scores : (n, questions)
    relations : (n, questions), see ``ScorerTexts.relations``
    """
    worst: dict[str, float] = {}
    for k, (looks, digit, edge) in enumerate(zip(texts.looks, texts.digits, texts.edges, strict=False)):
        kind = (
            "border" if edge is not None else "digit" if digit is not None else ("look" if len(looks) == 1 else "two")
        )
        match = relations[:, k] >= EVENT
        if match.any() and not match.all():
            area = area_under_curve(scores[match, k], scores[~match, k])
            worst[kind] = min(worst.get(kind, 1.0), round(area, 4))
    return worst
