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

import msgspec
import numpy as np

from lazyzarr import casting
from lazyzarr.access.url import shown
from lazyzarr.algebra.selection import Selection, basic, gather_indices, normalize_axis, orthogonal
from lazyzarr.algebra.span import Span, compose, from_slice, whole
from lazyzarr.display.flat import flatness_of, glance
from lazyzarr.display.html import view_html
from lazyzarr.display.text import view_text
from lazyzarr.errors import AxisError, SelectionError, ShapeError, ViewSchemaError
from lazyzarr.ir import data_type as types
from lazyzarr.ir import fill
from lazyzarr.ir.graph import Graph, GraphBuilder
from lazyzarr.ir.layout import Layout, NamedConfig, StoredArray
from lazyzarr.ir.nodes import Broadcast, Decode, Fill, Index, Node, Recode, Source, Take, Tiles, Transpose
from lazyzarr.ir.schema import Schema, infer, infer_node
from lazyzarr.ir.tables import Table
from lazyzarr.read import Reader
from lazyzarr.stages import Stage, explain, render_problems

if TYPE_CHECKING:
    import networkx

_NOTHING_OWNED = Graph(())

ArrayFunction = Callable[..., Any]
ARRAY_FUNCTIONS: dict[Any, ArrayFunction] = {}
"""NumPy functions that give views when called on views; filled by `lazyzarr.numpy_protocol`."""


