"""The statistics of a table: intervals of accuracies and differences, tests of a difference, and their correction.

Questions of one video share its frames, and often their selection, so they are not independent; videos are. Therefore
videos are the units of all statistics except `accuracy_interval` and `difference_p_value`, which take questions as
independent. The order of questions does not matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from framesift.core.spec import canonical_json

CONFIDENCE = 0.95
#: Least effective number of videos with a changed answer for an interval of a difference, and so for a verdict.
ENOUGH_VIDEOS = 10
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
    """Sum integers over the questions of each video; sums of integers are exact in any order.

    Examples
    --------
    >>> by_video(["b", "a", "b"], [1, 0, 1])
    ByVideo(size=array([1, 2]), total=array([0, 2]))
    """
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
        Number of right answers, and of all answers.

    Returns
    -------
    Interval or None
        None without answers.

    Examples
    --------
    >>> low, high = accuracy_interval(9, 10)
    >>> f"{low:.3f} {high:.3f}"
    '0.596 0.982'
    """
    if n == 0:
        return None
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(correct, n, alpha=1 - CONFIDENCE, method="wilson")
    return Interval(float(low), float(high))


def clustered_accuracy_interval(
    videos: Sequence[str], correct: Sequence[bool], seed: int, resamples: int = RESAMPLES
) -> Interval | None:
    """Interval of an accuracy: a bootstrap over videos, at either end no narrower than Wilson's interval.

    With one video, or if all answers are right or all are wrong, resamples do not vary; near those cases they vary too
    little. Wilson's interval, which takes questions as independent, is the least uncertainty that remains.

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

    Examples
    --------
    >>> low, high = clustered_accuracy_interval(["a", "a", "b", "b"], [True, True, False, False], seed=0)
    >>> f"{low:.2f} {high:.2f}"
    '0.00 1.00'
    """
    least = accuracy_interval(sum(correct), len(correct))
    drawn = mean_interval(by_video(videos, correct), seed, resamples)
    if least is None or drawn is None:
        return least
    return Interval(min(least.low, drawn.low), max(least.high, drawn.high))


def difference_interval(videos: Sequence[str], differences: Sequence[int]) -> Interval | None:
    """Interval of a mean difference, robust to clustering in videos and to few of them.

    Student's t with the bias-reduced variance CR2 and the degrees of freedom of Bell and McCaffrey (Survey Methodology
    28, 2002), for a mean over questions in videos. Videos of one size have V - 1 degrees of freedom, and a single large
    one costs many. docs/statistics.md has the measured coverage.

    Parameters
    ----------
    videos : sequence of str, shape (n,)
        The video of each question.
    differences : sequence of int, shape (n,)
        Per question, right (1) or wrong (0) of the method minus that of the baseline.

    Returns
    -------
    Interval or None
        Within -1 and 1. None if answers changed in fewer than `ENOUGH_VIDEOS` videos: no interval covers then.

    Examples
    --------
    >>> low, high = difference_interval([f"video {k}" for k in range(40)], [1, 0, 0, 0] * 10)
    >>> f"{low:.3f} {high:.3f}"
    '0.110 0.390'
    """
    if changed_videos(videos, differences) < ENOUGH_VIDEOS:
        return None
    [mean], [[variance]], quantile = _clustered_means(videos, [differences])
    half = quantile * np.sqrt(variance)
    return Interval(max(-1.0, float(mean - half)), min(1.0, float(mean + half)))


def ratio_interval(videos: Sequence[str], part: Sequence[int], whole: Sequence[int]) -> Interval | None:
    """Interval of the ratio of two mean differences of the same questions, by Fieller's theorem (Fieller, 1954).

    A ratio r is in it if the interval of the mean of ``part - r * whole`` holds zero (see `difference_interval`).

    Parameters
    ----------
    videos : sequence of str, shape (n,)
        The video of each question.
    part, whole : sequence of int, shape (n,)
        Differences to the same baseline, such as those of a method and of a ceiling.

    Returns
    -------
    Interval or None
        None unless the interval of `whole` lies above zero: the ratio has no bounds then.

    Examples
    --------
    >>> videos = [f"video {k}" for k in range(40)]
    >>> low, high = ratio_interval(videos, [1, 0, 0, 0] * 10, [1, 1, 0, 0] * 10)
    >>> f"{low:.2f} {high:.2f}"
    '0.26 0.74'
    """
    above = difference_interval(videos, whole)
    if above is None or above.low <= 0:
        return None
    (a, b), ((aa, ab), (_, bb)), quantile = _clustered_means(videos, [part, whole])
    squared = quantile**2
    roots = np.roots([b * b - squared * bb, -2 * (a * b - squared * ab), a * a - squared * aa])
    low, high = sorted(float(root) for root in roots.real)
    return Interval(low, high)


