"""Views as dask arrays: `to_dask`.

1. The view is one value of the graph; every block is one task that cuts the view and reads the part. A selection that
   stands behind a block is joined with it by dask, so that only what is selected is read.
2. Blocks follow the stored chunks (`lazyzarr.blocks`), unless they are given.
3. The name is the digest of the graph with the blocks, so it is the same in every process.
Refuses to read, and to put anything of the view into the task of a block.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lazyzarr.blocks import aligned_chunks
from lazyzarr.errors import ExtraMissing, ShapeError

if TYPE_CHECKING:
    from lazyzarr.view import View


def to_dask(view: View, chunks: Any = None) -> Any:
    """A dask array of a view; see `lazyzarr.View.to_dask`."""
    try:
        array = importlib.import_module("dask.array")
    except ModuleNotFoundError as error:
        raise ExtraMissing(
            f'to_dask: the package {error.name} is not installed; run pip install "lazyzarr[dask]"'
        ) from error
    lengths = _lengths(view, chunks, array)
    name = hashlib.sha256(repr((view.token(), lengths)).encode()).hexdigest()[:32]
    meta = np.empty((0,) * view.ndim, view.dtype)
    return array.from_array(Cells(view), lengths, name=f"lazyzarr-{name}", meta=meta)


class Cells:
    """A view that is read when it is cut, as dask expects of what it makes arrays of.

    Examples
    --------
    >>> import numpy as np, lazyzarr as lz
    >>> cells = Cells(lz.open(np.arange(6).reshape(2, 3)))
    >>> cells[1:, [2, 0]]
    array([[5, 3]])
    """

    __slots__ = ("_view", "dtype", "ndim", "shape")

    def __init__(self, view: View) -> None:
        self._view = view
        self.shape, self.ndim, self.dtype = view.shape, view.ndim, view.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        parts = key if isinstance(key, tuple) else (key,)
        if any(isinstance(part, list | np.ndarray) for part in parts):
            return self._view.oindex[parts].read()
        return self._view[parts].read()


def _lengths(view: View, chunks: Any, array: Any) -> tuple[tuple[int, ...], ...]:
    if chunks is None:
        return aligned_chunks(view)
    if isinstance(chunks, Mapping):
        chunks = tuple(_of_axes(view, chunks))
    auto = chunks == "auto" or (isinstance(chunks, tuple | list) and any(isinstance(one, str) for one in chunks))
    previous = aligned_chunks(view, sensible=1) if auto else None
    try:
        found = array.core.normalize_chunks(chunks, view.shape, dtype=view.dtype, previous_chunks=previous)
    # what dask raises for chunks that it cannot normalize: of other forms, and of length 0
    except (ValueError, TypeError, NotImplementedError, ZeroDivisionError) as error:
        raise ShapeError(
            f"to_dask with chunks={chunks!r}; the view has shape {view.shape}, and dask says: {error}; give a length or "
            "all lengths for each axis, a mapping from dimension names to them, or nothing"
        ) from error
    return tuple(tuple(map(int, one)) for one in found)


def _of_axes(view: View, chunks: Mapping[Any, Any]) -> list[Any]:
    """Chunks by number or name of axes, as one entry for each axis; those that are not named are aligned."""
    names = {name: axis for axis, name in enumerate(view.dims or ()) if name is not None}
    out: list[Any] = list(aligned_chunks(view))
    for key, value in chunks.items():
        axis = names.get(key, key)
        if not isinstance(axis, int) or not -view.ndim <= axis < view.ndim:
            raise ShapeError(
                f"to_dask with chunks of {key!r}; the view has the dimensions {view.dims} and rank {view.ndim}; name those"
            )
        out[axis] = value
    return out
