"""Pseudo-labels of frames, as the M-LLM frame selector is trained on (Hu et al., CVPR 2025, arXiv 2502.19680)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from framesift.mllm_selector.labels.settings import LabelSettings, ScorerStandIn
from framesift.scorers import ScoreSource


class PseudoLabels(ScoreSource):
    """Importance of frames by models that look at them: training data of a selector, and scores to choose frames by.

    As scores they show what a selector trained on them could reach at best. They are slow to make: a VLM is asked about
    every frame, for every question.
    """

    kind: Literal["pseudo_labels"] = "pseudo_labels"
    labels: LabelSettings = Field(description="What labels frames, and how (docs/mllm_selector.md).")

    @property
    def stand_in(self) -> str | None:
        """The scorer whose scores stand in for the verdicts of a VLM; none where one is asked."""
        return self.labels.vlm.scorer if isinstance(self.labels.vlm, ScorerStandIn) else None

    def named(self, scorer: str) -> PseudoLabels:
        """The same with another name for the scorer that stands in."""
        vlm = self.labels.vlm.model_copy(update={"scorer": scorer})
        return self.model_copy(update={"labels": self.labels.model_copy(update={"vlm": vlm})})

    def spec(self) -> dict:
        return super().spec() | {"labels": self.labels.spec()}
