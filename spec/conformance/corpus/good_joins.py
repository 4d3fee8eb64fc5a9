"""Good cases of several sources joined, stacked, placed over each other and interleaved."""

from __future__ import annotations

import numpy as np
import zarr

import lazyzarr as lz
from corpus.cases import Case, gzip_stored, ramp


def concat_unequal_chunks(case: Case) -> None:
    """Sources of different chunk shape, none a multiple of its chunk length."""
    parts = [ramp(5, 4), ramp(3, 4, start=100), ramp(7, 4, start=200)]
    chunks = [(2, 4), (3, 2), (4, 3)]
    views = [case.zarr(f"{k}.zarr", p, c, fill_value=0) for k, (p, c) in enumerate(zip(parts, chunks, strict=True))]
    case.save(
        lz.concat(views, axis=0),
        np.concatenate(parts),
        fill_value=0,
        flatness="L2",
        chunks=9,
        placements=3,
        about="unequal chunk shapes, and lengths that are no multiple of them; padding is never seen",
    )


def concat_fills(case: Case) -> None:
    """Each source keeps its fill value where chunks are missing."""
    parts = [ramp(4, 3), ramp(4, 3, start=50), ramp(4, 3, start=90)]
    fills = (-1, -2, -3)
    for part, value in zip(parts, fills, strict=True):
        part[2:] = value
    views = [case.zarr(f"{k}.zarr", p, (2, 3), fill_value=f) for k, (p, f) in enumerate(zip(parts, fills, strict=True))]
    case.save(
        lz.concat(views, axis=0),
        np.concatenate(parts),
        fill_value=-1,
        flatness="L3",
        chunks=6,
        placements=3,
        about="a missing chunk of a source reads as the fill value of that source, not of the first",
    )


def concat_packing(case: Case) -> None:
    """Each source is packed with its own scale, offset and fill value."""
    packed = [np.array(row, "int16") for row in ([[1, 2, -9], [30, -32768, 5]], [[1, -9, -32768]], [[7, 8, -1]])]
    how = ((0.01, 273.15, -9), (0.02, 270.0, -32768), (0.1, None, -1))
    views, values = [], []
    for number, (cells, (scale, offset, blank)) in enumerate(zip(packed, how, strict=True)):
        view = case.zarr(f"{number}.zarr", cells, (2, 2), fill_value=blank)
        views.append(view.unpack(scale_factor=scale, add_offset=offset, fill_values=[blank], dtype="float64"))
        one = np.where(cells == blank, np.nan, cells.astype("float64")) * scale
        values.append(one if offset is None else one + offset)
    case.save(
        lz.concat(views, axis=0),
        np.concatenate(values),
        fill_value="NaN",
        flatness="L3",
        chunks=6,
        placements=3,
        about="packing that drifts from source to source: multiply, then add, in float64; blanks before scaling",
    )


def concat_codecs(case: Case) -> None:
    """Every source with another codec chain."""
    chains = [
        {"compressors": [zarr.codecs.GzipCodec(level=1)]},
        {"compressors": [zarr.codecs.ZstdCodec(level=3)]},
        {"compressors": [zarr.codecs.BloscCodec(cname="lz4", shuffle="shuffle", typesize=4)]},
        {"compressors": [zarr.codecs.ZstdCodec(level=1), zarr.codecs.Crc32cCodec()]},
        {"filters": [zarr.codecs.TransposeCodec(order=(1, 0))]},
        {"serializer": zarr.codecs.BytesCodec(endian="big")},
    ]
    parts = [ramp(2, 5, dtype="int32", start=1000 * k) for k in range(len(chains))]
    views = [
        case.zarr(f"{k}.zarr", part, (2, 5), fill_value=0, **options)
        for k, (part, options) in enumerate(zip(parts, chains, strict=True))
    ]
    case.path("0.zarr/c/0/0").write_bytes(gzip_stored(parts[0].tobytes()))  # without the time that zarr-python writes
    case.save(
        lz.concat(views, axis=0),
        np.concatenate(parts),
        fill_value=0,
        flatness="L3",
        chunks=6,
        placements=6,
        about="gzip, zstd, blosc, zstd with crc32c, transposed and big-endian chunks side by side",
    )


def concat_equal(case: Case) -> None:
    """Sources whose join is flat."""
    parts = [ramp(4, 3), ramp(6, 3, start=50), ramp(3, 3, start=100)]
    views = [case.zarr(f"{k}.zarr", part, (2, 3), fill_value=0) for k, part in enumerate(parts)]
    case.save(
        lz.concat(views, axis=0),
        np.concatenate(parts),
        fill_value=0,
        flatness="L0",
        chunks=7,
        placements=3,
        about="chunks fit end to end: lengths are multiples of the chunk length but for the last source",
    )


def concat_of_itself(case: Case) -> None:
    """One node that is several inputs."""
    cells = ramp(3)
    view = case.zarr("a.zarr", cells, (3,), fill_value=0)
    twice = lz.concat([view, view], axis=0)
    case.save(
        lz.concat([twice, view[::-1], twice], axis=0),
        np.concatenate([cells, cells, cells[::-1], cells, cells]),
        fill_value=0,
        flatness="L2",
        chunks=1,
        placements=5,
        about="a node may be an input several times, of one node and of many",
    )


def concat_with_constant(case: Case) -> None:
    """A gap that is filled with a value which is not the fill value."""
    cells = ramp(4, 2)
    view = case.zarr("a.zarr", cells, (2, 2), fill_value=0)
    case.save(
        lz.concat([view, lz.full((2, 2), 77, dtype="int16"), view], axis=0),
        np.concatenate([cells, np.full((2, 2), 77, "int16"), cells]),
        fill_value=0,
        flatness="L3",
        chunks=2,
        placements=2,
        about="a gap between sources that reads as a constant",
    )