def _clustered_means(videos: Sequence[str], values: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray, float]:
    """Means over questions, their covariance CR2 clustered by video, and the quantile of Student's t for both ends."""
    from scipy.stats import t

    size = by_video(videos, values[0]).size
    total = np.array([by_video(videos, one).total for one in values])
    n = size.sum()
    means = total.sum(axis=1) / n
    residuals = (total - means[:, None] * size) / np.sqrt(1 - size / n)
    share = size**2 / (n - size)
    freedom = n**2 / (np.sum(size**2) + np.sum(share) ** 2 - np.sum(share**2))
    return means, residuals @ residuals.T / n**2, float(t.ppf((1 + CONFIDENCE) / 2, freedom))


def changed_videos(videos: Sequence[str], differences: Sequence[int]) -> float:
    """The effective number of videos in which an answer changed: their number if they have equally many questions.

    With n questions in a video it is (sum n)^2 / sum n^2 over these videos (Kish, Survey Sampling, 1965), so a video
    with most of the questions counts for little more than one.

    Examples
    --------
    >>> changed_videos(["a", "a", "b", "b", "c"], [1, -1, 0, 1, 0])
    2.0
    """
    size = by_video(videos, [abs(difference) for difference in differences])
    changed = size.size[size.total > 0]
    return float(changed.sum() ** 2 / np.sum(changed**2)) if len(changed) else 0.0


def mean_interval(clusters: ByVideo, seed: int, resamples: int = RESAMPLES) -> Interval | None:
    """Expanded percentile interval of a mean over questions, resampling whole videos (a cluster bootstrap).

    Each resample draws as many videos as there are, with replacement, and takes the mean over all their questions.
    With few videos V, plain percentiles are too narrow: resamples vary less than samples, by (V - 1) / V, and a normal
    tail is shorter than Student's. Percentiles further out correct for both, those of -t(V - 1) sqrt(V / (V - 1)) under
    the normal distribution (Hesterberg, The American Statistician 69, 2015).
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
    """Two-sided exact McNemar test (McNemar, 1947), on the questions that exactly one of two rows answers right.

    It takes questions as independent; `clustered_p_value` does not.

    Parameters
    ----------
    gained, lost : int
        Number of questions that only the method, and that only the baseline, answers right.

    Returns
    -------
    float
        Probability of a split at least as uneven if a fair coin decided each of these questions; 1 if there is none.

    Examples
    --------
    >>> difference_p_value(5, 0)
    0.0625
    """
    if gained + lost == 0:
        return 1.0
    from statsmodels.stats.contingency_tables import mcnemar

    return float(mcnemar([[0, gained], [lost, 0]], exact=True).pvalue)


def clustered_p_value(videos: Sequence[str], differences: Sequence[int]) -> float:
    """Two-sided exact test that flips whole videos; with one question per video it is McNemar's test.

    If a selection changes nothing, the two rows of a video are exchangeable, so the sum of its differences has either
    sign with equal probability (Fisher's randomisation test; for clusters: Canay, Romano and Shaikh, Econometrica 85,
    2017). The distribution of the sum over all videos is computed exactly, without random draws.

    Parameters
    ----------
    videos : sequence of str, shape (n,)
        The video of each question.
    differences : sequence of int, shape (n,)
        Per question, right (1) or wrong (0) of the method minus that of the baseline.

    Returns
    -------
    float
        Probability of a sum at least as far from zero; 1 if every sum is zero.

    Examples
    --------
    >>> round(clustered_p_value(["a", "a", "b", "c", "d", "e"], [1, 1, 1, 1, 1, 1]), 4)
    0.0625
    """
    from scipy.stats import binom

    total = by_video(videos, differences).total
    sizes, counts = np.unique(np.abs(total[total != 0]), return_counts=True)
    chance = np.ones(1)  # by the sum of the sizes that have a positive sign
    for size, count in zip(sizes, counts, strict=True):
        plus = np.zeros(size * count + 1)
        plus[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chance = np.convolve(chance, plus)
    sums = 2 * np.arange(len(chance)) - (len(chance) - 1)
    return float(min(1.0, chance[np.abs(sums) >= abs(total.sum())].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm, 1979).

    The probability that any test of the family calls two equal rows different stays below the level of a single test,
    however the tests depend on one another.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    from statsmodels.stats.multitest import multipletests

    return [float(value) for value in multipletests(p_values, method="holm")[1]] if p_values else []


def seed_of(*identity: Any) -> int:
    """A seed derived from what a number describes, so that it does not depend on what was computed before."""
    return int.from_bytes(hashlib.sha256(canonical_json(identity).encode()).digest()[:8], "big")
