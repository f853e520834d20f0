"""Several requests at a time, up to the first failure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event, Lock
from typing import TypeVar

Item = TypeVar("Item")


def in_parallel(work: Callable[[Item], object], items: Iterable[Item], threads: int) -> None:
    """Call a function on every item, in several threads, until one call fails.

    After a failure or Ctrl-C no further item is started. Calls under way are finished, so whatever they store is kept.

    Parameters
    ----------
    work : callable
        Called with one item. Its result is dropped; it stores what it makes.
    items : iterable
        Taken one at a time and only when a thread is free, so a generator may prepare them meanwhile.
    threads : int
        Calls that run at a time. With 1 they run in the calling thread.

    Raises
    ------
    BaseException
        Whatever the first failed call raised, or `items`.

    Examples
    --------
    >>> squares = {}
    >>> in_parallel(lambda n: squares.update({n: n * n}), range(4), threads=2)
    >>> sorted(squares.items())
    [(0, 0), (1, 1), (2, 4), (3, 9)]
    """
    if threads == 1:
        for item in items:
            work(item)
        return
    source, taking, stopped = iter(items), Lock(), Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            while True:
                with taking:
                    if stopped.is_set():
                        return
                    try:
                        item = next(source)
                    except StopIteration:
                        return
                work(item)
        except BaseException as error:
            failures.append(error)
            stopped.set()

    with ThreadPoolExecutor(threads) as pool:
        try:
            wait([pool.submit(run) for _ in range(threads)])
        except BaseException:  # Ctrl-C, which reaches the main thread alone
            stopped.set()
            raise
    if failures:
        raise failures[0]
