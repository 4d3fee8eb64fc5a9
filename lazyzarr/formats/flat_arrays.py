"""Flat manifests on their way into a format of others: what writers share.

Owns collecting the manifests of a view or of a group, their ``zarr.json`` with a common decode as CF attributes where
those say exactly the same, and the lengths of whole objects. Refuses views that are not flat, all problems at once,
and codecs that no other reader has.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from lazyzarr.errors import NotFlat, SaveUnsupported, SourceMissing
from lazyzarr.formats.export_sources import with_nodes
from lazyzarr.formats.referenced import json_values
from lazyzarr.formats.zarr_references import cf_decode
from lazyzarr.ir.data_type import msgspec_form, to_numpy
from lazyzarr.ir.layout import Json, NamedConfig
from lazyzarr.lower.aligned import INLINE, MISSING, OBJECT, RANGE, AlignedManifest
from lazyzarr.lower.naming import NUMBERED

Decode = Literal["exact", "attributes"]
_THREADS = 8
_PACKING = "lazyzarr.unpack"


@dataclass
class Collected:
    """What a writer was given, by path."""

    arrays: dict[str, FlatArray] = field(default_factory=dict[str, "FlatArray"])
    plain: dict[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])
    groups: dict[str, dict[str, Json]] = field(default_factory=dict[str, dict[str, Json]])
    """Attributes."""


def collected(views: Any, path: str, decode: Decode, what: str, *, rectilinear: bool = True) -> Collected:
    """The flat manifests of a view or a group.

    Raises
    ------
    NotFlat
        With every problem of every view.
    SaveUnsupported
        Something in it has no form outside lazyzarr.
    """
    found = Collected()
    problems: list[str] = []
    _collect(views, path.strip("/"), decode, rectilinear, found, problems)
    if problems:
        raise NotFlat(f"{what}; {len(problems)} things are in the way ({NUMBERED})", problems)
    for one in found.arrays.values():
        one.resolve()
    return found


def _collect(views: Any, path: str, decode: Decode, rectilinear: bool, found: Collected, problems: list[str]) -> None:
    if isinstance(views, Mapping):
        found.groups[path] = json_values(getattr(views, "attrs", {}))
        for name in views:
            _collect(views[name], f"{path}/{name}".lstrip("/"), decode, rectilinear, found, problems)
    elif hasattr(views, "flatten") and hasattr(views, "attrs"):
        if not path:
            raise SaveUnsupported("write of a view without a name; an array needs one; pass path=..., or a mapping")
        try:
            with with_nodes(views):
                found.arrays[path] = FlatArray(path, views.flatten(rectilinear=rectilinear), decode, views)
        except NotFlat as error:
            problems += [f"{path}: {problem}" for problem in error.problems]
    elif isinstance(views, np.ndarray | np.generic | list | int | float | str):
        found.plain[path] = np.asarray(views)
    else:
        raise SaveUnsupported(
            f"write of {path!r}, a {type(views).__name__}; views, arrays and mappings are written; open it first"
        )


class FlatArray:
    """One array on its way into another format."""

    def __init__(self, path: str, flat: AlignedManifest, decode: Decode, given: Any) -> None:
        self.path = path
        self.given = given
        self.flat = flat
        self.lost: list[str] = []
        self.metadata = self._metadata(decode)
        self.state: np.ndarray = np.array(flat.state)
        self.lengths: np.ndarray = np.array(flat.length)

    @property
    def virtual(self) -> int:
        """Chunks in objects."""
        return int(np.count_nonzero((self.state == RANGE) | (self.state == OBJECT)))

    @property
    def inline(self) -> int:
        """Chunks whose bytes are in memory."""
        return int(np.count_nonzero(self.state == INLINE))

    @property
    def written(self) -> int:
        """Chunks that are not missing."""
        return int(np.count_nonzero(self.state != MISSING))

    def resolve(self) -> None:
        """Lengths of whole objects; those of arrays that are not there are missing chunks."""
        rows = np.flatnonzero(self.state == OBJECT)
        if not len(rows):
            return
        urls, grants, places = self.flat.urls(rows), self.flat.grants(rows), self.flat.places(rows)
        session = self.flat.reader.session

        def size(at: int) -> int | None:
            place = places[at]
            absent = place is not None and place.keys is not None
            try:
                return session.stat(urls[at], grant=grants[at]).size
            except SourceMissing as error:
                if not absent or error.reason != SourceMissing.default_reason:
                    raise
                return None

        with ThreadPoolExecutor(_THREADS) as pool:
            sizes = list(pool.map(size, range(len(rows))))
        self.lengths[rows] = [size or 0 for size in sizes]
        self.state[rows[[size is None for size in sizes]]] = MISSING

    def _metadata(self, decode: Decode) -> dict[str, Json]:
        """``zarr.json``, with packing as attributes."""
        document = self.flat.zarr_metadata()
        attributes = json_values(document["attributes"])
        codecs = list(self.flat.codecs)
        unpack = next((codec for codec in codecs if codec.name == _PACKING), None)
        if unpack is not None and codecs[0] is unpack:
            attributes, exact = _as_attributes(attributes, unpack, self.flat)
            if not exact and decode == "exact":
                raise SaveUnsupported(
                    f"write of {self.path}: its cells are unpacked to {self.flat.data_type} with {unpack.configuration}; "
                    "CF attributes in Zarr have no type, so readers would unpack to float64 or mask other cells; "
                    'pass decode="attributes" to write them all the same, or open the sources with packing="raw"'
                )
            if not exact:
                self.lost.append(f"{self.path}: readers unpack to another type than {self.flat.data_type}")
            codecs = codecs[1:]
            document["data_type"] = msgspec_form(self.flat.stored_data_type)
            document["fill_value"] = self._stored_fill()
            document["codecs"] = [{"name": one.name, "configuration": one.configuration} for one in codecs]
        for codec in codecs:
            if codec.name.startswith("lazyzarr."):
                raise SaveUnsupported(
                    f"write of {self.path}: its chunks are stored with codec {codec.name!r}, which has no reader outside "
                    "lazyzarr; copy the array with codecs of Zarr v3"
                )
        document["attributes"] = finite(attributes)
        return document

    def _stored_fill(self) -> Json:
        value = self.flat.stored_fill_value
        if value is None and bool((self.flat.state == MISSING).any()):
            raise SaveUnsupported(
                f"write of {self.path}: its missing chunks read as {self.flat.fill_value!r}, and no stored value unpacks "
                "to that; write those chunks first"
            )
        return 0 if value is None else value


def _as_attributes(
    attributes: dict[str, Json], unpack: NamedConfig, flat: AlignedManifest
) -> tuple[dict[str, Json], bool]:
    """The attributes with the packing, and whether a reader makes the same decode of them."""
    wanted = unpack.configuration
    found = {name: value for name, value in attributes.items() if name not in ("_FillValue", "missing_value")}
    for name in ("scale_factor", "add_offset"):
        found.pop(name, None)
        if wanted.get(name) is not None:
            found[name] = wanted[name]
    dtype = to_numpy(flat.stored_data_type)
    fills = list(wanted.get("fill_values") or [])
    if fills:
        found["_FillValue"] = _fill_attribute(fills[-1], dtype)
    if len(fills) > 1:
        found["missing_value"] = fills[0] if len(fills) == 2 else fills[:-1]
    again, _ = cf_decode(found, flat.stored_data_type, "auto")
    return found, again is not None and _canonical(again) == _canonical(wanted)


def _fill_attribute(value: Json, dtype: np.dtype[Any]) -> Json:
    """As xarray has it in Zarr: floating point in base64."""
    if dtype.kind != "f":
        return value
    special = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
    number = special.get(value, value) if isinstance(value, str) else value
    return base64.standard_b64encode(struct.pack("<d", float(number))).decode()


def _canonical(configuration: Mapping[str, Json]) -> dict[str, Json]:
    found = {name: value for name, value in configuration.items() if value is not None and value != []}
    if "fill_values" in found:
        found["fill_values"] = sorted(map(repr, found["fill_values"]))
    return found


def finite(value: Any) -> Json:
    """JSON has no NaN; what is not finite becomes text, as in fill values of Zarr."""
    if isinstance(value, dict):
        return {str(name): finite(one) for name, one in value.items()}
    if isinstance(value, list):
        return [finite(one) for one in value]
    if isinstance(value, float) and not np.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    return value
