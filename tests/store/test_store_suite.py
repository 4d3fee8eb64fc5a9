"""zarr-python's own tests of stores, on a store over a view: those of them that a read-only store can answer.

The suite writes what it reads back, without the store. Here that is a file of the source, which has the keys of the view.
Tests that write through the store, or begin with an empty one, have no read-only form.
"""

from __future__ import annotations

import asyncio
import inspect
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.buffer import cpu, default_buffer_prototype
from zarr.testing.store import StoreTests

import lazyzarr as lz
from lazyzarr.view_store import ViewStore


class Suite(StoreTests[ViewStore, cpu.Buffer]):
    """The suite over one array, whose chunks are files of four bytes."""

    store_cls = ViewStore
    buffer_cls = cpu.Buffer

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        zarr.create_array(folder, shape=(8,), dtype="u1", chunks=(4,), compressors=None)
        self.kwargs: dict[str, Any] = {"views": lz.open(folder)}

    async def set(self, store: ViewStore, key: str, value: Any) -> None:
        (self.folder / key).parent.mkdir(exist_ok=True)
        (self.folder / key).write_bytes(value.to_bytes())

    async def get(self, store: ViewStore, key: str) -> Any:
        return self.buffer_cls.from_bytes((self.folder / key).read_bytes())

    def test_store_repr(self, store: ViewStore) -> None:
        assert repr(store) == "ViewStore(uint8 (8,))"

    def test_store_supports_writes(self, store: ViewStore) -> None:
        assert not store.supports_writes

    def test_store_supports_listing(self, store: ViewStore) -> None:
        assert store.supports_listing

    def run(self, name: str, **more: Any) -> None:
        """One test, with the fixtures that it asks for."""
        test = getattr(self, name)
        made = {
            "store": lambda: asyncio.run(self.store_cls.open(**self.kwargs)),
            "store_not_open": lambda: self.store_cls(**self.kwargs),
            "store_kwargs": lambda: self.kwargs,
            "open_kwargs": lambda: self.kwargs,
        }
        wanted = inspect.signature(test).parameters
        found = test(**{name: make() for name, make in made.items() if name in wanted}, **more)
        if inspect.isawaitable(found):
            asyncio.run(_awaited(found))


async def _awaited(found: Any) -> None:
    await found


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    "name",
    [
        *("test_store_repr", "test_store_supports_writes", "test_store_supports_listing", "test_store_type"),
        *("test_store_eq", "test_store_supports_partial_writes", "test_store_context_manager"),
        *("test_read_only_store_raises", "test_with_read_only_store", "test_get_not_open", "test_get_raises"),
        *("test_getsize_raises", "test_get_sync_missing"),
    ],
)
def test_what_the_suite_asks(suite: Suite, name: str) -> None:
    suite.run(name)


FOUR = b"\x01\x02\x03\x04"


@pytest.mark.parametrize("part", [None, RangeByteRequest(1, 4), OffsetByteRequest(1), SuffixByteRequest(1)])
def test_getting(suite: Suite, part: ByteRequest | None) -> None:
    suite.run("test_get", key="c/1", data=FOUR, byte_range=part)


def test_size(suite: Suite) -> None:
    suite.run("test_getsize", key="c/0", data=FOUR)
    asyncio.run(suite.set(None, "c/1", suite.buffer_cls.from_bytes(FOUR)))
    store = ViewStore(**suite.kwargs)
    assert asyncio.run(store.getsize_prefix("c")) == 8
    assert asyncio.run(store.is_empty("d"))
    assert not asyncio.run(store.is_empty(""))


@pytest.mark.parametrize(
    "part", [None, RangeByteRequest(1, 4), OffsetByteRequest(1), SuffixByteRequest(1), RangeByteRequest(10, 20)]
)
def test_sync_and_async_agree(suite: Suite, part: ByteRequest | None) -> None:
    asyncio.run(suite.set(None, "c/0", suite.buffer_cls.from_bytes(FOUR)))
    store = ViewStore(**suite.kwargs)
    prototype = default_buffer_prototype()
    for key in ("c/0", "zarr.json"):
        one, two = store.get_sync(key, byte_range=part), asyncio.run(store.get(key, prototype, part))
        (three,) = asyncio.run(store.get_partial_values(prototype, iter([(key, part)])))
        assert one.to_bytes() == two.to_bytes() == three.to_bytes()


def test_several_keys(suite: Suite) -> None:
    for key in ("c/0", "c/1"):
        asyncio.run(suite.set(None, key, suite.buffer_cls.from_bytes(FOUR)))
    store, prototype = ViewStore(**suite.kwargs), default_buffer_prototype()

    async def collect() -> dict[str, bytes]:
        wanted = [(key, prototype, None) for key in ("c/0", "c/1", "c/2")]
        return {key: found and found.to_bytes() async for key, found in store._get_many(wanted)}

    assert asyncio.run(collect()) == {"c/0": FOUR, "c/1": FOUR, "c/2": None}
    assert asyncio.run(store.get_partial_values(prototype, [])) == []


def test_it_can_be_pickled(suite: Suite) -> None:
    asyncio.run(suite.set(None, "c/0", suite.buffer_cls.from_bytes(FOUR)))
    store = ViewStore(**suite.kwargs)
    again = pickle.loads(pickle.dumps(store))
    assert again == store
    assert hash(again) == hash(store)
    assert again != ViewStore(suite.kwargs["views"][:4])
    assert again.read_only
    assert np.array_equal(zarr.open_array(again, mode="r")[:4], [1, 2, 3, 4])
