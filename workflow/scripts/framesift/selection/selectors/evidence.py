"""The annotated evidence first: a ceiling for selectors, which no method can know."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from framesift.selection.selectors import Candidates, Choice, Selector, completed, spread


class AnnotatedEvidence(Selector):
    """An oracle: of each annotated moment the candidate nearest to its middle, then the farthest from all chosen.

    With more moments than `budget` the earliest are taken. A question without annotated moments gets uniform frames.
    A table marks its rows as those of an oracle.

    Examples
    --------
    >>> from framesift.selection.selectors import Candidates, choose
    >>> candidates = Candidates(np.arange(12.0), spans=((3.0, 5.0), (9.0, 9.5)))
    >>> choose(AnnotatedEvidence(), candidates, 3, np.random.default_rng(0)).positions.tolist()
    [0, 4, 9]
    """

    title = "the annotated evidence (an oracle)"

    kind: Literal["evidence"] = "evidence"
    needs_scores: ClassVar[bool] = False
    needs_evidence: ClassVar[bool] = True

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray | Choice:
        if not candidates.spans:
            return Choice(spread(len(candidates), budget), note="no moment is annotated: uniform frames")
        middles = np.array([(start + end) / 2 for start, end in sorted(candidates.spans)])
        nearest = np.abs(candidates.times - middles[:, None]).argmin(axis=1)
        return completed(nearest, candidates, budget)
