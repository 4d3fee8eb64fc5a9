"""Writing HDF5 virtual datasets: files that h5py, netCDF-4 and xarray read, whose cells stay in other HDF5 files.

1. Every stored array of a view has to be a dataset of a local file (`lazyzarr.formats.hdf5_datasets`).
2. Its boxes become mappings (`lazyzarr.formats.hdf5_boxes`); file names are relative, so that the tree can be moved.
3. Packed numbers stay packed, with the attributes that say how, if all sources are packed alike.
Owns `write_vds`. Refuses, naming the sources and all reasons at once, what a virtual dataset cannot say. It has no
place for pins, and libhdf5 reads fill values where a file is missing; the report says both.
"""

# h5py's low-level modules are compiled and have no stubs
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t

from lazyzarr.errors import SaveUnsupported
from lazyzarr.formats.export_sources import sources
from lazyzarr.formats.hdf5_boxes import boxes_of
from lazyzarr.formats.hdf5_datasets import Dataset, NoDataset, below_decodes, datasets_of, described
from lazyzarr.formats.hdf5_vds_attributes import dataset_attributes, packing_attributes, plain_attributes, write
from lazyzarr.formats.hdf5_vds_dimensions import attach
from lazyzarr.formats.local_output import local_target, write_file
from lazyzarr.formats.report import ExportReport
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import to_numpy
from lazyzarr.ir.layout import VALUE_WISE, NamedConfig, StoredArray
from lazyzarr.lower.aligned import stored_value
from lazyzarr.lower.chunk_facts import bits
from lazyzarr.lower.fragments import Fragments
from lazyzarr.lower.lifting import stored_type
from lazyzarr.lower.lowering import Lowered, lower
from lazyzarr.lower.naming import NUMBERED, Naming, Test, decoding, filling, listed_nodes, storing

_SHOWN = 20
_FILLS = (
    "errors where sources are missing or cut off: libhdf5 reads fill values where a file or dataset is not there, or "
    "smaller than it was"
)


def write_vds(
    views: Any, target: str | os.PathLike[str], *, name: str = "data", overwrite: bool = False
) -> ExportReport:
    """Write views as HDF5 virtual datasets.

    Parameters
    ----------
    views
        A view, or a group: anything that maps names to views and groups. Stored cells are those of HDF5 datasets in
        local files.
    target
        A local path.
    name
        Of the dataset, where `views` is one view.
    overwrite
        Replace a file.

    Returns
    -------
    ExportReport
        ``chunks`` counts mappings.

    Raises
    ------
    SaveUnsupported
        A virtual dataset cannot say what a view is; ``.problems`` has every reason with the sources that have it.
    SourceMissing, SourceChanged, AccessDenied
        A source is gone, changed since it was opened, or may not be read.
    SaveConflict, SaveError
        The target exists; the storage failed.

    Examples
    --------
    >>> import tempfile, h5py, numpy as np, lazyzarr as lz
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for year in 2003, 2004:
    ...         with h5py.File(f"{folder}/{year}.h5", "w") as file:
    ...             _ = file.create_dataset("sst", data=np.full((2, 3), year))
    ...     years = [lz.open(f"{folder}/{year}.h5", "sst") for year in (2003, 2004)]
    ...     report = lz.formats.hdf5.write_vds(lz.concat(years)[1:], f"{folder}/v.h5", name="sst")
    ...     with h5py.File(f"{folder}/v.h5") as file:
    ...         report.chunks, file["sst"][:, 0].tolist()
    (2, [2003, 2004, 2004])
    """
    path, _ = local_target(target)
    groups: dict[str, dict[str, Any]] = {}
    made: list[_Virtual] = []
    problems: list[str] = []
    for source in sources(views, name):
        if source.array is None:
            groups[source.path] = dict(source.attributes)
        else:
            one = _Virtual(source.path, source.array, path)
            made.append(one)
            problems += [f"{source.path}: {text}" for text in one.problems]
    if problems:
        raise SaveUnsupported(f"write of HDF5 virtual datasets: {len(problems)} in the way ({NUMBERED}):", problems)
    lost: list[str] = []
    write_file(path, _content(groups, made, lost), overwrite=overwrite)
    mappings = sum(len(one.boxes) for one in made)
    pins = len({one.location for virtual in made for one in virtual.arrays if one.stamp is not None})
    if mappings:
        lost.append(_FILLS)
    loose = dict.fromkeys(name for virtual in made for one in virtual.datasets for name in one.loose)
    if loose:
        lost.append(
            f"places of the raw files {', '.join(list(loose)[:4])}{', ...' if len(loose) > 4 else ''}: libhdf5 looks for "
            "such relative names where the reader is started, or beside the source where the environment has "
            "HDF5_EXTFILE_PREFIX='${ORIGIN}'; elsewhere it fails"
        )
    if pins:
        lost.append(f"pins of {pins} files: nothing in the file says what they were")
    return ExportReport("hdf5-vds", str(path), len(made), mappings, unpinned=mappings, lost=tuple(lost))


