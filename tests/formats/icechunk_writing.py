"""Icechunk repositories of every kind of chunk, written with icechunk and zarr-python."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import zarr

WHOLE = np.arange(16, dtype="i4").reshape(4, 4)
PACKED = np.arange(6, dtype="i2")


def repository(folder: Path, containers: tuple[Path, ...] = (), *, inline: int = 8) -> icechunk.Repository:
    """A repository at ``folder``, which may read virtual chunks below ``containers``."""
    config = icechunk.RepositoryConfig.default()
    config.inline_chunk_threshold_bytes = inline
    for place in containers:
        store = icechunk.local_filesystem_store(str(place))
        config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(f"file://{place}/", store))
    access: Any = icechunk.credentials.LocalFileSystemAccess
    repo = icechunk.Repository.create(
        icechunk.local_filesystem_storage(str(folder)),
        config,
        authorize_virtual_chunk_access={f"file://{place}/": access for place in containers},
    )
    repo.save_config()
    return repo


def etag(path: Path) -> str:
    """The tag of a local file, quoted as it has to be for Icechunk to compare it."""
    found = path.stat()
    return f'""{found.st_ino:x}-{found.st_mtime_ns // 1000:x}-{found.st_size:x}""'


def after(path: Path) -> datetime.datetime:
    """The next whole second after a file was written."""
    return datetime.datetime.fromtimestamp(int(path.stat().st_mtime) + 1, datetime.UTC)


def filled(folder: Path) -> tuple[icechunk.Repository, dict[str, np.ndarray]]:
    """``folder/repo`` with native, inline, virtual and missing chunks, and what each array reads as."""
    repo = repository(folder / "repo", (folder,))
    session = repo.writable_session("main")
    root = zarr.group(session.store, attributes={"title": "T"})
    plain: dict[str, Any] = {"dtype": "i2", "compressors": None, "filters": None}
    root.create_array("sub/native", shape=(4, 4), chunks=(3, 3), dtype="i4")[:] = WHOLE
    root.create_array("scalar", shape=(), chunks=(), dtype="i2")[...] = 5
    inline = root.create_array("inline", shape=(5,), chunks=(2,), **plain)
    inline[:2], inline[4:] = [1, 2], 7
    root.create_array("virtual", shape=(6,), chunks=(2,), fill_value=3, **plain)
    attributes = {"scale_factor": 0.5, "_FillValue": 3, "units": "m"}
    mixed = root.create_array(
        "mixed", shape=(6,), chunks=(2,), fill_value=3, attributes=attributes, dimension_names=("x",), **plain
    )
    mixed[4:] = 9
    path = folder / "x.bin"
    path.write_bytes(PACKED.tobytes())
    set_ref = session.store.set_virtual_ref
    set_ref("virtual/c/0", f"file://{path}", offset=0, length=4, checksum=etag(path))
    set_ref("virtual/c/1", f"file://{path}", offset=4, length=4, checksum=after(path))
    set_ref("mixed/c/0", f"file://{path}", offset=0, length=4)
    snapshot = session.commit("first")
    repo.create_tag("v1", snapshot)
    return repo, {
        "sub/native": WHOLE,
        "scalar": np.int16(5),
        "inline": np.array([1, 2, 0, 0, 7], "i2"),
        "virtual": np.array([0, 1, 2, 3, 3, 3], "i2"),
        "mixed": np.array([0, 0.5, np.nan, np.nan, 4.5, 4.5]),
    }
