"""NetCDF-3 files: classic, 64-bit offset and 64-bit data (CDF-1, CDF-2, CDF-5).

Owns the header, the interleaving of records, and where the chunks of each variable are. What is derived from the
header is compared with the header and with the length of the file. Data are big-endian and never compressed, so a
chunk is a byte range. Refuses, one variable at a time, what the format does not allow; decodes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lazyzarr.access.session import Session
from lazyzarr.access.url import shown
from lazyzarr.errors import LazyZarrError, ViewLimitError
from lazyzarr.formats.contiguous import contiguous
from lazyzarr.formats.packing import Packing, packing_of
from lazyzarr.formats.prefix import Prefix
from lazyzarr.formats.referenced import Referenced, ReferencedGroup, Unreadable, json_values, text, unsupported
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import from_numpy, to_numpy
from lazyzarr.ir.layout import Json, Layout, NamedConfig, Stamp

MAGIC = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
_TYPES = {
    1: "i1", 2: "S1", 3: ">i2", 4: ">i4", 5: ">f4", 6: ">f8",
    7: "u1", 8: ">u2", 9: ">u4", 10: ">i8", 11: ">u8",
}  # fmt: skip
_ONLY_CDF5 = 7
_CHAR = 2
_DIMENSIONS, _VARIABLES, _ATTRIBUTES = 10, 11, 12
_MOST_CHUNKS = 50_000_000


@dataclass(frozen=True)
class Variable:
    """One entry of the header."""

    name: str
    dtype: np.dtype[Any]
    dimensions: tuple[int, ...]
    attributes: dict[str, Any]
    begin: int
    """Where its data, or its part of the first record, begin [bytes]."""


@dataclass
class Header:
    """What a header says."""

    version: int
    records: int | None
    """Length of the record dimension; None where the writer left it open."""
    dimensions: list[tuple[str, int]] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    variables: list[Variable] = field(default_factory=list)
    end: int = 0
    """Length of the header [bytes]."""

    def is_record(self, variable: Variable) -> bool:
        """Whether its first dimension is the record dimension."""
        return bool(variable.dimensions) and self.dimensions[variable.dimensions[0]][1] == 0

    def record_shape(self, variable: Variable) -> tuple[int, ...]:
        """Lengths of the dimensions, without the record dimension."""
        first = int(self.is_record(variable))
        return tuple(self.dimensions[number][1] for number in variable.dimensions[first:])

    def record_bytes(self, variable: Variable) -> int:
        """Bytes of one record, or of all of a variable of fixed size; without padding."""
        return math.prod(self.record_shape(variable)) * variable.dtype.itemsize

    @property
    def stride(self) -> int:
        """From one record to the next [bytes].

        The parts of a record are padded to 4 bytes, except where there is one record variable only. Derived from the
        shapes: the field of the header is too narrow for large variables.
        """
        sizes = [self.record_bytes(one) for one in self.variables if self.is_record(one)]
        return sizes[0] if len(sizes) == 1 else sum(-(-size // 4) * 4 for size in sizes)


class _Reader:
    """Fields of a header in order."""

    def __init__(self, prefix: Prefix) -> None:
        self.prefix = prefix
        self.at = 4
        self.version = 0

    def take(self, length: int) -> bytes:
        found = bytes(self.prefix.bytes(self.at, length))
        self.at += length
        return found

    def integer(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def size(self) -> int:
        return self.integer(8 if self.version == 5 else 4)

    def count(self, least: int) -> int:
        """How many entries follow, each of at least so many bytes."""
        found = self.size()
        if found * least > self.prefix.size - self.at:
            raise self.prefix.malformed(f"byte {self.at} of its header declares {found} entries, more than fit")
        return found

    def padded(self, length: int) -> bytes:
        found = self.take(length)
        self.take(-length % 4)
        return found

    def name(self) -> str:
        return text(self.padded(self.count(1)))

    def listed(self, tag: int, least: int) -> int:
        found = self.integer(4)
        count = self.count(least)
        if found not in (tag, 0) or (found == 0 and count):
            raise self.prefix.malformed(f"byte {self.at} of its header has tag {found} where a list begins")
        return count

    def type(self) -> int:
        found = self.integer(4)
        if found not in _TYPES or (found >= _ONLY_CDF5 and self.version != 5):
            raise self.prefix.malformed(f"type {found} is none of version {self.version} of the format")
        return found

    def attributes(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in range(self.listed(_ATTRIBUTES, 12)):
            name = self.name()
            kind = self.type()
            dtype = np.dtype(_TYPES[kind])
            count = self.count(dtype.itemsize)
            raw = self.padded(count * dtype.itemsize)
            if kind == _CHAR:
                found[name] = text(raw.rstrip(b"\x00"))
            else:
                values = np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="))
                found[name] = values[0] if count == 1 else values
        return found


def read_header(prefix: Prefix) -> Header:
    """The header of a file.

    Raises
    ------
    SourceProtocolError
        ``source-format``: the file breaks the format.
    """
    reader = _Reader(prefix)
    reader.version = prefix.bytes(0, 4)[3]
    records = reader.size()
    streaming = records == (1 << (64 if reader.version == 5 else 32)) - 1
    header = Header(reader.version, None if streaming else records)
    for _ in range(reader.listed(_DIMENSIONS, 8)):
        header.dimensions.append((reader.name(), reader.size()))
    if [length for _, length in header.dimensions].count(0) > 1:
        raise prefix.malformed("it has two record dimensions")
    header.attributes = reader.attributes()
    for _ in range(reader.listed(_VARIABLES, 24)):
        name = reader.name()
        dimensions = tuple(reader.size() for _ in range(reader.count(4)))
        if any(number >= len(header.dimensions) for number in dimensions):
            raise prefix.malformed(f"variable {name!r} has a dimension that is not there")
        attributes = reader.attributes()
        dtype = np.dtype(_TYPES[reader.type()])
        reader.size()  # derived instead, see `Header.stride`
        begin = reader.integer(4 if reader.version == 1 else 8)
        header.variables.append(Variable(name, dtype, dimensions, attributes, begin))
    header.end = reader.at
    return header


def import_netcdf3(session: Session, url: str, *, packing: Packing = "auto") -> ReferencedGroup:
    """Describe every variable of a file.

    Raises
    ------
    SourceProtocolError
        ``source-format``: the file breaks the format.
    SourceChanged
        It was written to while it was read.
    """
    prefix = Prefix(session, url, "NetCDF-3")
    header = read_header(prefix)
    prefix.finish()
    if header.records is None:
        begins = [one.begin for one in header.variables if header.is_record(one)]
        header.records = max(prefix.size - min(begins), 0) // header.stride if begins and header.stride else 0
    members: dict[str, Referenced | Unreadable | ReferencedGroup] = {}
    for one in header.variables:
        try:
            members[one.name] = _described(header, one, prefix, url, packing)
        except LazyZarrError as error:
            members[one.name] = Unreadable(
                one.name, error.reason, f"variable {one.name!r} of {shown(url)}: {error.args[0]}"
            )
    return ReferencedGroup("/", json_values(header.attributes), members)


def _described(header: Header, one: Variable, prefix: Prefix, url: str, packing: Packing) -> Referenced:
    if any(header.dimensions[number][1] == 0 for number in one.dimensions[1:]):
        raise unsupported(
            "NetCDF-3", "the record dimension is not its first", "the format does not allow it; write the file anew"
        )
    if one.begin < header.end:
        raise prefix.malformed(f"its data begin at byte {one.begin}, inside the header of {header.end} bytes")
    records = header.records or 0
    inner = header.record_shape(one)
    if header.is_record(one):
        shape = (records, *inner)
        chunk, columns = _records(header, one, records, inner)
    else:
        shape = inner
        chunk, columns = contiguous(one.begin, shape, one.dtype.itemsize)
    data_type = from_numpy(one.dtype.newbyteorder("="))
    decode, kept = packing_of(one.attributes, to_numpy(data_type), packing)
    codec = NamedConfig("bytes") if one.dtype.itemsize == 1 else NamedConfig("bytes", {"endian": "big"})
    layout = Layout(data_type, stored_fill(one.attributes, one.dtype), chunk, (codec,))
    names = tuple(header.dimensions[number][0] for number in one.dimensions)
    return Referenced(
        one.name,
        shape,
        layout,
        columns,
        (url,),
        (stamped(prefix),),
        attributes=json_values(kept),
        dimension_names=names if len(set(names)) == len(names) else None,
        decode=decode,
        packed=None if len(kept) == len(one.attributes) else json_values(one.attributes),
    )


def _records(
    header: Header, one: Variable, records: int, inner: tuple[int, ...]
) -> tuple[tuple[int, ...], dict[str, np.ndarray]]:
    """Chunk shape and columns of a record variable: one chunk for each record, unless they are one after the other."""
    length = header.record_bytes(one)
    if header.stride == length:
        return contiguous(one.begin, (records, *inner), one.dtype.itemsize)
    if records > _MOST_CHUNKS:
        raise ViewLimitError("chunks", records, _MOST_CHUNKS, remedy="copy the data into larger chunks")
    chunk = (1, *(max(1, n) for n in inner))
    count = records if length else 0
    offsets = np.uint64(one.begin) + np.arange(count, dtype=np.uint64) * np.uint64(header.stride)
    return chunk, {"offset": offsets, "length": np.full(count, length, np.uint64)}


def stored_fill(attributes: dict[str, Any], dtype: np.dtype[Any]) -> Json:
    """``_FillValue`` where it is a value of the type, and zero otherwise; no chunk is missing."""
    data_type = from_numpy(dtype.newbyteorder("="))
    value = attributes.get("_FillValue")
    if dtype.kind in "iuf" and isinstance(value, np.generic) and value.dtype == dtype.newbyteorder("="):
        return fill.to_json(value, data_type)
    return fill.zero(data_type)


def stamped(prefix: Prefix) -> Stamp:
    """What the file was when it was parsed."""
    return prefix.stamp
