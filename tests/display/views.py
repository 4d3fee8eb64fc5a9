"""Views of every kind for the tests of the display."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import zarr

import lazyzarr as lz
from lazyzarr.view import View


def stored(folder: Path, name: str, shape: tuple[int, ...], chunks: tuple[int, ...], value: int = 1) -> View:
    """A view of a new Zarr array."""
    array = zarr.create_array(str(folder / name), shape=shape, chunks=chunks, dtype="int16")
    array[...] = np.full(shape, value, "int16")
    return lz.open(folder / name)


def every_kind(folder: Path) -> dict[str, View]:
    """One view for each node kind and each rank, with names that must be escaped."""
    a = stored(folder, "a", (6, 40), (3, 20))
    b = stored(folder, "b", (6, 40), (2, 40), 2)
    evil = stored(folder, "<script>alert(1)<", (4, 8), (2, 4))
    return {
        "scalar": a[1, 2],
        "bar": lz.concat([a[0], b[1], a[2]]),
        "source": a,
        "constant": lz.full((3, 4), 7, dtype="int16"),
        "mosaic": lz.overlay((20, 90), [(a, (2, 3)), (b, (4, 30))], fill_value=-1, overlap="last"),
        "interleaved": lz.interleave([a, b], axis=0),
        "gathered": a.oindex[[3, 1, 5], :],
        "transposed": lz.concat([a, b], axis=1).T[::-2],
        "decoded": a.astype("float32"),
        "unpacked": a.unpack(scale_factor=0.5, add_offset=1.0, fill_values=[-1], dtype="float32"),
        "recoded": a.recode(fill_value=3),
        "broadcast": a[0].broadcast_to((5, 40)),
        "rank 4": lz.stack([lz.stack([a, b]), lz.stack([b, a])], axis=1),
        "many": lz.concat([a[k % 6 : k % 6 + 1] for k in range(200)]),
        "empty": a[0:0],
        "evil": evil.rename_dims(["<b>y", "x&"]).with_attrs({"<i>": "</td><script>x</script>", "esc": "\x1b[31m"}),
    }
