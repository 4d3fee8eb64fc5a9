"""Views as virtual chunks of an Icechunk repository: `write`.

Owns the step from flat manifests to arrays of a session: metadata of Zarr v3, one virtual reference for each chunk,
and the pins as checksums, which Icechunk holds sources to. A decode that all chunks share becomes CF attributes where
those say exactly the same. The session is not committed; until then nothing is to be seen by others.

Refuses views that are not flat, codecs that no other reader has, and locations that the repository has no container
for; everything is checked before the first chunk is written.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
import struct
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, Protocol

import icechunk
import numpy as np
import zarr
from zarr.buffer import cpu

from lazyzarr.errors import NotFlat, SaveConflict, SaveUnsupported, SourceMissing
from lazyzarr.formats.icechunk_repository import local_etag
from lazyzarr.formats.referenced import json_values
from lazyzarr.formats.report import ExportReport
from lazyzarr.formats.zarr_references import cf_decode
from lazyzarr.ir.data_type import msgspec_form, to_numpy
from lazyzarr.ir.layout import Json, NamedConfig, Stamp
from lazyzarr.lower.aligned import INLINE, MISSING, OBJECT, RANGE, AlignedManifest

_THREADS = 8
_PACKING = "lazyzarr.unpack"


class Flat(Protocol):
    """What has chunks: a `lazyzarr.View`."""

    def flatten(self) -> AlignedManifest:
        """One reference for each chunk; NotFlat where that cannot be."""
        ...


def write(
    views: Any,
    target: icechunk.Session | icechunk.IcechunkStore,
    *,
    path: str = "",
    overwrite: bool = False,
    decode: Literal["exact", "attributes"] = "exact",
) -> ExportReport:
    """Write a view, or a group of views and NumPy arrays, into a writable session of Icechunk.

    Parameters
    ----------
    views
        A view, or a mapping from names to views, arrays and further mappings.
    target
        The session, or its store. Commit it afterwards.
    path
        Where in the repository; a view needs one, a group goes to the root by default.
    overwrite
        Replace arrays that are there.
    decode
        "exact" refuses packing that CF attributes would not say exactly, such as scales of single precision, which
        Zarr attributes have no type for; "attributes" writes them all the same, and says so in the report.

    Returns
    -------
    ExportReport
        Arrays, chunks, how many are pinned, and what could not be kept.

    Raises
    ------
    NotFlat
        Some view is no flat manifest; every problem of every view is listed.
    SaveUnsupported
        A codec has no reader outside lazyzarr, or the repository has no container for a location.
    SaveConflict
        Something is there already.
    """
    store = target if isinstance(target, icechunk.IcechunkStore) else target.store
    if store.read_only:
        raise SaveUnsupported("write into an Icechunk session that is read-only; open repository.writable_session(...)")
    arrays: dict[str, _Array] = {}
    plain: dict[str, np.ndarray] = {}
    groups: dict[str, dict[str, Json]] = {}
    problems: list[str] = []
    _collect(views, path.strip("/"), decode, arrays, plain, groups, problems)
    if problems:
        raise NotFlat(f"write into Icechunk; {len(problems)} things are in the way", problems)
    _check_free(store, [*arrays, *plain], overwrite)
    for one in arrays.values():
        one.resolve()
    _check_containers(store, arrays.values())
    for name in _parents([*arrays, *plain], groups):
        _set(store, f"{name}/zarr.json".lstrip("/"), _group(groups.get(name, {}), store, name))
    for name, cells in plain.items():
        zarr.create_array(store, name=name, data=cells, overwrite=overwrite)
    for one in arrays.values():
        one.write(store, overwrite)
    found = list(arrays.values())
    return ExportReport(
        format="icechunk",
        target=str(getattr(target, "branch", None) or "session"),
        arrays=len(found) + len(plain),
        chunks=sum(one.written for one in found),
        pinned=sum(one.pinned for one in found),
        unpinned=sum(one.virtual - one.pinned for one in found),
        inline=sum(one.inline for one in found),
        lost=tuple(text for one in found for text in one.lost),
    )


def _collect(
    views: Any,
    path: str,
    decode: str,
    arrays: dict[str, _Array],
    plain: dict[str, np.ndarray],
    groups: dict[str, dict[str, Json]],
    problems: list[str],
) -> None:
    """Flat manifests by path, and what stands in the way."""
    if isinstance(views, Mapping):
        groups[path] = json_values(getattr(views, "attrs", {}))
        for name in views:
            _collect(views[name], f"{path}/{name}".lstrip("/"), decode, arrays, plain, groups, problems)
    elif hasattr(views, "flatten") and hasattr(views, "attrs"):
        if not path:
            raise SaveUnsupported("write of a view to the root of a repository; an array needs a name; give path=...")
        try:
            arrays[path] = _Array(path, views.flatten(), decode)
        except NotFlat as error:
            problems += [f"{path}: {problem}" for problem in error.problems]
    elif isinstance(views, np.ndarray | np.generic | list | int | float | str):
        plain[path] = np.asarray(views)
    else:
        raise SaveUnsupported(
            f"write of {path!r}, a {type(views).__name__}; views, arrays and mappings are written; open it first"
        )


class _Array:
    """One array on its way into a store."""

    def __init__(self, path: str, flat: AlignedManifest, decode: str) -> None:
        self.path = path
        self.flat = flat
        self.lost: list[str] = []
        self.pinned = 0
        self.metadata = self._metadata(decode)
        self.state = np.array(flat.state)
        self.lengths = np.array(flat.length)
        self.stamps: list[Stamp | None] = []

    @property
    def virtual(self) -> int:
        return int(np.count_nonzero((self.state == RANGE) | (self.state == OBJECT)))

    @property
    def inline(self) -> int:
        return int(np.count_nonzero(self.state == INLINE))

    @property
    def written(self) -> int:
        return int(np.count_nonzero(self.state != MISSING))

    def resolve(self) -> None:
        """Lengths of whole objects; those of arrays that are not there are missing chunks."""
        rows = np.flatnonzero(self.state == OBJECT)
        if not len(rows):
            return
        urls, grants, places = self.flat.urls(rows), self.flat.grants(rows), self.flat.places(rows)
        session = self.flat.reader.session

        def size(at: int) -> int | None:
            place = places[at]
            absent = place is not None and place.keys is not None
            try:
                return session.stat(urls[at], grant=grants[at]).size
            except SourceMissing as error:
                if not absent or error.reason != SourceMissing.default_reason:
                    raise
                return None

        with ThreadPoolExecutor(_THREADS) as pool:
            sizes = list(pool.map(size, range(len(rows))))
        self.lengths[rows] = [size or 0 for size in sizes]
        self.state[rows[[size is None for size in sizes]]] = MISSING

    def locations(self) -> list[str]:
        """Distinct locations."""
        return self.flat.url_table()[0]

    def write(self, store: icechunk.IcechunkStore, overwrite: bool) -> None:
        if overwrite:
            _run(store.delete_dir(self.path))
        _set(store, f"{self.path}/zarr.json", json.dumps(self.metadata, allow_nan=False).encode())
        self._references(store)
        for row in np.flatnonzero(self.state == INLINE).tolist():
            key = "/".join(("c", *(str(int(k)) for k in np.unravel_index(row, self.flat.grid_shape) if self.flat.shape)))
            _set(store, f"{self.path}/{key}", self.flat.inline(row))

    def _references(self, store: icechunk.IcechunkStore) -> None:
        rows = np.flatnonzero((self.state == RANGE) | (self.state == OBJECT))
        if not len(rows):
            return
        checks = [_checksum(url, stamp) for url, stamp in zip(self.flat.urls(rows), self.flat.stamps(rows), strict=True)]
        self.pinned = sum(check is not None for check in checks)
        if self.pinned < len(rows):
            self.lost.append(f"{self.path}: {len(rows) - self.pinned} chunks have no pin that Icechunk could keep")
        if len(set(checks)) == 1:
            self._at_once(store, checks[0])
        else:
            self._one_by_one(store, rows, checks)

    def _at_once(self, store: icechunk.IcechunkStore, checksum: Any) -> None:
        urls = self.flat.urls()
        for row in np.flatnonzero((self.state == MISSING) | (self.state == INLINE)).tolist():
            urls[row] = ""
        failed = store.set_virtual_refs_arr(
            f"/{self.path}",
            self.flat.grid_shape,
            urls,
            np.ascontiguousarray(self.flat.offset.astype(np.uint64)),
            np.ascontiguousarray(np.maximum(self.lengths, 0).astype(np.uint64)),
            checksum=checksum,
        )
        assert not failed, "containers were checked"

    def _one_by_one(self, store: icechunk.IcechunkStore, rows: np.ndarray, checks: Sequence[Any]) -> None:
        coords = np.stack(np.unravel_index(rows, self.flat.grid_shape), axis=1).tolist()
        columns = (coords, self.flat.urls(rows), self.flat.offset[rows].tolist(), self.lengths[rows].tolist(), checks)
        specs = [
            icechunk.VirtualChunkSpec(
                index,
                url,
                offset,
                length,
                etag_checksum=check if isinstance(check, str) else None,
                last_updated_at_checksum=check if isinstance(check, datetime.datetime) else None,
            )
            for index, url, offset, length, check in zip(*columns, strict=True)
        ]
        failed = store.set_virtual_refs(f"/{self.path}", specs)
        assert not failed, "containers were checked"

    def _metadata(self, decode: str) -> dict[str, Json]:
        """``zarr.json``, with packing as attributes."""
        document = self.flat.zarr_metadata()
        attributes = json_values(document["attributes"])
        codecs = list(self.flat.codecs)
        unpack = next((codec for codec in codecs if codec.name == _PACKING), None)
        if unpack is not None and codecs[0] is unpack:
            attributes, exact = _as_attributes(attributes, unpack, self.flat)
            if not exact and decode == "exact":
                raise SaveUnsupported(
                    f"write of {self.path}: its cells are unpacked to {self.flat.data_type} with {unpack.configuration}; "
                    "CF attributes in Zarr have no type, so readers would unpack to float64 or mask other cells; "
                    'pass decode="attributes" to write them all the same, or open the sources with packing="raw"'
                )
            if not exact:
                self.lost.append(f"{self.path}: readers unpack to another type than {self.flat.data_type}")
            codecs = codecs[1:]
            document["data_type"] = msgspec_form(self.flat.stored_data_type)
            document["fill_value"] = self._stored_fill()
            document["codecs"] = [{"name": one.name, "configuration": one.configuration} for one in codecs]
        for codec in codecs:
            if codec.name.startswith("lazyzarr."):
                raise SaveUnsupported(
                    f"write of {self.path}: its chunks are stored with codec {codec.name!r}, which has no reader outside "
                    "lazyzarr; copy the array with codecs of Zarr v3"
                )
        document["attributes"] = _finite(attributes)
        return document

    def _stored_fill(self) -> Json:
        value = self.flat.stored_fill_value
        if value is None and bool((self.flat.state == MISSING).any()):
            raise SaveUnsupported(
                f"write of {self.path}: its missing chunks read as {self.flat.fill_value!r}, and no stored value unpacks "
                "to that; write those chunks first"
            )
        return 0 if value is None else value


def _as_attributes(
    attributes: dict[str, Json], unpack: NamedConfig, flat: AlignedManifest
) -> tuple[dict[str, Json], bool]:
    """The attributes with the packing, and whether a reader makes the same decode of them."""
    wanted = unpack.configuration
    found = {name: value for name, value in attributes.items() if name not in ("_FillValue", "missing_value")}
    for name in ("scale_factor", "add_offset"):
        found.pop(name, None)
        if wanted.get(name) is not None:
            found[name] = wanted[name]
    dtype = to_numpy(flat.stored_data_type)
    fills = list(wanted.get("fill_values") or [])
    if fills:
        found["_FillValue"] = _fill_attribute(fills[-1], dtype)
    if len(fills) > 1:
        found["missing_value"] = fills[0] if len(fills) == 2 else fills[:-1]
    again, _ = cf_decode(found, flat.stored_data_type, "auto")
    return found, again is not None and _canonical(again) == _canonical(wanted)


def _fill_attribute(value: Json, dtype: np.dtype[Any]) -> Json:
    """As xarray has it in Zarr: floating point in base64."""
    if dtype.kind != "f":
        return value
    special = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
    number = special.get(value, value) if isinstance(value, str) else value
    return base64.standard_b64encode(struct.pack("<d", float(number))).decode()


def _canonical(configuration: Mapping[str, Json]) -> dict[str, Json]:
    found = {name: value for name, value in configuration.items() if value is not None and value != []}
    if "fill_values" in found:
        found["fill_values"] = sorted(map(repr, found["fill_values"]))
    return found


def _finite(value: Any) -> Json:
    """JSON has no NaN; what is not finite becomes text, as in fill values of Zarr."""
    if isinstance(value, dict):
        return {str(name): _finite(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    if isinstance(value, float) and not np.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    return value


def _checksum(url: str, stamp: Stamp | None) -> str | datetime.datetime | None:
    """What Icechunk holds an object to; None where it has nothing for what is known."""
    if stamp is None:
        return None
    if stamp.etag is not None:
        return stamp.etag if stamp.etag.startswith("W/") else stamp.etag.strip('"')
    if not url.startswith("file://") or stamp.mtime_ns is None:
        return None
    if stamp.inode is not None and stamp.size is not None:
        # Icechunk takes one pair of quotes off, and its local storage has another
        return f'""{local_etag(stamp)}""'
    # it knows whole seconds only, and refuses what is newer
    return datetime.datetime.fromtimestamp(-(-stamp.mtime_ns // 10**9), datetime.UTC)


def _check_free(store: icechunk.IcechunkStore, paths: Sequence[str], overwrite: bool) -> None:
    taken = [] if overwrite else [path for path in paths if _run(store.exists(f"{path}/zarr.json"))]
    if taken:
        raise SaveConflict(f"write into Icechunk; {', '.join(taken[:5])} is there already; pass overwrite=True")


def _check_containers(store: icechunk.IcechunkStore, arrays: Any) -> None:
    """Every location has to be below a container of the repository."""
    known = tuple(store.session.config.virtual_chunk_containers or {})
    urls = [url for one in arrays for url in one.locations() if not url.startswith(known or ("\0",))]
    if urls:
        prefix = urls[0].rpartition("/")[0] + "/"
        raise SaveUnsupported(
            f"write of references to {len(urls)} objects such as {urls[0]}; the repository has no virtual chunk container "
            f"for them; add one to its configuration: config.set_virtual_chunk_container("
            f"icechunk.VirtualChunkContainer({prefix!r}, ...)), save it, and authorize it when opening"
        )


def _parents(paths: Sequence[str], groups: Mapping[str, Any]) -> list[str]:
    """Groups that have to be there, from the root down."""
    found = {"", *groups}
    for path in paths:
        parts = path.split("/")[:-1]
        found.update("/".join(parts[:length]) for length in range(len(parts) + 1))
    return sorted(found)


def _group(attributes: Mapping[str, Json], store: icechunk.IcechunkStore, path: str) -> bytes:
    """``zarr.json`` of a group; attributes of one that is there are kept."""
    there = _run(store.get(f"{path}/zarr.json".lstrip("/"), cpu.buffer_prototype))
    held: dict[str, Json] = json.loads(there.to_bytes()).get("attributes") or {} if there is not None else {}
    document = {"zarr_format": 3, "node_type": "group", "attributes": {**held, **_finite(dict(attributes))}}
    return json.dumps(document, allow_nan=False).encode()


def _set(store: icechunk.IcechunkStore, key: str, data: bytes) -> None:
    _run(store.set(key, cpu.Buffer.from_bytes(data)))


def _run[T](call: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, on a loop of its own: the caller's may be running."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, call).result()
