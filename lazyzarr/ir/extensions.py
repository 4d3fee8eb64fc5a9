"""Node kinds that other packages define: finding them by name, and holding them to what they promise.

Owns the registry. A kind is known when its package registered it, or when an installed distribution names it as an
entry point of the group ``lazyzarr.nodes``; the entry point is loaded when the kind is first met, and not before.
Refuses to find code in any other way: a document has the name of a kind and its parameters, never that of a module.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np
from msgspec import Struct

from lazyzarr.errors import LazyZarrError, UnsupportedFeature, ViewError, ViewSchemaError
from lazyzarr.ir.layout import NamedConfig

if TYPE_CHECKING:
    from lazyzarr.ir.graph import Graph
    from lazyzarr.ir.schema import Schema

GROUP = "lazyzarr.nodes"
"""Group of the entry points; the name of one is that of its kind."""
MOST_CHARACTERS = 64
_NAME = re.compile(r"[a-z][a-z0-9_-]*(?:\.[a-z][a-z0-9_-]*)+")
_OWN = "lazyzarr."
_PLACE = re.compile(r"(.*) - at `\$(.*)`", re.DOTALL)


class ExtensionError(ViewError):
    """A node kind of another package did not do what it promised: an error there, seldom in a document.

    Examples
    --------
    >>> ExtensionError("kind 'example.sort' failed; tell its authors").reason
    'extension-failed'
    """

    default_reason = "extension-failed"


class Extending(Struct, frozen=True, forbid_unknown_fields=True):
    """A node of another package with its parameters, as the passes over a graph see it.

    An interface: a struct cannot be an abstract class, so what a kind leaves out raises where it is called.
    """

    kind: ClassVar[str] = ""
    """``vendor.kind``."""

    def schema(self, inputs: Sequence[Schema]) -> Schema:
        """Schema of the node from those of its inputs; a `ViewSchemaError` where they do not fit."""
        raise NotImplementedError

    def values(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """The meaning of the node in plain NumPy."""
        raise NotImplementedError

    def expansion(self, inputs: Sequence[Schema]) -> Graph:
        """The node as nodes of the specification; the source of array k is input k."""
        raise NotImplementedError

    def describe(self) -> str:
        """The parameters in a few words."""
        return ", ".join(f"{name} {getattr(self, name)}" for name in self.__struct_fields__)


_registered: dict[str, type[Extending]] = {}


def is_name(name: str) -> bool:
    """Whether a name is one that a kind of another package has.

    Examples
    --------
    >>> is_name("example.reshape"), is_name("reshape"), is_name("lazyzarr.reshape")
    (True, False, False)
    """
    return len(name) <= MOST_CHARACTERS and not name.startswith(_OWN) and _NAME.fullmatch(name) is not None


def register[T: Extending](kind: type[T]) -> type[T]:
    """Make a kind known in this process; also a decorator.

    Raises
    ------
    ExtensionError
        The name is not ``vendor.kind``, or is that of another kind.
    """
    if not is_name(kind.kind):
        raise ExtensionError(
            f"the node kind {kind.__name__} has the name {kind.kind!r}; names are of the form vendor.kind, in lower case, "
            f"of at most {MOST_CHARACTERS} characters, and not below {_OWN!r}; set the class attribute kind"
        )
    held = _registered.setdefault(kind.kind, kind)
    if held is not kind and (held.__module__, held.__qualname__) != (kind.__module__, kind.__qualname__):
        raise ExtensionError(
            f"the node kind {kind.kind!r} is {held.__module__}.{held.__qualname__} already; choose another name"
        )
    _registered[kind.kind] = kind
    return kind


def find(name: str) -> type[Extending] | None:
    """The kind of a name, its entry point being loaded if need be; None where nothing installed has it.

    Raises
    ------
    ExtensionError
        Its package cannot be imported, or two of them have the name.
    """
    found = _registered.get(name)
    if found is not None or not is_name(name):
        return found
    offered = {(entry.value, entry.group): entry for entry in entry_points(group=GROUP, name=name)}
    if not offered:
        return None
    if len(offered) > 1:
        places = ", ".join(sorted(value for value, _ in offered))
        raise ExtensionError(f"the node kind {name!r} is offered by several packages: {places}; uninstall all but one")
    ((_, entry),) = offered.items()
    try:
        loaded: Any = entry.load()
    except Exception as error:
        raise ExtensionError(f"the node kind {name!r} cannot be loaded from {entry.value}: {error!r}") from error
    if not (isinstance(loaded, type) and issubclass(loaded, Extending) and loaded.kind == name):
        raise ExtensionError(f"{entry.value} is not the node kind {name!r}; correct the entry point of its package")
    return register(loaded)


def parsed(node: NamedConfig, where: str | None = None) -> Extending:
    """The node of another package with its parameters, as strictly read as our own.

    Parameters
    ----------
    node
        Name and parameters.
    where
        Place of that, to which errors add the parameter.

    Raises
    ------
    UnsupportedFeature
        ``graph-node``: the kind is not known here.
    ViewSchemaError
        ``document-member``: a parameter is missing, unknown, or has the wrong type.
    """
    kind = find(node.name)
    if kind is None:
        raise UnsupportedFeature(
            f"the node kind is {node.name[:MOST_CHARACTERS]!r}; it is not known here; install the package that has it",
            reason="graph-node",
            where=None if where is None else f"{where}.name",
        )
    try:
        return msgspec.convert(node.configuration, kind)
    except msgspec.ValidationError as error:
        found = _PLACE.fullmatch(str(error))
        text, path = (found[1], found[2]) if found else (str(error), "")
        raise ViewSchemaError(
            f"the parameters of {node.name} are not what it takes: {text[:200]}; correct them",
            reason="document-member",
            where=None if where is None else f"{where}.configuration{path}",
        ) from None


def written(node: Extending) -> NamedConfig:
    """A node as it is stored: its parameters as JSON has them, so that it is the same when it is read again."""
    return NamedConfig(node.kind, msgspec.json.decode(msgspec.json.encode(node)))


def described(node: NamedConfig) -> str:
    """Name and parameters in a few words."""
    made = parsed(node)
    with promised(made, "describe"):
        return f"{node.name} {made.describe()}"


@contextmanager
def promised(node: Extending, what: str) -> Generator[None]:
    """Errors that a kind raises on purpose pass; any other is an `ExtensionError` that has it as its cause.

    Examples
    --------
    >>> with promised(Extending(), "schema"):
    ...     1 / 0
    Traceback (most recent call last):
    lazyzarr.ir.extensions.ExtensionError: the node kind '' failed in schema: ZeroDivisionError('division by zero'); tell its authors
    """
    try:
        yield
    except LazyZarrError:
        raise
    except Exception as error:
        raise ExtensionError(f"the node kind {node.kind!r} failed in {what}: {error!r}; tell its authors") from error


def valued(node: NamedConfig, schema: Schema, dtype: np.dtype, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """What a node means, in the shape and type that its schema promised."""
    made = parsed(node)
    with promised(made, "values"):
        found = np.asarray(made.values(inputs))
    if found.shape != schema.shape or found.dtype != dtype:
        raise ExtensionError(
            f"the node kind {node.name!r} has values of shape {found.shape} and type {found.dtype}; its schema says "
            f"{schema.shape} and {dtype}; tell its authors"
        )
    return found
