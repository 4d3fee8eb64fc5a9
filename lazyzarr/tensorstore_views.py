"""Views of TensorStore specifications.

1. A leaf becomes a view of its array: of the metadata inside where they are assumed, else of those at the source.
2. An index transform becomes nodes (`lazyzarr.operations.transforming`); a stack becomes an overlay.
Refuses what a specification may not reach, stacks with cells that no layer has, and casts that lose values.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lazyzarr.access.policy import Grant
from lazyzarr.access.url import child, shown
from lazyzarr.algebra.boxes import pairs_compared, visible
from lazyzarr.casting import promotes
from lazyzarr.codecs.chain import compile_chain
from lazyzarr.combine import overlay
from lazyzarr.document.limits import Limits, chunk_bytes, longest_chain
from lazyzarr.errors import LazyZarrError, SelectionError
from lazyzarr.formats.index_transforms import Transform
from lazyzarr.formats.tensorstore_arrays import NOWHERE
from lazyzarr.formats.tensorstore_reading import (
    Spec,
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
from lazyzarr.operations.transforming import Placed, transformed
from lazyzarr.read import Reader
from lazyzarr.view import View


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

    def _placed(self, document: Any, depth: int) -> Placed:
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

    def _zarr(self, spec: Spec) -> Placed:
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
        self.limits.check("codecs", longest_chain(info.layout.codecs), where=where)
        self.limits.check("chunk_bytes", chunk_bytes(info.layout), where=where)
        compile_chain(info.layout)
        array = StoredArray(layout=0, shape=info.shape, location=url, stamp=stamp, grant=self._name)
        view = source(array, [info.layout], reader=self.reader, dims=info.dimension_names)
        return Placed(view, (0,) * view.ndim)

    def _constant(self, spec: Spec) -> Placed:
        info = _assumed(spec, spec.members.get("metadata"))
        self.limits.check("rank", len(info.shape))
        constant = Fill(info.shape, info.layout.data_type, info.layout.fill_value)
        return Placed(View(constant, reader=self.reader), (0,) * len(info.shape))

    def _array(self, spec: Spec) -> Placed:
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
        return Placed(view, (0,) * view.ndim)

    def _cast(self, spec: Spec, depth: int) -> Placed:
        if spec.dtype is None:
            raise bad("a cast has no dtype")
        below = self._placed(spec.members.get("base"), depth + 1)
        if not promotes(below.view.data_type, spec.dtype):
            raise unsupported(f"a cast from {below.view.data_type} to {spec.dtype}, which may lose values,")
        return below._replace(view=below.view.astype(spec.dtype))

    def _stack(self, spec: Spec, depth: int) -> Placed:
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
        return Placed(joined, tuple(int(n) for n in low))

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


def _transformed(found: Placed, transform: Transform) -> Placed:
    try:
        return transformed(found, transform)
    except SelectionError as error:
        raise bad(str(error)) from error
