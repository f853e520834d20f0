"""The metrics of KFS-Bench (arXiv 2512.14017): do the frames show the annotated scenes, and all of them evenly?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from framesift.core.errors import InputError
from framesift.data.scenes import Scenes

#: Below this a question's UKSS is lifted before the geometric mean, which a zero would make zero.
FLOOR = 0.01
#: Exponents of scene length that BDS tries, from even shares to shares by length.
EXPONENTS = tuple(step / 10 for step in range(11))


@dataclass(frozen=True)
class KFS:
    """What the frames of one question are worth; every value lies between 0 and 1.

    Attributes
    ----------
    kfr : float
        Key frame rate: share of the frames that lie in any scene.
    shr : float
        Scene hit rate: share of the scenes that have a frame.
    bsr : float
        Balanced scene recall: share of the scenes that have their due number of frames.
    bds : float
        Balanced distribution similarity: how well the frames are spread over the scenes.
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
    """Over questions: arithmetic means of KFR and SHR, and the geometric mean of UKSS, floored at 0.01 each."""

    questions: int
    kfr: float
    shr: float
    ukss: float


def kfs(times: Sequence[float], scenes: Scenes) -> KFS:
    """The metrics of one question.

    Parameters
    ----------
    times : sequence of float
        Seconds of the frames; a frame given twice counts twice, order is nothing.
    scenes : sequence of scenes, each a sequence of (float, float)
        Segments in seconds, both ends inside. Scenes may overlap: a frame in two counts for both.

    Raises
    ------
    ValueError
        Where there are no frames, no scenes, or a time is NaN or infinite.
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
    """The best cosine between the scenes' numbers of frames and a power of their lengths."""
    shares = per_scene / per_scene.sum()
    return max(
        float(shares @ wanted / (np.linalg.norm(shares) * np.linalg.norm(wanted)))
        for wanted in (lengths**exponent for exponent in EXPONENTS)
    )


def kfs_means(times: Mapping[str, Sequence[float]], scenes: Mapping[str, Scenes]) -> KFSMeans:
    """The benchmark's three numbers.

    The evaluation that KFS-Bench publishes leaves out questions without frames and counts one given twice as two; both
    would let a method choose its questions, so here every annotated question must be there, and no other.

    Parameters
    ----------
    times : mapping
        Seconds of the frames by question id.
    scenes : mapping
        Scenes by question id, as `scenes_of` gives them.

    Raises
    ------
    InputError
        Where the two do not have the same question ids, or a question's frames cannot be measured.
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
