"""Frames of many videos, decoded and resized in processes, which hand them over through shared memory.

A process that is ahead of the model waits, so memory is bounded whatever the length of a video and the speed of the
model.
"""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.shared_memory import SharedMemory
from typing import TYPE_CHECKING

from framesift.core.errors import InputError, VideoError
from framesift.video import workers as processes
from framesift.video.decoders import read_candidates
from framesift.video.faults import check_readable
from framesift.video.pictures import Pictures
from framesift.video.table import Video
from framesift.video.workers import END, Attempts, Worker, WorkerFailed

if TYPE_CHECKING:
    import numpy as np

#: Frames that a process may be ahead of the model.
AHEAD = 16
#: How often a video is tried whose process crashes or hangs.
TRIES = 2
SHARED_MEMORY = "/dev/shm"


@dataclass(frozen=True)
class Task:
    """A video to decode, and the places in the list of all forms of which pictures are wanted."""

    video: Video
    forms: tuple[int, ...]


def decode_all(
    tasks: Iterable[Task], forms: Sequence[Pictures], workers: int, timeout: float, decoder: str
) -> Iterator[tuple[Task, list[np.ndarray] | VideoError | None]]:
    """Decode the candidate frames of videos, several videos at a time.

    Parameters
    ----------
    tasks : iterable of Task
        Taken one by one, whenever a process is free.
    forms : sequence of Pictures
        All the ways in which frames are resized.
    workers : int
        Processes.
    timeout : float
        Seconds that the next frame of a video may take.
    decoder : str
        Name of a decoder.

    Yields
    ------
    task : Task
    pictures : list of ndarray of uint8, shape (height, width, 3); or None, or VideoError
        For each frame, in the order of the video's candidates: one array a wanted form, to be copied before the next
        item is taken. None after the last frame of a video. A VideoError if the video cannot be decoded: discard its
        frames (after a crash, the video may come again from the start). Frames of several videos come mixed.
    """
    tasks, n_workers = iter(tasks), max(1, workers)
    slots = _affordable_slots(sum(_size(form) for form in forms), n_workers)
    again: deque[Task] = deque()
    attempts: dict[str, Attempts] = {}
    pool: list[_Decoder] = []
    try:
        while True:
            while len(busy := [one for one in pool if one.item]) < n_workers:
                task = again.popleft() if again else next(tasks, None)
                if task is None:
                    break
                idle = next((one for one in pool if not one.item), None)
                if idle and idle.done >= processes.RECYCLED_AFTER:
                    pool.remove(idle)
                    idle.close()
                    idle = None
                if idle is None:
                    idle = _Decoder(forms, slots, timeout, decoder)
                    pool.append(idle)
                idle.start(task)
            if not busy:
                return
            wait([one.connection for one in busy], min(one.patience() for one in busy))
            for worker in busy:
                task = worker.item
                assert task is not None
                try:
                    for slot in worker.received():
                        yield task, None if slot is END else worker.pictures(slot, task)
                except VideoError as error:
                    yield task, error
                except WorkerFailed as failure:
                    pool.remove(worker)
                    worker.close()
                    name = task.video.video_id
                    if attempts.setdefault(name, Attempts(task.video.path, TRIES)).again(failure):
                        again.append(task)
                        yield task, VideoError(str(failure))
                    else:
                        yield task, processes.exclude(failure, task, _check, timeout)
    finally:
        for worker in pool:
            worker.close()


def _check(task: Task) -> None:
    check_readable(task.video.path, task.video.digest)


class _Decoder(Worker[Task]):
    """A process that fills a ring of slots in shared memory, one frame each."""

    def __init__(self, forms: Sequence[Pictures], slots: int, timeout: float, decoder: str) -> None:
        self.forms = tuple(forms)
        self.memory = SharedMemory(create=True, size=slots * sum(_size(form) for form in forms))
        super().__init__(_FrameWriter(self.memory.name, self.forms, slots, decoder), timeout, ahead=slots)

    def pictures(self, slot: int, task: Task) -> list[np.ndarray]:
        places = _places(self.memory, self.forms, slot)
        return [places[form] for form in task.forms]

    def close(self) -> None:
        super().close()
        with suppress(FileNotFoundError):
            self.memory.unlink()
        with suppress(BufferError):  # if the last frame is still in use, its memory goes with it
            self.memory.close()


class _FrameWriter:
    """The work of such a process."""

    def __init__(self, memory: str, forms: tuple[Pictures, ...], slots: int, decoder: str) -> None:
        self.name, self.forms, self.slots, self.decoder = memory, forms, slots, decoder
        self.memory: SharedMemory | None = None
        self.slot = 0

    def __call__(self, task: Task) -> Iterator[int]:
        if self.memory is None:
            self.memory = SharedMemory(self.name)
            self.memory.unlink()  # both sides have it now; without a name it goes with them, however they end
        for image in read_candidates(task.video, self.decoder):
            prepared = {form: self.forms[form].prepare(image) for form in task.forms}
            places = _places(self.memory, self.forms, self.slot)
            for form, picture in prepared.items():
                places[form][:] = picture
            del places  # arrays on the memory keep it from being closed
            yield self.slot
            self.slot = (self.slot + 1) % self.slots


def _size(form: Pictures) -> int:
    height, width, channels = form.shape
    return height * width * channels


def _places(memory: SharedMemory, forms: Sequence[Pictures], slot: int) -> list[np.ndarray]:
    """Arrays in one slot, one of each form."""
    import numpy as np

    places, start = [], slot * sum(_size(form) for form in forms)
    for form in forms:
        places.append(np.ndarray(form.shape, np.uint8, memory.buf, start))
        start += _size(form)
    return places


def _affordable_slots(frame: int, workers: int) -> int:
    """Slots of a worker that fit into shared memory: writing beyond it kills a process (containers have 64 MB).

    Raises
    ------
    InputError
        If there is no room for one frame of each worker.
    """
    if not os.path.isdir(SHARED_MEMORY):
        return AHEAD
    room = shutil.disk_usage(SHARED_MEMORY).free // 2
    slots = min(AHEAD, room // (frame * workers))
    if slots == 0:
        raise InputError(
            "is too small",
            file=SHARED_MEMORY,
            value=f"{room * 2 / 1e6:.1f} MB free",
            expected=f"{2 * frame * workers / 1e6:.1f} MB for {workers} decoding processes",
            hint="give the container more shared memory (--shm-size), or use fewer threads",
        )
    return slots
