"""DPSelect of ReTaKe (Wang et al., 2024, arXiv 2412.20504): the frames at which the picture changes most."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from framesift.selection.selectors import Candidates, Selector, best
from framesift.selection.selectors._scaling import unit


class DPSelect(Selector):
    """Peaks of the distance to the previous frame first, the largest first, then the other frames by their distance.

    The distance of a frame is one minus the cosine to its predecessor, of the first frame 1; with several patches a
    frame, the mean over patches. A frame is a peak where it is the largest of the `window` around it (of equals the
    first). The question plays no part.

    This is the frame-wise form of the released code (`patch_sync`), used to choose frames. The release itself lets each
    patch keep its own frames, on features of the answerer's own vision tower, and uses the result to mark tokens: as
    released no frame is ever dropped by it. Fragile: equal distances, whose order the release leaves to chance; here
    the earlier frame comes first. A still video has one peak, its first frame.

    Examples
    --------
    >>> from framesift.selection.selectors import select
    >>> angles = np.array([0, 2, 3, 40, 43, 44, 80, 82, 85, 87, 20, 21]) * np.pi / 180
    >>> frames = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> select("dpselect", embeddings=frames, budget=4).tolist()
    [0, 3, 6, 10]
    """

    title = "DPSelect of ReTaKe"
    cites = ("wang2024retake",)
    source: ClassVar[str] = "ReTaKe, arXiv 2412.20504"

    kind: Literal["dpselect"] = "dpselect"
    needs_scores: ClassVar[bool] = False
    needs_embeddings: ClassVar[bool] = True
    window: int = Field(
        default=3, ge=1, description="Frames among which a peak is the largest; odd, 3 in every configuration released."
    )

    @field_validator("window")
    @classmethod
    def _odd(cls, window: int) -> int:
        if window % 2 == 0:
            raise ValueError("a window without a middle has no peak: give an odd number")
        return window

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        features = candidates.embeddings.reshape(len(candidates), -1, candidates.embeddings.shape[-1])
        change = distances(features).mean(axis=1)
        return most_changed(change, peaks(change, self.window), budget)


def distances(features: np.ndarray) -> np.ndarray:
    """One minus the cosine of each patch to the same patch of the previous frame; 1 for the first frame.

    Parameters
    ----------
    features : float array, shape (frames, patches, dimensions)
        A zero vector is orthogonal to all.

    Returns
    -------
    float array, shape (frames, patches)

    Examples
    --------
    >>> distances(np.array([[[1.0, 0.0]], [[1.0, 0.0]], [[0.0, 1.0]]]))[:, 0]
    array([1., 0., 1.])
    """
    vectors, change = unit(features), np.ones(features.shape[:2])
    change[1:] = 1 - np.sum(vectors[1:] * vectors[:-1], axis=-1)
    return change


def peaks(change: np.ndarray, window: int) -> np.ndarray:
    """Which of the values (frames,) are the first largest of the `window` values around them, as booleans.

    Examples
    --------
    >>> peaks(np.array([1.0, 0.1, 0.6, 0.2]), window=3)
    array([ True, False,  True, False])
    """
    reach = window // 2
    around = np.lib.stride_tricks.sliding_window_view(np.pad(change, reach, constant_values=-np.inf), 2 * reach + 1)
    return np.argmax(around, axis=1) == reach


def most_changed(change: np.ndarray, peak: np.ndarray, k: int) -> np.ndarray:
    """Positions of `k` of the values (frames,), peaks before the others, larger before smaller."""
    return best(change + 2.0 * peak, k)
