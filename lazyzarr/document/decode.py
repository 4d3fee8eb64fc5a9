"""From the text of a document to a graph: `decode`.

Owns the way in, in an order that never does work for what is about to be refused: text, form, version and features,
locations against the grant, costs against the limits, codec chains, invariants, the declared schema. No request is
made. Refuses to trust what a document says about itself: names of tables are made anew, and values of rows that are
not in the document get bounds that are checked when they are read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from lazyzarr.access.session import Session
from lazyzarr.codecs.chain import compile_chain
from lazyzarr.codecs.values import value_stages
from lazyzarr.document.columns import Bounds, ChunkCache, LazyColumn
from lazyzarr.document.features import MANIFEST, check_listed, features_of, knows, table_features
from lazyzarr.document.kept_arrays import in_one_chunk
from lazyzarr.document.limits import Limits, check_costs, check_shapes
from lazyzarr.document.locations import Resolver, document_url
from lazyzarr.document.records import FieldColumn
from lazyzarr.document.tables import TableReader
from lazyzarr.document.wire import (
    PREFIX,
    Document,
    WireArray,
    WireGraph,
    WireSchema,
    WireTable,
    member_path,
    parse_node,
)
from lazyzarr.errors import LazyZarrError, ViewSchemaError
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import msgspec_form, to_numpy
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Json, NamedConfig, Place, StoredArray
from lazyzarr.ir.nodes import Boxes, Decode, Node, Take, Tiles, of_kind
from lazyzarr.ir.row_values import sample
from lazyzarr.ir.schema import Schema
from lazyzarr.ir.tables import Table, place_of
from lazyzarr.ir.validate import row_bounds, validate

DEFAULT_LIMITS = Limits()


class _RegularGrid(Struct, forbid_unknown_fields=True):
    chunk_shape: tuple[Annotated[int, Meta(ge=1)], ...]


class OpenedView(Struct, frozen=True):
    """What a document says."""

    graph: Graph
    dims: tuple[str | None, ...] | None
    attributes: dict[str, Json]
    """The user's own."""
    schema: Schema
    grid: tuple[int, ...] | None
    """Chunk shape that readers should align to."""
    stored: dict[str, WireTable]
    """Tables that are child arrays, by their names in the graph, in the form in which the document has them."""
    manifest: Graph | None
    """What the graph reduces to, if that is stored with it; of the same schema."""
    generation: str
    """Digest of the text; `lazyzarr.document.publish` compares it to notice changes made by others."""


def generation_of(text: bytes) -> str:
    """The generation of a document: the digest of its text.

    Examples
    --------
    >>> generation_of(b"{}")[:16]
    'sha256:44136fa35'
    """
    return f"sha256:{hashlib.sha256(text).hexdigest()}"


def decode(text: bytes, *, url: str, session: Session, limits: Limits = DEFAULT_LIMITS, grant: str = "") -> OpenedView:
    """The view in the text of a ``zarr.json``.

    Parameters
    ----------
    text
        The whole object.
    url
        Location of the group, the directory in which the ``zarr.json`` is.
    session
        Reads tables when their rows are asked for; not used before.
    limits
        What the document may cost.
    grant
        Name of the session's grant under which the document is read; ``""`` trusts it.

    Raises
    ------
    ViewError
        The text is no valid document; the place is a JSON path.
    AccessDenied
        The document references a location that the grant does not permit.

    Examples
    --------
    >>> from lazyzarr.document.encode import encode
    >>> from lazyzarr.ir.nodes import Fill
    >>> view = encode(Graph([Fill((2,), "int8", 0)]), base_url="file:///d/v.zarr")
    >>> decode(view.document, url="file:///d/v.zarr", session=Session()).schema.shape
    (2,)
    """
    node = parse_node(text, limits, knows=knows)
    document = node.document
    reader = _reader(url, session, limits, grant)
    part = _Part(document.graph, f"{PREFIX}.graph")
    graph, schemas = part.checked(document, reader)
    stored, manifest = part.stored(), None
    if document.manifest is not None:
        check_listed((MANIFEST,), document.requires, f"{PREFIX}.requires")
        if document.manifest.of != node.graph_digest:
            raise ViewSchemaError(
                f"the manifest is of the graph {document.manifest.of[:80]}, the document has {node.graph_digest}; "
                "it would say where other chunks are; save the view again",
                reason="document-digest",
                where=f"{PREFIX}.manifest.of",
            )
        part = _Part(document.manifest.graph, f"{PREFIX}.manifest.graph")
        manifest, _ = part.checked(document, reader)
        stored |= part.stored()
    return OpenedView(
        graph,
        document.schema.dimension_names,
        node.attributes,
        schemas[-1],
        _grid(document.grid, len(schemas[-1].shape)),
        stored,
        manifest,
        generation_of(text),
    )


