"""Which stored chunks of a view a plain Zarr v3 array can have as they are, and which have to be made.

1. A view that is flat has all of them.
2. Else the nearest plain array has some (`lazyzarr.lower.choosing`), if every other chunk can be encoded with its chain:
   either nothing of the chain changes a value, or it begins with a cast, and the types alone say that each value that is
   to be made was stored as one that the cast can keep.
3. Else the most common chain without decodes is tried, below which nothing has to be packed.
4. An array of a given grid and chain can have those stored chunks that are chunks of it as they are.
Owns these conditions, and the bytes that are passed on. No chunk is read for the conditions, so what is advertised never
turns out to be impossible later. Refuses chains that other readers cannot decode.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Buffer
from typing import Any, NamedTuple

import numpy as np

from lazyzarr.access.keyed_files import KeyedFiles
from lazyzarr.access.session import Session
from lazyzarr.casting import keeps_values
from lazyzarr.codecs.chain import compile_chain
from lazyzarr.errors import NotFlat, SaveUnsupported, SourceMissing
from lazyzarr.ir import fill
from lazyzarr.ir.chunk_keys import key_form
from lazyzarr.ir.data_type import DataType, to_numpy
from lazyzarr.ir.layout import VALUE_WISE, Layout, NamedConfig
from lazyzarr.lower.aligned import INLINE, MISSING, OBJECT, RANGE, AlignedManifest, Cells, Origin, stored_value
from lazyzarr.lower.choosing import Choice, choose
from lazyzarr.lower.lifting import lifted, stored_type, text
from lazyzarr.lower.lowering import Lowered, lower
from lazyzarr.read.presence import assert_there
from lazyzarr.view import View

_MOST_KNOWN = 1 << 12
"""Arrays whose files are kept known."""
OURS = "lazyzarr."
"""Codecs of this prefix have no decoder in other readers."""


EXACT = frozenset(
    (
        *(
            "bytes",
            "transpose",
            "sharding_indexed",
            "vlen-utf8",
            "vlen-bytes",
            "crc32c",
            "fletcher32",
            "crc32",
            "adler32",
        ),
        *("gzip", "zlib", "zstd", "blosc", "lz4", "bz2", "lzma", "shuffle"),
    )
)
"""Codecs that give back every cell."""


_OF_AXES = ("transpose", "sharding_indexed")


def passable(view: View, rectilinear: bool) -> tuple[AlignedManifest | None, np.ndarray]:
    """The manifest of a view whose stored bytes any reader of Zarr v3 can decode; and the chunks that have to be made.

    None where no stored byte can be passed on.
    """
    nothing = np.zeros(0, np.int64)
    try:
        flat = view.flatten(rectilinear=rectilinear)
    except NotFlat:
        return _nearest(view, rectilinear)
    return (None if _is_ours(flat.codecs) else flat), nothing


def may_pass(lowered: Lowered, layout: Layout) -> bool:
    """Whether a stored chunk of some source could be one of an array of this layout, as far as the chains tell."""
    if _rounds(layout.codecs) or not layout.chunk_shape or 0 in lowered.schema.shape:
        return False
    rank = len(layout.chunk_shape)
    wanted = text(lifted(layout, tuple(range(rank)), rank).form)
    placed = lowered.placements
    stored = placed.source >= 0
    kinds = np.unique(np.column_stack([placed.layout[stored], placed.axis[stored]]), axis=0)
    for number, *axes in kinds.tolist():
        own = lowered.layouts[number]
        if text(lifted(own, tuple(axes[: len(own.chunk_shape)]), rank).form) == wanted:
            return True
    return False


def chosen(view: View, layout: Layout) -> tuple[AlignedManifest, np.ndarray]:
    """The array of this layout that has the cells of a view, and the chunks of it that have to be made.

    Every other chunk is a stored one, or is nothing but the fill value. Cells in memory have to be encoded, too.
    """
    lowered = lower(view.ir)
    found = choose(
        lowered,
        chunks=layout.chunk_shape,
        codecs=layout.codecs,
        fill_value=layout.fill_value,
        rectilinear=False,
        reader=view.reader,
    )
    held = np.flatnonzero(found.manifest.state == INLINE)
    held = held[[isinstance(found.manifest.memory[k], Cells) for k in found.manifest.origin[held].tolist()]]
    return found.manifest, np.union1d(found.rows, held)


def stored_bytes(
    flat: AlignedManifest, row: int, session: Session, start: int = 0, length: int | None = None
) -> Buffer | None:
    """The bytes of one chunk of a manifest, or of a part of it, checked as any read is; None where it is absent.

    Parameters
    ----------
    start, length
        First byte and number of bytes; a negative start counts from the end, as in Python [bytes].

    Raises
    ------
    LazyZarrError
        As reading a view.
    """
    state = int(flat.state[row])
    if state == MISSING:
        return None
    if state == INLINE:
        return cut(flat.inline(row), start, length)
    origin = flat.origins[int(flat.origin[row])]
    url = origin.url(int(flat.number[row]))
    grant = origin.grant
    if origin.keys is None:
        first, size = _part(int(flat.length[row]), start, length)
        offset = int(flat.offset[row]) + first
        return session.read(url, grant=grant, offset=offset, length=size, stamp=origin.stamp)
    if origin.stamp is not None:
        session.verify(origin.document, origin.stamp, grant=grant)
    try:
        if state == RANGE:
            first, size = _part(int(flat.length[row]), start, length)
            return session.read(url, grant=grant, offset=int(flat.offset[row]) + first, length=size)
        if not start and length is None:
            return session.read(url, grant=grant)
        found = session.stat(url, grant=grant)
        first, size = _part(found.size or 0, start, length)
        return session.read(url, grant=grant, offset=first, length=size, stamp=found)
    except SourceMissing as error:
        if error.reason != SourceMissing.default_reason:
            raise  # something else is in the way under this name
        assert_there(session, origin.document, origin.stamp, grant=grant)
        return None


class StoredChunks:
    """The stored chunks of a manifest by row: whole local files by the shortest way, all else by `stored_bytes`."""

    def __init__(self, flat: AlignedManifest, session: Session) -> None:
        self._flat = flat
        self._session = session
        self._known: dict[int, _Files | None] = {}

    def read(self, row: int, start: int = 0, length: int | None = None) -> Buffer | None:
        """As `stored_bytes`."""
        if not start and length is None and self._flat.state[row] == OBJECT:
            number = int(self._flat.origin[row])
            try:
                files = self._known[number]
            except KeyError:
                files = self._files(number)
            if files is not None:
                told, data = files.keyed.read(files.key(int(self._flat.number[row])))
                if told:
                    return data
        return stored_bytes(self._flat, row, self._session, start, length)

    def _files(self, number: int) -> _Files | None:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[number] = found = _files(self._flat.origins[number], self._session)
        return found


class _Files(NamedTuple):
    """The files of an array, and how a chunk of it is named."""

    keyed: KeyedFiles
    form: str
    lengths: tuple[int, ...]
    """Chunks along each axis but the first, from the last on."""

    def key(self, number: int) -> str:
        """Of the chunk of this number, in C order."""
        if not self.lengths:
            return self.form % number
        coords: list[int] = []
        for length in self.lengths:
            number, at = divmod(number, length)
            coords.append(at)
        coords.append(number)
        return self.form % tuple(coords[::-1])


def _files(origin: Origin, session: Session) -> _Files | None:
    if origin.keys is None or not origin.grid:
        return None
    keyed = KeyedFiles.below(session, origin.location, origin.document, origin.stamp, origin.grant)
    return None if keyed is None else _Files(keyed, key_form(origin.keys, len(origin.grid)), origin.grid[:0:-1])


def _part(size: int, start: int, length: int | None) -> tuple[int, int]:
    """First byte and number of bytes of a part of so many bytes.

    Examples
    --------
    >>> _part(10, -4, None), _part(10, 8, 5), _part(10, 12, 1)
    ((6, 4), (8, 2), (10, 0))
    """
    first = max(size + start, 0) if start < 0 else min(start, size)
    return first, size - first if length is None else min(length, size - first)


def cut(data: bytes, start: int, length: int | None) -> bytes:
    """A part of some bytes, as `stored_bytes` counts it."""
    first, size = _part(len(data), start, length)
    return data[first : first + size]


def _nearest(view: View, rectilinear: bool) -> tuple[AlignedManifest | None, np.ndarray]:
    lowered = lower(view.ir)
    carried: dict[str, Any] = {"dims": view.dims, "attrs": dict(view.attrs), "reader": view.reader}
    found = choose(lowered, rectilinear=rectilinear, **carried)
    if not _can_be_made(lowered, found):
        plain = _plain_chain(lowered)
        if plain is None:
            return None, found.rows[:0]
        found = choose(lowered, rectilinear=rectilinear, codecs=plain, **carried)
        if not _can_be_made(lowered, found):
            return None, found.rows[:0]
    return found.manifest, found.rows


def _can_be_made(lowered: Lowered, found: Choice) -> bool:
    """Whether something is passed on, and every other chunk can be encoded with the chain, bit for bit."""
    flat = found.manifest
    below = flat.codecs[len(flat.decodes) :]
    if _is_ours(flat.codecs) or _rounds(below) or not (flat.state != MISSING).any():
        return False
    if not len(found.rows):
        return True
    if flat.decodes:
        if not _packs(lowered, flat):
            return False
    elif found.problems:
        return False
    layout = flat.layout(int(found.rows[0]))
    try:
        compile_chain(layout).encode(fill.full(layout.chunk_shape, layout.fill_value, layout.data_type))
    except SaveUnsupported:  # a chain that is only decoded here
        return False
    return True


def _packs(lowered: Lowered, flat: AlignedManifest) -> bool:
    """Whether every value that any chunk may have is one that the cast of the chain decodes from a stored one."""
    data_type, below = flat.data_type, flat.stored_data_type
    if not _keeps(flat.decodes, below, data_type):
        return False
    placed = lowered.placements
    layouts = [lowered.layouts[k] for k in np.unique(placed.layout[placed.source >= 0]).tolist()]
    for layout in layouts:
        decodes = _decodes(layout)
        stored = stored_type(layout.data_type, decodes)
        if not (_keeps(decodes, stored, data_type) and keeps_values(stored, below)):
            return False
    numbers = np.unique(-1 - placed.source[placed.source < 0]).tolist()
    seen = [layout.fill_value for layout in layouts] + [lowered.constants[k].value for k in numbers] + [flat.fill_value]
    return all(stored_value(value, flat.decodes, data_type, flat.fill_candidates) is not None for value in seen)


def _keeps(decodes: tuple[NamedConfig, ...], stored: DataType, data_type: DataType) -> bool:
    """Whether decodes are nothing but a cast that keeps every value, and every NaN."""
    if not decodes:
        return stored == data_type
    only = len(decodes) == 1 and decodes[0].name == "cast_value" and not decodes[0].configuration.get("scalar_map")
    # half precision is converted in software, NaN with other bits
    halves = any(to_numpy(one) == np.float16 for one in (stored, data_type))
    return only and not halves and keeps_values(stored, data_type)


def _plain_chain(lowered: Lowered) -> tuple[NamedConfig, ...] | None:
    """The chain without decodes that most cells are stored with; None where there is none that keeps every cell."""
    placed = lowered.placements
    cells: Counter[tuple[NamedConfig, ...]] = Counter()
    sizes = placed.into_count.prod(axis=1, dtype=np.float64)
    for number in np.unique(placed.layout[placed.source >= 0]).tolist():
        layout = lowered.layouts[number]
        axes = any(codec.name in _OF_AXES for codec in layout.codecs)  # those of the source, not of the view
        if not (axes or _decodes(layout) or _is_ours(layout.codecs) or _rounds(layout.codecs)):
            cells[layout.codecs] += int(sizes[placed.layout == number].sum())
    return max(cells, key=lambda chain: cells[chain]) if cells else None


def _decodes(layout: Layout) -> tuple[NamedConfig, ...]:
    return tuple(itertools.takewhile(lambda codec: codec.name in VALUE_WISE, layout.codecs))


def _is_ours(codecs: tuple[NamedConfig, ...]) -> bool:
    return any(codec.name.startswith(OURS) for codec in codecs)


def _rounds(codecs: tuple[NamedConfig, ...]) -> bool:
    """Whether cells that were not stored with the chain may change when they are."""
    return any(codec.name.removeprefix("numcodecs.") not in EXACT for codec in codecs)
