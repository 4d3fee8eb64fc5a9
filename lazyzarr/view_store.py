"""Views as a read-only Zarr store: what any zarr-python client reads as plain Zarr v3.

Owns the keys of a tree of views and groups, and the ``get`` of zarr's store interface. What an array consists of is
for `lazyzarr.served`. Refuses to write, and to call a chunk absent that could not be had: errors of sources are
raised as they are, and none of them is one that zarr takes for a missing key.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from operator import lt
from typing import Any

import msgspec
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.buffer import default_buffer_prototype

from lazyzarr.errors import SaveUnsupported
from lazyzarr.group import Group
from lazyzarr.served import ServedArray, cut
from lazyzarr.view import View

DOCUMENT = "zarr.json"
_PLACE = re.compile(r"(?:(?:0|[1-9][0-9]{0,18})/)*")
"""Coordinates in their one spelling; one of more digits than an int64 has is no chunk, and not worth converting."""


class ViewStore(Store):
    """A view or a group of views, read as Zarr; made by `lazyzarr.store`."""

    def __init__(self, views: View | Group, *, rectilinear: bool = False, read_only: bool = True) -> None:
        """See `lazyzarr.store`.

        Raises
        ------
        SaveUnsupported
            A store that can be written is asked for.
        """
        if not read_only:
            raise SaveUnsupported("a store over views is read-only; save a view, or copy its values, to write")
        super().__init__(read_only=True)
        self._views = views
        self._rectilinear = rectilinear
        self._arrays: dict[str, ServedArray] = {}
        self._groups: dict[str, Group] = {}

    def __eq__(self, value: object) -> bool:
        if not isinstance(value, ViewStore) or value._rectilinear != self._rectilinear:
            return False
        return _same(self._views, value._views)

    def __hash__(self) -> int:
        views = self._views
        return hash((tuple(views) if isinstance(views, Group) else views.token(), self._rectilinear))

    def __repr__(self) -> str:
        views = self._views
        return f"ViewStore({f'group of {len(views)}' if isinstance(views, Group) else f'{views.dtype} {views.shape}'})"

    def with_read_only(self, read_only: bool = False) -> ViewStore:
        """This store again; as stores do that cannot be written, it raises ``NotImplementedError`` for one that can."""
        if not read_only:
            super().with_read_only(read_only)
        return ViewStore(self._views, rectilinear=self._rectilinear)

    @property
    def supports_writes(self) -> bool:
        """Never."""
        return False

    @property
    def supports_deletes(self) -> bool:
        """Never."""
        return False

    @property
    def supports_listing(self) -> bool:
        """Always: the keys follow from the metadata."""
        return True

    # -- reading ---------------------------------------------------------------------------------------

    def get_sync(self, key: str, *, prototype: Any = None, byte_range: ByteRequest | None = None) -> Any:
        """The value of a key, or of a range of it; None where there is none.

        Raises
        ------
        LazyZarrError
            A source could not be read.
        """
        self._is_open = True
        start, length = (0, None) if byte_range is None else _part(byte_range)
        data = self._value(key, start, length)
        return None if data is None else (prototype or default_buffer_prototype()).buffer.from_bytes(data)

    async def get(self, key: str, prototype: Any, byte_range: ByteRequest | None = None) -> Any:
        """As `get_sync`, on a thread of its own where sources may have to be read."""
        return await asyncio.to_thread(self.get_sync, key, prototype=prototype, byte_range=byte_range)

    async def get_partial_values(
        self, prototype: Any, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Any]:
        """Several values, side by side."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Whether a key has a value; a chunk is asked for, since only its source knows."""
        return await asyncio.to_thread(self._value, key, 0, 1) is not None

    def _value(self, key: str, start: int, length: int | None) -> Any:
        path, _, name = key.rpartition("/")
        if name == DOCUMENT:
            node = self._node(path)
            if node is None:
                return None
            text = msgspec.json.encode(self._document(path, node, consolidated=True))
            return cut(text, start, length)
        found = self._chunk_of(key)
        if found is None:
            return None
        array, place = found
        return array.chunk(place, start, length)

    def _chunk_of(self, key: str) -> tuple[ServedArray, tuple[int, ...]] | None:
        """The array and the coordinates that a key names, if it is the key of a chunk of the grid."""
        path, below, name = f"/{key}/".rpartition("/c/")
        if not below or not _PLACE.fullmatch(name):
            return None
        path = path[1:]
        array = self._arrays.get(path)
        if array is None:
            node = self._node(path)
            if not isinstance(node, View):
                return None
            array = self._array(path, node)
        place = tuple(map(int, name.split("/")[:-1]))
        return (array, place) if len(place) == len(array.grid) and all(map(lt, place, array.grid)) else None

    def _node(self, path: str) -> View | Group | None:
        found: Any = self._views
        for name in path.split("/") if path else ():
            if not isinstance(found, Mapping) or name not in found:
                return None
            found = found[name]
        return found

    def _array(self, path: str, view: View) -> ServedArray:
        if path not in self._arrays:
            self._arrays[path] = ServedArray(view, rectilinear=self._rectilinear)
        return self._arrays[path]

    def _document(self, path: str, node: View | Group, *, consolidated: bool) -> dict[str, Any]:
        if isinstance(node, View):
            return self._array(path, node).metadata
        document: dict[str, Any] = {"zarr_format": 3, "node_type": "group", "attributes": node.attrs}
        if consolidated:  # in every group that is asked for: a client may open any of them, and HTTP has no listing
            start = len(path) + 1 if path else 0
            below = {p[start:]: self._document(p, n, consolidated=False) for p, n in self._below(path) if p != path}
            document["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": below}
        return document

    # -- listing ---------------------------------------------------------------------------------------

    def _below(self, path: str) -> Iterator[tuple[str, View | Group]]:
        """A node and all below it, by path."""
        node = self._node(path)
        if node is None:
            return
        yield path, node
        if isinstance(node, Group):
            for name in node:
                yield from self._below(f"{path}/{name}" if path else name)

    async def list(self) -> AsyncIterator[str]:
        """Every key; those of all chunks of the grids, of which some may be absent."""
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Keys that begin with a text."""
        for path, node in self._below(""):
            root = f"{path}/" if path else ""
            if not (root.startswith(prefix) or prefix.startswith(root)):
                continue
            if f"{root}{DOCUMENT}".startswith(prefix):
                yield root + DOCUMENT
            if isinstance(node, View):
                array = self._array(path, node)
                for place in itertools.product(*map(range, array.grid)):
                    key = root + "/".join(("c", *map(str, place)))
                    if key.startswith(prefix) and await asyncio.to_thread(array.is_there, place):
                        yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names directly below a path."""
        path = prefix.strip("/")
        node = self._node(path)
        if node is None:
            parts = path.split("/")
            at = len(parts) - 1 - parts[::-1].index("c") if "c" in parts else -1
            above = self._node("/".join(parts[:at])) if at >= 0 else None
            texts = parts[at + 1 :]
            if isinstance(above, View) and all(text.isdecimal() for text in texts):
                grid = self._array("/".join(parts[:at]), above).grid
                if len(texts) < len(grid) and all(int(t) < n for t, n in zip(texts, grid, strict=False)):
                    for k in range(grid[len(texts)]):
                        yield str(k)
            return
        yield DOCUMENT
        if isinstance(node, Group):
            for name in node:
                yield name
        else:
            yield "c"

    # -- what a read-only store refuses ----------------------------------------------------------------

    async def set(self, key: str, value: Any) -> None:
        """Refused: the store is read-only."""
        self._check_writable()

    async def delete(self, key: str) -> None:
        """Refused: the store is read-only."""
        self._check_writable()

    def set_sync(self, key: str, value: Any) -> None:
        """Refused: the store is read-only."""
        self._check_writable()

    def delete_sync(self, key: str) -> None:
        """Refused: the store is read-only."""
        self._check_writable()


def _same(left: View | Group, right: View | Group) -> bool:
    """Whether views have one graph, dimensions and attributes, or groups the same members."""
    if left is right:
        return True
    if isinstance(left, View) and isinstance(right, View):
        return (left.token(), left.dims, left.attrs) == (right.token(), right.dims, right.attrs)
    if isinstance(left, View) or isinstance(right, View) or list(left) != list(right) or left.attrs != right.attrs:
        return False
    return all(_same(left[name], right[name]) for name in left)


def _part(request: ByteRequest) -> tuple[int, int | None]:
    """First byte, negative from the end, and number of bytes."""
    match request:
        case RangeByteRequest(start, end):
            return start, end - start
        case OffsetByteRequest(offset):
            return offset, None
        case SuffixByteRequest(0):
            return 0, 0
        case SuffixByteRequest(suffix):
            return -suffix, None
        case _:
            raise TypeError(f"Unexpected byte_range, got {request}.")
