"""Which features a document uses beyond the plainest ones, and whether this reader has them.

Owns the meaning of ``requires``: node kinds beyond sources joined, cut and turned, and codecs that the
specification of lazyzarr defines. Refuses documents that use a feature they do not list, since an older reader
would not be warned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import msgspec

from lazyzarr.codecs import registry
from lazyzarr.document.gaps import GAP
from lazyzarr.document.records import RECORD
from lazyzarr.errors import ViewSchemaError
from lazyzarr.ir import extensions
from lazyzarr.ir.layout import Layout, NamedConfig, StoredArray
from lazyzarr.ir.nodes import NODE_KINDS, Decode, Extension, Node, of_kind
from lazyzarr.ir.row_values import columns_of

PLAIN = frozenset(("source", "fill", "index", "transpose", "concat", "stack"))
"""Node kinds that every reader has."""
NODE_FEATURES = frozenset(str(kind.__struct_config__.tag) for kind in NODE_KINDS) - PLAIN
ORIGINS = "origins"
"""Arrays whose chunks come from the files and arrays of a table."""
MANIFEST = "manifest"
"""What the graph reduces to, beside it."""
ROW_VALUES = "row-values"
"""Layouts that take numbers from rows of a table."""
GAPS = "gaps"
"""Tables of byte ranges that have gaps instead of offsets."""
RECORDS = "records"
"""Tables of tiles whose rows are records."""
_OF_COLUMNS = {GAP: GAPS, RECORD: RECORDS}
OWN_CODECS = "lazyzarr."
"""Names of codecs that our specification defines begin with this."""


def features_of(
    nodes: Iterable[Node], layouts: Iterable[Layout], arrays: Iterable[StoredArray] = ()
) -> tuple[str, ...]:
    """Features that a graph uses, sorted.

    Examples
    --------
    >>> from lazyzarr.ir.nodes import Source, Take
    >>> features_of([Source(0), Take(0, 0, "t")], [])
    ('take',)
    """
    held = tuple(nodes)
    found = {kind.__struct_config__.tag for kind in set(map(type, held)) - {Extension}}
    found.update(node.kind.name for _, node in of_kind(held, Extension))
    found.update(ORIGINS for array in arrays if array.origins is not None)
    for _, node in of_kind(held, Decode):
        found.update(_names(node.codecs))
    for layout in layouts:
        found.update(_names(layout.codecs))
        if columns_of(layout):
            found.add(ROW_VALUES)
    return tuple(sorted(found - PLAIN))


def table_features(columns: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """Features that tables use, by the names of the columns of each.

    Examples
    --------
    >>> table_features([["length", "gap"], ["indices"]])
    ('gaps',)
    """
    found = {_OF_COLUMNS[name] for names in columns for name in names if name in _OF_COLUMNS}
    return tuple(sorted(found))


def knows(feature: str) -> bool:
    """Whether this reader has a feature.

    Examples
    --------
    >>> knows("take"), knows("sort")
    (True, False)
    """
    return (
        feature in NODE_FEATURES
        or feature in (ORIGINS, MANIFEST, GAPS, RECORDS, ROW_VALUES)
        or (feature.startswith(OWN_CODECS) and registry.is_known(feature))
        or (extensions.is_name(feature) and extensions.find(feature) is not None)
    )


def check_listed(used: Iterable[str], listed: Iterable[str], where: str) -> None:
    """Return if every used feature is listed.

    Raises
    ------
    ViewSchemaError
        ``document-requires``, naming the features.
    """
    missing = sorted(set(used) - set(listed))
    if missing:
        raise ViewSchemaError(
            f"the document uses {', '.join(missing)[:200]} without listing it in requires; a reader without that "
            "would not be warned; write the document again",
            reason="document-requires",
            where=where,
        )


def _names(codecs: Iterable[NamedConfig]) -> Iterator[str]:
    for codec in codecs:
        if codec.name.startswith(OWN_CODECS):
            yield codec.name
        inner: Any = codec.configuration.get("codecs")
        for entry in cast(list[Any], inner) if isinstance(inner, list) else ():
            # A codec inside another; whether it is well formed is found out where the chain is compiled.
            try:
                found = msgspec.convert(entry, NamedConfig)
            except msgspec.ValidationError:
                continue
            yield from _names([found])
