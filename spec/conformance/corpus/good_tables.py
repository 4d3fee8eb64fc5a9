"""Good cases with columns beside the graph: chunk references, tiles, and arrays kept with the view."""

from __future__ import annotations

import json

import numpy as np

import lazyzarr as lz
from corpus.cases import Case, NamedConfig, forget_version, gzip_stored, ramp, tile_table
from lazyzarr.ir.layout import Layout, Place, Stamp, StoredArray
from lazyzarr.ir.nodes import Recode, Tiles
from lazyzarr.ir.tables import Table
from lazyzarr.view import View

LITTLE = NamedConfig("bytes", {"endian": "little"})
GZIP = NamedConfig("gzip", {"level": 1})


def _table(name: str, **columns: list[int]) -> Table:
    types = {"offset": "u8", "length": "u8", "state": "u1", "layout": "i4", "place": "i4"}
    return Table({key: np.array(values, types[key]) for key, values in columns.items()}, name=name)


def refs(case: Case) -> None:
    """Chunks of a binary file, in any order."""
    values = ramp(4, 6, dtype="int32")
    chunks = {(i, j): values[2 * i : 2 * i + 2, 3 * j : 3 * j + 3].tobytes() for i in range(2) for j in range(2)}
    order = [(1, 0), (0, 0), (1, 1), (0, 1)]
    offset = {key: 5 + 24 * k for k, key in enumerate(order)}
    case.raw("a.bin", b"HEAD:" + b"".join(chunks[key] for key in order))
    table = _table("refs", offset=[offset[key] for key in sorted(chunks)], length=[24] * 4)
    array = StoredArray(0, (4, 6), location=case.url("a.bin"), refs="refs", stamp=Stamp(size=5 + 4 * 24))
    case.save(
        case.stored(array, [Layout("int32", 0, (2, 3), (LITTLE,))], {"refs": table}),
        values,
        fill_value=0,
        flatness="L0",
        chunks=4,
        placements=1,
        about="byte ranges of a file, pinned by the size of the file",
    )


def refs_variants(case: Case) -> None:
    """Chunks with and without compression, as filter masks of HDF5 make them, and a missing one."""
    values = ramp(9, 4)
    values[3:6] = -4
    pieces = [gzip_stored(values[0:3].tobytes()), b"", np.concatenate([values[6:9]]).tobytes()]
    case.raw("a.bin", b"".join(pieces))
    table = _table(
        "refs",
        offset=[0, 0, len(pieces[0])],
        length=[len(pieces[0]), 0, len(pieces[2])],
        state=[1, 0, 1],
        layout=[0, 0, 1],
    )
    layouts = [Layout("int16", -4, (3, 4), (LITTLE, GZIP)), Layout("int16", -4, (3, 4), (LITTLE,))]
    array = StoredArray(0, (9, 4), location=case.url("a.bin"), refs="refs", variants=(1,))
    case.save(
        case.stored(array, layouts, {"refs": table})[::-1],
        values[::-1],
        fill_value=-4,
        flatness="L3",
        chunks=3,
        placements=1,
        about="the first chunk is compressed, the second missing, the third stored as it is",
    )


def refs_places(case: Case) -> None:
    """Chunks of one array in three files."""
    values = ramp(6, dtype="uint8")
    for number in range(3):
        case.raw(f"{number}.bin", b"\xff" * number + values[2 * number : 2 * number + 2].tobytes())
    table = _table("refs", offset=[0, 1, 2], length=[2, 2, 2], place=[0, 1, 2])
    array = StoredArray(
        layout=0,
        shape=(6,),
        location=case.url("0.bin"),
        refs="refs",
        stamp=Stamp(size=2),
        places=(Place(case.url("1.bin"), Stamp(size=3)), Place(case.url("2.bin"))),
    )
    case.save(
        case.stored(array, [Layout("uint8", 0, (2,), (NamedConfig("bytes"),))], {"refs": table}),
        values,
        fill_value=0,
        flatness="L0",
        chunks=3,
        placements=1,
        about="the chunks of one array lie in three files, as with external storage of HDF5",
    )


