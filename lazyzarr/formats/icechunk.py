"""Views as virtual chunks of an Icechunk repository: `write`.

Owns the step from flat manifests to arrays of a session: metadata of Zarr v3, one virtual reference for each chunk,
and the pins as checksums, which Icechunk holds sources to. A decode that all chunks share becomes CF attributes where
those say exactly the same. The session is not committed; until then nothing is to be seen by others.

Refuses views that are not flat, codecs that no other reader has, and locations that the repository has no container
for; everything is checked before the first chunk is written.
"""

from __future__ import annotations

import asyncio
import datetime
import json
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import icechunk
import numpy as np
import zarr
from zarr.buffer import cpu

from lazyzarr.errors import SaveConflict, SaveUnsupported
from lazyzarr.formats.export_sources import with_nodes
from lazyzarr.formats.flat_arrays import Decode, FlatArray, collected, finite
from lazyzarr.formats.icechunk_repository import local_etag
from lazyzarr.formats.report import UNEVEN, ExportReport
from lazyzarr.ir.layout import Json, Stamp
from lazyzarr.lower.aligned import INLINE, MISSING, OBJECT, RANGE


def write(
    views: Any,
    target: icechunk.Session | icechunk.IcechunkStore,
    *,
    path: str = "",
    overwrite: bool = False,
    decode: Decode = "exact",
    rectilinear: bool = True,
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
    rectilinear
        Whether chunks of several lengths on an axis may be written: zarr-python reads them only where
        ``array.rectilinear_chunks`` is set in its configuration.

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
    given = collected(views, path, decode, "write into Icechunk", rectilinear=rectilinear)
    plain, paths = given.plain, [*given.arrays, *given.plain]
    _check_free(store, paths, overwrite)
    _check_containers(store, given.arrays.values())
    for name in _parents(paths, given.groups):
        _set(store, f"{name}/zarr.json".lstrip("/"), _group(given.groups.get(name, {}), store, name))
    for name, cells in plain.items():
        zarr.create_array(store, name=name, data=cells, overwrite=overwrite)
    found = list(given.arrays.values())
    pinned = sum(_write(one, store, overwrite) for one in found)
    return ExportReport(
        format="icechunk",
        target=str(getattr(target, "branch", None) or "session"),
        arrays=len(found) + len(plain),
        chunks=sum(one.written for one in found),
        pinned=pinned,
        unpinned=sum(one.virtual for one in found) - pinned,
        inline=sum(one.inline for one in found),
        lost=tuple(text for one in found for text in one.lost),
    )


def _write(one: FlatArray, store: icechunk.IcechunkStore, overwrite: bool) -> int:
    """Write an array; how many of its references are pinned."""
    if overwrite:
        _run(store.delete_dir(one.path))
    _set(store, f"{one.path}/zarr.json", json.dumps(_spelled(one.metadata), allow_nan=False).encode())
    _check_readable(one, store)
    for row in np.flatnonzero(one.state == INLINE).tolist():
        at = np.unravel_index(row, one.flat.grid_shape) if one.flat.shape else ()
        _set(store, f"{one.path}/{'/'.join(('c', *(str(int(k)) for k in at)))}", one.flat.inline(row))
    if not one.flat.is_regular:
        one.lost.append(f"{one.path}: {UNEVEN}")
    rows = np.flatnonzero((one.state == RANGE) | (one.state == OBJECT))
    if not len(rows):
        return 0
    checks = [_checksum(url, stamp) for url, stamp in zip(one.flat.urls(rows), one.flat.stamps(rows), strict=True)]
    pinned = sum(check is not None for check in checks)
    if pinned < len(rows):
        one.lost.append(f"{one.path}: {len(rows) - pinned} chunks have no pin that Icechunk could keep")
    if len(set(checks)) == 1:
        _at_once(one, store, checks[0])
    else:
        _one_by_one(one, store, rows, checks)
    return pinned


def _spelled(metadata: dict[str, Json]) -> dict[str, Json]:
    """The metadata with every axis of a rectilinear grid as a list, the one spelling that Icechunk reads."""
    grid = metadata["chunk_grid"]
    if grid["name"] != "rectilinear":
        return metadata
    axes = [
        [[axis, -(-length // axis)]] if isinstance(axis, int) else axis
        for axis, length in zip(grid["configuration"]["chunk_shapes"], metadata["shape"], strict=True)
    ]
    return {**metadata, "chunk_grid": {**grid, "configuration": {**grid["configuration"], "chunk_shapes": axes}}}


def _check_readable(one: FlatArray, store: icechunk.IcechunkStore) -> None:
    """Return if zarr-python takes the metadata, which the readers of Icechunk use."""
    try:
        with zarr.config.set({"array.rectilinear_chunks": True}):
            zarr.open_array(store, path=one.path, mode="r")
    # what zarr-python raises for a type, a codec or a grid that it does not know or has no code for
    except (ValueError, TypeError, KeyError, NotImplementedError) as error:
        with with_nodes(one.given):
            raise SaveUnsupported(
                f"write of {one.path}: zarr-python does not read an array of this kind ({error}); copy it with other codecs"
            ) from error


def _at_once(one: FlatArray, store: icechunk.IcechunkStore, checksum: Any) -> None:
    urls = one.flat.urls()
    for row in np.flatnonzero((one.state == MISSING) | (one.state == INLINE)).tolist():
        urls[row] = ""
    failed = store.set_virtual_refs_arr(
        f"/{one.path}",
        one.flat.grid_shape,
        urls,
        np.ascontiguousarray(one.flat.offset.astype(np.uint64)),
        np.ascontiguousarray(np.maximum(one.lengths, 0).astype(np.uint64)),
        checksum=checksum,
    )
    assert not failed, "containers were checked"


def _one_by_one(one: FlatArray, store: icechunk.IcechunkStore, rows: np.ndarray, checks: Sequence[Any]) -> None:
    coords = np.stack(np.unravel_index(rows, one.flat.grid_shape), axis=1).tolist()
    columns = (coords, one.flat.urls(rows), one.flat.offset[rows].tolist(), one.lengths[rows].tolist(), checks)
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
    failed = store.set_virtual_refs(f"/{one.path}", specs)
    assert not failed, "containers were checked"


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
    for one in arrays:
        urls = [url for url in one.flat.url_table()[0] if not url.startswith(known or ("\0",))]
        with with_nodes(one.given):
            _check_contained(urls)


def _check_contained(urls: Sequence[str]) -> None:
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
    document = {"zarr_format": 3, "node_type": "group", "attributes": {**held, **finite(dict(attributes))}}
    return json.dumps(document, allow_nan=False).encode()


def _set(store: icechunk.IcechunkStore, key: str, data: bytes) -> None:
    _run(store.set(key, cpu.Buffer.from_bytes(data)))


def _run[T](call: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, on a loop of its own: the caller's may be running."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, call).result()
