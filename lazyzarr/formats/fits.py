"""FITS files: images and cubes of every rank, integers and floating point, big-endian and never compressed.

Owns the cards of headers, where the data of each unit are, and what ``BSCALE``, ``BZERO`` and ``BLANK`` make of the
stored numbers (the values and types that astropy gives). Refuses tables, compressed images and random groups, one
unit at a time; decodes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from lazyzarr.access.session import Session
from lazyzarr.access.url import shown
from lazyzarr.errors import LazyZarrError
from lazyzarr.formats.contiguous import contiguous
from lazyzarr.formats.packing import Packing
from lazyzarr.formats.prefix import Prefix
from lazyzarr.formats.referenced import Member, Referenced, ReferencedGroup, Unreadable, unsupported
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import from_numpy
from lazyzarr.ir.layout import Json, Layout, NamedConfig

_BLOCK = 2880
_CARD = 80
_MOST_UNITS = 4096
_MOST_BLOCKS = 4096
_TYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_UNSIGNED = {(8, -128): "int8", (16, 1 << 15): "uint16", (32, 1 << 31): "uint32", (64, 1 << 63): "uint64"}
_SCALING = ("BSCALE", "BZERO", "BLANK")
_STRUCTURE = ("SIMPLE", "XTENSION", "BITPIX", "PCOUNT", "GCOUNT", "EXTEND", "END")
_AXES = ("z", "y", "x")

Cards = dict[str, Any]


class _Unit(NamedTuple):
    """A header and data."""

    cards: Cards
    shape: tuple[int, ...]
    data: int
    """Where they begin [bytes]."""


def import_fits(session: Session, url: str, *, packing: Packing = "auto") -> ReferencedGroup:
    """Describe every unit of a file that has data.

    Raises
    ------
    SourceProtocolError
        ``source-format``: the file breaks the format.
    SourceChanged
        It was written to while it was read.
    """
    prefix = Prefix(session, url, "FITS")
    units: dict[str, _Unit] = {}
    attributes: dict[str, Json] = {}
    at = 0
    number = 0
    while at < prefix.size and not _is_padding(prefix, at):
        if number >= _MOST_UNITS:
            raise prefix.malformed(f"it has more than {_MOST_UNITS} units")
        cards, data = _cards(prefix, at)
        name = str(cards.get("EXTNAME") or ("PRIMARY" if number == 0 else number))
        if name in units or "/" in name:
            name = f"{name.replace('/', '_')}_{number}"
        shape, nbytes = _extent(cards, prefix)
        if nbytes:
            units[name] = _Unit(cards, shape, data)
        elif number == 0:
            attributes = _attributes(cards)
        at = data + -(-nbytes // _BLOCK) * _BLOCK
        number += 1
    prefix.finish()

    def group(packing: Packing, stored: Callable[[], ReferencedGroup] | None = None) -> ReferencedGroup:
        members: dict[str, Member] = {
            name: _described(name, unit.cards, unit.shape, unit.data, prefix, url, packing)
            for name, unit in units.items()
        }
        return ReferencedGroup("/", attributes, members, stored)

    return group(packing, partial(group, "raw"))


def _is_padding(prefix: Prefix, at: int) -> bool:
    """Whether what follows the last unit is no unit: records of anything may."""
    start = bytes(prefix.at(at, min(8, prefix.size - at)))
    return at > 0 and start != b"XTENSION"


def _cards(prefix: Prefix, at: int) -> tuple[Cards, int]:
    """Keywords of a header, and where it ends."""
    found: Cards = {}
    longer = ""
    for _ in range(_MOST_BLOCKS):
        block = bytes(prefix.at(at, _BLOCK))
        at += _BLOCK
        for first in range(0, _BLOCK, _CARD):
            card = block[first : first + _CARD].decode("latin-1")
            keyword = card[:8].rstrip()
            if keyword == "END":
                return found, at
            if keyword == "CONTINUE" and longer and str(found[longer]).endswith("&"):
                found[longer] = str(found[longer])[:-1] + str(_value(card[8:], prefix) or "")
            elif card[8:10] == "= ":
                found[keyword] = _value(card[10:], prefix)
                longer = keyword if isinstance(found[keyword], str) else ""
    raise prefix.malformed(f"the header before byte {at} has no end")


def _value(text: str, prefix: Prefix) -> Any:
    text = text.strip()
    if text.startswith("'"):
        end = 1
        while end < len(text):
            if text[end] == "'":
                if text[end + 1 : end + 2] != "'":
                    break
                end += 1
            end += 1
        return text[1:end].replace("''", "'").rstrip()
    word = text.partition("/")[0].strip()
    if word in ("T", "F"):
        return word == "T"
    if not word:
        return None
    try:
        return int(word)
    except ValueError:
        pass
    try:
        return float(word.upper().replace("D", "E"))
    except ValueError:
        return word


def _extent(cards: Cards, prefix: Prefix) -> tuple[tuple[int, ...], int]:
    """Shape in C order, and bytes of the data."""
    rank = cards.get("NAXIS")
    bits = cards.get("BITPIX")
    if not isinstance(rank, int) or not 0 <= rank <= 999 or bits not in _TYPES:
        raise prefix.malformed(f"a header has NAXIS {rank!r} and BITPIX {bits!r}")
    lengths = [cards.get(f"NAXIS{axis}") for axis in range(rank, 0, -1)]
    groups, heap = cards.get("GCOUNT", 1), cards.get("PCOUNT", 0)
    if any(not isinstance(n, int) or n < 0 for n in (*lengths, groups, heap)):
        raise prefix.malformed(f"a header has lengths {lengths}, GCOUNT {groups!r}, PCOUNT {heap!r}")
    shape = tuple(int(n or 0) for n in lengths)
    if not rank:
        return (), 0
    cells = math.prod(shape[:-1] if cards.get("GROUPS") is True and shape[-1] == 0 else shape)
    return shape, abs(bits) // 8 * groups * (heap + cells)


def _described(
    name: str, cards: Cards, shape: tuple[int, ...], data: int, prefix: Prefix, url: str, packing: Packing
) -> Referenced | Unreadable:
    try:
        return _image(name, cards, shape, data, prefix, url, packing)
    except LazyZarrError as error:
        return Unreadable(name, error.reason, f"unit {name!r} of {shown(url)}: {error.args[0]}")


def _image(
    name: str, cards: Cards, shape: tuple[int, ...], data: int, prefix: Prefix, url: str, packing: Packing
) -> Referenced:
    kind = cards.get("XTENSION", "IMAGE")
    if cards.get("ZIMAGE") is True:
        raise unsupported("FITS", "the image is compressed", "decompress it with funpack")
    if kind != "IMAGE" or cards.get("GROUPS") is True:
        what = kind if kind != "IMAGE" else "random groups"
        raise unsupported("FITS", f"the unit is {what}, not an image", "copy its columns into arrays")
    stored = np.dtype(_TYPES[cards["BITPIX"]])
    chunk, columns = contiguous(data, shape, stored.itemsize)
    data_type = from_numpy(stored.newbyteorder("="))
    codec = NamedConfig("bytes") if stored.itemsize == 1 else NamedConfig("bytes", {"endian": "big"})
    decode, cast = (None, None) if packing == "raw" else _scaling(cards, stored)
    axes = _AXES[-len(shape) :] if len(shape) <= 3 else tuple(f"axis{number}" for number in range(len(shape)))
    return Referenced(
        name,
        shape,
        Layout(data_type, fill.zero(data_type), chunk, (codec,)),
        columns,
        (url,),
        (prefix.stamp,),
        attributes=_attributes(cards, without=() if decode is None else _SCALING),
        dimension_names=tuple(f"{name}_{axis}" for axis in axes),
        decode=decode,
        cast=cast,
    )


def _attributes(cards: Mapping[str, Any], without: tuple[str, ...] = ()) -> dict[str, Json]:
    return {
        key: value
        for key, value in cards.items()
        if key and value is not None and key not in _STRUCTURE and key not in without and not key.startswith("NAXIS")
    }


def _scaling(cards: Cards, stored: np.dtype[Any]) -> tuple[dict[str, Json] | None, str | None]:
    """What the scaling keywords ask for: configuration of ``lazyzarr.unpack``, and the type to cast its result to."""
    scale, zero = cards.get("BSCALE", 1), cards.get("BZERO", 0)
    blank = cards.get("BLANK") if stored.kind in "iu" else None
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in (scale, zero)):
        raise unsupported(
            "FITS", f"BSCALE is {scale!r} and BZERO {zero!r}", 'they are numbers; open with packing="raw"'
        )
    if scale == 1 and zero == 0 and blank is None:
        return None, None
    cast = _UNSIGNED.get((cards["BITPIX"], int(zero))) if scale == 1 and float(zero).is_integer() else None
    if cast == "uint64":
        raise unsupported(
            "FITS", "it holds unsigned integers of 64 bits as signed ones", 'open with packing="raw" and add 2**63'
        )
    if cast is not None:
        blank = None  # as astropy: integers that only change their sign keep every value
        target = np.dtype("f8")
    elif stored.kind == "f":
        target = stored.newbyteorder("=")
    else:
        target = np.dtype("f4" if stored.itemsize <= 2 else "f8")
    if blank is not None and not (isinstance(blank, int) and np.iinfo(stored).min <= blank <= np.iinfo(stored).max):
        raise unsupported("FITS", f"BLANK is {blank!r}, no value of {stored}", 'open with packing="raw"')
    name = str(from_numpy(target))
    configuration: dict[str, Json] = {
        "scale_factor": None if scale == 1 else fill.to_json(target.type(scale), name),
        "add_offset": None if zero == 0 else fill.to_json(target.type(zero), name),
        "fill_values": [] if blank is None else [blank],
        "stored_type": str(from_numpy(stored.newbyteorder("="))),
        "data_type": name,
        "arithmetic": name,
    }
    return configuration, cast
