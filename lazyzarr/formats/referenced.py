"""What a file or a foreign manifest becomes: arrays whose chunks are byte ranges of objects.

Owns the result types that importers share: columns of references, the objects they are in, chunks whose bytes are
in the manifest itself, and the JSON form of attributes. They hold plain values, no handle. Refuses to guess: what
cannot be represented is an `Unreadable` with its reason, beside the arrays that can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lazyzarr.errors import SourceProtocolError, UnsupportedFeature
from lazyzarr.ir.layout import Json, Layout, Stamp

Columns = Mapping[str, np.ndarray]
"""One row per chunk of the regular grid in C order: ``offset``, ``length`` [bytes] uint64, ``state`` uint8 where
some chunk is missing (0), ``url`` int32 into the objects where there are several."""


Lengths = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Referenced:
    """An array whose chunks are byte ranges of objects, or stored inside the manifest."""

    name: str
    shape: tuple[int, ...]
    layout: Layout
    """Of the stored type, before any unpacking."""
    columns: Columns
    urls: tuple[str, ...]
    """Objects, named by the column ``url``; none where no chunk is in an object."""
    stamps: tuple[Stamp | None, ...]
    """What each object was; None where nothing is known."""
    attributes: dict[str, Json] = field(default_factory=dict)
    dimension_names: tuple[str | None, ...] | None = None
    decode: dict[str, Json] | None = None
    """Configuration of ``lazyzarr.unpack`` where the attributes asked for it."""
    cast: str | None = None
    """Data type that the unpacked cells are cast to, which has every value of theirs."""
    inline: Mapping[int, bytes] = field(default_factory=dict)
    """Stored bytes of chunks that have no object, by row; their ``state`` is 0."""
    tail: Referenced | None = None
    """What follows along the first axis with another layout."""
    lengths: Lengths | None = None
    """Of every chunk along each axis where they differ; the rows of the columns are of that grid."""
    packed: dict[str, Json] | None = None
    """Attributes with those of the packing, where `attributes` has these no more and the importer keeps them."""


@dataclass(frozen=True)
class Keyed:
    """An array whose chunks are objects under chunk keys of a store."""

    name: str
    shape: tuple[int, ...]
    layout: Layout
    location: str
    stamp: Stamp | None
    attributes: dict[str, Json]
    dimension_names: tuple[str | None, ...] | None
    decode: dict[str, Json] | None
    lengths: Lengths | None = None
    """Of every chunk along each axis where they differ."""


@dataclass(frozen=True)
class Unreadable:
    """An array that is there and cannot be used."""

    name: str
    reason: str
    """A key of `lazyzarr.errors.REASONS`."""
    message: str


@dataclass(frozen=True)
class ReferencedGroup:
    """A group: attributes, and arrays and groups by name."""

    name: str
    attributes: dict[str, Json]
    members: Mapping[str, Member | Callable[[], Member]]
    """Described now, or when they are used."""
    stored: Callable[[], ReferencedGroup] | None = None
    """The same group with arrays as they are stored, from metadata that are read, where `Referenced.packed` does not say it."""


Member = Referenced | Keyed | Unreadable | ReferencedGroup


def distinct(urls: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Each location once, in order of appearance, and the number of each row's, int32 (n,).

    Examples
    --------
    >>> distinct(["b", "a", "b"])
    (('b', 'a'), array([0, 1, 0], dtype=int32))
    """
    numbers: dict[str, int] = {}
    column = np.fromiter((numbers.setdefault(url, len(numbers)) for url in urls), np.int32, len(urls))
    return tuple(numbers), column


def json_values(attributes: Mapping[str, Any]) -> dict[str, Json]:
    """Attributes as JSON values; NaN and infinities stay Python floats.

    Examples
    --------
    >>> json_values({"valid_range": np.array([0, 5], "i2"), "scale_factor": np.float32(0.5)})
    {'valid_range': [0, 5], 'scale_factor': 0.5}
    """
    return {str(name): _json(value) for name, value in attributes.items()}


def _json(value: Any) -> Json:
    if isinstance(value, np.generic | np.ndarray):
        return _json(value.tolist())
    if isinstance(value, list | tuple):
        return [_json(one) for one in value]
    if isinstance(value, bytes):
        return text(value)
    return value


def text(raw: bytes) -> str:
    """Names and text are UTF-8; older files hold Latin-1, which every byte sequence is."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def malformed(kind: str, url: str, what: str) -> SourceProtocolError:
    """The error for a file that breaks its format."""
    return SourceProtocolError(
        f"open of a {kind} file; {what}; the file is damaged, or was not written to the end; check it",
        reason="source-format",
        where=url,
    )


def unsupported(kind: str, what: str, advice: str) -> UnsupportedFeature:
    """The error for a part of a file that has no plan here."""
    return UnsupportedFeature(f"open of a {kind} file; {what}; {advice}", reason="source-unsupported")