class View:
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

    # -- what it is ---------------------------------------------------------------------------------

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

    def advised_grid(self) -> tuple[int, ...] | None:
        """`chunks` where finding them is cheap; views of very many arrays are saved without."""
        found = glance(self.ir)
        return None if found is None else found.chunk_shape

    def sources(self) -> list[StoredArray]:
        """The stored arrays below the view, in the order of the graph."""
        return self.reader.stored_arrays(self.ir)

    @property
    def ir(self) -> Graph:
        """The view as a flat graph: what is stored, optimized, lowered and read."""
        if self._graph is None:
            self._graph = self._inputs[0].ir.then(self._node) if isinstance(self._node, Index) else _flat(self)
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

    def place(self) -> str:
        """Where the cells come from, for messages: the location of the first stored array, or ""."""
        view = self
        while view._inputs:
            view = view._inputs[0]
        arrays = view._own.arrays or (view._graph.arrays if view._graph is not None else ())
        return shown(arrays[0].location or "") if arrays else ""

    # -- selecting ------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> View:
        return self._selected(basic(key, self.shape))

    @property
    def oindex(self) -> _Orthogonal:
        """Orthogonal selection: ``v.oindex[[3, 1], :, [0, 2]]`` takes the outer product."""
        return _Orthogonal(self)

    @property
    def vindex(self) -> _Pointwise:
        """Pointwise selection: ``v.vindex[[0, 1], [2, 3]]`` reads the points and returns them at once."""
        return _Pointwise(self)

    def take(self, indices: Any, axis: int | None = None) -> View:
        """Cells at ``indices`` along an axis, as ``np.take``; rank 1 indices, or one integer.

        Raises
        ------
        SelectionError
            ``index-bounds``, or ``index-syntax`` without an axis on an array of rank other than 1.
        """
        if axis is None:
            if self.ndim != 1:
                raise SelectionError(
                    f"take without axis flattens; the view has rank {self.ndim}; give axis=, or read it first"
                )
            axis = 0
        number = normalize_axis(axis, self.ndim)
        if np.ndim(indices) == 0:
            return self[(slice(None),) * number + (indices,)]
        found = gather_indices(indices, self.shape[number], axis=number)
        axes = tuple(whole(n) for n in self.shape)
        return self._selected(Selection(axes, ((number, found),), None, ()))

    def _selected(self, selection: Selection) -> View:
        view = self._indexed(selection.axes)
        for axis, indices in selection.gathers:
            table = Table({"indices": indices.astype(np.int64)})
            view = view._derived(
                Take(0, axis, table.name), own=Graph((), tables={table.name: table}), dims=view.dims
            )
        if selection.order is not None:
            view = view.transpose(selection.order)
        return view.expand_dims(selection.new_axes) if selection.new_axes else view

    def _indexed(self, axes: Sequence[Span | int]) -> View:
        if all(isinstance(a, Span) and a == whole(n) for a, n in zip(axes, self.shape, strict=True)):
            return self
        dims = None if self.dims is None else [d for d, a in zip(self.dims, axes, strict=True) if isinstance(a, Span)]
        if isinstance(self._node, Index):  # the composition of two basic selections is one
            rest = iter(axes)
            composed = tuple(a if isinstance(a, int) else _composed(a, next(rest)) for a in self._node.axes)
            return self._inputs[0]._derived(Index(0, composed), dims=dims, attrs=self.attrs)
        return self._derived(Index(0, tuple(axes)), dims=dims)

    # -- axes -----------------------------------------------------------------------------------------

    def transpose(self, *axes: Any) -> View:
        """Axes in another order, as ``ndarray.transpose``; without arguments reversed.

        Raises
        ------
        AxisError
            When the axes are no permutation.
        """
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], SupportsIndex) else axes
        if order is None or (not axes and order == ()):
            order = range(self.ndim)[::-1]
        numbers = tuple(normalize_axis(axis, self.ndim) for axis in order)
        if sorted(numbers) != list(range(self.ndim)):
            raise AxisError(
                f"transpose to axes {tuple(order)}; the view has rank {self.ndim}; name every axis once"
            )
        if numbers == tuple(range(self.ndim)):
            return self
        dims = None if self.dims is None else [self.dims[k] for k in numbers]
        return self._derived(Transpose(0, numbers), dims=dims)

    @property
    def T(self) -> View:
        """Axes reversed."""
        return self.transpose()

    def flip(self, axis: int | Iterable[int] | None = None) -> View:
        """Cells in reverse order along one axis, several, or all (None), as ``np.flip``."""
        numbers = set(range(self.ndim) if axis is None else _axes(axis, self.ndim))
        return self._indexed(
            [from_slice(slice(None, None, -1), n) if k in numbers else whole(n) for k, n in enumerate(self.shape)]
        )

    def squeeze(self, axis: int | Iterable[int] | None = None) -> View:
        """Without axes of length 1, as ``np.squeeze``.

        Raises
        ------
        ShapeError
            When a named axis has another length.
        """
        single = [k for k, n in enumerate(self.shape) if n == 1]
        numbers = single if axis is None else list(_axes(axis, self.ndim))
        wrong = [k for k in numbers if self.shape[k] != 1]
        if wrong:
            raise ShapeError(f"squeeze of axis {wrong[0]}; it has length {self.shape[wrong[0]]}; only length 1 can go")
        return self._indexed([0 if k in numbers else whole(n) for k, n in enumerate(self.shape)])

    def expand_dims(self, axis: int | Iterable[int]) -> View:
        """New axes of length 1 at the given positions of the result, as ``np.expand_dims``."""
        count = 1 if isinstance(axis, SupportsIndex) else len(tuple(axis))  # type: ignore[arg-type]
        new = sorted(_axes(axis, self.ndim + count))
        old = [k for k in range(self.ndim + count) if k not in new]
        shape = [1] * (self.ndim + count)
        dims: list[str | None] = [None] * (self.ndim + count)
        for k, n in zip(old, self.shape, strict=True):
            shape[k] = n
        for k, name in zip(old, self.dims or (), strict=False):
            dims[k] = name
        return self._derived(Broadcast(0, tuple(shape), tuple(old)), dims=dims if self.dims is not None else None)

    def broadcast_to(self, shape: Sequence[int] | int) -> View:
        """Repeated to a shape without storing a cell twice, as ``np.broadcast_to``.

        Raises
        ------
        ShapeError
            When NumPy could not broadcast.
        """
        target = (shape,) if isinstance(shape, SupportsIndex) else tuple(shape)
        to = tuple(int(n) for n in target)
        extra = len(to) - self.ndim
        fits = extra >= 0 and all(n in (1, m) for n, m in zip(self.shape, to[max(extra, 0) :], strict=False))
        if not fits or any(n < 0 for n in to):
            raise ShapeError(
                f"broadcast of shape {self.shape} to {to}; an axis of length 1 can be repeated, others must be equal"
            )
        if to == self.shape:
            return self
        dims = None if self.dims is None else [*[None] * extra, *self.dims]
        return self._derived(Broadcast(0, to, tuple(range(extra, len(to)))), dims=dims)

    def rename_dims(self, names: Mapping[str, str] | Sequence[str | None]) -> View:
        """Other dimension names: a mapping from old to new, or one name per axis.

        Raises
        ------
        AxisError
            When an old name is not there or the number of names is not the rank.
        """
        if isinstance(names, Mapping):
            missing = [name for name in names if name not in (self.dims or ())]
            if missing:
                raise AxisError(f"rename of dimension {missing[0]!r}; the view has {self.dims}; give one of these")
            new = [names.get(d, d) if d is not None else None for d in self.dims or ()]
        else:
            new = list(names)
        if len(new) != self.ndim:
            raise AxisError(f"rename to {new}; the view has rank {self.ndim}; give one name per axis")
        return self._same(dims=new, attrs=self.attrs)

    def with_attrs(self, attrs: Mapping[str, Any]) -> View:
        """The same cells with these attributes instead."""
        return self._same(dims=self.dims, attrs=attrs)

    # -- values ---------------------------------------------------------------------------------------

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
        return self._decoded([codec], target)

    def unpack(
        self,
        *,
        scale_factor: float | None = None,
        add_offset: float | None = None,
        fill_values: Sequence[Any] = (),
        dtype: Any = "float64",
    ) -> View:
        """CF unpacking: cells equal to a fill value become NaN, then times ``scale_factor``, plus ``add_offset``.

        Computed in ``dtype``, multiply first, as the CF conventions say.
        """
        target = types.from_numpy(np.dtype(dtype))
        return self._decoded([casting.unpack_codec(self.data_type, target, scale_factor, add_offset, fill_values)], target)

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
        if not isinstance(self._node, Source | Tiles | Recode):
            raise ViewSchemaError(
                "recode of a view that is not a stored array; only stored bytes have codecs; recode before slicing or joining",
                reason="graph-type",
            )
        old = self._layout()
        new_type = old.data_type if data_type is None else casting.data_type_of(data_type)
        new_fill = old.fill_value if fill_value is None else fill.to_json(fill_value, new_type)
        if fill_value is None and new_type != old.data_type:
            new_fill = fill.zero(new_type)
        chain = old.codecs if codecs is None else tuple(casting.codec_of(c) for c in codecs)
        layout = msgspec.structs.replace(old, data_type=new_type, fill_value=new_fill, codecs=chain)
        source = self._inputs[0] if isinstance(self._node, Recode) else self
        return source._derived(Recode(0, 0), own=Graph((), layouts=[layout]), dims=self.dims, attrs=self.attrs)

    def _layout(self) -> Layout:
        if isinstance(self._node, Source):
            return self._own.layouts[self._own.arrays[self._node.array].layout]
        if isinstance(self._node, Recode):
            return self._own.layouts[self._node.layout]
        assert isinstance(self._node, Tiles)
        return self._own.layouts[self._node.layouts[0]]

    def _decoded(self, codecs: Sequence[NamedConfig], target: types.DataType) -> View:
        value = casting.decoded_fill(self._schema, codecs, target)
        return self._derived(Decode(0, tuple(codecs), target, value), dims=self.dims)

    # -- reading --------------------------------------------------------------------------------------

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

    # -- being a Python object ------------------------------------------------------------------------

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a view of rank 0")
        return self.shape[0]

    def __iter__(self) -> Any:
        return (self[k] for k in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.read())

    def __int__(self) -> int:
        return int(self.read())

    def __float__(self) -> float:
        return float(self.read())

    def __hash__(self) -> int:
        return hash(self.token())

    def __eq__(self, other: object) -> bool:  # identity of meaning, so that views can be keys
        return isinstance(other, View) and (self is other or self.token() == other.token())

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

    # -- making more ----------------------------------------------------------------------------------

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


