"""Validate a selector: its scores against held-out labels and evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from framesift.measures.evidence import evidence_recall
from framesift.scoring.mllm_selector.examples import Example
from framesift.selection.selectors import Candidates, choose
from framesift.selection.selectors.nms import NMS

#: Least label of an important frame.
IMPORTANT = 0.5


def ndcg(scores: np.ndarray, gains: np.ndarray) -> float | None:
    """Normalised discounted cumulative gain over all frames (Järvelin and Kekäläinen, TOIS 2002).

    Returns
    -------
    float or None
        Between 0 and 1; None if all gains are 0. Of frames with equal scores the earlier comes first.

    Examples
    --------
    >>> ndcg(np.array([0.9, 0.1, 0.5]), np.array([1.0, 0.0, 0.5]))
    1.0
    >>> round(ndcg(np.array([0.1, 0.9, 0.5]), np.array([1.0, 0.0, 0.0])), 3)
    0.5
    """
    discounts = 1 / np.log2(np.arange(2, len(gains) + 2))
    best = float(np.sort(gains)[::-1] @ discounts)
    return float(gains[np.argsort(-scores, kind="stable")] @ discounts) / best if best > 0 else None


def recall_at(scores: np.ndarray, labels: np.ndarray, k: int) -> float | None:
    """Share of the important frames that are among the k highest scores; at most k of them count.

    Returns
    -------
    float or None
        Between 0 and 1; None if no frame is important.

    Examples
    --------
    >>> recall_at(np.array([0.9, 0.1, 0.5]), np.array([1.0, 0.8, 0.0]), k=2)
    0.5
    """
    important = labels >= IMPORTANT
    if not important.any():
        return None
    found = important[np.argsort(-scores, kind="stable")[:k]].sum()
    return float(found / min(k, important.sum()))


@dataclass(frozen=True)
class ValidationFigures:
    """Figures of one question; None for those it does not have."""

    loss: float
    ndcg: float | None
    recall: float | None
    evidence_recall: float | None


def figures_of(example: Example, logits: np.ndarray, k: int) -> ValidationFigures:
    """Figures of one question, over the slots that count.

    Parameters
    ----------
    example : Example
    logits : float array, shape (n,)
    k : int
        Budget of recall and evidence recall. Selector `nms` chooses frames for the latter, as in the paper.
    """
    counts = np.array(example.mask)
    scores, labels = logits.astype(np.float64)[counts], np.array(example.targets)[counts]
    loss = np.logaddexp(0, scores) - labels * scores
    evidence = None
    if example.spans and example.times:
        times = np.array(example.times)[counts]
        chosen = choose(NMS(), Candidates(times, scores), k, np.random.default_rng(0)).positions
        evidence = evidence_recall(times[chosen], example.spans)
    return ValidationFigures(float(loss.mean()), ndcg(scores, labels), recall_at(scores, labels, k), evidence)


def mean_figures(all_figures: Sequence[ValidationFigures]) -> dict[str, float | None]:
    """Means of the figures over the questions that have them."""
    figures: dict[str, float | None] = {}
    for name in ValidationFigures.__dataclass_fields__:
        known = [value for one in all_figures if (value := getattr(one, name)) is not None]
        figures[name] = float(np.mean(known)) if known else None
    return figures
