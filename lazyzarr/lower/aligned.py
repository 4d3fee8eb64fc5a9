"""A flat manifest: what any plain table of chunks can say, as `AlignedManifest`.

Owns one grid, one codec chain, one data type and fill value, and for each chunk of the grid one reference: missing,
an object, a byte range, or bytes in memory. Columns hold numbers; locations are spelled when they are asked for.
Refuses anything else, by type: a view with a chunk that needs a window, another chain or two sources never
becomes one (`lazyzarr.lower.alignment` says why), so exporters of plain formats accept nothing but this.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec import Struct

from lazyzarr.algebra.span import Span
from lazyzarr.codecs.chain import compile_chain
from lazyzarr.codecs.values import decode_values
from lazyzarr.errors import LazyZarrError, NotFlat, ShapeError
from lazyzarr.ir import fill
from lazyzarr.ir.chunk_keys import chunk_key, chunk_keys
from lazyzarr.ir.data_type import DataType, from_numpy, msgspec_form
from lazyzarr.ir.layout import VALUE_WISE, Json, Layout, NamedConfig, Stamp
from lazyzarr.lower.lifting import stored_type

MISSING, OBJECT, RANGE, INLINE = range(4)
"""States of a chunk."""


class Origin(Struct, frozen=True):
    """Where chunks come from: one object, or an array with one object per chunk."""

    location: str
    """Of the object, or of the array that `chunk_keys` are below."""
    stamp: Stamp | None = None
    """What the object was when it was referenced; of an array, what its metadata document was."""
    grant: str = ""
    """Which access grant of the reader the location is looked up in."""
    keys: NamedConfig | None = None
    grid: tuple[int, ...] = ()
    """Chunks of the array along each axis."""
    metadata: str = ""
    """Key of the metadata document of the array."""

    @property
    def document(self) -> str:
        """Location of the metadata document of the array: while it is there, an absent chunk is fill."""
        return f"{self.location}/{self.metadata}"

    def url(self, number: int) -> str:
        """Location of the object, or of the chunk of this number (in C order) below the array.

        Examples
        --------
        >>> Origin("file:///d/a.zarr", keys=NamedConfig("default"), grid=(2, 3)).url(4)
        'file:///d/a.zarr/c/1/1'
        """
        if self.keys is None:
            return self.location
        coords: list[int] = []
        for length in reversed(self.grid):
            number, at = divmod(number, length)
            coords.append(at)
        return chunk_key(self.keys, coords[::-1], f"{self.location}/")


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """A chunk in memory: its cells as stored, and the chain that makes its bytes."""

    cells: np.ndarray
    layout: Layout

    def encode(self) -> bytes:
        """The stored bytes; a chunk at an edge is padded with zeros."""
        cells = self.cells
        short = [(0, n - have) for n, have in zip(self.layout.chunk_shape, cells.shape, strict=True)]
        if any(missing for _, missing in short):
            whole = fill.full(self.layout.chunk_shape, self.layout.fill_value, self.layout.data_type)
            whole[tuple(slice(n) for n in cells.shape)] = cells
            cells = whole
        return compile_chain(self.layout).encode(cells)


@dataclass(frozen=True, slots=True, eq=False)
class Bytes:
    """A chunk in memory, as it is stored."""

    data: bytes

    def encode(self) -> bytes:
        """The stored bytes."""
        return self.data


@dataclass(frozen=True, slots=True, eq=False)
class AlignedManifest:
    """An array as a grid of references to stored chunks, all decoded by one chain.

    Made by `View.flatten`. Immutable; rows of the columns are the chunks of the grid in C order, n of them.
    """

    shape: tuple[int, ...]
    data_type: DataType
    """Zarr v3 data type of the decoded cells."""
    fill_value: Json
    """What a missing chunk reads as, in Zarr v3 JSON form for `data_type`."""
    chunk_lengths: tuple[int | tuple[int, ...], ...]
    """Per axis the length of all chunks, or every length; the last chunk may reach beyond the array [cells]."""
    codecs: tuple[NamedConfig, ...]
    """The whole chain in encoding order: value-wise decodes, a ``transpose`` where one is needed, the rest."""
    state: np.ndarray
    """int8 (n,): `MISSING`, `OBJECT` (the whole object), `RANGE` or `INLINE`."""
    offset: np.ndarray
    """int64 (n,) [bytes]; 0 unless the state is `RANGE`."""
    length: np.ndarray
    """int64 (n,) [bytes]; -1: the whole object; 0 for missing chunks."""
    origin: np.ndarray
    """int32 (n,): position in `origins`, or in `memory` where the state is `INLINE`; -1 where it is `MISSING`."""
    number: np.ndarray
    """int64 (n,): number of the chunk in the array of its origin, for arrays with one object per chunk."""
    origins: tuple[Origin, ...]
    memory: tuple[Cells | Bytes, ...] = ()
    dims: tuple[str | None, ...] | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    reader: Any = None
    """The reader whose session may read the locations."""
    fill_candidates: tuple[Json, ...] = ()
    """Stored fill values of the sources; `stored_fill_value` is the first that decodes to `fill_value`."""

    def __len__(self) -> int:
        return len(self.state)

    @property
    def grid_shape(self) -> tuple[int, ...]:
        """Chunks along each axis."""
        return tuple(
            -(-n // length) if isinstance(length, int) else len(length)
            for n, length in zip(self.shape, self.chunk_lengths, strict=True)
        )

    @property
    def is_regular(self) -> bool:
        """Whether all chunks have one shape, so that any Zarr v3 reader knows the grid."""
        return all(isinstance(length, int) for length in self.chunk_lengths)

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """The one shape of all chunks [cells].

        Raises
        ------
        ShapeError
            The grid is rectilinear.
        """
        regular = tuple(length for length in self.chunk_lengths if isinstance(length, int))
        if len(regular) < len(self.chunk_lengths):
            raise ShapeError(
                "chunk_shape of a rectilinear grid; its chunks have several shapes; use chunk_lengths, or flatten "
                "with rectilinear=False"
            )
        return regular

    @property
    def decodes(self) -> tuple[NamedConfig, ...]:
        """The value-wise codecs at the front of the chain (cast, unpack), shared by all chunks."""
        return tuple(itertools.takewhile(lambda codec: codec.name in VALUE_WISE, self.codecs))

    @property
    def stored_data_type(self) -> DataType:
        """Data type of the cells below `decodes`."""
        return stored_type(self.data_type, self.decodes)

    @property
    def stored_fill_value(self) -> Json | None:
        """A value below `decodes` that decodes to `fill_value`, bit for bit; None where there is none."""
        return stored_value(self.fill_value, self.decodes, self.data_type, self.fill_candidates)

    def places(self, rows: slice | np.ndarray = slice(None)) -> list[Origin | None]:
        """Where chunks come from; None for missing ones and those in memory."""
        columns = (self.state[rows].tolist(), self.origin[rows].tolist())
        return [self.origins[k] if state in (OBJECT, RANGE) else None for state, k in zip(*columns, strict=True)]

    def urls(self, rows: slice | np.ndarray = slice(None)) -> list[str]:
        """Locations of the objects; ``""`` for missing chunks and those in memory."""
        state, origin, number = self.state[rows], self.origin[rows], self.number[rows]
        found = [""] * len(state)
        stored = np.flatnonzero((state == OBJECT) | (state == RANGE))
        stored = stored[np.argsort(origin[stored], kind="stable")]
        if not len(stored):
            return found
        begins = np.flatnonzero(np.r_[True, np.diff(origin[stored]) != 0])
        for mine in np.split(stored, begins[1:]):
            source = self.origins[int(origin[mine[0]])]
            if source.keys is None:
                texts = [source.location] * len(mine)
            else:
                coords = np.unravel_index(number[mine], source.grid) if source.grid else ()
                at = np.stack(coords, axis=1) if coords else np.zeros((len(mine), 0), np.int64)
                texts = chunk_keys(source.keys, at, f"{source.location}/")
            for row, text in zip(mine.tolist(), texts, strict=True):
                found[row] = text
        return found

    def url_table(self) -> tuple[list[str], np.ndarray]:
        """Distinct locations, and int64 (n,) the position of each chunk's location among them, -1 for none."""
        stored = (self.state == OBJECT) | (self.state == RANGE)
        keyed = np.array([source.keys is not None for source in self.origins], bool)
        texts: dict[str, int] = {}
        found = np.full(len(self), -1, np.int64)
        ranges = stored & ~keyed[self.origin] if len(keyed) else stored
        used = np.unique(self.origin[ranges])
        if len(used):
            to = np.empty(int(used[-1]) + 1, np.int64)
            to[used] = [texts.setdefault(self.origins[k].location, len(texts)) for k in used.tolist()]
            found[ranges] = to[self.origin[ranges]]
        rest = np.flatnonzero(stored & ~ranges)
        found[rest] = [texts.setdefault(url, len(texts)) for url in self.urls(rest)]
        return list(texts), found

    def stamps(self, rows: slice | np.ndarray = slice(None)) -> list[Stamp | None]:
        """What identified the objects when they were referenced, where that is known; not of objects below an array."""
        return [None if place is None or place.keys is not None else place.stamp for place in self.places(rows)]

    def grants(self, rows: slice | np.ndarray = slice(None)) -> list[str]:
        """Access grants of `reader` that the locations are looked up in."""
        return ["" if place is None else place.grant for place in self.places(rows)]

    def inline(self, row: int) -> bytes:
        """Stored bytes of a chunk in memory."""
        if self.state[row] != INLINE:
            raise ShapeError(f"inline of chunk {row}; it is not in memory; read the location that urls() gives")
        return self.memory[int(self.origin[row])].encode()

    def flatten(self, *, rectilinear: bool = True) -> AlignedManifest:
        """This manifest, so that writers take it as they take a view.

        Raises
        ------
        NotFlat
            The grid is rectilinear and shall not be.
        """
        if not (rectilinear or self.is_regular):
            raise NotFlat(
                "flatten of a manifest on a regular grid",
                [
                    "its chunks have several lengths; flatten the view with rectilinear=False, or allow a rectilinear grid"
                ],
            )
        return self

    def chunk_grid(self) -> dict[str, Any]:
        """The grid as ``zarr.json`` describes it."""
        if self.is_regular:
            return {"name": "regular", "configuration": {"chunk_shape": list(self.chunk_shape)}}
        lengths = [length if isinstance(length, int) else _run_lengths(length) for length in self.chunk_lengths]
        return {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": lengths}}

    def zarr_metadata(self) -> dict[str, Any]:
        """The array as ``zarr.json`` describes it."""
        document: dict[str, Any] = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(self.shape),
            "data_type": msgspec_form(self.data_type),
            "chunk_grid": self.chunk_grid(),
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": self.fill_value,
            "codecs": [{"name": one.name, "configuration": one.configuration} for one in self.codecs],
            "attributes": dict(self.attrs),
        }
        if self.dims is not None:
            document["dimension_names"] = list(self.dims)
        return document

    def edges(self, axis: int) -> np.ndarray:
        """int64 (k + 1,): where the chunks along an axis begin, and where the last ends [cells]."""
        lengths = self.chunk_lengths[axis]
        if isinstance(lengths, int):
            return np.arange(self.grid_shape[axis] + 1, dtype=np.int64) * lengths
        return np.cumsum([0, *lengths], dtype=np.int64)

    def chunk_box(self, row: int) -> tuple[Span, ...]:
        """The cells of the array that a chunk has; padding beyond the array is not among them."""
        found: list[Span] = []
        for axis, at in enumerate(np.unravel_index(row, self.grid_shape) if self.shape else ()):
            start, stop = self.edges(axis)[int(at) : int(at) + 2].tolist()
            found.append(Span(start, 1, min(stop, self.shape[axis]) - start))
        return tuple(found)

    def layout(self, row: int = 0) -> Layout:
        """How one chunk is stored."""
        lengths: list[int] = []
        for length, at in zip(self.chunk_lengths, np.unravel_index(row, self.grid_shape), strict=True):
            lengths.append(length if isinstance(length, int) else length[int(at)])
        return Layout(self.data_type, self.fill_value, tuple(lengths), self.codecs)


