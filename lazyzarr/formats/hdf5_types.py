"""From HDF5 datatypes to Zarr v3 data types.

Owns the table of HDF5 type classes: which Zarr data type each becomes, what has to be done to its stored
bytes first, and the NumPy type in which h5py hands over its values. Refuses, by name, what has no fixed-size
cell or no NumPy type: references, sequences of varying length, 128-bit and custom floats, times.
"""

# h5py's low-level modules are compiled and have no stubs
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from h5py import h5t

from lazyzarr.errors import UnsupportedFeature
from lazyzarr.ir.data_type import DataType, from_numpy, msgspec_form
from lazyzarr.ir.layout import NamedConfig

_FLOATS = {
    2: (h5t.IEEE_F16LE, h5t.IEEE_F16BE),
    4: (h5t.IEEE_F32LE, h5t.IEEE_F32BE),
    8: (h5t.IEEE_F64LE, h5t.IEEE_F64BE),
}
_NUMPY_TIME = re.compile(rb"NUMPY:([<>=|])([Mm]8\[[^\]]+\])")
_CLASSES = {
    h5t.TIME: "time", h5t.REFERENCE: "reference", h5t.VLEN: "variable-length sequence", h5t.ARRAY: "array",
    h5t.STRING: "string", h5t.OPAQUE: "opaque", h5t.COMPOUND: "compound", h5t.FLOAT: "float", h5t.INTEGER: "integer",
}  # fmt: skip


@dataclass(frozen=True)
class CellType:
    """How one cell is stored and what it decodes to."""

    data_type: DataType
    memory: np.dtype
    """Type of the decoded cell, native byte order."""
    nbytes: int
    """Size of the stored cell; array types count all their elements [bytes]."""
    endian: str | None = None
    inner_shape: tuple[int, ...] = ()
    """Axes that an array type adds to the shape."""
    fixups: tuple[NamedConfig, ...] = ()
    """Codecs between ``bytes`` and the filters, in encoding order."""
    heap: bool = False
    """The cells are pointers into a heap and have no byte ranges of their own."""

    @property
    def element_nbytes(self) -> int:
        """Size of one stored element; smaller than `nbytes` for array types [bytes]."""
        return self.nbytes // math.prod(self.inner_shape)


@lru_cache(maxsize=1024)
def cell_type(encoding: bytes) -> CellType:
    """The cell type of an encoded HDF5 datatype (``TypeID.encode()``).

    Files repeat few types, so decoding each once is cheaper than asking libhdf5 for the parts again.

    Raises
    ------
    UnsupportedFeature
        ``source-unsupported`` naming the type class.
    """
    return _cell_type(h5t.decode(encoding))


def _cell_type(tid: h5t.TypeID) -> CellType:
    kind = tid.get_class()
    if kind == h5t.INTEGER:
        big = tid.get_order() == h5t.ORDER_BE
        return _integer(tid, tid.get_precision(), tid.get_offset(), big=big, signed=tid.get_sign() == h5t.SGN_2)
    if kind == h5t.BITFIELD:
        # h5py offers no accessors: byte order and bits are at fixed places of the encoded type
        raw = tid.encode()
        shift, precision = struct.unpack_from("<HH", raw, 10)
        return _integer(tid, precision, shift, big=bool(raw[3] & 1), signed=False)
    if kind == h5t.FLOAT:
        return _float(tid)
    if kind == h5t.STRING:
        return _STRING if tid.is_variable_str() else _fixed_string(tid)
    if kind == h5t.ENUM:
        return _enum(tid)
    if kind == h5t.OPAQUE:
        return _opaque(tid)
    if kind == h5t.COMPOUND:
        return _compound(tid)
    if kind == h5t.ARRAY:
        return _array(tid)
    if kind == getattr(h5t, "COMPLEX", None):
        return _complex(_cell_type(tid.get_super()), tid)
    raise _refused(tid)


_STRING = CellType("string", np.dtypes.StringDType(), 16, heap=True)


def _integer(tid: h5t.TypeID, precision: int, shift: int, *, big: bool, signed: bool) -> CellType:
    size = tid.get_size()
    if size not in (1, 2, 4, 8):
        raise _refused(tid)
    dtype = np.dtype(f"{'i' if signed else 'u'}{size}")
    endian = None if size == 1 else "big" if big else "little"
    fixups = ()
    if precision != 8 * size or shift:
        config = {"elementsize": size, "precision": precision, "offset": shift, "signed": signed}
        fixups = (NamedConfig("lazyzarr.hdf5_precision", {**config, "endian": endian or "little"}),)
    return CellType(dtype.name, dtype, size, endian, fixups=fixups)


def _float(tid: h5t.TypeID) -> CellType:
    size = tid.get_size()
    for standard, endian in zip(_FLOATS.get(size, ()), ("little", "big"), strict=False):
        if tid.equal(standard):
            dtype = np.dtype(f"f{size}")
            return CellType(dtype.name, dtype, size, endian)
    raise _refused(tid)


