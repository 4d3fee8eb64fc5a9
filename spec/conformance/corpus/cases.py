"""A good case: a folder with its sources, the view as saved, and what it is expected to be.

Owns the folder. Sources are written by zarr-python or byte by byte, views are made and saved with lazyzarr, and
expected values are given by each case as a NumPy array. Refuses stamps with a time or an inode: a checkout makes new
ones, so sources are pinned by size and digest, or not at all.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import zarr

import lazyzarr as lz
from corpus.expected import cells, digest
from corpus.rules import rules_of
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, NamedConfig, Stamp, StoredArray
from lazyzarr.ir.nodes import Node
from lazyzarr.ir.tables import Table
from lazyzarr.ir.tiles import tile_columns
from lazyzarr.leaves import source
from lazyzarr.read import Reader
from lazyzarr.view import View

_VERSION = re.compile(rb'("made_by": \{\s*"software": "lazyzarr"),\s*"version": "[^"]*"')


class Case:
    """One folder of the corpus."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "sources").mkdir(parents=True)

    @property
    def rules(self) -> list[str]:
        """Rules of the specification that the case shows."""
        return rules_of(f"{self.folder.parent.name}/{self.folder.name}")

    def path(self, name: str) -> Path:
        """Where a source is written."""
        return self.folder / "sources" / name

    def url(self, name: str) -> str:
        """Location of a source."""
        return self.path(name).absolute().as_uri()

    def zarr(self, name: str, values: np.ndarray, chunks: Sequence[int], *, pin: bool = True, **options: Any) -> View:
        """A Zarr array with the cells, opened; chunks that hold nothing but the fill value are not stored."""
        options = {"compressors": None, "filters": None, **options}
        with zarr.config.set({"array.write_empty_chunks": False}):
            array = zarr.create_array(
                str(self.path(name)), shape=values.shape, chunks=tuple(chunks), dtype=values.dtype, **options
            )
            array[...] = values
        return self.open(name, pin=pin)

    def open(self, name: str, *, pin: bool = True) -> View:
        """A Zarr array, pinned by the size and digest of its metadata or not at all."""
        view = lz.open(self.path(name))
        document = next(path for path in map(self.path(name).joinpath, ("zarr.json", ".zarray")) if path.exists())
        text = document.read_bytes()
        stamp = Stamp(size=len(text), digest=f"sha256:{hashlib.sha256(text).hexdigest()}") if pin else None
        array = msgspec.structs.replace(view.ir.arrays[0], stamp=stamp)
        return source(array, view.ir.layouts, reader=view.reader, dims=view.dims, attrs=view.attrs)

    def change_layout(self, members: Mapping[str, Any]) -> None:
        """Write members of the only layout of the saved view anew, as others than lazyzarr may have written them."""
        path = self.folder / "view.zarr" / "zarr.json"
        document = json.loads(path.read_text("utf-8"))
        (layout,) = document["attributes"]["lazyzarr"]["graph"]["layouts"]
        layout.update(members)
        path.write_text(json.dumps(document, indent=2), encoding="utf-8")

    def raw(self, name: str, content: bytes) -> None:
        """A binary file."""
        self.path(name).write_bytes(content)

    def stored(self, array: StoredArray, layouts: Sequence[Layout], tables: Mapping[str, Table]) -> View:
        """The view of a stored array that is not a Zarr array."""
        return source(array, layouts, reader=Reader(), tables=tables)

    def node(
        self,
        node: Node,
        inputs: Sequence[View] = (),
        *,
        layouts: Sequence[Layout] = (),
        arrays: Sequence[StoredArray] = (),
        tables: Sequence[Table] = (),
    ) -> View:
        """A view of one node; its layouts and arrays are positions in ``layouts`` and ``arrays``."""
        own = Graph((), layouts=layouts, arrays=arrays, tables={table.name: table for table in tables})
        return View(node, inputs, own=own, reader=Reader.joined([view.reader for view in inputs]))

    def save(
        self,
        view: View,
        values: np.ndarray,
        *,
        fill_value: Any,
        flatness: str,
        chunks: int,
        placements: int | None = None,
        dims: Sequence[str | None] | None = None,
        attributes: Mapping[str, Any] | None = None,
        about: str,
        name: str = "view.zarr",
        manifest: bool | Literal["only"] = False,
        share: bool = False,
    ) -> None:
        """Save the view, and say what it is expected to be.

        Parameters
        ----------
        values
            What it reads as.
        fill_value
            In JSON form.
        flatness
            Class, as defined in ``spec/manifest.md``.
        chunks
            Stored or missing chunks of which some cell is seen.
        placements
            Boxes of sources; left out where it depends on how boxes or gathers are cut.
        dims, attributes
            Dimension names and the user's attributes.
        about
            What the case shows.
        manifest, share
            As `lazyzarr.save` has them.
        """
        target = self.folder / name
        lz.save(view, target, manifest=manifest, share=share)
        forget_version(target / "zarr.json")
        expected = {
            "about": about,
            "rules": self.rules,
            "shape": list(values.shape),
            "data_type": _data_type(values.dtype),
            "fill_value": fill_value,
            "dimension_names": None if dims is None else list(dims),
            "attributes": dict(attributes or {}),
            "flatness": flatness,
            "placements": placements,
            "chunks": chunks,
            "values": cells(values),
            "digest": digest(values),
        }
        write_json(self.folder / "expected.json", expected)


