"""The statistics of a table: an interval of an accuracy, an interval and a test of a difference."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from framesift.spec import canonical_json

CONFIDENCE = 0.95
RESAMPLES = 10_000
_BLOCK = 500  # resamples drawn at once: 500 x 1,000 videos are 4 MB


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def accuracy_interval(correct: int, n: int) -> Interval | None:
    """Wilson's score interval of a proportion (Wilson, 1927).

    Unlike the normal approximation it stays within [0, 1] and has a width at 0 % and 100 %.

    Parameters
    ----------
    correct, n : int
        Right answers, and answers.

    Returns
    -------
    Interval or None
        None without answers.
    """
    if n == 0:
        return None
    low, high = proportion_confint(correct, n, alpha=1 - CONFIDENCE, method="wilson")
    return Interval(float(low), float(high))


def difference_interval(
    videos: Sequence[str], differences: Sequence[int], seed: int, resamples: int = RESAMPLES
) -> Interval | None:
    """Percentile bootstrap of a mean difference, resampling whole videos (a cluster bootstrap).

    Questions of one video share its frames and its selection, so they are not independent; videos are. Each resample
    draws as many videos as there are, with replacement, and takes the mean over all of their questions.

    Parameters
    ----------
    videos : sequence of str, shape (n,)
        The video of each question.
    differences : sequence of int, shape (n,)
        Per question, right (1) or wrong (0) of the method minus that of the baseline.
    seed : int
        Seed of the draws.

    Returns
    -------
    Interval or None
        None with fewer than two videos, of which resampling can tell nothing.
    """
    names, video = np.unique(np.asarray(videos, dtype=str), return_inverse=True)  # sorted: no order of input matters
    if len(names) < 2:
        return None
    size = np.bincount(video)
    total = np.zeros(len(names), dtype=np.int64)
    np.add.at(total, video, np.asarray(differences, dtype=np.int64))  # integers: sums are exact in any order
    rng = np.random.default_rng(seed)
    means = []
    for start in range(0, resamples, _BLOCK):
        drawn = rng.integers(len(names), size=(min(_BLOCK, resamples - start), len(names)))
        means.append(total[drawn].sum(axis=1) / size[drawn].sum(axis=1))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return Interval(float(low), float(high))


def difference_p_value(gained: int, lost: int) -> float:
    """Two-sided exact McNemar test (McNemar, 1947): only the questions on which the two differ tell them apart.

    Parameters
    ----------
    gained, lost : int
        Questions that only the method, and only the baseline, answers right.

    Returns
    -------
    float
        Probability of a split at least as uneven if each of these questions fell to either side by a fair coin; 1
        when there is none.
    """
    if gained + lost == 0:
        return 1.0
    return float(mcnemar([[0, gained], [lost, 0]], exact=True).pvalue)


def seed_of(*identity: Any) -> int:
    """A seed made from what a number is about, so that it does not depend on what was computed before it."""
    return int.from_bytes(hashlib.sha256(canonical_json(identity).encode()).digest()[:8], "big")
