"""Work on videos in processes of their own: a decoder that crashes or hangs costs one video, nothing else."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from framesift.core.errors import InputError, VideoError

Item = TypeVar("Item")
Result = TypeVar("Result")

#: How often work is begun whose process was killed from outside, before the job gives up.
KILLS = 5


def killed_from_outside(status: int | None) -> bool:
    """Whether a process that ended was killed by the kernel (short of memory), a scheduler or a person.

    That says nothing about its video: it is done again, and never left out. A decoder that crashes ends by another
    signal.
    """
    return status in (-signal.SIGKILL, -signal.SIGTERM)


def killed_too_often(item: object) -> InputError:
    """What ends a job whose work is killed again and again."""
    return InputError(
        f"the process that decodes was killed {KILLS} times",
        value=item,
        hint="is there too little memory? Give the job more, or fewer threads; what is finished is kept",
    )


class Call(Generic[Item, Result]):
    """A call in a process of a pool, under way.

    Parameters
    ----------
    pool : pebble.ProcessPool
    function : callable
        Of a module, so that a process can import it; what it takes and gives can be pickled.
    item : object
        What it is called with.
    timeout : float
        Seconds that it may take.
    """

    def __init__(self, pool: Any, function: Callable[[Item], Result], item: Item, timeout: float) -> None:
        self.pool, self.function, self.item, self.timeout = pool, function, item, timeout
        self._start()

    def _start(self) -> None:
        self._future = self.pool.schedule(self.function, args=(self.item,), timeout=self.timeout)

    def result(self, tries: int) -> Result | VideoError:
        """What it gives; a VideoError where it crashes or takes too long. Other errors are raised.

        Parameters
        ----------
        tries : int
            How often it is tried at most. A call whose process was killed from outside was not tried.

        Raises
        ------
        InputError
            When it was killed again and again.
        """
        from pebble import ProcessExpired

        failures, kills = 0, 0
        while True:
            try:
                return self._future.result()
            except VideoError as error:
                return error
            except TimeoutError:
                failures, failure = failures + 1, f"decoding took more than {self.timeout:g} seconds"
            except ProcessExpired as error:
                if killed_from_outside(error.exitcode):
                    kills += 1
                else:
                    failures, failure = failures + 1, f"the decoder crashed (exit status {error.exitcode})"
            if failures == tries:
                return VideoError(failure)
            if kills == KILLS:
                raise killed_too_often(self.item)
            self._start()


def map_isolated(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, timeout: float
) -> Iterator[Result | VideoError]:
    """Call a function for each item, side by side.

    Parameters
    ----------
    function : callable
        As for `Call`.
    items : iterable
    workers : int
        Processes.
    timeout : float
        Seconds that one item may take.

    Yields
    ------
    Result or VideoError
        In the order of the items; an error for an item whose process crashed or took too long. Other errors are raised.
    """
    from pebble import ProcessPool

    # spawn: a forked child would inherit locks of threads that it does not have
    with ProcessPool(max_workers=workers, context=multiprocessing.get_context("spawn")) as pool:
        try:
            calls = [Call(pool, function, item, timeout) for item in items]
            for call in calls:
                yield call.result(tries=1)
        except BaseException:
            pool.stop()
            raise
