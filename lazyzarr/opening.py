"""Opening: from a location, an array or a store to a view or a group.

Owns the recognition of what is at a location and which importer it goes to. Metadata is read, chunks never.
Refuses to guess: what is not recognised is an error that says what was found.
"""

from __future__ import annotations

import copy
import importlib
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from typing import Any, Literal

import numpy as np

from lazyzarr.access.policy import grant_for
from lazyzarr.access.session import Session
from lazyzarr.access.url import child, from_user, shown, to_path
from lazyzarr.document.decode import DEFAULT_LIMITS, decode
from lazyzarr.document.limits import Limits
from lazyzarr.document.wire import CONVENTIONS, is_ours
from lazyzarr.errors import ExtraMissing, SourceMissing, SourceProtocolError, ViewSchemaError
from lazyzarr.formats.manifest_reading import manifest_of
from lazyzarr.formats.packing import Packing
from lazyzarr.formats.zarr import ZarrArrayInfo, read_array_metadata
from lazyzarr.formats.zarr_groups import GroupInfo, read_group_metadata
from lazyzarr.group import Group
from lazyzarr.ir import data_type as types
from lazyzarr.ir import fill
from lazyzarr.ir.layout import Layout, NamedConfig, Stamp, StoredArray
from lazyzarr.ir.tables import Table
from lazyzarr.kerchunk_views import References
from lazyzarr.leaves import source
from lazyzarr.read import Reader
from lazyzarr.view import View

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


