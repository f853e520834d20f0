"""Decoding in processes of their own: frames are decoded, resized, and handed over through shared memory.

A decoder that crashes or hangs costs one video, after a second try; one that is killed from outside costs none. A
worker that is ahead of the model waits, so memory is bounded whatever the length of a video and the speed of the model.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.shared_memory import SharedMemory
from typing import TYPE_CHECKING, Any

from framesift.core.errors import InputError, VideoError
from framesift.video.decoders import read_candidates
from framesift.video.pictures import Pictures
from framesift.video.table import Video
from framesift.video.workers import KILLS, killed_from_outside, killed_too_often

if TYPE_CHECKING:
    import numpy as np

#: Frames that a worker may be ahead of the model.
AHEAD = 16
#: Videos after which a worker is replaced, since decoders leak.
RECYCLED_AFTER = 200
#: How often a video is tried whose worker crashes or hangs.
TRIES = 2
SHARED_MEMORY = "/dev/shm"

# spawn: a forked child would inherit locks of threads that it does not have
_context = multiprocessing.get_context("spawn")


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
        Taken one by one, whenever a worker is free.
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
    task, pictures
        For each frame, in the order of the video's candidates: one uint8 array (height, width, 3) a wanted form, to be
        copied before the next item is taken. None after the last frame of a video. A VideoError where the video cannot
        be decoded: what came of it is to be forgotten (after a crash, it may come once more from the start). Frames of
        several videos come mixed.
    """
    pool = _Pool(forms, timeout, decoder, workers)
    try:
        yield from pool.run(iter(tasks))
    finally:
        pool.close()


