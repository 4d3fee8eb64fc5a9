"""VirtualiZarr's objects: ManifestArray, ManifestGroup, ManifestStore, and xarray datasets and trees of them.

Owns what their metadata and manifests mean here. Local files are pinned when they are imported; VirtualiZarr keeps
no checksum of others, and none is invented. Refuses variables that are neither virtual nor in memory.
"""

# objects of other libraries, known by what they offer
# pyright: reportPrivateUsage=false

from __future__ import annotations

import importlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

import numpy as np
from zarr.buffer import cpu

from lazyzarr.access.session import Session
from lazyzarr.access.url import from_user
from lazyzarr.errors import LazyZarrError, SourceMissing
from lazyzarr.formats.referenced import Referenced, ReferencedGroup, Unreadable, json_values, unsupported
from lazyzarr.formats.zarr import ZarrArrayInfo, read_array_metadata
from lazyzarr.formats.zarr_references import referenced
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import from_numpy
from lazyzarr.ir.layout import Layout, NamedConfig, Stamp

Packing = Literal["auto", "raw"]
_INLINED = "__inlined__"
"""What VirtualiZarr writes in place of a location for a chunk that is in the manifest."""


def import_virtual(session: Session, found: Any, *, packing: Packing = "auto") -> Referenced | ReferencedGroup:
    """Describe an object of VirtualiZarr, or of xarray with such objects inside.

    Raises
    ------
    UnsupportedFeature, SourceProtocolError
        A ManifestArray has no form here; of groups and datasets, the variable is marked instead.
    """
    pins = _Pins(session)
    kind = type(found).__name__
    if kind == "ManifestArray":
        return _array("array", found, None, None, packing, pins)
    if kind == "ManifestStore":
        return _manifest_group("/", found._group, packing, pins)
    if kind == "ManifestGroup":
        return _manifest_group("/", found, packing, pins)
    if kind == "DataArray":
        return _variable(str(found.name or "array"), found.variable, packing, pins)
    if kind == "Variable":
        return _variable("array", found, packing, pins)
    if kind == "Dataset":
        return _dataset("/", found, {}, packing, pins)
    if kind == "DataTree":
        return _tree("/", found, packing, pins)
    raise unsupported(
        "VirtualiZarr", f"a {kind} is none of its arrays, groups and datasets", "pass one of these, or a path"
    )


