"""mDP3 as released: one determinantal point process over the whole video (Sun et al., ICCV 2025, 2501.02885)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.selection.selectors import Candidates, Selector
from framesift.selection.selectors._dpp import SELF, gaussians, greedy, relevance, squares


class MDP3Global(Selector):
    """Frames added one by one for relevance and the log-determinant of their kernel, over all candidates at once.

    The paper's method works in segments (`mdp3`); the file its authors released makes the segment as long as the
    video, and so no dynamic program remains. It always gives the budget: there is one form. Kernel, relevance and
    what is fragile are those of `mdp3`.

    Examples
    --------
    >>> from framesift.selection.selectors import select
    >>> angles = np.array([0, 2, 3, 40, 43, 44, 80, 82, 85, 87, 20, 21]) * np.pi / 180
    >>> frames = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> select("mdp3_global", embeddings=frames, query=[0.6, 0.8], budget=4).tolist()
    [3, 5, 6, 11]
    """

    title = "mDP3 over the whole video"
    cites = ("sun2025mdp3",)
    needs_scores: ClassVar[bool] = False
    needs_embeddings: ClassVar[bool] = True
    needs_query: ClassVar[bool] = True
    source: ClassVar[str] = "code of arXiv 2501.02885, ICCV 2025"

    kind: Literal["mdp3_global"] = "mdp3_global"
    lam: float = Field(default=0.2, gt=0, description="Weight of diversity against relevance (lambda).")

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        x = candidates.embeddings
        quality = relevance(x, candidates.query, self.lam)
        lengths = squares(x)

        def columns(pick: np.ndarray) -> np.ndarray:
            return gaussians(lengths[pick, None] + lengths - 2 * (x[pick] @ x.T))

        return greedy(columns, np.full((1, len(x)), SELF), quality, budget)[0][0]
