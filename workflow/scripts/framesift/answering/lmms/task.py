"""The selected frames of a question as one video, which a task of lmms-eval passes to a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Column of a task's documents that holds the question id.
ID_COLUMN = "framesift_id"


class Frames(list):
    """The selected frames of one question: a list of PIL images in time order, empty until they are decoded.

    It is a list because processors accept a list as a video; lmms-eval passes it on unchanged.

    Attributes
    ----------
    question_id : str
    frames : list of int
        Index of each image in its video.
    times : list of float
        Seconds of each image after the first frame of the video.
    fps : float
        Frames per second of the video.
    n_frames : int
        Frames of the video.
    """

    def __init__(self, question_id: str) -> None:
        super().__init__()
        self.question_id = question_id
        self.frames: list[int] = []
        self.times: list[float] = []
        self.fps = 0.0
        self.n_frames = 0

    def __bool__(self) -> bool:
        return True  # lmms-eval would look elsewhere for a video that is false, such as an empty list


def frames_visual(doc: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The `doc_to_visual` of chat models. The frames are decoded later, and only if no answer is known yet."""
    return [{"type": "video", "url": Frames(doc[ID_COLUMN])}]


def frames_only(doc: Mapping[str, Any]) -> list[Frames]:
    """The `doc_to_visual` of simple models."""
    return [Frames(doc[ID_COLUMN])]
