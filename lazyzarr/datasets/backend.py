"""The backend of xarray for saved views: ``xarray.open_dataset(url, engine="lazyzarr")``.

Owns lazy reading the way of xarray: a selection becomes a view when values are asked for, so a stored chunk is read once and no
other. It claims what lazyzarr saved and nothing else, unless it is named. Refuses to write.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from xarray.backends import BackendArray, BackendEntrypoint
from xarray.core import indexing

from lazyzarr.api import open as open_views
from lazyzarr.blocks import aligned_chunks
from lazyzarr.datasets.arrays import DatasetView
from lazyzarr.datasets.variables import below, dataset_of, members_of, opened_for, packing_for
from lazyzarr.document.wire import CONVENTION
from lazyzarr.formats.packing import Packing
from lazyzarr.group import Group, for_others
from lazyzarr.view import View


class ViewBackendArray(BackendArray):
    """A view as xarray reads arrays of files."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.shape = view.shape
        self.dtype = view.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        return self.view.oindex[key].read()


class LazyZarrBackend(BackendEntrypoint):
    """``engine="lazyzarr"``."""

    description = "Open saved views, and everything else that lazyzarr opens"
    open_dataset_parameters: ClassVar[tuple[str, ...] | None] = (
        *("filename_or_obj", "drop_variables", "group", "name", "packing", "allow", "storage_options", "verify"),
        *("mask_and_scale", "decode_times", "concat_characters", "decode_coords", "use_cftime", "decode_timedelta"),
    )

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Whether there is a group that lazyzarr saved; only directories on local disk are looked into."""
        if not isinstance(filename_or_obj, str | os.PathLike) or "://" in str(filename_or_obj):
            return False
        document = Path(filename_or_obj) / "zarr.json"
        return document.is_file() and CONVENTION["uuid"].encode() in document.read_bytes()

    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        group: str | None = None,
        name: str | None = None,
        packing: Any = None,
        allow: Iterable[Any] = (),
        storage_options: Any = None,
        verify: bool = True,
        **decoding: Any,
    ) -> xr.Dataset:
        """A data set that reads when it is asked for values.

        Parameters
        ----------
        group
            Path of a group.
        name
            Of the variable, where a single view is opened; by default ``data``.
        packing, allow, storage_options, verify
            As `lazyzarr.open`; the packing of files stays raw with ``mask_and_scale=False``, while a saved view is what it is.
        decoding
            What `xarray.open_dataset` passes on.
        """
        found = self._open(filename_or_obj, group, packing, decoding, allow, storage_options, verify)
        return self._dataset(found, drop_variables, name, packing, decoding)

    def open_groups_as_dict(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        group: str | None = None,
        packing: Any = None,
        allow: Iterable[Any] = (),
        storage_options: Any = None,
        verify: bool = True,
        **decoding: Any,
    ) -> dict[str, xr.Dataset]:
        """A data set for each group, by path; without what definitions remember of their files."""
        root = self._open(filename_or_obj, group, packing, decoding, allow, storage_options, verify)
        waiting: list[tuple[str, View | Group]] = [("/", for_others(root) if isinstance(root, Group) else root)]
        found: dict[str, xr.Dataset] = {}
        while waiting:
            path, member = waiting.pop(0)
            found[path] = self._dataset(member, drop_variables, None, packing, decoding)
            if isinstance(member, Group):
                waiting += [(f"{path.rstrip('/')}/{key}", one) for key, one in _groups_of(member)]
        return found

    def open_datatree(self, filename_or_obj: Any, **options: Any) -> xr.DataTree:
        """All groups as a tree."""
        return xr.DataTree.from_dict(self.open_groups_as_dict(filename_or_obj, **options))

    @staticmethod
    def _open(
        place: Any, group: str | None, packing: Any, decoding: dict[str, Any], allow: Any, options: Any, verify: bool
    ) -> View | Group:
        def opened(packing: Packing) -> View | Group:
            found = open_views(place, packing=packing, allow=allow, storage_options=options, verify=verify)
            return below(found, group, place)

        return opened_for(decoding, packing, opened)

    @staticmethod
    def _dataset(
        found: View | Group, dropped: Any, name: str | None, packing: Any, decoding: dict[str, Any]
    ) -> xr.Dataset:
        members, attrs = members_of(found, name, dropped)
        dataset = dataset_of(members, attrs, unpack=(packing or packing_for(decoding)) == "auto", **decoding)
        for variable in dataset.variables.values():
            data = variable._data
            if isinstance(data, DatasetView):
                variable._data = indexing.LazilyIndexedArray(ViewBackendArray(data))  # pyright: ignore[reportAttributeAccessIssue]
                variable.encoding["preferred_chunks"] = PreferredChunks(variable.dims, data)
        return dataset


class PreferredChunks(Mapping[Hashable, "int | tuple[int, ...]"]):
    """Lengths of the blocks that cut no stored chunk, by dimension: one number where they are equal.

    They are found when they are asked for: only ``chunks=`` needs them, and of many sources they take longer than to open.
    """

    def __init__(self, dims: Sequence[Hashable], view: View) -> None:
        self._dims = tuple(dims)
        self._view = view

    @cached_property
    def _lengths(self) -> dict[Hashable, int | tuple[int, ...]]:
        found: dict[Hashable, int | tuple[int, ...]] = {}
        for name, lengths in zip(self._dims, aligned_chunks(self._view, sensible=1), strict=True):
            equal = all(length == lengths[0] for length in lengths[:-1]) and lengths and lengths[-1] <= lengths[0]
            found[name] = lengths[0] if equal else lengths
        return found

    def __getitem__(self, key: Hashable) -> int | tuple[int, ...]:
        return self._lengths[key]

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._dims)

    def __len__(self) -> int:
        return len(self._dims)

    def __repr__(self) -> str:
        return repr(self._lengths)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (self._lengths,)


def _groups_of(group: Group) -> list[tuple[str, Group]]:
    members = [(key, group[key]) for key in group]
    return [(key, member) for key, member in members if isinstance(member, Group)]
