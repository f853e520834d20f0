"""The metrics of KFS-Bench (arXiv 2512.14017): do the frames cover the annotated scenes, and cover them evenly?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from framesift.core.errors import InputError
from framesift.data.scenes import Scenes

#: Lowest UKSS of a question in the geometric mean, which a single zero would make zero.
FLOOR = 0.01
#: Exponents of scene length that BDS tries, from even shares to shares by length.
EXPONENTS = tuple(step / 10 for step in range(11))


@dataclass(frozen=True)
class KFS:
    """The metrics of one question, each between 0 and 1.

    Attributes
    ----------
    kfr : float
        Key frame rate: share of the frames inside any scene.
    shr : float
        Scene hit rate: share of the scenes with a frame.
    bsr : float
        Balanced scene recall: share of the scenes with their due number of frames.
    bds : float
        Balanced distribution similarity: how evenly the frames are spread over the scenes.
    """

    kfr: float
    shr: float
    bsr: float
    bds: float

    @property
    def ukss(self) -> float:
        """The geometric mean of KFR, BSR and BDS."""
        return (self.kfr * self.bsr * self.bds) ** (1 / 3)


@dataclass(frozen=True)
class KFSMeans:
    """Arithmetic means of KFR and SHR over questions, and the geometric mean of UKSS with a floor of `FLOOR` each."""

    questions: int
    kfr: float
    shr: float
    ukss: float


def kfs(times: Sequence[float], scenes: Scenes) -> KFS:
    """The metrics of one question.

    Parameters
    ----------
    times : sequence of float
        Timestamps of the frames in seconds, in any order; a frame given twice counts twice.
    scenes : sequence of scenes, each a sequence of (float, float)
        Segments in seconds, both ends included. Scenes may overlap: a frame in two scenes counts for both.

    Raises
    ------
    ValueError
        If there are no frames or no scenes, or a time is NaN or infinite.

    Examples
    --------
    >>> one = kfs([1.0, 2.0, 50.0], scenes=[[(0.0, 3.0)], [(20.0, 30.0)]])
    >>> f"{one.kfr:.2f} {one.shr:.2f} {one.bsr:.2f} {one.bds:.2f} {one.ukss:.2f}"
    '0.67 0.50 0.50 0.71 0.62'
    """
    if not len(times) or not all(math.isfinite(time) for time in times):
        raise ValueError("needs at least one frame, and finite times")
    if not scenes or not all(scenes):
        raise ValueError("needs at least one scene, and a segment in each")
    inside = np.array(
        [[any(start <= time <= end for start, end in scene) for time in times] for scene in scenes], dtype=bool
    )
    per_scene = inside.sum(axis=1)
    hits = int(inside.any(axis=0).sum())
    lengths = np.array([sum(end - start for start, end in scene) for scene in scenes])
    due = np.maximum(1, np.floor(np.minimum(hits * lengths / lengths.sum(), hits / len(scenes))))
    return KFS(
        kfr=hits / len(times),
        shr=float(np.mean(per_scene > 0)),
        bsr=float(np.mean(per_scene >= due)),
        bds=_distribution_similarity(per_scene, lengths) if hits else 0.0,
    )


def _distribution_similarity(per_scene: np.ndarray, lengths: np.ndarray) -> float:
    """The highest cosine between the numbers of frames and a power of the lengths, over `EXPONENTS`."""
    shares = per_scene / per_scene.sum()
    return max(
        float(shares @ wanted / (np.linalg.norm(shares) * np.linalg.norm(wanted)))
        for wanted in (lengths**exponent for exponent in EXPONENTS)
    )


def kfs_means(times: Mapping[str, Sequence[float]], scenes: Mapping[str, Scenes]) -> KFSMeans:
    """The three numbers of the benchmark.

    The evaluation that KFS-Bench publishes leaves out questions without frames and counts a repeated question twice,
    so a method could choose its questions. Here `times` must hold exactly the annotated questions.

    Parameters
    ----------
    times : mapping
        Timestamps of the frames in seconds, by question id.
    scenes : mapping
        Scenes by question id, from `framesift.data.evidence.read_scenes`.

    Raises
    ------
    InputError
        If the question ids of the two differ, or the frames of a question cannot be measured.
    """
    if missing := sorted(scenes.keys() - times.keys()):
        raise InputError(f"{len(missing)} annotated questions have no frames", field="question_id", value=missing[0])
    if unknown := sorted(times.keys() - scenes.keys()):
        raise InputError(f"{len(unknown)} questions are not annotated", field="question_id", value=unknown[0])
    if not scenes:
        raise InputError("there are no annotated questions")
    values = []
    for question_id, moments in times.items():
        try:
            values.append(kfs(moments, scenes[question_id]))
        except ValueError as error:
            raise InputError(str(error), field=f"question {question_id}") from None
    return KFSMeans(
        questions=len(values),
        kfr=float(np.mean([value.kfr for value in values])),
        shr=float(np.mean([value.shr for value in values])),
        ukss=float(np.exp(np.mean([math.log(max(value.ukss, FLOOR)) for value in values]))),
    )
