"""Unreadable cases: valid documents whose sources or tables are not what the document says.

Owns the damage. Each case is a view that was right when it was saved, one thing that changed since, and the cells that
can still be read. Refuses damage that a checkout would mend, such as permissions.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import google_crc32c
import numcodecs
import numpy as np
import zarr

import lazyzarr as lz
from corpus.cases import Case, NamedConfig, forget_version, gzip_stored, ramp, tile_table, write_json
from corpus.expected import cells
from corpus.good_rows import box_table
from lazyzarr.ir.layout import Layout, Stamp, StoredArray
from lazyzarr.ir.nodes import Boxes, Decode, Tiles
from lazyzarr.ir.tables import Table
from lazyzarr.view import View

LITTLE = NamedConfig("bytes", {"endian": "little"})
GZIP = NamedConfig("gzip", {"level": 1})

Span = tuple[int, int]


def _finish(
    case: Case,
    view: View,
    damage: Callable[[Path], None],
    *,
    error: str,
    reason: str,
    about: str,
    readable: Sequence[Span] | None = None,
    values: np.ndarray | None = None,
) -> None:
    """Save the view, change what it reads, and say how reading must end.

    Parameters
    ----------
    damage
        Gets the folder of the case.
    error, reason
        Of reading the whole view.
    readable
        Start and stop on each axis of a box that can be read all the same; ``values`` are its cells.
    """
    lz.save(view, case.folder / "view.zarr")
    forget_version(case.folder / "view.zarr" / "zarr.json")
    damage(case.folder)
    expected: dict[str, object] = {"about": about, "rules": case.rules, "error": error, "reason": reason}
    if values is not None:
        expected |= {"readable": [list(span) for span in readable or ()], "values": cells(values)}
    write_json(case.folder / "expected.json", expected)


def _refs(name: str, **columns: list[int]) -> Table:
    types = {"offset": "u8", "length": "u8", "state": "u1", "place": "i4"}
    return Table({key: np.array(values, types[key]) for key, values in columns.items()}, name=name)


def _ranges(case: Case, codecs: Sequence[NamedConfig], chunks: Sequence[bytes], *, stamp: bool = False) -> View:
    """Four cells of int16 for each chunk, one after the other in ``sources/a.bin``."""
    case.raw("a.bin", b"".join(chunks))
    ends = np.cumsum([len(chunk) for chunk in chunks]).tolist()
    lengths = [len(chunk) for chunk in chunks]
    table = _refs("refs", offset=[end - length for end, length in zip(ends, lengths, strict=True)], length=lengths)
    array = StoredArray(
        0,
        (4 * len(chunks),),
        location=case.url("a.bin"),
        refs="refs",
        stamp=Stamp(size=ends[-1]) if stamp else None,
    )
    return case.stored(array, [Layout("int16", 0, (4,), tuple(codecs))], {"refs": table})


def object_gone(case: Case) -> None:
    """A file that references name is not there."""
    values = ramp(8)
    _finish(
        case,
        _ranges(case, [LITTLE], [values[:4].tobytes(), values[4:].tobytes()]),
        lambda folder: (folder / "sources" / "a.bin").unlink(),
        error="SourceMissing",
        reason="source-missing",
        about="an object that a reference names is gone: an error, never fill values",
    )


def whole_object_gone(case: Case) -> None:
    """One of two objects, each of them a chunk, is not there."""
    for number in range(2):
        case.raw(f"{number}.bin", ramp(2, start=2 * number).tobytes())
    table = _refs("refs", offset=[0, 0], length=[0, 0], state=[2, 2], place=[0, 0])
    arrays = [StoredArray(0, (2,), case.url(f"{n}.bin"), refs="refs", refs_first=n) for n in range(2)]
    layout = Layout("int16", 0, (2,), (LITTLE,))
    _finish(
        case,
        lz.concat([case.stored(array, [layout], {"refs": table}) for array in arrays]),
        lambda folder: (folder / "sources" / "1.bin").unlink(),
        error="SourceMissing",
        reason="source-missing",
        about="a chunk that is a whole object is gone; the other one can be read",
        readable=[(0, 2)],
        values=ramp(2),
    )


def object_cut_short(case: Case) -> None:
    """A file ends within a range; the ranges before the end can be read."""
    values = ramp(12)
    _finish(
        case,
        _ranges(case, [LITTLE], [values[k : k + 4].tobytes() for k in (0, 4, 8)]),
        lambda folder: (folder / "sources" / "a.bin").write_bytes(values.tobytes()[:20]),
        error="SourceProtocolError",
        reason="chunk-length",
        about="the file ends inside the last range; exactly the chunks behind the cut fail",
        readable=[(0, 8)],
        values=values[:8],
    )


def object_of_another_size(case: Case) -> None:
    """A file that was pinned by its size has grown."""
    values = ramp(8)
    _finish(
        case,
        _ranges(case, [LITTLE], [values[:4].tobytes(), values[4:].tobytes()], stamp=True),
        lambda folder: (folder / "sources" / "a.bin").write_bytes(values.tobytes() + b"more"),
        error="SourceChanged",
        reason="source-changed",
        about="the file is longer than its stamp says, though every range is there",
    )


def metadata_changed(case: Case) -> None:
    """A pinned Zarr array was written again with another fill value."""

    def damage(folder: Path) -> None:
        path = folder / "sources" / "a.zarr" / "zarr.json"
        path.write_bytes(path.read_bytes().replace(b'"fill_value": 7', b'"fill_value": 8'))

    values = ramp(4, 2)
    values[2:] = 7
    _finish(
        case,
        case.zarr("a.zarr", values, (2, 2), fill_value=7),
        damage,
        error="SourceChanged",
        reason="source-changed",
        about="the metadata of a source has another digest than its stamp; its missing chunk would read as another value",
    )


def chunk_of_another_length(case: Case) -> None:
    """A chunk has fewer bytes than its layout."""
    values = ramp(4, 2)
    _finish(
        case,
        case.zarr("a.zarr", values, (2, 2), fill_value=0),
        lambda folder: (folder / "sources" / "a.zarr" / "c" / "1" / "0").write_bytes(b"\0" * 6),
        error="ChunkDecodeError",
        reason="chunk-length",
        about="6 bytes where the layout declares 8",
        readable=[(0, 2), (0, 2)],
        values=values[:2],
    )


def chunk_of_more_cells(case: Case) -> None:
    """A compressed chunk decodes to more than its layout."""
    values = ramp(8)
    chunks = [gzip_stored(values[:4].tobytes()), gzip_stored(ramp(5, start=4).tobytes())]
    _finish(
        case,
        _ranges(case, [LITTLE, GZIP], chunks),
        lambda folder: None,
        error="ChunkTooLarge",
        reason="chunk-too-large",
        about="a chunk that decodes to 10 bytes where the layout declares 8",
        readable=[(0, 4)],
        values=values[:4],
    )


def chunk_of_many_zeros(case: Case) -> None:
    """Some hundred bytes that would be millions."""
    values = ramp(8)
    bz2_chain = [LITTLE, NamedConfig("numcodecs.bz2", {"level": 9})]
    chunks = [bz2.compress(values[:4].tobytes()), bz2.compress(bytes(1 << 24))]
    _finish(
        case,
        _ranges(case, bz2_chain, chunks),
        lambda folder: None,
        error="ChunkTooLarge",
        reason="chunk-too-large",
        about="16 MiB of zeros in a bzip2 stream where the layout declares 8 bytes",
        readable=[(0, 4)],
        values=values[:4],
    )


def chunk_of_half_a_stream(case: Case) -> None:
    """An xz stream that was cut, in a range of its length."""
    values = ramp(8)
    whole = [lzma.compress(part.tobytes()) for part in (values[:4], values[4:])]
    _finish(
        case,
        _ranges(case, [LITTLE, NamedConfig("numcodecs.lzma", {"format": 1})], [whole[0], whole[1][:-8]]),
        lambda folder: None,
        error="ChunkDecodeError",
        reason="chunk-decode",
        about="an xz stream that ends early, though all of its cells are there",
        readable=[(0, 4)],
        values=values[:4],
    )


def chunk_that_is_no_gzip(case: Case) -> None:
    """A compressed chunk was overwritten by other bytes of the same length."""
    values = ramp(8)
    chunks = [gzip_stored(values[:4].tobytes()), b"\x55" * 31]
    _finish(
        case,
        _ranges(case, [LITTLE, GZIP], chunks),
        lambda folder: None,
        error="ChunkDecodeError",
        reason="chunk-decode",
        about="bytes that the codec did not write",
        readable=[(0, 4)],
        values=values[:4],
    )


def checksum(case: Case) -> None:
    """One bit of a chunk with a checksum was turned."""

    def damage(folder: Path) -> None:
        path = folder / "sources" / "a.zarr" / "c" / "1"
        path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])

    values = ramp(8)
    _finish(
        case,
        case.zarr("a.zarr", values, (4,), fill_value=0, compressors=[zarr.codecs.Crc32cCodec()]),
        damage,
        error="ChunkChecksumError",
        reason="chunk-checksum",
        about="the bytes have another crc32c than the one stored behind them",
        readable=[(0, 4)],
        values=values[:4],
    )


def _checksum_of_a_stream(case: Case, codec: str, configuration: dict[str, int], position: int) -> None:
    def damage(folder: Path) -> None:
        path = folder / "sources" / "a.zarr" / "1"
        stream = bytearray(path.read_bytes())
        stream[position] ^= 1
        path.write_bytes(stream)

    values = ramp(8)
    array = zarr.create_array(
        str(case.path("a.zarr")),
        shape=(8,),
        chunks=(4,),
        dtype="int16",
        zarr_format=2,
        fill_value=0,
        filters=None,
        compressors=getattr(numcodecs, codec)(**configuration),
    )
    array[:] = values
    _finish(
        case,
        case.open("a.zarr"),
        damage,
        error="ChunkDecodeError",
        reason="chunk-decode",
        about=f"a stream of {codec} whose own checksum is another one",
        readable=[(0, 4)],
        values=values[:4],
    )


def checksum_in_a_bzip2_stream(case: Case) -> None:
    """A bit of the checksum of a block was turned."""
    _checksum_of_a_stream(case, "BZ2", {"level": 1}, 10)


def checksum_in_a_zlib_stream(case: Case) -> None:
    """A bit of the checksum at the end was turned."""
    _checksum_of_a_stream(case, "Zlib", {"level": 1}, -1)


def text_that_is_no_utf_8(case: Case) -> None:
    """A chunk of text holds bytes that are none."""

    def damage(folder: Path) -> None:
        path = folder / "sources" / "a.zarr" / "c" / "1"
        path.write_bytes(path.read_bytes().replace("ü".encode(), b"\xfc\xfc"))

    values = np.array(["a", "b", "ü", "d"], np.dtypes.StringDType())
    _finish(
        case,
        case.zarr("a.zarr", values, (2,), fill_value=""),
        damage,
        error="ChunkDecodeError",
        reason="chunk-decode",
        about="text of which a cell is not UTF-8",
        readable=[(0, 2)],
        values=values[:2],
    )


def _replace(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _variable(case: Case, stored: bytes, error: str, reason: str, about: str) -> None:
    """The second chunk of two texts is replaced."""
    values = np.array(["a", "b", "c", "d"], np.dtypes.StringDType())
    _finish(
        case,
        case.zarr("a.zarr", values, (2,), fill_value=""),
        lambda folder: _replace(folder / "sources" / "a.zarr" / "c" / "1", stored),
        error=error,
        reason=reason,
        about=about,
        readable=[(0, 2)],
        values=values[:2],
    )


def variable_cells_fewer(case: Case) -> None:
    """One text where two are declared."""
    _variable(
        case, struct.pack("<II", 1, 1) + b"c", "ChunkDecodeError", "chunk-length", "a chunk of one text instead of two"
    )


def variable_cells_more(case: Case) -> None:
    """Three texts where two are declared."""
    _variable(
        case,
        struct.pack("<IIII", 3, 0, 0, 0),
        "ChunkTooLarge",
        "chunk-too-large",
        "a chunk of three texts instead of two",
    )


def variable_cells_cut_short(case: Case) -> None:
    """The last text is longer than what is there."""
    _variable(
        case, struct.pack("<III", 2, 0, 2) + b"c", "ChunkDecodeError", "chunk-decode", "a text ends behind its chunk"
    )


def variable_cells_and_more(case: Case) -> None:
    """There are bytes behind the last text."""
    _variable(
        case, struct.pack("<III", 2, 0, 0) + b"c", "ChunkDecodeError", "chunk-decode", "bytes behind the last text"
    )


def table_chunk_gone(case: Case) -> None:
    """The table of a gather is not stored."""
    indices = np.arange(300) * 37 % 64
    _finish(
        case,
        case.zarr("a.zarr", ramp(64), (16,), fill_value=0).take(indices, axis=0),
        lambda folder: next((folder / "view.zarr" / "tables").rglob("c/0")).unlink(),
        error="SourceMissing",
        reason="source-missing",
        about="a chunk of a table is gone; a table has no fill values",
    )


def table_index_outside(case: Case) -> None:
    """An index of a stored table is outside its axis."""

    def damage(folder: Path) -> None:
        path = next((folder / "view.zarr" / "tables").rglob("indices/zarr.json")).parent
        array = zarr.open_array(path, mode="r+")
        array[7] = 64

    indices = np.arange(300) * 37 % 64
    _finish(
        case,
        case.zarr("a.zarr", ramp(64), (16,), fill_value=0).take(indices, axis=0),
        damage,
        error="ViewSchemaError",
        reason="table-invalid",
        about="an index of a table beside the document is 64, and the axis has 64 cells",
    )


def boxes_table_overlap(case: Case) -> None:
    """Two boxes of a stored table fill one cell."""

    def damage(folder: Path) -> None:
        path = next((folder / "view.zarr" / "tables").rglob("origin/zarr.json")).parent
        array = zarr.open_array(path, mode="r+")
        array[7] = 6

    one = case.zarr("a.zarr", ramp(300), (100,), fill_value=0)
    _finish(
        case,
        _lines(case, one),
        damage,
        error="ViewSchemaError",
        reason="overlap",
        about="box 7 of a table beside the document begins where box 6 does, and so hides it",
        readable=[(100, 300)],
        values=ramp(300)[100:],
    )


def boxes_table_not_sorted(case: Case) -> None:
    """Rows of a stored table of boxes change places."""

    def damage(folder: Path) -> None:
        path = next((folder / "view.zarr" / "tables").rglob("origin/zarr.json")).parent
        array = zarr.open_array(path, mode="r+")
        array[7], array[200] = 200, 7

    _finish(
        case,
        _lines(case, case.zarr("a.zarr", ramp(300), (100,), fill_value=0)),
        damage,
        error="ViewSchemaError",
        reason="graph-canonical",
        about="row 7 of a table beside the document is where row 200 should be",
    )


def _lines(case: Case, one: View) -> View:
    """300 boxes of one cell each, in a table beside the document."""
    rows = np.arange(300)[:, None]
    ones = np.ones_like(rows)
    table = box_table(array=0 * rows[:, 0], axis=0 * rows, first=rows, step=ones, origin=rows, stride=ones, count=ones)
    node = Boxes("rows", (300,), "int16", 0, (0,))
    return case.node(node, layouts=one.ir.layouts, arrays=one.ir.arrays, tables=[table])


def _field(folder: Path, field: str, cells: dict[int, Any]) -> None:
    """Set a field of some records of the stored table of a case."""
    path = next((folder / "view.zarr" / "tables").rglob("record/zarr.json")).parent
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr-python warns of types without a specification of their own
        array = zarr.open_array(path, mode="r+")
        rows = np.asarray(array[:])
        for row, cell in cells.items():
            rows[field][row] = cell
        array[:] = rows


def _tiled(case: Case) -> View:
    """One array of one cell, 300 times side by side, in a table beside the document."""
    one = case.zarr("a.zarr", ramp(300)[:1], (1,), fill_value=0)
    table = tile_table(list(one.ir.arrays) * 300, [(row,) for row in range(300)], [0] * 300)
    return case.node(Tiles("tiles", (300,), "int16", 0, (0,)), layouts=one.ir.layouts, tables=[table])


def tiles_table_of_no_text(case: Case) -> None:
    """The location in one record is not UTF-8."""
    _finish(
        case,
        _tiled(case),
        lambda folder: _field(folder, "url", {7: b"../sources/\xff.zarr"}),
        error="ViewSchemaError",
        reason="table-invalid",
        about="the location in row 7 of a table beside the document is no text",
        readable=[(0, 7)],
        values=np.repeat(ramp(300)[:1], 7),
    )


def tiles_table_shard_without_rows(case: Case) -> None:
    """The second chunk in a shard of records is missing."""

    def damage(folder: Path) -> None:
        path = next((folder / "view.zarr" / "tables").rglob("record/c/0"))
        held = bytearray(path.read_bytes())
        held[16:32] = b"\xff" * 16
        held[32:36] = google_crc32c.value(bytes(held[:32])).to_bytes(4, "little")
        path.write_bytes(bytes(held))

    _finish(
        case,
        _tiled(case),
        damage,
        error="SourceMissing",
        reason="source-missing",
        about="rows from 256 on of a table beside the document are not in their shard",
    )


def tiles_table_not_sorted(case: Case) -> None:
    """Rows of a stored table of tiles change places, so that bisection finds one of them too few."""

    def damage(folder: Path) -> None:
        _field(folder, "origin.0", {7: 200, 200: 7})

    _finish(
        case,
        _tiled(case),
        damage,
        error="ViewSchemaError",
        reason="graph-canonical",
        about="row 7 of a table beside the document is where row 200 should be",
    )


def row_values_table_of_no_number(case: Case) -> None:
    """A scale factor in a stored table becomes NaN: its cells would all be missing values."""

    def damage(folder: Path) -> None:
        _field(folder, "scale_factor", {7: np.nan})

    one = case.zarr("a.zarr", ramp(1), (1,), fill_value=0)
    conf: dict[str, Any] = {"scale_factor": "row", "add_offset": None, "fill_values": []}
    conf |= {"stored_type": "int16", "data_type": "float64", "arithmetic": "float64"}
    layout = Layout("float64", 0.0, (1,), (NamedConfig("lazyzarr.unpack", conf), LITTLE))
    table = tile_table(
        list(one.ir.arrays) * 300, [(row,) for row in range(300)], [0] * 300, scale_factor=np.full(300, 0.5)
    )
    _finish(
        case,
        case.node(Tiles("tiles", (300,), "float64", 0.0, (0,)), layouts=[layout], tables=[table]),
        damage,
        error="ViewSchemaError",
        reason="table-invalid",
        about="a number that a layout takes from row 7 of a table beside the document is NaN",
    )


def tiles_table_outside_the_policy(case: Case) -> None:
    """A table of locations leads out of what the reader allows."""
    arrays = [StoredArray(0, (1,), location="https://other.example/a.zarr")] * 300
    table = tile_table(arrays, [(row,) for row in range(300)], [0] * 300)
    node = Tiles("tiles", (300,), "int16", 0, (0,))
    _finish(
        case,
        case.node(node, layouts=[Layout("int16", 0, (1,), (LITTLE,))], tables=[table]),
        lambda folder: None,
        error="AccessDenied",
        reason="access-denied",
        about="locations in a table beside the document are checked before they are used",
    )


def cast_of_what_does_not_fit(case: Case) -> None:
    """A cast meets a value that its target has not."""
    values = np.array([0, 1, 255, 256], "int16")
    _finish(
        case,
        case.zarr("a.zarr", values, (2,), fill_value=0).astype("uint8", rounding="nearest-even"),
        lambda folder: None,
        error="ChunkDecodeError",
        reason="chunk-decode",
        about="256 as uint8, and no rule for what is out of range",
        readable=[(0, 2)],
        values=values[:2].astype("uint8"),
    )


def unpack_of_what_is_no_integer(case: Case) -> None:
    """Floating point unpacked to integers: truncated, where there is an integer."""
    values = np.array([127.9, -128.9, np.nan, 0, 128, 0, 0, -np.inf], "float32")
    types = {"stored_type": "float32", "data_type": "int8", "arithmetic": "int8"}
    view = case.node(
        Decode(0, (NamedConfig("lazyzarr.unpack", types),), "int8", 0),
        [case.zarr("a.zarr", values, (2,), fill_value=0)],
    )
    _finish(
        case,
        view,
        lambda folder: None,
        error="ChunkDecodeError",
        reason="chunk-decode",
        about="NaN, infinity and 128 as int8",
        readable=[(0, 2)],
        values=np.array([127, -128], "int8"),
    )


CASES = (
    *(object_gone, whole_object_gone, object_cut_short, object_of_another_size, metadata_changed),
    *(chunk_of_another_length, chunk_of_more_cells, chunk_of_many_zeros, chunk_of_half_a_stream),
    *(chunk_that_is_no_gzip, checksum, checksum_in_a_bzip2_stream, checksum_in_a_zlib_stream, text_that_is_no_utf_8),
    *(variable_cells_fewer, variable_cells_more, variable_cells_cut_short, variable_cells_and_more),
    *(table_chunk_gone, table_index_outside, tiles_table_outside_the_policy, boxes_table_overlap),
    *(
        tiles_table_not_sorted,
        tiles_table_of_no_text,
        tiles_table_shard_without_rows,
        boxes_table_not_sorted,
        row_values_table_of_no_number,
    ),
    *(cast_of_what_does_not_fit, unpack_of_what_is_no_integer),
)
