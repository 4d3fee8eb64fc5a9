"""Opening: from a location, an array or a store to a view or a group.

Owns the recognition of what is at a location and which importer it goes to. Metadata is read, chunks never.
Refuses to guess: what is not recognised is an error that says what was found.
"""

from __future__ import annotations

import copy
import importlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple

import numpy as np

from lazyzarr.access.policy import Grant, configured, grant_for
from lazyzarr.access.ranged_file import FIRST, RangedFile
from lazyzarr.access.session import Session
from lazyzarr.access.url import child, from_user, parse, shown, to_path
from lazyzarr.document.decode import DEFAULT_LIMITS, decode, generation_of
from lazyzarr.document.limits import Limits, longest_chain
from lazyzarr.document.locations import Resolver, document_url
from lazyzarr.document.text import scan
from lazyzarr.document.wire import CONVENTIONS, is_ours
from lazyzarr.errors import ExtraMissing, SourceMissing, SourceProtocolError, ViewSchemaError
from lazyzarr.foreign import (
    chosen,
    format_of,
    is_icechunk,
    is_repository,
    is_virtual,
    open_file,
    open_icechunk,
    open_repository,
    open_virtual,
)
from lazyzarr.formats.kerchunk_json import read_json
from lazyzarr.formats.manifest_reading import manifest_of
from lazyzarr.formats.packing import Packing
from lazyzarr.formats.referenced import Keyed
from lazyzarr.formats.sealed_pointer import CODEC, check_document, no_view, pointer_key, pointer_of
from lazyzarr.formats.signatures import described, is_hdf5
from lazyzarr.formats.tensorstore_reading import is_specification
from lazyzarr.formats.zarr import ZarrArrayInfo, read_array_metadata
from lazyzarr.formats.zarr_groups import GroupInfo, read_group_metadata
from lazyzarr.group import Group, in_both_forms
from lazyzarr.ir import data_type as types
from lazyzarr.ir import fill
from lazyzarr.ir.layout import Layout, NamedConfig, Stamp, StoredArray
from lazyzarr.ir.tables import Table
from lazyzarr.kerchunk_views import References
from lazyzarr.leaves import source
from lazyzarr.read import Reader
from lazyzarr.reference_views import keyed_view
from lazyzarr.tensorstore_views import Specifications
from lazyzarr.view import View

