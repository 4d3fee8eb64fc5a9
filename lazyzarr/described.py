"""What a view is and what it says of itself: `Described`, the part of `View` that makes nothing new.

Owns the state of a view (its node with the views below it, or its graph) and every fact that metadata alone tell:
shape, type, class, sources, the graph, the text of each stage. Refuses to make other views (`lazyzarr.view`) and to
read values.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

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
from lazyzarr.operations.linking import flat_graph
from lazyzarr.read import Reader
from lazyzarr.stages import Stage, explain, render_problems

if TYPE_CHECKING:
    import networkx

    from lazyzarr.view import View

NOTHING_OWNED = Graph(())
"""What the node of a view owns that names no array, layout or table."""


class Described:
    """The facts of a view; `View` adds what makes new views and what reads."""

    __slots__ = ("__weakref__", "_graph", "_inputs", "_node", "_own", "_schema", "attrs", "dims", "reader")

    attrs: Mapping[str, Any]
    """Attributes of the user (CF and others)."""
    dims: tuple[str | None, ...] | None
    """Names of the dimensions, or None."""
    chunks: tuple[int, ...] | None
    """Cells per chunk of the grid that reads every stored chunk once, or None if there is no such regular grid."""

    def __init__(
        self,
        node: Node | None,
        inputs: Sequence[View] = (),
        *,
        own: Graph = NOTHING_OWNED,
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

    def __getattr__(self, name: str) -> Any:
        """`chunks`, which is no property: xarray takes all arrays whose class has one for arrays of a cluster.

        Examples
        --------
        >>> import zarr, lazyzarr as lz
        >>> v = lz.open(zarr.zeros((4, 6), chunks=(2, 6)))
        >>> v.chunks, v.T.chunks, lz.concat([v[:3], v]).chunks
        ((2, 6), (6, 2), None)
        """
        if name == "chunks":
            return flatness_of(self.ir).chunk_shape
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), "chunks"]

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells along each axis.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> lz.full((4, 6), 7, dtype="int16")[1:3].shape
        (2, 6)
        """
        return self._schema.shape

    @property
    def ndim(self) -> int:
        """Number of axes.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> lz.full((4, 6), 7, dtype="int16").ndim
        2
        """
        return len(self._schema.shape)

    @property
    def size(self) -> int:
        """Number of cells.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> lz.full((4, 6), 7, dtype="int16").size
        24
        """
        return math.prod(self._schema.shape)

    @property
    def data_type(self) -> str | NamedConfig:
        """Zarr v3 data type.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> lz.full(3, 0, dtype="datetime64[s]").data_type.name
        'numpy.datetime64'
        >>> lz.full(3, 0, dtype="int16").data_type
        'int16'
        """
        return self._schema.data_type

    @property
    def dtype(self) -> np.dtype:
        """NumPy type, in native byte order.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> lz.full(3, 0, dtype=">i2").dtype
        dtype('int16')
        """
        return types.to_numpy(self._schema.data_type)

    @property
    def fill_value(self) -> Any:
        """What cells that are stored nowhere read as; where sources differ, that of the first.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> lz.full(3, -1, dtype="int16").fill_value
        np.int16(-1)
        """
        return fill.from_json(self._schema.fill_value, self._schema.data_type)

    @property
    def nbytes(self) -> int:
        """Size of the values when read [bytes].

        Examples
        --------
        >>> import lazyzarr as lz
        >>> lz.full((4, 6), 7, dtype="int16").nbytes
        48
        """
        return self.size * self.dtype.itemsize

    @property
    def schema(self) -> Schema:
        """Shape, data type and fill value as stored.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> lz.full((4, 6), 7, dtype="int16").schema
        Schema(shape=(4, 6), data_type='int16', fill_value=7)
        """
        return self._schema

    @property
    def flatness(self) -> str:
        """How flat the view is: "L0" to "L4" (see `lazyzarr.lower.flatness`).

        Examples
        --------
        >>> import zarr, lazyzarr as lz
        >>> v = lz.open(zarr.zeros((4, 6), chunks=(2, 6)))
        >>> v[2:].flatness, v[1:].flatness
        ('L0', 'L2')
        """
        return flatness_of(self.ir).level

    @property
    def is_flat(self) -> bool:
        """Whether any Zarr v3 reader could read the view over a store of byte ranges (L0).

        Examples
        --------
        >>> import zarr, lazyzarr as lz
        >>> v = lz.open(zarr.zeros((4, 6), chunks=(2, 6)))
        >>> v[2:].is_flat, v[::-1].is_flat
        (True, False)
        """
        return self.flatness == "L0"

    def sources(self) -> list[StoredArray]:
        """The stored arrays below the view, in the order of the graph.

        Examples
        --------
        >>> import zarr, lazyzarr as lz
        >>> v = lz.open(zarr.zeros((4, 6), chunks=(2, 6)))
        >>> [array.shape for array in lz.concat([v[::2], v]).sources()]
        [(4, 6)]
        """
        return self.reader.stored_arrays(self.ir)

    @property
    def ir(self) -> Graph:
        """The view as a flat graph: what is stored, optimized, lowered and read.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> len(lz.full((2, 3), 0, dtype="int8").T.ir.nodes)
        2
        """
        if self._graph is None:
            self._graph = flat_graph(self)
        return self._graph

    def graph(self) -> networkx.DiGraph[int]:
        """The graph for algorithms over graphs and for drawing; edges go from input to user.

        Nodes are positions in `ir` with the attributes ``op``, ``shape``, ``data_type`` and ``label``.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> [node["op"] for _, node in lz.full((2, 3), 0, dtype="int8").T.graph().nodes(data=True)]
        ['fill', 'transpose']
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

        Raises
        ------
        SelectionError
            ``index-syntax``: there is no such stage.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> print(lz.full((2,), 0, dtype="int8").explain("built"))
        0  fill      (2,) int8  value 0
        """
        return explain(self.ir, stage, reader=self.reader, trace=trace)

    def why_not_flat(self) -> list[str]:
        """Every reason why the class is not L0, each with its remedy; empty when it is.

        Examples
        --------
        >>> import zarr, lazyzarr as lz
        >>> v = lz.open(zarr.zeros((4, 6), chunks=(2, 6)))
        >>> v.why_not_flat(), [reason.partition(",")[0] for reason in v[::-1].why_not_flat()]
        ([], ['L2: 2 of 2 fragments are read backwards'])
        """
        return render_problems(flatness_of(self.ir))

    def __hash__(self) -> int:
        return hash(self.token())

    def token(self) -> str:
        """A name of the view that is the same in every process: the digest of its graph.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> lz.full(2, 0, dtype="int8").token() == lz.full(2, 0, dtype="int8").token()
        True
        """
        return self.ir.digest()

    def __dask_tokenize__(self) -> tuple[str, ...]:
        return ("lazyzarr.View", self.token())

    def __repr__(self) -> str:
        return view_text(self.ir, self.schema, self.dims)

    def _repr_html_(self) -> str:
        return view_html(self.ir, self.schema, self.dims, self.attrs)
