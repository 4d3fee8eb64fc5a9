"""What a dataset is apart from its place: type, shape, storage class, chunk shape, fill value, filters, layout.

Owns asking libhdf5 for these facts, and remembering them: datasets whose header messages are the same bytes are the
same in all of this, and the files of a series repeat their headers, so most are asked about once. Refuses array
types with a fill value of their own.
"""

# h5py's low-level modules are compiled and have no stubs
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from h5py import h5d, h5s, h5t

from lazyzarr.errors import UnsupportedFeature
from lazyzarr.formats.hdf5_attributes import text
from lazyzarr.formats.hdf5_filters import Filter, chain
from lazyzarr.formats.hdf5_headers import Header
from lazyzarr.formats.hdf5_types import CellType, cell_type
from lazyzarr.ir import fill
from lazyzarr.ir.layout import Json, Layout

_REMEMBERED = 4096
_known: dict[bytes, Facts] = {}


@dataclass(eq=False)
class Facts:
    """Facts of one kind of dataset; what may be refused is worked out when it is asked for."""

    plist: Any
    storage: int
    encoding: bytes
    """The encoded datatype; empty for virtual datasets, whose dataspace is not asked for either."""
    shape: tuple[int, ...] | None
    """None for a dataset without a dataspace."""
    unlimited: tuple[bool, ...]
    edges_without_filters: bool
    """Whether chunks that reach beyond the dataset are stored without filters."""

    @property
    def plain_edges(self) -> tuple[tuple[int, ...], int] | None:
        """Shape of the dataset and the mask of all filters, where edge chunks are stored without filters."""
        return (self.shape or (), (1 << len(self.filters)) - 1) if self.edges_without_filters else None

    @cached_property
    def cell(self) -> CellType:
        """The cell type.

        Raises
        ------
        UnsupportedFeature
            The type has no Zarr form.
        """
        return cell_type(self.encoding)

    @cached_property
    def memory(self) -> np.dtype[Any]:
        """The NumPy type h5py reads into."""
        return h5t.decode(self.encoding).dtype

    @cached_property
    def chunk(self) -> tuple[int, ...]:
        """Chunk shape of chunked storage."""
        return self.plist.get_chunk()

    @cached_property
    def filters(self) -> tuple[Filter, ...]:
        """The filter pipeline in the order of writing."""
        entries = map(self.plist.get_filter, range(self.plist.get_nfilters()))
        return tuple(Filter(number, values, text(name)) for number, _, values, name in entries)

    @cached_property
    def filled(self) -> bytes | None:
        """The user's fill value as native bytes; None where HDF5's default, zero, applies."""
        if self.cell.heap or self.plist.fill_value_defined() != h5d.FILL_VALUE_USER_DEFINED:
            return None
        if self.cell.inner_shape:
            raise UnsupportedFeature(
                "its array type has a fill value of its own; cells of several values have no single fill; rewrite the"
                " variable with one more axis instead",
                reason="source-unsupported",
            )
        value = np.empty((), self.memory)
        self.plist.get_fill_value(value)
        return value.astype(self.cell.memory).tobytes()

    @property
    def fill_value(self) -> Json:
        """The fill value in JSON form."""
        return _fill_json(self.encoding, self.filled)

    @cached_property
    def main(self) -> Layout:
        """The layout of chunks of chunked storage that no filter skipped."""
        return self.masked(0)

    def masked(self, mask: int) -> Layout:
        """The layout of chunks for which the filters in `mask` were skipped."""
        return _layout(self.encoding, self.filled, self.chunk + self.cell.inner_shape, self.filters, mask)

    def unfiltered(self, chunk: tuple[int, ...]) -> Layout:
        """The layout of storage that knows no filters."""
        return _layout(self.encoding, self.filled, chunk, (), 0)


def facts_of(obj: Any, head: Header | None) -> Facts:
    """The facts of an open dataset; `head` is its header, None where it could not be read directly."""
    key = head.key if head is not None else None
    facts = _known.get(key) if key is not None else None
    if facts is None:
        facts = _ask(obj, edges=head is not None and head.plain_edges)
        if key is not None:
            if len(_known) >= _REMEMBERED:
                _known.clear()
            _known[key] = facts
    return facts


def _ask(obj: Any, *, edges: bool) -> Facts:
    plist = obj.get_create_plist()
    storage = plist.get_layout()
    encoding = obj.get_type().encode()
    if storage == h5d.VIRTUAL:
        return Facts(plist, storage, encoding, (), (), edges)
    space = obj.get_space()
    if space.get_simple_extent_type() == h5s.NULL:
        return Facts(plist, storage, encoding, None, (), edges)
    shape = space.get_simple_extent_dims()
    limits = space.get_simple_extent_dims(True) if shape else ()
    return Facts(plist, storage, encoding, shape, tuple([limit == h5s.UNLIMITED for limit in limits]), edges)


@lru_cache(maxsize=4096)
def _layout(
    encoding: bytes, filled: bytes | None, chunk: tuple[int, ...], filters: tuple[Filter, ...], mask: int
) -> Layout:
    """Variables repeat few layouts; sharing them keeps what is imported small."""
    cell = cell_type(encoding)
    return Layout(cell.data_type, _fill_json(encoding, filled), chunk, chain(cell, filters, mask))


@lru_cache(maxsize=1024)
def _fill_json(encoding: bytes, filled: bytes | None) -> Json:
    cell = cell_type(encoding)
    if filled is None:
        return fill.zero(cell.data_type)
    return fill.to_json(np.frombuffer(filled, cell.memory)[0], cell.data_type)
