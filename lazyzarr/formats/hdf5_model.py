"""What an HDF5 file becomes: a tree of groups, arrays, virtual arrays and named refusals.

Owns the result types of the importer. They hold plain values (layouts, columns, attributes), no handle.
Refuses to guess: a variable that cannot be represented is an `Hdf5Refused` with its reason, beside the
variables that can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from lazyzarr.ir.layout import Json, Layout, NamedConfig, Stamp

Columns = Mapping[str, np.ndarray]
Allow = Callable[[str], bool]
"""Given the URL of another file that a file names, whether it may be used."""


@dataclass(frozen=True)
class ChunkIndex:
    """Where the chunks of one variable are."""

    layouts: tuple[Layout, ...]
    """The main layout first, then one for each other per-chunk filter mask that occurs."""
    columns: Columns
    """One row per chunk of the regular grid in C order: ``offset``, ``length`` [bytes], and where needed
    ``state`` (0 never written), ``layout`` (position in `layouts`), ``url`` (position in `Hdf5Array.urls`)."""


@dataclass(frozen=True)
class Hdf5Array:
    """A variable whose chunks are byte ranges of files, or whose cells are in memory."""

    name: str
    path: str
    """Path of the variable inside its file."""
    shape: tuple[int, ...]
    """Of what is stored."""
    layout: Layout
    """How a chunk with no filter skipped is stored, of the stored type (before any unpacking)."""
    location: str
    """URL of the file."""
    stamp: Stamp
    attributes: dict[str, Json]
    dimension_names: tuple[str, ...] | None = None
    decode: dict[str, Json] | None = None
    """Configuration of ``lazyzarr.unpack`` where the attributes asked for it."""
    packed: dict[str, Json] | None = None
    """Attributes with those of the packing, where `attributes` has these no more."""
    grant: str = ""
    """Under which grant of its session a remote file is read; ``""`` is the caller's own."""
    values: np.ndarray | None = None
    """The cells, where they have no byte ranges of their own."""
    urls: tuple[str, ...] = ()
    """External raw data files, named by the column ``url``."""
    url_stamps: tuple[Stamp, ...] = ()
    padded: tuple[tuple[int, ...], Json] | None = None
    """Shape of the variable where it is longer than what is stored, and the value of the stored type beyond that."""
    load: Callable[[], ChunkIndex] | None = field(default=None, repr=False, compare=False)

    @cached_property
    def index(self) -> ChunkIndex:
        """The chunk index; read on first use where it is large.

        Raises
        ------
        SourceChanged
            The file is not the one that was imported.
        """
        if self.load is None:
            return ChunkIndex((self.layout,), {})
        return self.load()

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """All layouts that chunks of this variable have; the main one first."""
        return self.index.layouts

    def refs(self) -> Columns:
        """The columns of the reference table; empty where `values` holds the cells."""
        return self.index.columns


@dataclass(frozen=True)
class Hdf5Mapping:
    """One box of a source that fills one box of a virtual variable.

    Spans are ``(start, step, count)`` [cells]. ``axes[i]`` is the axis of the view that feeds axis ``i`` of the
    source, or -1 where that axis is a single index.
    """

    url: str
    dataset: str
    source: tuple[tuple[int, int, int], ...]
    view: tuple[tuple[int, int, int], ...]
    axes: tuple[int, ...]


@dataclass(frozen=True)
class Hdf5Virtual:
    """A virtual dataset: boxes of other variables, later ones on top, and a fill value between them."""

    name: str
    path: str
    shape: tuple[int, ...]
    data_type: str | NamedConfig
    fill_value: Json
    mappings: tuple[Hdf5Mapping, ...]
    missing: tuple[str, ...]
    """``url#dataset`` of sources that are not there; they have no mapping. HDF5 reads their boxes as fill; whether to
    do so is the caller's word."""
    location: str
    stamp: Stamp
    attributes: dict[str, Json]
    dimension_names: tuple[str, ...] | None = None
    decode: dict[str, Json] | None = None
    packed: dict[str, Json] | None = None


@dataclass(frozen=True)
class Hdf5Refused:
    """A variable, group or link that is there and cannot be used."""

    name: str
    reason: str
    """A key of `lazyzarr.errors.REASONS`."""
    message: str
    stored: Callable[[], Hdf5Item] | None = field(default=None, repr=False, compare=False)
    """The array without its packing, where that is what is wrong with it."""


Hdf5Item = Hdf5Array | Hdf5Virtual | Hdf5Refused


@dataclass(frozen=True)
class Hdf5Later:
    """A variable or an external link of a remote file, which is looked at when it is asked for."""

    name: str
    load: Callable[[], Hdf5Item | Hdf5Group] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Hdf5Group:
    """A group: attributes, subgroups and arrays by name."""

    name: str
    attributes: dict[str, Any]
    groups: dict[str, Hdf5Group]
    arrays: dict[str, Hdf5Item | Hdf5Later]
