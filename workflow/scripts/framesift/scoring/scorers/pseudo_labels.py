"""Pseudo-labels of frames, as the M-LLM frame selector is trained on (Hu et al., CVPR 2025, arXiv 2502.19680)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from framesift.checkpoints.component import Checkpoint
from framesift.scoring.mllm_selector.label_settings import LabelSettings, ScorerStandIn
from framesift.scoring.scorers import ScoreSource


class PseudoLabels(ScoreSource):
    """Importance of frames by models that look at them: training data of a selector, and scores to choose frames by.

    As scores they show what a selector trained on them could reach at best. They are slow to make: a VLM is asked about
    every frame, for every question.
    """

    title = "pseudo-labels of frames, as for the M-LLM frame selector"
    cites = ("hu2025mllm",)
    version = 1
    checkpoint = "composed"

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

    def labellers(self) -> list[Checkpoint]:
        """The models that run here to label frames."""
        return [one for one in (self.labels.vlm, self.labels.llm) if isinstance(one, Checkpoint)]

    def connections(self) -> dict[str, Any]:
        """What models that label need beside the spec: how servers are reached, sizes of batches."""
        models = {"vlm": self.labels.vlm, "llm": self.labels.llm}
        found = {name: getattr(one, "connection", None) for name, one in models.items()}
        return {name: connection() for name, connection in found.items() if connection}

    def spec(self) -> dict:
        return super().spec() | {"labels": self.labels.spec()}
