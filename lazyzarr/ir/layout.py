"""How stored chunks are laid out and where stored arrays are: `Layout`, `StoredArray`, `Stamp`.

Owns the description of stored bytes in terms of the Zarr v3 specification (data type, fill value, regular
chunk grid, codec chain, chunk key encoding). Refuses to open, list or decode anything: these are names for
things, and reading one costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

Json = Any
"""A JSON value as Zarr metadata uses it."""


class NamedConfig(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A Zarr v3 extension object: a name with its configuration."""

    name: str
    configuration: dict[str, Json] = {}

    def __hash__(self) -> int:
        return hash((self.name, msgspec.json.encode(self.configuration, order="deterministic")))


DEFAULT_KEYS = NamedConfig("default", {"separator": "/"})
VALUE_WISE = frozenset(("cast_value", "scale_offset", "lazyzarr.unpack"))
"""Codecs that work cell by cell; the only ones of a decode node."""


class Layout(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How the chunks of an array are stored; few per dataset, shared by many arrays.

    ``codecs`` is in encoding order, as in Zarr v3: array-to-array codecs, one array-to-bytes codec,
    bytes-to-bytes codecs. Value-wise decodes (``cast_value``, ``lazyzarr.unpack``) come first; then
    ``data_type`` and ``fill_value`` are those *after* decoding.
    """

    data_type: str | NamedConfig
    """Zarr v3 data type of a decoded chunk."""
    fill_value: Json
    """What an absent chunk reads as, in Zarr v3 JSON form for `data_type`."""
    chunk_shape: tuple[int, ...]
    """Cells per chunk and axis of the regular grid [cells]; every stored chunk has this full extent."""
    codecs: tuple[NamedConfig, ...]
    chunk_keys: NamedConfig = DEFAULT_KEYS
    """Chunk key encoding; without meaning where an array has a reference table."""
    metadata: str = "zarr.json"
    """Key of the metadata document that stamps of arrays under chunk keys are of."""

    def __eq__(self, other: object) -> bool:
        return type(other) is Layout and text_of(self) == text_of(other)

    def __hash__(self) -> int:
        return hash(text_of(self))


def with_decodes(
    layout: Layout, codecs: Sequence[NamedConfig], data_type: str | NamedConfig, fill_value: Json
) -> Layout:
    """A layout with value-wise codecs in front of its own: of cells as they are after these, and so is the fill value.

    Examples
    --------
    >>> layout = Layout("int8", 0, (2,), (NamedConfig("bytes"),))
    >>> [codec.name for codec in with_decodes(layout, [NamedConfig("cast_value")], "int16", 0).codecs]
    ['cast_value', 'bytes']
    """
    return msgspec.structs.replace(layout, data_type=data_type, fill_value=fill_value, codecs=(*codecs, *layout.codecs))


def text_of(value: Struct) -> bytes:
    """A struct as text, with every field: equal text is equal meaning, and -0.0 is not 0.0.

    The encoder leaves a default out only where it is the very same object, so its own text would not do.
    """
    return msgspec.json.encode((value.__struct_config__.tag, msgspec.structs.astuple(value)), order="deterministic")


class Stamp(Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """What identified an object when it was parsed; compared with every response.

    For an array kept as one object per chunk the stamp is that of its metadata document.
    """

    size: int | None = None
    """Length of the object [bytes]."""
    mtime_ns: int | None = None
    """Modification time of a local file [ns since 1970]."""
    inode: int | None = None
    """Inode number of a local file."""
    etag: str | None = None
    """Entity tag of a remote object."""
    digest: str | None = None
    """``sha256:<hex>`` of the content; kept for metadata documents only."""


class Place(Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A further object that holds chunks of an array (HDF5 external storage)."""

    location: str
    stamp: Stamp | None = None


class StoredArray(Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """One stored array: a shape, a layout and where its chunks are.

    Chunks are in one of three places: below ``location`` under chunk keys (neither ``refs`` nor ``values``),
    at the byte ranges of the table ``refs`` (some of them perhaps beside the graph, in the table ``inline``), or as
    the cells of the table ``values`` (an in-memory array).
    """

    layout: int
    """Position in `Graph.layouts`."""
    shape: tuple[int, ...]
    """Logical extent [cells]."""
    location: str | None = None
    """URL of the Zarr array (its node) or of the file that ``refs`` points into."""
    refs: str | None = None
    """Name of a table with one row per chunk of the grid, in C order."""
    refs_first: int = 0
    """Row of ``refs`` with the first chunk of this array; many arrays may share a table."""
    values: str | None = None
    """Name of a table whose only column ``values`` holds the cells."""
    stamp: Stamp | None = None
    variants: tuple[int, ...] = ()
    """Positions in `Graph.layouts` that values 1, 2, ... of the column ``layout`` of ``refs`` choose; 0 is ``layout``."""
    places: tuple[Place, ...] = ()
    """Objects that values 1, 2, ... of the column ``place`` of ``refs`` choose; 0 is ``location``."""
    inline: str | None = None
    """Name of a table whose only column ``bytes`` holds the stored bytes of chunks of state 3, one after the other."""
    origins: str | None = None
    """Name of a table of the files and arrays that chunks come from; the column ``origin`` of ``refs`` says which for
    each chunk. Then the array has no location of its own."""
    grant: str = ""
    """Which access grant the reader looks the location up in; ``""`` is the caller's own. Never stored."""
