"""The array a person holds: `View`, immutable and lazy.

Owns the methods of an array, each of which adds one node or a few and reads nothing, and the NumPy
protocols. Refuses logic of its own: keys are resolved by `lazyzarr.algebra.selection`, shapes inferred by
`lazyzarr.ir.schema`, joins are in `lazyzarr.combine`, values are read by `lazyzarr.read`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from lazyzarr import casting, flattening, resolving
from lazyzarr.algebra.selection import basic
from lazyzarr.algebra.span import Span
from lazyzarr.described import NOTHING_OWNED, Described
from lazyzarr.ir import data_type as types
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.nodes import Node
from lazyzarr.operations import axes as axis_operations
from lazyzarr.operations import doors, recoding, selecting, transforming
from lazyzarr.operations.indexers import Orthogonal, Pointwise
from lazyzarr.read import Reader

ARRAY_FUNCTIONS: dict[Any, Callable[..., Any]] = {}
"""NumPy functions that give views when called on views; filled by `lazyzarr.numpy_protocol`."""


class View(Described, NDArrayOperatorsMixin):
    """An array whose cells are stored elsewhere, or nowhere yet.

    Views are made by `lazyzarr.open`, `lazyzarr.full`, the functions of `lazyzarr.combine` and the methods
    below; none of them reads a cell. ``np.asarray(view)``, `read` and `read_async` do.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> v = lz.full((4, 6), 7, dtype="int16")[1:3, ::-2]
    >>> v.shape, v.dtype, v.read().tolist()
    ((2, 3), dtype('int16'), [[7, 7, 7], [7, 7, 7]])
    >>> v.with_attrs({"units": "m"}).rename_dims(["y", "x"]).dims, v.attrs
    (('y', 'x'), {})
    """

    __slots__ = ()

    flatten = flattening.flatten
    manifest = flattening.manifest
    resolve_shards = resolving.resolve_shards
    select = transforming.select
    to_dask = doors.to_dask

    def __getitem__(self, key: Any) -> View:
        return selecting.selected(self, basic(key, self.shape))

    @property
    def oindex(self) -> Orthogonal:
        """Orthogonal selection: ``v.oindex[[3, 1], :, [0, 2]]`` takes the outer product.

        Examples
        --------
        >>> import numpy as np, lazyzarr as lz
        >>> v = lz.open(np.arange(6).reshape(2, 3))
        >>> v.oindex[[1, 0], [0, 2]].read().tolist()
        [[3, 5], [0, 2]]
        """
        return Orthogonal(self)

    @property
    def vindex(self) -> Pointwise:
        """Pointwise selection: ``v.vindex[[0, 1], [2, 3]]`` reads the points and returns them at once.

        Examples
        --------
        >>> import numpy as np, lazyzarr as lz
        >>> v = lz.open(np.arange(6).reshape(2, 3))
        >>> v.vindex[[1, 0], [0, 2]].tolist()
        [3, 2]
        """
        return Pointwise(self)

    def take(self, indices: Any, axis: int | None = None) -> View:
        """Cells at ``indices`` along an axis, as ``np.take``; rank 1 indices, or one integer.

        Raises
        ------
        SelectionError
            ``index-bounds``, or ``index-syntax`` without an axis on an array of rank other than 1.

        Examples
        --------
        >>> import numpy as np, lazyzarr as lz
        >>> v = lz.open(np.arange(6).reshape(2, 3))
        >>> v.take([2, 0], axis=1).read().tolist()
        [[2, 0], [5, 3]]
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

        Examples
        --------
        >>> import numpy as np, lazyzarr as lz
        >>> v = lz.open(np.arange(6).reshape(2, 3))
        >>> v.transpose(1, 0).read().tolist()
        [[0, 3], [1, 4], [2, 5]]
        """
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], SupportsIndex) else axes
        return axis_operations.transpose(self, order if axes else None)

    @property
    def T(self) -> View:
        """Axes reversed.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> lz.full((4, 6), 7, dtype="int16").T.shape
        (6, 4)
        """
        return self.transpose()

    def flip(self, axis: int | Iterable[int] | None = None) -> View:
        """Cells in reverse order along one axis, several, or all (None), as ``np.flip``.

        Examples
        --------
        >>> import numpy as np, lazyzarr as lz
        >>> v = lz.open(np.arange(6).reshape(2, 3))
        >>> v.flip(1).read().tolist()
        [[2, 1, 0], [5, 4, 3]]
        """
        return self._indexed(axis_operations.flipped(self, axis))

    def squeeze(self, axis: int | Iterable[int] | None = None) -> View:
        """Without axes of length 1, as ``np.squeeze``.

        Raises
        ------
        ShapeError
            When a named axis has another length.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> lz.full((1, 4, 1), 7, dtype="int16").squeeze(0).shape
        (4, 1)
        """
        return self._indexed(axis_operations.squeezed(self, axis))

    def expand_dims(self, axis: int | Iterable[int]) -> View:
        """New axes of length 1 at the given positions of the result, as ``np.expand_dims``.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> lz.full((4, 6), 7, dtype="int16").expand_dims((0, -1)).shape
        (1, 4, 6, 1)
        """
        return axis_operations.expand_dims(self, axis)

    def broadcast_to(self, shape: Sequence[int] | int) -> View:
        """Repeated to a shape without storing a cell twice, as ``np.broadcast_to``.

        Raises
        ------
        ShapeError
            When NumPy could not broadcast.

        Examples
        --------
        >>> import numpy as np, lazyzarr as lz
        >>> lz.open(np.arange(3)).broadcast_to((2, 3)).read().tolist()
        [[0, 1, 2], [0, 1, 2]]
        """
        return axis_operations.broadcast_to(self, shape)

    def rename_dims(self, names: Mapping[str, str] | Sequence[str | None]) -> View:
        """Other dimension names: a mapping from old to new, or one name per axis.

        Raises
        ------
        AxisError
            When an old name is not there or the number of names is not the rank.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> v = lz.full((4, 6), 7, dtype="int16").rename_dims(["t", "x"])
        >>> v.rename_dims({"t": "time"}).dims
        ('time', 'x')
        """
        return self._same(dims=axis_operations.renamed(self, names), attrs=self.attrs)

    def with_attrs(self, attrs: Mapping[str, Any]) -> View:
        """The same cells with these attributes instead.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> dict(lz.full(2, 0, dtype="int8").with_attrs({"units": "m"}).attrs)
        {'units': 'm'}
        """
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

        Examples
        --------
        >>> import numpy as np, lazyzarr as lz
        >>> packed = lz.open(np.array([0, 100, -1], "int16"))
        >>> packed.unpack(scale_factor=0.5, add_offset=10, fill_values=[-1]).read()
        array([10., 60., nan])
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

        Examples
        --------
        >>> import numpy as np, zarr, lazyzarr as lz
        >>> stored = zarr.create_array({}, data=np.array([1, 2], "int16"), compressors=None)
        >>> v = lz.open(stored).recode(codecs=[{"name": "bytes", "configuration": {"endian": "big"}}])
        >>> v.read().tolist()  # the same bytes, the other order
        [256, 512]
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

        Examples
        --------
        >>> import numpy as np, lazyzarr as lz
        >>> lz.open(np.arange(4))[1:3].read()
        array([1, 2])
        """
        return self.reader.read(self.ir, out=out)

    async def read_async(self, *, out: np.ndarray | None = None) -> np.ndarray:
        """The cells, without blocking the event loop; cancelling the task stops the read.

        Examples
        --------
        >>> import asyncio, numpy as np, lazyzarr as lz
        >>> asyncio.run(lz.open(np.arange(4))[1:3].read_async())
        array([1, 2])
        """
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

    def __int__(self) -> int:
        return int(self.read())

    def __index__(self) -> int:
        return operator.index(self.read())

    def __complex__(self) -> complex:
        return complex(self.read())

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.ir, self.reader, self.dims, dict(self.attrs))

    def _derived(
        self,
        node: Node,
        *,
        own: Graph = NOTHING_OWNED,
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
