"""mDP3: A Training-free Approach for List-wise Frame Selection in Video-LLMs (Sun et al., ICCV 2025, 2501.02885)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.selection.selectors import Candidates, Selector
from framesift.selection.selectors._dpp import SELF, greedy, kernel, relevance


class MDP3(Selector):
    """Determinantal point processes in segments of the video, the budget shared out by dynamic programming.

    In each segment frames are added that maximise the sum of ``2/lam * ln k(query, frame)`` plus the log-determinant
    of the kernel among the chosen, given the last frame chosen before; the program decides how many each segment
    gives. The result always holds the budget, so there is one form, that of the released code, which differs from
    the paper: the kernel is the sum of its Gaussians, not their mean, and the conditioning frame's own term counts
    again for each segment used, so every further segment earns a bonus; the normalisation of the process is left
    out; a segment is conditioned on one frame only, however far back. As released the file puts the whole video in one
    segment (`mdp3_global`), and fails at shorter ones that do not divide the video.

    Fragile: identical frames, among which the release chooses by rounding noise; here they count as redundant and go
    by relevance. The query is to be by the same encoder, and its length matters.

    Examples
    --------
    >>> from framesift.selection.selectors import select
    >>> angles = np.array([0, 2, 3, 40, 43, 44, 80, 82, 85, 87, 20, 21]) * np.pi / 180
    >>> frames = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> select("mdp3", embeddings=frames, query=[0.6, 0.8], budget=4).tolist()
    [3, 5, 6, 11]
    """

    title = "mDP3"
    cites = ("sun2025mdp3",)
    needs_scores: ClassVar[bool] = False
    needs_embeddings: ClassVar[bool] = True
    needs_query: ClassVar[bool] = True
    source: ClassVar[str] = "arXiv 2501.02885, ICCV 2025"

    kind: Literal["mdp3"] = "mdp3"
    lam: float = Field(default=0.2, gt=0, description="Weight of diversity against relevance (lambda).")
    segment: int = Field(default=32, ge=1, description="Candidates in a segment (m).")

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        x = candidates.embeddings
        n = len(x)
        quality = relevance(x, candidates.query, self.lam)
        value = np.full(budget + 1, -np.inf)  # by number of frames: the best so far
        value[0] = 0
        last = np.full(budget + 1, -1)  # and the last frame of it
        history: list[tuple[int, np.ndarray, np.ndarray, np.ndarray]] = []
        for start in range(0, n, self.segment):
            members = slice(start, min(n, start + self.segment))
            size = members.stop - start
            steps = min(budget, size)
            known = np.flatnonzero(value > -np.inf)
            contexts, search = np.unique(last[known], return_inverse=True)
            follows = contexts >= 0
            first = np.zeros((len(contexts), size))
            first[follows] = kernel(x[contexts[follows]], x[members]) / np.sqrt(SELF)
            among = kernel(x[members], x[members])
            picks, gains = greedy(among.__getitem__, SELF - first**2, quality[members], steps, first=first)

            # table[a, b]: value of b frames so far of which a were chosen before this segment
            before = np.where(follows, quality[contexts] + np.log(SELF), 0)
            reached = np.zeros((len(contexts), steps + 1))
            reached[:, 1:] = before[:, None] + np.cumsum(gains, axis=1)
            table = np.full((budget + 1, budget + 1), -np.inf)
            frames = known[:, None] + np.arange(steps + 1)
            row, taken = np.nonzero(frames <= budget)
            table[known[row], frames[row, taken]] = value[known[row]] + reached[search[row], taken]
            came = table.argmax(axis=0)
            by_count = np.zeros(budget + 1, dtype=int)
            by_count[known] = search
            history.append((start, came, by_count, picks))

            latest = np.full((len(contexts), steps + 1), -1)
            latest[:, 1:] = np.maximum.accumulate(picks, axis=1)
            here = np.arange(budget + 1) - came
            value = table.max(axis=0)
            # counts that cannot be reached yet get a last frame too; nothing reads it
            inside = start + latest[by_count[came], np.minimum(here, steps)]
            last = np.where(here > 0, inside, last[came])

        chosen: list[int] = []
        count = budget
        for start, came, by_count, picks in reversed(history):
            earlier = int(came[count])
            chosen.extend(start + picks[by_count[earlier], : count - earlier])
            count = earlier
        return np.array(chosen)