class _Orthogonal:
    def __init__(self, view: View) -> None:
        self._view = view

    def __getitem__(self, key: Any) -> View:
        return self._view._selected(orthogonal(key, self._view.shape))


class _Pointwise:
    def __init__(self, view: View) -> None:
        self._view = view

    def __getitem__(self, key: Any) -> np.ndarray:
        return self._view.reader.read_points(self._view.ir, key)


def source(
    array: StoredArray,
    layouts: Sequence[Layout],
    *,
    reader: Reader,
    tables: Mapping[str, Table] | None = None,
    dims: Sequence[str | None] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> View:
    """View of one stored array; ``array.layout`` is a position in ``layouts``."""
    own = Graph((), layouts=layouts, arrays=[array], tables=tables)
    return View(Source(0), own=own, reader=reader, dims=dims, attrs=attrs)


def full(shape: Sequence[int] | int, value: Any, *, dtype: Any = None) -> View:
    """A constant view, as ``np.full``; it is stored as its value.

    Examples
    --------
    >>> full((2, 2), 3, dtype="uint8").read().tolist()
    [[3, 3], [3, 3]]
    """
    numpy_type = np.asarray(value).dtype if dtype is None else np.dtype(dtype)
    data_type = types.from_numpy(numpy_type)
    lengths = (shape,) if isinstance(shape, SupportsIndex) else tuple(shape)
    if any(int(n) < 0 for n in lengths):
        raise ShapeError(f"full of shape {lengths}; lengths are at least 0")
    return View(Fill(tuple(int(n) for n in lengths), data_type, casting.exact_fill(value, data_type)), reader=Reader())


def _restored(graph: Graph, reader: Reader, dims: Any, attrs: Any) -> View:
    return View(None, graph=graph, reader=reader, dims=dims, attrs=attrs)


def _flat(view: View) -> Graph:
    """Flat graph of linked views: depth first with an explicit stack, every shared view once."""
    build = GraphBuilder()
    at: dict[int, int] = {}
    stack = [view]
    while stack:
        current = stack[-1]
        if id(current) in at:
            stack.pop()
            continue
        if current._graph is not None:
            at[id(current)] = build.graph_of(current._graph)
            continue
        waiting = [child for child in current._inputs if id(child) not in at]
        if waiting:
            stack.extend(reversed(waiting))
            continue
        assert current._node is not None
        at[id(current)] = build.adopt(current._node, [at[id(child)] for child in current._inputs], current._own)
    return build.build(at[id(view)])


def _composed(outer: Span, inner: Span | int) -> Span | int:
    return outer.start + outer.step * inner if isinstance(inner, int) else compose(outer, inner)


def _axes(axis: Any, rank: int) -> tuple[int, ...]:
    numbers = tuple(normalize_axis(a, rank) for a in ((axis,) if isinstance(axis, SupportsIndex) else tuple(axis)))
    if len(set(numbers)) != len(numbers):
        raise AxisError(f"axes {axis} name an axis twice; name each once")
    return numbers


def _valued(arguments: Any) -> Any:
    """Arguments with every view, also inside sequences, read."""
    if isinstance(arguments, View):
        return arguments.read()
    if isinstance(arguments, tuple | list):
        return type(arguments)(_valued(a) for a in arguments)
    if isinstance(arguments, dict):
        return {key: _valued(value) for key, value in arguments.items()}
    return arguments


__all__ = ["View", "full", "source"]
