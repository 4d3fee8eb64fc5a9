"""A view as the metadata and the chunks of a plain Zarr v3 array: `ServedArray`.

1. Where the view is flat, it is the array of its own stored chunks, whose bytes are passed on untouched.
2. Where some of its chunks are whole and have one chain, it is the plain array nearest to it: bytes of those chunks are
   passed on, and each other one is read when it is asked for and encoded with the chain of the rest.
3. Otherwise it is an array of decoded cells.
Which of the three is for `lazyzarr.passing` to say. Owns the answers. Refuses to know who asks, and to answer with fill for anything but a chunk that a source says is absent.
"""

from __future__ import annotations

from collections.abc import Buffer, Sequence
from math import prod
from operator import mul
from typing import Any

import numpy as np

from lazyzarr.codecs.chain import compile_chain
from lazyzarr.document.plain_array import chunk_shape_of, plain_chain
from lazyzarr.ir import fill
from lazyzarr.ir.array_metadata import array_metadata
from lazyzarr.ir.layout import Layout
from lazyzarr.lower.aligned import MISSING
from lazyzarr.passing import StoredChunks, cut, passable
from lazyzarr.view import View


class ServedArray:
    """A view as a plain Zarr v3 array.

    Parameters
    ----------
    view
        What is served.
    rectilinear
        Whether chunks along an axis may have different lengths; most readers know none but regular grids.

    Attributes
    ----------
    metadata
        Content of ``zarr.json``.
    passed_on
        Whether stored bytes of all chunks are passed on as they are.

    Examples
    --------
    >>> import numpy as np
    >>> import lazyzarr as lz
    >>> array = ServedArray(lz.open(np.arange(4)).unpack(scale_factor=0.5))
    >>> array.passed_on, array.grid, np.frombuffer(array.chunk((0,)), "<f8").tolist()
    (False, (1,), [0.0, 0.5, 1.0, 1.5])
    """

    def __init__(self, view: View, *, rectilinear: bool = False) -> None:
        self._view = view
        self._flat, self._made = passable(view, rectilinear)
        self.passed_on = self._flat is not None and not len(self._made)
        if self._flat is not None:
            self.metadata: dict[str, Any] = self._flat.zarr_metadata()
            self.grid = self._flat.grid_shape
            self._strides = [prod(self.grid[axis + 1 :]) for axis in range(len(self.grid))]
            self._stored = StoredChunks(self._flat, view.reader.session)
            return
        shape = view.chunks or chunk_shape_of(view.shape, view.dtype)
        shape = tuple(max(min(c, n), 1) for c, n in zip(shape, view.shape, strict=True))
        self._layout = Layout(view.data_type, view.schema.fill_value, shape, plain_chain(view.dtype))
        self.metadata = array_metadata(view.shape, self._layout, view.dims, view.attrs)
        self.grid = tuple(-(-n // c) for n, c in zip(view.shape, shape, strict=True))

    def passes(self, place: Sequence[int]) -> bool:
        """Whether the bytes of a chunk of the grid are those of a stored chunk, or it is absent as a stored one is."""
        return self._flat is not None and not self._is_made(self._row(place))

    def chunk(self, place: Sequence[int], start: int = 0, length: int | None = None) -> Buffer | None:
        """Bytes of a stored chunk, or of a part of it; None where it is absent, which is to say all fill.

        Parameters
        ----------
        place
            Coordinates in the grid.
        start, length
            First byte and number of bytes; a negative start counts from the end, as in Python [bytes].

        Raises
        ------
        LazyZarrError
            As reading the view; never an error that a Zarr store takes for an absent chunk.
        """
        if self._flat is None:
            shape = self._layout.chunk_shape
            return cut(
                self._encoded(self._layout, [slice(k * c, k * c + c) for k, c in zip(place, shape, strict=True)]),
                start,
                length,
            )
        row = self._row(place)
        if self.passed_on or not self._is_made(row):
            return self._stored.read(row, start, length)
        box = [slice(span.start, span.start + span.count) for span in self._flat.chunk_box(row)]
        return cut(self._encoded(self._flat.layout(row), box), start, length)

    def is_there(self, place: Sequence[int]) -> bool:
        """Whether a chunk of the grid is stored, as far as the metadata says."""
        if self._flat is None:
            return True
        row = self._row(place)
        return self._is_made(row) or int(self._flat.state[row]) != MISSING

    def _row(self, place: Sequence[int]) -> int:
        return sum(map(mul, place, self._strides))

    def _is_made(self, row: int) -> bool:
        """Whether a chunk is read through the view and encoded."""
        if self.passed_on:
            return False
        at = int(np.searchsorted(self._made, row))
        return at < len(self._made) and int(self._made[at]) == row

    def _encoded(self, layout: Layout, box: Sequence[slice]) -> bytes:
        """The cells of a box as a chunk, which may reach beyond the array."""
        cells = self._view[tuple(box)].read()
        if cells.shape != layout.chunk_shape:
            padded = fill.full(layout.chunk_shape, layout.fill_value, layout.data_type)
            padded[tuple(slice(n) for n in cells.shape)] = cells
            cells = padded
        return compile_chain(layout).encode_exactly(cells)
