"""The smallest difference that a table detects most of the time, given its questions and videos."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from framesift.tables.statistics import CONFIDENCE, ENOUGH_VIDEOS, by_video, changed_videos

POWER = 0.8
_LEAST = 1e-9  # at 0 the formula holds for every n


def detectable_difference(
    videos: Sequence[str], differences: Sequence[int], level: float = 1 - CONFIDENCE
) -> float | None:
    """The smallest true difference that a two-sided test at a level finds in 80 % of samples like this one.

    For n paired right-or-wrong answers of which the share d differs, the test has that power at the difference D with
    ``n D - 1 = z_(1 - level / 2) sqrt(n d) + z_0.8 sqrt(n (d - D^2))`` (Connor, Biometrics 43, 1987, for McNemar's
    test; 1 is the continuity correction of the exact test). n is the number of questions divided by the design effect,
    the factor by which clustering in videos increases the variance of the mean difference. d is the observed share, and
    at least D.

    Parameters
    ----------
    videos : sequence of str, shape (n,)
        The video of each question.
    differences : sequence of int, shape (n,)
        Per question, right (1) or wrong (0) of the method minus that of the baseline.
    level : float
        What the p-value must be below. Of m rows that Holm's method corrects, 0.05 / m always suffices.

    Returns
    -------
    float or None
        None if answers changed in fewer than `ENOUGH_VIDEOS` videos, which have no verdict, or if not even the
        largest difference would be found.

    Examples
    --------
    >>> differences = [1, 0, 0, 0, -1, 0, 0, 0] * 25
    >>> f"{detectable_difference([f'video {k}' for k in range(200)], differences):.3f}"
    '0.103'
    """
    effect = design_effect(videos, differences)
    if effect is None or changed_videos(videos, differences) < ENOUGH_VIDEOS:
        return None
    from scipy.optimize import brentq
    from scipy.stats import norm

    n, differing = len(differences) / effect, float(np.mean(np.abs(differences)))
    size, power = norm.ppf(1 - level / 2), norm.ppf(POWER)

    def surplus(difference: float) -> float:
        share = max(differing, difference)
        needed = size * np.sqrt(share) + power * np.sqrt(max(share - difference**2, 0.0))
        return float(np.sqrt(n) * difference - 1 / np.sqrt(n) - needed)

    return float(brentq(surplus, _LEAST, 1.0)) if surplus(1.0) > 0 else None


def design_effect(videos: Sequence[str], differences: Sequence[int]) -> float | None:
    """Variance of the mean relative to that of as many independent questions (Kish, Survey Sampling, 1965); at least 1.

    None with fewer than two videos; 1 if all differences are the same, so that there is no variance to compare.

    Examples
    --------
    >>> design_effect(["a", "a", "b", "b", "c", "c"], [1, 1, 0, 0, -1, -1])
    2.5
    """
    clusters = by_video(videos, differences)
    n_videos, n = len(clusters.size), int(clusters.size.sum())
    if n_videos < 2:
        return None
    mean = clusters.total.sum() / n
    values = np.sort(np.asarray(differences))  # sorted, since floating-point sums depend on the order
    independent = float(np.var(values, ddof=1)) / n
    if independent == 0:
        return 1.0
    residuals = clusters.total - mean * clusters.size
    clustered = n_videos / (n_videos - 1) * float(np.sum(residuals**2)) / n**2
    return max(1.0, clustered / independent)
