"""The scores that AKS's authors released (Tang et al., CVPR 2025), instead of computing any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from framesift.core.components import Work, implementation
from framesift.core.spec import not_in_spec
from framesift.scoring.released_scores import SCORERS
from framesift.scoring.scorers import ScoreSource

#: The label files of the release, in whose order its score files are, by the dataset.
LABELS = {
    "longvideobench": "datasets/longvideobench/include_frame_idx.json",
    "videomme": "datasets/videomme/videomme.json",
}


class AksOutscores(ScoreSource):
    """Scores of LongVideoBench and VideoMME from the release's `outscores`.

    They lie in lists without ids, in the order of the label files beside them; they are matched by the ids of those
    files, and only where the frames they are about are the candidates of the video here.
    """

    title = "the released scores of AKS"
    cites = ("tang2025aks",)
    version = 1

    kind: Literal["aks_outscores"] = "aks_outscores"
    scores: Literal["blip", "clip", "sevila"] = Field(description="Which of the three scorers of the release.")
    commit: Literal["46675011a0ad67ad65559ac98235f2ce82102a2e"] = Field(
        default="46675011a0ad67ad65559ac98235f2ce82102a2e", description="Commit of the release."
    )
    folder: str = Field(
        default="data/aks",
        description="Where its files lie, laid out as in the release; what is missing is fetched there.",
        json_schema_extra=not_in_spec(),
    )

    @classmethod
    def work(cls, spec: Mapping[str, Any]) -> Work:
        if spec.get("scores") not in SCORERS:
            return super().work(spec)
        behind = implementation("scorers", SCORERS[spec["scores"]])
        return Work(f"the released scores of AKS by {behind.title}", cls.cites + behind.cites)

    def refuses(self, dataset: str, rule: str) -> str | None:
        if dataset not in LABELS:
            return f"AKS released no scores of {dataset}, only of {' and '.join(LABELS)}"
        if rule != "index":
            return "the released scores are of the candidates of rule index"
        return None