def refs_inline(case: Case) -> None:
    """Chunks that are a whole file, bytes beside the graph, a byte range, and missing."""
    values = ramp(8, dtype="int16")
    values[6:] = 5
    case.raw("whole.bin", gzip_stored(values[:2].tobytes()))
    case.raw("part.bin", b"HEAD" + gzip_stored(values[4:6].tobytes()))
    kept = gzip_stored(values[2:4].tobytes())
    table = _table(
        "refs", offset=[0, 3, 4, 0], length=[0, len(kept), len(kept), 0], state=[2, 3, 1, 0], place=[0, 0, 1, 0]
    )
    inline = Table({"bytes": np.frombuffer(b"abc" + kept, np.uint8)}, name="inline")
    array = StoredArray(
        layout=0,
        shape=(8,),
        location=case.url("whole.bin"),
        refs="refs",
        stamp=Stamp(size=len(kept)),
        places=(Place(case.url("part.bin")),),
        inline="inline",
    )
    case.save(
        case.stored(array, [Layout("int16", 5, (2,), (LITTLE, GZIP))], {"refs": table, "inline": inline}),
        values,
        fill_value=5,
        flatness="L0",
        chunks=4,
        placements=1,
        about="one chunk is a whole file, one in the document, one a byte range, one missing, as in kerchunk references",
    )


def refs_table(case: Case) -> None:
    """References in a child array; two arrays share the table."""
    values = (np.arange(600) * 7919 % 65521).astype("uint16")
    case.raw("a.bin", values[::-1].tobytes())
    table = _table("refs", offset=list(range(1198, -2, -2)), length=[2] * 600)
    layout = Layout("uint16", 0, (1,), (LITTLE,))
    first = StoredArray(0, (400,), location=case.url("a.bin"), refs="refs")
    second = StoredArray(0, (200,), location=case.url("a.bin"), refs="refs", refs_first=400)
    views = [case.stored(array, [layout], {"refs": table}) for array in (first, second)]
    case.save(
        lz.concat([views[1], views[0]], axis=0),
        np.concatenate([values[400:], values[:400]]),
        fill_value=0,
        flatness="L0",
        chunks=600,
        placements=2,
        about="600 byte ranges in child arrays; two arrays share them, the second begins at row 400",
    )


def _following(case: Case, name: str, values: np.ndarray, head: int) -> View:
    """One byte range per cell, behind each other, some with a hole before it."""
    holes = [(k * k * 31 % 251) * (k % 5 == 4) for k in range(values.size)]
    pieces = [b"\xff" * hole + cell.tobytes() for hole, cell in zip(holes, values.reshape(-1), strict=True)]
    case.raw(name, b"\xff" * head + b"".join(pieces))
    length = values.dtype.itemsize
    offset = head + np.cumsum([len(piece) for piece in pieces]) - length
    table = _table(f"refs-{name}", offset=offset.tolist(), length=[length] * len(offset))
    array = StoredArray(0, values.shape, location=case.url(name), refs=table.name)
    layout = Layout(values.dtype.name, 0, (1,) * values.ndim, (LITTLE,))
    return case.stored(array, [layout], {table.name: table})


def refs_gaps(case: Case) -> None:
    """Byte ranges that follow each other in their file, the others of the file not in the array."""
    values = (np.arange(900) * 7919 % 65521).astype("uint16")
    case.save(
        _following(case, "a.bin", values, 5)[300:],
        values[300:],
        fill_value=0,
        flatness="L0",
        chunks=600,
        placements=1,
        about="900 byte ranges in child arrays, by the gaps between them",
    )


def origins_gaps(case: Case) -> None:
    """Byte ranges of two files that take turns: gaps are between those of one file."""
    values = (np.arange(1600) * 7919 % 65521).astype("uint16").reshape(400, 4)
    case.save(
        lz.concat([_following(case, "a.bin", values[:, :2], 5), _following(case, "b.bin", values[:, 2:], 50)], axis=1),
        values,
        fill_value=0,
        flatness="L0",
        chunks=1600,
        placements=1,
        about="byte ranges of two files, whose rows take turns, by the gaps between those of each",
        manifest="only",
    )


def values_inline(case: Case) -> None:
    """A small array kept in the document."""
    values = np.array([[1.5, np.nan], [-np.inf, -0.0], [3.0, 4.0]])
    case.save(
        lz.open(values)[:, ::-1],
        values[:, ::-1],
        fill_value=0.0,
        flatness="L0",
        chunks=1,
        placements=1,
        about="the cells of an array are in the document",
    )


def values_table(case: Case) -> None:
    """An array kept beside the document."""
    values = ramp(20, 30, dtype="int32")
    case.save(
        lz.open(values)[3:9],
        values[3:9],
        fill_value=0,
        flatness="L0",
        chunks=1,
        placements=1,
        about="the cells of an array are a child array of the view",
    )


