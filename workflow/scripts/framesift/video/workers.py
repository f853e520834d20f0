"""Processes that decode.

A decoder that crashes or hangs costs one video; one that is killed from outside costs none.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from framesift.core.errors import InputError, MachineError, VideoError

Item = TypeVar("Item")
Result = TypeVar("Result")

#: How often work is started again whose process was killed from outside, before the job gives up.
KILLS = 5
#: Seconds that a process may take to start; on a busy file system, imports are slow.
STARTUP = 300.0
#: Items after which a process is replaced, since decoders leak.
RECYCLED_AFTER = 200

#: Comes after the last result of an item.
END = object()

# spawn: a forked child would inherit locks of threads that it does not have
_context = multiprocessing.get_context("spawn")
# processes are started and waited for by one thread at a time: of two that wait, one would not learn the exit status
_processes = threading.Lock()


class WorkerFailed(Exception):
    """A process crashed, was killed, or took too long.

    Attributes
    ----------
    killed : bool
        Whether it was killed from outside.
    """

    def __init__(self, problem: str, *, killed: bool = False) -> None:
        super().__init__(problem)
        self.killed = killed


class Attempts:
    """How often one item was tried.

    Parameters
    ----------
    item : object
        Named when the job gives up.
    tries : int
        How often an item is tried whose process crashes or hangs. A kill from outside is not a try.
    """

    def __init__(self, item: object, tries: int) -> None:
        self.item, self.tries = item, tries
        self.failures = self.kills = 0

    def again(self, failure: WorkerFailed) -> bool:
        """Whether to try again.

        Raises
        ------
        InputError
            When the process was killed from outside `KILLS` times.
        """
        if not failure.killed:
            self.failures += 1
            return self.failures < self.tries
        self.kills += 1
        if self.kills < KILLS:
            return True
        raise InputError(
            f"the process that decodes was killed {KILLS} times",
            value=self.item,
            hint="the machine may be out of memory: give the job more, or fewer threads; finished work is saved",
        )


def killed_from_outside(status: int | None) -> bool:
    """Whether a process that ended was killed by the kernel (out of memory), a scheduler or a person.

    That says nothing about its video, which is decoded again and never excluded. A decoder that crashes ends by
    another signal.

    Examples
    --------
    >>> killed_from_outside(-9), killed_from_outside(-11), killed_from_outside(1)
    (True, False, False)
    """
    return status in (-signal.SIGKILL, -signal.SIGTERM)


class Worker(Generic[Item]):
    """A process that works through items, one at a time, and sends what each gives.

    Parameters
    ----------
    work : callable
        Takes an item and yields its results; runs in the process. It, the items and the results can be pickled.
    timeout : float
        Seconds that the next result may take.
    ahead : int
        Results that the process may be ahead of whoever takes them.
    """

    def __init__(self, work: Callable[[Item], Iterator[Any]], timeout: float, ahead: int = 1) -> None:
        self.timeout = timeout
        self.item: Item | None = None
        self.done = 0
        self._deadline = time.monotonic() + STARTUP
        self.connection, theirs = _context.Pipe()
        self._process = _context.Process(target=_serve, args=(theirs, work, ahead), daemon=True)
        with _processes:
            self._process.start()
        theirs.close()

    def start(self, item: Item) -> None:
        self.item = item
        self._deadline = max(self._deadline, time.monotonic() + self.timeout)
        with suppress(OSError):  # if the process has ended, `received` says so
            self.connection.send((item,))

    def received(self) -> Iterator[Any]:
        """The results that have arrived; END after the last one of the item.

        Raises
        ------
        VideoError
            As raised by the work.
        WorkerFailed
            If the process has ended, or the next result is late.
        Exception
            Any other that the work raised: a mistake in the program is not a broken video.
        """
        while self.item is not None and self.connection.poll():
            try:
                kind, content = self.connection.recv()
            except (EOFError, OSError):
                raise self._ended() from None
            if kind == "ready":
                self._deadline = time.monotonic() + self.timeout
                continue
            if kind == "result":
                yield content
                self._deadline = time.monotonic() + self.timeout  # not counting the time of whoever took the result
                with suppress(OSError):  # if the process has ended, what it sent before is read first
                    self.connection.send(None)
                continue
            self.item, self.done = None, self.done + 1
            if kind == "error":
                raise content
            yield END
        if self.item is not None and self.patience() == 0 and not self.connection.poll():
            raise WorkerFailed(f"the decoder sent nothing for {self.timeout:g} seconds")

    def patience(self) -> float:
        """Seconds until the next result is late."""
        return max(0.0, self._deadline - time.monotonic())

    def call(self, item: Item) -> Any:
        """The one result of an item.

        Raises
        ------
        VideoError, WorkerFailed, Exception
            As `received`.
        """
        result = None
        self.start(item)
        while True:
            self.connection.poll(self.patience())
            for content in self.received():
                if content is END:
                    return result
                result = content

    def _ended(self) -> WorkerFailed:
        with _processes:
            self._process.join(5)
            status = self._process.exitcode
        return WorkerFailed(f"the decoder crashed (exit status {status})", killed=killed_from_outside(status))

    def stop(self) -> None:
        """End the process; `received` then says so."""
        with _processes:
            self._process.kill()

    def close(self) -> None:
        """End the process and forget it."""
        self.stop()
        with _processes:
            self._process.join()
        self.connection.close()


def _serve(connection: Connection, work: Callable[[Any], Iterator[Any]], ahead: int) -> None:
    """The process's side: gets ``(item,)``, and None for every result that was taken."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        connection.send(("ready", None))
        while True:
            while (message := connection.recv()) is None:  # of the last results of the item before
                ahead += 1
            for kind, content in _outcome(work, *message):
                connection.send((kind, content))
                if kind == "result":
                    ahead -= 1
                    while ahead == 0 or connection.poll():
                        connection.recv()
                        ahead += 1
    except (EOFError, OSError, KeyboardInterrupt):
        pass  # the other side has ended, or ends


