"""Views of TensorStore specifications.

1. A leaf becomes a view of its array: of the metadata inside where they are assumed, else of those at the source.
2. An index transform becomes index, take, transpose and broadcast nodes; a stack becomes an overlay.
Owns the domains, which may begin anywhere: a view begins at 0. Refuses what a specification may not reach, stacks with
cells that no layer has, casts that lose values, and points that are no outer product.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lazyzarr.access.policy import Grant
from lazyzarr.access.url import child, shown
from lazyzarr.algebra.boxes import pairs_compared, visible
from lazyzarr.casting import promotes
from lazyzarr.codecs.chain import compile_chain
from lazyzarr.combine import overlay
from lazyzarr.document.limits import Limits, chunk_bytes
from lazyzarr.errors import LazyZarrError
from lazyzarr.formats.tensorstore_arrays import NOWHERE
from lazyzarr.formats.tensorstore_reading import (
    Output,
    Spec,
    Transform,
    bad,
    cells_of,
    location,
    read_specification,
    unsupported,
)
from lazyzarr.formats.zarr import ZarrArrayInfo, read_array_metadata
from lazyzarr.ir import data_type as types
from lazyzarr.ir import fill
from lazyzarr.ir.layout import Layout, NamedConfig, StoredArray
from lazyzarr.ir.nodes import Fill
from lazyzarr.ir.tables import Table
from lazyzarr.leaves import source
from lazyzarr.read import Reader
from lazyzarr.view import View


class _Placed(NamedTuple):
    """A view, and the cell at which its domain begins."""

    view: View
    origin: tuple[int, ...]


class Specifications:
    """One document with a specification, opened.

    Parameters
    ----------
    url
        Location of the document.
    grant
        What it may reach.
    limits
        As the caller of `lazyzarr.open` said.
    """

    def __init__(self, url: str, *, reader: Reader, grant: Grant, limits: Limits) -> None:
        self.url, self.reader, self.limits = url, reader, limits
        self._grant = grant
        self._name = reader.session.add_grant(grant)
        self._nodes = self._inline = 0

    def view(self, document: Any) -> View:
        """The view that a specification describes.

        Raises
        ------
        SourceProtocolError, UnsupportedFeature, ViewLimitError
            The specification is not one, has something that is not read here, or is too much.
        AccessDenied
            It names a place that the document may not reach.
        """
        try:
            return self._placed(document, 0).view
        except LazyZarrError as error:
            error.where = error.where or shown(self.url)
            raise

    def _placed(self, document: Any, depth: int) -> _Placed:
        self._nodes += 1
        self.limits.check("nodes", self._nodes)
        self.limits.check("json_depth", depth)
        spec = read_specification(document)
        if spec.driver == "stack":
            found = self._stack(spec, depth)
        elif spec.driver == "cast":
            found = self._cast(spec, depth)
        elif spec.driver == "array":
            found = self._array(spec)
        else:
            found = self._zarr(spec)
        if spec.dtype is not None and spec.dtype != found.view.data_type:
            raise bad(f"the data type is {spec.dtype!r}, and what is read has {found.view.data_type!r}")
        if spec.transform is not None:
            found = _transformed(found, spec.transform)
        if spec.rank is not None and spec.rank != found.view.ndim:
            raise bad(f"the rank is {spec.rank}, and what is read has {found.view.ndim}")
        self.limits.check("rank", found.view.ndim)
        return found

    def _zarr(self, spec: Spec) -> _Placed:
        if spec.members.get("kvstore") == NOWHERE:
            return self._constant(spec)
        url = location(spec.members.get("kvstore"), spec.members.get("path"))
        self._grant.check(url)
        key = "zarr.json" if spec.driver == "zarr3" else ".zarray"
        given = spec.members.get("metadata")
        if given is not None and not isinstance(given, dict):
            raise bad("the metadata are no JSON object")
        stamp = None
        if spec.members.get("assume_metadata") is True:
            info = _assumed(spec, given)
        else:
            # only the source says what the array is; what the specification says of it has to agree
            text, stamp = self.reader.session.read_stamped(
                child(url, key), grant=self._name, limit=self.limits.document_bytes
            )
            info = read_array_metadata(bytes(text))
            if given is not None and given.get("shape", list(info.shape)) != list(info.shape):
                raise bad(f"the metadata have shape {str(given['shape'])[:64]}, and the array has {info.shape}")
        expected = 3 if spec.driver == "zarr3" else 2
        if (2 if info.layout.metadata == ".zarray" else 3) != expected:
            raise bad(f"the driver is {spec.driver!r}, and the metadata are of another version")
        where = shown(url)
        self.limits.check("rank", len(info.shape), where=where)
        self.limits.check("codecs", len(info.layout.codecs), where=where)
        self.limits.check("chunk_bytes", chunk_bytes(info.layout), where=where)
        compile_chain(info.layout)
        array = StoredArray(layout=0, shape=info.shape, location=url, stamp=stamp, grant=self._name)
        view = source(array, [info.layout], reader=self.reader, dims=info.dimension_names)
        return _Placed(view, (0,) * view.ndim)

    def _constant(self, spec: Spec) -> _Placed:
        info = _assumed(spec, spec.members.get("metadata"))
        self.limits.check("rank", len(info.shape))
        constant = Fill(info.shape, info.layout.data_type, info.layout.fill_value)
        return _Placed(View(constant, reader=self.reader), (0,) * len(info.shape))

    def _array(self, spec: Spec) -> _Placed:
        if spec.dtype is None:
            raise bad("an array has no dtype")
        cells = cells_of(spec.members.get("array"), spec.dtype)
        self.limits.check("inline_bytes", cells.nbytes)
        self._inline += cells.nbytes
        self.limits.check("inline_total", self._inline)
        cells.flags.writeable = False
        table = Table({"values": cells if cells.ndim else cells.reshape(1)})
        codec = NamedConfig("bytes", {"endian": "little"})
        data_type = types.from_numpy(cells.dtype)
        layout = Layout(data_type, fill.zero(data_type), tuple(max(n, 1) for n in cells.shape), (codec,))
        array = StoredArray(layout=0, shape=cells.shape, values=table.name)
        view = source(array, [layout], reader=self.reader, tables={table.name: table})
        return _Placed(view, (0,) * view.ndim)

    def _cast(self, spec: Spec, depth: int) -> _Placed:
        if spec.dtype is None:
            raise bad("a cast has no dtype")
        below = self._placed(spec.members.get("base"), depth + 1)
        if not promotes(below.view.data_type, spec.dtype):
            raise unsupported(f"a cast from {below.view.data_type} to {spec.dtype}, which may lose values,")
        return below._replace(view=below.view.astype(spec.dtype))

    def _stack(self, spec: Spec, depth: int) -> _Placed:
        layers = spec.members.get("layers")
        if not isinstance(layers, list) or not layers:
            raise bad("a stack has no list of layers")
        self.limits.check("edges", len(layers))
        placed = [self._placed(one, depth + 1) for one in layers]
        first = placed[0].view
        if any(one.view.ndim != first.ndim or one.view.data_type != first.data_type for one in placed):
            raise bad("the layers of a stack have different ranks or data types")
        starts = np.array([one.origin for one in placed], object).reshape(len(placed), first.ndim)
        counts = np.array([one.view.shape for one in placed], object).reshape(len(placed), first.ndim)
        low = starts.min(axis=0, initial=2**62)
        shape = tuple((starts + counts).max(axis=0, initial=-(2**62)) - low)
        origins = starts - low
        if not first.ndim:
            return placed[-1]
        if math.prod(shape) >= 2**62:
            raise bad(f"the layers of a stack lie in a box of shape {shape}")
        self._check_covered(origins.astype(np.int64), counts.astype(np.int64), shape)
        # labels are of the layers; dims of a join are those of its inputs, so they are compared without
        views = [one.view.rename_dims([None] * first.ndim) for one in placed]
        inputs = [(view, tuple(int(n) for n in origin)) for view, origin in zip(views, origins.tolist(), strict=True)]
        zero = fill.from_json(fill.zero(first.data_type), first.data_type)
        joined = overlay(tuple(int(n) for n in shape), inputs, fill_value=zero, overlap="last")
        dims = first.dims if all(one.view.dims == first.dims for one in placed) else None
        joined = joined if dims is None else joined.rename_dims(list(dims))
        return _Placed(joined, tuple(int(n) for n in low))

    def _check_covered(self, starts: np.ndarray, counts: np.ndarray, shape: tuple[int, ...]) -> None:
        steps = np.ones_like(starts)
        self.limits.check("box_pairs", pairs_compared(starts, counts, steps))
        seen = [math.prod(row) for row in counts.tolist()]
        for number, pieces in visible(starts, counts, steps, np.arange(len(starts))).items():
            seen[number] = sum(math.prod(span.count for span in piece) for piece in pieces)
        if sum(seen) != math.prod(shape):
            raise unsupported("a stack with cells that no layer has")


def _assumed(spec: Spec, given: Any) -> ZarrArrayInfo:
    """The metadata inside a specification, where all that reading needs is there."""
    if not isinstance(given, dict) or (spec.driver != "zarr3" and "compressor" not in given):
        raise bad("metadata are assumed, and are not all there")
    version = {"zarr_format": 3, "node_type": "array"} if spec.driver == "zarr3" else {"zarr_format": 2}
    return read_array_metadata({**version, **given})


def _transformed(base: _Placed, transform: Transform) -> _Placed:
    view, origin = base
    output = transform.output
    if output is None:
        if transform.low and len(transform.low) != view.ndim:
            raise bad(f"a transform has rank {len(transform.low)}, and what it is of has {view.ndim}")
        output = tuple(Output(0, 1, axis) for axis in range(view.ndim))
    rank = len(transform.low) if transform.low or transform.output is not None else view.ndim
    if len(output) != view.ndim:
        raise bad(f"a transform has {len(output)} output maps, and what it is of has rank {view.ndim}")
    low, stop = _domain(transform, rank, output, origin, view.shape)
    lengths = [high - first for first, high in zip(low, stop, strict=True)]
    if any(n < 0 for n in lengths) or math.prod(max(n, 1) for n in lengths) >= 2**62:
        raise bad(f"the domain of a transform is {low} to {stop}")
    if 0 in lengths:
        empty = view if view.ndim == 0 else view[tuple(slice(0, 0) for _ in view.shape)]
        return _Placed(_nothing(empty, lengths), low)
    fed: list[int] = []
    for axis in reversed(range(view.ndim)):
        one = output[axis]
        cells, dimension = _cells(one, low, lengths)
        cells = cells - origin[axis] if isinstance(cells, np.ndarray) else cells
        view, dimension = _selected(view, axis, cells, dimension, one, low, lengths, origin[axis])
        if dimension is not None:
            if dimension in fed:
                raise unsupported("a transform that reads a diagonal, or points,")
            fed.insert(0, dimension)
    view = view.transpose(*np.argsort(fed).tolist()) if len(fed) > 1 else view
    new = [axis for axis in range(rank) if axis not in fed]
    view = view.expand_dims(new) if new else view
    view = view.broadcast_to(tuple(lengths)) if view.shape != tuple(lengths) else view
    if any(transform.labels):
        view = view.rename_dims([label or None for label in transform.labels])
    return _Placed(view, low)


def _nothing(view: View, lengths: Sequence[int]) -> View:
    """A view without cells, of a shape that has none."""
    zero = view[(slice(None),) * view.ndim]
    cell = overlay((1,), [], fill_value=fill.from_json(fill.zero(zero.data_type), zero.data_type), dtype=zero.dtype)
    return cell[0].broadcast_to(tuple(lengths))


def _domain(
    transform: Transform, rank: int, output: Sequence[Output], origin: Sequence[int], shape: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where the domain begins and stops; bounds that are not said are as far as the source goes."""
    low, stop = list(transform.low or (None,) * rank), list(transform.stop or (None,) * rank)
    for axis in range(rank):
        if low[axis] is not None and stop[axis] is not None:
            continue
        number = next((k for k, one in enumerate(output) if one.dimension == axis), None)
        if number is None or abs(output[number].stride) != 1:
            raise unsupported("a transform that leaves open where its domain ends")
        one = output[number]
        ends = sorted((cell - one.offset) * one.stride for cell in (origin[number], origin[number] + shape[number] - 1))
        low[axis] = ends[0] if low[axis] is None else low[axis]
        stop[axis] = ends[1] + 1 if stop[axis] is None else stop[axis]
    return tuple(n for n in low if n is not None), tuple(n for n in stop if n is not None)