class _Pool:
    def __init__(self, forms: Sequence[Pictures], timeout: float, decoder: str, workers: int) -> None:
        self.forms = tuple(forms)
        self.timeout, self.decoder, self.n_workers = timeout, decoder, max(1, workers)
        self.slots = _affordable_slots(sum(_size(form) for form in forms), self.n_workers)
        self.workers: list[_Worker] = []

    def run(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Any]]:
        again: deque[Task] = deque()
        tries: Counter[str] = Counter()
        kills: Counter[str] = Counter()
        while True:
            while len(self._busy()) < self.n_workers:
                task = again.popleft() if again else next(tasks, None)
                if task is None:
                    break
                self._idle_worker().start(task)
            busy = self._busy()
            if not busy:
                return
            for worker in self._ready(busy):
                task = worker.task
                assert task is not None
                failure = None
                try:
                    for pictures in worker.received():
                        yield task, pictures
                except EOFError:
                    status = worker.exit_status()
                    failure = f"the decoder crashed (exit status {status})"
                    if killed_from_outside(status):
                        kills[task.video.video_id] += 1
                        tries[task.video.video_id] -= 1
                        if kills[task.video.video_id] == KILLS:
                            raise killed_too_often(task.video.path) from None
                except VideoError as error:
                    yield task, error
                if failure is None and worker.late():
                    failure = f"no frame came for {self.timeout:g} seconds"
                if failure:
                    self._remove(worker)
                    tries[task.video.video_id] += 1
                    if tries[task.video.video_id] < TRIES:
                        again.append(task)
                    yield task, VideoError(failure)

    def close(self) -> None:
        while self.workers:
            self._remove(self.workers[-1])

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self.workers if worker.task]

    def _idle_worker(self) -> _Worker:
        for worker in self.workers:
            if worker.task is None:
                if worker.done < RECYCLED_AFTER:
                    return worker
                self._remove(worker)
                break
        self.workers.append(_Worker(self.forms, self.slots, self.timeout, self.decoder))
        return self.workers[-1]

    def _ready(self, busy: list[_Worker]) -> list[_Worker]:
        """Workers with news, or without any for too long."""
        patience = max(0.0, min(worker.deadline for worker in busy) - time.monotonic())
        news = wait([worker.connection for worker in busy], patience)
        return [worker for worker in busy if worker.connection in news or worker.late()]

    def _remove(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        worker.kill()


class _Worker:
    """A decoding process, seen from the model's side.

    The two share a ring of slots, one frame each. The worker sends a word when it has filled the next slot; the answer
    says that a slot is free again.
    """

    def __init__(self, forms: tuple[Pictures, ...], slots: int, timeout: float, decoder: str) -> None:
        self.forms, self.slots, self.timeout = forms, slots, timeout
        self.memory = SharedMemory(create=True, size=slots * sum(_size(form) for form in forms))
        self.connection, theirs = _context.Pipe()
        self.process = _context.Process(
            target=_work, args=(theirs, self.memory.name, forms, slots, decoder), daemon=True
        )
        self.process.start()
        theirs.close()
        self.task: Task | None = None
        self.done = 0
        self.deadline = 0.0
        self._slot = 0

    def start(self, task: Task) -> None:
        self.task = task
        self.deadline = time.monotonic() + self.timeout
        self.connection.send(task)

    def received(self) -> Iterator[list[np.ndarray] | None]:
        """What has arrived: pictures of frames, and None at the end of the video.

        Raises
        ------
        VideoError
            As the decoder says.
        RuntimeError
            For a mistake in the program, which is not to be taken for a broken video.
        EOFError
            When the process has ended.
        """
        assert self.task is not None
        while self.task and self.connection.poll():
            try:
                news = self.connection.recv()
            except ConnectionResetError:
                raise EOFError from None
            self.deadline = time.monotonic() + self.timeout
            if news == "frame":
                places = _places(self.memory, self.forms, self._slot)
                yield [places[form] for form in self.task.forms]
                self._slot = (self._slot + 1) % self.slots
                self.deadline = time.monotonic() + self.timeout  # the model's time is not the decoder's
                self._free()
            else:
                self.task, self.done = None, self.done + 1
                if news is None:
                    yield None
                else:
                    raise news

    def _free(self) -> None:
        with suppress(OSError):  # where it ended, what it still had to say is read first
            self.connection.send("free")

    def late(self) -> bool:
        return self.task is not None and time.monotonic() > self.deadline and not self.connection.poll()

    def exit_status(self) -> int | None:
        self.process.join(5)
        return self.process.exitcode

    def kill(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()
        with suppress(FileNotFoundError):
            self.memory.unlink()
        with suppress(BufferError):  # where the last frame is still in use, its memory goes with it
            self.memory.close()


def _work(connection: Connection, memory_name: str, forms: tuple[Pictures, ...], slots: int, decoder: str) -> None:
    """The worker's side."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    memory = SharedMemory(memory_name)
    memory.unlink()  # both sides have it now; without a name it goes with them, however they end
    slot, free = 0, slots
    try:
        while True:
            task = connection.recv()
            while task == "free":  # of the last frames of the video before
                free += 1
                task = connection.recv()
            try:
                for image in read_candidates(task.video, decoder):
                    prepared = {form: forms[form].prepare(image) for form in task.forms}
                    while free == 0 or connection.poll():
                        connection.recv()
                        free += 1
                    places = _places(memory, forms, slot)
                    for form, picture in prepared.items():
                        places[form][:] = picture
                    del places  # arrays on the memory keep it from being closed
                    slot, free = (slot + 1) % slots, free - 1
                    connection.send("frame")
            except VideoError as error:
                connection.send(error)
            except (EOFError, OSError):
                raise
            except Exception:
                connection.send(RuntimeError(f"in the process that decodes:\n{traceback.format_exc()}"))
            else:
                connection.send(None)
    except (EOFError, OSError, KeyboardInterrupt):
        pass  # the model's side has ended, or ends


def _end_with_parent() -> None:
    """A decoder that hangs does not see its connection close; it ends with the process that wants its frames."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _size(form: Pictures) -> int:
    height, width, channels = form.shape
    return height * width * channels


def _places(memory: SharedMemory, forms: Sequence[Pictures], slot: int) -> list[np.ndarray]:
    """Arrays on one slot, one a form."""
    import numpy as np

    places, start = [], slot * sum(_size(form) for form in forms)
    for form in forms:
        places.append(np.ndarray(form.shape, np.uint8, memory.buf, start))
        start += _size(form)
    return places


def _affordable_slots(frame: int, workers: int) -> int:
    """As many slots a worker as shared memory has room for: writing beyond it kills a process (containers have 64 MB).

    Raises
    ------
    InputError
        Where there is no room for one frame a worker.
    """
    if not os.path.isdir(SHARED_MEMORY):
        return AHEAD
    room = shutil.disk_usage(SHARED_MEMORY).free // 2
    slots = min(AHEAD, room // (frame * workers))
    if slots == 0:
        raise InputError(
            "has too little room",
            file=SHARED_MEMORY,
            value=f"{room * 2 / 1e6:.1f} MB free",
            expected=f"{2 * frame * workers / 1e6:.1f} MB for {workers} decoding processes",
            hint="give the container more shared memory (--shm-size), or use fewer threads",
        )
    return slots