def values_scalar(case: Case) -> None:
    """One cell of rank 0 kept in the document."""
    case.save(
        lz.open(np.array(-3, "int8")),
        np.array(-3, "int8"),
        fill_value=0,
        flatness="L0",
        chunks=1,
        placements=1,
        about="an array of rank 0 whose cell is in the document",
    )


def values_chunks(case: Case) -> None:
    """An array kept in the document whose layout speaks of chunks and compression."""
    values = ramp(5, 4)
    case.save(
        lz.open(values)[::-1, 1:],
        values[::-1, 1:],
        fill_value=0,
        flatness="L0",
        chunks=1,
        placements=1,
        about="cells in the document do not depend on the chunk shape and the compression of their layout",
    )
    codecs = [
        {"name": "transpose", "configuration": {"order": [1, 0]}},
        {"name": "bytes", "configuration": {"endian": "big"}},
        {"name": "gzip", "configuration": {"level": 1}},
    ]
    case.change_layout({"chunk_shape": [2, 3], "codecs": codecs})


def values_text(case: Case) -> None:
    """Text kept in the document."""
    values = np.array([["a", "ö"], ["", "long text"]], np.dtypes.StringDType())
    case.save(
        lz.open(values).T,
        values.T,
        fill_value="",
        flatness="L0",
        chunks=1,
        placements=1,
        about="an array of text in the document",
    )


def _mosaic(case: Case, fills: tuple[int, ...] = (-1, -1, -2)) -> tuple[View, np.ndarray]:
    parts = [ramp(2, 3), ramp(2, 3, start=20), ramp(3, 3, start=40)]
    origins = [(0, 0), (0, 3), (2, 1)]
    parts[2][0] = fills[2]
    views = [
        case.zarr(f"{k}.zarr", part, (1, 3), fill_value=value)
        for k, (part, value) in enumerate(zip(parts, fills, strict=True))
    ]
    arrays = [view.ir.arrays[0] for view in views]
    layouts = [views[0].ir.layouts[0], views[2].ir.layouts[0]]
    table = tile_table(arrays, origins, [0, 0, 1])
    values = np.full((5, 7), 9, "int16")
    for part, (row, column) in zip(parts, origins, strict=True):
        values[row : row + part.shape[0], column : column + 3] = part
    return case.node(Tiles("tiles", (5, 7), "int16", 9, (0, 1)), layouts=layouts, tables=[table]), values


def shared_table(case: Case) -> None:
    """A view of a saved view that names the table of that view where it is."""
    cells = ramp(64)
    rows = np.arange(300) * 37 % 64
    base = case.folder / "base.zarr"
    lz.save(case.zarr("a.zarr", cells, (16,), fill_value=0).take(rows, axis=0), base)
    forget_version(base / "zarr.json")
    case.save(
        lz.open(base)[250:20:-10],
        cells[rows][250:20:-10],
        fill_value=0,
        flatness="L2",
        chunks=4,
        about="the table of the gather belongs to another view, which is beside this one",
        share=True,
    )
    # a shared table is named by where it is, and the corpus may be anywhere
    document = case.folder / "view.zarr" / "zarr.json"
    text = document.read_text("utf-8")
    (name,) = json.loads(text)["attributes"]["lazyzarr"]["graph"]["tables"]
    document.write_text(text.replace(f'"{name}"', '"indices"'), encoding="utf-8")


def tiles(case: Case) -> None:
    """Arrays placed by a table, with gaps."""
    view, values = _mosaic(case)
    case.save(
        view,
        values,
        fill_value=9,
        flatness="L3",
        chunks=7,
        placements=3,
        about="three arrays placed by a table; gaps read as 9, a missing chunk as the fill value of its array",
    )


def tiles_recoded(case: Case) -> None:
    """Every tile read with another layout."""
    view, values = _mosaic(case, (-1, -1, -1))
    old = view.ir.layouts[0]
    swapped = Layout("int16", 9, old.chunk_shape, (NamedConfig("bytes", {"endian": "big"}),), old.chunk_keys)
    expected = values.byteswap()
    expected[values == 9], expected[2, 1:4] = 9, 9
    expected[1, 3:6] = np.array([23, 24, 25], "int16").byteswap()
    expected[0, :] = [*ramp(3).byteswap(), *ramp(3, start=20).byteswap(), 9]
    case.save(
        case.node(Recode(0, 0), [view], layouts=[swapped]),
        expected,
        fill_value=9,
        flatness="L2",
        chunks=7,
        placements=3,
        about="a recode above tiles: every array is read as big-endian, missing chunks as the new fill value",
    )


