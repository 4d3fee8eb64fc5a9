"""Boundary chunks: decoded, cut and written, so that everything else can stay a reference.

1. `lazyzarr.lower.choosing` says which chunks of which grid have to be written.
2. Each is read through the view, encoded with the chain of the others, and written as a file of its own, in one step.
3. The manifest then has references to old chunks and to new ones.
A directory of chunks belongs to one view and one choice; a run that was stopped goes on where it was. The directory
alone is not an array, and nothing in it says it is: most of its chunks are elsewhere. Values are never packed: below
value-wise decodes, stored values are written as they are. Refuses remote directories.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Buffer, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from lazyzarr.access.url import child, from_user, to_path
from lazyzarr.codecs.chain import Chain, codec_from_json, compile_chain
from lazyzarr.errors import SaveConflict, SaveUnsupported, ShapeError
from lazyzarr.ir import fill
from lazyzarr.ir.chunk_keys import chunk_keys
from lazyzarr.ir.data_type import to_numpy
from lazyzarr.ir.layout import DEFAULT_KEYS, Json, Layout, NamedConfig
from lazyzarr.ir.nodes import Index
from lazyzarr.lower.aligned import RANGE, AlignedManifest, Origin
from lazyzarr.lower.alignment import not_flat
from lazyzarr.lower.choosing import Choice, choose
from lazyzarr.lower.lowering import Constant, Lowered, lower
from lazyzarr.lower.problems import Problem

if TYPE_CHECKING:
    from lazyzarr.view import View

RECORD = "lazyzarr-chunks.json"
"""File that says which view and which choice the chunks of a directory are of."""
UNFINISHED = ".part"
"""End of the names of files that are being written."""
_THREADS = 8
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class BoundaryReport:
    """What writing the boundary chunks of a view takes."""

    chunks: int
    """Chunks of the whole grid."""
    referenced: int
    """Of them those that stay references."""
    written: int
    """Of them those that are decoded, cut and written; those that turn out to be fill values are left out."""
    bytes_read: int
    """Stored bytes that are read for them, as far as their length is known [bytes]."""
    bytes_written: int
    """Their cells before encoding [bytes]."""
    chunk_lengths: tuple[int | tuple[int, ...], ...]
    codecs: tuple[NamedConfig, ...]

    def __str__(self) -> str:
        names = " + ".join(codec.name for codec in self.codecs)
        shape = tuple(n if isinstance(n, int) else f"{len(n)} lengths" for n in self.chunk_lengths)
        return (
            f"{self.written} of {self.chunks} chunks are written, {self.referenced} stay references; {self.bytes_read:,} "
            f"bytes are read and at most {self.bytes_written:,} written; chunks {shape}, {names}"
        )


def materialized(
    view: View,
    into: str | os.PathLike[str] | None,
    *,
    chunks: Sequence[int | Sequence[int]] | None = None,
    codecs: Sequence[Mapping[str, Any] | str] | None = None,
    rectilinear: bool = True,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> AlignedManifest | BoundaryReport:
    """The flat manifest of a view, with the chunks that cannot be references written into a directory.

    Raises
    ------
    NotFlat
        Chunks that have to be written cannot be encoded with the chain.
    SaveConflict
        The directory has chunks of another view, or of another choice.
    SaveUnsupported
        There is no directory, or it is not a local one.
    """
    choice = choose(
        lower(view.ir),
        chunks=None if chunks is None else _lengths(chunks, view.shape),
        codecs=None if codecs is None else tuple(map(_codec, codecs)),
        rectilinear=rectilinear,
        dims=view.dims,
        attrs=dict(view.attrs),
        reader=view.reader,
    )
    writing = _Writing(view, choice)
    if dry_run:
        return writing.report()
    if not len(choice.rows):
        return choice.manifest
    return writing.run(_directory(into), progress)


def _codec(given: Mapping[str, Any] | str) -> NamedConfig:
    """A codec as a person names it; cells are little-endian unless said otherwise."""
    codec = codec_from_json(given)
    return NamedConfig("bytes", {"endian": "little"}) if codec == NamedConfig("bytes", {}) else codec


def _lengths(chunks: Sequence[int | Sequence[int]], shape: tuple[int, ...]) -> tuple[int | tuple[int, ...], ...]:
    lengths = tuple(int(one) if isinstance(one, int | np.integer) else tuple(map(int, one)) for one in chunks)
    for axis, (one, n) in enumerate(zip(lengths, shape, strict=False)):
        good = (
            one >= 1
            if isinstance(one, int)
            else all(k >= 1 for k in one) and sum(one) - (one or (0,))[-1] < n <= sum(one)
        )
        if not good:
            raise ShapeError(
                f"chunks {one} along axis {axis}, which has {n} cells; a length is at least 1, and all lengths reach the "
                "end of the axis with the last of them; give others"
            )
    if len(lengths) != len(shape):
        raise ShapeError(f"chunks of {len(lengths)} axes; the view has {len(shape)}; give one entry for each axis")
    return lengths


def _directory(into: str | os.PathLike[str] | None) -> str:
    if into is None:
        raise SaveUnsupported(
            "flatten with materialize='boundary' and chunks to write, but no directory; give into=..., or dry_run=True to "
            "see what would be written"
        )
    url = from_user(into).rstrip("/")
    if not url.startswith("file://"):
        raise SaveUnsupported(f"boundary chunks into {into}; they are written to local directories; give one")
    return url


class _Writing:
    """The chunks of one choice on their way into a directory."""

    def __init__(self, view: View, choice: Choice) -> None:
        self.view, self.choice, self.manifest = view, choice, choice.manifest
        self.decodes = self.manifest.decodes
        self.data_type = self.manifest.stored_data_type
        problems = list(choice.problems)
        stored = self.manifest.stored_fill_value
        if stored is None and len(choice.rows):
            what = f"the fill value {self.manifest.fill_value!r} has no stored form below the decodes of the chain"
            problems.append(Problem("L3", what, "give codecs without decodes, or read it as a view", len(choice.rows)))
        self.fill: Json = fill.zero(self.data_type) if stored is None else stored
        self.grid = self.manifest.grid_shape
        if len(choice.rows):
            problems.extend(self._unwritable())
        if problems:
            raise not_flat(view.shape, problems)

    def _unwritable(self) -> list[Problem]:
        """A chain that only decodes here, found out before anything is read."""
        chain = self.chain(int(self.choice.rows[0]))
        cells = fill.full(tuple(min(n, 1) for n in chain.shape), self.fill, self.data_type)
        try:
            chain.encode(np.broadcast_to(cells, chain.shape))
        except SaveUnsupported as error:
            remedy = 'give codecs that can be written, such as codecs=["bytes", "zstd"]; all chunks are written then'
            return [Problem("L3", f"{len(self.choice.rows)} chunks cannot be written: {error}", remedy, 1)]
        return []

    def chain(self, row: int) -> Chain:
        """The chain of one chunk, below value-wise decodes."""
        whole = self.manifest.layout(row)
        return compile_chain(Layout(self.data_type, self.fill, whole.chunk_shape, whole.codecs[len(self.decodes) :]))

    def report(self) -> BoundaryReport:
        """What there is to do."""
        rows = self.choice.rows
        cells = sum(int(np.prod([span.count for span in self.manifest.chunk_box(row)])) for row in rows.tolist())
        return BoundaryReport(
            chunks=len(self.manifest),
            referenced=int((self.manifest.state != 0).sum()),
            written=len(rows),
            bytes_read=self.choice.nbytes_read,
            bytes_written=cells * to_numpy(self.data_type).itemsize,
            chunk_lengths=self.manifest.chunk_lengths,
            codecs=self.manifest.codecs,
        )

    def run(self, url: str, progress: Progress | None) -> AlignedManifest:
        """Write what is not there yet; the manifest with references to all of it."""
        self._own(to_path(url))
        rows = self.choice.rows.tolist()
        coords = np.stack(np.unravel_index(self.choice.rows, self.grid), axis=1) if self.grid else np.zeros((1, 0), int)
        keys = chunk_keys(DEFAULT_KEYS, coords)
        places = [child(url, key) for key in keys]
        lengths: list[int] = []
        with ThreadPoolExecutor(_THREADS) as pool:
            try:
                for length in pool.map(self._chunk, rows, map(to_path, places)):
                    lengths.append(length)
                    if progress is not None:
                        progress(len(lengths), len(rows))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return self._referring(places, np.array(lengths, np.int64))

    def _own(self, path: str) -> None:
        """The directory is empty, or has chunks of this very choice."""
        record = {
            "view": self.view.token(),
            "manifest": self.manifest.zarr_metadata() | {"attributes": {}},
            "lazyzarr_chunks": 1,
        }
        text = json.dumps(record, sort_keys=True)
        os.makedirs(path, exist_ok=True)
        file = os.path.join(path, RECORD)
        known = None
        with suppress(FileNotFoundError), open(file, encoding="utf-8") as there:
            known = there.read()
        if known is None and not os.listdir(path):
            write_whole(file, text.encode())
        elif known != text:
            raise SaveConflict(
                f"boundary chunks into {path}; it has "
                + ("other files" if known is None else "chunks of another view, or on another grid")
                + "; give an empty directory"
            )

    def _chunk(self, row: int, path: str) -> int:
        """Length of the file of a chunk, which is written if it is not there; -1: the chunk is all fill values."""
        with suppress(FileNotFoundError):
            return os.stat(path).st_size
        chain = self.chain(row)
        box = self.manifest.chunk_box(row)
        graph = self.view.ir.then(Index(0, box))
        if self.decodes:
            cells = self.view.reader.read_lowered(self._below(lower(graph)))
        else:
            cells = self.view.reader.read(graph)
        whole = fill.full(chain.shape, self.fill, self.data_type)
        inside = (..., *(slice(span.count) for span in box))  # an array also where there is no axis
        if _same(cells, whole[inside]):
            return -1
        whole[inside] = cells
        data = chain.encode_exactly(whole)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_whole(path, data)
        return len(data)

    def _below(self, lowered: Lowered) -> Lowered:
        """The stored values below the decodes that all chunks share."""
        layouts: list[Layout] = []
        for layout in lowered.layouts:
            if layout.codecs[: len(self.decodes)] == self.decodes:
                layout = Layout(
                    self.data_type,
                    self.fill,
                    layout.chunk_shape,
                    layout.codecs[len(self.decodes) :],
                    layout.chunk_keys,
                    layout.metadata,
                )
            layouts.append(layout)
        schema = msgspec.structs.replace(lowered.schema, data_type=self.data_type, fill_value=self.fill)
        constants = tuple(Constant(self.data_type, self.fill) for _ in lowered.constants)
        return replace(lowered, layouts=tuple(layouts), constants=constants, schema=schema)

    def _referring(self, places: list[str], lengths: np.ndarray) -> AlignedManifest:
        manifest = self.manifest
        session = self.view.reader.session
        there = np.flatnonzero(lengths >= 0)
        origins = [Origin(places[k], session.stat(places[k])) for k in there.tolist()]
        rows = self.choice.rows[there]
        columns = {name: getattr(manifest, name).copy() for name in ("state", "offset", "length", "origin")}
        columns["state"][rows] = RANGE
        columns["offset"][rows] = 0
        columns["length"][rows] = lengths[there]
        columns["origin"][rows] = len(manifest.origins) + np.arange(len(rows))
        return replace(manifest, origins=(*manifest.origins, *origins), **columns)


def _same(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether all cells are the same bits."""
    if left.dtype.kind in "TO":
        return left.tolist() == right.tolist()
    return left.tobytes() == right.tobytes()


def write_whole(path: str, data: Buffer) -> None:
    """Write a file, so that under its name there is all of it or nothing."""
    temporary = os.path.join(os.path.dirname(path), f".{secrets.token_hex(8)}{UNFINISHED}")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):  # it was never made, or has its new name
            os.unlink(temporary)
        raise