Function = Callable[[Case], None]


def write_good(functions: Sequence[Function], into: Path) -> int:
    """Write one folder for each function, named like it; the number of them."""
    for function in functions:
        function(Case(into / function.__name__.replace("_", "-")))
    return len(functions)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """An object as JSON, each member on one line, so that values of a case can be read."""
    lines = [f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in content.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def forget_version(document: Path) -> None:
    """Take the version of the writing software out, so that a release is not a change of the corpus."""
    document.write_bytes(_VERSION.sub(rb"\1", document.read_bytes()))


def ramp(*shape: int, dtype: Any = "int16", start: int = 0) -> np.ndarray:
    """Cells that count up in C order, so that every misplaced cell shows."""
    return np.arange(start, start + math.prod(shape)).astype(dtype).reshape(shape)


def gzip_stored(data: bytes) -> bytes:
    """A gzip member without compression: the same bytes whatever library is installed."""
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    block = b"\x01" + struct.pack("<HH", len(data), len(data) ^ 0xFFFF) + data
    return head + block + struct.pack("<II", zlib.crc32(data), len(data))


def tile_table(arrays: Sequence[StoredArray], origins: Any, layouts: Any, **more: Any) -> Table:
    """A table of tiles under a name that does not depend on where the corpus is written."""
    columns = tile_columns(arrays, np.asarray(origins, np.int64), np.asarray(layouts, np.int32))
    return Table({**columns, **more}, name="tiles")


def _data_type(dtype: np.dtype) -> Any:
    if dtype.kind == "T":
        return "string"
    if dtype.kind == "O":
        return "variable_length_bytes"
    if dtype.kind in "Mm":
        unit, factor = np.datetime_data(dtype)
        name = {"M": "numpy.datetime64", "m": "numpy.timedelta64"}[dtype.kind]
        return {"name": name, "configuration": {"unit": unit, "scale_factor": factor}}
    if dtype.fields is not None:
        fields = [{"name": name, "data_type": _data_type(dtype[name])} for name in dtype.names or ()]
        return {"name": "struct", "configuration": {"fields": fields}}
    if dtype.kind in "VSU":
        name = {"V": "raw_bytes", "S": "null_terminated_bytes", "U": "fixed_length_utf32"}[dtype.kind]
        return {"name": name, "configuration": {"length_bytes": dtype.itemsize}}
    return dtype.name


__all__ = ["Case", "NamedConfig", "forget_version", "gzip_stored", "ramp", "tile_table", "write_good", "write_json"]
