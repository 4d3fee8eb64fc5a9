"""The stored form of a view: the structs of the document, version 1, and parsing into them.

Owns the wire form. A document is the attribute ``lazyzarr`` of a Zarr v3 group that names the convention; members
are exactly those of the structs here, and node kinds exactly those of `lazyzarr.ir.nodes`. Refuses members, types,
versions and features that are not known, each by name and place: whoever does not understand a view must not read
numbers from it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, NoReturn, cast

import msgspec
from msgspec import Meta, Struct

from lazyzarr.document.limits import Limits
from lazyzarr.document.text import check_text, parse_error
from lazyzarr.errors import UnsupportedFeature, ViewSchemaError
from lazyzarr.ir.extensions import is_name
from lazyzarr.ir.layout import Json, Layout, NamedConfig, Place, Stamp
from lazyzarr.ir.nodes import Node

VERSION = 1
ATTRIBUTE = "lazyzarr"
"""Attribute of the group that holds the document."""
CONVENTIONS = "zarr_conventions"
"""Attribute of the group that lists the conventions it follows."""
CONVENTION = {
    "uuid": "6f1c2b0e-7a54-4d0f-9b1e-2f4f0c6a8d53",
    "name": "lazyzarr",
    "schema_url": "https://github.com/lazyzarr/lazyzarr/blob/main/spec/schema/lazyzarr-1.schema.json",
    "spec_url": "https://github.com/lazyzarr/lazyzarr/blob/main/spec/graph.md",
    "description": "A lazy view of stored arrays; not readable as an array without lazyzarr.",
}
"""Our entry of that list; known by its uuid."""
PREFIX = f"$.attributes.{ATTRIBUTE}"
"""JSON path of the document in ``zarr.json``."""

Natural = Annotated[int, Meta(ge=0)]
Shape = tuple[Natural, ...]
Name = Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
Folder = Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class _Strict(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    pass


class WireColumn(_Strict, frozen=True):
    """One column of a table: its cells in ``data``, or in a child array when there is no ``data``."""

    data_type: str | NamedConfig
    shape: Shape
    data: list[Json] | None = None
    """Cells in C order, each in the JSON form of Zarr v3 fill values; text columns have one string per row."""
    chunk_shape: Shape | None = None
    """Of the child array, whose chunks all exist."""
    codecs: tuple[NamedConfig, ...] | None = None
    """Of the child array, in encoding order."""


class WireTable(_Strict, frozen=True):
    """Columns of one table, all inline or all child arrays of one group."""

    columns: dict[Name, WireColumn]
    folder: Folder | None = None
    """The child arrays are ``tables/<folder>/<column>`` of the view's group."""
    beside: str | None = None
    """Location of another view's group that the folder belongs to, and that its locations are relative to."""


class WireArray(_Strict, frozen=True, gc=False):
    """A stored array, as `lazyzarr.ir.layout.StoredArray` without what belongs to a reader."""

    layout: Natural
    shape: Shape
    location: str | None = None
    """URL, or a reference relative to the ``zarr.json`` of the view (RFC 3986)."""
    refs: Name | None = None
    refs_first: Natural = 0
    values: Name | None = None
    origins: Name | None = None
    stamp: Stamp | None = None
    variants: tuple[Natural, ...] = ()
    places: tuple[Place, ...] = ()
    inline: Name | None = None


class WireGraph(_Strict, frozen=True):
    """The graph; nodes name inputs, arrays and layouts by position, tables by name."""

    nodes: tuple[Node, ...]
    layouts: tuple[Layout, ...] = ()
    arrays: tuple[WireArray, ...] = ()
    tables: dict[Name, WireTable] = {}


class WireManifest(_Strict, frozen=True):
    """What the graph reduces to: derived from it, for readers that want to know only where chunks are."""

    form: Literal["grid", "rows", "boxes"]
    """One source with a row for each chunk of a regular grid; one `boxes` node with a row for each window of a chunk; or
    any graph over chunks that are named one by one, which is not written."""
    of: str
    """`graph_digest` of the graph that it was derived from; of another graph it means nothing."""
    graph: WireGraph
    """Its arrays have tables of origins."""


class WireSchema(_Strict, frozen=True):
    """What the view is, so that nobody has to infer it; equal to what the graph infers to."""

    shape: Shape
    data_type: str | NamedConfig
    fill_value: Json
    dimension_names: tuple[str | None, ...] | None = None


