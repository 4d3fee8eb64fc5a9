"""The plainest reader of a flat manifest: fetch each chunk, decode it by the chain, put it on the grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lazyzarr.access.url import to_path
from lazyzarr.codecs.chain import compile_chain
from lazyzarr.ir import fill
from lazyzarr.lower.aligned import INLINE, MISSING, OBJECT, AlignedManifest


def stored_bytes(manifest: AlignedManifest, row: int) -> bytes | None:
    """What a plain reader fetches for a chunk of local files; None where there is nothing."""
    state = int(manifest.state[row])
    if state == MISSING:
        return None
    if state == INLINE:
        return manifest.inline(row)
    path = Path(to_path(manifest.urls(slice(row, row + 1))[0]))
    if state == OBJECT:
        return path.read_bytes() if path.exists() else None
    offset, length = int(manifest.offset[row]), int(manifest.length[row])
    data = path.read_bytes()[offset : offset + length]
    assert len(data) == length
    return data


def read_flat(manifest: AlignedManifest) -> np.ndarray:
    """All cells of a manifest."""
    out = fill.full(manifest.shape, manifest.fill_value, manifest.data_type)
    for row in range(len(manifest)):
        data = stored_bytes(manifest, row)
        if data is None:
            continue
        box = tuple(slice(span.start, span.start + span.count) for span in manifest.chunk_box(row))
        cells = compile_chain(manifest.layout(row)).decode(data)
        out[box] = cells[tuple(slice(part.stop - part.start) for part in box)]
    return out
