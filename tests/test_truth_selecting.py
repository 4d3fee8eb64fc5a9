"""Demand rows 6, 7 and 13, and the traps of the table of exact conditions: selections, orders and directions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

import lazyzarr as lz

SHAPE = (7, 10)
DATA = np.arange(70, dtype="i4").reshape(SHAPE)


@pytest.fixture(params=[(3, 4), (1, 1), (7, 10), (2, 5), (8, 16)], ids=str)
def view(request: pytest.FixtureRequest, tmp_path: Path) -> lz.View:
    """The same cells in chunks that divide the shape, do not, or are larger than it."""
    zarr.create_array(tmp_path / "a", data=DATA, chunks=request.param, fill_value=-1)
    return lz.open(tmp_path / "a")


KEYS = (
    *(np.s_[::2], np.s_[::-1], np.s_[0:3], np.s_[5:1:-3, 1::4], np.s_[3], np.s_[-1, -1], np.s_[2:2], np.s_[..., 4]),
    *(np.s_[None, 3:, ..., None], np.s_[:, [9, 0, 0, 3]], np.s_[[True] * 3 + [False] * 4, 5:], np.s_[()]),
)


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_any_key_selects_what_numpy_selects(view: lz.View, key: object) -> None:
    """Row 6: inside chunks, in steps, backwards."""
    np.testing.assert_array_equal(view[key].read(), DATA[key], strict=True)
    turned, expected = view.T[::-1].T.flip(0), np.flip(DATA)
    np.testing.assert_array_equal(turned[key].read(), expected[key], strict=True)


@pytest.mark.parametrize("key", [np.s_[7], np.s_[0, 0, 0], np.s_[[10]], np.s_[:, [True]], np.s_[..., ...], 1.0])
def test_what_does_not_select_is_an_error_at_once(view: lz.View, key: object) -> None:
    if key == np.s_[[10]]:
        key = [10]
    with pytest.raises(IndexError) as caught:
        view[key]
    assert isinstance(caught.value, lz.SelectionError)


def test_arrays_of_three_orders_in_one(tmp_path: Path) -> None:
    """Row 7: (time, lat, lon), (lon, lat, time) and (lat, time, lon) become one."""
    data = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    orders = [(0, 1, 2), (2, 1, 0), (1, 0, 2)]
    views = []
    for number, order in enumerate(orders):
        zarr.create_array(tmp_path / str(number), data=np.ascontiguousarray(data.transpose(order)), chunks=(2, 2, 1))
        views.append(lz.open(tmp_path / str(number)).transpose(np.argsort(order).tolist()))
    np.testing.assert_array_equal(lz.concat(views).read(), np.concatenate([data] * 3), strict=True)
    for one in views:
        np.testing.assert_array_equal(one.read(), data, strict=True)


def test_north_up_without_touching_bytes(tmp_path: Path) -> None:
    """Row 13: the chunk holds the rows south to north; the view shows them north to south."""
    path = tmp_path / "a"
    zarr.create_array(path, data=DATA, chunks=(2, 10), compressors=None)
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    view = lz.open(path)
    np.testing.assert_array_equal(view.flip(0).read(), DATA[::-1], strict=True)
    np.testing.assert_array_equal(np.flip(view).read(), np.flip(DATA), strict=True)
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


def test_the_padding_of_edge_chunks_is_never_seen(tmp_path: Path) -> None:
    path = tmp_path / "a"
    zarr.create_array(path, data=DATA, chunks=(3, 4), compressors=None)
    for file in path.glob("c/*/*"):
        raw = np.frombuffer(file.read_bytes(), "<i4").copy()
        row, column = int(file.parent.name), int(file.name)
        inside = np.zeros((3, 4), bool)
        inside[: max(min(3, 7 - 3 * row), 0), : max(min(4, 10 - 4 * column), 0)] = True
        raw[~inside.reshape(-1)] = 424242
        file.write_bytes(raw.tobytes())
    view = lz.open(path)
    for key in (np.s_[:], np.s_[::-1, ::-1], np.s_[-1], np.s_[:, -1], np.s_[6:, 8:], np.s_[[6, 0, 6]]):
        np.testing.assert_array_equal(view[key].read(), DATA[key], strict=True)
    padded = lz.pad(view, ((0, 2), (0, 2)), value=-5).read()
    np.testing.assert_array_equal(padded, np.pad(DATA, ((0, 2), (0, 2)), constant_values=-5), strict=True)


def test_selections_of_values_are_refused_or_read_now(view: lz.View) -> None:
    """A mask that was computed is literal; a view never holds a test on values."""
    mask = np.asarray(view[0]) > 4
    np.testing.assert_array_equal(view[:, mask].read(), DATA[:, DATA[0] > 4], strict=True)
    np.testing.assert_array_equal(view.oindex[[6, 1], [0, 0, 9]].read(), DATA[np.ix_([6, 1], [0, 0, 9])], strict=True)
    np.testing.assert_array_equal(view.vindex[[6, 1], [0, 9]], DATA[[6, 1], [0, 9]])
    with pytest.raises(lz.SelectionError):
        view[[6, 1], [0, 9]]


FLATNESS = (
    # chunks of (3, 5) in a shape of (9, 10), zstd
    ("v", lambda v: v, "L0"),
    ("transposed", lambda v: v.T, "L0"),
    ("aligned slice, any end", lambda v: v[3:8, 5:], "L0"),
    ("slice inside a chunk", lambda v: v[1:], "L2"),
    ("step", lambda v: v[::2], "L2"),
    ("flip", lambda v: v[::-1], "L2"),
    ("integer", lambda v: v[3], "L2"),
    ("concat of whole chunks", lambda v: lz.concat([v, v]), "L0"),
    ("concat behind a part of a chunk", lambda v: lz.concat([v[3:8], v]), "L2"),
    ("concat across orders", lambda v: lz.concat([v[3:6, 5:], v.T[5:, 3:6].T, v.T[5:, 6:].T]), "L0"),
    ("stack", lambda v: lz.stack([v, v]), "L0"),
    ("aligned pad with the fill", lambda v: lz.pad(v, ((3, 3), (0, 0)), value=7), "L0"),
    ("aligned pad with something else", lambda v: lz.pad(v, ((3, 3), (0, 0)), value=8), "L3"),
)


@pytest.mark.parametrize(("what", "program", "level"), FLATNESS, ids=[f[0] for f in FLATNESS])
def test_how_flat_a_view_gets(what: str, program: object, level: str, tmp_path: Path) -> None:
    """Rows of the table of exact conditions: L0 exactly when it says so."""
    zarr.create_array(tmp_path / "a", data=np.arange(90).reshape(9, 10), chunks=(3, 5), fill_value=7)
    assert program(lz.open(tmp_path / "a")).flatness == level


def test_orders_that_differ_by_source_are_l3(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", data=np.arange(81).reshape(9, 9), chunks=(3, 3))
    view = lz.open(tmp_path / "a")
    assert lz.concat([view, view.T]).flatness == "L3"
    assert lz.concat([view.T, view.T]).flatness == "L0"


@pytest.mark.parametrize("program", [lambda v: v[::2], lambda v: v[::-1], lambda v: v[3], lambda v: v[[4, 0, 0]]])
def test_chunks_of_one_cell_stay_flat_whatever_is_selected(program: object, tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", data=np.arange(90).reshape(9, 10), chunks=(1, 10))
    assert program(lz.open(tmp_path / "a")).is_flat
