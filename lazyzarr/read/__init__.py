"""Reading: lower, cut into fragments, locate, plan, then fetch, decode and place.

Owns `Reader`, which holds the session that a view reads with. Refuses to cache values: two reads of a view are
two reads of its sources.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from lazyzarr.access.session import Session
from lazyzarr.algebra.span import canonical
from lazyzarr.errors import ShapeError
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import to_numpy
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import StoredArray
from lazyzarr.ir.nodes import Index
from lazyzarr.ir.schema import Schema, infer
from lazyzarr.lower.fragments import Fragments, fragments
from lazyzarr.lower.locate import Chunks, locate
from lazyzarr.lower.lowering import Lowered, lower
from lazyzarr.read.counts import ReadCounts
from lazyzarr.read.execute import Execution
from lazyzarr.read.place import Placer
from lazyzarr.read.plan import Plan, plan
from lazyzarr.read.points import PointPlacer, coordinates, point_fragments
from lazyzarr.read.small import read_small


class Reader:
    """Reads graphs with one session.

    Attributes
    ----------
    session
        Where bytes come from; ``session.counts`` has requests, bytes and objects.
    counts
        ``counts.decodes``: chunks decoded.
    """

    __slots__ = ("counts", "session")

    def __init__(self, session: Session | None = None) -> None:
        self.session = session or Session()
        self.counts = ReadCounts()

    @classmethod
    def joined(cls, readers: Sequence[Reader]) -> Reader:
        """A reader for what any of the readers can read: the first that can, else one with a joined session."""
        distinct = list({id(reader.session): reader for reader in readers}.values())
        if not distinct:
            return cls()
        for reader in distinct[:2]:
            if all(_knows(reader.session, other.session) for other in distinct):
                return reader
        sessions = [reader.session for reader in distinct]
        while len(sessions) > 1:  # by pairs: one after the other would copy the first as often as there are others
            pairs = zip(sessions[::2], sessions[1::2], strict=False)
            sessions = [*(one.joined(other) for one, other in pairs), *sessions[len(sessions) & ~1 :]]
        return cls(sessions[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return Reader, (self.session,)

    def read(self, graph: Graph, *, out: np.ndarray | None = None, cancel: threading.Event | None = None) -> np.ndarray:
        """The array that a graph means; see `lazyzarr.View.read`."""
        _check_out(graph, out)
        done = read_small(graph, self.session, self.counts, out)
        if done is not None:
            return done
        return self.read_lowered(lower(graph), out=out, cancel=cancel)

    def read_lowered(
        self, lowered: Lowered, *, out: np.ndarray | None = None, cancel: threading.Event | None = None
    ) -> np.ndarray:
        """The array of a lowered graph."""
        found = fragments(lowered)
        if out is None:
            out = _new_output(lowered.schema)
        _paint_constants(lowered, out)
        if len(found):
            self._run(lowered, found, Placer(found, out), cancel or threading.Event())
        return out

    async def read_async(self, graph: Graph, *, out: np.ndarray | None = None) -> np.ndarray:
        """As `read` on a thread of its own; cancelling the task stops the read at its next request."""
        cancel = threading.Event()
        task = asyncio.ensure_future(asyncio.to_thread(self.read, graph, out=out, cancel=cancel))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            cancel.set()
            if out is not None:  # the thread must let go of the caller's buffer before the caller goes on
                await asyncio.wait([task])
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise

    def read_points(self, graph: Graph, key: Any) -> np.ndarray:
        """The cells at the coordinates of a pointwise key, in the shape NumPy gives ``array[key]``."""
        schema = infer(graph)[-1]
        points, shape = coordinates(key, schema.shape)
        out = np.empty(len(points), to_numpy(schema.data_type))
        if len(points):
            low, high = points.min(axis=0), points.max(axis=0)
            box = tuple(canonical(a, 1, b - a + 1) for a, b in zip(low.tolist(), high.tolist(), strict=True))
            lowered = lower(graph.then(Index(0, box)))
            found, placer = point_fragments(lowered, points - low, out)
            if len(found):
                self._run(lowered, found, placer, threading.Event())
        return out.reshape(shape)

    def locate(self, graph: Graph) -> tuple[Lowered, Fragments, Chunks]:
        """Placements, fragments and chunk locations of a graph; no chunk is touched."""
        lowered = lower(graph)
        found = fragments(lowered)
        return lowered, found, locate(lowered, found)

    def plan(self, graph: Graph) -> Plan:
        """What reading a graph would request; no chunk is touched."""
        lowered = lower(graph)
        found = fragments(lowered)
        shape = lowered.schema.shape
        # planning asks only where cells lie in the output, so one cell stands for all of it
        stand_in = np.broadcast_to(np.empty((), to_numpy(lowered.schema.data_type)), shape)
        return self._plan(lowered, found, Placer(found, stand_in))

    def stored_arrays(self, graph: Graph) -> list[StoredArray]:
        """The stored arrays that cells of the view come from, each once."""
        lowered = lower(graph)
        used = np.unique(lowered.placements.source)
        return lowered.sources.arrays(used[used >= 0])

    def _run(self, lowered: Lowered, found: Fragments, placer: Placer | PointPlacer, cancel: threading.Event) -> None:
        planned = self._plan(lowered, found, placer)
        Execution(planned, placer, lowered.sources.graph, self.session, self.counts, cancel).run()

    def _plan(self, lowered: Lowered, found: Fragments, placer: Placer | PointPlacer) -> Plan:
        chunks = locate(lowered, found)
        local = all(map(self.session.is_local, {place for stored in chunks.arrays for place in _locations(stored)}))
        return plan(chunks, placer, local=local)


def _check_out(graph: Graph, out: np.ndarray | None) -> None:
    if out is None:
        return
    schema = infer(graph)[-1]
    dtype = to_numpy(schema.data_type)
    if out.shape != schema.shape or out.dtype != dtype:
        raise ShapeError(
            f"out has shape {out.shape} and type {out.dtype}; the view has {schema.shape} and {dtype}; "
            "give an array like the view"
        )
    if not out.flags.writeable:
        raise ShapeError("out is read-only; give an array that can be written")


def _new_output(schema: Schema) -> np.ndarray:
    dtype = to_numpy(schema.data_type)
    try:
        return np.empty(schema.shape, dtype)
    except (MemoryError, ValueError) as error:
        raise ShapeError(
            f"reading {schema.shape} of {dtype} takes {math.prod(schema.shape) * dtype.itemsize} bytes; "
            "this process cannot have them; read a part of the view"
        ) from error


def _paint_constants(lowered: Lowered, out: np.ndarray) -> None:
    placed = lowered.placements
    rows = np.flatnonzero(placed.source < 0)
    for row in rows[np.argsort(placed.order[rows], kind="stable")].tolist():
        constant = lowered.constants[-1 - int(placed.source[row])]
        columns = (placed.into_first[row], placed.into_step[row], placed.into_count[row])
        box = tuple(slice(f, f + s * (n - 1) + 1, s) for f, s, n in zip(*(c.tolist() for c in columns), strict=True))
        target = out[(*box, ...)]
        target[...] = (
            fill.full(target.shape, constant.value, constant.data_type)
            if out.dtype.kind == "O"
            else (fill.from_json(constant.value, constant.data_type))
        )


def _locations(stored: StoredArray) -> list[str]:
    """Where the chunks of an array are."""
    return [location for location in (stored.location, *(place.location for place in stored.places)) if location]


def _knows(session: Session, other: Session) -> bool:
    """Whether a session can read all that another can, in the same way."""
    return (
        session.verify_stamps == other.verify_stamps
        and all(session.grants.get(k) == v for k, v in other.grants.items())
        and all(session.stores.get(k) is v for k, v in other.stores.items())
        and all(session.options.get(k) == v for k, v in other.options.items())
    )


__all__ = ["Reader"]
