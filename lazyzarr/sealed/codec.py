"""The codec of sealed arrays, for zarr-python: it reads the cells that are asked for from the view.

Owns the class that zarr-python finds by its entry point. A part of the chunk is read as that part of the view; the
chunk as bytes alone says nothing without its place, so that is an error, and so are a chunk that is not there and a
view that is no longer what was sealed. Refuses to write.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from zarr.abc.codec import ArrayBytesCodec
from zarr.abc.codec import ArrayBytesCodecPartialDecodeMixin as Partial

from lazyzarr.access.url import child
from lazyzarr.errors import SaveUnsupported, UnsupportedFeature, ViewSchemaError
from lazyzarr.formats.sealed_pointer import CODEC, pointer_key
from lazyzarr.opening import Opening
from lazyzarr.view import View


@dataclass(frozen=True)
class SealedCodec(ArrayBytesCodec, Partial):
    """Array-to-bytes codec ``lazyzarr.sealed``."""

    is_fixed_size = False

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """The codec of the metadata of an array; it has no configuration."""
        name = data if isinstance(data, str) else data.get("name")
        if name != CODEC or (not isinstance(data, str) and (data.get("configuration") or set(data) - _MEMBERS)):
            raise ViewSchemaError(f"codec {data!r}; {CODEC} has no configuration", reason="codec-invalid")
        return cls()

    def to_dict(self) -> dict[str, Any]:
        """As the metadata of an array have it."""
        return {"name": CODEC}

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:
        """Refuse grids of several chunks: only one chunk is stored."""
        if tuple(getattr(chunk_grid, "chunk_shape", ())) != tuple(max(n, 1) for n in shape):
            raise ViewSchemaError(
                f"a sealed array of shape {shape} in several chunks; it has one", reason="codec-invalid"
            )

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: Any) -> int:
        """The chunk has any length; zarr's own codecs of no fixed length say it with this error, too."""
        raise NotImplementedError

    async def _decode_partial_single(self, byte_getter: Any, selection: Any, chunk_spec: Any) -> Any:
        return await asyncio.to_thread(_read, byte_getter, selection, chunk_spec)

    def _decode_partial_sync(self, byte_getter: Any, selection: Any, chunk_spec: Any) -> Any:
        return _read(byte_getter, selection, chunk_spec)

    async def _decode_single(self, chunk_data: Any, chunk_spec: Any) -> Any:
        raise _without_place()

    def _decode_sync(self, chunk_data: Any, chunk_spec: Any) -> Any:
        raise _without_place()

    async def _encode_single(self, chunk_data: Any, chunk_spec: Any) -> Any:
        raise _read_only()

    def _encode_sync(self, chunk_data: Any, chunk_spec: Any) -> Any:
        raise _read_only()


_MEMBERS = {"name", "configuration", "must_understand"}


def _read(byte_getter: Any, selection: Any, chunk_spec: Any) -> Any:
    """Some cells of the view that the chunk at a place of a store points to."""
    store, path = getattr(byte_getter, "store", None), getattr(byte_getter, "path", None)
    if store is None or path is None:
        raise _without_place()
    opening = Opening()
    root, shape = opening.session.add_store(store).rstrip("/"), tuple(chunk_spec.shape)
    below = path.removesuffix(pointer_key(len(shape))).strip("/")
    where = child(root, below) if below else root
    view = opening.followed(where, len(shape))
    dtype = chunk_spec.dtype.to_native_dtype()
    if tuple(max(n, 1) for n in view.shape) != shape or view.dtype != dtype:
        raise ViewSchemaError(
            f"the view of the sealed array has shape {view.shape} and type {view.dtype} now, it was sealed with "
            f"{shape} and {dtype}; seal it again",
            reason="document-schema",
            where=where,
        )
    return chunk_spec.prototype.nd_buffer.from_ndarray_like(np.asarray(_cells(view, selection)))


def _cells(view: View, selection: Any) -> np.ndarray:
    """Cells of a view by a selection of zarr-python: slices, integers and arrays of cells, as NumPy indexes with them."""
    keys = selection if isinstance(selection, tuple) else (selection,)
    box: list[slice] = []
    inside: list[Any] = []
    for key, n in zip(keys, view.shape, strict=True):
        if isinstance(key, slice):
            box.append(key)
            inside.append(slice(None))
            continue
        cells = np.asarray(key)
        if cells.dtype == bool:
            cells = np.flatnonzero(cells)
        cells = np.where(cells < 0, cells + n, cells)
        first, last = (int(cells.min()), int(cells.max()) + 1) if cells.size else (0, 0)
        box.append(slice(first, last))
        inside.append(cells - first if cells.ndim else int(cells - first))
    return view[tuple(box)].read()[tuple(inside)]


def _without_place() -> UnsupportedFeature:
    return UnsupportedFeature(
        f"{CODEC}: a chunk without its place in a store; what it points to is relative to that; open the array itself, "
        "without sharding or caches around its chunks, and do not write to it",
        reason="codec-unknown",
    )


def _read_only() -> SaveUnsupported:
    return SaveUnsupported(f"{CODEC}: a sealed array is read only; save another view, and seal that")