def _fixed_string(tid: h5t.TypeID) -> CellType:
    size, pad = tid.get_size(), tid.get_strpad()
    dtype = np.dtype(f"S{size}")
    fixups = ()
    if pad == h5t.STR_SPACEPAD or (pad == h5t.STR_NULLTERM and size > 1):
        kind = "space" if pad == h5t.STR_SPACEPAD else "null"
        fixups = (NamedConfig("lazyzarr.hdf5_string", {"elementsize": size, "end": kind}),)
    return CellType(from_numpy(dtype), dtype, size, fixups=fixups)


def _enum(tid: h5t.TypeID) -> CellType:
    base = _cell_type(tid.get_super())
    names = {tid.get_member_name(i): tid.get_member_value(i) for i in range(tid.get_nmembers())}
    if base.nbytes == 1 and names == {b"FALSE": 0, b"TRUE": 1}:
        return CellType("bool", np.dtype(bool), 1)
    return base


def _opaque(tid: h5t.TypeID) -> CellType:
    size = tid.get_size()
    time = _NUMPY_TIME.fullmatch(tid.get_tag())
    if time is not None:
        dtype = np.dtype(time[2].decode())
        return CellType(from_numpy(dtype), dtype, size, "big" if time[1] == b">" else "little")
    dtype = np.dtype(f"V{size}")
    return CellType(from_numpy(dtype), dtype, size)


def _compound(tid: h5t.TypeID) -> CellType:
    count = tid.get_nmembers()
    names = [tid.get_member_name(i).decode("utf-8", "replace") for i in range(count)]
    offsets = [tid.get_member_offset(i) for i in range(count)]
    cells = [_cell_type(tid.get_member_type(i)) for i in range(count)]
    size = tid.get_size()
    if any(cell.heap or cell.inner_shape or cell.fixups for cell in cells):
        raise UnsupportedFeature(
            "compound type has a member that is a variable-length or fixed text, an array, or an integer of partial"
            " precision; only members of plain fixed-size types are read; rewrite the variable as separate ones",
            reason="source-unsupported",
        )
    part = cells[0].nbytes
    halves = names == ["r", "i"] and cells[0] == cells[1] and offsets == [0, part] and size == 2 * part
    if halves and cells[0].memory.kind == "f" and part > 2:  # there is no complex type of 2-byte parts
        return _complex(cells[0], tid)
    fields = [
        {"name": name, "data_type": msgspec_form(cell.data_type)} for name, cell in zip(names, cells, strict=True)
    ]
    memory = np.dtype([(name, cell.memory) for name, cell in zip(names, cells, strict=True)])
    packed = offsets == np.cumsum([0, *(cell.nbytes for cell in cells)])[:-1].tolist() and size == memory.itemsize
    orders = {cell.endian for cell in cells} - {None}
    if packed and len(orders) <= 1:
        return CellType(NamedConfig("struct", {"fields": fields}), memory, size, next(iter(orders), None))
    return CellType(
        NamedConfig("struct", {"fields": fields}), memory, size, "little", fixups=(_repack(offsets, cells, size),)
    )


def _repack(offsets: list[int], cells: list[CellType], size: int) -> NamedConfig:
    """Members at any offset and of either byte order, made a packed little-endian cell."""
    parts: list[list[object]] = []
    for offset, cell in zip(offsets, cells, strict=True):
        if cell.memory.names is None:
            parts.append(
                [
                    offset,
                    cell.memory.str.replace("=", "<") if cell.endian != "big" else cell.memory.newbyteorder(">").str,
                ]
            )
            continue
        raise UnsupportedFeature(
            "compound type is nested and its members are padded or of mixed byte order; only packed nested types are"
            " read; rewrite the variable as separate ones",
            reason="source-unsupported",
        )
    return NamedConfig("lazyzarr.hdf5_compound", {"itemsize": size, "fields": parts})


def _complex(part: CellType, tid: h5t.TypeID) -> CellType:
    if part.memory.kind != "f" or part.nbytes not in (4, 8):
        raise _refused(tid)
    dtype = np.dtype(f"c{2 * part.nbytes}")
    return CellType(dtype.name, dtype, 2 * part.nbytes, part.endian)


def _array(tid: h5t.TypeID) -> CellType:
    cell = _cell_type(tid.get_super())
    if cell.heap:
        raise _refused(tid)
    shape = tuple(int(n) for n in tid.get_array_dims())
    return CellType(cell.data_type, cell.memory, tid.get_size(), cell.endian, shape + cell.inner_shape, cell.fixups)


def _refused(tid: h5t.TypeID) -> UnsupportedFeature:
    kind = _CLASSES.get(tid.get_class(), f"class {tid.get_class()}")
    return UnsupportedFeature(
        f"HDF5 type is {kind} of {tid.get_size()} bytes; that has no Zarr data type here; convert the variable in the file",
        reason="source-unsupported",
    )
