"""Batches of rows for training: `batches`.

1. The order of the rows is fixed when the batches are made: as they are, or shuffled by a seed.
2. A batch is one `take` (or one slice) of each view, which decodes every stored chunk that it touches once.
3. Batches ahead are read on threads, which end with the iterator, however it ends.
Owns the order and the threads. Refuses to know of any training library: batches are NumPy arrays.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from lazyzarr.algebra.selection import normalize_axis
from lazyzarr.errors import AxisError, SelectionError, ShapeError
from lazyzarr.opening import Opening
from lazyzarr.view import View

_THREADS = 4
"""That read ahead where answers take their time. Local files are read by one: a batch has threads of its own, and two
batches at once are in each other's way."""


def batches(
    views: Any,
    axis: int | str = 0,
    *,
    batch_size: int = 32,
    shuffle: int | None = None,
    drop_last: bool = False,
    prefetch: int = 2,
    start: int = 0,
) -> Batches:
    """Batches of rows of a view, or of several views with the same rows, as NumPy arrays.

    Parameters
    ----------
    views
        A view or NumPy array, or a tuple, list or mapping of them; a batch has the same form.
    axis
        Number or name of the dimension of the rows; it is cut in every view.
    batch_size
        Rows of a batch.
    shuffle
        Seed of a random order of all rows; the same for the same seed and number of rows everywhere and for ever. None:
        the rows as they are.
    drop_last
        Leave out a last batch that has fewer rows.
    prefetch
        Batches that are read ahead on threads. 0: each is read when it is asked for.
    start
        Batches that are skipped and not read, so that an interrupted pass can go on.

    Returns
    -------
    Batches
        An iterator; ``len`` of it is how many batches it gives in all. Closing it, or letting go of it, ends its threads.

    Raises
    ------
    ShapeError
        The views have other numbers of rows.
    SelectionError
        An option is not possible.

    Examples
    --------
    >>> import numpy as np, lazyzarr as lz
    >>> rows, labels = np.arange(10).reshape(5, 2), np.arange(5)
    >>> for batch in batches({"x": rows, "y": labels}, batch_size=3, shuffle=0):
    ...     print(batch["y"], batch["x"].shape)
    [3 2 1] (3, 2)
    [0 4] (2, 2)
    """
    return Batches(
        views, axis, batch_size=batch_size, shuffle=shuffle, drop_last=drop_last, prefetch=prefetch, start=start
    )


