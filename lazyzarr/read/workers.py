"""Threads that read: one small pool for each number of threads, kept for the process.

Owns the pools and the order of failures. Refuses to let work go on after a failure or a cancellation.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}
_lock = threading.Lock()


def run_batches[Item](
    work: Callable[[Item], None], batches: Sequence[Item], threads: int, cancel: threading.Event
) -> None:
    """Run every batch; of several failures the one of the first batch is raised.

    Parameters
    ----------
    threads
        0 means one per processor.
    cancel
        Set when the waiting is interrupted, so that batches under way stop at their next request. After a failure no
        batch is begun, but those under way come to their end: which failure is raised does not depend on the time.
    """
    threads = threads or _processors()
    if threads == 1 or len(batches) < 2:
        for batch in batches:
            work(batch)
        return
    waiting = deque(enumerate(batches))
    failures: dict[int, Exception] = {}

    def some() -> None:
        while not failures:
            try:
                number, batch = waiting.popleft()
            except IndexError:
                return
            try:
                work(batch)
            except Exception as error:  # raised below: which one does not depend on who is first
                failures[number] = error

    # The caller is one of the threads: it would only wait, and waking one more costs as much as some small chunks.
    helpers = [_pool(threads).submit(some) for _ in range(min(threads, len(batches)) - 1)]
    try:
        some()
        _join(helpers)
    except BaseException:
        waiting.clear()
        cancel.set()
        _join(helpers)
        raise
    if failures:
        raise failures[min(failures)]


def _join(helpers: list[Future[None]]) -> None:
    """Wait for those that have begun; the others, which found no thread, have nothing left to do."""
    begun = [helper for helper in helpers if not helper.cancel()]
    wait(begun)
    for helper in begun:
        helper.result()


def _processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _pool(threads: int) -> ThreadPoolExecutor:
    key = (os.getpid(), threads)  # a forked child has none of its parent's threads
    with _lock:
        if key not in _pools:
            _pools[key] = ThreadPoolExecutor(threads, thread_name_prefix="lazyzarr-read")
        return _pools[key]