def _outcome(work: Callable[[Any], Iterator[Any]], item: Any) -> Iterator[tuple[str, Any]]:
    try:
        for result in work(item):
            yield "result", result
    except VideoError as error:
        yield "error", error
    except Exception as error:
        error.add_note(f"in the process that decodes:\n{traceback.format_exc()}")
        try:
            type(error)(*error.args)  # how it is made again at the other end of the queue
        except Exception:
            yield "error", RuntimeError(*error.__notes__)
        else:
            yield "error", error
    else:
        yield "end", None


def _end_with_parent() -> None:
    """A decoder that hangs does not see its connection close; it ends with the process that wants its results."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


class _Once(Generic[Item, Result]):
    """A function as the work of a `Worker`."""

    def __init__(self, function: Callable[[Item], Result]) -> None:
        self.function = function

    def __call__(self, item: Item) -> Iterator[Result]:
        yield self.function(item)


def exclude(failure: WorkerFailed, item: Item, check: Callable[[Item], None] | None, timeout: float) -> VideoError:
    """The failure of a process as a fact about its video, once it is sure that the machine can read that.

    Parameters
    ----------
    failure : WorkerFailed
    item : object
        What the process worked on.
    check : callable or None
        Raises a MachineError if the item cannot be read. Runs in a process, since reading may hang.
    timeout : float
        Seconds that the check may take; at least ten minutes.
    """
    if check is not None:
        worker: Worker[Item] = Worker(_Once(check), max(timeout, 600.0))
        try:
            worker.call(item)
        except WorkerFailed as stuck:
            raise MachineError(
                f"a video cannot be read now ({stuck})",
                value=item,
                hint="does its disk answer? Run again when it does: finished work is kept",
            ) from None
        finally:
            worker.close()
    return VideoError(str(failure))


class IsolatedCalls(Generic[Item, Result]):
    """Calls of a function in processes, several at a time; a context manager.

    Parameters
    ----------
    function : callable
        Of a module, so that a process can import it; what it takes and returns can be pickled.
    workers : int
        Processes.
    timeout : float
        Seconds that a call may take.
    tries : int
        How often a call is tried that crashes or takes too long.
    check : callable, optional
        Raises a MachineError if an item cannot be read; asked before a crash or a delay is the item's fault.
    """

    def __init__(
        self,
        function: Callable[[Item], Result],
        workers: int,
        timeout: float,
        tries: int = 1,
        check: Callable[[Item], None] | None = None,
    ) -> None:
        self.function, self.timeout, self.tries, self.n_workers = function, timeout, tries, workers
        self.check = check
        self._calls: queue.SimpleQueue[tuple[Item, Future[Result | VideoError]] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._workers: set[Worker[Item]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> IsolatedCalls[Item, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed = True
            for worker in self._workers:
                worker.stop()
        for _thread in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            thread.join()

    def submit(self, item: Item) -> Future[Result | VideoError]:
        """Call the function when a process is free; a VideoError if the call crashes or takes too long."""
        if len(self._threads) < self.n_workers:
            self._threads.append(threading.Thread(target=self._serve, daemon=True))
            self._threads[-1].start()
        future: Future[Result | VideoError] = Future()
        self._calls.put((item, future))
        return future

    def _serve(self) -> None:
        """Make calls, one at a time, until there are no more; each thread has one process."""
        worker = None
        while call := self._calls.get():
            worker = self._call(worker, *call)
            del call  # its result may be large
        self._forget(worker)

    def _call(
        self, worker: Worker[Item] | None, item: Item, future: Future[Result | VideoError]
    ) -> Worker[Item] | None:
        """Make one call; the process that is left."""
        attempts = Attempts(item, self.tries)
        while True:
            try:
                worker = self._ready(worker)
                try:
                    future.set_result(worker.call(item))
                except WorkerFailed as failure:
                    self._forget(worker)
                    worker = None
                    if self._closed:
                        raise VideoError("the call was cancelled") from None
                    if attempts.again(failure):
                        continue
                    future.set_result(exclude(failure, item, self.check, self.timeout))
            except VideoError as error:
                future.set_result(error)
            except BaseException as error:
                future.set_exception(error)
            return worker

    def _ready(self, worker: Worker[Item] | None) -> Worker[Item]:
        if worker and worker.done < RECYCLED_AFTER:
            return worker
        self._forget(worker)
        with self._lock:
            if self._closed:
                raise VideoError("the call was cancelled")
            worker = Worker(_Once(self.function), self.timeout)
            self._workers.add(worker)
        return worker

    def _forget(self, worker: Worker[Item] | None) -> None:
        if worker:
            with self._lock:
                self._workers.discard(worker)
            worker.close()


def map_isolated(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    timeout: float,
    check: Callable[[Item], None] | None = None,
) -> Iterator[Result | VideoError]:
    """Call a function for each item, in processes.

    Parameters
    ----------
    function, workers, timeout, check
        As for `IsolatedCalls`.
    items : iterable

    Yields
    ------
    Result or VideoError
        In the order of the items; an error for an item whose process crashed or took too long. Other errors are raised.
    """
    with IsolatedCalls(function, workers, timeout, check=check) as calls:
        for call in [calls.submit(item) for item in items]:
            yield call.result()