class Opening:
    """What a person said when opening: trust, options, packing; one session for all that is opened by it.

    Parameters
    ----------
    allow
        Prefixes that documents may reference beside their own directory.
    storage_options
        Prefix of locations to options of the storage there (endpoint, keys).
    packing
        Whether CF packing of files becomes a decode node ("auto") or stays in the integers ("raw").
    verify
        False accepts sources that changed since they were referenced.
    missing
        What virtual HDF5 datasets read where a source file is not there: "error" or "fill".
    templates
        Whether templates and generators of kerchunk JSON are expanded.
    limits
        What a document may cost.
    """

    def __init__(
        self,
        *,
        allow: Iterable[str | os.PathLike[str]] = (),
        storage_options: Mapping[str, Mapping[str, Any]] | None = None,
        packing: Packing = "auto",
        verify: bool = True,
        missing: Literal["error", "fill"] = "error",
        templates: bool = False,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.allow = tuple(allow)
        self.packing: Packing = packing
        self.missing = missing
        self.templates = templates
        self.limits = limits
        self.session = Session(storage_options, verify_stamps=verify)
        self.reader = Reader(self.session)
        self._root = ""
        """What the person opened: documents inside it may reach what is beside it."""

    def open(self, place: Any, variable: str | None = None) -> View | Group:
        """What `lazyzarr.open` gives."""
        if isinstance(place, View | Group):
            return place
        if isinstance(place, np.ndarray):
            return inline(place, self.reader)
        if type(place).__module__.partition(".")[0] == "zarr":
            return self._from_zarr(place, variable)
        if not isinstance(place, str | os.PathLike):
            raise ViewSchemaError(
                f"open of a {type(place).__name__}; views are opened from paths, URLs, NumPy arrays, Zarr arrays and stores",
                reason="source-format",
            )
        return self._from_url(from_user(place), variable)

    def _from_zarr(self, given: Any, variable: str | None) -> View | Group:
        where = getattr(given, "store_path", given)
        url = self.session.add_store(where)
        return self._from_url(url.rstrip("/") if "://" not in url[-3:] else url, variable)

    def _from_url(self, url: str, variable: str | None) -> View | Group:
        self._root = url
        found = self._zarr_node(url)
        if found is None and self._is_file(url) and not self._begins_as_json(url):
            return self._from_file(url, variable)
        if found is None:
            found = self._references(url)
        if found is None:
            raise self._nothing_at(url)
        if variable is None:
            return found
        if isinstance(found, View):
            raise ViewSchemaError(
                f"open of variable {variable!r} of {shown(url)}; that is an array itself; leave variable out",
                reason="source-format",
            )
        return _member(found, variable, url)

    # -- Zarr -----------------------------------------------------------------------------------------

    def _zarr_node(self, url: str, known: tuple[str, ...] | None = None) -> View | Group | None:
        """The Zarr node at a location, of either version; None when there is none.

        ``known`` are the paths of nodes below it that consolidated metadata above it has.
        """
        document = self._metadata(url, "zarr.json")
        if document is not None:
            text, stamp = document
            view = self._view(url, text)
            if view is not None:
                return view
            node = read_group_metadata(text)
            if node.node_type == "group":
                return self._group(url, node, known)
            manifest = manifest_of(text) if b"storage_transformers" in text else None
            if manifest is not None:
                return self._reference_file(url).manifest(text, manifest, url)
            return self._array(url, _array_metadata(text, None), stamp)
        document = self._metadata(url, ".zarray")
        if document is not None:
            attributes = self._metadata(url, ".zattrs")
            return self._array(url, _array_metadata(document[0], attributes and attributes[0]), document[1])
        document = self._metadata(url, ".zgroup")
        if document is not None:
            attributes = self._metadata(url, ".zattrs")
            together = None if known is not None else self._metadata(url, ".zmetadata")
            info = read_group_metadata(document[0], attributes and attributes[0], together and together[0])
            return self._group(url, info, known)
        return None

    def _metadata(self, url: str, key: str) -> tuple[bytes, Stamp] | None:
        try:
            text, stamp = self.session.read_stamped(child(url, key), limit=self.limits.document_bytes)
        except SourceMissing:
            return None
        return bytes(text), stamp

    def _array(self, url: str, info: ZarrArrayInfo, stamp: Stamp) -> View:
        self.limits.check("rank", len(info.shape), where=shown(url))
        self.limits.check("codecs", len(info.layout.codecs), where=shown(url))
        array = StoredArray(layout=0, shape=info.shape, location=url, stamp=stamp)
        attrs = copy.deepcopy(info.attributes)
        return source(array, [info.layout], reader=self.reader, dims=info.dimension_names, attrs=attrs)

    def _group(self, url: str, info: GroupInfo, known: tuple[str, ...] | None) -> Group:
        paths = info.paths or known or info.paths  # members of a consolidated group have empty lists of their own
        names = self._listed(url) if paths is None else sorted({path.partition("/")[0] for path in paths})
        below = {
            name: None if paths is None else tuple(p[len(name) + 1 :] for p in paths if p.startswith(f"{name}/"))
            for name in names
        }
        attrs = dict(info.attributes)
        conventions = attrs.get(CONVENTIONS)
        if isinstance(conventions, list) and any(is_ours(entry) for entry in conventions):
            attrs[CONVENTIONS] = [entry for entry in conventions if not is_ours(entry)]
            if not attrs[CONVENTIONS]:
                del attrs[CONVENTIONS]
        openers = {name: partial(self._child, url, name, paths_below) for name, paths_below in below.items()}
        return Group(openers, attrs=attrs, place=shown(url))

    def _listed(self, url: str) -> list[str]:
        """Names of the Zarr nodes directly below a group."""
        markers = ("zarr.json", ".zarray", ".zgroup")
        return [
            name
            for name in self.session.list_dir(url)
            if not name.startswith(".")
            and name != "zarr.json"
            and any(self.session.exists(child(url, f"{name}/{m}")) for m in markers)
        ]

    def _child(self, url: str, name: str, known: tuple[str, ...] | None) -> View | Group:
        found = self._zarr_node(child(url, name), known)
        if found is None:
            raise self._nothing_at(child(url, name))
        return found

    def _view(self, url: str, text: bytes) -> View | None:
        """The saved view in a metadata document; None when it is an ordinary node."""
        if b'"lazyzarr"' not in text:
            return None
        grant = self.session.add_grant(grant_for(self._root, self.allow))
        try:
            opened = decode(text, url=url, session=self.session, limits=self.limits, grant=grant)
        except ViewSchemaError as error:
            if error.reason == "document-missing":
                return None
            raise
        return View(None, graph=opened.graph, reader=self.reader, dims=opened.dims, attrs=opened.attributes)

    # -- files ----------------------------------------------------------------------------------------

    def _references(self, url: str) -> View | Group | None:
        """What kerchunk JSON or Parquet at a location describes; None where it is neither."""
        if url.partition("?")[0].endswith(".json") or self._is_file(url):
            try:
                text, stamp = self.session.read_stamped(url, limit=self.limits.document_bytes)
            except SourceMissing:
                return None
            return self._reference_file(url).json(bytes(text), stamp)
        found = self._metadata(url, ".zmetadata")
        return None if found is None else self._reference_file(url).parquet(*found)

    def _reference_file(self, url: str) -> References:
        """A file of references is a document: it reaches what is below its own parent, or is allowed."""
        return References(
            url,
            reader=self.reader,
            grant=grant_for(self._root, self.allow),
            packing=self.packing,
            limits=self.limits,
            templates=self.templates,
        )

    def _begins_as_json(self, url: str) -> bool:
        with open(to_path(url), "rb") as file:
            return file.read(64).lstrip()[:1] == b"{"

    def _is_file(self, url: str) -> bool:
        return url.startswith("file://") and os.path.isfile(to_path(url))

    def _from_file(self, url: str, variable: str | None) -> View | Group:
        path = to_path(url)
        if not _is_hdf5(path):
            with open(path, "rb") as file:
                start = file.read(8)
            raise SourceProtocolError(
                f"open of {shown(url)}; it begins with {start!r}, which is no format known here; "
                "Zarr arrays, saved views, HDF5/NetCDF-4 files and files of references can be opened",
                reason="source-format",
            )
        try:
            views = importlib.import_module("lazyzarr.hdf5_views")
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("lazyzarr"):
                raise
            raise ExtraMissing(
                f'open of the HDF5 file {shown(url)}; the package {error.name} is not installed; run pip install "lazyzarr[hdf5]"'
            ) from error
        return views.open_hdf5(path, url, variable, packing=self.packing, missing=self.missing, reader=self.reader)

    def _nothing_at(self, url: str) -> SourceMissing:
        return SourceMissing(
            f"open of {shown(url)}; there is no Zarr array, group or saved view, and no file; check the path"
        )


@lru_cache(maxsize=256)
def _array_metadata(document: bytes, attributes: bytes | None) -> ZarrArrayInfo:
    """Parsed metadata; the arrays of an archive often have the same text, and then share one layout."""
    return read_array_metadata(document, attributes)


def inline(array: np.ndarray, reader: Reader) -> View:
    """A view of a NumPy array, whose cells are stored with the view when it is saved (up to a limit)."""
    data_type = types.from_numpy(array.dtype)
    held = np.array(array, dtype=types.to_numpy(data_type), order="C", copy=True)
    held.flags.writeable = False
    table = Table({"values": held if held.ndim else held.reshape(1)})
    codec = NamedConfig("bytes", {"endian": "little"})
    if held.dtype.kind == "T":
        codec = NamedConfig("vlen-utf8")
    elif held.dtype.kind == "O":
        codec = NamedConfig("vlen-bytes")
    layout = Layout(data_type, fill.zero(data_type), tuple(max(n, 1) for n in held.shape), (codec,))
    stored = StoredArray(layout=0, shape=held.shape, values=table.name)
    return source(stored, [layout], reader=reader, tables={table.name: table})


def _member(group: Group, variable: str, url: str) -> View | Group:
    try:
        return group[variable]
    except KeyError as error:
        raise SourceMissing(
            f"open of variable {variable!r} of {shown(url)}; {error.args[0]}; name one of them"
        ) from None


def _is_hdf5(path: str) -> bool:
    """Whether the HDF5 signature is at byte 0, 512, 1024, 2048, ... (a user block may come before it)."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        at = 0
        while at + len(_HDF5_MAGIC) <= size:
            file.seek(at)
            if file.read(len(_HDF5_MAGIC)) == _HDF5_MAGIC:
                return True
            at = max(512, at * 2)
    return False
