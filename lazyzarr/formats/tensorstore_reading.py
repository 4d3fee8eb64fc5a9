"""Reading TensorStore specifications: from a JSON object to drivers and index transforms, checked member by member.

Owns the forms of a specification, of key-value stores and of transforms. Refuses, by name, drivers and members it does
not know, since each may change what is read, and endpoints, headers and credentials always: those come from the reader.
Opens nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

import numpy as np

from lazyzarr.access.url import from_user
from lazyzarr.errors import SelectionError, SourceProtocolError, UnsupportedFeature
from lazyzarr.formats.index_transforms import Transform, read_transform
from lazyzarr.formats.tensorstore_arrays import DTYPES

Json = Any
Object = Mapping[str, Any]
_TUNING = frozenset(
    (
        *("cache_pool", "data_copy_concurrency", "recheck_cached_data", "recheck_cached_metadata", "open", "context"),
        *("create", "delete_existing", "fill_missing_data_reads", "assume_cached_metadata"),
    )
)
"""Members that change nothing about the cells, given the values that `_check_tuning` accepts."""
_CONTEXT = ("cache_pool", "data_copy_concurrency", "file_io_concurrency", "http_request_concurrency")
_OWN = {
    "zarr": ("kvstore", "path", "metadata", "assume_metadata"),
    "zarr2": ("kvstore", "path", "metadata", "assume_metadata"),
    "zarr3": ("kvstore", "path", "metadata", "assume_metadata"),
    "stack": ("layers",),
    "cast": ("base",),
    "array": ("array",),
}
_ANY = ("driver", "transform", "dtype", "rank")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_URL = re.compile(r"(file|s3|gs|gcs|https?)://[^?#|]*")
_BASE = re.compile(r"https?://[^?#|]+")


@dataclass(frozen=True)
class Spec:
    """One specification; the inner ones stay JSON until they are asked for."""

    driver: str
    members: Object
    transform: Transform | None
    dtype: str | None
    rank: int | None


def is_specification(document: Object) -> bool:
    """Whether a JSON object is a TensorStore specification.

    Examples
    --------
    >>> is_specification({"driver": "zarr3"}), is_specification({"refs": {}})
    (True, False)
    """
    return isinstance(document.get("driver"), str)


def read_specification(document: Json) -> Spec:
    """The members of one specification.

    Raises
    ------
    SourceProtocolError
        Something has another form than it can have.
    UnsupportedFeature
        A driver or member is not known here.
    """
    found = _object(document, "a specification")
    driver = found.get("driver")
    if not isinstance(driver, str):
        raise bad("a specification has no driver")
    if driver not in _OWN:
        raise unsupported(f"the driver {driver[:64]!r}")
    others = set(found) - set(_OWN[driver]) - set(_ANY) - _TUNING - {"schema"}
    if others:
        raise unsupported(f"the member {min(others)[:64]!r} of the driver {driver!r}")
    _check_tuning(found)
    dtype, rank = found.get("dtype"), found.get("rank")
    if "schema" in found:
        schema = _object(found["schema"], "schema")
        _only(schema, ("dtype", "rank", "domain"), "schema")
        dtype, rank = dtype or schema.get("dtype"), rank if rank is not None else schema.get("rank")
    if dtype is not None and (not isinstance(dtype, str) or dtype not in DTYPES):
        raise unsupported(f"the data type {str(dtype)[:64]!r}")
    if rank is not None and (type(rank) is not int or not 0 <= rank <= 32):
        raise bad(f"the rank is {str(rank)[:64]}")
    transform = None if found.get("transform") is None else _transform(found["transform"])
    return Spec(driver, found, transform, dtype, rank)


def location(kvstore: Json, path: Json = None) -> str:
    """The location of the directory that a key-value store names.

    Raises
    ------
    SourceProtocolError, UnsupportedFeature, ViewSchemaError
        It is not a location, or one of another kind.

    Examples
    --------
    >>> location({"driver": "s3", "bucket": "b", "path": "a b/"}), location("file:///d/", "x")
    ('s3://b/a%20b', 'file:///d/x')
    """
    if path is not None and not isinstance(path, str):
        raise bad("the path is no text")
    below = quote(path.lstrip("/"), safe="/") if path else ""
    if isinstance(kvstore, str):
        if not _URL.fullmatch(kvstore):
            raise unsupported(f"the key-value store {kvstore[:64]!r}")
        return from_user(f"{kvstore.rstrip('/')}/{below}")
    found = _object(kvstore, "kvstore")
    driver = found.get("driver")
    own = {"file": (), "s3": ("bucket",), "gcs": ("bucket",), "http": ("base_url",)}
    if not isinstance(driver, str) or driver not in own:
        raise unsupported(f"the key-value store {str(driver)[:64]!r}")
    _only(found, ("driver", "path", *own[driver]), f"kvstore {driver!r}")
    inner = found.get("path", "")
    if not isinstance(inner, str):
        raise bad("the path of the kvstore is no text")
    if driver == "file":
        if not inner.startswith("/"):
            raise unsupported("a local path that is relative to a working directory")
        prefix, inner = "file://", inner.lstrip("/")
    elif driver == "http":
        base = found.get("base_url")
        if not isinstance(base, str) or not _BASE.fullmatch(base):
            raise bad("the base_url of the kvstore is no plain http location")
        prefix = base.rstrip("/")
    else:
        bucket = found.get("bucket")
        if not isinstance(bucket, str) or not _BUCKET.fullmatch(bucket):
            raise bad("the bucket of the kvstore is no name")
        prefix = f"{'s3' if driver == 's3' else 'gs'}://{bucket}"
    parts = [quote(inner.strip("/"), safe="/"), below.strip("/")]
    return from_user("/".join((prefix, *filter(None, parts))))


def cells_of(document: Json, dtype: str) -> np.ndarray[Any, Any]:
    """The cells of the driver ``array``.

    Raises
    ------
    SourceProtocolError
        They are no array of the type.
    """
    plain = np.dtype(dtype)
    if plain.kind == "c":
        raise unsupported("an array of complex numbers")
    kinds = {"b": (bool,), "i": (int,), "u": (int,), "f": (int, float, str)}[plain.kind]
    try:
        given = np.array(document, dtype=object)
        flat = given.ravel().tolist()
        if any(type(one) not in kinds for one in flat):
            raise bad(f"the array has cells that are no {dtype}, or lists of unequal length")
        if plain.kind == "f":
            flat = [_number(one) for one in flat]
        with np.errstate(over="ignore"):
            return np.array(flat, dtype=plain).reshape(given.shape)
    except (ValueError, TypeError, OverflowError) as error:
        raise bad(f"the array is not one of {dtype}") from error


def _number(value: float | str) -> float:
    if isinstance(value, str):
        special = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}
        if value not in special:
            raise ValueError
        return special[value]
    return float(value)


def _check_tuning(found: Object) -> None:
    for name in ("create", "delete_existing"):
        if found.get(name) not in (None, False):
            raise unsupported(f"{name}, which writes")
    if found.get("fill_missing_data_reads") not in (None, True):
        raise unsupported("fill_missing_data_reads as false")
    if found.get("context") is not None:
        _only({key.partition("#")[0]: 0 for key in _object(found["context"], "context")}, _CONTEXT, "context")


def _transform(found: Json) -> Transform:
    try:
        return read_transform(_object(found, "transform"))
    except SelectionError as error:
        raise bad(str(error)) from error


def _object(value: Json, name: str) -> Object:
    if not isinstance(value, Mapping):
        raise bad(f"{name} is a {type(value).__name__}; it is a JSON object")
    return cast("Mapping[str, Any]", value)


def _only(found: Object, known: Collection[str], name: str) -> None:
    others = set(found) - set(known)
    if others:
        raise unsupported(f"the member {min(others)[:64]!r} of {name}")


def bad(what: str) -> SourceProtocolError:
    """The error for a specification that says something impossible."""
    return SourceProtocolError(f"TensorStore specification: {what}; write it again", reason="source-format")


def unsupported(what: str) -> UnsupportedFeature:
    """The error for what is not read here."""
    return UnsupportedFeature(
        f"TensorStore specification: {what} is not read here; TensorStore itself may; write the specification without it",
        reason="source-unsupported",
    )
