"""The arithmetic of `scale_offset`, as the Zarr registry defines it.

Owns ``x / scale + offset`` in the type of the chunk: floating point as it comes, integers only where the quotient is
whole and the result in range. It is not the arithmetic of the CF conventions, which multiply; that is in `values.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lazyzarr.codecs.operands import number, only
from lazyzarr.codecs.stages import Array, ArrayStage, Cells, Configuration, invalid
from lazyzarr.errors import ChunkDecodeError


def scale_offset(configuration: Configuration, cells: Cells) -> ArrayStage:
    """The `scale_offset` codec of the registry: decodes as ``x / scale + offset`` in the type of the chunk."""
    only("scale_offset", configuration, "scale", "offset")
    dtype = cells.dtype
    if dtype.kind not in "iuf":
        raise invalid("scale_offset", f"the chunk is {dtype}; only integers and floating point can be scaled")
    offset = number("scale_offset", "offset", configuration.get("offset", 0), dtype, texts=True)
    scale = number("scale_offset", "scale", configuration.get("scale", 1), dtype, texts=True)
    if scale == 0:
        raise invalid("scale_offset", "scale is 0; nothing can be divided by it")
    if dtype.kind == "f":
        return ArrayStage(
            lambda array: _divide(array, scale, offset),
            lambda array: np.asarray((array - offset) * scale),
            cells,
            cellwise=True,
        )
    return ArrayStage(
        lambda array: _scale_integers(array, int(scale), int(offset)),
        lambda array: _in_range((array.astype(object) - int(offset)) * int(scale), dtype),
        cells,
        cellwise=True,
    )


def _divide(array: Array, scale: np.generic, offset: np.generic) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(array / scale + offset)


def _scale_integers(array: Array, scale: int, offset: int) -> Array:
    dtype, bounds = array.dtype, np.iinfo(array.dtype)
    if (array % dtype.type(scale)).any():
        raise ChunkDecodeError(
            f"scale_offset: a cell is not a multiple of the scale {scale}; the quotient is no {dtype}; "
            "the chunk was not written with this codec"
        )
    ends = sorted((int(bounds.min) // scale + offset, int(bounds.max) // scale + offset))
    if bounds.min <= ends[0] and ends[1] <= bounds.max:
        return np.asarray(array // dtype.type(scale) + dtype.type(offset))
    return _in_range(array.astype(object) // scale + offset, dtype)


def _in_range(values: Array, dtype: np.dtype[Any]) -> Array:
    values = np.asarray(values, object)
    bounds = np.iinfo(dtype)
    if values.size and not (bounds.min <= values.min() and values.max() <= bounds.max):
        raise ChunkDecodeError(f"scale_offset: a result is out of range of {dtype}; the chunk and the codec disagree")
    return values.astype(dtype)
