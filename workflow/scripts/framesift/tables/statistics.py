"""The statistics of a table: intervals of accuracies and differences, tests of a difference, and their correction.

Questions of one video share its frames, and often their selection, so they are not independent; videos are. All but
`accuracy_interval` and `difference_p_value`, which say so, therefore take whole videos as what is drawn. Nothing
depends on the order of questions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from framesift.core.spec import canonical_json

CONFIDENCE = 0.95
RESAMPLES = 10_000
_BLOCK = 500  # resamples drawn at once: 500 x 1,000 videos are 4 MB


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


class ByVideo(NamedTuple):
    """Sums over the questions of each video, in the order of the videos' names.

    Attributes
    ----------
    size : numpy.ndarray of int, shape (videos,)
        Questions.
    total : numpy.ndarray of int, shape (videos,)
        Sum of their values.
    """

    size: np.ndarray
    total: np.ndarray


def by_video(videos: Sequence[str], values: Sequence[int]) -> ByVideo:
    """Sum whole numbers over the questions of each video: such sums are exact in any order."""
    names, video = np.unique(np.asarray(videos, dtype=str), return_inverse=True)
    total = np.zeros(len(names), dtype=np.int64)
    np.add.at(total, video, np.asarray(values, dtype=np.int64))
    return ByVideo(np.bincount(video, minlength=len(names)), total)


def accuracy_interval(correct: int, n: int) -> Interval | None:
    """Wilson's score interval of a proportion of independent questions (Wilson, 1927).

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
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(correct, n, alpha=1 - CONFIDENCE, method="wilson")
    return Interval(float(low), float(high))


def clustered_accuracy_interval(
    videos: Sequence[str], correct: Sequence[bool], seed: int, resamples: int = RESAMPLES
) -> Interval | None:
    """Interval of an accuracy: the bootstrap over videos, and never narrower than Wilson's interval at either end.

    Resampling shows nothing where all answers are right, where all are wrong, or where there is one video; it is too
    narrow near those. Wilson's interval, which takes questions as independent, is the least that can be said there.

    Parameters
    ----------
    videos : sequence of str, shape (n,)
        The video of each question.
    correct : sequence of bool, shape (n,)
    seed : int
        Seed of the draws.

    Returns
    -------
    Interval or None
        None without answers.
    """
    least = accuracy_interval(sum(correct), len(correct))
    drawn = mean_interval(by_video(videos, correct), seed, resamples)
    if least is None or drawn is None:
        return least
    return Interval(min(least.low, drawn.low), max(least.high, drawn.high))


def difference_interval(
    videos: Sequence[str], differences: Sequence[int], seed: int, resamples: int = RESAMPLES
) -> Interval | None:
    """Interval of a mean difference by bootstrap over videos, see `mean_interval`.

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
    return mean_interval(by_video(videos, differences), seed, resamples)


def mean_interval(clusters: ByVideo, seed: int, resamples: int = RESAMPLES) -> Interval | None:
    """Expanded percentile interval of a mean over questions, resampling whole videos (a cluster bootstrap).

    Each resample draws as many videos as there are, with replacement, and takes the mean over all of their questions.
    The plain percentiles are too narrow for few videos, since resamples vary less than samples, by (V - 1) / V, and
    since a normal tail is not that of Student's t. Both are made good by percentiles further out: those of
    -t(V - 1) sqrt(V / (V - 1)) under the normal distribution (Hesterberg, The American Statistician 69, 2015).
    """
    n = len(clusters.size)
    if n < 2:
        return None
    from scipy.stats import norm, t

    rng = np.random.default_rng(seed)
    means = []
    for start in range(0, resamples, _BLOCK):
        drawn = rng.integers(n, size=(min(_BLOCK, resamples - start), n))
        means.append(clusters.total[drawn].sum(axis=1) / clusters.size[drawn].sum(axis=1))
    tail = norm.cdf(t.ppf((1 - CONFIDENCE) / 2, n - 1) * np.sqrt(n / (n - 1)))
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return Interval(float(low), float(high))


def difference_p_value(gained: int, lost: int) -> float:
    """Two-sided exact McNemar test (McNemar, 1947): only the questions on which the two differ tell them apart.

    It takes questions as independent; `clustered_p_value` does not.

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
    from statsmodels.stats.contingency_tables import mcnemar

    return float(mcnemar([[0, gained], [lost, 0]], exact=True).pvalue)


def clustered_p_value(videos: Sequence[str], differences: Sequence[int]) -> float:
    """Two-sided exact test that flips whole videos: McNemar's test where each video has one question.

    Where a selection changes nothing, the two rows of a video could as well be exchanged, so that the sum of its
    differences has either sign with the same chance (Fisher's randomisation test; for clusters: Canay, Romano and
    Shaikh, Econometrica 85, 2017). The distribution of the sum over all videos is computed in full, without draws.

    Parameters
    ----------
    videos : sequence of str, shape (n,)
        The video of each question.
    differences : sequence of int, shape (n,)
        Per question, right (1) or wrong (0) of the method minus that of the baseline.

    Returns
    -------
    float
        Probability of a sum at least as far from zero; 1 where no video has one.
    """
    from scipy.stats import binom

    total = by_video(videos, differences).total
    sizes, counts = np.unique(np.abs(total[total != 0]), return_counts=True)
    chance = np.ones(1)  # of the sum of those sizes whose sign is plus, by that sum
    for size, count in zip(sizes, counts, strict=True):
        plus = np.zeros(size * count + 1)
        plus[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chance = np.convolve(chance, plus)
    sums = 2 * np.arange(len(chance)) - (len(chance) - 1)
    return float(min(1.0, chance[np.abs(sums) >= abs(total.sum())].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm, 1979).

    With them, the chance of any error among the tests that say "different" is at most what one p-value promises alone,
    whatever the tests have in common.
    """
    from statsmodels.stats.multitest import multipletests

    return [float(value) for value in multipletests(p_values, method="holm")[1]] if p_values else []


def seed_of(*identity: Any) -> int:
    """A seed made from what a number is about, so that it does not depend on what was computed before it."""
    return int.from_bytes(hashlib.sha256(canonical_json(identity).encode()).digest()[:8], "big")