class _Part:
    """A graph of a document on its way in: the view itself, or its manifest."""

    def __init__(self, wire: WireGraph, path: str) -> None:
        self.wire = wire
        self.path = path
        self.names: dict[str, str] = {}
        """Names of tables in the document -> those in memory."""

    def checked(self, document: Document, reader: TableReader) -> tuple[Graph, tuple[Schema, ...]]:
        """The graph, valid and of the declared schema, and the schemas of its nodes."""
        self._weigh(reader.limits)
        try:
            graph = _graph(self.wire, reader, self.names)
            check_costs(graph, reader.limits)
            used = features_of(graph.nodes, graph.layouts, graph.arrays)
            used += table_features(table.columns for table in self.wire.tables.values())
            check_listed(used, document.requires, f"{PREFIX}.requires")
            _check_chains(graph)
            schemas = validate(graph, lambda found: check_shapes(graph, [one.shape for one in found], reader.limits))
            _check_decodes(graph, schemas)
            _check_declared(document.schema, schemas[-1])
            for (table, name), held in row_bounds(graph, schemas).items():
                column = graph.tables[table][name]
                if isinstance(column, (LazyColumn, FieldColumn)):  # rows that are read later fit, too
                    stored = graph.tables[table].within.get(name, name)
                    column.bounds = Bounds(held.start, held.stop, self._place(place_of(table, stored)))
            return in_one_chunk(graph), schemas
        except LazyZarrError as error:
            error.where = PREFIX if error.where is None else self._place(error.where)
            if error.args:  # several problems are listed in the text, each with its place
                text = str(error.args[0])
                for stored, name in self.names.items():
                    text = text.replace(f"tables.{name}", f"tables{member_path(stored)}")
                error.args = (text, *error.args[1:])
            raise

    def stored(self) -> dict[str, WireTable]:
        """Tables that are child arrays, by their names in memory."""
        return {self.names[name]: table for name, table in self.wire.tables.items() if table.folder is not None}

    def _weigh(self, limits: Limits) -> None:
        """What is made one by one while the graph is made: locations, columns, cells."""
        arrays = sum(1 + len(array.places) for array in self.wire.arrays)
        columns = [column for table in self.wire.tables.values() for column in table.columns.values()]
        cells = sum(len(column.data or ()) for column in columns)
        for which, value, member in (
            ("arrays", arrays, "arrays"),
            ("columns", len(columns), "tables"),
            ("inline_cells", cells, "tables"),
        ):
            limits.check(which, value, where=f"{self.path}.{member}")

    def _place(self, where: str) -> str:
        """Places inside a graph become JSON paths, with the names of the document; locations stay what they are."""
        for stored, name in self.names.items():
            if where == f"tables.{name}" or where.startswith(f"tables.{name}."):
                where = f"tables{member_path(stored)}{where.removeprefix(f'tables.{name}')}"
                break
        return f"{self.path}.{where}" if where.startswith(("nodes", "arrays", "layouts", "tables")) else where


def _reader(url: str, session: Session, limits: Limits, grant: str) -> TableReader:
    def check(location: str) -> None:
        limits.check("url_characters", len(location))
        if grant:
            session.grants[grant].check(location)

    return TableReader(url, Resolver(document_url(url)), session, grant, ChunkCache(), limits, check)


def _graph(wire: WireGraph, reader: TableReader, names: dict[str, str]) -> Graph:
    """The graph, not yet checked; fills ``names`` with the name in memory of each table of the document."""
    arrays = [_array(array, reader, f"arrays[{position}]") for position, array in enumerate(wire.arrays)]
    located = {node.table for node in wire.nodes if isinstance(node, Tiles)}
    located |= {array.origins for array in wire.arrays if array.origins is not None}
    tables: dict[str, Table] = {}
    for name, table in wire.tables.items():
        made = reader.table(table, f"tables{member_path(name)}", located=name in located)
        names[name] = made.name
        tables[made.name] = made
    renamed = [_renamed_array(array, names) for array in arrays]
    return Graph([_renamed(node, names) for node in wire.nodes], layouts=wire.layouts, arrays=renamed, tables=tables)


