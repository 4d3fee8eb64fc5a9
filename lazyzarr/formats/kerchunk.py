"""Writing kerchunk references: JSON, version 1, and Parquet.

Owns `write`. Chunks stay where they are; those that views keep in memory are written into the references. Metadata are
Zarr version 2, which every reader of kerchunk knows, or version 3 (JSON only). CF packing is left as attributes where
xarray decodes them to the same values, bit for bit. Refuses, naming the array and all reasons, what would read as other
values or has no form; pins cannot be kept, and the report counts them.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
import numpy as np

from lazyzarr.errors import ExtraMissing, SaveUnsupported
from lazyzarr.formats.export_sources import Source, counts, flat_of, json_attributes, sources, with_nodes
from lazyzarr.formats.local_output import local_target, write_file, write_folder
from lazyzarr.formats.plain_zarr import PlainArray, plain_array
from lazyzarr.formats.reference_places import written
from lazyzarr.formats.report import UNEVEN, ExportReport
from lazyzarr.ir.chunk_keys import chunk_keys
from lazyzarr.ir.layout import DEFAULT_KEYS, NamedConfig
from lazyzarr.lower.aligned import INLINE, MISSING, OBJECT, AlignedManifest

RECORD_SIZE = 10_000
"""References in one file of Parquet."""
_DOTTED = NamedConfig("v2", {"separator": "."})


def write(
    views: Any,
    target: str | os.PathLike[str],
    *,
    zarr_format: Literal[2, 3] = 2,
    rectilinear: bool = False,
    name: str = "data",
    relative: bool = False,
    overwrite: bool = False,
    record_size: int = RECORD_SIZE,
) -> ExportReport:
    """Write views as kerchunk references.

    Parameters
    ----------
    views
        A view, the manifest that `View.flatten` makes of one, or a group: anything that maps names to them and groups.
    target
        A local path: ``*.parq`` or ``*.parquet`` for Parquet, anything else for JSON.
    zarr_format
        Of the metadata. 3 needs a reader that knows it, such as ``xarray.open_zarr``; xarray's kerchunk engine wants 2.
    rectilinear
        Allow chunks of several lengths along an axis, with metadata of version 3: zarr-python reads them where
        ``array.rectilinear_chunks`` is set in its configuration.
    name
        Of the array, where `views` is one view.
    relative
        Write locations on the same storage relative to the file. lazyzarr reads them so; fsspec takes them from its
        working directory.
    overwrite
        Replace a JSON file. A folder of Parquet is never replaced.
    record_size
        References in one file of Parquet.

    Returns
    -------
    ExportReport

    Raises
    ------
    NotFlat
        A view is not a flat manifest; with every problem.
    SaveUnsupported
        Stock readers would read other values, or the format has no form of an array; with every reason.
    SaveConflict, SaveError
        The target exists; the storage failed.

    Examples
    --------
    >>> import tempfile, numpy as np, zarr, lazyzarr as lz
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = zarr.create_array(f"{folder}/a.zarr", data=np.arange(6), chunks=(2,))
    ...     report = lz.formats.kerchunk.write({"a": lz.open(f"{folder}/a.zarr")[2:]}, f"{folder}/refs.json")
    ...     lz.open(f"{folder}/refs.json")["a"].read().tolist(), report.chunks, report.unpinned
    ([2, 3, 4, 5], 2, 2)
    """
    path, url = local_target(target)
    parquet = path.suffix in (".parq", ".parquet")
    if zarr_format not in (2, 3):
        raise SaveUnsupported(f"write of Zarr version {zarr_format!r}; there are 2 and 3; give one of them")
    if rectilinear and zarr_format == 2:
        raise SaveUnsupported(
            "write of rectilinear grids as Zarr version 2, which has none; pass zarr_format=3, or leave rectilinear out"
        )
    if parquet and zarr_format == 3:
        raise SaveUnsupported(
            "write of Zarr version 3 as kerchunk Parquet; its readers know the grid from version 2 metadata only; write "
            "version 2, or JSON"
        )
    if record_size < 1:
        raise SaveUnsupported(f"write with record_size {record_size}; a file holds at least one reference")
    made = _Written(url, zarr_format, relative, rectilinear)
    nodes: list[_Node] = []
    for source in sources(views, name):
        with with_nodes(source.array):
            nodes.append(made.node(source))
    if parquet:
        write_folder(path, _folder(nodes, made, record_size))
    else:
        refs: dict[str, Any] = {}
        for node in nodes:
            refs.update(made.json(node))
        write_file(path, msgspec.json.encode({"version": 1, "refs": refs}), overwrite=overwrite)
    return made.report("kerchunk", str(path))


class _Node(msgspec.Struct, frozen=True):
    """One node, ready to be written."""

    path: str
    documents: dict[str, dict[str, Any]]
    flat: AlignedManifest | None = None


class _Written:
    """What is written, and the counts."""

    def __init__(self, url: str, version: Literal[2, 3], relative: bool, rectilinear: bool) -> None:
        self.url, self.relative, self.rectilinear = url, relative, rectilinear
        self.version: Literal[2, 3] = version
        self.keys = _DOTTED if version == 2 else DEFAULT_KEYS
        self.arrays = self.references = self.inline = self.pins = 0
        self.lost: list[str] = []

    def node(self, source: Source) -> _Node:
        """Everything that can be refused is refused here, before anything is written."""
        if source.array is None:
            attributes = json_attributes(source.attributes, source.path)
            if self.version == 3:
                document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
                return _Node(source.path, {"zarr.json": document})
            return _Node(source.path, {".zgroup": {"zarr_format": 2}, ".zattrs": attributes})
        flat = flat_of(source, rectilinear=self.rectilinear)
        plain: PlainArray = plain_array(flat, source.path, self.version, self.keys)
        references, pins, inline = counts(flat)
        self.arrays += 1
        self.references += references
        self.inline += inline
        self.pins += pins
        self.lost += [f"{source.path}: {what}" for what in plain.lost]
        if not flat.is_regular:
            self.lost.append(f"{source.path}: {UNEVEN}")
        return _Node(source.path, plain.documents, flat)

    def report(self, kind: str, target: str) -> ExportReport:
        lost = list(self.lost)
        if self.pins:
            lost.append(f"pins of {self.pins} references: nothing in the file says what the objects were")
        return ExportReport(
            kind,
            target,
            self.arrays,
            self.references + self.inline,
            unpinned=self.references,
            inline=self.inline,
            lost=tuple(lost),
        )

    def json(self, node: _Node) -> Iterator[tuple[str, Any]]:
        """Keys and entries of one node."""
        above = f"{node.path}/" if node.path else ""
        for last, document in node.documents.items():
            yield above + last, json.dumps(document)
        if node.flat is None:
            return
        flat = node.flat
        rows = np.flatnonzero(flat.state != MISSING)
        texts, url = self.places(flat)
        coords = (
            np.stack(np.unravel_index(rows, flat.grid_shape), axis=1) if flat.shape else np.zeros((len(rows), 0), int)
        )
        columns = (chunk_keys(self.keys, coords, above), rows.tolist(), flat.state[rows].tolist(), url[rows].tolist())
        offset, length = flat.offset[rows].tolist(), flat.length[rows].tolist()
        for key, row, state, place, start, size in zip(*columns, offset, length, strict=True):
            if state == INLINE:
                yield key, "base64:" + base64.b64encode(flat.inline(row)).decode()
            elif state == OBJECT:
                yield key, [texts[place]]
            else:
                yield key, [texts[place], start, size]

    def places(self, flat: AlignedManifest) -> tuple[list[str], np.ndarray]:
        """Distinct locations as the file has them, and which of them each chunk has."""
        urls, number = flat.url_table()
        return [written(url, self.url, relative=self.relative) for url in urls], number


def _folder(nodes: list[_Node], made: _Written, record_size: int) -> Iterator[tuple[str, bytes]]:
    try:
        writing = importlib.import_module("lazyzarr.formats.kerchunk_records")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("lazyzarr"):
            raise
        raise ExtraMissing(
            f'write of kerchunk Parquet; the package {error.name} is not installed; run pip install "lazyzarr[kerchunk]"'
        ) from error
    metadata: dict[str, Any] = {}
    for node in nodes:
        above = f"{node.path}/" if node.path else ""
        metadata |= {above + last: document for last, document in node.documents.items()}
        if node.flat is not None:
            for number, content in writing.records(node.flat, *made.places(node.flat), record_size):
                yield f"{above}refs.{number}.parq", content
    yield ".zmetadata", json.dumps({"metadata": metadata, "record_size": record_size}).encode()
