"""A view as xarray takes arrays: `DatasetView`.

Owns NumPy's meaning where a plain `View` refuses: pointwise keys read, casts that lose values round as NumPy does. What is
value-free stays a view; functions that need values read them and give NumPy arrays. Hides ``chunks``, since xarray takes
every array that has them for one of a cluster. Refuses nothing that NumPy does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lazyzarr.algebra.selection import orthogonal
from lazyzarr.datasets import functions
from lazyzarr.described import NOTHING_OWNED
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.nodes import Node
from lazyzarr.operations.selecting import selected
from lazyzarr.view import View


class DatasetView(View):
    """A view that is the data of a variable of xarray.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> v = DatasetView.of(lz.open(np.arange(6).reshape(2, 3)))
    >>> isinstance(v[:, ::-1], lz.View), v[[0, 1], [2, 0]]
    (True, array([2, 3]))
    """

    __slots__ = ()

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name != "chunks"]

    @classmethod
    def of(cls, view: View) -> DatasetView:
        """The same view, as xarray takes it.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> DatasetView.of(lz.full((2,), 1, dtype="int8")).read()
        array([1, 1], dtype=int8)
        """
        if isinstance(view, cls):
            return view
        own, graph = view._own, view._graph
        return cls(view._node, view._inputs, own=own, graph=graph, reader=view.reader, dims=view.dims, attrs=view.attrs)

    def __getitem__(self, key: Any) -> Any:
        entries = key if isinstance(key, tuple) else (key,)
        arrays = [np.asarray(entry) for entry in entries if isinstance(entry, np.ndarray | list)]
        if len(arrays) < 2 and all(array.ndim <= 1 for array in arrays):
            return super().__getitem__(key)
        mesh = functions.open_mesh(entries, self.ndim)
        if mesh is not None:
            return selected(self, orthogonal(mesh, self.shape))
        return functions.pointwise(self, entries)

    def astype(self, dtype: Any, *_: Any, rounding: Any = None, out_of_range: Any = None, **__: Any) -> Any:
        """NumPy's cast, later: values that the type cannot hold are rounded as NumPy rounds them.

        Floating point as integers goes towards zero; where NumPy's result depends on the machine, reading is an error.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> DatasetView.of(lz.open(np.array([1.7, -1.7]))).astype("int8", copy=False).read()
        array([ 1, -1], dtype=int8)
        """
        if rounding is not None or out_of_range is not None:
            return super().astype(dtype, rounding=rounding, out_of_range=out_of_range)
        found = functions.cast(self, np.dtype(dtype))
        return DatasetView.of(found) if isinstance(found, View) else found

    def reshape(self, *shape: Any, order: Any = "C") -> Any:
        """NumPy's reshape; a view where axes are merged or have one cell, else values.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> DatasetView.of(lz.open(np.arange(6).reshape(2, 3))).reshape(6)[4].read()
        array(4)
        """
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, order=order)  # pyright: ignore[reportCallIssue, reportArgumentType]

    def to_numpy(self) -> np.ndarray:
        """The values.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> DatasetView.of(lz.full((2,), 1, dtype="int8")).to_numpy()
        array([1, 1], dtype=int8)
        """
        return self.read()

    def copy(self, order: str = "C") -> DatasetView:
        """Itself: a view does not change.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> DatasetView.of(lz.full((2,), 1, dtype="int8")).copy().shape
        (2,)
        """
        return self

    def __copy__(self) -> DatasetView:
        return self

    def __deepcopy__(self, memo: Any) -> DatasetView:
        return self

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        lazy = functions.LAZY.get(func)
        found = NotImplemented if lazy is None else lazy(*args, **kwargs)
        if found is NotImplemented:
            found = super().__array_function__(func, types, args, kwargs)
        return DatasetView.of(found) if isinstance(found, View) else found

    def __getattr__(self, name: str) -> Any:
        # methods of arrays that compute: xarray calls some of them by name; no `chunks`, which would say that it is of a cluster
        if name in functions.METHODS:
            return getattr(self.read(), name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _repr_inline_(self, max_width: int) -> str:
        return f"lazyzarr.View {self.flatness if self.size else ''}"[:max_width].rstrip()

    def _derived(
        self,
        node: Node,
        *,
        own: Graph = NOTHING_OWNED,
        dims: Sequence[str | None] | None = None,
        attrs: Mapping[str, Any] | None = None,
    ) -> View:
        return DatasetView.of(super()._derived(node, own=own, dims=dims, attrs=attrs))

    def _same(self, *, dims: Sequence[str | None] | None, attrs: Mapping[str, Any]) -> View:
        return DatasetView.of(super()._same(dims=dims, attrs=attrs))

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, super().__reduce__()


def _again(restore: Any, arguments: tuple[Any, ...]) -> DatasetView:
    return DatasetView.of(restore(*arguments))
