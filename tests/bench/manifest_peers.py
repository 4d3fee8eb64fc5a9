"""One manifest in the forms of lazyzarr, kerchunk and Icechunk: written, and opened for one chunk.

Owns the references, which are the same numbers for everybody, and what each library is asked to do with them by its own
means. The array has one axis, int16, gzip, and one cell a chunk; only the chunk ``READ`` is there.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

EACH = 1_000
"""Chunks of each file or array."""
READ, CELL = 7, 77
KINDS = ("append", "random", "keys")
"""Byte ranges of 10 to 60 kB behind each other, every tenth behind a hole; such ranges anywhere; objects."""


class References(NamedTuple):
    """Of all chunks, in order; those of a file are together."""

    kind: str
    first: int
    """Number of the first file."""
    folder: Path
    offset: np.ndarray
    length: np.ndarray

    def files(self) -> list[str]:
        """Location of each file or array."""
        return [f"file://{self.folder}/{k}.nc" for k in range(self.first, self.first + len(self.offset) // EACH)]

    def urls(self) -> list[str]:
        """Location of the object of each chunk."""
        if self.kind == "keys":
            return [f"{url}/c/{k}" for url in self.files() for k in range(EACH)]
        return [url for url in self.files() for _ in range(EACH)]


def references(kind: str, count: int, folder: Path, *, first: int = 0) -> References:
    """The references from file ``first`` on, with the file that the chunk ``READ`` of it needs."""
    random = np.random.default_rng(first)
    content = gzip.compress(np.int16(CELL).tobytes(), 1, mtime=0)
    folder.mkdir(exist_ok=True)
    if kind == "keys":
        (folder / f"{first}.nc" / "c").mkdir(parents=True, exist_ok=True)
        (folder / f"{first}.nc" / "c" / str(READ)).write_bytes(content)
        (folder / f"{first}.nc" / "zarr.json").write_text(json.dumps(metadata(EACH)))
        return References(kind, first, folder, np.zeros(count, np.uint64), np.full(count, len(content), np.uint64))
    length = random.integers(10_000, 60_000, count).astype(np.uint64)
    length[READ] = len(content)
    if kind == "random":
        offset = random.integers(0, 2**32, count).astype(np.uint64)
    else:
        hole = np.where(random.random(count) < 0.1, random.integers(8, 2_000, count), 0).astype(np.uint64)
        end = np.cumsum((hole + length).reshape(-1, EACH), axis=1)
        offset = end.reshape(-1) - length + np.uint64(4096)
    with (folder / f"{first}.nc").open("wb") as file:
        file.seek(int(offset[READ]))
        file.write(content)
    return References(kind, first, folder, offset, length)


def metadata(count: int) -> dict[str, Any]:
    """The array as Zarr v3 describes it."""
    codecs = [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "gzip", "configuration": {"level": 1}},
    ]
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [count],
        "data_type": "int16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": codecs,
        "attributes": {},
    }


def _view(given: References) -> Any:
    import lazyzarr as lz
    from lazyzarr.ir.layout import Layout, NamedConfig, StoredArray
    from lazyzarr.ir.tables import Table
    from lazyzarr.leaves import source
    from lazyzarr.read import Reader

    if given.kind == "keys":
        first = lz.open(given.folder / f"{given.first}.nc")
        (one,) = first.sources()
        arrays = [StoredArray(0, (EACH,), url, stamp=one.stamp) for url in given.files()]
        return lz.concat([source(array, first.ir.layouts, reader=first.reader) for array in arrays])
    layout = Layout("int16", 0, (1,), (NamedConfig("bytes", {"endian": "little"}), NamedConfig("gzip", {"level": 1})))
    table = Table({"offset": given.offset, "length": given.length}, name="references")
    reader = Reader()
    return lz.concat(
        [
            source(
                StoredArray(0, (EACH,), url, refs=table.name, refs_first=k * EACH),
                [layout],
                reader=reader,
                tables={table.name: table},
            )
            for k, url in enumerate(given.files())
        ]
    )


def write_lazyzarr(given: References, target: Path) -> Callable[[], Any]:
    """A saved view of the manifest alone; lowering the view to it is part of the work."""
    import lazyzarr as lz

    view = _view(given)
    view.ir  # noqa: B018
    return lambda: lz.save(view, target, manifest="only")


def open_lazyzarr(target: Path) -> Callable[[], Any]:
    """A saved view."""
    import lazyzarr as lz

    view = lz.open(target, allow=["file:///"])
    return lambda: view[READ].read()


def _zarray(count: int) -> dict[str, str]:
    array = {
        "zarr_format": 2,
        "shape": [count],
        "chunks": [1],
        "dtype": "<i2",
        "compressor": {"id": "gzip", "level": 1},
        "fill_value": 0,
        "order": "C",
        "filters": None,
    }
    return {".zgroup": '{"zarr_format": 2}', "x/.zarray": json.dumps(array), "x/.zattrs": "{}"}


def _entries(given: References) -> list[list[Any]]:
    urls = given.urls()
    if given.kind == "keys":
        return [[url] for url in urls]
    return [[url, o, n] for url, o, n in zip(urls, given.offset.tolist(), given.length.tolist(), strict=True)]


def write_json(given: References, target: Path) -> Callable[[], Any]:
    """kerchunk JSON, version 1."""

    def work() -> None:
        entries = _entries(given)
        refs = {**_zarray(len(entries)), **{f"x/{k}": entry for k, entry in enumerate(entries)}}
        with target.open("w") as file:
            json.dump({"version": 1, "refs": refs}, file)

    return work


def write_parquet(given: References, target: Path) -> Callable[[], Any]:
    """kerchunk Parquet by fsspec, 100,000 references a file, as kerchunk has it."""
    from fsspec.implementations.reference import LazyReferenceMapper

    def work() -> None:
        entries = _entries(given)
        out = LazyReferenceMapper.create(str(target), record_size=100_000)
        for name, text in _zarray(len(entries)).items():
            out[name] = text.encode()
        for number, entry in enumerate(entries):
            out[f"x/{number}"] = entry
        out.flush()

    return work


def open_references(target: Path) -> Callable[[], Any]:
    """Either form of kerchunk, by fsspec and zarr-python."""
    import fsspec
    import zarr
    from zarr.storage import FsspecStore

    fs = fsspec.filesystem(
        "reference", fo=str(target), remote_protocol="file", asynchronous=True, skip_instance_cache=True
    )
    array = zarr.open_array(FsspecStore(fs, read_only=True), path="x", mode="r", zarr_format=2)
    return lambda: array[READ]


def repository(folder: Path, data: Path, *, new: bool, split: int = 0) -> Any:
    """An Icechunk repository that may reference what is below ``data``; manifests of ``split`` chunks each."""
    import icechunk

    config = icechunk.RepositoryConfig.default()
    config.set_virtual_chunk_container(
        icechunk.VirtualChunkContainer(f"file://{data}/", icechunk.local_filesystem_store(str(data)))
    )
    if split:
        sizes = {icechunk.ManifestSplitCondition.AnyArray(): {icechunk.ManifestSplitDimCondition.Any(): split}}
        config.manifest = icechunk.ManifestConfig(splitting=icechunk.ManifestSplittingConfig.from_dict(sizes))
    access: Any = {f"file://{data}/": icechunk.credentials.LocalFileSystemAccess}
    storage = icechunk.local_filesystem_storage(str(folder))
    if not new:
        return icechunk.Repository.open(storage, config, authorize_virtual_chunk_access=access)
    repo = icechunk.Repository.create(storage, config, authorize_virtual_chunk_access=access)
    repo.save_config()
    return repo


def set_references(session: Any, given: References, path: str = "x", rows: slice = slice(None), first: int = 0) -> None:
    """Virtual references of some of the chunks, from chunk ``first`` of an array on."""
    offset, length = np.ascontiguousarray(given.offset[rows]), np.ascontiguousarray(given.length[rows])
    session.store.set_virtual_refs_arr(
        f"/{path}", (len(offset),), given.urls()[rows], offset, length, arr_offset=(first,)
    )


def new_array(session: Any, count: int, path: str = "x") -> Any:
    """The array without chunks."""
    import zarr

    options: dict[str, Any] = {"compressors": [zarr.codecs.GzipCodec(level=1)], "filters": None, "fill_value": 0}
    return zarr.create_array(session.store, name=path, shape=(count,), chunks=(1,), dtype="i2", **options)


def write_icechunk(given: References, target: Path, split: int = 0) -> Callable[[], Any]:
    """Virtual references set from columns, and one commit."""

    def work() -> None:
        session = repository(target, given.folder, new=True, split=split).writable_session("main")
        new_array(session, len(given.offset))
        set_references(session, given)
        session.commit("all")

    return work


def open_icechunk(target: Path) -> Callable[[], Any]:
    """The last snapshot, by zarr-python."""
    import zarr

    session = repository(target, target.parent / "data", new=False).readonly_session("main")
    array = zarr.open_array(session.store, path="x", mode="r")
    return lambda: array[READ]


class Peer(NamedTuple):
    """A form of manifest."""

    write: Callable[[References, Path], Callable[[], Any]]
    """Prepares; what it returns writes."""
    open: Callable[[Path], Callable[[], Any]]
    """Opens; what it returns reads the chunk ``READ``."""
    most: int
    """Chunks that it is asked for; beyond that it takes minutes and gigabytes."""


PEERS: Mapping[str, Peer] = {
    "lazyzarr": Peer(write_lazyzarr, open_lazyzarr, 10**8),
    "kerchunk JSON": Peer(write_json, open_references, 10**6),
    "kerchunk Parquet": Peer(write_parquet, open_references, 10**6),
    "Icechunk": Peer(write_icechunk, open_icechunk, 10**7),
}
