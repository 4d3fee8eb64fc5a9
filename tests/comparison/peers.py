"""How each peer joins files, saves the join, and reads it again; what became of a row of the comparison.

Owns one function for each peer: from files in the working directory to values, by way of what the peer saves. Refuses to help:
each peer is used as its documentation says, with no workaround.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tensorstore
import xarray
import zarr
from kerchunk.combine import MultiZarrToZarr
from kerchunk.hdf import SingleHdf5ToZarr
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import LocalStore
from virtualizarr import open_virtual_dataset
from virtualizarr.parsers import HDFParser

import lazyzarr as lz

Key = tuple[slice, ...]


class NoSuchThing(Exception):
    """The peer has no way to say what the row asks for."""


@dataclass(frozen=True)
class Part:
    """One file, with one variable."""

    cells: np.ndarray
    """As stored."""
    chunks: tuple[int, ...]
    compression: str | None = "gzip"
    attrs: tuple[tuple[str, Any], ...] = ()
    fill: Any = 0
    missing: bool = False
    """Whether nothing is stored, so that all of it is fill."""


@dataclass(frozen=True)
class Row:
    """A row of the comparison: files, what is asked of their join, and what must come out."""

    parts: Sequence[Part]
    expected: np.ndarray | None
    """Values; None where the only right answer is an error."""
    key: Key | None = None
    transposed: bool = False
    damage: Callable[[], None] | None = None
    """Between saving and reading; the files are ``0.nc``, ``1.nc``, .. and ``0.zarr``, ``1.zarr``, .."""


def write(parts: Sequence[Part]) -> None:
    """Each part as a NetCDF-4 file and as a Zarr array."""
    first = 0
    for number, part in enumerate(parts):
        with h5py.File(f"{number}.nc", "w") as file:
            data = file.create_dataset(
                "v",
                part.cells.shape,
                part.cells.dtype,
                chunks=part.chunks,
                compression=part.compression,
                fillvalue=part.fill,
            )
            if not part.missing:
                data[...] = part.cells
            data.attrs.update(dict(part.attrs))
            for axis, name in enumerate("tx"[: part.cells.ndim]):
                start = first if axis == 0 else 0
                scale = file.create_dataset(name, data=np.arange(start, start + part.cells.shape[axis]))
                scale.make_scale(name)
                data.dims[axis].attach_scale(scale)
        options = {} if part.compression else {"compressors": None}
        array = zarr.create_array(
            f"{number}.zarr",
            shape=part.cells.shape,
            dtype=part.cells.dtype,
            chunks=part.chunks,
            fill_value=part.fill,
            **options,
        )
        if not part.missing:
            array[...] = part.cells
        first += len(part.cells)


def _asked(joined: Any, row: Row) -> Any:
    joined = joined if row.key is None else joined[row.key]
    return joined.T if row.transposed else joined


def with_lazyzarr(row: Row) -> np.ndarray:
    """lazyzarr: views of the files, saved as Zarr metadata."""
    joined = lz.concat([lz.open(f"{number}.nc", "v") for number in range(len(row.parts))], promote=True)
    lz.save(_asked(joined, row), "view.zarr")
    _damage(row)
    return lz.open("view.zarr").read()


def with_virtualizarr(row: Row) -> np.ndarray:
    """VirtualiZarr: virtual data sets, saved as kerchunk references, read with xarray."""
    registry = ObjectStoreRegistry({"file://": LocalStore()})
    opened = [
        open_virtual_dataset(
            Path(f"{number}.nc").absolute().as_uri(),
            registry=registry,
            parser=HDFParser(),
            loadable_variables=["t", "x"],
        )
        for number in range(len(row.parts))
    ]
    joined = xarray.concat(
        opened, dim="t", coords="minimal", compat="override", combine_attrs="override", join="override"
    )
    if row.key is not None:
        joined = joined.isel(dict(zip("tx", row.key, strict=False)))
    if row.transposed:
        joined = joined.transpose()
    joined.vz.to_kerchunk("refs.json", format="json")
    return _references(row, "refs.json")


def with_kerchunk(row: Row) -> np.ndarray:
    """kerchunk: references of each file, combined, read with xarray; selections are left to the reader."""
    found = [SingleHdf5ToZarr(f"{number}.nc", inline_threshold=0).translate() for number in range(len(row.parts))]
    combined = MultiZarrToZarr(found, concat_dims=["t"], identical_dims=["x"], inline_threshold=0).translate()
    Path("refs.json").write_text(json.dumps(combined))
    if row.key is not None or row.transposed:
        raise NoSuchThing("references have no selections")
    return _references(row, "refs.json")


def with_hdf5(row: Row) -> np.ndarray:
    """HDF5: a virtual dataset, read with h5py, unpacked by its attributes."""
    dtype = np.result_type(*(part.cells.dtype for part in row.parts))
    key = slice(None) if row.key is None else row.key[0]
    rows = range(sum(len(part.cells) for part in row.parts))[key]
    if rows.step < 1 or row.transposed:
        raise NoSuchThing("slices go forward, and axes stay")
    layout = h5py.VirtualLayout((len(rows), *row.parts[0].cells.shape[1:]), dtype)
    first = 0
    for number, part in enumerate(row.parts):
        mine = [k for k, cell in enumerate(rows) if first <= cell < first + len(part.cells)]
        source = h5py.VirtualSource(f"{number}.nc", "v", part.cells.shape)
        layout[mine[0] : mine[-1] + 1] = source[rows[mine[0]] - first : rows[mine[-1]] - first + 1 : rows.step]
        first += len(part.cells)
    with h5py.File("view.h5", "w") as file:
        virtual = file.create_virtual_dataset("v", layout, fillvalue=row.parts[0].fill)
        virtual.attrs.update(dict(row.parts[0].attrs))
    _damage(row)
    with h5py.File("view.h5") as file:
        return file["v"][...] * file["v"].attrs.get("scale_factor", 1)


def with_tensorstore(row: Row) -> np.ndarray:
    """TensorStore: a stack of Zarr arrays, saved as a JSON specification; it has no packing."""
    if any(part.attrs for part in row.parts):
        raise NoSuchThing("attributes are not looked at")
    layers = [
        tensorstore.open(
            {"driver": "zarr3", "kvstore": {"driver": "file", "path": os.path.abspath(f"{n}.zarr")}}
        ).result()
        for n in range(len(row.parts))
    ]
    joined = _asked(tensorstore.concat(layers, axis=0), row)
    text = json.dumps(joined.spec().to_json())
    _damage(row)
    return np.asarray(tensorstore.open(json.loads(text)).result().read().result())


def _references(row: Row, name: str) -> np.ndarray:
    _damage(row)
    with xarray.open_dataset(name, engine="kerchunk") as dataset:
        return dataset["v"].to_numpy()


def _damage(row: Row) -> None:
    if row.damage is not None:
        row.damage()


PEERS: dict[str, Callable[[Row], np.ndarray]] = {
    "lazyzarr": with_lazyzarr,
    "VirtualiZarr": with_virtualizarr,
    "kerchunk": with_kerchunk,
    "HDF5 virtual dataset": with_hdf5,
    "TensorStore": with_tensorstore,
}


def outcome(row: Row, peer: str) -> str:
    """``right``, ``wrong`` (values that are not right, or that should not be there), ``error``, or ``no`` (it has no such thing)."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write(row.parts)
        try:
            found = PEERS[peer](row)
        except NoSuchThing:
            return "no"
        except Exception:  # whatever a peer raises is its way to refuse
            return "right" if row.expected is None else "error"
    if row.expected is None:
        return "wrong"
    same = found.shape == row.expected.shape and np.array_equal(found, row.expected, equal_nan=found.dtype.kind == "f")
    return "right" if same else "wrong"


def main(row: Row) -> None:
    """Print what became of the row with each peer."""
    for peer in PEERS:
        sys.stdout.write(f"{peer:22} {outcome(row, peer)}\n")
