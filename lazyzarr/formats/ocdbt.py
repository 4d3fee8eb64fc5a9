"""Writing OCDBT databases: flat views that stock TensorStore reads, each chunk from where it is stored.

1. Each flat view becomes the metadata of a Zarr array, and a key for each chunk that is there.
2. The keys become a B+tree whose values are byte ranges of other files, and the tree a database in one folder.
Owns `write`, and `spec`, the TensorStore specification of an array of such a database. Refuses what TensorStore would read
as other values, and sources that are not on the local disk: a database has one root for itself and for what it refers to.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from lazyzarr.access.url import shown, to_path
from lazyzarr.errors import SaveUnsupported, SourceError
from lazyzarr.formats.export_sources import Source, counts, flat_of, json_attributes, lengths_of, sources, with_nodes
from lazyzarr.formats.local_output import local_target, write_folder
from lazyzarr.formats.ocdbt_tree import LONGEST_PATH, Entries, manifest, tree
from lazyzarr.formats.report import ExportReport
from lazyzarr.formats.tensorstore_arrays import NoForm, zarr_form
from lazyzarr.ir.chunk_keys import chunk_keys
from lazyzarr.ir.layout import Layout, NamedConfig
from lazyzarr.lower.aligned import INLINE, MISSING, OBJECT, AlignedManifest

_KEYS = NamedConfig("v2", {"separator": "/"})
_MOST_INLINE = 100
"""Bytes of a value that is kept in the tree itself; longer ones are in the file of the nodes."""
_ABOUT = "lazyzarr.json"
_MANIFEST = "manifest.ocdbt"


def write(views: Any, target: str | os.PathLike[str], *, name: str = "data") -> ExportReport:
    """Write flat views as an OCDBT database that refers to their chunks.

    Parameters
    ----------
    views
        A view, the manifest that `View.flatten` makes of one, or a group: anything that maps names to them and groups.
    target
        A local folder that is not there yet. It and the sources may be moved together.
    name
        Of the array, where `views` is one view.

    Returns
    -------
    ExportReport

    Raises
    ------
    NotFlat
        A view is not a flat manifest on a regular grid; with every problem.
    SaveUnsupported
        TensorStore cannot read an array, or would read other values; with every reason. Or a source is not local.
    SaveConflict, SaveError
        The target exists; the storage failed.

    Examples
    --------
    >>> import tempfile, numpy as np, tensorstore, zarr, lazyzarr as lz
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = zarr.create_array(f"{folder}/a.zarr", data=np.arange(6), chunks=(2,))
    ...     _ = write(lz.open(f"{folder}/a.zarr")[2:], f"{folder}/db", name="a")
    ...     tensorstore.open(spec(f"{folder}/db", "a")).result().read().result().tolist()
    [2, 3, 4, 5]
    """
    path, _ = local_target(target)
    found = _Collected()
    for source in sources(views, name):
        found.add(source)
    base = Path(os.path.commonpath([path.parent, *(os.path.dirname(place) for place in found.paths)]))
    inside = os.path.relpath(path, base)
    nodes = f"d/{secrets.token_hex(16)}"
    about = {"base": os.path.relpath(base, path), "drivers": found.drivers}
    content, root = found.encoded(base, os.path.join(inside, nodes).encode())
    files = [
        (nodes, content),
        (_ABOUT, json.dumps(about, indent=2).encode()),
        (_MANIFEST, manifest(root, os.path.join(inside, nodes).encode(), secrets.token_bytes(16), time.time_ns())),
    ]
    write_folder(path, files)
    return found.report(str(path))


def spec(target: str | os.PathLike[str], name: str = "data") -> dict[str, Any]:
    """The TensorStore specification of an array in a database that `write` made.

    Raises
    ------
    SourceError
        ``source-missing``: there is no such database, or no such array in it.

    Examples
    --------
    >>> import tempfile, lazyzarr as lz
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = write(lz.full((2, 3), 7, dtype="int16"), f"{folder}/db")
    ...     spec(f"{folder}/db")["kvstore"]["path"]
    'data/'
    """
    path, _ = local_target(target)
    try:
        about = msgspec.json.decode((path / _ABOUT).read_bytes(), type=_About)
    except (OSError, msgspec.DecodeError) as error:
        raise SourceError(
            f"the OCDBT database {path}; it has no readable {_ABOUT}; give the folder that was written",
            reason="source-missing",
        ) from error
    if name not in about.drivers:
        raise SourceError(
            f"the array {name!r} of {path}; it has {', '.join(sorted(about.drivers)) or 'none'}; name one of them",
            reason="source-missing",
        )
    base = os.path.normpath(path / about.base)
    return {
        "driver": about.drivers[name],
        "kvstore": {
            "driver": "ocdbt",
            "base": {"driver": "file", "path": f"{base.rstrip('/')}/"},
            "manifest": {"driver": "file", "path": f"{path}/"},
            "path": f"{name}/",
        },
    }


class _About(msgspec.Struct):
    """What the driver of an array has to know of a database beside it."""

    base: str
    drivers: dict[str, str]


class _Collected:
    """Keys of all arrays so far, and where their values are."""

    def __init__(self) -> None:
        self.drivers: dict[str, str] = {}
        self.paths: list[str] = []
        self._keys: list[bytes] = []
        self._file: list[np.ndarray] = []
        self._offset: list[np.ndarray] = []
        self._length: list[np.ndarray] = []
        self._values: list[bytes] = []
        self._chunks = self._inline = self._pins = 0
        self._lost: list[str] = []

    def add(self, source: Source) -> None:
        """Take a group or an array."""
        above = f"{source.path}/" if source.path else ""
        attributes = json_attributes(source.attributes, source.path)
        if source.array is None:
            document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
            self._direct([f"{above}zarr.json"], [json.dumps(document).encode()])
            return
        with with_nodes(source.array):
            self._array(source, above, attributes)

    def _array(self, source: Source, above: str, attributes: dict[str, Any]) -> None:
        flat = flat_of(source)
        self.drivers[source.path], documents = _documents(flat, source.path, attributes)
        self._direct([above + key for key in documents], [json.dumps(one).encode() for one in documents.values()])
        references, pins, inline = counts(flat)
        self._chunks, self._pins, self._inline = (
            self._chunks + references + inline,
            self._pins + pins,
            self._inline + inline,
        )
        self._references(flat, above, source.path)

    def report(self, target: str) -> ExportReport:
        """What was written."""
        if self._pins:
            self._lost.append(f"pins of {self._pins} references: nothing in the database says what the objects were")
        references = self._chunks - self._inline
        lost = tuple(self._lost)
        return ExportReport(
            "ocdbt", target, len(self.drivers), self._chunks, unpinned=references, inline=self._inline, lost=lost
        )

    def encoded(self, base: Path, nodes: bytes) -> tuple[bytes, Any]:
        """The file of long values and nodes, and the root of the tree."""
        length = np.concatenate(self._length)
        file, offset = np.concatenate(self._file), np.concatenate(self._offset)
        order = np.array(sorted(range(len(self._keys)), key=self._keys.__getitem__), np.int64)
        paths = [os.path.relpath(path, base).encode() for path in self.paths]
        long = [len(value) > _MOST_INLINE for value in self._values]
        place = np.concatenate(
            [[0], np.cumsum([len(v) if far else 0 for v, far in zip(self._values, long, strict=True)])]
        )
        values = file < 0
        number = np.cumsum(values) - 1  # of the value of a row
        far = np.zeros(len(file), bool)
        far[values] = long
        file[far], offset[far] = len(paths), place[:-1][number[far]]
        direct = [self._values[k] for k in number[order][(values & ~far)[order]].tolist()]
        keys = np.array(self._keys, object)[order]
        entries = Entries(keys, file[order], offset[order].astype(np.uint64), length[order].astype(np.uint64))
        blob = b"".join(value for value, away in zip(self._values, long, strict=True) if away)
        content, root = tree(entries, direct, [*paths, nodes], nodes, len(blob))
        return blob + content, root

    def _direct(self, keys: Sequence[str], values: Sequence[bytes]) -> None:
        self._keys += [key.encode() for key in keys]
        self._values += values
        self._file.append(np.full(len(keys), -1))
        self._offset.append(np.zeros(len(keys), np.int64))
        self._length.append(np.array([len(value) for value in values], np.int64))

    def _references(self, flat: AlignedManifest, above: str, name: str) -> None:
        rows = np.flatnonzero((flat.state != MISSING) & (flat.state != INLINE))
        urls, number = flat.url_table()
        first = len(self.paths)
        self.paths += [_local(url, name) for url in urls]
        length = flat.length.copy()
        whole = rows[flat.state[rows] == OBJECT]
        length[whole] = lengths_of(flat, whole, "an OCDBT database")
        self._keys += [key.encode() for key in _keys(flat, rows, above)]
        self._file.append(first + number[rows].astype(np.int64))
        self._offset.append(np.where(flat.state[rows] == OBJECT, 0, flat.offset[rows]).astype(np.int64))
        self._length.append(length[rows].astype(np.int64))
        inline = np.flatnonzero(flat.state == INLINE)
        self._direct(_keys(flat, inline, above), [bytes(flat.inline(row)) for row in inline.tolist()])


def _keys(flat: AlignedManifest, rows: np.ndarray, above: str) -> list[str]:
    coords = np.stack(np.unravel_index(rows, flat.grid_shape), axis=1) if flat.shape else np.zeros((len(rows), 0), int)
    return chunk_keys(_KEYS, coords, above)


def _local(url: str, name: str) -> str:
    if not url.startswith("file://"):
        raise SaveUnsupported(
            f"write of {name!r} as an OCDBT database; {shown(url)} is not on the local disk, and a database has one root "
            "for itself and all it refers to; write a specification with lz.formats.tensorstore, or Icechunk",
            where=name,
        )
    path = to_path(url)
    if len(path.encode()) > LONGEST_PATH:
        raise SaveUnsupported(f"write of {name!r} as an OCDBT database; a path has {len(path)} characters; shorten it")
    return path


def _documents(flat: AlignedManifest, name: str, attributes: dict[str, Any]) -> tuple[str, dict[str, dict[str, Any]]]:
    """The driver of an array, and its metadata by the last part of their key."""
    if flat.decodes:
        decodes = ", ".join(codec.name for codec in flat.decodes)
        raise SaveUnsupported(
            f"write of {name!r} as an OCDBT database; TensorStore reads stored values, and {decodes} computes others; open "
            "the sources with packing='raw', or write kerchunk or Icechunk references",
            where=name,
        )
    layout = Layout(flat.data_type, flat.fill_value, flat.chunk_shape, flat.codecs, chunk_keys=_KEYS)
    try:
        made = zarr_form(flat.shape, layout)
    except NoForm as error:
        raise SaveUnsupported(
            "\n  - ".join((f"write of {name!r} as an OCDBT database:", *error.problems)), where=name
        ) from error
    document = made["metadata"]
    if made["driver"] == "zarr":
        named = {"_ARRAY_DIMENSIONS": list(flat.dims)} if flat.dims and None not in flat.dims else {}
        return "zarr", {".zarray": document, ".zattrs": {**attributes, **named}}
    document |= {"zarr_format": 3, "node_type": "array", "attributes": attributes}
    if flat.dims is not None:
        document["dimension_names"] = list(flat.dims)
    return "zarr3", {"zarr.json": document}
