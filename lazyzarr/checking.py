"""Whether a view can be read: sources are there and unchanged, and a sample of chunks decodes.

1. Every stored array that the view uses is looked for, and its stamp compared.
2. A random but repeatable sample of chunks, or all of them, is fetched and decoded; the cells are dropped.
3. ``deep`` also compares every chunk reference of the view with the length of its object, wherever the reference is
   kept, and the metadata of Zarr arrays with what the view says of them.
Refuses to stop at the first failure: all are reported, each with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from lazyzarr.access.session import Session
from lazyzarr.access.stamps import compare
from lazyzarr.access.url import shown
from lazyzarr.codecs.chain import compile_chain
from lazyzarr.errors import LazyZarrError, SourceProtocolError, ViewSchemaError
from lazyzarr.formats.zarr import read_array_metadata
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import StoredArray
from lazyzarr.ir.origins import all_origins
from lazyzarr.lower.locate import INLINE, MISSING, OBJECT, RANGE, VALUES, Chunks
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
    if deep:
        failed |= _ranges(chunks, failed, reader.session, report)
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


def _ranges(chunks: Chunks, failed: set[int], session: Session, report: Report) -> set[int]:
    """Arrays with byte ranges that do not lie inside their object; each object is asked once how long it is."""
    rows = np.flatnonzero(chunks.state == RANGE)
    if failed:
        rows = rows[~np.isin(chunks.array[rows], list(failed))]
    grants = sorted({stored.grant for stored in chunks.arrays})
    of_array = np.array([grants.index(stored.grant) for stored in chunks.arrays], np.int64)
    pairs = chunks.place[rows] * np.int64(len(grants) or 1) + of_array[chunks.array[rows]]
    rows, pairs = (column[np.argsort(pairs, kind="stable")] for column in (rows, pairs))
    objects, begins = np.unique(pairs, return_index=True)
    groups = np.split(rows, begins[1:]) if len(objects) else []

    def one(given: tuple[int, np.ndarray]) -> Failure | None:
        place, grant = divmod(given[0], len(grants))
        url, stamp = chunks.places[place].location, chunks.places[place].stamp
        try:
            now = session.stat(url, grant=grants[grant])
            if stamp is not None and session.verify_stamps:
                compare(shown(url), stamp, now)
            _inside(chunks.offset[given[1]], chunks.length[given[1]], now.size)
        except LazyZarrError as error:
            return _failure(shown(url), error)
        return None

    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(one, zip(objects.tolist(), groups, strict=True)))
    report.failures += [failure for failure in found if failure is not None]
    bad = [chunks.array[mine] for mine, failure in zip(groups, found, strict=True) if failure is not None]
    return set(np.unique(np.concatenate(bad)).tolist()) if bad else set()


def _inside(offset: np.ndarray, length: np.ndarray, size: int | None) -> None:
    """Return if all byte ranges (n,) are inside an object; columns beyond 63 bits have come out negative."""
    size = 2**63 - 1 if size is None else size
    beyond = np.flatnonzero((offset < 0) | (length < 0) | (length > size) | (offset > size - length))
    if len(beyond):
        first = int(beyond[0])
        raise SourceProtocolError(
            f"{len(beyond)} of {len(offset)} chunk references end behind the object, which has {size} bytes, such as "
            f"{int(length[first])} bytes from {int(offset[first])} on; make the view again"
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
