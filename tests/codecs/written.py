"""Arrays written by zarr-python into memory, read chunk by chunk with our chains and compared bit for bit."""

from __future__ import annotations

import numpy as np
import zarr
from zarr.storage import MemoryStore

from lazyzarr.codecs.chain import compile_chain
from lazyzarr.formats.zarr import ZarrArrayInfo, read_array_metadata
from lazyzarr.ir.chunk_keys import chunk_key


def write(values: np.ndarray, **settings) -> MemoryStore:
    """The store of an array that zarr-python wrote."""
    store = MemoryStore()
    settings.setdefault("dtype", values.dtype)
    array = zarr.create_array(store, shape=values.shape, **settings)
    array[...] = values
    return store


def write_codecs(values: np.ndarray, chunks, codecs, fill_value=0) -> MemoryStore:
    """As `write`, with an explicit list of Zarr v3 codecs."""
    store = MemoryStore()
    array = zarr.create(
        store=store, shape=values.shape, dtype=values.dtype, chunks=chunks, codecs=codecs, fill_value=fill_value
    )
    array[...] = values
    return store


def content(store: MemoryStore) -> tuple[ZarrArrayInfo, dict[str, bytes]]:
    """What the metadata says, and the chunks by key."""
    found = {key: value.to_bytes() for key, value in store._store_dict.items()}
    if "zarr.json" in found:
        return read_array_metadata(found.pop("zarr.json")), found
    return read_array_metadata(found.pop(".zarray"), found.pop(".zattrs", None)), found


def compare(store: MemoryStore) -> int:
    """Compare every chunk with what zarr-python reads; how many there were."""
    info, chunks = content(store)
    layout = info.layout
    chain = compile_chain(layout)
    truth = np.asarray(zarr.open_array(store, mode="r")[...])
    grid = [-(-n // c) for n, c in zip(info.shape, layout.chunk_shape, strict=True)]
    count = 0
    for place in np.ndindex(*grid):
        data = chunks.pop(chunk_key(layout.chunk_keys, place), None)
        if data is None:
            continue
        count += 1
        found = chain.decode(data)
        assert found.shape == chain.shape == layout.chunk_shape
        assert found.dtype == chain.dtype
        assert found.dtype.isnative
        if chain.encoded.exact:
            assert len(data) == chain.encoded.limit
        assert len(data) <= chain.encoded.limit
        window = tuple(
            slice(k * c, min((k + 1) * c, n)) for k, c, n in zip(place, layout.chunk_shape, info.shape, strict=True)
        )
        want = np.asarray(truth[window])
        same(found[tuple(slice(0, n) for n in want.shape)], want)
        if chain.can_decode_into:
            out = np.zeros(chain.shape, chain.dtype)
            assert chain.decode_into(data, out)
            assert out.tobytes() == found.tobytes()
        again = chain.decode(memoryview(bytearray(data)))  # writable, and not bytes
        same(again, found)
    assert not chunks, "chunks without a place in the grid"
    return count


def same(found: np.ndarray, want: np.ndarray) -> None:
    """Equal type and equal bits."""
    if want.dtype.kind in "TO":
        assert found.shape == want.shape
        assert (found == want).all()
        return
    want = want.astype(want.dtype.newbyteorder("="))
    assert found.dtype == want.dtype
    assert found.tobytes() == want.tobytes()
