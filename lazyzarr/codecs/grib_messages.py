"""GRIB messages, editions 1 and 2, of one field each: the codec ``gribberish``.

Owns the checks that come before the decoder, which is the library gribberish: the length of the message, the number
of points, and that they run along rows. Refuses messages of several fields, and grids whose scanning order the
decoder does not turn.
"""

# gribberish is compiled and has no stubs
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math
from collections.abc import Buffer, Mapping
from typing import Any

import gribberish
import numpy as np

from lazyzarr.errors import ChunkDecodeError

_SCANNING_2 = {0: 72, 1: 72, 10: 60, 20: 65, 30: 65, 40: 72, 41: 72}
"""Octet of the scanning mode in section 3, by the template of the grid."""
_SCANNING_1 = {0: 28, 1: 28, 3: 28, 4: 28, 5: 28, 10: 28, 13: 28}
"""The same in section 2 of edition 1, by the type of the grid."""
_COLUMNS = 0x20
"""Bit of the scanning mode: consecutive points are along columns."""


def decode(data: Buffer, configuration: Mapping[str, Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """The field of a message, or the latitudes or longitudes of its grid.

    Raises
    ------
    ChunkDecodeError
        The message is damaged, is of another size than the chunk, or is one that is refused.
    """
    raw = bytes(data)
    points = check(raw)
    if points != math.prod(shape):
        raise _refused(f"it has {points} points, the chunk {math.prod(shape)}")
    turned = bool(configuration.get("adjust_longitude_range")), bool(configuration.get("north_up"))
    try:
        if configuration.get("var") in ("latitude", "longitude"):
            both = gribberish.parse_grib_message_metadata(raw, 0).latlng(*turned)
            found = both[0 if configuration["var"] == "latitude" else 1]
        else:
            found = gribberish.parse_grib_array(raw, 0, *turned)
    except BaseException as error:
        # a panic of the library is no Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise _refused(f"gribberish says: {str(error).partition(chr(10))[0]}") from error
    cells = np.asarray(found)
    if cells.size != points:
        raise _refused(f"{cells.size} points came of {points}")
    return cells.reshape(shape).astype(dtype, copy=False)


def check(raw: bytes) -> int:
    """Points of the one field of a message that can be decoded.

    Raises
    ------
    ChunkDecodeError
        It cannot.

    Examples
    --------
    >>> grid = bytes(6) + (35).to_bytes(4) + bytes(62)
    >>> sections = (len(grid).to_bytes(4) + bytes([3]) + grid[5:]) + (5).to_bytes(4) + bytes([7])
    >>> check(b"GRIB" + bytes([0, 0, 0, 2]) + (16 + len(sections) + 4).to_bytes(8) + sections + b"7777")
    35
    """
    if raw[:4] != b"GRIB" or len(raw) < 16:
        raise _refused("it ends early" if raw[:4] == b"GRIB"[: len(raw)] else "it does not begin as one")
    if raw[7] == 2:
        return _second(raw)
    if raw[7] == 1:
        return _first(raw)
    raise _refused(f"its edition is {raw[7]}")


def _second(raw: bytes) -> int:
    if int.from_bytes(raw[8:16], "big") != len(raw):
        raise _refused(f"it says it has {int.from_bytes(raw[8:16], 'big')} bytes, and has {len(raw)}")
    at = 16
    points = -1
    fields = 0
    while raw[at : at + 4] != b"7777":
        length, number = int.from_bytes(raw[at : at + 4], "big"), raw[at + 4] if at + 4 < len(raw) else 0
        if length < 5 or at + length > len(raw):
            raise _refused(f"the section at byte {at} leads outside")
        section = raw[at : at + length]
        if number == 3:
            if length < 14:
                raise _refused("its grid is cut")
            points = int.from_bytes(section[6:10], "big")
            _by_rows(section, _SCANNING_2.get(int.from_bytes(section[12:14], "big")))
        fields += number == 7
        at += length
    if fields != 1 or points < 0:
        raise _refused(f"it has {fields} fields; one is read")
    return points


def _first(raw: bytes) -> int:
    if int.from_bytes(raw[4:7], "big") != len(raw):
        raise _refused(f"it says it has {int.from_bytes(raw[4:7], 'big')} bytes, and has {len(raw)}")
    product = int.from_bytes(raw[8:11], "big")
    if not raw[15] & 0x80 or 8 + product + 28 > len(raw):
        raise _refused("it has no grid of its own")
    grid = raw[8 + product :]
    section = grid[: int.from_bytes(grid[:3], "big")]
    if len(section) < 28:
        raise _refused("its grid is cut")
    _by_rows(section, _SCANNING_1.get(section[5]))
    return int.from_bytes(section[6:8], "big") * int.from_bytes(section[8:10], "big")


def _by_rows(section: bytes, octet: int | None) -> None:
    if octet is None or octet > len(section):
        raise _refused("the kind of its grid is not known here")
    if section[octet - 1] & _COLUMNS:
        raise _refused("its points run along columns")


def _refused(what: str) -> ChunkDecodeError:
    return ChunkDecodeError(f"GRIB message: {what}; it cannot be decoded; check the source, or convert it")
