"""FRAG: Frame Selection Augmented Generation (Huang et al., 2025, arXiv 2504.17447)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.selection.selectors import Candidates, Selector, Variant, best, completed


class FRAG(Selector):
    """The frames to which a multimodal LLM most surely says yes when asked whether they help with the question.

    Each candidate is shown alone; its score is the probability of the letter for "yes" among all tokens, which is a
    scorer's business. What is chosen is then Top-k; of equal scores the earlier.

    With `proposals` = ``pairs`` neighbouring frames are judged together. Scores are known of single frames here, so a
    pair has the mean of its two: our stand-in for showing the model both. The release takes the best ``budget // 2``
    pairs, so a frame of two of them is given twice and an odd budget is not met. The fair form takes pairs, best
    first, until `completed` finds the budget of distinct frames in them.

    Examples
    --------
    >>> from framesift.selection.selectors import select
    >>> scores = [0.1, 0.2, 0.9, 0.8, 0.3, 0.1, 0.2, 0.7, 0.1, 0.15, 0.6, 0.25]
    >>> select("frag", scores=scores, budget=4).tolist()
    [2, 3, 7, 10]
    """

    title = "FRAG"
    cites = ("huang2025frag",)
    source: ClassVar[str] = "arXiv 2504.17447"

    kind: Literal["frag"] = "frag"
    variant: Variant = Field(default="fair", description="`released`: frames twice, and one too few, with pairs.")
    proposals: Literal["frames", "pairs"] = Field(default="frames", description="What is judged as one.")

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        scores = candidates.scores
        if self.proposals == "frames":
            return np.sort(best(scores, budget))
        pairs = best((scores[:-1] + scores[1:]) / 2, len(scores) if self.fair else budget // 2)
        frames = np.column_stack([pairs, pairs + 1]).ravel()
        return completed(frames, candidates, budget) if self.fair else np.sort(frames)