def tiles_stack(case: Case) -> None:
    """Arrays that each fill one cell of a new axis."""
    parts = [ramp(2, 3), ramp(2, 3, start=20)]
    views = [case.zarr(f"{k}.zarr", part, (2, 3), fill_value=0) for k, part in enumerate(parts)]
    table = tile_table([view.ir.arrays[0] for view in views], [(0, 0, 0), (0, 2, 0)], [0, 0])
    values = np.zeros((2, 3, 3), "int16")
    values[:, 0], values[:, 2] = parts
    case.save(
        case.node(Tiles("tiles", (2, 3, 3), "int16", 0, (0,), 1), layouts=views[0].ir.layouts, tables=[table]),
        values,
        fill_value=0,
        flatness="L0",
        chunks=2,
        placements=2,
        about="tiles with a new axis in the middle; its second cell belongs to no array",
    )


def tiles_table(case: Case) -> None:
    """300 arrays of a file, placed by child arrays."""
    values = (np.arange(600) * 31 % 997).astype("int16").reshape(300, 2)
    case.raw("a.bin", values.tobytes())
    arrays = [StoredArray(0, (1, 2), location=case.url("a.bin"), stamp=Stamp(size=1200))] * 300
    origins = [(row, 0) for row in range(300)]
    table = tile_table(arrays, origins, [0] * 300, refs_first=np.arange(300, dtype=np.int64))
    references = _table("refs", offset=list(range(0, 1200, 4)), length=[4] * 300)
    node = Tiles("tiles", (300, 2), "int16", 0, (0,), refs="refs")
    case.save(
        case.node(node, layouts=[Layout("int16", 0, (1, 2), (LITTLE,))], tables=[table, references])[290:10:-20],
        values[290:10:-20],
        fill_value=0,
        flatness="L0",
        chunks=14,
        placements=14,
        about="300 tiles with references in child arrays, read backwards with a step",
    )


def _packed(
    data_type: str, scale: float | str, offset: float | str | None, value: str, chunk_shape: tuple[int, ...]
) -> Layout:
    conf = {
        "scale_factor": scale,
        "add_offset": offset,
        "fill_values": [-1],
        "stored_type": "int16",
        "data_type": data_type,
        "arithmetic": data_type,
    }
    return Layout(data_type, value, chunk_shape, (NamedConfig("lazyzarr.unpack", conf), LITTLE))


def tiles_row_values(case: Case) -> None:
    """Arrays that are packed each in its own way: the numbers are columns."""
    parts = [ramp(2, 3), ramp(2, 3, start=20), ramp(2, 3, start=40)]
    parts[0][0], parts[1][1], parts[2][1, 2] = 7, 9, -1
    views = [
        case.zarr(f"{k}.zarr", part, (1, 3), fill_value=value)
        for k, part, value in zip("abc", parts, (7, -1, 9), strict=True)
    ]
    numbers = {"scale_factor": [0.1, 0.3, -2.5], "add_offset": [273.15, -0.0, 1e300], "fill_value": [0.0, 0.0, 0.0]}
    layouts = [
        _packed("float64", "row", "row", "row", (1, 3)),
        _packed("float64", "row", None, "NaN", (1, 3)),
    ]
    values = np.full((8, 3), -4.0)
    for k, part in enumerate(parts):
        cells = np.where(part == -1, np.nan, part) * numbers["scale_factor"][k]
        values[3 * k : 3 * k + 2] = cells if k == 1 else cells + numbers["add_offset"][k]
    numbers["fill_value"][0] = 0.1 * 7 + 273.15  # the first row of the first array is a missing chunk
    numbers["fill_value"][2] = -2.5 * 9 + 1e300
    columns = {name: np.array(column, np.float64) for name, column in numbers.items()}
    arrays = [view.ir.arrays[0] for view in views]
    table = tile_table(arrays, [(0, 0), (3, 0), (6, 0)], [0, 1, 0], **columns)
    case.save(
        case.node(Tiles("tiles", (8, 3), "float64", -4.0, (0, 1)), layouts=layouts, tables=[table]),
        values,
        fill_value=-4.0,
        flatness="L3",
        chunks=6,
        placements=3,
        about="arrays of which each has its own packing, in columns of the table; one takes no offset from its row",
    )


