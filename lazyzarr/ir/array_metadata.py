"""The ``zarr.json`` of a stored array, from its layout.

Owns the members of the document and how it is written as text. Refuses to judge who can read it: a writer that
promises plain Zarr looks at the codecs itself. Reading such documents is for `lazyzarr.formats.zarr`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from lazyzarr.ir.data_type import msgspec_form
from lazyzarr.ir.layout import Json, Layout


def array_metadata(
    shape: Sequence[int],
    layout: Layout,
    dimension_names: Sequence[str | None] | None = None,
    attributes: Mapping[str, Json] | None = None,
) -> dict[str, Json]:
    """Members of the ``zarr.json`` of an array.

    Parameters
    ----------
    shape
        Cells along each axis.
    layout
        How its chunks are stored; the keys of chunks are those of the layout.
    dimension_names
        One for each axis, or None for an array without.
    attributes
        Of the user.

    Examples
    --------
    >>> from lazyzarr.ir.layout import NamedConfig
    >>> document = array_metadata([4], Layout("uint8", 0, (2,), (NamedConfig("bytes"),)), ["x"])
    >>> document["shape"], document["codecs"], document["dimension_names"]
    ([4], [{'name': 'bytes'}], ['x'])
    """
    document: dict[str, Json] = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": msgspec_form(layout.data_type),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(layout.chunk_shape)}},
        "chunk_key_encoding": msgspec.to_builtins(layout.chunk_keys),
        "fill_value": layout.fill_value,
        "codecs": list(msgspec.to_builtins(layout.codecs)),
        "attributes": dict(attributes or {}),
    }
    if dimension_names is not None:
        document["dimension_names"] = list(dimension_names)
    return {**document, "storage_transformers": []}


def to_text(document: Mapping[str, Json]) -> bytes:
    """A metadata document as text, indented as zarr-python does."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2)
