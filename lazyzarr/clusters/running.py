"""Running many tasks with few of them under way: on threads, or on a cluster of dask.

Owns the choice of the executor and the bound on what is under way. The first failure stops the rest and is raised with
class, reason and text, also from a worker. Refuses to know what the tasks do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from lazyzarr.errors import SaveUnsupported

MOST_THREADS = 8


@dataclass(slots=True)
class Crew:
    """Those who do the work."""

    executor: Executor
    width: int
    """Tasks that they do at a time."""
    handed: int
    """Tasks that they have at a time; more than they do, where it takes time to hand one over."""
    share: Callable[[Any], Any]
    """Hands a value to all of them, as an argument of tasks."""


@contextmanager
def crew(scheduler: Any = None) -> Generator[Crew]:
    """Threads, or the workers of a ``distributed.Client``.

    Raises
    ------
    SaveUnsupported
        The scheduler is something else.
    """
    if scheduler is None:
        width = min(max(os.cpu_count() or 1, 2), MOST_THREADS)
        executor: Any = ThreadPoolExecutor(width, thread_name_prefix="lazyzarr-copy")
        share: Callable[[Any], Any] = _itself
    else:
        width = _workers(scheduler)
        executor = scheduler.get_executor(pure=False)
        # a task and not scattered data: sent once, passed on between workers, and made again where a worker dies
        share = partial(scheduler.submit, _itself, pure=False)
    try:
        yield Crew(executor, width, width if scheduler is None else 2 * width, share)
    finally:  # `run` has cancelled what it no longer waits for
        executor.shutdown(wait=scheduler is None)


def _itself(value: Any) -> Any:
    return value


def _workers(scheduler: Any) -> int:
    """Threads of all workers."""
    if type(scheduler).__module__.partition(".")[0] != "distributed" or not hasattr(scheduler, "get_executor"):
        raise SaveUnsupported(
            f"copy with scheduler={scheduler!r}, a {type(scheduler).__name__}; work is done on threads (None) or by the "
            "workers of a distributed.Client; give one of them"
        )
    if scheduler.asynchronous:
        raise SaveUnsupported(
            "copy with an asynchronous distributed.Client; a copy waits for it; give a synchronous one"
        )
    return max(sum(scheduler.nthreads().values()), 1)


def run[T](found: Crew, function: Callable[..., Any], tasks: Iterable[tuple[T, tuple[Any, ...]]], done: Any) -> None:
    """Run a function on the arguments of tasks, a few at a time, and say which task is done, with its result.

    Parameters
    ----------
    tasks
        A name, and the arguments; taken as they are needed.
    done
        Called with name and result, in this thread.
    """
    waiting: dict[Future[Any], T] = {}
    rest = iter(tasks)
    try:
        while True:
            for name, arguments in rest:
                waiting[found.executor.submit(function, *arguments)] = name
                if len(waiting) >= found.handed:
                    break
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                name = waiting.pop(future)
                done(name, future.result())
    finally:
        for future in waiting:
            future.cancel()
