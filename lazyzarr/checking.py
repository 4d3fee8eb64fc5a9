"""Whether a view can be read: sources are there and unchanged, and a sample of chunks decodes.

1. Every stored array that the view uses is looked for, and its stamp compared.
2. A random but repeatable sample of chunks, or all of them, is fetched and decoded; the cells are dropped.
3. ``deep`` also compares every chunk reference with the length of its object, and the metadata of Zarr arrays with
   what the view says of them.
Refuses to stop at the first failure: all are reported, each with its reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from lazyzarr.access.session import Session
from lazyzarr.access.url import shown
from lazyzarr.codecs.chain import compile_chain
from lazyzarr.errors import LazyZarrError, SourceProtocolError, ViewSchemaError
from lazyzarr.formats.zarr import read_array_metadata
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import StoredArray
from lazyzarr.ir.origins import all_origins
from lazyzarr.lower.locate import INLINE, MISSING, OBJECT, VALUES, Chunks
from lazyzarr.read import Reader

SAMPLE = 16
SEED = 20150201
_THREADS = 8
Watch = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that is not as the view says."""

    where: str
    reason: str
    text: str


@dataclass(slots=True)
class Report:
    """What was looked at and what failed."""

    arrays: int = 0
    chunks: int = 0
    decoded: int = 0
    absent: int = 0
    """Chunks looked at that are stored nowhere and read as fill values."""
    skipped: int = 0
    """Chunks left out because their array failed already."""
    failures: list[Failure] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.failures


def check(
    graph: Graph,
    reader: Reader,
    *,
    sample: int | None = SAMPLE,
    deep: bool = False,
    seed: int = SEED,
    watch: Watch | None = None,
) -> Report:
    """Check the sources of a graph.

    Parameters
    ----------
    sample
        Chunks that are decoded; None: all.
    deep
        Check references and metadata without a sample, too.
    seed
        Which sample.
    watch
        Called with the number of chunks done and to do.

    Examples
    --------
    >>> import numpy as np, lazyzarr as lz
    >>> view = lz.open(np.arange(4))
    >>> check(view.ir, view.reader).passed
    True
    """
    report = Report()
    try:
        lowered, _, chunks = reader.locate(graph)
    except LazyZarrError as error:
        report.failures.append(_failure("the view", error))
        return report
    report.arrays, report.chunks = len(chunks.arrays), len(chunks)
    known = lowered.sources.graph
    # a table of origins keeps of an array how its chunks are keyed, which is too little to compare metadata with
    keyed = {one for array in known.arrays if array.origins is not None for one in all_origins(known, array)}
    failed = {
        number
        for number, stored in enumerate(chunks.arrays)
        if not _array(stored, known, reader.session, deep and stored not in keyed, report)
    }
    picked = _sample(len(chunks), sample, seed)
    wanted = [chunk for chunk in picked if int(chunks.array[chunk]) not in failed]
    report.skipped = len(picked) - len(wanted)
    for done, found in enumerate(_decoded(wanted, chunks, reader.session), 1):
        if isinstance(found, Failure):
            report.failures.append(found)
        else:
            report.decoded += found
            report.absent += not found
        if watch is not None:
            watch(done, len(wanted))
    return report


def _sample(total: int, sample: int | None, seed: int) -> list[int]:
    if sample is None or sample >= total:
        return list(range(total))
    return sorted(np.random.default_rng(seed).choice(total, sample, replace=False).tolist())


def _array(stored: StoredArray, graph: Graph, session: Session, deep: bool, report: Report) -> bool:
    """Whether a stored array is there and as it was; if not, the report says so."""
    if stored.location is None:
        return True
    try:
        if stored.refs is None:
            key = f"{stored.location}/{graph.layouts[stored.layout].metadata}"
            _present(key, stored, session)
            if deep:
                _metadata(key, stored, graph, session)
        else:
            _present(stored.location, stored, session)
            for place in stored.places:
                if place.stamp is not None:
                    session.verify(place.location, place.stamp, grant=stored.grant)
            if deep:
                _references(stored, graph, session)
    except LazyZarrError as error:
        report.failures.append(_failure(shown(stored.location), error))
        return False
    return True