def tiles_row_values_table(case: Case) -> None:
    """300 packings in child arrays, in single precision."""
    stored = (np.arange(600) * 31 % 997).astype("int16").reshape(300, 2)
    case.raw("a.bin", stored.tobytes())
    arrays = [StoredArray(0, (1, 2), location=case.url("a.bin"), stamp=Stamp(size=1200))] * 300
    scales = np.float32(0.1) + np.arange(300, dtype=np.float32) / np.float32(7)
    table = tile_table(
        arrays,
        [(row, 0) for row in range(300)],
        [0] * 300,
        refs_first=np.arange(300, dtype=np.int64),
        scale_factor=scales.astype(np.float64),
    )
    references = _table("refs", offset=list(range(0, 1200, 4)), length=[4] * 300)
    node = Tiles("tiles", (300, 2), "float32", "NaN", (0,), refs="refs")
    layouts = [_packed("float32", "row", 0.5, "NaN", (1, 2))]
    values = stored.astype(np.float32) * scales[:, None] + np.float32(0.5)
    case.save(
        case.node(node, layouts=layouts, tables=[table, references])[290:10:-20],
        values[290:10:-20],
        fill_value="NaN",
        flatness="L3",
        chunks=14,
        placements=14,
        about="300 scale factors in a child array, applied in single precision",
    )


def origins(case: Case) -> None:
    """Chunks of Zarr arrays and of a file by one table: a manifest without the graph it was derived from."""
    values = ramp(8, 6)
    one = case.zarr("0.zarr", values[:4], (2, 3), fill_value=0)
    case.raw("a.bin", b"HEAD:" + values[4:6, :3].tobytes() + values[4:6, 3:].tobytes())
    layout = one.ir.layouts[one.ir.arrays[0].layout]
    table = _table("refs", offset=[5, 17, 0, 0], length=[12, 12, 0, 0], state=[1, 1, 0, 0])
    array = StoredArray(0, (4, 6), location=case.url("a.bin"), refs="refs", stamp=Stamp(size=29))
    other = case.stored(array, [layout], {"refs": table})
    expected = np.concatenate([values[:6], np.zeros((2, 6), values.dtype)])
    case.save(
        lz.concat([one, other]),
        expected,
        fill_value=0,
        flatness="L0",
        chunks=8,
        placements=1,
        about="chunks of an array and byte ranges of a file, two of them absent, named by rows of one table",
        manifest="only",
    )


def manifest(case: Case) -> None:
    """A manifest beside the graph."""
    values = ramp(8, 6)
    parts = [case.zarr(f"{k}.zarr", values[4 * k : 4 * k + 4], (2, 3), fill_value=0) for k in range(2)]
    case.save(
        lz.concat(parts).T,
        values.T,
        fill_value=0,
        flatness="L0",
        chunks=8,
        placements=2,
        about="a graph with what it reduces to, which a reader may use instead",
        manifest=True,
    )


def origins_whole(case: Case) -> None:
    """Whole objects, one for each chunk, by a table of origins."""
    values = ramp(4, 2)
    for number in range(2):
        case.raw(f"{number}.bin", values[2 * number : 2 * number + 2].tobytes())
    layout = Layout("int16", 0, (2, 2), (NamedConfig("bytes", {"endian": "little"}),))
    table = _table("refs", offset=[0, 0], length=[0, 0], state=[2, 2], place=[0, 1])
    places = (Place(case.url("1.bin"), Stamp(size=8)),)
    array = StoredArray(0, (4, 2), location=case.url("0.bin"), refs="refs", stamp=Stamp(size=8), places=places)
    case.save(
        case.stored(array, [layout], {"refs": table}),
        values,
        fill_value=0,
        flatness="L0",
        chunks=2,
        placements=1,
        about="two objects, each of them a chunk, named by rows of a table of origins",
        manifest="only",
    )


CASES = (
    *(refs, refs_variants, refs_places, refs_inline, refs_table, refs_gaps),
    *(values_inline, values_table, values_scalar, values_text, values_chunks),
    *(shared_table, tiles, tiles_recoded, tiles_stack, tiles_table, tiles_row_values),
    *(tiles_row_values_table, origins, origins_gaps, origins_whole),
    manifest,
)