_METADATA = ("zarr.json", ".zarray", ".zgroup")
_SHARED = 1 << 16
"""Longest metadata document that is kept in case that others are the same [bytes]."""
_NAMED_LIKE_A_FILE = re.compile(r"\.(nc4?|cdf|h5|hdf5?|he5|h5ad|nxs|mat)$|\?", re.IGNORECASE)
"""Remote locations at which a file is looked for first: a Zarr node has three places to ask at."""


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
    version
        Branch, tag or snapshot of an Icechunk repository.
    templates
        Whether templates and generators of kerchunk JSON are expanded.
    limits
        What a document may cost.
    manifest
        Read saved views through the manifests that are stored with them.
    """

    def __init__(
        self,
        *,
        allow: Iterable[str | os.PathLike[str]] = (),
        storage_options: Mapping[str, Mapping[str, Any]] | None = None,
        packing: Packing = "auto",
        verify: bool = True,
        missing: Literal["error", "fill"] = "error",
        version: str | None = None,
        templates: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        manifest: bool = False,
    ) -> None:
        self.allow = tuple(allow)
        self.packing: Packing = packing
        self.missing = missing
        self.version = version
        self.templates = templates
        self.limits = limits
        self.manifest = manifest
        self.session = Session(storage_options, verify_stamps=verify)
        self.reader = Reader(self.session)
        self._root = ""
        """What the person opened: documents inside it may reach what is beside it."""

    def open(self, place: Any, variable: str | None = None) -> View | Group:
        """What `lazyzarr.open` gives."""
        if self.version is not None and not (isinstance(place, str | os.PathLike) or is_icechunk(place)):
            raise self._no_versions(type(place).__name__)
        if isinstance(place, View | Group):
            return place
        if isinstance(place, np.ndarray):
            return inline(place, self.reader)
        if type(place).__module__.partition(".")[0] == "zarr":
            return self._from_zarr(place, variable)
        if is_icechunk(place):
            allow = Grant.of((*self.allow, *configured()))
            return open_icechunk(place, variable, self.version, packing=self.packing, reader=self.reader, allow=allow)
        if is_virtual(place):
            return open_virtual(place, variable, packing=self.packing, reader=self.reader)
        if not isinstance(place, str | os.PathLike):
            raise ViewSchemaError(
                f"open of a {type(place).__name__}; views are opened from paths, URLs, NumPy arrays, Zarr arrays, "
                "stores, Icechunk repositories and virtual datasets",
                reason="source-format",
            )
        return self._from_url(from_user(place), variable)

    def _from_zarr(self, given: Any, variable: str | None) -> View | Group:
        where = getattr(given, "store_path", given)
        url = self.session.add_store(where)
        return self._from_url(url.rstrip("/") if "://" not in url[-3:] else url, variable)

    def _from_url(self, url: str, variable: str | None) -> View | Group:
        self._root = url
        file, found = _NOT_ASKED, None
        if self.version is None:
            if not url.startswith("file://") and _NAMED_LIKE_A_FILE.search(url):
                file = self._file(url)
            # Nothing can be below a location with a query string.
            found = None if (file and file.is_hdf5) or "?" in url else self._zarr_node(url)
            if found is None and file is _NOT_ASKED:
                file = self._file(url)
            if found is None and file is not None and not _is_json(file.start):
                return self._from_file(file, url, variable)
        if found is None and is_repository(self.session, url):
            grant = grant_for(url, self.allow)
            return open_repository(url, variable, self.version, packing=self.packing, reader=self.reader, grant=grant)
        if self.version is not None:
            raise self._no_versions(shown(url))
        if found is None:
            found = self._references(url, as_json=bool(file))
        if found is None:
            raise self._nothing_at(url)
        return chosen(found, variable, url)

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
            if len(text) <= _SHARED and _is_plain_array(text):
                return self._array(url, _array_metadata(text, None), stamp)
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

    def followed(self, url: str, rank: int) -> View:
        """The view that a sealed array stands for, if what is at the place of the array may point there."""
        self._root = self._root or url
        chunk = self._metadata(url, pointer_key(rank))
        if chunk is None:
            raise SourceMissing(
                "the chunk of a sealed array is not there, which says where its view is; seal the view again",
                where=shown(url),
            )
        pointer = pointer_of(chunk[0], shown(url))
        target = Resolver(document_url(url))(pointer.view)
        grant_for(url, self.allow).check(target)
        document = self._metadata(target, "zarr.json")
        check_document(pointer, document and generation_of(document[0]), shown(target), shown(url))
        view = None if document is None else self._view(target, document[0])
        if view is None:
            raise no_view(shown(target), shown(url))
        return view

    def _metadata(self, url: str, key: str) -> tuple[bytes, Stamp] | None:
        try:
            text, stamp = self.session.read_stamped(child(url, key), limit=self.limits.document_bytes)
        except SourceMissing:
            return None
        return bytes(text), stamp

    def _array(self, url: str, info: ZarrArrayInfo, stamp: Stamp) -> View:
        if any(codec.name == CODEC for codec in info.layout.codecs):
            return self.followed(url, len(info.shape))
        self.limits.check("rank", len(info.shape), where=shown(url))
        self.limits.check("codecs", longest_chain(info.layout.codecs), where=shown(url))
        array = StoredArray(layout=0, shape=info.shape, location=url, stamp=stamp)
        attrs = copy.deepcopy(info.attributes)
        if info.lengths is not None:
            found = Keyed(
                shown(url), info.shape, info.layout, url, stamp, attrs, info.dimension_names, None, info.lengths
            )
            return keyed_view(found, self.reader)
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

        def group(opening: Opening, stored: Callable[[], Group] | None = None) -> Group:
            openers = {name: partial(opening._child, url, name, paths_below) for name, paths_below in below.items()}
            return in_both_forms(Group(openers, attrs=attrs, place=shown(url)), stored)

        return group(self, lambda: group(self._raw()))

    def _raw(self) -> Opening:
        other = copy.copy(self)
        other.packing = "raw"
        return other

    def _listed(self, url: str) -> list[str]:
        """Names of the Zarr nodes directly below a group."""
        return [
            name
            for name in self.session.list_dir(url)
            if not name.startswith(".")
            and name != "zarr.json"
            and any(self.session.exists(child(url, f"{name}/{m}")) for m in _METADATA)
        ]

    def _child(self, url: str, name: str, known: tuple[str, ...] | None) -> View | Group:
        found = self._zarr_node(child(url, name), known)
        if found is None:
            raise SourceMissing(
                f"open of {shown(child(url, name))}; its group names it, and there is no Zarr metadata "
                f"({', '.join(_METADATA)}); restore it, or write the metadata of the group anew"
            )
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
        graph = opened.graph if opened.manifest is None or not self.manifest else opened.manifest
        return View(None, graph=graph, reader=self.reader, dims=opened.dims, attrs=opened.attributes)

    # -- files ----------------------------------------------------------------------------------------

    def _references(self, url: str, *, as_json: bool) -> View | Group | None:
        """What kerchunk JSON or Parquet at a location describes; None where it is neither."""
        if as_json:
            try:
                text, stamp = self.session.read_stamped(url, limit=self.limits.document_bytes)
            except SourceMissing:
                return None
            return self._json(url, bytes(text), stamp)
        found = self._metadata(url, ".zmetadata")
        return None if found is None else self._reference_file(url).parquet(*found)

    def _json(self, url: str, text: bytes, stamp: Stamp) -> View | Group:
        scan(text, self.limits)
        document = read_json(text, shown(url))
        if not is_specification(document):
            return self._reference_file(url).json(text, stamp)
        grant = grant_for(self._root, self.allow)
        return Specifications(url, reader=self.reader, grant=grant, limits=self.limits).view(document)

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

    def _file(self, url: str) -> _File | None:
        """The file at a location; None when the location has none."""
        if url.startswith("file://"):
            path = to_path(url)
            if not os.path.isfile(path):
                return None
            with open(path, "rb") as opened:

                def read(size: int, offset: int) -> bytes:
                    return os.pread(opened.fileno(), size, offset)

                return _File(path, read(8, 0), is_hdf5(read, os.fstat(opened.fileno()).st_size))
        if not parse(url, trusted=True).path.strip("/"):
            return None  # a bucket or a host, which is no object
        # What the file names is read as what a document names: within the grant, and not redirected.
        beside = self.session.add_grant(grant_for(url, self.allow))
        file = RangedFile(self.session, url, beside=beside)
        try:
            start = bytes(file.read_at(8, 0))
        except SourceMissing:
            return None
        return _File(file, start, is_hdf5(file.read_at, min(file.stamp.size or 0, FIRST)))

    def _from_file(self, file: _File, url: str, variable: str | None) -> View | Group:
        if not file.is_hdf5:
            kind = format_of(file.start)
            if kind is not None:
                return open_file(kind, url, variable, packing=self.packing, reader=self.reader)
            raise SourceProtocolError(
                f"open of {shown(url)}; {described(file.start)}, and has no HDF5 signature; Zarr arrays, groups, saved "
                "views, files of references and HDF5, NetCDF, FITS, TIFF and GRIB files can be opened; name one of "
                "these, or copy the data into one",
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
        return views.open_hdf5(
            file.where,
            url,
            variable,
            packing=self.packing,
            missing=self.missing,
            reader=self.reader,
            allow=grant_for(url, self.allow).permits,
        )

    def _no_versions(self, place: str) -> ViewSchemaError:
        return ViewSchemaError(
            f"open of version {self.version!r} of {place}; only Icechunk repositories have versions; leave version out",
            reason="source-format",
        )

    def _nothing_at(self, url: str) -> SourceMissing:
        if not url.startswith("file://"):
            what = f"the storage has no object there, and no Zarr metadata ({', '.join(_METADATA)}) below it"
            return SourceMissing(f"open of {shown(url)}; {what}; check the location")
        path = to_path(url)
        if os.path.isdir(path):
            what = f"it is a directory without Zarr metadata ({', '.join(_METADATA)}); name a node or a file inside it"
        elif os.path.lexists(path):
            what = "it is no regular file, and no link that leads to one or to a directory; name a file"
        else:
            what = "there is nothing of that name; check the path"
        return SourceMissing(f"open of {shown(url)}; {what}")


class _File(NamedTuple):
    """An object that is no Zarr node."""

    where: str | RangedFile
    """Path of a local file, or the remote file."""
    start: bytes
    is_hdf5: bool


_NOT_ASKED = _File("", b"", False)


def _is_json(start: bytes) -> bool:
    """Whether a file begins as a JSON object does."""
    return start.lstrip()[:1] == b"{"


@lru_cache(maxsize=256)
def _is_plain_array(document: bytes) -> bool:
    """Whether a ``zarr.json`` is that of an array without a manifest; arrays with the same text are asked about once."""
    return read_group_metadata(document).node_type == "array" and manifest_of(document) is None


@lru_cache(maxsize=256)
def _array_metadata(document: bytes, attributes: bytes | None) -> ZarrArrayInfo:
    """Parsed metadata; the arrays of an archive often have the same text, and then share one layout."""
    return read_array_metadata(document, attributes, uneven=True)


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
