"""What a package that adds a node kind uses: `NodeKind`, `Schema`, `register`, `apply`.

Owns the way from a kind that is written in terms of views to the graph that it stands for. A kind has parameters, a
schema, a meaning in NumPy, and a rewriting of itself into what views have already; lowering, reading, saving, classes
of flatness and manifests follow from these. Refuses laws: the optimizer leaves nodes that it does not know alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lazyzarr.errors import CombineError
from lazyzarr.fitting import views_of
from lazyzarr.ir.extensions import Extending, ExtensionError, is_name, register, written
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, StoredArray
from lazyzarr.ir.nodes import Extension, Source
from lazyzarr.ir.schema import Schema
from lazyzarr.lower.expanding import MAX_NODES, STAND_IN
from lazyzarr.read import Reader
from lazyzarr.view import View

__all__ = ["MAX_NODES", "ExtensionError", "NodeKind", "Schema", "apply", "is_name", "register"]


class NodeKind(Extending, frozen=True):
    """A node kind of another package: a frozen struct whose fields are its parameters.

    A subclass has the class attribute ``kind`` with its name (``vendor.kind``) and the methods `schema`, `values` and
    `rewrite`; `describe` has a default. `register` makes it known in this process, an entry point of the group
    ``lazyzarr.nodes`` in every one.

    Examples
    --------
    >>> import numpy as np, lazyzarr as lz
    >>> @register
    ... class Twice(NodeKind, frozen=True):
    ...     kind = "example.twice"
    ...     axis: int
    ...     def schema(self, inputs):
    ...         shape = list(inputs[0].shape)
    ...         shape[self.axis] *= 2
    ...         return Schema(tuple(shape), inputs[0].data_type, inputs[0].fill_value)
    ...     def values(self, inputs):
    ...         return np.concatenate([inputs[0], inputs[0]], self.axis)
    ...     def rewrite(self, *inputs):
    ...         return lz.concat([inputs[0], inputs[0]], self.axis)
    >>> view = apply(Twice(axis=0), lz.open(np.arange(2)))
    >>> view.read().tolist(), view.flatness
    ([0, 1, 0, 1], 'L0')
    """

    def rewrite(self, *inputs: View) -> View:
        """The node in terms of views: a view made of the inputs by what views have.

        It depends on nothing but the parameters and the schemas of the inputs, which are stand-ins that cannot be
        read. Where a kind cannot be rewritten for some shapes, `schema` refuses those, so that documents with them
        are refused when they are opened.

        Examples
        --------
        >>> class Same(NodeKind, frozen=True):
        ...     def rewrite(self, *inputs):
        ...         return inputs[0]
        >>> import lazyzarr as lz
        >>> Same().rewrite(lz.full(3, 0, dtype="int8")).shape
        (3,)
        """
        raise NotImplementedError  # a kind has to have it; a struct cannot be an abstract class

    def expansion(self, inputs: Sequence[Schema]) -> Graph:
        """The node as nodes of the specification, the source of array k being input k; made by `rewrite`.

        Examples
        --------
        >>> class Reversed(NodeKind, frozen=True):
        ...     def rewrite(self, *inputs):
        ...         return inputs[0][::-1]
        >>> [type(node).__name__ for node in Reversed().expansion([Schema((3,), "int8", 0)]).nodes]
        ['Source', 'Index']
        """
        reader = Reader()
        stands = [_stand_in(number, schema, reader) for number, schema in enumerate(inputs)]
        made: Any = self.rewrite(*stands)
        if not isinstance(made, View):
            raise ExtensionError(f"the node kind {self.kind!r} rewrites itself to a {type(made).__name__}, not a view")
        return made.ir


def apply(
    node: NodeKind,
    *inputs: View,
    dims: Sequence[str | None] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> View:
    """A view with a node of another package on top; nothing is read.

    Parameters
    ----------
    node
        The kind with its parameters; its class is registered, or an entry point of an installed distribution.
    inputs
        Views.
    dims, attrs
        Names of the dimensions and attributes of the result.

    Raises
    ------
    ViewError
        Whatever the kind says of inputs that do not fit; ``graph-node`` where it is not registered.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> class Unknown(NodeKind, frozen=True):
    ...     kind = "example.unknown"
    >>> try:
    ...     apply(Unknown(), lz.full(3, 0, dtype="int8"))
    ... except lz.UnsupportedFeature as error:
    ...     error.reason
    'graph-node'
    """
    views = views_of(f"apply of {node.kind}", inputs)
    made = Extension(tuple(range(len(views))), written(node))
    reader = Reader.joined([view.reader for view in views])
    view = View(made, views, reader=reader, dims=dims, attrs=attrs)
    if view.dims is not None and len(view.dims) != view.ndim:
        raise CombineError(node.kind, [f"{len(view.dims)} dimension names for rank {view.ndim}; name each axis"])
    return view


def _stand_in(number: int, schema: Schema, reader: Reader) -> View:
    """What an input is to a rewriting: its schema. The grant keeps it from being taken for an array of a table."""
    layout = Layout(schema.data_type, schema.fill_value, tuple(max(n, 1) for n in schema.shape), ())
    array = StoredArray(0, schema.shape, location=str(number), grant=STAND_IN)
    return View(Source(0), own=Graph((), layouts=[layout], arrays=[array]), reader=reader)
