"""What stored arrays read as, by location: the ``values`` of `lazyzarr.interpret`.

The cells come from zarr-python. Where a graph reads the same bytes with another layout, the cells follow from
those: swapped bytes, other fill values in missing chunks, value-wise decodes.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lazyzarr.codecs.values import decode_values
from lazyzarr.ir import fill
from lazyzarr.ir.layout import Layout, NamedConfig, StoredArray
from tests.strategies.stored import Stored, identity

VALUE_WISE = ("cast_value", "lazyzarr.unpack", "scale_offset")


class Truth:
    """Cells of every stored array of a graph."""

    def __init__(self) -> None:
        self.of: dict[tuple[object, ...], Stored] = {}
        self.calls: list[StoredArray] = []

    def add(self, array: StoredArray, stored: Stored) -> None:
        """Say what an array, as a graph names it, reads as."""
        self.of[identity(array)] = stored

    def __call__(self, array: StoredArray, layout: Layout) -> np.ndarray:
        self.calls.append(array)
        return cells(self.of[identity(array)], layout)


def cells(stored: Stored, layout: Layout) -> np.ndarray:
    """Cells of an array of the pool when its bytes are read with a layout."""
    if layout == stored.layout:
        return stored.cells
    leading, chain = split(layout.codecs)
    own = split(stored.layout.codecs)[1]
    inner = stored.cells
    if chain != own:
        assert chain == swapped(own), "the strategies change nothing but values, fill and byte order"
        inner = inner.byteswap()
    found = decode_values(inner, leading, layout.data_type) if leading else inner.copy()
    if stored.present is not None:
        found = np.where(stored.present, found, fill.full((), layout.fill_value, layout.data_type))
    return found.astype(fill.full((), layout.fill_value, layout.data_type).dtype, copy=False)


def split(codecs: Iterable[NamedConfig]) -> tuple[tuple[NamedConfig, ...], tuple[NamedConfig, ...]]:
    """(value-wise codecs, the rest) of a chain."""
    chain = tuple(codecs)
    count = next((k for k, codec in enumerate(chain) if codec.name not in VALUE_WISE), len(chain))
    return chain[:count], chain[count:]


def swapped(codecs: tuple[NamedConfig, ...]) -> tuple[NamedConfig, ...] | None:
    """The chain with the other byte order; None where it has none to swap."""
    other = {"little": "big", "big": "little"}
    found: list[NamedConfig] = []
    done = False
    for codec in codecs:
        if codec.name == "bytes" and "endian" in codec.configuration:
            codec = NamedConfig("bytes", codec.configuration | {"endian": other[codec.configuration["endian"]]})
            done = True
        found.append(codec)
    return tuple(found) if done else None
