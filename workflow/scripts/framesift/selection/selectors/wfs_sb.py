"""WFS-SB: Wavelet-based Frame Selection by Detecting Semantic Boundary for Long Video Understanding (CVPR 2026)."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.selection.selectors import Candidates, Choice, ScoreError, Selector, Variant
from framesift.selection.selectors._scaling import within_unit

#: Low-pass filters of the wavelet transform, for decomposition.
FILTERS = {
    "haar": np.array([0.5, 0.5]) ** 0.5,
    "db4": np.array(
        [
            -0.010597401785069032,
            0.0328830116668852,
            0.030841381835560764,
            -0.18703481171909309,
            -0.027983769416859854,
            0.6308807679298589,
            0.7148465705529157,
            0.2303778133088965,
        ]
    ),
}
#: Candidates over which the stand-in for similarity falls to 1/e where there are no embeddings (fixed in the release).
DECAY = 10.0
#: Weight of segments below which they are never kept, and number up to which all are kept (fixed in the release).
LEAST_IMPORTANCE, KEEP_ALL = 0.05, 3


class WFSSB(Selector):
    """Segments between peaks of the scores' coarsest wavelet detail, and diverse, relevant frames of each.

    Segments are weighed by duration and by mean, maximum and variance of their scores; the weak are dropped, a softmax
    of the weights deals out the budget, and each segment takes its best frame and then, one by one, the frame of the
    largest `lambda_` * relevance - (1 - `lambda_`) * similarity to those it has. Similarity is the cosine of
    embeddings where there are any, else a function of the distance in time, as in the released code.

    The softmax at temperature 1 of weights in [0, 1] is nearly flat: segments get about the same number of frames,
    however long or important they are. Only in the release, not in the paper: no segment below 0.05, all kept up to
    three, relevance 2s - 1, the rule for no peaks (half uniform, half best), filling up from the whole video. Where
    the code leaves the order of equal values open, the later comes first when the budget is dealt out, the earlier
    when frames are chosen.

    Weights and relevance are meant for probabilities. The release takes scores as they are: logits drown the
    similarity. ``fair`` scales scores that leave [0, 1] to it, and says so in the note of the choice; otherwise the two
    variants give the same frames. Where the wavelet detail is no more than rounding (constant scores), the release
    finds peaks in it; here that counts as no peaks, in both variants. For fewer candidates than the budget the release
    samples the video's own frames uniformly; as those are no candidates, ``released`` gives all candidates.

    Examples
    --------
    >>> from framesift.selection.selectors import select
    >>> scores = [0.1, 0.2, 0.9, 0.8, 0.3, 0.1, 0.2, 0.7, 0.1, 0.15, 0.6, 0.25]
    >>> select("wfs_sb", scores=scores, budget=4).tolist()
    [0, 2, 3, 7]
    """

    title = "WFS-SB"
    cites = ("chen2026wfssb",)
    takes_embeddings: ClassVar[bool] = True
    source: ClassVar[str] = "arXiv 2603.00512, CVPR 2026"

    kind: Literal["wfs_sb"] = "wfs_sb"
    variant: Variant = Field(
        default="fair", description="`fair`: scores outside [0, 1] are scaled to it; `released`: taken as they are."
    )
    wavelet: Literal["haar", "db4"] = Field(default="db4", description="Wavelet of the transform.")
    drift: int = Field(default=3, ge=0, description="Levels fewer than log2 of the number of candidates (l).")
    height_factor: float = Field(
        default=0.5, description="A peak is this many standard deviations above the mean of the detail."
    )
    prominence_factor: float = Field(default=0.05, ge=0, description="Least prominence of a peak, of the range.")
    min_distance_ratio: float = Field(
        default=0.02, ge=0, le=1, description="Least distance of peaks, as a share of the candidates."
    )
    min_distance_absolute: int = Field(default=5, ge=1, description="Least distance of peaks, in candidates.")
    w_duration: float = Field(default=0.4, ge=0, description="Weight of a segment's duration.")
    w_mean: float = Field(default=0.2, ge=0, description="Weight of the mean of its scores.")
    w_max: float = Field(default=0.3, ge=0, description="Weight of their maximum.")
    w_var: float = Field(default=0.1, ge=0, description="Weight of their variance, relative to that of all.")
    strictness: float = Field(
        default=1.2,
        description="Segments this many standard deviations below the mean weight are dropped (eta in the paper).",
    )
    temperature: float = Field(default=1.0, gt=0, description="Temperature of the softmax that deals out the budget.")
    lambda_: float = Field(default=0.5, ge=0, le=1, description="Relevance against similarity (lambda in the paper).")

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray | Choice:
        n = len(candidates)
        if n <= budget:
            return np.arange(n)
        scores, note = within_unit(candidates.scores) if self.fair else (candidates.scores, None)
        with np.errstate(over="ignore", invalid="ignore"):
            if not np.isfinite(scores.var()):
                raise ScoreError("scores are so large that their variance is not finite")
        pick = _Greedy(scores, _vectors(candidates), self.lambda_)
        cuts = self.boundaries(scores)
        if not len(cuts):
            return Choice(np.sort(_half_and_half(scores, budget)), note)
        edges = [0, *cuts.tolist(), n]
        segments = list(pairwise(edges))
        weights = self.importance(scores, segments)
        kept = self.kept(weights)
        for i, quota in zip(kept, self.allocation(weights[kept], budget), strict=True):
            start, end = segments[i]
            pick.take(start, end, quota)
        if len(pick.chosen) < budget:
            pick.fill(budget)
        return Choice(np.sort(pick.chosen), note)

    def level(self, n: int) -> int:
        """The level of decomposition for `n` candidates."""
        longest = int(np.log2(n / (len(FILTERS[self.wavelet]) - 1))) if n >= len(FILTERS[self.wavelet]) - 1 else 0
        return max(1, min(int(np.floor(np.log2(n))) - self.drift, longest))

    def min_peak_distance(self, n: int) -> int:
        return max(self.min_distance_absolute, int(self.min_distance_ratio * n))

    def boundaries(self, scores: np.ndarray) -> np.ndarray:
        """Positions at which a segment ends and the next begins."""
        detail = np.abs(coarsest_detail(scores, FILTERS[self.wavelet], self.level(len(scores))))
        # Scores without detail leave rounding errors of some 1e-16 of their size.
        if not detail.max() > 1e-12 * np.abs(scores).max():
            return np.empty(0, dtype=int)
        return find_peaks(
            detail,
            height=detail.mean() + self.height_factor * detail.std(),
            distance=self.min_peak_distance(len(scores)),
            prominence=self.prominence_factor * (detail.max() - detail.min()),
        )

    def importance(self, scores: np.ndarray, segments: list[tuple[int, int]]) -> np.ndarray:
        """The weight of each segment."""
        variance = scores.var() + 1e-8
        return np.array(
            [
                self.w_duration * (end - start) / len(scores)
                + self.w_mean * scores[start:end].mean()
                + self.w_max * scores[start:end].max()
                + self.w_var * scores[start:end].var() / variance
                for start, end in segments
            ]
        )

    def kept(self, weights: np.ndarray) -> np.ndarray:
        """Which segments are kept."""
        every = np.arange(len(weights))
        if len(weights) <= KEEP_ALL:
            return every
        strong = every[weights >= max(LEAST_IMPORTANCE, weights.mean() - self.strictness * weights.std())]
        return strong if len(strong) else every

    def allocation(self, weights: np.ndarray, budget: int) -> np.ndarray:
        """How many frames each of the kept segments is to give."""
        if len(weights) > budget:
            quotas = np.zeros(len(weights), dtype=int)
            quotas[_descending(weights)[:budget]] = 1
            return quotas
        share = np.exp((weights - weights.max()) / self.temperature)
        exact = share / share.sum() * budget
        quotas = np.floor(exact).astype(int)
        quotas[_descending(exact - quotas)[: budget - quotas.sum()]] += 1
        return quotas


class _Greedy:
    """Frames chosen one by one, each the best compromise of relevance and difference from those before."""

    def __init__(self, scores: np.ndarray, vectors: np.ndarray | None, weight: float) -> None:
        self.relevance = 2 * scores - 1
        self.vectors = vectors
        self.weight = weight
        self.chosen: list[int] = []

    def _similarity(self, start: int, end: int, frames: list[int]) -> np.ndarray:
        """Of each frame of a segment, to the most similar of `frames`."""
        if self.vectors is None:
            return np.exp(-np.abs(np.arange(start, end)[:, None] - frames).min(axis=1) / DECAY)
        return (self.vectors[start:end] @ self.vectors[frames].T).max(axis=1)

    def take(self, start: int, end: int, quota: int) -> None:
        """Choose `quota` frames of a segment, or all; only those of the segment itself count as chosen before."""
        if not quota:
            return
        relevance = self.weight * self.relevance[start:end]
        nearest = np.full(end - start, -np.inf)
        frame = start + int(np.argmax(self.relevance[start:end]))
        self.chosen.append(frame)
        for _ in range(min(quota, end - start) - 1):
            nearest = np.maximum(nearest, self._similarity(start, end, [frame]))
            relevance[frame - start] = -np.inf
            frame = start + int(np.argmax(relevance - (1 - self.weight) * nearest))
            self.chosen.append(frame)

    def fill(self, budget: int) -> None:
        """Choose of all frames until there are `budget`."""
        n = len(self.relevance)
        relevance = self.weight * self.relevance
        relevance[self.chosen] = -np.inf
        nearest = self._similarity(0, n, self.chosen)
        while len(self.chosen) < budget:
            frame = int(np.argmax(relevance - (1 - self.weight) * nearest))
            self.chosen.append(frame)
            relevance[frame] = -np.inf
            nearest = np.maximum(nearest, self._similarity(0, n, [frame]))


def _vectors(candidates: Candidates) -> np.ndarray | None:
    """Embeddings as unit vectors, zeros staying zeros; None if there are none."""
    vectors = candidates.embeddings
    if not len(vectors):
        return None
    if vectors.ndim != 2 or len(vectors) != len(candidates):
        raise ScoreError(f"there are {len(vectors)} embeddings for {len(candidates)} candidates")
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    if not np.all(np.isfinite(lengths)):
        raise ScoreError("embeddings are NaN or infinite")
    lengths[lengths == 0] = 1
    return vectors / lengths[:, None]


def _half_and_half(scores: np.ndarray, budget: int) -> np.ndarray:
    """Half of the budget uniform, half the best of the other frames."""
    uniform = np.linspace(0, len(scores) - 1, budget // 2, dtype=int)
    order = _descending(scores)
    return np.concatenate([uniform, order[~np.isin(order, uniform)][: budget - budget // 2]])


def _descending(values: np.ndarray) -> np.ndarray:
    """Positions by falling value; of equal values the later first."""
    return np.argsort(values, kind="stable")[::-1]


def coarsest_detail(signal: np.ndarray, low_pass: np.ndarray, level: int) -> np.ndarray:
    """The part of a signal that lies in the coarsest band of detail of its discrete wavelet transform.

    The signal continues at its ends as its mirror image, the end values repeated.
    """
    taps = len(low_pass)
    high_pass = (low_pass * (-1.0) ** np.arange(taps))[::-1]
    approximation, lengths = signal, []
    for _ in range(level):
        lengths.append(len(approximation))
        extended = np.pad(approximation, taps - 1, mode="symmetric")
        detail = np.convolve(extended, high_pass, "valid")[1::2]
        approximation = np.convolve(extended, low_pass, "valid")[1::2]
    band, synthesis = detail, high_pass[::-1]
    for length in reversed(lengths):
        spaced = np.zeros(2 * len(band) - 1)
        spaced[::2] = band
        band = np.convolve(spaced, synthesis)[taps - 2 : 2 * len(band)][:length]
        synthesis = low_pass[::-1]
    return band


def find_peaks(values: np.ndarray, *, height: float, distance: int, prominence: float) -> np.ndarray:
    """Local maxima that are high, far apart and prominent enough, as scipy.signal.find_peaks finds them.

    A plateau is a maximum at its middle. Of peaks nearer than `distance` the higher stays, of equal ones the later.

    Examples
    --------
    >>> find_peaks(np.array([0.0, 2.0, 0.0, 1.0, 1.0, 0.0]), height=0.5, distance=1, prominence=0.5)
    array([1, 3])
    """
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    levels = values[starts]
    ends = np.append(starts[1:], len(values)) - 1
    inner = 1 + np.flatnonzero((levels[1:-1] > levels[:-2]) & (levels[1:-1] > levels[2:]))
    peaks = (starts[inner] + ends[inner]) // 2
    peaks = peaks[values[peaks] >= height]

    keep = np.ones(len(peaks), dtype=bool)
    for i in _descending(values[peaks]):
        if keep[i]:
            keep[np.abs(peaks - peaks[i]) < distance] = False
            keep[i] = True
    peaks = peaks[keep]

    return np.array([i for i in peaks if _prominence(values, i) >= prominence], dtype=int)


def _prominence(values: np.ndarray, peak: int) -> float:
    """Height above the higher of the two lowest points that lie between the peak and higher ground (or the end)."""
    higher = np.flatnonzero(values > values[peak])
    at = np.searchsorted(higher, peak)
    left = higher[at - 1] + 1 if at else 0
    right = higher[at] if at < len(higher) else len(values)
    return float(values[peak] - max(values[left : peak + 1].min(), values[peak:right].min()))
