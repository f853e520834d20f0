"""Evidence recall: did the frames show the moments that hold the answer?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def evidence_recall(
    times: Iterable[float], spans: Sequence[tuple[float, float]], tolerance: float = 0.0
) -> float | None:
    """Share of the evidence spans that contain at least one frame.

    Parameters
    ----------
    times : iterable of float
        Timestamps of the frames, in seconds after the first frame of the video.
    spans : sequence of (float, float)
        First and last second of each span; both ends count as inside.
    tolerance : float
        Seconds by which a frame may miss a span and still count.

    Returns
    -------
    float or None
        Between 0 and 1; None for a question without spans.

    Examples
    --------
    >>> evidence_recall([4.0, 30.0], [(3.0, 5.0), (20.0, 25.0)])
    0.5
    """
    if not spans:
        return None
    times = list(times)
    hit = sum(any(start - tolerance <= time <= end + tolerance for time in times) for start, end in spans)
    return hit / len(spans)