@dataclass
class _Virtual:
    """One view on its way to a virtual dataset; everything that can be refused is found out when it is made."""

    path: str
    view: Any
    target: Path
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shape: tuple[int, ...] = self.view.shape
        self.lowered: Lowered = lower(self.view.ir)
        self.names = Naming(self.lowered.graph)
        found: list[tuple[str, str, np.ndarray, Test]] = []
        self.boxes: Fragments = boxes_of(self.lowered, lambda *one: found.append(one))
        placed = self.lowered.placements
        self.numbers = numbers = np.unique(placed.source[placed.source >= 0])
        self.arrays: list[StoredArray] = self.lowered.sources.arrays(numbers)
        for what, remedy, which, cause in found:
            self._problem(np.searchsorted(numbers, which).tolist(), what, remedy, cause)
        self.which = np.searchsorted(numbers, self.boxes.source)
        if not self.shape:
            self.problems.append(
                f"it is a single value{listed_nodes([self.names.view])}, and virtual datasets have axes; expand_dims it"
            )
        self.datasets = self._datasets()
        self.decodes = self._decodes(numbers)
        self.data_type = stored_type(self.lowered.schema.data_type, self.decodes)
        self.type = self._type()
        self.fill = self._fill()
        self.attributes, self.lost = self._attributes()

    def _problem(self, which: Sequence[int], what: str, remedy: str, cause: Test = storing) -> None:
        """Something is in the way of some of the arrays; `cause` tells nodes that may have to do with it."""
        names = list(dict.fromkeys(described(self.arrays[k]) for k in which))
        more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
        nodes = self.names.behind(self.numbers[list(which)].tolist(), cause)
        self.problems.append(f"{', '.join(names[:_SHOWN])}{more} {what}{listed_nodes(nodes)}; {remedy}")

    def _datasets(self) -> list[Dataset]:
        found = datasets_of(self.view.ir, self.arrays, self.view.reader.session)
        other: dict[NoDataset, list[int]] = {}
        for k, one in enumerate(found):
            if isinstance(one, NoDataset):
                other.setdefault(one, []).append(k)
            elif os.path.realpath(one.path) == os.path.realpath(self.target):
                itself = NoDataset("is the file that is to be written", "write to another file")
                other.setdefault(itself, []).append(k)
        for (what, remedy), which in other.items():
            self._problem(which, what, remedy)
        return [] if other else [one for one in found if isinstance(one, Dataset)]

    def _decodes(self, numbers: np.ndarray) -> list[NamedConfig]:
        """The value-wise decodes of all stored cells, if they are one; every array has to be read as it is stored."""
        if not self.datasets:
            return []
        placed = self.lowered.placements
        stored = placed.source >= 0
        pairs = np.unique(np.stack([np.searchsorted(numbers, placed.source[stored]), placed.layout[stored]]), axis=1)
        by_decode: dict[tuple[NamedConfig, ...], list[int]] = {}
        recoded: list[int] = []
        for number, layout in pairs.T.tolist():
            array, seen = self.arrays[number], self.lowered.layouts[layout]
            below = below_decodes(self.view.ir.layouts[array.layout], self.datasets[number].layout)
            count = sum(codec.name in VALUE_WISE for codec in seen.codecs)
            decodes = seen.codecs[:count]
            by_decode.setdefault(decodes, []).append(number)
            value = stored_value(seen.fill_value, decodes, seen.data_type, (below.fill_value,))
            same = (seen.codecs[count:], stored_type(seen.data_type, decodes)) == (below.codecs, below.data_type)
            same = same and value is not None and fill.same(value, below.fill_value, below.data_type)
            # without a decode nothing says that integers have the other sign
            same = same and (count > 0 or self.datasets[number].layout.data_type == below.data_type)
            if not same:
                recoded.append(number)
        if recoded:
            self._problem(recoded, "is read with other codecs than it is stored with", "write a copy")
        if len(by_decode) > 1:
            for decodes, which in by_decode.items():
                what = f"is decoded with {_told(decodes)}, others differently"
                self._problem(which, what, "write the parts apart", decoding)
        return list(next(iter(by_decode)))

    def _type(self) -> h5t.TypeID | None:
        """The HDF5 type; numbers have one for all byte orders, other types are the same in all sources."""
        dtype = to_numpy(self.data_type)
        encodings = dict.fromkeys(one.encoding for one in self.datasets)
        if not encodings:
            return None if dtype.kind in "TO" else h5t.py_create(dtype, logical=True)
        kinds = {h5t.decode(one).get_class() for one in encodings}
        types = {one.layout.data_type for one in self.datasets}
        if len(types) == 1 and kinds <= {h5t.INTEGER, h5t.FLOAT}:
            return h5t.py_create(to_numpy(next(iter(types))))
        if len(encodings) > 1:
            first = {one.encoding: k for k, one in reversed(list(enumerate(self.datasets)))}
            self._problem(sorted(first.values()), "have different HDF5 types", "write the parts apart")
        return h5t.decode(next(iter(encodings)))

    def _fill(self) -> Any:
        """What cells that no source has are filled with, as stored; None for zero."""
        lowered, data_type = self.lowered, self.lowered.schema.data_type
        placed = lowered.placements
        numbers = np.unique(-1 - placed.source[placed.source < 0]).tolist()
        values = {bits(lowered.constants[k].value, data_type): lowered.constants[k].value for k in numbers}
        if len(values) > 1:
            shown = ", ".join(map(repr, values.values()))
            self.problems.append(
                f"cells that are stored nowhere have the values {shown}{self._at(filling)}; a virtual dataset has one fill value; write the "
                "constants to a file"
            )
        known = tuple(dict.fromkeys(repr(one.layout.fill_value) for one in self.datasets))
        candidates = [next(d.layout.fill_value for d in self.datasets if repr(d.layout.fill_value) == k) for k in known]
        value = next(iter(values.values()), lowered.schema.fill_value)
        stored = stored_value(value, tuple(self.decodes), data_type, tuple(candidates))
        if stored is None and values:
            self.problems.append(
                f"cells that are stored nowhere read as {value!r}{self._at(filling)}, which no stored value decodes to; "
                "give it a fill value that one does"
            )
        if stored is None or self.type is None or to_numpy(self.data_type).kind in "TO":
            return None
        cell = np.asarray(fill.from_json(stored, self.data_type), to_numpy(self.data_type))
        if self.datasets:
            cell = cell.view(to_numpy(self.datasets[0].layout.data_type))
        return cell

    def _at(self, cause: Test) -> str:
        return listed_nodes(self.names.of_kind(cause))

    def _attributes(self) -> tuple[dict[str, Any], list[str]]:
        """Attributes with the types that the sources have, those of the packing among them; and what is lost."""
        data_type = self.datasets[0].layout.data_type if self.datasets else self.data_type
        attributes, lost = dataset_attributes(self.view.attrs, [one.attributes for one in self.datasets], data_type)
        if not self.decodes:
            return attributes, lost
        if len(self.decodes) > 1 or self.decodes[0].name != "lazyzarr.unpack":
            self.problems.append(
                f"the decode {_told(self.decodes)}{self._at(decoding)} is not CF packing; open the sources with "
                "packing='raw', or write a copy"
            )
            return attributes, lost
        packing = packing_attributes(self.decodes[0], [one.attributes for one in self.datasets], data_type)
        if packing is None:
            self.problems.append(
                f"the decode {_told(self.decodes)}{self._at(decoding)} has no attributes that readers decode alike; open "
                "the sources with packing='raw'"
            )
            return attributes, lost
        doubled = [one for one in packing if one in attributes]
        if doubled:
            self.problems.append(
                f"the attributes {', '.join(doubled)} stand beside the decode{self._at(decoding)} and would be applied as "
                "well; remove them"
            )
        return attributes | packing, lost