def _present(url: str, stored: StoredArray, session: Session) -> None:
    if stored.stamp is None:
        session.stat(url, grant=stored.grant)
    else:
        session.verify(url, stored.stamp, grant=stored.grant)


def _metadata(url: str, stored: StoredArray, graph: Graph, session: Session) -> None:
    """The metadata document still describes the array that the view refers to."""
    info = read_array_metadata(bytes(session.read(url, grant=stored.grant)))
    if info.shape != stored.shape or info.layout != graph.layouts[stored.layout]:
        raise ViewSchemaError(
            f"its metadata now say shape {info.shape} and chunks {info.layout.chunk_shape}; the view was made of an array "
            f"of shape {stored.shape} with another layout; make the view again",
            reason="document-schema",
        )


def _references(stored: StoredArray, graph: Graph, session: Session) -> None:
    """Every byte range lies inside its object."""
    assert stored.refs is not None
    assert stored.location is not None
    refs = graph.tables[stored.refs]
    chunk_shape = graph.layouts[stored.layout].chunk_shape
    count = math.prod(-(-n // c) for n, c in zip(stored.shape, chunk_shape, strict=True))
    rows = slice(stored.refs_first, stored.refs_first + count)
    ends = np.asarray(refs["offset"][rows]).astype(np.int64) + np.asarray(refs["length"][rows]).astype(np.int64)
    here = np.ones(len(ends), bool)
    if "state" in refs:
        here &= np.asarray(refs["state"][rows]) == 1
    if "place" in refs:
        here &= np.asarray(refs["place"][rows]) == 0
    size = session.stat(stored.location, grant=stored.grant).size
    beyond = np.flatnonzero(here & (ends > size)) if size is not None else np.zeros(0, np.int64)
    if len(beyond):
        raise SourceProtocolError(
            f"{len(beyond)} of {count} chunk references end behind the object, which has {size} bytes, such as that of "
            f"chunk number {int(beyond[0])}; make the view again"
        )


def _decoded(wanted: list[int], chunks: Chunks, session: Session) -> Iterator[bool | Failure]:
    """For each chunk: whether it was decoded (True), is stored nowhere (False), or how it failed."""
    with ThreadPoolExecutor(_THREADS) as pool:
        yield from pool.map(lambda chunk: _chunk(chunk, chunks, session), wanted)


def _chunk(chunk: int, chunks: Chunks, session: Session) -> bool | Failure:
    state = int(chunks.state[chunk])
    if state == MISSING:
        return False
    if state == VALUES:
        return True
    stored = chunks.arrays[int(chunks.array[chunk])]
    url = chunks.url(chunk)
    try:
        if state == INLINE:
            data = chunks.inline(chunk)
        elif chunks.may_be_absent(chunk):
            data = session.try_read(url, grant=stored.grant)
            if data is None:
                return False
        elif state == OBJECT:
            data = session.read(url, grant=stored.grant, stamp=chunks.stamp(chunk))
        else:
            offset, length = int(chunks.offset[chunk]), int(chunks.length[chunk])
            data = session.read(url, grant=stored.grant, offset=offset, length=length, stamp=chunks.stamp(chunk))
        compile_chain(chunks.layouts[int(chunks.layout[chunk])]).decode(memoryview(data))
    except LazyZarrError as error:
        coords = tuple(chunks.coords[chunk, : len(stored.shape)].tolist())
        return _failure(f"chunk {coords} of {shown(stored.location or url)}", error)
    return True


def _failure(where: str, error: LazyZarrError) -> Failure:
    return Failure(where, error.reason, str(error))