def _array(wire: WireArray, reader: TableReader, where: str) -> StoredArray:
    return StoredArray(
        wire.layout,
        wire.shape,
        location=None if wire.location is None else _location(wire.location, reader, f"{where}.location"),
        refs=wire.refs,
        refs_first=wire.refs_first,
        values=wire.values,
        origins=wire.origins,
        stamp=wire.stamp,
        variants=wire.variants,
        places=tuple(
            Place(_location(place.location, reader, f"{where}.places[{number}].location"), place.stamp)
            for number, place in enumerate(wire.places)
        ),
        inline=wire.inline,
        grant=reader.grant,
    )


def _location(text: str, reader: TableReader, where: str) -> str:
    try:
        location = reader.resolver(text)
        reader.check(location)
    except LazyZarrError as error:
        error.where = where
        raise
    return location


def _renamed(node: Node, names: Mapping[str, str]) -> Node:
    """The node with tables by the names they have in memory; names that are not there stay, and are refused later."""
    kind = type(node)
    if kind is not Take and kind is not Tiles and kind is not Boxes:
        return node
    if isinstance(node, Take):
        return msgspec.structs.replace(node, indices=names.get(node.indices, node.indices))
    if isinstance(node, Tiles):
        refs = None if node.refs is None else names.get(node.refs, node.refs)
        return msgspec.structs.replace(node, table=names.get(node.table, node.table), refs=refs)
    if isinstance(node, Boxes):
        return msgspec.structs.replace(node, table=names.get(node.table, node.table))
    return node


def _renamed_array(array: StoredArray, names: Mapping[str, str]) -> StoredArray:
    if array.refs is None and array.values is None and array.inline is None and array.origins is None:
        return array
    new: dict[str, Any] = {
        member: names.get(name, name)
        for member, name in (
            ("refs", array.refs),
            ("values", array.values),
            ("inline", array.inline),
            ("origins", array.origins),
        )
        if name is not None
    }
    return msgspec.structs.replace(array, **new)


def _check_chains(graph: Graph) -> None:
    """Compile every chain, which checks names, places and configurations of codecs without reading anything."""
    for position, layout in enumerate(graph.layouts):
        try:
            to_numpy(layout.data_type)
        except LazyZarrError as error:
            error.where = f"layouts[{position}]"
            raise
        try:
            compile_chain(sample(layout))
        except LazyZarrError as error:
            error.where = f"layouts[{position}].codecs"
            raise


def _check_decodes(graph: Graph, schemas: tuple[Schema, ...]) -> None:
    """As `_check_chains`, for the codecs of decodes, of which a document may have very many that are the same."""
    taken: dict[Any, Any] = {}
    for position, node in of_kind(graph.nodes, Decode):
        chain = node.codecs, node.data_type
        try:
            if chain not in taken:
                taken[chain] = value_stages(*chain)[-1].encoded.dtype
            given = to_numpy(schemas[node.input].data_type)
            if taken[chain] != given:
                raise ViewSchemaError(f"the decode takes {taken[chain]}, its input is {given}", reason="graph-type")
        except LazyZarrError as error:
            error.where = f"nodes[{position}]{'' if error.reason == 'graph-type' else '.codecs'}"
            raise


def _check_declared(declared: WireSchema, found: Schema) -> None:
    wrong: list[str] = []
    if declared.shape != found.shape:
        wrong.append(f"shape {list(declared.shape)} is declared, the graph has {list(found.shape)}")
    if msgspec_form(declared.data_type) != msgspec_form(found.data_type):
        wrong.append(f"data type {declared.data_type} is declared, the graph has {found.data_type}")
    elif not fill.same(declared.fill_value, found.fill_value, found.data_type):
        wrong.append(f"fill value {declared.fill_value!r} is declared, the graph has {found.fill_value!r}")
    names = declared.dimension_names
    if names is not None and len(names) != len(found.shape):
        wrong.append(f"{len(names)} dimension names for rank {len(found.shape)}")
    if wrong:
        raise ViewSchemaError(
            f"the declared schema is not that of the graph: {'; '.join(wrong)}; save the view again",
            reason="document-schema",
            where=f"{PREFIX}.schema",
        )


def _grid(grid: NamedConfig | None, rank: int) -> tuple[int, ...] | None:
    if grid is None:
        return None
    try:
        shape = msgspec.convert(grid.configuration, _RegularGrid).chunk_shape
    except msgspec.ValidationError:
        shape = ()
    if grid.name != "regular" or len(shape) != rank:
        raise ViewSchemaError(
            "the grid is not a regular grid of the rank of the view; it is advice for readers; leave it out",
            where=f"{PREFIX}.grid",
        )
    return shape