class _Pins(dict[str, Stamp]):
    """Stamps of local files, taken once."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._spelled: dict[str, str] = {}

    def spell(self, path: str) -> str:
        """The location in its one spelling, pinned if it is local."""
        url = self._spelled.get(path)
        if url is None:
            url = self._spelled[path] = from_user(path)
            if url.startswith("file://"):
                with suppress(SourceMissing):  # reading says so; the other variables can be used
                    self[url] = self._session.stat(url)
        return url


def _manifest_group(name: str, group: Any, packing: Packing, pins: _Pins) -> ReferencedGroup:
    members: dict[str, Referenced | Unreadable | ReferencedGroup] = {}
    for key, one in group.arrays.items():
        members[key] = _tried(key, lambda one=one, key=key: _array(key, one, None, None, packing, pins))
    for key, inner in group.groups.items():
        members[key] = _manifest_group(key, inner, packing, pins)
    return ReferencedGroup(name, json_values(group.metadata.attributes), members)


def _tree(name: str, tree: Any, packing: Packing, pins: _Pins) -> ReferencedGroup:
    children = {str(key): _tree(str(key), child, packing, pins) for key, child in tree.children.items()}
    return _dataset(name, tree.to_dataset(inherit=False), children, packing, pins)


def _dataset(
    name: str, dataset: Any, children: Mapping[str, ReferencedGroup], packing: Packing, pins: _Pins
) -> ReferencedGroup:
    members: dict[str, Referenced | Unreadable | ReferencedGroup] = dict(children)
    for key, one in dataset.variables.items():
        members[str(key)] = _tried(str(key), lambda one=one, key=key: _variable(str(key), one, packing, pins))
    return ReferencedGroup(name, json_values(dataset.attrs), members)


def _tried(name: str, describe: Any) -> Referenced | Unreadable:
    try:
        return describe()
    except LazyZarrError as error:
        return Unreadable(name, error.reason, f"variable {name!r}: {error.args[0]}")


def _variable(name: str, variable: Any, packing: Packing, pins: _Pins) -> Referenced:
    data = variable._data
    if type(data).__name__ == "ManifestArray":
        # xarray keeps the packing of what it decoded in the encoding
        attributes = {**variable.encoding, **variable.attrs}
        known = {*variable.attrs, "_FillValue", "missing_value", "scale_factor", "add_offset", "_Unsigned"}
        kept = {key: value for key, value in attributes.items() if key in known}
        return _array(name, data, kept, variable.dims, packing, pins)
    if not variable._in_memory:
        raise unsupported(
            "VirtualiZarr",
            f"variable {name!r} is read by xarray when it is used ({type(data).__name__})",
            "load it, or open its file with lazyzarr",
        )
    return _loaded(name, variable)


def _loaded(name: str, variable: Any) -> Referenced:
    """A variable whose values are in memory, as one chunk of the manifest; times become CF numbers."""
    if variable.dtype.kind in "mM":
        # xarray is there, since this is its object
        variable = importlib.import_module("xarray.conventions").encode_cf_variable(variable)
    cells = np.asarray(variable.values)
    if cells.dtype.kind in "OU":
        cells = cells.astype(np.dtypes.StringDType())
    data_type = from_numpy(cells.dtype)
    layout = Layout(data_type, fill.zero(data_type), tuple(max(n, 1) for n in cells.shape), _serial(cells))
    columns = {"offset": np.zeros(1, np.uint64), "length": np.zeros(1, np.uint64), "state": np.zeros(1, np.uint8)}
    if not cells.size:
        columns = {key: column[:0] for key, column in columns.items()}
    return Referenced(
        name,
        cells.shape,
        layout,
        columns,
        (),
        (),
        attributes=json_values(variable.attrs),
        dimension_names=tuple(str(dim) for dim in variable.dims),
        inline={0: _bytes(cells)} if cells.size else {},
    )


def _serial(cells: np.ndarray) -> tuple[NamedConfig, ...]:
    if cells.dtype.kind == "T":
        return (NamedConfig("vlen-utf8"),)
    return (NamedConfig("bytes", {"endian": "little"}),)


def _bytes(cells: np.ndarray) -> bytes:
    if cells.dtype.kind != "T":
        return cells.astype(cells.dtype.newbyteorder("<")).tobytes()
    items = [str(one).encode() for one in cells.reshape(-1)]
    pieces = [len(items).to_bytes(4, "little")]
    for item in items:
        pieces += [len(item).to_bytes(4, "little"), item]
    return b"".join(pieces)


def _array(
    name: str, array: Any, attributes: Mapping[str, Any] | None, dims: Any, packing: Packing, pins: _Pins
) -> Referenced:
    info = _info(array.metadata)
    info = ZarrArrayInfo(
        info.shape,
        info.layout,
        info.dimension_names if dims is None else tuple(str(dim) for dim in dims),
        info.attributes if attributes is None else dict(attributes),
    )
    manifest = array.manifest
    paths = manifest._paths
    inside = {tuple(int(k) for k in at): bytes(data) for at, data in manifest._inlined.items()}
    shape = paths.shape
    rows = {int(np.ravel_multi_index(at, shape)) if shape else 0: data for at, data in inside.items()}
    urls = [path if path in ("", _INLINED) else pins.spell(path) for path in paths.reshape(-1).tolist()]
    urls = ["" if path == _INLINED else path for path in urls]
    return referenced(
        name,
        info,
        urls,
        manifest._offsets.reshape(-1),
        manifest._lengths.reshape(-1),
        rows,
        pins,
        packing=packing,
    )


def _info(metadata: Any) -> ZarrArrayInfo:
    return read_array_metadata(metadata.to_buffer_dict(cpu.buffer_prototype)["zarr.json"].to_bytes())
