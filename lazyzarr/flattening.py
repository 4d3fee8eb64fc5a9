"""Flat manifests of views: what `View.flatten` and `View.manifest` do.

Owns the choice of what happens to chunks that are in the way: nothing (`NotFlat`), or writing them
(`lazyzarr.materializing`). Refuses conditions of its own (`lazyzarr.lower.alignment`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from lazyzarr.display.flat import flatness_of
from lazyzarr.errors import ExtraMissing, SelectionError
from lazyzarr.lower.aligned import AlignedManifest
from lazyzarr.lower.alignment import align
from lazyzarr.lower.fragments import fragments
from lazyzarr.lower.locate import STATE_NAMES, locate
from lazyzarr.lower.lowering import lower
from lazyzarr.lower.problems import Problem
from lazyzarr.lower.runs import as_runs
from lazyzarr.materializing import BoundaryReport, Progress, materialized

if TYPE_CHECKING:
    from lazyzarr.view import View

Materialize = Literal["none", "boundary"]


@overload
def flatten(
    self: View,
    *,
    materialize: Materialize = ...,
    into: str | os.PathLike[str] | None = ...,
    chunks: Sequence[int | Sequence[int]] | None = ...,
    codecs: Sequence[Mapping[str, Any] | str] | None = ...,
    rectilinear: bool = ...,
    dry_run: Literal[False] = False,
    progress: Progress | None = ...,
) -> AlignedManifest: ...
@overload
def flatten(
    self: View,
    *,
    materialize: Materialize = ...,
    into: str | os.PathLike[str] | None = ...,
    chunks: Sequence[int | Sequence[int]] | None = ...,
    codecs: Sequence[Mapping[str, Any] | str] | None = ...,
    rectilinear: bool = ...,
    dry_run: Literal[True],
    progress: Progress | None = ...,
) -> BoundaryReport: ...
@overload
def flatten(self: View, *, windowed: Literal[True]) -> Manifest: ...
def flatten(
    self: View,
    *,
    materialize: Materialize = "none",
    into: str | os.PathLike[str] | None = None,
    chunks: Sequence[int | Sequence[int]] | None = None,
    codecs: Sequence[Mapping[str, Any] | str] | None = None,
    rectilinear: bool = True,
    dry_run: bool = False,
    progress: Progress | None = None,
    windowed: bool = False,
) -> AlignedManifest | BoundaryReport | Manifest:
    """The view as a flat manifest: one grid, one codec chain, one reference for each chunk.

    Parameters
    ----------
    materialize
        "none": refuse views that are not flat. "boundary": decode, cut and write the chunks that cannot be
        references; all others stay references.
    into
        Local directory for chunks that are written. A run that was stopped goes on where it was.
    chunks
        With "boundary": the grid, for each axis a length or all lengths [cells]. By default the regular grid of the
        most common chunk shape, or the uneven one with the cuts of the view, whichever has less to write.
    codecs
        With "boundary": the codec chain; by default that of most cells.
    rectilinear
        Whether chunks along an axis may have different lengths.
    dry_run
        With "boundary": write nothing and return a `lazyzarr.materializing.BoundaryReport`.
    progress
        Called with the number of chunks written and to write.
    windowed
        Whatever the class of the view, its table of fragments, which says windows of chunks: as `View.manifest`.

    Raises
    ------
    NotFlat
        With every reason, each with an example and a remedy.
    SaveConflict
        `into` has other files, or chunks of another view or choice.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> manifest = lz.full((4, 6), 7, dtype="int16").flatten()
    >>> manifest.grid_shape, manifest.fill_value, manifest.urls()
    ((1, 1), 7, [''])
    """
    if materialize not in ("none", "boundary"):
        raise SelectionError(f"flatten with materialize={materialize!r}; it is 'none' or 'boundary'; give one of them")
    if windowed and materialize != "none":
        raise SelectionError("flatten with windowed and materialize; a window needs nothing written; leave out one")
    if materialize == "none":
        asked = {"into": into, "chunks": chunks, "codecs": codecs, "dry_run": dry_run or None}
        given = [name for name, value in asked.items() if value is not None]
        if given:
            raise SelectionError(
                f"flatten with {', '.join(given)}; nothing is written with materialize='none'; say materialize='boundary'"
            )
        if windowed:
            return Manifest(self)
        return align(lower(self.ir), rectilinear=rectilinear, dims=self.dims, attrs=self.attrs, reader=self.reader)
    options: dict[str, Any] = {"chunks": chunks, "codecs": codecs, "rectilinear": rectilinear}
    return materialized(self, into, dry_run=dry_run, progress=progress, **options)


def manifest(self: View) -> Manifest:
    """The view as a table of fragments: which window of which stored chunk fills which box. Any view has one.

    Examples
    --------
    >>> import numpy as np, lazyzarr as lz
    >>> table = lz.open(np.arange(8))[::2].manifest()
    >>> len(table), table.columns()["start"].tolist(), table.columns()["count"].tolist()
    (1, [[0]], [[4]])
    """
    return Manifest(self)


class Manifest:
    """Fragments of a view with the locations of their chunks; no chunk is touched."""

    def __init__(self, view: View) -> None:
        lowered = lower(view.ir)
        self._flatness = flatness_of(view.ir)
        self._found = as_runs(fragments(lowered))
        self._chunks = locate(lowered, self._found)
        self._chunk = np.empty(len(self._found), np.int64)
        self._chunk[self._chunks.members] = np.repeat(np.arange(len(self._chunks)), np.diff(self._chunks.first_member))

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return f"<lazyzarr.Manifest {self.flatness}  {len(self)} fragments of {len(self._chunks)} chunks>"

    @property
    def flatness(self) -> str:
        """The class, "L0" to "L4"."""
        return self._flatness.level

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is in the way of class L0."""
        return self._flatness.problems

    @property
    def nbytes(self) -> int:
        """Stored length of all chunks, each once, as far as it is known [bytes]."""
        return int(self._chunks.length[self._chunks.length > 0].sum())

    def columns(self) -> dict[str, Any]:
        """A column for each property of a fragment, m rows.

        ``url`` and ``state`` are lists of texts; ``offset`` and ``length`` int64 (m,) [bytes] (-1: the whole object);
        ``chunk``, ``first``, ``step`` int64 (m, q) [chunks; cells of the chunk]; ``axis`` int16 (m, q) the axis of the
        view that feeds each chunk axis, -1 for none; ``start``, ``stride``, ``count`` int64 (m, r) [cells of the view].
        """
        found, chunks, at = self._found, self._chunks, self._chunk
        return {
            "url": chunks.urls(at),
            "state": [STATE_NAMES[k] for k in chunks.state[at].tolist()],
            "offset": chunks.offset[at],
            "length": chunks.length[at],
            "chunk": found.chunk,
            "first": found.start,
            "step": found.step,
            "axis": found.axis,
            "start": found.into_first,
            "stride": found.into_step,
            "count": found.into_count,
        }

    def to_dataframe(self) -> Any:
        """The columns as a ``pandas.DataFrame``; columns with several numbers hold tuples.

        Raises
        ------
        ExtraMissing
            pandas is not installed.
        """
        try:
            pandas = import_module("pandas")
        except ImportError as error:
            raise ExtraMissing(
                "to_dataframe needs pandas, which is not installed; run: pip install pandas, or use columns()"
            ) from error
        flat = {
            name: list(map(tuple, column.tolist())) if getattr(column, "ndim", 1) == 2 else column
            for name, column in self.columns().items()
        }
        return pandas.DataFrame(flat)