def _cells(one: Output, low: Sequence[int], lengths: Sequence[int]) -> tuple[np.ndarray | None, int | None]:
    """The cells of an index array, and the axis it runs along."""
    if one.index is None:
        return None, one.dimension
    if any(have not in (1, n) for have, n in zip(one.index.shape, lengths, strict=True)):
        raise bad(f"an index_array has shape {one.index.shape}, and the domain {tuple(lengths)}")
    along = [axis for axis, n in enumerate(one.index.shape) if n > 1]
    if len(along) > 1:
        raise unsupported("an index_array along more than one axis")
    reach = int(np.abs(one.index).max(initial=0)) * abs(one.stride) + abs(one.offset)
    if reach >= 2**62 or int(one.index.min(initial=0)) <= -(2**62):
        raise bad("an index_array leads outside of what it is of")
    return one.offset + one.stride * one.index.ravel(), along[0] if along else None


def _selected(
    view: View,
    axis: int,
    cells: np.ndarray | None,
    dimension: int | None,
    one: Output,
    low: Sequence[int],
    lengths: Sequence[int],
    origin: int,
) -> tuple[View, int | None]:
    """The view with one axis read as an output map says."""
    length = view.shape[axis]
    before = (slice(None),) * axis
    if cells is not None:
        _check_inside(int(cells.min()), int(cells.max()), length)
        return (view.take(cells, axis) if dimension is not None else view[(*before, int(cells[0]))]), dimension
    if dimension is None:
        _check_inside(one.offset - origin, one.offset - origin, length)
        return view[(*before, one.offset - origin)], None
    first = one.offset + one.stride * low[dimension] - origin
    last = first + one.stride * (lengths[dimension] - 1)
    _check_inside(min(first, last), max(first, last), length)
    stop = last + (1 if one.stride > 0 else -1)
    return view[(*before, slice(first, stop if stop >= 0 else None, one.stride))], dimension


def _check_inside(low: int, high: int, length: int) -> None:
    if low < 0 or high >= length:
        raise bad(f"a transform reads cells {low} to {high} of an axis of {length}")
