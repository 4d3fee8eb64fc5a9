"""Good cases of `boxes`: windows of stored arrays as rows of a table, and the manifests that are made of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

import lazyzarr as lz
from corpus.cases import Case, NamedConfig, ramp
from lazyzarr.ir.layout import Layout, Stamp, StoredArray
from lazyzarr.ir.nodes import Boxes, ConstantBox
from lazyzarr.ir.tables import Table

LITTLE = NamedConfig("bytes", {"endian": "little"})


def box_table(**columns: Any) -> Table:
    """A table of boxes under a name that does not depend on what is in it."""
    types = {"array": np.int32, "axis": np.int8}
    return Table({name: np.array(rows, types.get(name, np.int64)) for name, rows in columns.items()}, name="rows")


def boxes(case: Case) -> None:
    """Arrays of two ranks that are cut, turned round, transposed, repeated and interleaved, on constants."""
    plane, line = ramp(4, 6), ramp(5, start=100)
    stored = [case.zarr("plane.zarr", plane, (2, 4), fill_value=0), case.zarr("line.zarr", line, (2,), fill_value=0)]
    table = box_table(
        array=[0, 1, 0, 1],
        axis=[[1, 0], [0, -1], [-1, 1], [-1, -1]],
        first=[[3, 1], [4, 0], [2, 0], [3, 0]],
        step=[[-1, 2], [-2, 1], [1, 3], [1, 1]],
        origin=[[0, 0], [0, 3], [1, 3], [3, 1]],
        stride=[[1, 1], [2, 1], [2, 2], [1, 3]],
        count=[[2, 3], [2, 2], [1, 2], [1, 2]],
    )
    constants = (ConstantBox(7, (1, 2), (3, 4)), ConstantBox(8, (2, 0), (2, 3), (2, 2)))
    expected = np.full((5, 7), 9, "int16")
    expected[1:4, 2:6], expected[2::2, 0:5:2] = 7, 8
    expected[0:2, 0:3] = plane[3:0:-1, 1:5:2].T
    expected[0:3:2, 3:5] = line[4:1:-2, None]
    expected[1, 3:6:2] = plane[2, 0:4:3]
    expected[3, 1:5:3] = line[3]
    case.save(
        case.node(
            Boxes("rows", (5, 7), "int16", 9, (0, 1), constants),
            layouts=[view.ir.layouts[0] for view in stored],
            arrays=[
                StoredArray(k, a.shape, a.location, stamp=a.stamp) for k, v in enumerate(stored) for a in v.ir.arrays
            ],
            tables=[table],
        ),
        expected,
        fill_value=9,
        flatness="L3",
        chunks=4,
        about="windows of two arrays, placed by rows of a table on two constants, the later one on top",
    )


def boxes_wide(case: Case) -> None:
    """Columns for more axes than any array has."""
    line = ramp(5, start=100)
    stored = case.zarr("line.zarr", line, (2,), fill_value=0)
    table = box_table(
        array=[0], axis=[[0, -1]], first=[[4, 0]], step=[[-2, 1]], origin=[[1]], stride=[[2]], count=[[3]]
    )
    case.save(
        case.node(
            Boxes("rows", (7,), "int16", 9, (0,)),
            layouts=stored.ir.layouts,
            arrays=stored.ir.arrays,
            tables=[table],
        ),
        np.array([9, 104, 9, 102, 9, 100, 9], "int16"),
        fill_value=9,
        flatness="L3",
        chunks=3,
        about="an axis that no array has counts as one of length 1",
    )


def boxes_table(case: Case) -> None:
    """300 boxes, in child arrays, of the chunks of one file."""
    values = (np.arange(900) * 31 % 997).astype("int16").reshape(300, 3)
    case.raw("a.bin", values.tobytes())
    rows = np.arange(300)
    table = box_table(
        array=0 * rows,
        axis=np.tile([0, 1], (300, 1)),
        first=np.stack([rows[::-1], 0 * rows + 2], axis=1),
        step=np.tile([1, -2], (300, 1)),
        origin=np.stack([rows, 0 * rows], axis=1),
        stride=np.ones((300, 2)),
        count=np.tile([1, 2], (300, 1)),
    )
    references = Table(
        {"offset": np.arange(0, 1800, 6, dtype=np.uint64), "length": np.full(300, 6, np.uint64)}, name="refs"
    )
    case.save(
        case.node(
            Boxes("rows", (300, 2), "int16", 0, (0,)),
            layouts=[Layout("int16", 0, (1, 3), (LITTLE,))],
            arrays=[StoredArray(0, (300, 3), case.url("a.bin"), refs="refs", stamp=Stamp(size=1800))],
            tables=[table, references],
        )[290:10:-20],
        values[::-1, ::-2][290:10:-20],
        fill_value=0,
        flatness="L2",
        chunks=14,
        placements=14,
        about="300 boxes in child arrays, of chunks that are turned round, read backwards with a step",
    )


def boxes_of_nothing(case: Case) -> None:
    """No rows, and constants only, in a view of rank 0 and above it."""
    table = box_table(
        **dict.fromkeys(("axis", "first", "step"), np.zeros((0, 0))),
        **dict.fromkeys(("origin", "stride", "count"), np.zeros((0, 1))),
        array=[],
    )
    case.save(
        case.node(Boxes("rows", (4,), "int16", 1, (), (ConstantBox(5, (1,), (2,)),)), tables=[table]),
        np.array([1, 5, 5, 1], "int16"),
        fill_value=1,
        flatness="L3",
        chunks=0,
        placements=0,
        about="a table of boxes without rows, and one constant",
    )


def manifest_rows(case: Case) -> None:
    """A manifest without its graph, of windows of chunks with two chains, turned, and a constant."""
    values = ramp(7, 4)
    one = case.zarr("0.zarr", values[:4], (3, 2), fill_value=0)
    other = case.zarr("1.zarr", values[4:], (2, 4), fill_value=9, compressors=None)
    joined = lz.concat([one[1:], other, lz.full((1, 4), 5, dtype=values.dtype)])
    expected = np.concatenate([values[1:], np.full((1, 4), 5, values.dtype)])[::-1].T
    case.save(
        joined[::-1].T,
        expected,
        fill_value=0,
        flatness="L3",
        chunks=6,
        about="windows of chunks that are cut, turned and placed by rows, instead of the graph",
        manifest="only",
    )


def manifest_windows(case: Case) -> None:
    """A manifest beside the graph, of every third row."""
    values = ramp(9, 2)
    one = case.zarr("0.zarr", values, (4, 2), fill_value=0)
    case.save(
        one[1::3],
        values[1::3],
        fill_value=0,
        flatness="L2",
        chunks=2,
        placements=1,
        about="a graph of steps through chunks, with a manifest in rows",
        manifest=True,
    )


def manifest_memory(case: Case) -> None:
    """A manifest of chunks in memory, in a file and nowhere, gathered from both along one axis."""
    cells, more = ramp(4, 2), ramp(3, 2, start=50)
    case.raw("a.bin", cells[:2].tobytes())
    refs = {"offset": np.array([0, 0], np.uint64), "length": np.array([8, 0], np.uint64)}
    table = Table({**refs, "state": np.array([1, 0], np.uint8)}, name="refs")
    array = StoredArray(0, (4, 2), case.url("a.bin"), refs="refs", stamp=Stamp(size=8))
    one = case.stored(array, [Layout("int16", 3, (2, 2), (LITTLE,))], {"refs": table})
    cells[2:] = 3
    order = [6, 0, 4, 1, 5, 2, 0]
    case.save(
        lz.concat([one, lz.open(more)]).take(order, axis=0),
        np.concatenate([cells, more])[order],
        fill_value=3,
        flatness="L2",
        chunks=3,
        about="rows of a file, of bytes beside the graph and of a chunk that is nowhere, in another order",
        manifest="only",
    )


def manifest_boxes(case: Case) -> None:
    """A manifest of the form that is not written any more."""
    values = ramp(6, 4)
    one = case.zarr("0.zarr", values, (3, 2), fill_value=0)
    case.save(
        one,
        values,
        fill_value=0,
        flatness="L0",
        chunks=4,
        placements=1,
        about="a manifest of form boxes, which readers still have to know",
        manifest=True,
    )
    document = case.folder / "view.zarr" / "zarr.json"
    text = document.read_text("utf-8")
    assert json.loads(text)["attributes"]["lazyzarr"]["manifest"]["form"] == "grid"
    document.write_text(text.replace('"form": "grid"', '"form": "boxes"', 1), encoding="utf-8")


CASES = (
    *(boxes, boxes_wide, boxes_table, boxes_of_nothing),
    *(manifest_rows, manifest_windows, manifest_memory, manifest_boxes),
)
