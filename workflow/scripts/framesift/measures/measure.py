"""Measures of selections that need no language model: evidence recall, coverage, redundancy, overlap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from framesift.data.evidence import read_scenes
from framesift.data.questions import Evidence
from framesift.data.scenes import Scenes
from framesift.measures.coverage import largest_gap, mean_distance
from framesift.measures.evidence import evidence_recall
from framesift.measures.kfs import kfs_means
from framesift.measures.overlap import jaccard
from framesift.measures.redundancy import neighbour_similarity
from framesift.scoring.embedding_table import Embeddings
from framesift.selection.select_frames import Selected
from framesift.video.table import Video

#: Seconds by which a frame may miss its evidence.
TOLERANCES = (0, 1, 2, 4)
Row = dict[str, Any]

COLUMNS = (
    "method",
    "scorer",
    "budget",
    "grouping",
    "group",
    "n",
    "excluded",
    "frames_mean",
    "distinct_mean",
    *(f"recall_{tolerance}s" for tolerance in TOLERANCES),
    "largest_gap",
    "mean_distance",
    "redundancy",
    "overlap",
    "n_scenes",
    "kfr",
    "shr",
    "ukss",
)


@dataclass(frozen=True)
class MeasureInputs:
    """What is known about the questions of a dataset.

    Attributes
    ----------
    videos : mapping
        By video id; measures that are a share of the video leave out videos that are missing here.
    evidence : mapping
        By question id, in seconds.
    scenes : mapping
        Scenes of KFS-Bench by question id; empty without its annotations.
    embeddings : Embeddings or None
        For `redundancy`.
    """

    videos: Mapping[str, Video]
    evidence: Mapping[str, Evidence]
    scenes: Mapping[str, Scenes]
    embeddings: Embeddings | None


def annotated_scenes(path: str | Path | None) -> dict[str, Scenes]:
    """Scenes from an evidence file that is the CSV of KFS-Bench; none from other files."""
    return read_scenes(path) if path is not None and Path(path).suffix == ".csv" else {}


def measure(
    selection: Mapping[str, Selected], baseline: Mapping[str, Selected] | None, ids: Iterable[str], known: MeasureInputs
) -> Row:
    """Means over questions; None for a measure without data.

    Parameters
    ----------
    selection : mapping
        By question id.
    baseline : mapping or None
        The selection for `overlap`.
    ids : iterable of str
        The questions to measure.
    known : MeasureInputs

    Returns
    -------
    Row
        `COLUMNS` from ``n`` on. Times are shares of the video; recall and overlap are between 0 and 1.
    """
    ids = list(ids)
    chosen = {name: selection[name] for name in ids if selection[name].error is None}
    row: Row = {"n": len(chosen), "excluded": len(ids) - len(chosen)}
    row["frames_mean"] = _mean(len(one.frames) for one in chosen.values())
    row["distinct_mean"] = _mean(len(set(one.frames)) for one in chosen.values())
    for tolerance in TOLERANCES:
        row[f"recall_{tolerance}s"] = _mean(
            evidence_recall(one.times, known.evidence[name].spans, tolerance)
            for name, one in chosen.items()
            if name in known.evidence
        )
    timed = [
        (one.times, known.videos[one.video_id].duration) for one in chosen.values() if one.video_id in known.videos
    ]
    row["largest_gap"] = _mean(largest_gap(times, duration) for times, duration in timed)
    row["mean_distance"] = _mean(mean_distance(times, duration) for times, duration in timed)
    row["redundancy"] = _mean(_redundancy(one, known) for one in chosen.values())
    row["overlap"] = None
    if baseline is not None:
        row["overlap"] = _mean(
            jaccard(one.frames, baseline[name].frames) for name, one in chosen.items() if baseline[name].error is None
        )
    annotated = {name: known.scenes[name] for name in chosen if name in known.scenes}
    row |= {"n_scenes": len(annotated) or None, "kfr": None, "shr": None, "ukss": None}
    if annotated:
        means = kfs_means({name: chosen[name].times for name in annotated}, annotated)
        row |= {"kfr": means.kfr, "shr": means.shr, "ukss": means.ukss}
    return row


def _redundancy(one: Selected, known: MeasureInputs) -> float | None:
    if known.embeddings is None or known.embeddings.error(one.video_id):
        return None
    places = {frame: place for place, frame in enumerate(known.videos[one.video_id].frames)}
    if not all(frame in places for frame in one.frames):  # an imported selection may have other frames
        return None
    return neighbour_similarity(known.embeddings.frames(one.video_id)[[places[frame] for frame in one.frames]])


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def overlaps(selections: Mapping[str, Mapping[str, Selected]]) -> np.ndarray:
    """Mean Jaccard index of each pair of selections, over the questions that both have.

    Parameters
    ----------
    selections : mapping
        Selections by name.

    Returns
    -------
    ndarray, shape (selections, selections)
        In the order of `selections`; NaN if two have no question in common.
    """
    return np.array([[_overlap(one, other) for other in selections.values()] for one in selections.values()])


def _overlap(one: Mapping[str, Selected], other: Mapping[str, Selected]) -> float:
    both: Sequence[str] = [name for name in one if one[name].error is None and other[name].error is None]
    return fmean(jaccard(one[name].frames, other[name].frames) for name in both) if both else float("nan")