def stored_value(
    value: Json, decodes: tuple[NamedConfig, ...], data_type: DataType, candidates: tuple[Json, ...] = ()
) -> Json | None:
    """A value below value-wise decodes that decodes to `value`, bit for bit; None where there is none.

    Examples
    --------
    >>> halves = {"scale_factor": 0.5, "add_offset": None, "fill_values": [-1]}
    >>> types = {"stored_type": "int16", "data_type": "float64", "arithmetic": "float64"}
    >>> stored_value("NaN", (NamedConfig("lazyzarr.unpack", halves | types),), "float64")
    -1
    """
    if not decodes:
        return value
    below = stored_type(data_type, decodes)
    for one in (*candidates, *_usual(decodes), value, fill.zero(below)):
        try:
            cell = decode_values(fill.full((1,), one, below), decodes, data_type)
        except LazyZarrError:
            continue  # it is no value of the stored type, or has no decoded value
        if fill.same(fill.to_json(cell[0], data_type), value, data_type):
            return one
    return None


def in_memory(cells: np.ndarray, layout: Layout, shape: tuple[int, ...]) -> Cells:
    """Cells of a table as a chunk of this shape, stored as the layout says below its value-wise decodes."""
    codecs = tuple(itertools.dropwhile(lambda codec: codec.name in VALUE_WISE, layout.codecs))
    data_type = from_numpy(cells.dtype)
    return Cells(cells, Layout(data_type, fill.zero(data_type), shape, codecs))


def grid_cells(shape: tuple[int, ...]) -> int:
    """Number of chunks of a grid."""
    return math.prod(shape)


def _run_lengths(lengths: tuple[int, ...]) -> list[Any]:
    """Lengths as the rectilinear grid writes them: neighbours that are equal once, with their number."""
    groups = [(length, sum(1 for _ in group)) for length, group in itertools.groupby(lengths)]
    return [length if count == 1 else [length, count] for length, count in groups]


def _usual(decodes: tuple[NamedConfig, ...]) -> list[Json]:
    """Values that packed data have for cells without a value."""
    return [value for codec in decodes for value in codec.configuration.get("fill_values") or ()]