class Batches(Iterator[Any]):
    """The iterator that `batches` returns; also a context manager, which closes it."""

    def __init__(
        self,
        views: Any,
        axis: int | str,
        *,
        batch_size: int,
        shuffle: int | None,
        drop_last: bool,
        prefetch: int,
        start: int,
    ) -> None:
        _check({"batch_size": (batch_size, 1), "prefetch": (prefetch, 0), "start": (start, 0), "shuffle": (shuffle, 0)})
        named, form = _parts(views)
        cut = [(view, _axis(view, axis, name)) for name, view in named]
        rows = _rows(named, cut)
        count = rows // batch_size if drop_last else -(-rows // batch_size)
        self._length = max(count - start, 0)
        order = None if shuffle is None else shuffled(rows, shuffle)
        picks = _picks(rows, batch_size, order, range(start, start + self._length))
        # nothing below refers to this object, so that letting go of it ends the threads at once
        threads = min(prefetch, _THREADS) if any(_is_remote(view) for view, _ in cut) else 1
        self._batches = _read_ahead(partial(_read, cut, form), picks, prefetch, threads)

    def __len__(self) -> int:
        return self._length

    def __next__(self) -> Any:
        return next(self._batches)

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading ahead and end the threads; no further batch is given."""
        self._batches.close()


def _read(
    views: list[tuple[View, int]],
    form: Callable[[list[np.ndarray]], Any],
    pick: slice | np.ndarray,
    cancel: threading.Event,
) -> Any:
    """One batch."""
    found: list[np.ndarray] = []
    for view, axis in views:
        part = view[(*(slice(None),) * axis, pick)] if isinstance(pick, slice) else view.take(pick, axis=axis)
        found.append(part.reader.read(part.ir, cancel=cancel))
    return form(found)


def _is_remote(view: View) -> bool:
    """Whether the storage answers over a network, judged by the source of the first cell."""
    found = view[(slice(1),) * view.ndim].sources()
    return any(array.location and not view.reader.session.is_local(array.location) for array in found)


def shuffled(rows: int, seed: int) -> np.ndarray:
    """Row numbers in a random order that is the same with every version of NumPy.

    Generators of NumPy may change what they draw; the stream of a bit generator does not.

    Examples
    --------
    >>> shuffled(5, 0).tolist()
    [3, 2, 1, 0, 4]
    """
    drawn: Any = np.random.PCG64(seed).random_raw(rows)
    return np.argsort(drawn, kind="stable")


def _picks(rows: int, size: int, order: np.ndarray | None, numbers: range) -> Iterator[slice | np.ndarray]:
    for number in numbers:
        part = slice(number * size, min((number + 1) * size, rows))
        yield part if order is None else order[part]


def _read_ahead(
    read: Callable[[Any, threading.Event], Any], picks: Iterator[Any], ahead: int, threads: int
) -> Generator[Any]:
    """What is read for each pick, in their order, with some of them under way before they are asked for."""
    cancel = threading.Event()
    if not ahead:
        for pick in picks:
            yield read(pick, cancel)
        return
    waiting: deque[Future[Any]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="lazyzarr-batches")
    try:
        for pick in picks:
            waiting.append(pool.submit(read, pick, cancel))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        cancel.set()  # nobody waits for what is under way
        pool.shutdown(cancel_futures=True)


def _parts(views: Any) -> tuple[list[tuple[str, View]], Callable[[list[np.ndarray]], Any]]:
    """The views with names for messages, and how their parts become a batch."""
    if isinstance(views, Mapping):
        mapping: Mapping[Any, Any] = views
        keys = list(mapping)
        return [(repr(key), _view(mapping[key])) for key in keys], lambda found: dict(zip(keys, found, strict=True))
    if isinstance(views, tuple | list):
        many: list[Any] = list(views)
        kind: Any = type(views)
        return [(f"view {number}", _view(one)) for number, one in enumerate(many)], kind
    return [("the view", _view(views))], lambda found: found[0]


def _view(one: Any) -> View:
    if isinstance(one, View):
        return one
    if isinstance(one, np.ndarray):
        opened: Any = Opening().open(one)
        return opened
    raise SelectionError(
        f"batches of a {type(one).__name__}; batches are made of views and arrays, alone, in a tuple or by name; open it "
        "first"
    )


def _axis(view: View, axis: int | str, name: str) -> int:
    if not isinstance(axis, str):
        return normalize_axis(axis, view.ndim)
    if axis not in (view.dims or ()):
        raise AxisError(f"batches along {axis!r}; {name} has the dimensions {view.dims}; give one of them, or a number")
    assert view.dims is not None
    return view.dims.index(axis)


def _rows(named: list[tuple[str, View]], cut: list[tuple[View, int]]) -> int:
    if not named:
        raise SelectionError("batches of nothing; give at least one view")
    counts = [view.shape[axis] for view, axis in cut]
    if len(set(counts)) > 1:
        told = ", ".join(f"{name} has {count}" for (name, _), count in zip(named, counts, strict=True))
        raise ShapeError(f"batches of views with other numbers of rows: {told}; cut them to the same rows first")
    return counts[0]


def _check(options: Mapping[str, tuple[Any, int]]) -> None:
    wrong = [
        f"{name}={value!r} (a whole number of at least {least})"
        for name, (value, least) in options.items()
        if not (value is None and name == "shuffle")
        and (isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least)
    ]
    if wrong:
        raise SelectionError(f"batches with {', '.join(wrong)}; that is not possible; give such numbers")
