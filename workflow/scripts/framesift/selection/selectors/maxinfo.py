"""MaxInfo: key frames by maximum volume (2502.03183)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.selection.selectors import Candidates, Selector, Variant, completed
from framesift.selection.selectors._scaling import unit

#: Singular values below this share of the largest are rounding.
NUMERICAL_RANK = 1e-8
#: The square step stops when no swap grows the volume by more than 5 %, or after ten swaps.
ENOUGH, SWAPS = 1.05, 10
_last: dict[tuple, np.ndarray] = {}


class MaxInfo(Selector):
    """Frames whose embeddings span the largest volume; the question plays no part.

    Embeddings are projected on their `rank` leading singular directions. As many rows that span the largest volume are
    swapped together (maxvol), and then rows added, each the one worst represented so far, until none is worse than
    `tol` (rect-maxvol).

    This is the pipeline of a third party (the sampler in arXiv 2509.14769), since the authors' was not at hand, and
    departs from it in two points. An exact decomposition takes the place of a randomised one, which finds another set
    now and then. Where embeddings have a lower rank, as in a video that stands still, the rank is lowered to it, where
    the release picks by rounding noise. It takes CLIP's features as they are; the encoders here give unit vectors, and
    that changes the decomposition. It also thins videos to 1,000 frames first; here the candidates are as configured.

    The release gives `rank` frames where the budget is smaller, about rank / tol**2 (89) however large the budget is,
    and all frames where there are no more than `rank`. The fair form keeps the first of them in order of choice,
    and where `tol` stops early adds the frames farthest in time (`completed`). Below 89 frames `tol` never acts.

    Fragile: identical frames, and singular values close to each other.

    Examples
    --------
    >>> from framesift.selection.selectors import select
    >>> angles = np.array([0, 2, 3, 40, 43, 44, 80, 82, 85, 87, 20, 21]) * np.pi / 180
    >>> frames = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> select("maxinfo", embeddings=frames, budget=4).tolist()
    [0, 1, 8, 9]
    """

    title = "MaxInfo (after a third party's code)"
    cites = ("li2025maxinfo", "brkic2025sampling")
    needs_scores: ClassVar[bool] = False
    needs_embeddings: ClassVar[bool] = True
    source: ClassVar[str] = "arXiv 2502.03183"

    kind: Literal["maxinfo"] = "maxinfo"
    variant: Variant = Field(default="fair", description="`released`: at least `rank` and at most about 89 frames.")
    rank: int = Field(default=8, ge=1, description="Singular directions kept (R).")
    tol: float = Field(default=0.3, gt=0, description="Frames are added while one is represented worse than this.")
    norm: Literal["l2", "none"] = Field(default="l2", description="Whether projected rows are made unit vectors.")

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        order = self._once_a_video(candidates.embeddings, budget)
        if self.fair:  # without scores, which are not this method's even where there are some
            return completed(order, Candidates(candidates.times), budget)
        return np.sort(order)

    def _once_a_video(self, embeddings: np.ndarray, budget: int) -> np.ndarray:
        """`order`, kept for the next question: those of a video come one after the other."""
        weighted = np.arange(1, len(embeddings) + 1) @ embeddings  # cheap, and different for other embeddings
        key = (self, budget, embeddings.shape, weighted.tobytes())
        if key not in _last:
            _last.clear()
            _last[key] = self.order(embeddings, budget)
        return _last[key]

    def order(self, embeddings: np.ndarray, budget: int) -> np.ndarray:
        """What the method chooses, in the order in which it does."""
        rows = project(embeddings, self.rank)
        if len(rows) <= self.rank:
            return np.arange(len(rows))
        return rect_maxvol(unit(rows) if self.norm == "l2" else rows, budget, self.tol)


def project(x: np.ndarray, rank: int) -> np.ndarray:
    """Rows of `x` in its leading singular directions, as many as `rank` or as `x` has."""
    # The eigenvectors of the smaller Gram matrix span the leading directions; the decomposition of what they span
    # then gives singular values that are not squared.
    wide = x.shape[1] > x.shape[0]
    directions = np.linalg.eigh(x @ x.T if wide else x.T @ x)[1][:, -rank:]
    if wide:
        u, s, _ = np.linalg.svd(directions.T @ x, full_matrices=False)
        u = directions @ u
    else:
        u, s, _ = np.linalg.svd(x @ directions, full_matrices=False)
    kept = max(1, int(np.sum(s > NUMERICAL_RANK * s[0])))
    return u[:, :kept] * s[:kept]


def rect_maxvol(rows: np.ndarray, count: int, tol: float) -> np.ndarray:
    """Up to `count` rows, and at least one per column, that span a large volume, in the order of choice."""
    n, r = rows.shape
    chosen = _pivots(rows)
    if len(chosen) < r:
        return np.arange(min(n, max(r, count)))
    coefficients = np.linalg.solve(rows[chosen].T, rows.T).T  # of each row in terms of the chosen
    for _ in range(SWAPS):
        column, row = divmod(int(np.abs(coefficients).T.argmax()), n)
        pivot = coefficients[row, column]
        if abs(pivot) <= ENOUGH:
            break
        chosen[column] = row
        change = coefficients[row].copy()
        change[column] -= 1
        coefficients -= np.outer(coefficients[:, column] / pivot, change)

    # The coefficients in terms of a growing set never need to be written out: all that is asked of them are their
    # inner products, and those are given by the chosen rows' inverse Gram matrix.
    inverse = np.eye(r)
    error = (coefficients**2).sum(axis=1)
    error[chosen] = 0
    while len(chosen) < min(count, n):
        row = int(error.argmax())
        if not error[row] > tol**2:
            break
        weights = inverse @ coefficients[row]
        products = coefficients @ weights
        shrink = 1 / (1 + products[row])
        inverse -= shrink * np.outer(weights, weights)
        error -= shrink * products**2
        chosen.append(row)
        error[chosen] = 0
    return np.array(chosen)


def _pivots(rows: np.ndarray) -> list[int]:
    """Rows that Gaussian elimination with partial pivoting brings to the top; fewer where a column has nothing left."""
    left = rows.copy()
    position = np.arange(len(left))
    for i in range(left.shape[1]):
        pivot = i + int(np.abs(left[i:, i]).argmax())
        if left[pivot, i] == 0:
            return position[:i].tolist()
        left[[i, pivot]] = left[[pivot, i]]
        position[[i, pivot]] = position[[pivot, i]]
        left[i + 1 :, i:] -= np.outer(left[i + 1 :, i] / left[i, i], left[i, i:])
    return position[: left.shape[1]].tolist()
