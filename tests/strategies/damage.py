"""The pool of stored arrays with damage: copies of which some object is cut, empty, swapped, replaced or changed.

Owns what is done to the files, and which cells that makes unreadable. Nothing else about the arrays changes, so
graphs are drawn over them as over sound ones.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import zarr

from lazyzarr.access.session import Session
from lazyzarr.ir.layout import Stamp
from lazyzarr.ir.tables import Table
from tests.strategies.cells import DTYPES
from tests.strategies.stored import Pool, Stored, pool
from tests.strategies.writing import region

CHECKED = ("gzip", "crc32c")
"""Families whose every chunk has a checksum; elsewhere a flipped bit of the cells is another value."""

EXACT = ("plain", "big", "v2-plain", "v2-big")
"""Families whose chunks have one length, or a decoder that takes nothing behind the end."""

Files = dict[tuple[int, ...], Path]


def cut(file: Path, rng: random.Random) -> None:
    """A write that was interrupted."""
    content = file.read_bytes()
    file.write_bytes(content[: rng.randrange(len(content))])


def emptied(file: Path, rng: random.Random) -> None:
    """A file that was made and never written."""
    file.write_bytes(b"")


def longer(file: Path, rng: random.Random) -> None:
    """Bytes behind the end."""
    file.write_bytes(file.read_bytes() + bytes(rng.randint(1, 9)))


def flipped(file: Path, rng: random.Random) -> None:
    """One bit is another one."""
    content = bytearray(file.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)


def directory(file: Path, rng: random.Random) -> None:
    """A directory in place of the object."""
    file.unlink()
    file.mkdir()


def garbage(file: Path, rng: random.Random) -> None:
    """Something else altogether: the object of another format."""
    file.write_bytes(b"<html>404</html>" + rng.randbytes(500))


HARMS: tuple[Callable[[Path, random.Random], None], ...] = (cut, emptied, longer, flipped, directory, garbage)
"""What may happen to one object."""
WHOLE = ("gone", "stale stamp", "changed metadata")
"""What may happen to all of an array."""


@functools.cache
def damaged_pool() -> Pool:
    """Sound arrays and damaged copies of them; the directory is removed at exit."""
    root = Path(tempfile.mkdtemp(prefix="damaged-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    rng = random.Random(20250801)
    arrays: list[Stored] = []
    for stored in pool().arrays:
        arrays.append(stored)
        if stored.cells.size:
            found = _harmed(root / str(stored.number), stored, rng)
            if found is not None:
                arrays.append(found)
    return Pool(tuple(arrays), {name: tuple(s for s in arrays if s.dtype == name) for name in DTYPES})


def _harmed(root: Path, stored: Stored, rng: random.Random) -> Stored | None:
    if stored.placing == "refs":
        return _harmed_blob(root, stored, rng)
    if stored.path is None:
        return None
    shutil.copytree(stored.path, root)
    found = replace(
        stored,
        path=root,
        array=msgspec.structs.replace(stored.array, location=root.as_uri()),
        # a damaged copy has a layout of its own, so that no table of tiles takes it for one of its group
        group="",
    )
    everything = np.ones(stored.cells.shape, bool)
    if rng.random() < 0.25:
        how = rng.choice(WHOLE)
        if how == "gone":
            shutil.rmtree(root)
            return replace(found, harm=how, bad=everything)
        return replace(_restamped(found, how), harm=how, bad=everything)
    files = _files(root)
    if not files:
        return None
    harm = rng.choice([harm for harm in HARMS if harm is not flipped or stored.family in CHECKED])
    at = rng.choice(sorted(files))
    harm(files[at], rng)
    bad = np.zeros(stored.cells.shape, bool)
    bad[region(at, _objects(root))] = True
    sure = _is_sure(stored) if harm is longer else harm is not flipped and not stored.family.startswith("sharded")
    return replace(found, harm=harm.__name__, bad=bad, sure=sure)


def _is_sure(stored: Stored) -> bool:
    """Whether bytes behind the end of a chunk have to be noticed: several containers say themselves where they end."""
    return stored.family in EXACT and not stored.variants


def _harmed_blob(root: Path, stored: Stored, rng: random.Random) -> Stored | None:
    """A copy of an array in blobs: the file is cut, gone or another one, or a row of the table is wrong."""
    (table,) = stored.tables
    states = np.asarray(table["state"]) if "state" in table else np.ones(table.rows, np.uint8)
    own = np.arange(stored.array.refs_first, table.rows)
    own = own[states[own] == 1]
    if not len(own) or stored.array.places:
        return None
    file = Path(str(stored.array.location).removeprefix("file://"))
    root.mkdir()
    copy = Path(shutil.copy(file, root / "blob.bin"))
    array = msgspec.structs.replace(stored.array, location=copy.as_uri())
    row = int(rng.choice(own.tolist()))
    how = rng.choice(("gone", "stale stamp", "beyond the end", "wrong length", "cut"))
    columns = {name: np.array(column) for name, column in table.columns.items()}
    rows, sure = [row], True
    if how in ("gone", "stale stamp"):
        rows = own.tolist()
        if how == "gone":
            copy.unlink()
        else:
            array = msgspec.structs.replace(array, stamp=Stamp(size=copy.stat().st_size + 1))
    elif how == "beyond the end":
        columns["offset"][row] = copy.stat().st_size + 5
    elif how == "wrong length":
        columns["length"][row] += 1
        sure = _is_sure(stored)
    else:
        size = int(columns["offset"][row]) + int(columns["length"][row]) - 1
        os.truncate(copy, size)
        rows = [k for k in own.tolist() if int(columns["offset"][k] + columns["length"][k]) > size]
        sure = not stored.family.startswith("sharded")
    shape = stored.layout.chunk_shape
    grid = tuple(-(-n // c) for n, c in zip(stored.cells.shape, shape, strict=True))
    bad = np.zeros(stored.cells.shape, bool)
    for one in rows:
        bad[region(np.unravel_index(one - stored.array.refs_first, grid) if grid else (), shape)] = True
    harmed = Table(columns)
    return replace(
        stored,
        array=msgspec.structs.replace(array, refs=harmed.name),
        tables=(harmed,),
        harm=how,
        bad=bad,
        sure=sure,
    )


def _restamped(stored: Stored, how: str) -> Stored:
    """Metadata that is not that of the stamp: it was changed after the array was referenced, or the stamp is old."""
    assert stored.path is not None
    text = stored.path / stored.layout.metadata
    _, stamp = Session().read_stamped(text.as_uri())
    if how == "stale stamp":
        assert stamp.mtime_ns is not None
        stamp = msgspec.structs.replace(stamp, mtime_ns=stamp.mtime_ns - 10**9, digest="sha256:" + "0" * 64)
    else:
        document = json.loads(text.read_text())
        document["shape"] = [n + 1 for n in document["shape"]] or [1]
        text.write_text(json.dumps(document))
    return replace(stored, array=msgspec.structs.replace(stored.array, stamp=stamp))


def _files(root: Path) -> Files:
    """Position in the grid of stored objects -> file, of those that exist."""
    array = zarr.open_array(root, mode="r")
    grid = (-(-n // c) for n, c in zip(array.shape, _objects(root), strict=True))
    files = {at: root / array.metadata.encode_chunk_key(at) for at in np.ndindex(*grid)}
    return {at: file for at, file in files.items() if file.is_file()}


def _objects(root: Path) -> tuple[int, ...]:
    """Cells of a stored object along each axis."""
    array = zarr.open_array(root, mode="r")
    return tuple(array.shards or array.chunks)
