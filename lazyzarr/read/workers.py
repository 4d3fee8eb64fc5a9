"""Threads that read: one small pool for each number of threads, kept for the process.

Owns the pools and the order of failures. Refuses to let work go on after a failure or a cancellation.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

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
    pool = _pool(threads)
    failed = threading.Event()

    def guarded(batch: Item) -> None:
        if not failed.is_set():
            work(batch)

    futures = [pool.submit(guarded, batch) for batch in batches]
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
    except BaseException:
        failed.set()
        cancel.set()
        wait(futures)
        raise
    failed.set()
    wait(futures)
    for future in futures:
        future.result()


def _processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _pool(threads: int) -> ThreadPoolExecutor:
    key = (os.getpid(), threads)  # a forked child has none of its parent's threads
    with _lock:
        if key not in _pools:
            _pools[key] = ThreadPoolExecutor(threads, thread_name_prefix="lazyzarr-read")
        return _pools[key]