class MadeBy(_Strict, frozen=True):
    """The software that wrote the document."""

    software: str
    version: str | None = None


class Document(_Strict, frozen=True):
    """A view, as stored."""

    version: int
    requires: tuple[str, ...]
    """Features that a reader must have, sorted; see the list in the specification."""
    schema: WireSchema
    graph: WireGraph
    grid: NamedConfig | None = None
    """A chunk grid that readers should align to; advice, without meaning for values."""
    made_by: MadeBy | None = None
    manifest: WireManifest | None = None


class ParsedNode(Struct, frozen=True):
    """A Zarr v3 group that is a view: its document, and the user's attributes beside it."""

    document: Document
    attributes: dict[str, Json]
    graph_digest: str | None
    """Of the graph as it is written, if there is a manifest to compare it with."""


def member_path(name: str) -> str:
    """How a JSON path goes on to a member.

    Examples
    --------
    >>> member_path("rows"), member_path("rows.of-2020")
    ('.rows', '["rows.of-2020"]')
    """
    return f".{name}" if _PLAIN_NAME.fullmatch(name) else f"[{msgspec.json.encode(name).decode()}]"


def graph_digest(graph: bytes | msgspec.Raw) -> str:
    """Digest of the text of a graph, whatever its spaces and the order of its members; numbers are as they are written.

    Examples
    --------
    >>> graph_digest(b'{"b": 1, "a": [2]}') == graph_digest(b'{"a":[2],"b":1}')
    True
    >>> graph_digest(b'{"a": 1e5}') == graph_digest(b'{"a": 1E5}')
    False
    """
    text = msgspec.json.encode(_spelled_decoder.decode(graph), order="sorted")
    return f"sha256:{hashlib.sha256(text).hexdigest()}"


class _Parts(Struct):
    graph: msgspec.Raw


class _Head(Struct):
    """As much of any document as must be understood to refuse the rest of it properly."""

    version: int
    requires: tuple[str, ...]


class _Group(Struct):
    zarr_format: int
    node_type: str
    attributes: dict[str, msgspec.Raw] = {}


class _MustUnderstand(Struct):
    must_understand: bool


_GROUP_MEMBERS = ("zarr_format", "node_type", "attributes", "consolidated_metadata")
_group_decoder = msgspec.json.Decoder(_Group)
_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_head_decoder = msgspec.json.Decoder(_Head)
_parts_decoder = msgspec.json.Decoder(_Parts)
_spelled_decoder = msgspec.json.Decoder(float_hook=lambda spelled: msgspec.Raw(spelled.encode()))
_document_decoder = msgspec.json.Decoder(Document)
_PLAIN_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_ONE_OF = "[...]"
"""What the parser writes for the name of an entry of an object whose names are free."""
_PLACE = re.compile(r"(.*) - at `(key in )?\$(.*)`", re.DOTALL)


def parse_node(text: bytes, limits: Limits, *, knows: Callable[[str], bool]) -> ParsedNode:
    """The document in the text of a ``zarr.json``.

    Parameters
    ----------
    text
        The whole object.
    limits
        Compared before anything is parsed.
    knows
        Whether this reader has a feature.

    Raises
    ------
    ViewSyntaxError, ViewLimitError
        As `lazyzarr.document.text.check_text`.
    ViewSchemaError
        ``document-missing`` when this is no view; ``document-member`` for a member that is missing or of the wrong
        type.
    UnsupportedFeature
        ``document-version``, ``document-requires``, ``document-member`` or ``graph-node`` for what this reader does
        not know.
    """
    check_text(text, limits)
    attributes = _attributes_of(text)
    raw = attributes.pop(ATTRIBUTE, None)
    if raw is None:
        raise ViewSchemaError(
            "the node is a Zarr group without a lazyzarr document; only groups that have one are views; "
            "open it as a group",
            reason="document-missing",
            where="$.attributes",
        )
    head = _parse(_head_decoder, raw, PREFIX)
    if head.version != VERSION:
        raise UnsupportedFeature(
            f"the document has version {head.version}; this reader knows version {VERSION}; update lazyzarr",
            reason="document-version",
            where=f"{PREFIX}.version",
        )
    # counted before any of them is looked for, so that a reader who forbids them runs no code of theirs
    limits.check("extensions", len(set(filter(is_name, head.requires))), where=f"{PREFIX}.requires")
    missing = sorted({name for name in head.requires if not knows(name)})
    if missing:
        raise UnsupportedFeature(
            f"the document requires {', '.join(name[:64] for name in missing[:8])}; this reader does not have that; "
            "update lazyzarr, register the codec, or install the package that has the node kind",
            where=f"{PREFIX}.requires",
        )
    document = _parse(_document_decoder, raw, PREFIX)
    digest = None if document.manifest is None else graph_digest(_parse(_parts_decoder, raw, PREFIX).graph)
    return ParsedNode(document, _users(attributes), digest)


