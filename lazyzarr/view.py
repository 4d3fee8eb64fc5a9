"""The array a person holds: `View`, immutable and lazy.

Owns the methods of an array, each of which adds one node or a few and reads nothing, and the NumPy
protocols. Refuses logic of its own: keys are resolved by `lazyzarr.algebra.selection`, shapes inferred by
`lazyzarr.ir.schema`, joins are in `lazyzarr.combine`, values are read by `lazyzarr.read`.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from lazyzarr import casting, flattening, resolving
from lazyzarr.algebra.selection import basic
from lazyzarr.algebra.span import Span
from lazyzarr.display.flat import flatness_of
from lazyzarr.display.html import view_html
from lazyzarr.display.text import view_text
from lazyzarr.errors import ShapeError
from lazyzarr.ir import data_type as types
from lazyzarr.ir import fill
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import NamedConfig, StoredArray
from lazyzarr.ir.nodes import Node
from lazyzarr.ir.schema import Schema, infer, infer_node
from lazyzarr.operations import axes as axis_operations
from lazyzarr.operations import recoding, selecting
from lazyzarr.operations.indexers import Orthogonal, Pointwise
from lazyzarr.operations.linking import flat_graph
from lazyzarr.read import Reader
from lazyzarr.stages import Stage, explain, render_problems

if TYPE_CHECKING:
    import networkx

_NOTHING_OWNED = Graph(())

ARRAY_FUNCTIONS: dict[Any, Callable[..., Any]] = {}
"""NumPy functions that give views when called on views; filled by `lazyzarr.numpy_protocol`."""


class View(NDArrayOperatorsMixin):
    """An array whose cells are stored elsewhere, or nowhere yet.

    Views are made by `lazyzarr.open`, `lazyzarr.full`, the functions of `lazyzarr.combine` and the methods
    below; none of them reads a cell. ``np.asarray(view)``, `read` and `read_async` do.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> v = lz.full((4, 6), 7, dtype="int16")[1:3, ::-2]
    >>> v.shape, v.dtype, v.read().tolist()
    ((2, 3), dtype('int16'), [[7, 7, 7], [7, 7, 7]])
    """

    __slots__ = ("__weakref__", "_graph", "_inputs", "_node", "_own", "_schema", "attrs", "dims", "reader")

    attrs: Mapping[str, Any]
    """Attributes of the user (CF and others)."""
    dims: tuple[str | None, ...] | None
    """Names of the dimensions, or None."""

    def __init__(
        self,
        node: Node | None,
        inputs: Sequence[View] = (),
        *,
        own: Graph = _NOTHING_OWNED,
        graph: Graph | None = None,
        reader: Reader | None = None,
        dims: Sequence[str | None] | None = None,
        attrs: Mapping[str, Any] | None = None,
    ) -> None:
        self._node = node
        self._inputs = tuple(inputs)
        self._own = own
        self._graph = graph
        if graph is not None:
            self._schema = infer(graph)[-1]
        else:
            assert node is not None
            self._schema = infer_node(node, [view._schema for view in inputs], own)
            if math.prod(self._schema.shape) > 2**63 - 1:
                raise ShapeError(f"the result has shape {self._schema.shape}; a view has at most 2^63 - 1 cells")
        self.reader = reader or Reader.joined([view.reader for view in inputs])
        self.dims = None if dims is None else tuple(dims)
        self.attrs = dict(attrs or {})

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells along each axis."""
        return self._schema.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self._schema.shape)

    @property
    def size(self) -> int:
        """Number of cells."""
        return math.prod(self._schema.shape)

    @property
    def data_type(self) -> str | NamedConfig:
        """Zarr v3 data type."""
        return self._schema.data_type

    @property
    def dtype(self) -> np.dtype:
        """NumPy type, in native byte order."""
        return types.to_numpy(self._schema.data_type)

    @property
    def fill_value(self) -> Any:
        """What cells that are stored nowhere read as; where sources differ, that of the first."""
        return fill.from_json(self._schema.fill_value, self._schema.data_type)

    @property
    def nbytes(self) -> int:
        """Size of the values when read [bytes]."""
        return self.size * self.dtype.itemsize

    @property
    def schema(self) -> Schema:
        """Shape, data type and fill value as stored."""
        return self._schema

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Cells per chunk of the grid that reads every stored chunk once, or None if there is no such regular grid."""
        return flatness_of(self.ir).chunk_shape

    @property
    def flatness(self) -> str:
        """How flat the view is: "L0" to "L4" (see `lazyzarr.lower.flatness`)."""
        return flatness_of(self.ir).level

    @property
    def is_flat(self) -> bool:
        """Whether any Zarr v3 reader could read the view over a store of byte ranges (L0)."""
        return self.flatness == "L0"

    def sources(self) -> list[StoredArray]:
        """The stored arrays below the view, in the order of the graph."""
        return self.reader.stored_arrays(self.ir)

    @property
    def ir(self) -> Graph:
        """The view as a flat graph: what is stored, optimized, lowered and read."""
        if self._graph is None:
            self._graph = flat_graph(self)
        return self._graph

    def graph(self) -> networkx.DiGraph[int]:
        """The graph for algorithms over graphs and for drawing; edges go from input to user.

        Nodes are positions in `ir` with the attributes ``op``, ``shape``, ``data_type`` and ``label``.
        """
        # networkx costs 0.1 s to import and only this needs it
        return importlib.import_module("lazyzarr.topology").digraph(self.ir)

    def explain(self, stage: Stage = "optimized", *, trace: bool = False) -> str:
        """What the view becomes at a stage of planning, as text.

        Parameters
        ----------
        stage
            One of "built", "optimized", "placements", "manifest", "located", "plan".
        trace
            List every rule that fired, too.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> print(lz.full((2,), 0, dtype="int8").explain("built"))
        0  fill      (2,) int8  value 0
        """
        return explain(self.ir, stage, reader=self.reader, trace=trace)

    def why_not_flat(self) -> list[str]:
        """Every reason why the class is not L0, each with its remedy; empty when it is."""
        return render_problems(flatness_of(self.ir))

    flatten = flattening.flatten
    manifest = flattening.manifest
    resolve_shards = resolving.resolve_shards

    def __getitem__(self, key: Any) -> View:
        return selecting.selected(self, basic(key, self.shape))

    @property
    def oindex(self) -> Orthogonal:
        """Orthogonal selection: ``v.oindex[[3, 1], :, [0, 2]]`` takes the outer product."""
        return Orthogonal(self)

    @property
    def vindex(self) -> Pointwise:
        """Pointwise selection: ``v.vindex[[0, 1], [2, 3]]`` reads the points and returns them at once."""
        return Pointwise(self)

    def take(self, indices: Any, axis: int | None = None) -> View:
        """Cells at ``indices`` along an axis, as ``np.take``; rank 1 indices, or one integer.

        Raises
        ------
        SelectionError
            ``index-bounds``, or ``index-syntax`` without an axis on an array of rank other than 1.
        """
        return selecting.take(self, indices, axis)

    def _indexed(self, axes: Sequence[Span | int]) -> View:
        return selecting.indexed(self, axes)

    def transpose(self, *axes: Any) -> View:
        """Axes in another order, as ``ndarray.transpose``; without arguments reversed.

        Raises
        ------
        AxisError
            When the axes are no permutation.
        """
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], SupportsIndex) else axes
        return axis_operations.transpose(self, order if axes else None)

    @property
    def T(self) -> View:
        """Axes reversed."""
        return self.transpose()

    def flip(self, axis: int | Iterable[int] | None = None) -> View:
        """Cells in reverse order along one axis, several, or all (None), as ``np.flip``."""
        return self._indexed(axis_operations.flipped(self, axis))

    def squeeze(self, axis: int | Iterable[int] | None = None) -> View:
        """Without axes of length 1, as ``np.squeeze``.

        Raises
        ------
        ShapeError
            When a named axis has another length.
        """
        return self._indexed(axis_operations.squeezed(self, axis))

    def expand_dims(self, axis: int | Iterable[int]) -> View:
        """New axes of length 1 at the given positions of the result, as ``np.expand_dims``."""
        return axis_operations.expand_dims(self, axis)

    def broadcast_to(self, shape: Sequence[int] | int) -> View:
        """Repeated to a shape without storing a cell twice, as ``np.broadcast_to``.

        Raises
        ------
        ShapeError
            When NumPy could not broadcast.
        """
        return axis_operations.broadcast_to(self, shape)

    def rename_dims(self, names: Mapping[str, str] | Sequence[str | None]) -> View:
        """Other dimension names: a mapping from old to new, or one name per axis.

        Raises
        ------
        AxisError
            When an old name is not there or the number of names is not the rank.
        """
        return self._same(dims=axis_operations.renamed(self, names), attrs=self.attrs)

    def with_attrs(self, attrs: Mapping[str, Any]) -> View:
        """The same cells with these attributes instead."""
        return self._same(dims=self.dims, attrs=attrs)

    def astype(
        self,
        dtype: Any,
        *,
        rounding: casting.Rounding | None = None,
        out_of_range: casting.OutOfRange | None = None,
    ) -> View:
        """Another data type, value by value.

        Parameters
        ----------
        dtype
            Target type.
        rounding
            "nearest-even", "towards-zero", "towards-positive", "towards-negative" or "nearest-away"; must be
            named where a value may not be exact in the target.
        out_of_range
            "clamp" or "wrap"; without it a value outside the target is an error when it is read.

        Raises
        ------
        CastError
            ``cast-lossy``: values may be lost and no rounding was named.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> lz.full((2,), 1.5, dtype="float64").astype("int8", rounding="nearest-even").read()
        array([2, 2], dtype=int8)
        """
        target = types.from_numpy(np.dtype(dtype))
        if target == self.data_type:
            return self
        codec = casting.cast_codec(self.data_type, target, rounding, out_of_range)
        return recoding.decoded(self, [codec], target)

    def unpack(
        self,
        *,
        scale_factor: float | None = None,
        add_offset: float | None = None,
        fill_values: Sequence[Any] = (),
        dtype: Any = "float64",
    ) -> View:
        """CF unpacking: cells equal to a fill value become NaN, then times ``scale_factor``, plus ``add_offset``.

        Computed in ``dtype``, multiply first, as the CF conventions say. Without any number those of the
        attributes are used; the packing attributes are gone from the result.
        """
        target = types.from_numpy(np.dtype(dtype))
        return recoding.unpacked(self, scale_factor, add_offset, fill_values, target)

    def recode(
        self,
        *,
        codecs: Sequence[Mapping[str, Any] | str] | None = None,
        data_type: Any = None,
        fill_value: Any = None,
    ) -> View:
        """Read the stored bytes below with another codec chain, data type or fill value.

        Raises
        ------
        ViewSchemaError
            ``graph-type`` when the view is not a stored array as it was opened.
        """
        return recoding.recoded(self, codecs, data_type, fill_value)

    def read(self, *, out: np.ndarray | None = None) -> np.ndarray:
        """The cells.

        Parameters
        ----------
        out
            Array of the same shape and type to read into.

        Raises
        ------
        ChunkError, SourceError
            Naming array, chunk, location, offset and length of the chunk that failed.
        """
        return self.reader.read(self.ir, out=out)

    async def read_async(self, *, out: np.ndarray | None = None) -> np.ndarray:
        """The cells, without blocking the event loop; cancelling the task stops the read."""
        return await self.reader.read_async(self.ir, out=out)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("a view has no memory to share; call np.asarray(view) without copy=False")
        values = self.read()
        return values if dtype is None else values.astype(dtype, copy=False)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        lazy = ARRAY_FUNCTIONS.get(func)
        if lazy is not None:
            return lazy(*args, **kwargs)
        return func(*_valued(args), **_valued(kwargs))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return getattr(ufunc, method)(*_valued(inputs), **_valued(kwargs))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a view of rank 0")
        return self.shape[0]

    def __iter__(self) -> Any:
        return (self[k] for k in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.read())

    def __float__(self) -> float:
        return float(self.read())

    def __hash__(self) -> int:
        return hash(self.token())

    def token(self) -> str:
        """A name of the view that is the same in every process: the digest of its graph."""
        return self.ir.digest()

    def __dask_tokenize__(self) -> tuple[str, ...]:
        return ("lazyzarr.View", self.token())

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.ir, self.reader, self.dims, dict(self.attrs))

    def __repr__(self) -> str:
        return view_text(self.ir, self.schema, self.dims)

    def _repr_html_(self) -> str:
        return view_html(self.ir, self.schema, self.dims, self.attrs)

    def _derived(
        self,
        node: Node,
        *,
        own: Graph = _NOTHING_OWNED,
        dims: Sequence[str | None] | None = None,
        attrs: Mapping[str, Any] | None = None,
    ) -> View:
        return View(node, (self,), own=own, reader=self.reader, dims=dims, attrs=self.attrs if attrs is None else attrs)

    def _same(self, *, dims: Sequence[str | None] | None, attrs: Mapping[str, Any]) -> View:
        return View(
            self._node, self._inputs, own=self._own, graph=self._graph, reader=self.reader, dims=dims, attrs=attrs
        )


def _restored(graph: Graph, reader: Reader, dims: Any, attrs: Any) -> View:
    return View(None, graph=graph, reader=reader, dims=dims, attrs=attrs)


def _valued(arguments: Any) -> Any:
    """Arguments with every view, also inside sequences, read."""
    if isinstance(arguments, View):
        return arguments.read()
    if isinstance(arguments, tuple | list):
        return type(arguments)(_valued(a) for a in arguments)
    if isinstance(arguments, dict):
        return {key: _valued(value) for key, value in arguments.items()}
    return arguments
