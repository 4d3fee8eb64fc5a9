"""Views of what files of references describe: kerchunk JSON and Parquet, and arrays with a ``manifest.json``.

Owns the step from keys, entries and columns to views: locations made absolute and judged by the policy of a document,
packing as a decode node, limits. Refuses what the file may not reach, and variables one at a time: the rest of the file
stays usable. Nothing but the file of references is read.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from lazyzarr.access.policy import Grant
from lazyzarr.access.session import Session
from lazyzarr.access.url import child, shown
from lazyzarr.codecs.chain import compile_chain
from lazyzarr.document.limits import Limits, chunk_bytes
from lazyzarr.document.text import scan
from lazyzarr.errors import ExtraMissing, LazyZarrError, SourceProtocolError
from lazyzarr.formats.kerchunk_json import is_kerchunk, read_json, read_kerchunk
from lazyzarr.formats.manifest_reading import read_manifest
from lazyzarr.formats.packing import Packing, packing_of, with_fill_value
from lazyzarr.formats.reference_places import resolve
from lazyzarr.formats.referenced import Referenced
from lazyzarr.formats.references import INLINE, ReferencedArray, ReferencedGroup
from lazyzarr.group import Group, in_both_forms
from lazyzarr.ir import data_type as types
from lazyzarr.ir.layout import Place, Stamp, StoredArray
from lazyzarr.ir.tables import Table
from lazyzarr.leaves import source, unpacked
from lazyzarr.read import Reader
from lazyzarr.uneven import pieced
from lazyzarr.view import View


class References:
    """One file of references, opened.

    Parameters
    ----------
    url
        Location of the file; relative locations in it are resolved against it.
    grant
        What the file may reach.
    packing, limits, templates
        As the caller of `lazyzarr.open` said.
    """

    def __init__(
        self, url: str, *, reader: Reader, grant: Grant, packing: Packing, limits: Limits, templates: bool = False
    ) -> None:
        self.url, self.reader, self.limits, self.templates = url, reader, limits, templates
        self.packing: Packing = packing
        self.stamp: Stamp | None = None
        self._grant = grant
        self._name = reader.session.add_grant(grant)

    @property
    def session(self) -> Session:
        """Who reads."""
        return self.reader.session

    def json(self, text: bytes, stamp: Stamp) -> View | Group:
        """What kerchunk JSON describes.

        Raises
        ------
        SourceProtocolError
            The text is not a file of references.
        """
        self.stamp = stamp
        document = self._parsed(text, self.url)
        if not is_kerchunk(document):
            raise SourceProtocolError(
                f"open of {shown(self.url)}; it is JSON without references of kerchunk; Zarr arrays, saved views, "
                "HDF5/NetCDF-4 files and files of references can be opened",
                reason="source-format",
            )
        root, whole = read_kerchunk(document, templates=self.templates, most=self.limits.json_values)
        return self.group(root, "/") if whole is None else self.array(lambda: whole, "/")

    def parquet(self, consolidated: bytes, stamp: Stamp) -> View | Group:
        """What the folder of kerchunk Parquet describes, by its ``.zmetadata``."""
        self.stamp = stamp
        document = self._parsed(consolidated, ".zmetadata")
        try:
            reading = importlib.import_module("lazyzarr.formats.kerchunk_parquet")
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("lazyzarr"):
                raise
            raise ExtraMissing(
                f"open of the kerchunk Parquet {shown(self.url)}; the package {error.name} is not installed; "
                'run pip install "lazyzarr[kerchunk]"'
            ) from error
        root, _ = reading.read_folder(document, self._file)
        return self.group(root, "/")

    def manifest(self, metadata: bytes, place: str, array: str) -> View:
        """An array whose chunks are listed in a manifest, at a place relative to the array at `self.url`."""
        self.url = resolve(place, child(array, "zarr.json"))
        self._grant.check(self.url)
        text, self.stamp = self.session.read_stamped(self.url, grant=self._name, limit=self.limits.document_bytes)
        scan(bytes(text), self.limits)
        return self.array(lambda: read_manifest(metadata, bytes(text)), shown(array))

    def group(self, found: ReferencedGroup, place: str) -> Group:
        """Members are worked out when they are asked for."""
        members: dict[str, Any] = {
            name: partial(self.array, load, f"{place}{name}") for name, load in found.arrays.items()
        }
        members |= {name: partial(self.group, inner, f"{place}{name}/") for name, inner in found.groups.items()}
        made = Group(members, attrs=found.attributes, place=f"{place} of {shown(self.url)}")
        return in_both_forms(made, lambda: self._raw().group(found, place))

    def _raw(self) -> References:
        """The same file with packing left alone."""
        other = copy.copy(self)
        other.packing = "raw"
        return other

    def array(self, load: Callable[[], ReferencedArray], place: str) -> View:
        """The view of one array.

        Raises
        ------
        AccessDenied
            The array has chunks where the file may not reach.
        SourceProtocolError, UnsupportedFeature, ViewLimitError
            What the file says of the array is impossible, not known here, or too much.
        """
        try:
            return self._array(load(), place)
        except LazyZarrError as error:
            error.where = error.where or f"{place} of {shown(self.url)}"
            raise

    def _array(self, found: ReferencedArray, place: str) -> View:
        info = found.info
        where = f"{place} of {shown(self.url)}"
        self.limits.check("rank", len(info.shape), where=where)
        self.limits.check("codecs", len(info.layout.codecs), where=where)
        self.limits.check("chunk_bytes", chunk_bytes(info.layout), where=where)
        compile_chain(info.layout)
        urls = [resolve(text, self.url) for text in found.entries.urls]
        for url in urls:
            self._grant.check(url)
        data_type = info.layout.data_type
        attributes = with_fill_value(info.attributes, data_type, found.fill_attribute)
        decode, attributes = packing_of(attributes, types.to_numpy(data_type), self.packing)
        inline: Table | None = None
        if (found.entries.state == INLINE).any():
            inline = Table({"bytes": np.frombuffer(found.entries.inline, np.uint8)})

        def stored(part: Referenced) -> View:
            refs = Table(part.columns)
            array = StoredArray(
                layout=0,
                shape=part.shape,
                location=urls[0] if urls else self.url,
                refs=refs.name,
                stamp=None if urls else self.stamp,
                places=tuple(Place(url) for url in urls[1:]),
                inline=None if inline is None else inline.name,
                grant=self._name,
            )
            tables = {table.name: table for table in (refs, inline) if table is not None}
            return source(array, [part.layout], reader=self.reader, tables=tables)

        whole = Referenced(place, info.shape, info.layout, found.columns(), tuple(urls), (), lengths=info.lengths)
        view = stored(whole) if info.lengths is None else pieced(whole, self.reader, stored)
        view = view._same(dims=info.dimension_names, attrs=attributes)
        return view if decode is None else unpacked(view, decode)

    def _parsed(self, text: bytes, key: str) -> dict[str, Any]:
        scan(text, self.limits)
        return read_json(text, shown(key))

    def _file(self, key: str) -> bytes | None:
        found = self.session.try_read(child(self.url, key), grant=self._name)
        return None if found is None else bytes(found)
