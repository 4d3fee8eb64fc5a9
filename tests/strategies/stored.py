"""A pool of real stored arrays, written once per process and drawn from by number.

Writing an array with zarr-python costs about 5 ms and an example uses up to eight of them, so writing per
example would cost minutes; the pool costs one second. It is the same in every process (seeded), so that an
example found by Hypothesis means the same arrays when it is run again.

An array is placed in one of three ways, as `StoredArray` allows: as chunk keys below a location, as byte ranges
in blobs named by a reference table (with gaps, missing chunks, mixed codec chains and several objects), or as
cells in memory.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import random
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from lazyzarr.formats.zarr import read_array_metadata
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import from_numpy
from lazyzarr.ir.layout import Layout, NamedConfig, Place, StoredArray
from lazyzarr.ir.tables import Table
from tests.strategies.cells import DTYPES, PLAIN, distinct
from tests.strategies.writing import FAMILIES, Written, fill_values, fits, write

SHAPES: tuple[tuple[int, ...], ...] = (
    *((6, 5), (13,), (4, 3, 5), (), (9, 4), (2, 6, 3), (0, 4), (2, 3, 2, 4), (7,)),
    *((2, 1, 3, 2, 2), (5, 6), (3, 0, 2), (10, 3), (1,), (3, 4, 4), (1, 7), (4, 2, 1, 3)),
)
"""Shapes of rank 0 to 5, empty axes included; drawn in turn."""

COUNTS = dict.fromkeys(DTYPES, 9) | {"int16": 28, "float32": 17, "float64": 12}
"""Arrays of each type with settings of their own."""

DAYS = 5
"""Arrays of one layout that differ in the length of the first axis: what a table of tiles is made of."""


@dataclass(frozen=True, eq=False)
class Stored:
    """One array of the pool, with its truth."""

    number: int
    dtype: str
    family: str
    placing: Literal["keys", "refs", "values"]
    cells: np.ndarray
    """What zarr-python reads."""
    present: np.ndarray | None
    """Which cells are in a chunk that exists; None for shards, which may lack parts."""
    layout: Layout
    array: StoredArray
    """With positions 0 and 1, 2, ... of ``layout`` and ``variants``."""
    variants: tuple[Layout, ...] = ()
    tables: tuple[Table, ...] = ()
    path: Path | None = None
    """Directory of the array that zarr-python wrote, if it is used in place."""
    group: str = ""
    """Arrays of one group have one layout and differ in the first axis only."""
    harm: str = ""
    """What happened to the files; see `tests.strategies.damage`."""
    bad: np.ndarray | None = None
    """Which cells are in an object that is damaged."""
    sure: bool = True
    """Whether reading a bad cell has to fail; otherwise it may give the value that was there.

    Inner chunks of a shard that lie before a cut can still be read, a flipped bit of a header may say nothing, and
    containers that say where they end may have something behind it.
    """

    @property
    def missing(self) -> bool:
        """Whether some chunk is stored nowhere."""
        return self.present is not None and not self.present.all()


@dataclass(frozen=True)
class Pool:
    """All arrays, and those of each data type."""

    arrays: tuple[Stored, ...]
    by_dtype: dict[str, tuple[Stored, ...]]

    def days(self, dtype: str) -> tuple[Stored, ...]:
        """Arrays of one layout."""
        return tuple(s for s in self.by_dtype[dtype] if s.group)


@functools.cache
def pool() -> Pool:
    """The pool of this process; its directory is removed at exit."""
    root = Path(tempfile.mkdtemp(prefix="stored-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    rng = random.Random(20240607)
    arrays: list[Stored] = []
    for name in DTYPES:
        families = itertools.cycle(sorted((f for f in FAMILIES if fits(f, name)), key=lambda _: rng.random()))
        for turn in range(COUNTS[name]):
            shape = SHAPES[turn % len(SHAPES)]
            arrays.append(_one(root, len(arrays), name, shape, next(families), rng))
    for name in ("int16", "float32", "string"):
        arrays.extend(_days(root, len(arrays), name, rng))
    by_dtype = {name: tuple(s for s in arrays if s.dtype == name) for name in DTYPES}
    return Pool(tuple(arrays), by_dtype)


def _one(root: Path, number: int, name: str, shape: tuple[int, ...], family: str, rng: random.Random) -> Stored:
    if number % 11 == 10:
        return _in_memory(number, name, shape)
    chunks = tuple(rng.choice([rng.randint(1, 3), rng.randint(1, max(n, 1)), n + rng.randint(1, 2)]) for n in shape)
    share = rng.choice([1.0, 1.0, 0.6, 0.5, 0.0])
    value = rng.choice(fill_values(name))

    def written(suffix: str, family: str, share: float) -> Written:
        path = root / f"{number}{suffix}"
        return write(
            path, name, shape, number=number, family=family, chunks=chunks, fill_value=value, share=share, rng=rng
        )

    first = written("", family, share)
    if number % 3 == 1:
        other = None
        if not family.startswith("sharded") and share == 1.0 and name in PLAIN:
            # the same cells in another chain: each chunk comes from one of the two
            other = written("b", rng.choice([f for f in ("plain", "zstd", "transpose", "blosc") if f != family]), 1.0)
        return _in_blobs(root, number, name, family, first, other, rng)
    return _in_place(number, name, family, first)


def _days(root: Path, number: int, name: str, rng: random.Random) -> list[Stored]:
    family = "zstd" if name == "string" else "v2-filters"
    found: list[Stored] = []
    value = fill_values(name)[1]
    for day in range(DAYS):
        shape = ((3, 1, 4, 2, 3)[day], 5)
        path = root / f"{name}-day{day}"
        share = 0.7 if day % 2 else 1.0
        done = write(
            path,
            name,
            shape,
            number=number + day,
            family=family,
            chunks=(2, 3),
            fill_value=value,
            share=share,
            rng=random.Random(5),
        )
        found.append(replace(_in_place(number + day, name, family, done), group=f"{name}-days"))
    return found


def _in_place(number: int, name: str, family: str, done: Written) -> Stored:
    info = read_array_metadata(done.document)
    return Stored(
        number=number,
        dtype=name,
        family=family,
        placing="keys",
        cells=done.cells,
        present=None if family.startswith("sharded") else done.present(),
        layout=info.layout,
        array=StoredArray(layout=0, shape=done.cells.shape, location=done.path.as_uri()),
        path=done.path,
    )


def _in_blobs(
    root: Path, number: int, name: str, family: str, done: Written, other: Written | None, rng: random.Random
) -> Stored:
    """The chunks of a written array end to end, with gaps, in one or two objects."""
    blobs = [bytearray(b"gap") for _ in range(rng.choice([1, 1, 2]))]
    junk = rng.randint(0, 2)  # rows of the table that belong to somebody else
    grid = list(np.ndindex(*done.grid))
    columns = {
        "offset": np.zeros(junk + len(grid), np.uint64),
        "length": np.zeros(junk + len(grid), np.uint64),
        "state": np.zeros(junk + len(grid), np.uint8),
        "layout": np.zeros(junk + len(grid), np.int32),
        "place": np.zeros(junk + len(grid), np.int32),
    }
    order = list(enumerate(grid, junk))
    rng.shuffle(order)
    for row, at in order:
        variant = rng.randint(0, 1) if other else 0
        file = (other if other and variant else done).chunks.get(at)
        if file is None:
            continue
        place = rng.randrange(len(blobs))
        data = file.read_bytes()
        columns["offset"][row], columns["length"][row] = len(blobs[place]), len(data)
        columns["state"][row], columns["layout"][row], columns["place"][row] = 1, variant, place
        blobs[place] += data + bytes(rng.randint(0, 9))
    if len(blobs) == 1:
        del columns["place"]
    if other is None:
        del columns["layout"]
    if columns["state"].all():
        del columns["state"]
    files = [root / f"{number}.{k}.bin" for k in range(len(blobs))]
    for file, blob in zip(files, blobs, strict=True):
        file.write_bytes(blob)
    table = Table(columns)
    return Stored(
        number=number,
        dtype=name,
        family=family,
        placing="refs",
        cells=done.cells,
        present=None if family.startswith("sharded") else done.present(),
        layout=read_array_metadata(done.document).layout,
        variants=(read_array_metadata(other.document).layout,) if other else (),
        array=StoredArray(
            layout=0,
            shape=done.cells.shape,
            location=files[0].as_uri(),
            refs=table.name,
            refs_first=junk,
            variants=(1,) if other else (),
            places=tuple(Place(file.as_uri()) for file in files[1:]),
        ),
        tables=(table,),
    )


def _in_memory(number: int, name: str, shape: tuple[int, ...]) -> Stored:
    cells = distinct(name, shape, number)
    table = Table({"values": cells if shape else cells.reshape(1)})
    data_type = from_numpy(DTYPES[name])
    layout = Layout(
        data_type=data_type,
        fill_value=fill.zero(data_type),
        chunk_shape=tuple(max(n, 1) for n in shape),
        codecs=(NamedConfig("vlen-utf8") if name == "string" else NamedConfig("bytes", {"endian": "little"}),),
    )
    return Stored(
        number=number,
        dtype=name,
        family="memory",
        placing="values",
        cells=cells,
        present=np.ones(shape, bool),
        layout=layout,
        array=StoredArray(layout=0, shape=shape, values=table.name),
        tables=(table,),
    )


def identity(array: StoredArray) -> tuple[object, ...]:
    """What tells stored arrays apart, whatever the graph calls their positions."""
    return (array.location, array.refs, array.refs_first, array.values)
