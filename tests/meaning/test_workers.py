"""Batches of a read are dealt to the caller and to a few threads; which failure is raised does not depend on the time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import wait

import pytest

from lazyzarr.read import workers

THREADS = 3


@pytest.mark.parametrize("threads", [1, 2, THREADS])
def test_every_batch_is_worked_once(threads: int) -> None:
    done: list[int] = []
    workers.run_batches(done.append, range(50), threads, threading.Event())
    assert sorted(done) == list(range(50))


def test_the_caller_is_one_of_the_threads() -> None:
    """A batch that waits for another one needs both threads, one of which is the caller's."""
    together, names = threading.Barrier(2), set[int]()

    def work(_: int) -> None:
        together.wait(10)
        names.add(threading.get_ident())

    workers.run_batches(work, range(2), 2, threading.Event())
    assert len(names) == 2
    assert threading.get_ident() in names


@pytest.mark.parametrize("late", [0.0, 0.02])
def test_the_first_failing_batch_is_the_one_that_is_raised(late: float) -> None:
    """The second batch fails at once and the first one later: the error is that of the first one all the same."""
    begun = threading.Event()

    def work(batch: int) -> None:
        if batch == 0:
            assert begun.wait(10)
            time.sleep(late)
        else:
            begun.set()
        raise ValueError(batch)

    cancel = threading.Event()
    with pytest.raises(ValueError, match="0"):
        workers.run_batches(work, range(9), 2, cancel)
    assert not cancel.is_set()


def test_after_a_failure_no_batch_is_begun() -> None:
    worked: list[int] = []

    def work(batch: int) -> None:
        worked.append(batch)
        raise ValueError(batch)

    with pytest.raises(ValueError, match="0"):
        workers.run_batches(work, range(100), THREADS, threading.Event())
    assert len(worked) <= THREADS


def test_an_interrupt_cancels_what_is_under_way() -> None:
    cancel, begun, caller = threading.Event(), threading.Event(), threading.get_ident()

    def work(_: int) -> None:
        if threading.get_ident() == caller:
            assert begun.wait(10)
            raise KeyboardInterrupt
        begun.set()
        assert cancel.wait(10)

    with pytest.raises(KeyboardInterrupt):
        workers.run_batches(work, range(20), 2, cancel)
    assert cancel.is_set()


def test_threads_that_are_busy_elsewhere_are_not_waited_for() -> None:
    pool, release = workers._pool(2), threading.Event()
    busy = [pool.submit(release.wait, 10) for _ in range(2)]
    done: list[int] = []
    workers.run_batches(done.append, range(5), 2, threading.Event())
    assert sorted(done) == list(range(5))
    assert not any(one.done() for one in busy)
    release.set()
    wait(busy)
