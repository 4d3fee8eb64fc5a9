"""Each row of the table of exact conditions: what becomes a plain array, which one, and what is refused and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import lazyzarr as lz
from lazyzarr.ir.layout import NamedConfig
from lazyzarr.lower.aligned import INLINE, MISSING, OBJECT, RANGE
from tests.flat.reading import read_flat, read_with_zarr
from tests.review.referenced import PLAIN, SWAPPED, referenced

Program = Callable[[lz.View], lz.View]


def stored(path: Path, shape: tuple[int, ...], chunks: tuple[int, ...], **options: Any) -> lz.View:
    """An array of zarr-python, one object per chunk."""
    cells = np.arange(1, 1 + np.prod(shape), dtype=options.pop("dtype", "i2")).reshape(shape)
    zarr.create_array(path, data=cells, chunks=chunks, **options)
    return lz.open(path)


def ranges(path: Path, shape: tuple[int, ...], chunks: tuple[int, ...], **options: Any) -> lz.View:
    """The same as byte ranges of one file of plain cells."""
    cells = np.arange(1, 1 + np.prod(shape), dtype="<i2").reshape(shape)
    grid = [range(0, n, c) for n, c in zip(shape, chunks, strict=True)]
    data = b""
    for corner in np.stack(np.meshgrid(*grid, indexing="ij"), -1).reshape(-1, len(shape)).tolist():
        chunk = np.full(chunks, -1, "<i2")
        part = cells[tuple(slice(a, a + c) for a, c in zip(corner, chunks, strict=True))]
        chunk[tuple(map(slice, part.shape))] = part
        data += chunk.tobytes()
    path.write_bytes(data)
    size = 2 * int(np.prod(chunks))
    count = len(data) // size
    return referenced(path, [k * size for k in range(count)], [size] * count, shape, chunks, **options)


def assert_flat(view: lz.View, lengths: tuple[Any, ...]) -> Any:
    """The view is a plain array of these chunk lengths, with the cells of the view."""
    manifest = view.flatten()
    assert manifest.chunk_lengths == lengths
    assert view.flatness == ("L0" if manifest.is_regular else "L1")
    np.testing.assert_array_equal(read_flat(manifest), view.read(), strict=True)
    if not any(codec.name in ("lazyzarr.unpack", "cast_value") for codec in manifest.codecs) and view.size:
        np.testing.assert_array_equal(read_with_zarr(manifest), view.read())
    return manifest


def assert_refused(view: lz.View, level: str, *words: str) -> None:
    """The view is of this class, and the error has all these words."""
    assert view.flatness == level
    with pytest.raises(lz.NotFlat) as refused:
        view.flatten()
    assert refused.value.reason == "not-flat"
    assert [word for word in words if word not in str(refused.value)] == []


FLAT: dict[str, tuple[Program, tuple[Any, ...]]] = {
    "as it is": (lambda v: v, (3, 5)),
    "transposed": (lambda v: v.T, (5, 3)),
    "aligned slice, any end": (lambda v: v[3:8, 5:9], (3, 5)),
    "concat of whole chunks": (lambda v: lz.concat([v, v[:3], v], axis=0), (3, 5)),
    "concat, the last one short": (lambda v: lz.concat([v, v[:2]], axis=0), (3, 5)),
    "stack without a rule for lengths": (lambda v: lz.stack([v, v], axis=1), (3, 1, 5)),
    "stack of transposed views": (lambda v: lz.stack([v.T, v.T], axis=2), (5, 3, 1)),
    "an axis inserted": (lambda v: v[:, None], (3, 1, 5)),
    "repeated": (lambda v: lz.broadcast_to(v, (4, 9, 10)), (1, 3, 5)),
    "padded with the fill at chunk edges": (lambda v: lz.pad(v, ((3, 6), (0, 5)), value=7), (3, 5)),
    "whole chunks in another order": (lambda v: v.take([3, 4, 5, 0, 1, 2], axis=0), (3, 5)),
    "an overlay on the grid": (
        lambda v: lz.overlay((12, 10), [(v[:3], (6, 0)), (v[3:6], (0, 0))], fill_value=7),
        (3, 5),
    ),
    "padded with the fill beside chunk edges": (lambda v: lz.pad(v, ((2, 0), (0, 0)), value=7), ((2, 3, 3, 3), 5)),
}


@pytest.mark.parametrize("what", FLAT)
@pytest.mark.parametrize("make", [stored, ranges])
def test_flat(what: str, make: Callable[..., lz.View], tmp_path: Path) -> None:
    program, lengths = FLAT[what]
    assert_flat(program(make(tmp_path / "a", (9, 10), (3, 5), fill_value=7)), lengths)


REFUSED: dict[str, tuple[Program, str, str]] = {
    "slice inside a chunk": (lambda v: v[1:], "L2", "cut at multiples of the chunk length"),
    "step": (lambda v: v[::2], "L2", "read with a step"),
    "flip": (lambda v: v[::-1], "L2", "read backwards"),
    "integer": (lambda v: v[3], "L2", "one cell of a longer chunk"),
    "concat behind a part of a chunk": (lambda v: lz.concat([v[3:8], v]), "L2", "only part of a chunk"),
    "interleaved": (lambda v: lz.interleave([v, v]), "L2", "spread over the view with a step"),
    "orders that differ": (lambda v: lz.concat([v[:, :9], v[:, :9].T], axis=1), "L3", "orders of axes"),
    "a constant that is not the fill": (
        lambda v: lz.pad(v, ((3, 3), (0, 0)), value=8),
        "L3",
        "fill values or constants",
    ),
    "unpacked differently": (
        lambda v: lz.concat([v.unpack(scale_factor=0.5), v.unpack(scale_factor=0.25)]),
        "L3",
        "codec chains",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str, tmp_path: Path) -> None:
    program, level, words = REFUSED[what]
    assert_refused(program(stored(tmp_path / "a", (9, 10), (3, 5), fill_value=7)), level, words)


def test_every_problem_is_listed_with_an_example_and_a_remedy(tmp_path: Path) -> None:
    a, b = stored(tmp_path / "a", (9, 10), (3, 5)), stored(tmp_path / "b", (9, 10), (3, 5), compressors=None)
    with pytest.raises(lz.NotFlat) as refused:
        lz.concat([a[1:], b[::-1], lz.full((2, 10), -5, dtype="i2")]).flatten()
    text = str(refused.value)
    for words in (
        "cells [1:3, 0:5] of chunk (0, 0)",
        "read backwards",
        "codec chains",
        "constants",
        "2 boundary chunks (40 B)",
    ):
        assert words in text
    assert len(refused.value.problems) >= 5


THIN: dict[str, tuple[Program, tuple[Any, ...]]] = {
    "flip": (lambda v: v[::-1], (1, 5)),
    "step": (lambda v: v[::2], (1, 5)),
    "negative step": (lambda v: v[::-3], (1, 5)),
    "integer": (lambda v: v[3], (5,)),
    "gathered with repeats": (lambda v: v.take([5, 0, 0, 3], axis=0), (1, 5)),
    "interleaved": (lambda v: lz.interleave([v, v]), (1, 5)),
    "one row repeated": (lambda v: lz.broadcast_to(v[2:3], (4, 10)), (1, 5)),
    "a row repeated, and rows": (lambda v: lz.concat([lz.broadcast_to(v[2:3], (4, 10)), v]), (1, 5)),
    "dropped, turned and inserted": (lambda v: v[3][None, :, None], (1, 5, 1)),
}


@pytest.mark.parametrize("what", THIN)
def test_chunks_of_one_cell(what: str, tmp_path: Path) -> None:
    program, lengths = THIN[what]
    manifest = assert_flat(program(stored(tmp_path / "a", (6, 10), (1, 5))), lengths)
    assert [codec.name for codec in manifest.codecs] == ["bytes", "zstd"]


@pytest.mark.parametrize("axes", [(2, 0, 1), (1, 2, 0), (0, 2, 1), (2, 1, 0)])
@pytest.mark.parametrize(
    "options", [{}, {"shards": (4, 6, 8)}, {"filters": zarr.codecs.TransposeCodec(order=(1, 2, 0))}]
)
def test_a_transpose_is_the_inverse_permutation(axes: tuple[int, ...], options: dict[str, Any], tmp_path: Path) -> None:
    # zarr-python compares the inner chunks of a shard with its shape before the transpose, so one length divides all
    lengths = options.get("shards") or (2, 3, 4)
    view = stored(tmp_path / "a", (4, 6, 8), (2, 2, 2) if "shards" in options else lengths, **options)
    manifest = assert_flat(view.transpose(axes), tuple(lengths[axis] for axis in axes))
    turned = [codec.configuration["order"] for codec in manifest.codecs if codec.name == "transpose"]
    assert len(turned) <= 1
    if not options:
        assert turned == [[axes.index(axis) for axis in range(3)]]
    np.testing.assert_array_equal(
        read_flat(view.transpose(axes)[:, None].flatten()), view.transpose(axes)[:, None].read()
    )


def test_transposes_that_undo_each_other_are_dropped(tmp_path: Path) -> None:
    order = zarr.codecs.TransposeCodec(order=(1, 0))
    view = stored(tmp_path / "a", (4, 6), (2, 3), filters=order)
    assert [codec.name for codec in view.T.flatten().codecs] == ["bytes", "zstd"]
    line = stored(tmp_path / "b", (4, 6), (1, 3), filters=order)
    assert [codec.name for codec in line.flatten().codecs] == ["bytes", "zstd"]
    assert_flat(lz.concat([line, stored(tmp_path / "c", (4, 6), (1, 3))]), (1, 3))


def test_bytes_of_plain_cells_are_cut_on_the_slowest_axis(tmp_path: Path) -> None:
    view = ranges(tmp_path / "a", (9, 10), (3, 10))
    manifest = assert_flat(view[1:], ((2, 3, 3), 10))
    assert (manifest.offset.tolist(), manifest.length.tolist()) == ([20, 60, 120], [40, 60, 60])
    assert_flat(view[1:3], (2, 10))
    assert_flat(view[4], (10,))
    assert_flat(view[:, None].take([7, 1, 1], axis=0), (1, 1, 10))
    assert_flat(lz.concat([view[:7], view]), ((3, 3, 1, 3, 3, 3), 10))
    assert_flat(view.T[:, 1:], (10, (2, 3, 3)))
    assert_flat(view[1:, :8], ((2, 3, 3), 10))
    assert_refused(view[:, 1:], "L2", "only part of a chunk")
    assert_refused(view[1:, 1:], "L2", "only part of a chunk")
    assert_refused(view[::2], "L2", "read with a step")
    assert_flat(view[::3, ::-1][:, :0], (3, 1))


def test_objects_and_compressed_bytes_are_not_cut(tmp_path: Path) -> None:
    plain = stored(tmp_path / "a", (9, 10), (3, 10), compressors=None)
    assert_refused(plain[1:], "L2", "only part of a chunk")
    packed = ranges(
        tmp_path / "b",
        (9, 10),
        (3, 10),
        codecs=(*PLAIN, *lz.open(tmp_path / "a").recode(codecs=["bytes", "crc32c"]).ir.layouts[-1].codecs[1:]),
    )
    assert packed[1:].flatness == "L2"


def test_a_range_of_another_length_than_plain_cells_is_not_cut(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(100))
    view = referenced(tmp_path / "a", [0, 40], [39, 40], (8, 5), (4, 5))
    assert_flat(view[5:], (3, 5))
    assert_refused(view[1:7], "L2", "only part of a chunk")


def test_byte_order_has_to_agree(tmp_path: Path) -> None:
    little, big = ranges(tmp_path / "a", (4, 6), (2, 6)), ranges(tmp_path / "b", (4, 6), (2, 6), codecs=SWAPPED)
    assert_flat(lz.concat([big, big]), (2, 6))
    assert big.flatten().codecs[0].configuration == {"endian": "big"}
    assert_refused(lz.concat([little, big]), "L3", "codec chains")


def test_fills_have_to_agree_where_they_show(tmp_path: Path) -> None:
    one, other = (
        ranges(tmp_path / "a", (4, 6), (2, 6), fill_value=1),
        ranges(tmp_path / "b", (4, 6), (2, 6), fill_value=2),
    )
    assert_flat(lz.concat([one, other]), (2, 6))
    (tmp_path / "c").write_bytes(bytes(24))
    holes = referenced(tmp_path / "c", [0, 0], [24, 0], (4, 6), (2, 6), fill_value=2, state=np.array([1, 0], np.uint8))
    manifest = assert_flat(lz.concat([one, holes]), (2, 6))
    assert manifest.fill_value == 2
    assert manifest.state.tolist() == [RANGE, RANGE, RANGE, MISSING]
    assert_refused(lz.concat([holes, lz.full((2, 6), 1, dtype="i2")]), "L3", "fill values or constants are seen: 2, 1")
    keyed = [stored(tmp_path / f"k{k}", (4, 6), (2, 6), fill_value=k) for k in (1, 2)]
    assert_refused(lz.concat(keyed), "L3", "fill values")
    assert_refused(lz.concat([keyed[0], holes]), "L3", "fill values")


def test_a_missing_chunk_may_be_cut_anywhere(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(bytes(24))
    holes = referenced(tmp_path / "c", [0, 0], [24, 0], (4, 6), (2, 6), fill_value=2, state=np.array([1, 0], np.uint8))
    manifest = assert_flat(holes[:3, :], (2, 6))
    assert manifest.state.tolist() == [RANGE, MISSING]
    assert_flat(lz.concat([holes, holes[::-1][:1]]), (2, 6))
    assert_flat(holes[2:].T[::-1], (6, 2))
    assert holes[2:].flatten().state.tolist() == [MISSING]


def test_shards_that_are_missing_say_nothing_of_the_chain(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(b"")
    little = [{"name": "bytes", "configuration": {"endian": "little"}}]
    inner = {"chunk_shape": [2, 3], "codecs": little, "index_codecs": little}
    holes = referenced(
        tmp_path / "c",
        [0] * 4,
        [0] * 4,
        (8, 12),
        (4, 6),
        codecs=(NamedConfig("sharding_indexed", inner),),
        fill_value=2,
        state=np.zeros(4, np.uint8),
    )
    manifest = assert_flat(holes[3:, :1], (5, 1))
    assert [codec.name for codec in manifest.codecs] == ["bytes"]


def test_constants_are_compared_by_their_bits(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "z", data=np.ones((4, 6), "f4"), chunks=(2, 6), fill_value=0.0)
    view = lz.open(tmp_path / "z")
    assert_flat(lz.pad(view, ((2, 0), (0, 0)), value=0.0), (2, 6))
    assert_refused(lz.pad(view, ((2, 0), (0, 0)), value=-0.0), "L3", "constants")
    quiet, payload = np.array([0x7FC00000, 0x7FC00001], "u4").view("f4")
    zarr.create_array(tmp_path / "n", data=np.ones((4, 6), "f4"), chunks=(2, 6), fill_value=np.nan)
    view = lz.open(tmp_path / "n")
    assert_flat(lz.concat([lz.full((2, 6), quiet, dtype="f4"), view]), (2, 6))
    assert_refused(lz.concat([lz.full((2, 6), payload, dtype="f4"), view]), "L3", "constants")


def test_common_decodes_are_factored_out(tmp_path: Path) -> None:
    a, b = stored(tmp_path / "a", (4, 6), (2, 3), fill_value=-9), stored(tmp_path / "b", (4, 6), (2, 3), fill_value=-9)
    packing: dict[str, Any] = {"scale_factor": 0.5, "add_offset": 1.0, "fill_values": [-9]}
    manifest = assert_flat(lz.concat([a.unpack(**packing), b.T.unpack(**packing).T], axis=0), (2, 3))
    assert [codec.name for codec in manifest.decodes] == ["lazyzarr.unpack"]
    assert manifest.fill_value == "NaN"
    assert (manifest.stored_data_type, manifest.stored_fill_value) == ("int16", -9)
    assert a.flatten().decodes == ()
    cast = a.astype("f8").flatten()
    assert (cast.stored_data_type, cast.stored_fill_value) == ("int16", -9)


def test_cells_in_memory_are_cut_in_any_way(tmp_path: Path) -> None:
    cells = np.arange(40, dtype="i4").reshape(8, 5)
    view = lz.open(cells)
    manifest = assert_flat(view[::-2, 1:4], (4, 3))
    assert manifest.state.tolist() == [INLINE]
    assert manifest.inline(0) == np.ascontiguousarray(cells[::-2, 1:4]).tobytes()
    assert manifest.urls() == [""]
    assert_flat(lz.open(np.array(3.5)), ())
    assert_flat(lz.concat([view[1:3], view]), ((2, 8), 5))
    assert_flat(view[2].T[None], (1, 5))
    zarr.create_array(tmp_path / "a", data=cells, chunks=(4, 5), compressors=None)
    mixed = assert_flat(lz.concat([lz.open(tmp_path / "a"), view[3:7]]), (4, 5))
    assert mixed.state.tolist() == [OBJECT, OBJECT, INLINE]
    assert mixed.stamps() == [None] * 3
    assert_flat(lz.open(np.array(["a", "bc"], dtype=np.dtypes.StringDType())), (2,))


def test_rectilinear_has_to_be_wanted(tmp_path: Path) -> None:
    uneven = lz.concat([stored(tmp_path / "a", (4, 6), (2, 6)), stored(tmp_path / "b", (6, 6), (3, 6))])
    assert_flat(uneven, ((2, 2, 3, 3), 6))
    with pytest.raises(lz.NotFlat, match="the pieces differ in length"):
        uneven.flatten(rectilinear=False)
    with pytest.raises(lz.ShapeError):
        _ = uneven.flatten().chunk_shape
    longer = lz.concat([stored(tmp_path / "c", (4, 6), (2, 6)), stored(tmp_path / "d", (4, 6), (3, 6))])
    assert_flat(longer, ((2, 2, 3, 3), 6))  # the last chunk reaches beyond the view


def test_ends_that_are_stored_differently_do_not_share_a_chunk(tmp_path: Path) -> None:
    a, b = stored(tmp_path / "a", (5, 4), (4, 4)), stored(tmp_path / "b", (5, 4), (3, 4))
    short = [stored(tmp_path / f"s{k}", (3, 4), (k, 4)) for k in (3, 5)]
    assert_refused(lz.concat([a, b], axis=1), "L2", "by some sources and not by others")
    assert_refused(lz.concat(short, axis=1), "L3", "3 and 5 cells in storage")


def test_views_without_stored_chunks() -> None:
    assert_flat(lz.full((4, 3), 2, dtype="i2"), (4, 3))
    assert_flat(lz.full((0, 3), 2.5, dtype="f8"), (1, 3))
    assert_flat(lz.full((), 2, dtype="u1"), ())
    assert_refused(lz.concat([lz.full((2,), 1, dtype="i2"), lz.full((2,), 2, dtype="i2")]), "L3", "constants")


def test_windows_are_kept_on_request(tmp_path: Path) -> None:
    cut = lz.open(zarr.create_array(tmp_path / "a.zarr", data=np.arange(12), chunks=(4,)))[1::2]
    table = cut.flatten(windowed=True)
    assert (table.flatness, len(table)) == ("L2", 3)
    found = table.columns()
    assert (found["first"].tolist(), found["step"].tolist()) == ([[1], [1], [1]], [[2], [2], [2]])
    for wrong in ({"materialize": "boundary"}, {"into": tmp_path / "b"}):
        with pytest.raises(lz.SelectionError):
            cut.flatten(windowed=True, **wrong)  # type: ignore[call-overload]
