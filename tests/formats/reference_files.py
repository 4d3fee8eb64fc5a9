"""Files of references for tests, and what other software reads from them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import xarray as xr
import zarr
from zarr.storage import FsspecStore

Chunk = Callable[[bytes, str], Any]


class Maker:
    """Turns Zarr arrays into references to pieces of one binary file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data.bin"
        self.refs: dict[str, Any] = {".zgroup": '{"zarr_format": 2}'}
        self._at = 0
        self.data.write_bytes(b"")

    def part(self, content: bytes, url: str = "data.bin") -> list[Any]:
        """Content at the end of a file, as a reference."""
        path = self.folder / url
        with path.open("ab") as file:
            file.write(b"gap" + content)
        return [url, path.stat().st_size - len(content), len(content)]

    def whole(self, content: bytes) -> list[Any]:
        """Content as a file of its own."""
        self._at += 1
        (self.folder / f"whole{self._at}.bin").write_bytes(content)
        return [f"whole{self._at}.bin"]

    def array(
        self, path: str, values: Any, *, chunk: Callable[[bytes, int], Any] | None = None, **options: Any
    ) -> np.ndarray:
        """References of an array; ``chunk`` makes an entry of the bytes and the number of a chunk, or None."""
        values = np.asarray(values)
        attributes = options.pop("attributes", {})
        options = {"zarr_format": 2, "compressors": None, "filters": None, **options}
        store = zarr.storage.MemoryStore()
        with zarr.config.set({"array.write_empty_chunks": True}):
            made = zarr.create_array(store, shape=values.shape, dtype=values.dtype, attributes=attributes, **options)
            made[...] = values
        number = 0
        for key, value in sorted(store._store_dict.items(), key=lambda item: (len(item[0]), item[0])):
            content = value.to_bytes()
            if key.rpartition("/")[2] in (".zarray", ".zattrs", "zarr.json"):
                text = content.decode()
                if key == ".zarray" and "fill_value" not in options:
                    text = json.dumps({**json.loads(text), "fill_value": None})
                self.refs[f"{path}/{key}"] = text
                continue
            entry = self.part(content) if chunk is None else chunk(content, number)
            number += 1
            if entry is not None:
                self.refs[f"{path}/{key}"] = entry
        return values

    def json(self, name: str = "refs.json", *, version: int | None = 1, **more: Any) -> str:
        """The references as kerchunk JSON."""
        document = {"version": 1, "refs": self.refs, **more} if version else self.refs
        (self.folder / name).write_text(json.dumps(document))
        return str(self.folder / name)


def base64_text(content: bytes) -> str:
    """Content as kerchunk keeps it in the file."""
    return "base64:" + base64.b64encode(content).decode()


def absolute(refs: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The same references with absolute locations: fsspec takes relative ones from the working directory."""
    return {
        key: [str(folder / value[0]), *value[1:]] if isinstance(value, list) else value for key, value in refs.items()
    }


def foreign_store(refs: Any) -> FsspecStore:
    """References as a Zarr store, as fsspec reads them."""
    fs = fsspec.filesystem("reference", fo=refs, remote_protocol="file", asynchronous=True, skip_instance_cache=True)
    return FsspecStore(fs, read_only=True)


def foreign_dataset(refs: Any, **options: Any) -> xr.Dataset:
    """References as xarray reads them."""
    return xr.open_zarr(foreign_store(refs), consolidated=False, chunks=None, decode_times=False, **options)