def stack_of_transpose(case: Case) -> None:
    """One input turned, the other as it is."""
    one, two = ramp(3, 4), ramp(4, 3, start=100)
    views = [case.zarr("a.zarr", one, (3, 2), fill_value=0), case.zarr("b.zarr", two, (2, 3), fill_value=0)]
    case.save(
        lz.stack([views[0], views[1].T], axis=1),
        np.stack([one, two.T], axis=1),
        fill_value=0,
        flatness="L3",
        chunks=4,
        placements=2,
        about="a new axis in the middle; the second input is transposed, so its chunks have another axis order",
    )


def overlay_apart(case: Case) -> None:
    """Boxes that do not overlap, with gaps."""
    one, two = ramp(2, 3), ramp(3, 2, start=100)
    views = [case.zarr("a.zarr", one, (2, 3), fill_value=0), case.zarr("b.zarr", two, (3, 2), fill_value=0)]
    values = np.full((5, 6), -7, "int16")
    values[0:2, 0:3], values[2:5, 4:6] = one, two
    case.save(
        lz.overlay((5, 6), [(views[0], (0, 0)), (views[1], (2, 4))], fill_value=-7),
        values,
        fill_value=-7,
        flatness="L3",
        chunks=2,
        placements=2,
        about="boxes declared not to overlap, on a background of -7",
    )


def _overlapping(case: Case, overlap: str) -> None:
    one, two, three = ramp(4, 4), ramp(4, 4, start=100), ramp(2, 2, start=200)
    parts = [(one, (0, 0)), (two, (2, 2)), (three, (1, 1))]
    views = [case.zarr(f"{k}.zarr", part, (2, 2), fill_value=0) for k, (part, _) in enumerate(parts)]
    values = np.full((7, 6), -7, "int16")
    for part, (row, column) in parts if overlap == "last" else parts[::-1]:
        values[row : row + part.shape[0], column : column + part.shape[1]] = part
    placed = [(view, origin) for view, (_, origin) in zip(views, parts, strict=True)]
    flatness, chunks = {"first": ("L3", 7), "last": ("L3", 8)}[overlap]
    case.save(
        lz.overlay((7, 6), placed, fill_value=-7, overlap=overlap),
        values,
        fill_value=-7,
        flatness=flatness,
        chunks=chunks,
        about=f"three boxes of which two overlap in turn; the {overlap} one in the list is seen",
    )


def overlay_first(case: Case) -> None:
    """The first of the list is seen."""
    _overlapping(case, "first")


def overlay_last(case: Case) -> None:
    """The last of the list is seen."""
    _overlapping(case, "last")


def interleave(case: Case) -> None:
    """Cells of three sources in turn."""
    parts = [ramp(3, 2), ramp(3, 2, start=10), ramp(2, 2, start=20)]
    views = [case.zarr(f"{k}.zarr", part, (2, 2), fill_value=0) for k, part in enumerate(parts)]
    values = np.zeros((8, 2), "int16")
    for number, part in enumerate(parts):
        values[number::3] = part
    case.save(
        lz.interleave(views, axis=0),
        values,
        fill_value=0,
        flatness="L2",
        chunks=5,
        placements=3,
        about="an overlay with steps: cells of the inputs alternate along an axis",
    )


def interleave_cut(case: Case) -> None:
    """A cut and reversed interleave."""
    parts = [ramp(4), ramp(4, start=10)]
    views = [case.zarr(f"{k}.zarr", part, (1,), fill_value=0) for k, part in enumerate(parts)]
    values = np.stack(parts, axis=1).reshape(-1)
    case.save(
        lz.interleave(views, axis=0)[6:0:-1],
        values[6:0:-1],
        fill_value=0,
        flatness="L0",
        chunks=6,
        placements=2,
        about="in chunks of one cell, even a reversed interleave is a list of whole chunks",
    )


def pad(case: Case) -> None:
    """A constant around a source."""
    cells = ramp(2, 3)
    case.save(
        lz.pad(case.zarr("a.zarr", cells, (2, 3), fill_value=0), ((1, 0), (0, 2)), value=9),
        np.pad(cells, ((1, 0), (0, 2)), constant_values=9),
        fill_value=9,
        flatness="L3",
        chunks=1,
        placements=1,
        about="a constant around a source that is not its fill value",
    )


def index_of_everything(case: Case) -> None:
    """A cut through concat, stack, overlay and transpose."""
    parts = [ramp(3, 4), ramp(3, 4, start=100), ramp(3, 8, start=200)]
    views = [case.zarr(f"{k}.zarr", part, (2, 3), fill_value=0) for k, part in enumerate(parts)]
    stacked = np.stack([np.concatenate(parts[:2], axis=1), parts[2]]).transpose(2, 0, 1)
    view = lz.stack([lz.concat(views[:2], axis=1), views[2]]).transpose(2, 0, 1)
    case.save(
        view[6:1:-2, :, ::2],
        stacked[6:1:-2, :, ::2],
        fill_value=0,
        flatness="L2",
        chunks=10,
        placements=3,
        about="one cut through a transposed stack of a concat",
    )


CASES = (
    *(concat_unequal_chunks, concat_fills, concat_packing, concat_codecs, concat_equal, concat_of_itself),
    *(concat_with_constant, stack_of_transpose, overlay_apart, overlay_first, overlay_last, interleave),
    *(interleave_cut, pad, index_of_everything),
)
