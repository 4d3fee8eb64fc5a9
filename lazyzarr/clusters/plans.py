"""What a copied array will be: its grid, its codecs, and the regions in which it is read and written.

1. Chunks, shards and codecs as they are asked for; without, those of the stored array that most cells come from.
2. A region is a box of whole chunks (or shards): it is read with one request to the view, cut, encoded and written.
   Regions are as long as stored chunks where memory allows, so that those are decoded as rarely as possible.
Owns the plan of one array. Refuses to read and to write, and anything that is not plain Zarr v3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from lazyzarr.blocks import SENSIBLE, item_bytes
from lazyzarr.codecs.chain import codec_from_json, compile_chain
from lazyzarr.codecs.registry import SHARDING, is_known, is_serializer
from lazyzarr.document.encode import json_attributes
from lazyzarr.document.plain_array import chunk_shape_of, compressed_chain, plain_chain
from lazyzarr.errors import LazyZarrError, SaveUnsupported, ShapeError
from lazyzarr.ir import fill
from lazyzarr.ir.array_metadata import array_metadata
from lazyzarr.ir.layout import Json, Layout, NamedConfig
from lazyzarr.lower.lowering import Lowered, lower
from lazyzarr.lower.placements import UNFED
from lazyzarr.passing import may_pass

if TYPE_CHECKING:
    from lazyzarr.view import View

Codec = Mapping[str, Any] | str | NamedConfig
LEAST_CHUNK, MOST_CHUNK = 64 << 10, 128 << 20
"""Chunks that nobody asked for are at least and at most this large [bytes of cells]."""
_KEPT = ("zstd", "gzip", "blosc", "crc32c")
"""Codecs of bytes that every reader of Zarr v3 has."""
_INDEX = ({"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"})


class ArrayPlan(Struct, frozen=True):
    """One array on its way to a plain Zarr v3 array."""

    view: Any
    path: str
    """Of the array below the target; empty for the target itself."""
    layout: Layout
    region: tuple[int, ...]
    """Cells of a region along each axis: whole chunks [cells]."""
    passes: bool = False
    """Whether stored chunks may be chunks of the array as they are."""

    @property
    def metadata(self) -> dict[str, Json]:
        """Content of its ``zarr.json``."""
        view = self.view
        return array_metadata(view.shape, self.layout, view.dims, json_attributes(view.attrs))

    @property
    def grid(self) -> tuple[int, ...]:
        """Regions along each axis."""
        return tuple(-(-n // c) for n, c in zip(self.view.shape, self.region, strict=True))

    @property
    def region_bytes(self) -> int:
        """Size of the cells of a region [bytes]."""
        return math.prod(self.region) * item_bytes(self.view.dtype)

    def box(self, number: int) -> tuple[slice, ...]:
        """The cells of a region."""
        place = np.unravel_index(number, self.grid) if self.grid else ()
        return tuple(
            slice(int(k) * c, min((int(k) + 1) * c, n))
            for k, c, n in zip(place, self.region, self.view.shape, strict=True)
        )


def array_plan(
    view: View,
    path: str = "",
    *,
    chunks: Any = None,
    shards: Any = None,
    codecs: Sequence[Codec] | None = None,
    budget: int = SENSIBLE,
) -> ArrayPlan:
    """The plan of one array.

    Parameters
    ----------
    chunks, shards, codecs
        As `lazyzarr.copy` has them.
    budget
        Size of a region, as far as chunks allow [bytes of cells].

    Raises
    ------
    ShapeError
        Chunks or shards do not fit the shape, or each other.
    SaveUnsupported
        Codecs that cannot be written, or are not plain Zarr.

    Examples
    --------
    >>> import zarr, lazyzarr as lz
    >>> v = lz.open(zarr.zeros((400, 600), chunks=(200, 600)))
    >>> plan = array_plan(v.T)
    >>> plan.layout.chunk_shape, plan.region, [codec.name for codec in plan.layout.codecs]
    ((600, 200), (600, 400), ['bytes', 'zstd'])
    """
    lowered = lower(view.ir)
    stored, bytes_codecs = _most(view, lowered)
    whole = tuple(max(n, 1) for n in view.shape)
    inner = stored_or_sensible(stored, view) if chunks is None else _lengths(view, chunks, "chunks")
    outer = inner if shards is None else _lengths(view, shards, "shards")
    wrong = [axis for axis, (c, s) in enumerate(zip(inner, outer, strict=True)) if s % c]
    if wrong and chunks is None:
        inner = tuple(math.gcd(c, s) for c, s in zip(inner, outer, strict=True))
    elif wrong:
        raise ShapeError(
            f"copy with chunks {inner} in shards {outer}; along axis {', '.join(map(str, wrong))} a shard is no whole "
            "number of chunks; give shards that are multiples of chunks"
        )
    chain = _given(codecs, view.dtype) if codecs is not None else (*plain_chain(view.dtype), *bytes_codecs)
    if shards is not None:
        if any(codec.name == SHARDING for codec in chain):
            raise SaveUnsupported("copy with shards=... and a sharding codec; give one of them")
        settings = {
            "chunk_shape": list(inner),
            "codecs": [
                {"name": c.name, **({"configuration": c.configuration} if c.configuration else {})} for c in chain
            ],
            "index_codecs": list(_INDEX),
            "index_location": "end",
        }
        chain = (NamedConfig(SHARDING, settings),)
    layout = Layout(view.data_type, view.schema.fill_value, outer, chain)
    _check(layout, path)
    region = _region(outer, stored or inner, whole, max(budget // item_bytes(view.dtype), 1), view.dtype)
    return ArrayPlan(view, path, layout, region, may_pass(lowered, layout))


def stored_or_sensible(stored: tuple[int, ...] | None, view: View) -> tuple[int, ...]:
    """The chunk shape of the sources, where chunks of it are neither tiny nor huge."""
    item = item_bytes(view.dtype)
    if stored is None or math.prod(stored) * item > MOST_CHUNK:
        return chunk_shape_of(view.shape, view.dtype)
    chunk = list(stored)
    for axis in reversed(range(len(chunk))):
        wanted = -(-LEAST_CHUNK // (math.prod(chunk) * item))
        if wanted > 1:
            chunk[axis] *= min(wanted, -(-view.shape[axis] // chunk[axis]) or 1)
    return tuple(min(c, max(n, 1)) for c, n in zip(chunk, view.shape, strict=True))


def _most(view: View, lowered: Lowered) -> tuple[tuple[int, ...] | None, tuple[NamedConfig, ...]]:
    """Chunk shape in the axes of the view, and codecs of bytes, of the stored arrays that most cells come from."""
    placed = lowered.placements
    cells: dict[tuple[int, tuple[int, ...], tuple[int, ...]], float] = {}
    stored = np.flatnonzero(placed.source >= 0)
    keys = np.column_stack([placed.layout[stored], placed.axis[stored], placed.step[stored]])
    kinds, which = np.unique(keys, axis=0, return_inverse=True)
    weights = np.bincount(which.reshape(-1), placed.into_count[stored].prod(axis=1, dtype=np.float64), len(kinds))
    q = placed.axis.shape[1]
    for kind, weight in zip(kinds.tolist(), weights.tolist(), strict=True):
        cells[kind[0], tuple(kind[1 : 1 + q]), tuple(kind[1 + q :])] = weight
    default = compressed_chain(view.dtype)[1:]
    if not cells:
        return None, default
    number, axes, steps = max(cells, key=lambda kind: cells[kind])
    layout = lowered.layouts[number]
    shape = [1] * view.ndim
    for length, axis, step in zip(layout.chunk_shape, axes, steps, strict=False):
        if axis != UNFED:
            shape[axis] = max(length // max(abs(step), 1), 1)
    shape = [min(c, max(n, 1)) for c, n in zip(shape, view.shape, strict=True)]
    return tuple(shape), _plain_bytes(layout.codecs, view.dtype) or default


def _plain_bytes(codecs: Sequence[NamedConfig], dtype: np.dtype) -> tuple[NamedConfig, ...]:
    """Codecs of bytes that any reader has; nothing where others stand among them."""
    found = codecs[-1] if codecs else None
    if found is not None and found.name == SHARDING:
        return _plain_bytes([codec_from_json(one) for one in found.configuration["codecs"]], dtype)
    kept = [codec for codec in codecs if not is_serializer(codec.name) and codec.name != "transpose"]
    if any(codec.name not in _KEPT for codec in kept) or not any(codec.name != "crc32c" for codec in kept):
        return ()
    return tuple(_complete(codec, dtype) for codec in kept)


def _given(codecs: Sequence[Codec], dtype: np.dtype) -> tuple[NamedConfig, ...]:
    """A chain as a person names it; without an array-to-bytes codec the one that fits the type."""
    if isinstance(codecs, str | Mapping):
        raise SaveUnsupported(f"copy with codecs={codecs!r}; codecs are a list; put it into one")
    chain = [codec_from_json(dict(codec) if isinstance(codec, Mapping) else codec) for codec in codecs]
    if not any(is_serializer(codec.name) for codec in chain):
        front = [codec for codec in chain if codec.name == "transpose"]
        chain = [*front, *plain_chain(dtype), *(codec for codec in chain if codec.name != "transpose")]
    return tuple(_complete(codec, dtype) for codec in chain)


def _complete(codec: NamedConfig, dtype: np.dtype) -> NamedConfig:
    """A codec with the settings that Zarr v3 demands."""
    item = dtype.itemsize if dtype.kind not in "TO" else 1
    settings: dict[str, dict[str, Any]] = {
        "bytes": {"endian": "little"} if item > 1 else {},
        "zstd": {"level": 5, "checksum": False},
        "gzip": {"level": 5},
        "blosc": {"cname": "zstd", "clevel": 5, "shuffle": "shuffle", "typesize": item, "blocksize": 0},
    }
    given = {key: value for key, value in codec.configuration.items() if (codec.name, key) != ("blosc", "typesize")}
    return NamedConfig(codec.name, {**settings.get(codec.name, {}), **given})


def _lengths(view: View, given: Any, what: str) -> tuple[int, ...]:
    """One length for each axis of chunks or shards."""
    if isinstance(given, int | np.integer) and not isinstance(given, bool):
        given = (given,) * view.ndim
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != view.ndim:
        raise ShapeError(
            f"copy with {what}={given!r}; the view has {view.ndim} axes of {view.shape} cells; give one length for each"
        )
    wrong = [
        one
        for one in given
        if not isinstance(one, int | np.integer) or isinstance(one, bool) or (one < 1 and one != -1)
    ]
    if wrong:
        raise ShapeError(
            f"copy with {what}={tuple(given)!r}; {', '.join(map(repr, wrong))} is no length: a copy is on a regular grid; "
            "give a number of cells of at least 1, or -1 for the whole axis"
        )
    return tuple(max(n, 1) if c == -1 else int(c) for c, n in zip(given, view.shape, strict=True))


def _check(layout: Layout, path: str) -> None:
    """Whether the chain can be written, found out before anything is read."""
    unknown = [codec.name for codec in layout.codecs if not is_known(codec.name) or codec.name.startswith("lazyzarr.")]
    if unknown:
        raise SaveUnsupported(
            f"copy with the codecs {', '.join(unknown)}; a copy is plain Zarr v3, and they have no encoder in it; "
            'give codecs such as ["bytes", "zstd"]',
            where=path or None,
        )
    try:
        chain = compile_chain(layout)
        cell = fill.full((1,) * len(chain.shape), layout.fill_value, layout.data_type)
        compile_chain(_small(layout)).encode(np.broadcast_to(cell, _small(layout).chunk_shape))
    except LazyZarrError as error:
        raise SaveUnsupported(f"copy with the codecs {[codec.name for codec in layout.codecs]}; {error}") from error


def _small(layout: Layout) -> Layout:
    """The same chain over the smallest chunk that it allows."""
    if layout.codecs[-1].name == SHARDING:
        return Layout(
            layout.data_type, layout.fill_value, tuple(layout.codecs[-1].configuration["chunk_shape"]), layout.codecs
        )
    return Layout(layout.data_type, layout.fill_value, (1,) * len(layout.chunk_shape), layout.codecs)


def _region(
    unit: tuple[int, ...], stored: Sequence[int], whole: Sequence[int], budget: int, dtype: np.dtype
) -> tuple[int, ...]:
    """Chunks put together: first until stored chunks are covered, then until it is worth a request."""
    region = list(unit)
    covered = [min(-(-max(s, u) // u) * u, -(-n // u) * u) for s, u, n in zip(stored, unit, whole, strict=True)]
    sensible = min(budget, max(SENSIBLE // item_bytes(dtype), 1))
    for aims, most in ((covered, budget), ([-(-n // u) * u for n, u in zip(whole, unit, strict=True)], sensible)):
        short = sorted(range(len(region)), key=lambda axis: (region[axis] / aims[axis], -axis))
        for axis in short:
            room = most // math.prod(region)
            if room > 1 and region[axis] < aims[axis]:
                grown = min(region[axis] // unit[axis] * room, -(-aims[axis] // unit[axis]))
                region[axis] = max(region[axis], grown * unit[axis])
    return tuple(region)
