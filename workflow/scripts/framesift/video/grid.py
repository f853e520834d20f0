"""Candidate frames: which frames of a video a selector may choose from."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from framesift.video.index import VideoIndex


class CandidateGrid(BaseModel):
    """The rule that makes candidate frames; one for all scorers and selectors of a run.

    Examples
    --------
    >>> from framesift.video.index import VideoIndex
    >>> index = VideoIndex(list(range(100)), [0], 1 / 25, 25.0, 640, 360, "h264", True, 4.0)
    >>> CandidateGrid().frames(index)
    [0, 25, 50, 75]
    >>> CandidateGrid(rule="timestamp", per_second=0.5).frames(index)
    [0, 50]
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: Literal["index", "timestamp"] = Field(
        default="index",
        description="`index`: frame j·int(fps), j = 0, 1, ..., about one a second (the grid of AKS); `timestamp`: the"
        " frames shown at true seconds, `per_second` of them.",
    )
    per_second: float = Field(default=1.0, gt=0, le=60, description="Density of the rule `timestamp`.")

    def spec(self) -> dict[str, Any]:
        """The parameters that decide the candidates: the density only if the rule uses it."""
        return {"rule": self.rule} | ({"per_second": self.per_second} if self.rule == "timestamp" else {})

    def frames(self, index: VideoIndex) -> list[int]:
        """Frame indices of the candidates, ascending and distinct, at least one.

        `index`: AKS takes frame ``j * int(fps)`` for ``j < int(n_frames / int(fps))``, which divides by zero below one
        frame a second and finds nothing in a video shorter than a second. Here the stride is at least one frame, and
        there is at least one candidate; elsewhere the grid is theirs exactly (feature_extract.py of the release). Its
        candidates are int(fps)/fps seconds apart: 0.968 s at 29.97 frames a second.

        `timestamp`: for t = 0, 1/per_second, ... the frame on the screen t seconds after the first one.

        Parameters
        ----------
        index : VideoIndex
        """
        if self.rule == "index":
            stride = max(1, int(index.fps))
            return [j * stride for j in range(max(1, index.n_frames // stride))]
        ticks = [stamp - index.pts[0] for stamp in index.pts]
        count = int(index.seconds(index.n_frames - 1) * self.per_second + 1e-9) + 1
        # a stamp may be a rounding error later than its second
        shown = [bisect.bisect_right(ticks, j / self.per_second / index.time_base + 0.5) - 1 for j in range(count)]
        return list(dict.fromkeys(shown))
