"""How small things read: shapes, types, sizes, cells, places.

Owns one spelling per kind of thing, so that a repr, a table and a page say the same. Text that came from a
document or a file name passes `printable` before it reaches a terminal. Refuses to lay anything out
(`lazyzarr.display.tables`) and to open anything.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from lazyzarr.access.url import shown
from lazyzarr.algebra.span import Span, slice_text
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import DataType, to_numpy
from lazyzarr.ir.layout import Layout, NamedConfig, StoredArray

MOST_NUMBERS = 8
"""Numbers of a list that are shown; the others are counted."""
MOST_LETTERS = 64


def printable(text: str, most: int = 0) -> str:
    """Text without control characters, which are spelled out; its middle left out beyond ``most`` letters.

    Examples
    --------
    >>> printable("a\\x1b[31mb"), printable("abcdefghijklmnop", 9)
    ('a\\\\x1b[31mb', 'abcd…mnop')
    """
    clean = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if most and len(clean) > most:
        clean = clean[: (most - 1) // 2] + "…" + clean[len(clean) - most // 2 :]
    return clean


def shape(lengths: Sequence[int], dims: Sequence[str | None] | None = None) -> str:
    """A shape as Python writes it, or with the names of the dimensions.

    Examples
    --------
    >>> shape((2,)), shape((2, 3), ("time", None))
    ('(2,)', '(time: 2, 3)')
    """
    if dims is None or not any(dims):
        return str(tuple(lengths))
    parts = (f"{printable(name, 24)}: {n}" if name else str(n) for n, name in zip(lengths, dims, strict=True))
    return f"({', '.join(parts)})"


def data_type(given: DataType) -> str:
    """A data type as NumPy names it.

    Examples
    --------
    >>> data_type("float32"), data_type("string")
    ('float32', 'string')
    """
    return given if isinstance(given, str) else str(to_numpy(given))


def size(nbytes: int) -> str:
    """Bytes in decimal units.

    Examples
    --------
    >>> size(999), size(427_680), size(3_000_000_000)
    ('999 B', '427.7 kB', '3.0 GB')
    """
    if nbytes < 1000:
        return f"{nbytes} B"
    amount = float(nbytes)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        amount /= 1000
        if amount < 999.95:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1000:.1f} EB"


def many(count: int, noun: str) -> str:
    """A count with its noun.

    Examples
    --------
    >>> many(1, "source"), many(12_000, "source"), many(2, "box")
    ('1 source', '12,000 sources', '2 boxes')
    """
    plural = f"{noun}es" if noun.endswith(("x", "s")) else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def key(part: Span | int, length: int) -> str:
    """One axis of an index node, as short as a person would write it.

    Examples
    --------
    >>> key(Span(0, 1, 4), 4), key(Span(3, -1, 4), 4), key(Span(1, 1, 2), 4), key(3, 4)
    (':', '::-1', '1:3', '3')
    """
    if isinstance(part, int):
        return str(part)
    if part.count == length > 0:
        return ":" if part.step == 1 else "::-1"
    return slice_text(part.start, part.step, part.count)


def numbers(values: Sequence[int] | np.ndarray) -> str:
    """Numbers one after the other; an unbroken rise as a range; long lists cut short.

    Examples
    --------
    >>> numbers([3, 1]), numbers(range(1000)), numbers([5] * 20)
    ('3 1', '0..999', '5 5 5 5 5 5 5 5 (20)')
    """
    count = len(values)
    if count <= 2:
        return " ".join(str(int(v)) for v in values)
    first, last = int(values[0]), int(values[-1])
    if last - first == count - 1 and all(int(values[k]) == first + k for k in _probes(count)):
        rising = isinstance(values, range) or all(int(v) == first + k for k, v in enumerate(values))
        if rising:
            return f"{first}..{last}"
    text = " ".join(str(int(v)) for v in values[:MOST_NUMBERS])
    return text if count <= MOST_NUMBERS else f"{text} ({count:,})"


def _probes(count: int) -> tuple[int, int]:
    return 1, count // 2


def value(given: Any, of: DataType | None = None) -> str:
    """A value in the JSON form of Zarr metadata, short; floats with the digits that tell them apart in their type.

    Examples
    --------
    >>> value("NaN"), value([1, 2]), value(1.0000000200408773e20, "float32")
    ('NaN', '[1, 2]', '1e+20')
    >>> value(86400, NamedConfig("numpy.datetime64", {"unit": "s", "scale_factor": 1}))
    '1970-01-02T00:00:00'
    """
    if isinstance(of, NamedConfig) and to_numpy(of).kind in "mM":
        return str(fill.from_json(given, of))
    if isinstance(given, float) and isinstance(of, str) and of.startswith("float"):
        return str(np.dtype(of).type(given))
    return printable(given if isinstance(given, str) else json.dumps(given), MOST_LETTERS)


def place(array: StoredArray) -> str:
    """The short name of a stored array: the end of its location."""
    if array.location is None:
        return "(in memory)" if array.origins is None else "(as its table says)"
    return printable("/".join(shown(array.location).rstrip("/").split("/")[-2:]), MOST_LETTERS)


def location(url: str) -> str:
    """A location in full, without its query string."""
    return printable(shown(url))


def codecs(chain: Sequence[NamedConfig]) -> str:
    """Codec chain in encoding order, by the names of its codecs, and whether cells are big-endian.

    Examples
    --------
    >>> codecs([NamedConfig("lazyzarr.unpack"), NamedConfig("bytes", {"endian": "big"}), NamedConfig("gzip")])
    'unpack bytes(big) gzip'
    """
    return " ".join(map(_codec, chain))


def _codec(codec: NamedConfig) -> str:
    name = printable(codec.name.removeprefix("lazyzarr.").removeprefix("numcodecs."), 24)
    return f"{name}(big)" if codec.configuration.get("endian") == "big" else name


def layout(given: Layout) -> str:
    """Chunk shape and codec chain."""
    return f"chunks {tuple(given.chunk_shape)}  {codecs(given.codecs)}"


def decoding(chain: Sequence[NamedConfig]) -> str:
    """Value-wise codecs with the numbers that decide the values.

    Examples
    --------
    >>> decoding([NamedConfig("cast_value", {"data_type": "int16", "rounding": "nearest-even"})])
    'cast from int16'
    """
    return "; ".join(_decoding(codec) for codec in chain)


def _decoding(codec: NamedConfig) -> str:
    conf = codec.configuration
    if codec.name == "cast_value":
        text = f"cast from {_type(conf.get('data_type'))}"
        if conf.get("rounding", "nearest-even") != "nearest-even":
            text += f" rounding {value(conf['rounding'])}"
        return text + (f" out of range {value(conf['out_of_range'])}" if conf.get("out_of_range") else "")
    if codec.name == "lazyzarr.unpack":
        parts = [f"unpack {_type(conf.get('stored_type'))}"]
        if conf.get("fill_values"):
            parts.append("NaN where " + " or ".join(value(v, conf.get("stored_type")) for v in conf["fill_values"]))
        for name, sign in (("scale_factor", "times"), ("add_offset", "plus")):
            if conf.get(name) is not None:
                parts.append(f"{sign} {value(conf[name], conf.get('arithmetic'))}")
        return ", ".join(parts)
    return printable(f"{codec.name} {value(conf)}".strip(), MOST_LETTERS)


def _type(given: Any) -> str:
    return printable(given if isinstance(given, str) else value(given), 32)