def _attributes_of(text: bytes) -> dict[str, msgspec.Raw]:
    group = _parse(_group_decoder, text, "$")
    if group.zarr_format != 3 or group.node_type != "group":
        raise ViewSchemaError(
            f"the node is a Zarr v{group.zarr_format} {group.node_type[:64]}; a view is a Zarr v3 group; "
            "open it as what it is",
            reason="document-missing",
            where="$",
        )
    for name, raw in _parse(_members_decoder, text, "$").items():
        if name not in _GROUP_MEMBERS and not _optional(raw):
            raise UnsupportedFeature(
                f"the Zarr group has the member {name[:64]!r}; it is unknown and must be understood; update lazyzarr",
                where="$",
            )
    return group.attributes


def _optional(raw: msgspec.Raw) -> bool:
    """Whether Zarr v3 lets a reader ignore the member."""
    try:
        return msgspec.json.decode(raw, type=_MustUnderstand).must_understand is False
    except msgspec.ValidationError:
        return False


def _users(attributes: dict[str, msgspec.Raw]) -> dict[str, Json]:
    """The attributes that are not ours."""
    found: dict[str, Json] = {name: msgspec.json.decode(raw) for name, raw in attributes.items()}
    conventions: Any = found.get(CONVENTIONS)
    if isinstance(conventions, list):
        others = [entry for entry in cast(list[Any], conventions) if not is_ours(entry)]
        found[CONVENTIONS] = others
        if not others:
            del found[CONVENTIONS]
    return found


def is_ours(entry: Any) -> bool:
    """Whether an entry of the list of conventions is ours."""
    return isinstance(entry, dict) and cast(dict[str, Any], entry).get("uuid") == CONVENTION["uuid"]


def _parse[T](decoder: msgspec.json.Decoder[T], text: bytes | msgspec.Raw, prefix: str) -> T:
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        _refuse(error, prefix, text)
    except msgspec.DecodeError as error:
        raise parse_error(error) from None


def _named(path: str, raw: bytes | msgspec.Raw) -> str:
    """A path with the names of the table and the column, of which the parser says only that it was one of them."""
    before = path.split(_ONE_OF, 1)[0]
    found: Any = msgspec.json.decode(raw)
    for name in before.split(".")[1:]:
        found = found[name]
    return before + _first_wrong(found, WireTable)


def _first_wrong(entries: dict[str, Any], kind: type[Struct]) -> str:
    for name, entry in entries.items():
        try:
            msgspec.convert(entry, kind)
        except msgspec.ValidationError as error:
            match = _PLACE.fullmatch(str(error))
            inner = match[3] if match else ""
            if _ONE_OF in inner:
                inner = ".columns" + _first_wrong(entry["columns"], WireColumn)
            return member_path(name) + inner
    return ""


def _refuse(error: msgspec.ValidationError, prefix: str, raw: bytes | msgspec.Raw) -> NoReturn:
    match = _PLACE.fullmatch(str(error))
    text, path = (match[1], match[3]) if match else (str(error), "")
    where = prefix + (_named(path, raw) if _ONE_OF in path else path)
    if where.endswith(".op") and text.startswith("Invalid value"):
        raise UnsupportedFeature(
            f"the node kind is {text.removeprefix('Invalid value ')[:80]}; it is not known here; update lazyzarr",
            reason="graph-node",
            where=where,
        ) from None
    if text.startswith("Object contains unknown field"):
        raise UnsupportedFeature(
            f"the document has the member {text.removeprefix('Object contains unknown field ')[:80]}; it is not known "
            "here and may change what is read; update lazyzarr",
            reason="document-member",
            where=where,
        ) from None
    raise ViewSchemaError(
        f"the document does not have the form of version {VERSION}: {text[:200]}; write it again or correct it",
        where=where,
    ) from None
