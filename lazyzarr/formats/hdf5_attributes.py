"""HDF5 attributes as plain Python values.

Owns reading attributes, from the bytes of object headers where they are plain and through libhdf5 otherwise, and their
JSON form. Numbers keep their NumPy type until the packing
has been worked out, since the type of ``scale_factor`` decides the type of the result; `plain` drops it.
Refuses attributes of types that have no JSON form, by name.
"""

# h5py's low-level modules are compiled and have no stubs
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from h5py import h5a, h5r, h5t

from lazyzarr.formats.hdf5_headers import Message, parse
from lazyzarr.ir.layout import Json

INTERNAL = frozenset(
    (b"DIMENSION_LIST", b"REFERENCE_LIST", b"CLASS", b"NAME", b"_Netcdf4Dimid", b"_Netcdf4Coordinates",
     b"_NCProperties", b"_nc3_strict")
)  # fmt: skip
"""How NetCDF-4 and the dimension scale convention keep their books; not part of the data."""


class Attributes:
    """The attributes of one object; each is read when it is asked for."""

    __slots__ = ("_messages", "_obj", "keys")

    def __init__(self, obj: Any, messages: list[bytes] | None) -> None:
        """Find the names; `messages` is None where the header could not be read directly."""
        self._obj = obj
        self._messages: dict[bytes, Message] = {}
        self.keys: tuple[bytes, ...] = ()
        count = h5a.get_num_attrs(obj)
        if count == 0:
            return
        parsed = _parsed(messages)
        if parsed is not None and len(parsed) == count:
            self._messages = parsed
            self.keys = tuple(parsed)
            return
        names: list[bytes] = []
        h5a.iterate(obj, names.append)
        self.keys = tuple(names)

    def __contains__(self, key: bytes) -> bool:
        return key in self.keys

    def read(self, key: bytes) -> Any:
        """One attribute: text, a NumPy scalar, or an array or list; a single cell counts as a scalar."""
        message = self._messages.get(key)
        if message is not None:
            plain, value = _value(message)
            if plain:
                return value
        return read(self._obj, key)

    def data(self) -> dict[str, Any]:
        """All attributes that are data, under their names."""
        return {text(key): self.read(key) for key in self.keys if key not in INTERNAL}


def _parsed(messages: list[bytes] | None) -> dict[bytes, Message] | None:
    found: dict[bytes, Message] = {}
    for raw in messages or ():
        message = parse(raw)
        if message is None:
            return None
        found[message.name] = message
    return found


@lru_cache(maxsize=1 << 14)
def _value(message: Message) -> tuple[bool, Any]:
    """Whether the stored bytes of an attribute are plain, and its value if so."""
    dtype, native = _memory_type(message.datatype)
    if native is None:
        return False, None
    if message.shape is None or 0 in message.shape:
        return True, "" if dtype.kind == "S" else []
    count = math.prod(message.shape)
    if len(message.data) < count * dtype.itemsize:
        return False, None
    array = np.frombuffer(message.data, dtype, count).reshape(message.shape)
    if dtype.kind == "S":
        return True, _texts(array)
    array = array.astype(native)
    return True, array.reshape(-1)[0] if count == 1 else array


def read(obj: Any, attribute: bytes) -> Any:
    """One attribute: text, a NumPy scalar, or an array or list; a single cell counts as a scalar."""
    aid = h5a.open(obj, attribute)
    tid = aid.get_type()
    dtype, native = _memory_type(tid.encode())
    nbytes = _nbytes(aid)
    if native is None:
        return _read_slow(obj, aid, dtype, nbytes // tid.get_size())
    if nbytes == dtype.itemsize:
        cell = np.empty(1, dtype)
        aid.read(cell, tid)
        return text(cell[0]) if dtype.kind == "S" else cell.astype(native, copy=False)[0]
    if nbytes == 0:
        return "" if dtype.kind == "S" else []
    array = np.empty(aid.shape, dtype)
    aid.read(array, tid)
    return _texts(array) if dtype.kind == "S" else array.astype(native, copy=False)


def _nbytes(aid: Any) -> int:
    try:
        return aid.get_storage_size()
    except RuntimeError:
        if aid.get_space().get_simple_extent_npoints() == 0:  # h5py takes the size 0 for a failure
            return 0
        raise


def _read_slow(obj: Any, aid: Any, dtype: np.dtype[Any], cells: int) -> Any:
    """Attributes that libhdf5 has to convert: variable-length text, references, compounds, enumerations."""
    if cells == 0:
        return "" if h5t.check_string_dtype(dtype) is not None else []
    array = np.empty(aid.shape, dtype)
    aid.read(array)
    if h5t.check_ref_dtype(dtype) is not None:
        names = [h5r.get_name(one, obj) if one else None for one in array.ravel()]
        array = np.array([name or b"" for name in names], object).reshape(aid.shape)
    if dtype.kind in "OS":
        return _texts(array)
    return array.ravel()[0] if cells == 1 else array


def _texts(array: np.ndarray) -> Any:
    cells = [text(one) if isinstance(one, bytes) else one for one in array.ravel().tolist()]
    return cells[0] if len(cells) == 1 else np.array(cells, object).reshape(array.shape).tolist()


def plain(attributes: Mapping[str, Any]) -> dict[str, Json]:
    """Attributes as JSON values; NaN and infinities stay Python floats."""
    return {key: _plain(value) for key, value in attributes.items()}


def text(raw: bytes) -> str:
    """Names and text are UTF-8; older files hold Latin-1, which every byte sequence is."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


@lru_cache(maxsize=1024)
def _memory_type(encoding: bytes) -> tuple[np.dtype[Any], np.dtype[Any] | None]:
    """NumPy type of an attribute, and its native form if the stored bytes are already NumPy's."""
    tid = h5t.decode(encoding)
    dtype = tid.dtype
    if tid.get_class() in (h5t.INTEGER, h5t.FLOAT) and tid.get_size() == dtype.itemsize and _standard(tid):
        return dtype, dtype.newbyteorder("=")
    if tid.get_class() == h5t.STRING and dtype.kind == "S" and tid.get_strpad() != h5t.STR_SPACEPAD:
        return np.dtype(f"S{tid.get_size()}"), np.dtype(f"S{tid.get_size()}")
    return dtype, None


def _standard(tid: Any) -> bool:
    return tid.get_precision() == 8 * tid.get_size() and tid.get_offset() == 0 and tid.get_size() <= 8


def _plain(value: Any) -> Json:
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, bytes):
        return text(value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.void):
        if value.dtype.names is None:
            return base64.b64encode(value.tobytes()).decode()
        return {name: _plain(value[name]) for name in value.dtype.names}
    if isinstance(value, np.ndarray):
        return [_plain(one) for one in value] if value.dtype.kind in "OVSmMc" else value.tolist()
    if isinstance(value, np.complexfloating):
        return [float(value.real), float(value.imag)]
    if isinstance(value, np.datetime64 | np.timedelta64):
        return str(value)
    if isinstance(value, np.floating):  # item() leaves a long double as it is
        return float(value)
    return value.item() if isinstance(value, np.generic) else value