def _told(decodes: Iterable[NamedConfig]) -> str:
    names = ("scale_factor", "add_offset", "fill_values", "data_type")
    told = [
        f"{one.name} {', '.join(f'{k}={one.configuration[k]!r}' for k in names if k in one.configuration)}".strip()
        for one in decodes
    ]
    return " + ".join(told) or "nothing"


def _content(groups: dict[str, dict[str, Any]], made: Sequence[_Virtual], lost: list[str]) -> bytes:
    """The bytes of the file; they name sources relative to where it will be."""
    memory = io.BytesIO()
    with h5py.File(memory, "w", libver="v110", track_order=True) as file:
        for path, attributes in groups.items():
            group = file.require_group(f"/{path}")
            plain, without = plain_attributes(attributes)
            write(group, plain)
            lost += [f"{path or '/'}: {text}" for text in without]
        for one in made:
            dataset = _dataset(file, one)
            write(dataset, one.attributes)
            lost += [f"{one.path}: {text}" for text in one.lost]
        lost += attach(file, {one.path: one.view.dims for one in made})
    return memory.getvalue()


def _dataset(file: h5py.File, one: _Virtual) -> h5py.Dataset:
    plist = h5p.create(h5p.DATASET_CREATE)
    names: list[tuple[bytes, bytes]] = []
    folder = os.path.realpath(one.target.parent)
    for dataset in one.datasets:
        above, last = os.path.split(os.path.abspath(dataset.path))
        name = os.path.relpath(os.path.join(os.path.realpath(above), last), folder)
        names.append((os.fsencode(name).replace(b"%", b"%%"), dataset.name.replace(b"%", b"%%")))
    found = one.boxes
    columns = [getattr(found, name).tolist() for name in ("start", "step", "count")]
    into = [getattr(found, name).tolist() for name in ("into_first", "into_step", "into_count")]
    for number, source, view in zip(
        one.which.tolist(), zip(*columns, strict=True), zip(*into, strict=True), strict=True
    ):
        plist.set_virtual(_space(one.shape, *view), *names[number], _space(one.datasets[number].shape, *source))
    if one.fill is not None:
        tid = cast(h5t.TypeID, one.type)
        plist.set_fill_value(one.fill.astype(tid.dtype))
    parent, _, last = one.path.rpartition("/")
    space = h5s.create_simple(one.shape)
    return h5py.Dataset(h5d.create(file.require_group(f"/{parent}").id, last.encode(), one.type, space, plist))


def _space(shape: Sequence[int], first: Sequence[int], step: Sequence[int], count: Sequence[int]) -> h5s.SpaceID:
    """The selection of a box; a dataset of fewer axes than the table has columns uses the first."""
    if not shape:
        return h5s.create(h5s.SCALAR)
    rank = len(shape)
    space = h5s.create_simple(tuple(shape))
    strides = tuple(s if n > 1 else 1 for s, n in zip(step[:rank], count[:rank], strict=True))
    space.select_hyperslab(tuple(first[:rank]), tuple(count[:rank]), strides)
    return space
