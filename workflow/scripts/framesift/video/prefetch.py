"""Decode ahead: while a model answers one question, processes decode the frames of the next ones."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from framesift.core.errors import VideoError
from framesift.video.faults import check_readable, repeated
from framesift.video.reader import read_frames
from framesift.video.workers import IsolatedCalls

if TYPE_CHECKING:
    import numpy as np

#: Questions whose frames wait for the model: 64 frames of 720p are 177 MB.
AHEAD = 2
#: How often a question's frames are tried if the decoder crashes or hangs.
TRIES = 2
#: Seconds that the frames of one question may take.
TIMEOUT = 600.0


@dataclass(frozen=True)
class FrameRequest:
    """The frames to show with one question, and how to decode them (see `framesift.video.table.Video`).

    Attributes
    ----------
    path, digest : str
        The video and its SHA-256.
    fps : float
    n_frames : int
        Of the video.
    frames, stamps : list of int
        Index and time stamp of the frame at each place, in the order shown; a frame may come twice.
    times : list of float
        Seconds of each place.
    keyframes : list of int
        Time stamps at which decoding can start.
    blank : bool
        Show grey images of the same size instead.
    video_id : str
        Name of the video in the labels, for the record of an answer.
    """

    path: str
    digest: str
    fps: float
    n_frames: int
    frames: list[int]
    times: list[float]
    stamps: list[int]
    keyframes: list[int]
    blank: bool = False
    video_id: str = ""


Item = TypeVar("Item")


def decoded_ahead(
    items: Iterable[tuple[Item, FrameRequest]], workers: int, timeout: float = TIMEOUT
) -> Generator[tuple[Item, list[np.ndarray] | VideoError, float]]:
    """Decode the frames of questions, some ahead of the one that is taken.

    Parameters
    ----------
    items : iterable of (item, FrameRequest)
        Taken when there is room ahead; `item` is anything.
    workers : int
        Processes.
    timeout : float
        Seconds that the frames of one question may take.

    Yields
    ------
    item
        In the order of `items`.
    pictures : list of ndarray of uint8, shape (height, width, 3); or VideoError
        One a place, or why they cannot be decoded.
    seconds : float
        How long the caller waited for them.
    """
    waiting: deque[tuple[Item, Future[list[np.ndarray] | VideoError]]] = deque()
    source = iter(items)
    with IsolatedCalls(decode, workers, timeout, TRIES, check=_check) as calls:
        while True:
            while len(waiting) < AHEAD + workers and (following := next(source, None)):
                item, wanted = following
                waiting.append((item, calls.submit(wanted)))
            if not waiting:
                return
            item, call = waiting.popleft()
            start = time.monotonic()
            pictures = call.result()
            yield item, pictures, time.monotonic() - start


def _check(wanted: FrameRequest) -> None:
    check_readable(wanted.path, wanted.digest)


def decode(wanted: FrameRequest) -> list[np.ndarray]:
    """Decode the frames of one question.

    Returns
    -------
    list of ndarray of uint8, shape (height, width, 3)
        One a place.

    Raises
    ------
    VideoError
        If a frame cannot be decoded.
    MachineError
        If the file cannot be read.
    """
    import numpy as np

    stamps = sorted(set(wanted.stamps))
    frames = repeated(
        lambda done: read_frames(wanted.path, stamps[done:], wanted.keyframes), wanted.path, wanted.digest
    )
    pictures = dict(frames)
    if wanted.blank:
        pictures = {stamp: np.full_like(picture, 128) for stamp, picture in pictures.items()}
    return [pictures[stamp] for stamp in wanted.stamps]
