"""Candidate frames: which frames of a video a selector may choose from."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class CandidateGrid(BaseModel):
    """The rule that makes candidate frames. One grid serves every scorer and selector of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: Literal["index"] = Field(
        default="index",
        description="`index`: frame j·int(fps), j = 0, 1, ... (about one a second; the grid of AKS).",
    )

    def frames(self, n_frames: int, fps: float) -> list[int]:
        """Frame indices of the candidates, ascending.

        AKS takes frame ``j * int(fps)`` for ``j < int(n_frames / int(fps))``, which divides by zero below one frame a
        second and finds nothing in a video shorter than a second. Here the stride is at least one frame, and there is
        at least one candidate; elsewhere the grid is theirs exactly (feature_extract.py of the release).

        Parameters
        ----------
        n_frames : int
            Frames of the video, at least 1.
        fps : float
            Average frame rate in frames per second.
        """
        stride = max(1, int(fps))
        return [j * stride for j in range(max(1, n_frames // stride))]
