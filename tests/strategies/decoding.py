"""Value-wise decodes as the strategies draw them, and the JSON of the fill values they need."""

from __future__ import annotations

from lazyzarr.codecs.values import decode_values
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import DataType, from_numpy
from lazyzarr.ir.layout import Json, NamedConfig
from lazyzarr.ir.nodes import Decode
from tests.strategies.cells import DTYPES, FILLS


def fill_json(dtype: str) -> list[Json]:
    """JSON of the fill values that a type is drawn with."""
    return [fill.to_json(value, from_numpy(DTYPES[dtype])) for value in FILLS[dtype]]


def unpack(
    stored: str, dtype: str, scale_factor: float | None, add_offset: float | None, fill_values: list[int]
) -> NamedConfig:
    """The codec of CF packing, with the fill values that the stored type has."""
    low, high = {"int16": (-(2**15), 2**15 - 1), "uint8": (0, 255)}[stored]
    return NamedConfig(
        "lazyzarr.unpack",
        {
            "scale_factor": scale_factor,
            "add_offset": add_offset,
            "fill_values": [value for value in fill_values if low <= value <= high],
            "stored_type": stored,
            "data_type": dtype,
            "arithmetic": dtype,
        },
    )


def decode(child: int, codec: NamedConfig, stored: DataType, data_type: DataType, below: Json) -> Decode:
    """A decode node over a child of a stored type whose fill value is ``below``."""
    return Decode(child, (codec,), data_type, decoded(below, codec, stored, data_type))


def decoded(value: Json, codec: NamedConfig, stored: DataType, data_type: DataType) -> Json:
    """What a fill value decodes to."""
    cell = decode_values(fill.full((1,), value, stored), (codec,), data_type)
    return fill.to_json(cell[0], data_type)
