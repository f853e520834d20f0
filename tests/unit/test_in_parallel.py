"""Requests in parallel: the first failure stops the rest, and finished work is kept."""

import signal
import threading

import pytest

from framesift.program.in_parallel import in_parallel


@pytest.mark.parametrize("threads", [1, 3])
def test_every_item_is_worked_on_once(threads):
    done = []
    in_parallel(done.append, range(50), threads)
    assert sorted(done) == [*range(50)]


def test_calls_run_at_a_time_as_many_as_there_are_threads():
    together = threading.Barrier(3, timeout=10)  # broken, and so a failure, unless three calls wait at a time
    in_parallel(lambda _: together.wait(), range(6), 3)


def test_one_thread_is_the_calling_one():
    seen = []
    in_parallel(lambda _: seen.append(threading.current_thread()), range(2), 1)
    assert set(seen) == {threading.current_thread()}


def test_items_are_taken_when_a_thread_is_free():
    """A generator that decodes frames must not run ahead of the model."""
    taken, done, lock = [], [], threading.Lock()

    def items():
        for number in range(20):
            taken.append(number)
            assert len(taken) - len(done) <= 3
            yield number

    def work(number):
        with lock:
            done.append(number)

    in_parallel(work, items(), 3)
    assert sorted(done) == taken == [*range(20)]


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_failure_stops_the_rest(threads):
    started = []

    def work(number):
        started.append(number)
        if number == 4:
            raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        in_parallel(work, range(1000), threads)
    assert len(started) < 1000


def test_calls_under_way_at_a_failure_are_finished_and_kept():
    all_started, failed, kept = threading.Barrier(4, timeout=10), threading.Event(), []

    def work(number):
        all_started.wait()
        if number == 0:
            failed.set()
            raise ValueError("first")
        assert failed.wait(10)
        threading.Event().wait(0.05)
        kept.append(number)

    with pytest.raises(ValueError, match="first"):
        in_parallel(work, range(100), 4)
    assert sorted(kept) == [1, 2, 3]


def test_of_several_failures_the_first_is_raised():
    first, both = threading.Event(), threading.Barrier(2, timeout=10)

    def work(number):
        both.wait()
        if number == 0:
            first.set()
            raise ValueError("first")
        assert first.wait(10)
        threading.Event().wait(0.05)
        raise KeyError("second")

    with pytest.raises(ValueError, match="first"):
        in_parallel(work, range(2), 2)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_failure_of_the_items_is_raised(threads):
    def items():
        yield 1
        raise OSError("disk")

    done = []
    with pytest.raises(OSError, match="disk"):
        in_parallel(done.append, items(), threads)
    assert done == [1]


@pytest.mark.parametrize("threads", [1, 3])
def test_ctrl_c_stops_after_the_calls_under_way(threads):
    done = []

    def work(number):
        if number == 5:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        threading.Event().wait(0.01)
        done.append(number)

    with pytest.raises(KeyboardInterrupt):
        in_parallel(work, range(1000), threads)
    assert len(done) < 100
