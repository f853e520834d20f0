"""Work on videos in processes of their own: a decoder that crashes or hangs costs one video, nothing else."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from framesift.errors import VideoError

Item = TypeVar("Item")
Result = TypeVar("Result")


def each_alone(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, timeout: float
) -> Iterator[Result | VideoError]:
    """Call a function for each item, side by side.

    Parameters
    ----------
    function : callable
        Of a module, so that a process can import it; what it takes and gives can be pickled.
    items : iterable
    workers : int
        Processes.
    timeout : float
        Seconds that one item may take.

    Yields
    ------
    Result or VideoError
        In the order of the items; an error for an item whose process died or took too long. Other errors are raised.
    """
    from pebble import ProcessExpired, ProcessPool

    # spawn: a forked child would inherit locks of threads that it does not have
    with ProcessPool(max_workers=workers, context=multiprocessing.get_context("spawn")) as pool:
        results = pool.map(function, items, timeout=timeout).result()
        while True:
            try:
                yield next(results)
            except StopIteration:
                return
            except TimeoutError:
                yield VideoError(f"decoding took more than {timeout:g} seconds")
            except ProcessExpired as error:
                yield VideoError(f"the decoder crashed (exit status {error.exitcode})")
