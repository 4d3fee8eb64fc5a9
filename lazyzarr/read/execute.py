"""Running a plan: fetch, decode and place, in a few threads, each chunk once.

Owns the pipeline and what a failure says. Memory in flight is one request and one decoded chunk per thread.
Refuses to return an array of which a chunk failed; fills only what a document or a Zarr array says is absent.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Buffer

import numpy as np

from lazyzarr.access.rooms import page_aligned
from lazyzarr.access.session import Session
from lazyzarr.codecs.chain import Chain
from lazyzarr.codecs.values import decode_values
from lazyzarr.errors import ChunkDecodeError, LazyZarrError, ReadCancelled, SourceChanged, SourceMissing
from lazyzarr.ir import fill
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import VALUE_WISE
from lazyzarr.lower.locate import INLINE, MISSING, OBJECT
from lazyzarr.read.counts import ReadCounts
from lazyzarr.read.failure import named, not_plain
from lazyzarr.read.packs import Pack, Way
from lazyzarr.read.place import Placer
from lazyzarr.read.plan import Plan, Request, alone
from lazyzarr.read.points import PointPlacer
from lazyzarr.read.presence import assert_there, metadata_url
from lazyzarr.read.shards import read_shard
from lazyzarr.read.workers import run_batches

_LARGEST_ROOM = 1 << 28
"""Longest range for which a buffer is kept: a reference may say any length, and its object says that it is too short."""
_REMOTE_THREADS = 16
"""Remote requests wait for answers and not for processors."""


class Execution:
    """One run of a plan into one output array."""

    def __init__(
        self,
        plan: Plan,
        placer: Placer | PointPlacer,
        graph: Graph,
        session: Session,
        counts: ReadCounts,
        cancel: threading.Event,
    ) -> None:
        self.plan, self.placer, self.graph = plan, placer, graph
        self.session, self.counts, self.cancel = session, counts, cancel
        chunks = plan.chunks
        self._members = chunks.members.tolist()
        self._first = chunks.first_member.tolist()
        self._layout = chunks.layout.tolist()
        self._array = chunks.array.tolist()
        self._there: set[int] = set()
        """Arrays that are known to be there though a chunk of them is not."""
        self._flat = placer.out.reshape(-1) if placer.out.flags.c_contiguous else None
        self._rooms = threading.local()  # one buffer for each thread: fresh memory costs more than reading into it

    def run(self) -> None:
        """Read everything.

        Raises
        ------
        LazyZarrError
            Of the first chunk in plan order that failed, naming it.
        """
        self._verify_arrays()
        for chunk in self.plan.direct:
            self._without_request(chunk)
        run_batches(self._batch, self.plan.batches, self._threads(), self.cancel)

    def _threads(self) -> int:
        plan = self.plan
        if not plan.local:
            return _REMOTE_THREADS
        chunks = max(len(plan.chunks), 1)
        if all(chain.raw for chain in plan.chains.values()) and plan.nbytes // chunks < 64 << 10:
            return 1  # handing out small raw chunks costs more than a second thread gains
        return 0

    def _verify_arrays(self) -> None:
        """Arrays kept as one object per chunk are still those whose metadata was read."""
        stamped = [
            number
            for number, stored in enumerate(self.plan.chunks.arrays)
            if stored.stamp is not None and stored.refs is None and stored.location is not None
        ]
        run_batches(self._verify_array, stamped, 1 if self.plan.local else _REMOTE_THREADS, self.cancel)

    def _verify_array(self, number: int) -> None:
        self._go_on()
        chunks = self.plan.chunks
        stored = chunks.arrays[number]
        assert stored.stamp is not None
        row = int(np.searchsorted(chunks.array, number))
        layout = chunks.layouts[self._layout[row]]
        self.session.verify(metadata_url(stored, layout), stored.stamp, grant=stored.grant, beside=True)

    def _batch(self, batch: list[Pack | Request]) -> None:
        decoded = 0
        for item in batch:
            self._go_on()
            decoded += self._pack(item) if isinstance(item, Pack) else self._request(item)
        self.counts.add(decoded)

    def _go_on(self) -> None:
        if self.cancel.is_set():
            raise ReadCancelled("the read was cancelled; the output is incomplete; do not use it")

    def _pack(self, pack: Pack) -> int:
        """Read and place chunks that are an object each; what cannot be packed is read by itself."""
        chain = self._chain(pack.first)
        most, exact = chain.encoded
        # also where the bytes are the cells: reading into cold memory costs more than copying them there
        room = self._room(len(pack) * most if exact else len(pack) * chain.nbytes + most)
        decoded, at = 0, pack.first
        while at < pack.stop:
            self._go_on()
            lengths = self.session.read_packed(pack.urls[at - pack.first :], room, most, exact=exact, grant=pack.grant)
            if not lengths:
                decoded += self._request(self.plan.whole(at))
                at += 1
                continue
            self._place_pack(chain, pack.way, at, lengths, room)
            for chunk, length in enumerate(lengths, at):
                if length < 0:
                    self._fill(chunk)
                else:
                    decoded += 1
            at += len(lengths)
        return decoded

    def _place_pack(self, chain: Chain, way: Way, first: int, lengths: list[int], room: memoryview) -> None:
        """Decode and place the chunks from ``first`` on, whose bytes lie in a buffer as `Session.read_packed` says."""
        there = [first + k for k, length in enumerate(lengths) if length >= 0]
        if way == Way.MOVED and chain.raw and chain.encoded.exact and chain.nbytes:
            cells = np.frombuffer(room, chain.dtype, len(lengths) * math.prod(chain.shape))
            cells = cells.reshape(len(lengths), *chain.shape)
            for chunk in there:
                for fragment in self._fragments(chunk):
                    self.placer.put(fragment, cells[chunk - first, ...])
            return
        if way == Way.MOVED or (way == Way.RUN and len(there) < len(lengths)):
            at = 0
            for chunk, length in enumerate(lengths, first):
                if length >= 0:
                    self._decode(chunk, room[at : at + length], 0, -1)
                at += chain.encoded.limit if chain.encoded.exact else max(length, 0)
            return
        shape = (len(lengths), *chain.shape)
        if way == Way.RUN and self._flat is not None:
            run = self.plan.runs[first]
            cells = self._flat[run : run + math.prod(shape)].reshape(shape)
        elif chain.raw:
            cells = np.frombuffer(room, chain.dtype, math.prod(shape)).reshape(shape)
        else:
            cells = np.empty(shape, chain.dtype)
        if way == Way.RUN or not chain.raw:
            try:
                chain.decode_each_into(room, lengths, cells)
            except LazyZarrError:
                # one by one, so that the error is the first chunk's own
                for chunk in there:
                    self._request(self.plan.whole(chunk))
                return
        if way == Way.BLOCKS:
            self._place_blocks(first, there, cells)

    def _place_blocks(self, first: int, there: list[int], cells: np.ndarray) -> None:
        """Copy whole chunks to their boxes; those of a strip in one step, which costs as much as that of a small chunk."""
        strips = self.plan.strips
        done = first
        for chunk in there:
            if chunk < done:
                continue
            done = min(strips[chunk], first + len(cells)) if len(there) == len(cells) else chunk + 1
            fragment = self._members[self._first[chunk]]
            if done == chunk + 1:
                self.placer.put_block(fragment, cells[chunk - first])
            else:
                last = self._members[self._first[done - 1]]
                self.placer.put_strip(fragment, last, cells[chunk - first : done - first])

    def _room(self, length: int) -> memoryview:
        """A buffer of this thread, until it asks for another one."""
        room = getattr(self._rooms, "room", None)
        if room is None or len(room) < length:
            room = self._rooms.room = memoryview(page_aligned(length))
        return room[:length]

    def _chain(self, chunk: int) -> Chain:
        return self.plan.chains[self._layout[chunk]]

    def _request(self, request: Request) -> int:
        plan = self.plan
        chunk = request.chunks[0]
        chain = plan.chains[self._layout[chunk]]
        try:
            if len(request.chunks) == 1 and self._read_direct(request, chunk, chain):
                return 1
            if chain.sharding is not None and len(request.chunks) == 1:
                done = read_shard(self.session, request, chain, self.placer, self._fragments(chunk), self.counts)
                if done:
                    return 0
            data = self._bytes_of(request)
        except LazyZarrError as error:
            absent = isinstance(error, SourceMissing) and error.reason == SourceMissing.default_reason
            if absent and plan.chunks.may_be_absent(chunk):
                self._fill(chunk)
                return 0
            if len(request.chunks) > 1 and error.reason == "chunk-length":
                # the object is cut off: only the chunks beyond the cut fail
                return sum(self._request(part) for part in alone(request))
            if isinstance(error, SourceChanged) and request.stamp and plan.chunks.state[chunk] == OBJECT:
                error = not_plain(chain.nbytes, error)
            raise self._named(error, chunk, request.offset, request.length) from error.__cause__
        view = memoryview(data)
        for member, (start, size) in zip(request.chunks, request.parts, strict=True):
            part = view if size < 0 else view[start : start + size]
            self._decode(member, part, request.offset + start, size)
        return len(request.chunks)

    def _bytes_of(self, request: Request) -> Buffer:
        url, grant, offset, length, stamp = request.url, request.grant, request.offset, request.length, request.stamp
        if length < 0:  # the decoder checks the length of a whole object
            pin = self.plan.chunks.stamp(request.chunks[0])
            return self.session.read(url, grant=grant, stamp=pin)
        if not self.plan.local or length > _LARGEST_ROOM:
            return self.session.read(url, grant=grant, offset=offset, length=length, stamp=stamp)
        room = self._room(length)
        self.session.read_into(url, offset, [room], grant=grant, stamp=stamp, warm=True)
        return room

    def _read_direct(self, request: Request, chunk: int, chain: Chain) -> bool:
        """Plain cells go from the object straight into the output where they are one run on both sides."""
        if not chain.raw or chain.dtype.hasobject:
            return False
        trim = self.plan.trims.get(chunk)
        if trim is not None and trim.run >= 0 and self._flat is not None:
            cells = self._flat[trim.run : trim.run + request.length // chain.dtype.itemsize]
            buffer = memoryview(cells.view(np.uint8))
            self.session.read_into(request.url, request.offset, [buffer], grant=request.grant, stamp=request.stamp)
            return True
        fragments = self._fragments(chunk)
        if len(fragments) != 1:
            return False
        cells = math.prod(chain.shape if trim is None else trim.shape)
        if self.placer.cells(fragments[0]) != cells or cells * chain.dtype.itemsize != request.length:
            return False  # not all of the run, or not as long as plain cells are: the decoder says so
        buffers = self.placer.direct(fragments[0], chain.shape)
        if buffers is None:
            return False
        self.session.read_into(request.url, request.offset, buffers, grant=request.grant, stamp=request.stamp)
        return True

    def _decode(self, chunk: int, data: memoryview, offset: int, length: int) -> None:
        chain = self.plan.chains[self._layout[chunk]]
        run = self.plan.runs[chunk]
        try:
            if run >= 0 and self._flat is not None and chain.can_decode_into:
                target = self._flat[run : run + math.prod(chain.shape)].reshape(chain.shape)
                if chain.decode_into(data, target):
                    return
            fragments = self._fragments(chunk)
            trim = self.plan.trims.get(chunk)
            if trim is not None:
                self._put_trimmed(chain, data, trim.origin, trim.shape, fragments)
                return
            cells = chain.decode(data)
            for fragment in fragments:
                self.placer.put(fragment, cells)
        except LazyZarrError as error:
            raise self._named(error, chunk, offset, length) from error.__cause__

    def _put_trimmed(
        self, chain: Chain, data: memoryview, origin: tuple[int, ...], shape: tuple[int, ...], fragments: list[int]
    ) -> None:
        dtype = chain.dtype.newbyteorder("S") if chain.raw_swapped else chain.dtype
        expected = math.prod(shape) * dtype.itemsize
        if len(data) != expected:
            raise ChunkDecodeError(
                f"{len(data)} bytes of plain cells; {expected} were asked for; the object is not what was referenced",
                reason="chunk-length",
            )
        cells = np.frombuffer(data, dtype).reshape(shape)
        for fragment in fragments:
            self.placer.put(fragment, cells, origin)

    def _without_request(self, chunk: int) -> None:
        if self.plan.chunks.state[chunk] == MISSING:
            self._fill(chunk)
            return
        if self.plan.chunks.state[chunk] == INLINE:
            self._decode(chunk, self.plan.chunks.inline(chunk), 0, -1)
            self.counts.add(1)
            return
        stored = self.plan.chunks.arrays[self._array[chunk]]
        assert stored.values is not None
        layout = self.plan.chunks.layouts[self._layout[chunk]]
        cells = np.asarray(self.graph.tables[stored.values]["values"]).reshape(stored.shape)
        decodes = [codec for codec in layout.codecs if codec.name in VALUE_WISE]  # the others are of stored bytes
        cells = decode_values(cells, decodes, layout.data_type)
        for fragment in self._fragments(chunk):
            self.placer.put(fragment, cells)

    def _fill(self, chunk: int) -> None:
        layout = self.plan.chunks.layouts[self._layout[chunk]]
        number = self._array[chunk]
        if self.plan.chunks.may_be_absent(chunk) and number not in self._there:
            stored = self.plan.chunks.arrays[number]
            document = metadata_url(stored, layout)
            assert_there(self.session, document, stored.stamp, grant=stored.grant, opened=False)
            self._there.add(number)
        value = fill.from_json(layout.fill_value, layout.data_type)
        for fragment in self._fragments(chunk):
            self.placer.fill(fragment, value)

    def _fragments(self, chunk: int) -> list[int]:
        return self._members[self._first[chunk] : self._first[chunk + 1]]

    def _named(self, error: LazyZarrError, chunk: int, offset: int, length: int) -> LazyZarrError:
        chunks = self.plan.chunks
        stored = chunks.arrays[self._array[chunk]]
        return named(
            error, stored, chunks.coords[chunk, : len(stored.shape)].tolist(), chunks.url(chunk), offset, length
        )
