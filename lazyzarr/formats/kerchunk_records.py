"""Files of references of kerchunk Parquet, so many chunks each.

Owns the columns ``path``, ``offset``, ``size`` and ``raw``, and that files without a reference are left out. A whole
object is offset and size 0, as its readers have it; bytes that begin like base64 text are written as such, since readers
decode what begins so. Needs the extra ``kerchunk``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from lazyzarr.lower.aligned import INLINE, MISSING, RANGE, AlignedManifest

_TEXT = b"base64:"


def records(
    flat: AlignedManifest, texts: list[str], number: np.ndarray, record_size: int
) -> Iterator[tuple[int, bytes]]:
    """Number and content of each file.

    Parameters
    ----------
    texts
        Distinct locations.
    number
        int64 (n,): position of the location of each chunk in ``texts``.
    """
    for record in range(-(-len(flat) // record_size)):
        first = record * record_size
        rows = slice(first, min(first + record_size, len(flat)))
        state = flat.state[rows]
        if (state == MISSING).all():
            continue
        yield record, _record(flat, first, state, number[rows], texts, record_size)


def _record(
    flat: AlignedManifest, first: int, state: np.ndarray, number: np.ndarray, texts: list[str], size: int
) -> bytes:
    rows = slice(first, first + len(state))
    held = np.flatnonzero(state == INLINE).tolist()
    offset, length = np.zeros((2, size), np.int64)
    part = np.flatnonzero(state == RANGE)
    offset[part], length[part] = flat.offset[rows][part], flat.length[rows][part]
    raw: list[bytes | None] = [None] * size
    for row in held:
        raw[row] = _guarded(flat.inline(first + row))
    for row in part[(offset[part] == 0) & (length[part] == 0)].tolist():
        raw[row] = b""  # no bytes from the start on: as a reference it would be the whole object
    used, code = np.unique(number[number >= 0], return_inverse=True)
    codes = np.zeros(size, np.int32)
    absent = np.ones(size, bool)
    codes[: len(number)][number >= 0] = code
    absent[: len(number)] = number < 0
    names = pa.array([texts[k] for k in used.tolist()], pa.string())
    path = pa.DictionaryArray.from_arrays(pa.array(codes, mask=absent), names)
    if len(used) > size // 4:
        path = path.cast(pa.string())
    fields = [
        pa.field("path", path.type),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("raw", pa.binary()),
    ]
    table = pa.Table.from_arrays(
        [path, pa.array(offset), pa.array(length), pa.array(raw, pa.binary())], schema=pa.schema(fields)
    )
    sink = pa.BufferOutputStream()
    # without the statistics, which count the nulls, fastparquet makes floats of whole numbers
    columns: Any = ["offset", "size"]  # the annotation knows of all or none
    parquet.write_table(table, sink, compression="zstd", write_statistics=columns)
    return sink.getvalue().to_pybytes()


def _guarded(data: bytes) -> bytes:
    return _TEXT + base64.b64encode(data) if data.startswith(_TEXT) else data
