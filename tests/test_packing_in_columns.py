"""Very many files of which each has its own packing: few layouts, the numbers in columns, the same values bit for bit."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

import lazyzarr as lz
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, NamedConfig, text_of
from lazyzarr.ir.nodes import Tiles
from lazyzarr.ir.row_values import COLUMNS, FEW, columns_of, folded, row_layouts, row_numbers, with_numbers
from lazyzarr.ir.tables import Table
from tests.economics.watching import watched
from tests.strategies.cells import same_cells

MANY = 40
RAW = NamedConfig("bytes", {"endian": "little"})
SCALES = [float(np.float32(0.01)) * (k + 1) for k in range(MANY)]


def archive(folder: Path, numbers: range, *, dtype: str = "int16", missing: bool = True) -> np.ndarray:
    """Arrays of 2 x 3 cells of which the second row may be a missing chunk; the cells as CF decodes them."""
    decoded = []
    for k in numbers:
        cells = np.array([[k, k + 1, -9], [-1, -1, -1]], dtype)
        array = zarr.create_array(folder / f"{k:03}", shape=(2, 3), chunks=(1, 3), dtype=dtype, fill_value=-1)
        array[...] = cells
        packing = {"scale_factor": SCALES[k % MANY], "add_offset": 100.0 + k}
        array.attrs.update(packing | ({"_FillValue": -9} if missing else {}))
        values = np.where(cells == -9, np.nan, cells) if missing else cells.astype("float64")
        decoded.append(values * packing["scale_factor"] + packing["add_offset"])
    return np.concatenate(decoded)


def joined(folder: Path, numbers: range) -> lz.View:
    return lz.concat([lz.open(folder / f"{k:03}").unpack(dtype="float64") for k in numbers])


def test_many_packings_are_one_layout(tmp_path: Path) -> None:
    expected = archive(tmp_path, range(MANY))
    view = joined(tmp_path, range(MANY))
    (node,) = view.ir.nodes
    assert isinstance(node, Tiles)
    assert len(view.ir.layouts) == 1
    assert columns_of(view.ir.layouts[0]) == COLUMNS
    assert set(COLUMNS) <= set(view.ir.tables[node.table].columns)
    assert same_cells(view.read(), expected)
    lz.save(view, tmp_path / "view.zarr")
    again = lz.open(tmp_path / "view.zarr")
    assert same_cells(again.read(), expected)
    assert same_cells(again[::-3, 1].read(), expected[::-3, 1])
    assert [float(again[row, 0].read()) for row in range(2 * MANY)] == expected[:, 0].tolist()
    assert again.flatness == "L3"


def test_one_point_of_many_packings_touches_one_source(tmp_path: Path) -> None:
    archive(tmp_path, range(MANY))
    lz.save(lz.concat([joined(tmp_path, range(MANY))] * 25), tmp_path / "view.zarr")
    assert (tmp_path / "view.zarr" / "zarr.json").read_bytes().count(
        b'"lazyzarr.unpack"'
    ) <= 2  # one layout, one feature
    with watched(tmp_path) as touched:
        found = lz.open(tmp_path / "view.zarr")[80 * 9 + 56, 1].read()
    assert float(found) == 29 * SCALES[28] + 128.0
    outside = [line for line in touched if "/view.zarr/" not in line]
    assert outside == [f"open {tmp_path / '028' / 'c/0/0'}"]


def test_appended_files_join_the_columns(tmp_path: Path) -> None:
    expected = archive(tmp_path, range(MANY))
    lz.save(joined(tmp_path, range(MANY // 2)), tmp_path / "view.zarr")
    for k in range(MANY // 2, MANY):
        lz.append(tmp_path / "view.zarr", lz.open(tmp_path / f"{k:03}").unpack(dtype="float64"))
    view = lz.open(tmp_path / "view.zarr")
    assert same_cells(view.read(), expected)
    assert len(view.ir.layouts) < MANY // 2


def test_refresh_keeps_the_numbers(tmp_path: Path) -> None:
    expected = archive(tmp_path, range(MANY))
    lz.save(joined(tmp_path, range(MANY)), tmp_path / "view.zarr")
    for k in (3, 7):
        (tmp_path / f"{k:03}" / "zarr.json").touch()
    report = lz.refresh(tmp_path / "view.zarr")
    assert report.views[0].counts == {"touched": 2, "unchanged": MANY - 2}
    assert report.written
    assert same_cells(lz.open(tmp_path / "view.zarr").read(), expected)


def test_shards_of_packed_arrays_are_resolved_with_their_numbers(tmp_path: Path) -> None:
    cells = np.arange(8, dtype="int16").reshape(4, 2)
    expected = []
    for k in range(MANY):
        array = zarr.create_array(
            tmp_path / f"{k:03}", shape=(4, 2), chunks=(2, 2), shards=(4, 2), dtype="int16", fill_value=-1
        )
        array[...] = cells + k
        array.attrs.update({"scale_factor": SCALES[k], "add_offset": 1.0, "_FillValue": -1})
        expected.append((cells + k) * SCALES[k] + 1.0)
    view = joined(tmp_path, range(MANY))
    assert same_cells(view.read(), np.concatenate(expected))
    assert same_cells(view.resolve_shards().read(), np.concatenate(expected))
    assert view.resolve_shards().chunks == (2, 2)


def test_one_layout_cannot_take_the_place_of_many(tmp_path: Path) -> None:
    archive(tmp_path, range(MANY))
    view = joined(tmp_path, range(MANY))
    with pytest.raises(lz.ViewSchemaError, match="give codecs and a fill_value"):
        view.recode(data_type="float64")
    raw = view.recode(
        codecs=[{"name": "bytes", "configuration": {"endian": "little"}}, "zstd"], data_type="int16", fill_value=-1
    )
    np.testing.assert_array_equal(raw[0].read(), [0, 1, -9])


def test_single_precision_and_signs_are_kept(tmp_path: Path) -> None:
    kept = []
    for k in range(MANY):
        array = zarr.create_array(tmp_path / f"{k:03}", data=np.array([0, k], "int16"))
        array.attrs.update({"scale_factor": -1.0 if k % 2 else 1.0, "add_offset": -0.0, "units": "1"})
        kept.append(lz.open(tmp_path / f"{k:03}").unpack(scale_factor=0.1 * (k + 1), add_offset=-0.0, dtype="float32"))
    view = lz.concat(kept)
    assert len(view.ir.layouts) == 1
    assert view.read().tobytes() == b"".join(one.read().tobytes() for one in kept)


NUMBERS = st.sampled_from([0.0, -0.0, 1.0, 0.1, float(np.float32(0.1)), 1e300, -2.5])


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["float32", "float64"]),
            st.none() | NUMBERS,
            st.none() | NUMBERS,
            st.sampled_from(["NaN", "Infinity", 0.0, -0.0, 0.5]),
            st.sampled_from([(1,), (2,)]),
        ),
        min_size=1,
        max_size=60,
    )
)
def test_folding_loses_nothing(rows: list[tuple[str, float | None, float | None, object, tuple[int, ...]]]) -> None:
    meant = []
    for arithmetic, scale, offset, value, chunk_shape in rows:
        kind = np.dtype(arithmetic).type
        with np.errstate(over="ignore"):
            exact = [None if x is None or np.isinf(kind(x)) else float(kind(x)) for x in (scale, offset)]
        conf = {"scale_factor": exact[0], "add_offset": exact[1], "arithmetic": arithmetic, "data_type": "float64"}
        meant.append(Layout("float64", value, chunk_shape, (NamedConfig("lazyzarr.unpack", conf), RAW)))
    distinct = list({text_of(layout): layout for layout in meant}.values())
    numbers = np.array([distinct.index(layout) for layout in meant], np.int32)
    few, which, columns = folded(distinct, numbers)
    assert len(few) <= 36 + FEW  # kinds of layouts, and what is too few to fold
    table = Table({"layout": which, **columns}, name="t")
    node = Tiles("t", (len(rows),), "float64", "NaN", tuple(range(len(few))))
    graph = Graph([node], layouts=few, tables={"t": table})
    found, of_row = row_layouts(graph, node, np.arange(len(rows)))
    assert [text_of(found[k]) for k in of_row.tolist()] == [text_of(layout) for layout in meant]
    for row, layout in enumerate(meant):
        base = few[int(which[row])]
        assert text_of(with_numbers(base, row_numbers(graph, node, row))) == text_of(layout)
