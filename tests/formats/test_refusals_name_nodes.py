"""Every writer that refuses a view says which nodes of its graph are behind that, as ``explain("built")`` lists them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import icechunk
import numpy as np
import pytest
import zarr

import lazyzarr as lz

CELLS = np.arange(24, dtype="i2").reshape(4, 6)
NAMED = re.compile(r"node (\d+) \((\w+)(?: ([^)]*))?\)")


def nodes_of(view: lz.View, text: str) -> set[str]:
    """The kinds of nodes that a text names; each is the node of that number, and the place that of its line."""
    lines = view.explain("built").splitlines()
    found: set[str] = set()
    for number, kind, place in NAMED.findall(text):
        assert lines[int(number)].split()[:2] == [number, kind], text
        if place:
            assert place in lines[int(number)] or place in ("in memory",), text
        found.add(kind)
    return found


def icechunk_into(view: Any, folder: Path) -> None:
    repository = icechunk.Repository.create(icechunk.in_memory_storage())
    lz.formats.icechunk.write({"v": view}, repository.writable_session("main"))


WRITERS: dict[str, Callable[[Any, Path], object]] = {
    "kerchunk": lambda view, folder: lz.formats.kerchunk.write({"v": view}, folder / "refs.json"),
    "icechunk": icechunk_into,
    "manifest": lambda view, folder: lz.formats.manifest_json.write({"v": view}, folder / "out"),
    "ocdbt": lambda view, folder: lz.formats.ocdbt.write({"v": view}, folder / "out"),
    "vds": lambda view, folder: lz.formats.hdf5.write_vds({"v": view}, folder / "v.h5"),
    "tensorstore": lambda view, folder: lz.formats.tensorstore.write(view, folder / "v.json"),
    "ndsel": lambda view, folder: lz.formats.ndsel.message(view),
}
FLAT = ("kerchunk", "icechunk", "manifest", "ocdbt")


def stored(folder: Path, name: str = "a", **options: Any) -> lz.View:
    return lz.open(zarr.create_array(folder / f"{name}.zarr", data=CELLS, **{"chunks": (2, 3), **options}))


def in_hdf5(folder: Path, name: str = "a") -> lz.View:
    with h5py.File(folder / f"{name}.h5", "w") as file:
        file.create_dataset("x", data=CELLS, chunks=(2, 3))
    return lz.open(folder / f"{name}.h5", "x")


CASES: dict[str, tuple[tuple[str, ...], Callable[[Path], lz.View], set[str]]] = {
    "read backwards": (FLAT, lambda folder: stored(folder)[::-1], {"index", "source"}),
    "a step": (FLAT, lambda folder: stored(folder)[:, ::2], {"index", "source"}),
    "a cut": (FLAT, lambda folder: stored(folder)[1:], {"index", "source"}),
    "one cell": (FLAT, lambda folder: stored(folder)[1], {"index", "source"}),
    "orders": (
        FLAT,
        lambda folder: lz.concat([stored(folder)[:, :4], stored(folder, "b")[:, :4].T], axis=0),
        {"transpose", "source"},
    ),
    "interleaved": (FLAT, lambda folder: lz.interleave([stored(folder), stored(folder, "b")]), {"overlay", "source"}),
    "chains": (
        FLAT,
        lambda folder: lz.concat([stored(folder), stored(folder, "b", compressors=None)]),
        {"source"},
    ),
    "decodes": (
        FLAT,
        lambda folder: lz.concat([stored(folder, str(k)).unpack(scale_factor=k) for k in (0.5, 0.25)]),
        {"decode", "source"},
    ),
    "constants": (FLAT, lambda folder: lz.pad(stored(folder), ((2, 0), (0, 0)), value=5), {"overlay"}),
    "in memory": (("manifest", "vds"), lambda folder: lz.open(CELLS), {"source"}),
    "unpacked": (
        ("ocdbt", "tensorstore"),
        lambda folder: stored(folder).unpack(scale_factor=0.1),
        {"decode", "source"},
    ),
    "a type that a format has not": (
        ("tensorstore", "ocdbt"),
        lambda folder: lz.open(np.array(["2001", "2002"], "M8[Y]")),
        {"source"},
    ),
    "no container": (("icechunk",), stored, {"source"}),
    "a cast": (("kerchunk", "vds"), lambda folder: in_hdf5(folder).astype("float64"), {"decode"}),
    "no dataset": (("vds",), stored, {"source"}),
    "turned": (("vds",), lambda folder: in_hdf5(folder).T, {"transpose", "source"}),
    "several constants": (
        ("vds",),
        lambda folder: lz.pad(lz.concat([in_hdf5(folder), lz.full((1, 6), 3, dtype="int16")]), 1, value=4),
        {"fill", "overlay"},
    ),
    "a single value": (("vds",), lambda folder: in_hdf5(folder)[1, 1], {"index"}),
    "packings": (
        ("vds",),
        lambda folder: lz.concat([in_hdf5(folder, str(k)).unpack(scale_factor=k) for k in (0.5, 0.25)]),
        {"decode", "source"},
    ),
    "several arrays": (("ndsel",), lambda folder: lz.concat([stored(folder), stored(folder, "b")]), {"concat"}),
    "no array": (("ndsel",), lambda folder: lz.full((2, 3), 1, dtype="int8"), {"fill"}),
}


@pytest.mark.parametrize(("what", "writer"), [(what, writer) for what in CASES for writer in CASES[what][0]])
def test_the_node_is_named(what: str, writer: str, tmp_path: Path) -> None:
    _, make, kinds = CASES[what]
    view = make(tmp_path)
    with pytest.raises((lz.NotFlat, lz.SaveUnsupported)) as caught:
        WRITERS[writer](view, tmp_path)
    assert kinds <= nodes_of(view, str(caught.value)), caught.value
    assert 'explain("built")' in str(caught.value)


def test_the_views_own_list_names_them_too(tmp_path: Path) -> None:
    view = lz.concat([stored(tmp_path), stored(tmp_path, "b")[:, ::-1]])
    (reason,) = view.why_not_flat()
    assert nodes_of(view, reason) == {"index", "source"}
    assert "b.zarr" in reason
    assert "a.zarr" not in reason


def test_a_group_says_which_view(tmp_path: Path) -> None:
    views = {"a": stored(tmp_path), "b": stored(tmp_path, "b").unpack(scale_factor=0.1)}
    with pytest.raises(lz.SaveUnsupported) as caught:
        lz.formats.ocdbt.write(views, tmp_path / "out")
    assert "'b'" in str(caught.value)
    assert nodes_of(views["b"], str(caught.value)) == {"decode", "source"}


def test_many_nodes_are_counted(tmp_path: Path) -> None:
    parts = [stored(tmp_path, str(k), compressors=None if k else "auto") for k in range(3)]
    view = lz.concat([one for k in range(6) for one in (parts[k % 3].unpack(scale_factor=0.5 + k),)])
    (reason,) = view.why_not_flat()
    assert "2 more" in reason
