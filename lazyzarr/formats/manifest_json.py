"""Writing ``manifest.json``: Zarr version 3 with the storage transformer ``chunk-manifest-json``.

Owns `write`; what is written is a folder in the form that zarr-specs issue 287 drafts, and `lazyzarr.open` reads it.
Every entry has path, offset and length, so the length of whole objects is looked up. Refuses, naming the array and all
reasons, what has no form: bytes in memory have no object.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from lazyzarr.errors import SaveUnsupported
from lazyzarr.formats.export_sources import Source, counts, flat_of, json_attributes, lengths_of, sources, with_nodes
from lazyzarr.formats.local_output import local_target, write_folder
from lazyzarr.formats.manifest_reading import TRANSFORMER
from lazyzarr.formats.plain_zarr import PlainArray, plain_array
from lazyzarr.formats.reference_places import written
from lazyzarr.formats.report import ExportReport
from lazyzarr.ir.chunk_keys import chunk_keys
from lazyzarr.ir.layout import NamedConfig
from lazyzarr.lower.aligned import INLINE, MISSING, OBJECT, AlignedManifest

_KEYS = NamedConfig("v2", {"separator": "."})
"""Of the arrays as well, so that both have one name for a chunk."""


def write(views: Any, target: str | os.PathLike[str], *, name: str = "data", relative: bool = False) -> ExportReport:
    """Write views as Zarr arrays with manifests.

    Parameters
    ----------
    views
        A view, or a group: anything that maps names to views and groups.
    target
        A local folder that is not there yet.
    name
        Of the array, where `views` is one view.
    relative
        Write locations on the same storage relative to the manifest, as lazyzarr reads them.

    Returns
    -------
    ExportReport

    Raises
    ------
    NotFlat
        A view is not a flat manifest; with every problem.
    SaveUnsupported
        The format has no form of an array; with every reason.
    SaveConflict, SaveError
        The target exists; the storage failed.

    Examples
    --------
    >>> import tempfile, numpy as np, zarr, lazyzarr as lz
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = zarr.create_array(f"{folder}/a.zarr", data=np.arange(6), chunks=(2,))
    ...     _ = lz.formats.manifest_json.write(lz.open(f"{folder}/a.zarr")[2:], f"{folder}/m.zarr", name="a")
    ...     lz.open(f"{folder}/m.zarr", allow=[folder])["a"].read().tolist()
    [2, 3, 4, 5]
    """
    path, url = local_target(target)
    files: list[tuple[str, bytes]] = []
    arrays = references = pins = 0
    lost: list[str] = []
    for source in sources(views, name):
        above = f"{source.path}/" if source.path else ""
        if source.array is None:
            document = {
                "zarr_format": 3,
                "node_type": "group",
                "attributes": json_attributes(source.attributes, source.path),
            }
            files.append((f"{above}zarr.json", _text(document)))
            continue
        with with_nodes(source.array):
            flat, plain = _array(source)
        document = plain.documents["zarr.json"]
        document["storage_transformers"] = [{"name": TRANSFORMER, "configuration": {"manifest": "./manifest.json"}}]
        files.append((f"{above}zarr.json", _text(document)))
        place = f"{url}/{above}manifest.json"
        files.append((f"{above}manifest.json", json.dumps(dict(_entries(flat, place, relative=relative))).encode()))
        stored, pinned, _ = counts(flat)
        arrays, references, pins = arrays + 1, references + stored, pins + pinned
        lost += [f"{source.path}: {what}" for what in plain.lost]
    if pins:
        lost.append(f"pins of {pins} references: nothing in the manifest says what the objects were")
    write_folder(path, files)
    return ExportReport("manifest.json", str(path), arrays, references, unpinned=references, lost=tuple(lost))


def _array(source: Source) -> tuple[AlignedManifest, PlainArray]:
    flat = flat_of(source)
    if (flat.state == INLINE).any():
        raise SaveUnsupported(
            f"write of {source.path!r} as manifest.json; {int((flat.state == INLINE).sum())} chunks are in memory and "
            "a manifest refers to objects only; write kerchunk references, or write the chunks with zarr first",
            where=source.path,
        )
    return flat, plain_array(flat, source.path, 3, _KEYS)


def _entries(flat: AlignedManifest, base: str, *, relative: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    rows = np.flatnonzero(flat.state != MISSING)
    coords = np.stack(np.unravel_index(rows, flat.grid_shape), axis=1) if flat.shape else np.zeros((len(rows), 0), int)
    urls, number = flat.url_table()
    texts = [written(url, base, relative=relative) for url in urls]
    length = flat.length.copy()
    whole = np.flatnonzero(flat.state == OBJECT)
    length[whole] = lengths_of(flat, whole, "manifest.json")
    columns = (number[rows].tolist(), flat.offset[rows].tolist(), length[rows].tolist())
    for key, place, offset, size in zip(chunk_keys(_KEYS, coords), *columns, strict=True):
        yield key, {"path": texts[place], "offset": offset, "length": size}


def _text(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=2).encode()
