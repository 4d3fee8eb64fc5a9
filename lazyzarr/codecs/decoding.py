"""Value-wise decoding of arrays that are not chunks: constants, fill values, cells in tables.

Owns `decode_values`. Refuses codecs that move cells: those belong to the chunks they are written in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lazyzarr.codecs.registry import array_stage
from lazyzarr.codecs.stages import Cells
from lazyzarr.errors import ViewSchemaError
from lazyzarr.ir.data_type import DataType, to_numpy
from lazyzarr.ir.layout import NamedConfig


def decode_values(array: np.ndarray, codecs: Sequence[NamedConfig], data_type: DataType) -> np.ndarray:
    """Decode cell by cell: the last codec first, as a codec chain does.

    Raises
    ------
    ViewSchemaError
        ``codec-invalid``: a codec is not value-wise, or the array is not what the last one decodes.
    ChunkDecodeError
        A value is outside the target of a cast that does not say what to do with it.

    Examples
    --------
    >>> cast = NamedConfig("cast_value", {"data_type": "int8", "rounding": "nearest-even"})
    >>> decode_values(np.array([1, 2], "int8"), [cast], "float32")
    array([1., 2.], dtype=float32)
    """
    at = Cells(to_numpy(data_type), array.shape)
    stages = []
    for codec in codecs:
        stage = array_stage(codec, at)
        if not stage.cellwise:
            raise ViewSchemaError(f"codec {codec.name!r} does not decode cell by cell", reason="codec-invalid")
        stages.append(stage)
        at = stage.encoded
    if array.dtype != at.dtype:
        raise ViewSchemaError(
            f"cells of type {array.dtype} are decoded by codecs for {at.dtype}; the node and its input disagree",
            reason="codec-invalid",
        )
    for stage in reversed(stages):
        array = stage.decode(array)
    return array
