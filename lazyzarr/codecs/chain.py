"""Compiled codec chains: from the bytes of a chunk to its cells, and back.

Owns `compile_chain`, cached by layout, and `Chain`. The chain is checked when it is compiled (every codec known, in
its place, with a valid configuration) and every stage knows the exact or the largest size of its result, so that
decoding stops at the first byte beyond it. Refuses chains with other than one array-to-bytes codec.
"""

from __future__ import annotations

import math
from collections.abc import Buffer, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from lazyzarr.codecs import registry
from lazyzarr.codecs.serial import has_text, is_swapped
from lazyzarr.codecs.sharding import MISSING, Sharding, cells_of
from lazyzarr.codecs.stages import (
    Array,
    ArrayStage,
    Bytes,
    BytesStage,
    Cells,
    Serializer,
    Size,
    invalid,
    octets,
    wrong_length,
)
from lazyzarr.errors import ChunkDecodeError, SaveUnsupported, UnsupportedFeature, ViewSchemaError
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import to_numpy
from lazyzarr.ir.identity import by_identity
from lazyzarr.ir.layout import Layout, NamedConfig

MAX_NESTED_SHARDS = 4


class Chain:
    """The codecs of one layout, ready to decode chunks; safe to use from many threads.

    Attributes
    ----------
    shape, dtype
        Of a decoded chunk; the type is in native byte order.
    nbytes
        Length of a decoded chunk in memory [bytes].
    encoded
        Length of a stored chunk [bytes]: its limit, and whether it is exactly that.
    raw, raw_swapped
        Whether the stored bytes are the cells in C order, in native or in foreign byte order. Then parts of the
        bytes are parts of the cells. Never for text, whose code points are checked.
    sharding
        How a stored chunk is divided, if its parts can be fetched one by one.
    """

    __slots__ = (
        "_array_into",
        "_array_stages",
        "_bytes_stages",
        "_each_into",
        "_into",
        "_serializer",
        "_swapped",
        "dtype",
        "encoded",
        "nbytes",
        "raw",
        "raw_swapped",
        "shape",
        "sharding",
    )

    def __init__(
        self,
        cells: Cells,
        array_stages: list[ArrayStage],
        serializer: Serializer,
        bytes_stages: list[BytesStage],
        sharding: Sharding[Chain] | None,
        swapped: bool | None,
    ) -> None:
        self.shape, self.dtype, self.nbytes = cells.shape, cells.dtype, cells.nbytes
        self.encoded = bytes_stages[-1].encoded if bytes_stages else serializer.encoded
        self._array_stages = tuple(reversed(array_stages))
        self._serializer = serializer
        self._bytes_stages = tuple(reversed(bytes_stages))
        plain = swapped is not None and not array_stages
        self.raw = plain and not bytes_stages and not swapped
        self.raw_swapped = plain and not bytes_stages and bool(swapped)
        self.sharding = sharding if not bytes_stages else None
        self._swapped = bool(swapped)
        self._array_into = array_stages[0].into if array_stages else None
        self._into = bytes_stages[0].into if plain and bytes_stages else None
        self._each_into = bytes_stages[0].each_into if plain and len(bytes_stages) == 1 else None

    @property
    def can_decode_into(self) -> bool:
        """Whether `decode_into` works on contiguous arrays."""
        return self._into is not None or self._array_into is not None or self.raw or self.raw_swapped

    def decode(self, data: Bytes) -> Array:
        """Cells of a chunk: a new array, or a read-only view of `data`.

        Raises
        ------
        ChunkDecodeError, ChunkChecksumError, ChunkTooLarge
            The bytes are not those of a chunk of this layout.
        """
        array = self._serialized(octets(data))
        for stage in self._array_stages:
            array = stage.decode(array)
        return array

    def check(self, data: Buffer) -> None:
        """Look for damage that shows without a chunk being decoded: lengths, headers, outer checksums, the index of a shard.

        Raises
        ------
        ChunkDecodeError, ChunkChecksumError
            As `decode`.

        Examples
        --------
        >>> chain = compile_chain(Layout("int16", 0, (2,), (NamedConfig("bytes", {"endian": "little"}),)))
        >>> chain.check(b"1234")
        """
        found = octets(data)
        for stage in self._bytes_stages:
            if not stage.is_checksum:
                if stage.probe is not None:
                    stage.probe(found)
                return
            found = stage.decode(found)
        sharding = self.sharding
        if sharding is None:
            if self._serializer.encoded.exact and len(found) != self._serializer.encoded.limit:
                raise wrong_length("bytes", len(found), self._serializer.encoded.limit)
            return
        view = memoryview(found)
        at, length = sharding.index_range(len(view))
        offsets, lengths = sharding.parse_index(view[at : at + length], len(view))
        if sharding.chain.guards:
            for offset, size in zip(offsets.reshape(-1).tolist(), lengths.reshape(-1).tolist(), strict=True):
                if offset != MISSING:
                    sharding.chain.check(view[offset : offset + size])

    @property
    def guards(self) -> bool:
        """Whether `check` can find anything."""
        stages = self._bytes_stages
        if stages:
            return stages[0].is_checksum or stages[0].probe is not None
        return self.sharding is not None or self._serializer.encoded.exact

    def _serialized(self, data: Bytes) -> Array:
        for stage in self._bytes_stages:
            data = stage.decode(data)
        return self._serializer.decode(data)

    def decode_into(self, data: Bytes, out: Array) -> bool:
        """Decode straight into `out`; False, and nothing done, where that is not possible.

        It is where `can_decode_into`, and `out` is writable, contiguous in C order, of shape `shape` and type `dtype`.
        After an error the content of `out` is undefined.
        """
        flags = out.flags
        if out.dtype != self.dtype or out.shape != self.shape or not (flags.c_contiguous and flags.writeable):
            return False
        if not self.nbytes or not self.can_decode_into:
            return False
        found = octets(data)
        if self._array_into is not None:
            array = self._serialized(found)
            for stage in self._array_stages[:-1]:
                array = stage.decode(array)
            self._array_into(array, out)
            return True
        target = out.reshape(-1).view(np.uint8)
        if self._into is None:
            if len(found) != self.nbytes:
                raise wrong_length("bytes", len(found), self.nbytes)
            target[:] = np.frombuffer(found, np.uint8)
        else:
            for stage in self._bytes_stages[:-1]:
                found = stage.decode(found)
            self._into(found, target)
        if self._swapped:
            out[...] = out.view(self.dtype.newbyteorder("S"))  # several times as fast as swapping in place
        return True

    def decode_each_into(self, data: memoryview, lengths: Sequence[int], out: Array) -> None:
        """Decode chunks that lie end to end into the rows of `out`, as `decode_into` for each.

        Parameters
        ----------
        data
            Chunks of a fixed encoded length begin at multiples of it, others where the one before ends.
        lengths
            Of each chunk [bytes]; the row of one of negative length is left as it is, or undefined.
        out
            Contiguous in C order, of shape ``(len(lengths), *shape)`` and type `dtype`.
        """
        together = self._each_into if len(lengths) > 1 and min(lengths) >= 0 else None
        if together is not None and together(data, lengths, out.reshape(-1).view(np.uint8)):
            if self._swapped:
                out[...] = out.view(self.dtype.newbyteorder("S"))
            return
        if self.raw and all(length == self.nbytes for length in lengths):
            out.reshape(-1).view(np.uint8)[:] = np.frombuffer(data, np.uint8, out.nbytes)
            return
        at = 0
        for number, length in enumerate(lengths):
            if length >= 0:
                self.decode_into(data[at : at + length], out[number, ...])
            at += self.encoded.limit if self.encoded.exact else max(length, 0)

    def encode(self, array: Array) -> bytes:
        """Bytes of a chunk.

        Raises
        ------
        SaveUnsupported
            A codec of the chain only decodes here.
        """
        if array.shape != self.shape:
            raise SaveUnsupported(f"encode: an array of shape {array.shape}; chunks of this layout are {self.shape}")
        out = array.astype(self.dtype, copy=False)
        for stage in reversed(self._array_stages):
            if stage.encode is None:
                raise _one_way()
            out = stage.encode(out)
        if self._serializer.encode is None:
            raise _one_way()
        data = self._serializer.encode(out)
        for stage in reversed(self._bytes_stages):
            if stage.encode is None:
                raise _one_way()
            data = stage.encode(data)
        return bytes(data)

    def encode_exactly(self, array: Array) -> bytes:
        """As `encode`, of bytes that decode to the very same cells, bit for bit.

        Raises
        ------
        SaveUnsupported
            A codec of the chain rounds them, or only decodes here.
        """
        data = self.encode(array)
        again, cells = np.asarray(self.decode(memoryview(data))), array.astype(self.dtype, copy=False)
        by_value = self.dtype.kind in "TO"
        if not (np.array_equal(again, cells) if by_value else again.tobytes() == cells.tobytes()):
            raise SaveUnsupported(
                "encode: a codec of the chain rounds the values of a chunk that was stored without it; "
                'give codecs that keep every value, such as codecs=["bytes", "zstd"]'
            )
        return data


def compile_chain(layout: Layout) -> Chain:
    """The codec chain of a layout; compiled once, and found again in well under a microsecond.

    Raises
    ------
    UnsupportedFeature
        ``codec-unknown``: a codec has no decoder here.
    ViewSchemaError
        ``codec-invalid``: a configuration, or the place of a codec, is not valid.

    Examples
    --------
    >>> codecs = (NamedConfig("bytes", {"endian": "little"}), NamedConfig("zstd", {"level": 1}))
    >>> chain = compile_chain(Layout("int16", 0, (2, 2), codecs))
    >>> chain.decode(chain.encode(np.array([[1, 2], [3, 4]], np.int16)))
    array([[1, 2],
           [3, 4]], dtype=int16)
    """
    return _compiled(layout)


@lru_cache(maxsize=1024)
def _compile_cached(layout: Layout) -> Chain:
    return _compile(layout, 0)


_compiled = by_identity(_compile_cached)  # hashing a layout encodes it


def _compile(layout: Layout, depth: int) -> Chain:
    if any(isinstance(n, bool) or n < 0 for n in layout.chunk_shape) or math.prod(layout.chunk_shape) >= 2**62:
        raise invalid("bytes", f"chunk_shape is {layout.chunk_shape}; it has to be of whole numbers")
    cells = Cells(to_numpy(layout.data_type), tuple(layout.chunk_shape))
    position = _serial_position(layout.codecs)
    front, codec, behind = (layout.codecs[:position], layout.codecs[position], layout.codecs[position + 1 :])
    array_stages: list[ArrayStage] = []
    at = cells
    for one in front:
        array_stages.append(registry.array_stage(one, at))
        at = array_stages[-1].encoded
    sharding = None
    swapped = None
    kept: list[ArrayStage] = array_stages
    if codec.name == registry.SHARDING:
        sharding = _sharding(layout, codec, front, array_stages, at, depth)
        serializer, kept = sharding.serializer(), []
    else:
        serializer = registry.serializer(codec, at)
        if codec.name == "bytes" and not has_text(at.dtype):  # code points are checked, so text is decoded
            swapped = is_swapped(at.dtype, codec.configuration)
    bytes_stages: list[BytesStage] = []
    size: Size = serializer.encoded
    for one in behind:
        bytes_stages.append(registry.bytes_stage(one, size, at))
        size = bytes_stages[-1].encoded
    return Chain(cells, kept, serializer, bytes_stages, sharding, swapped)


def _serial_position(codecs: tuple[NamedConfig, ...]) -> int:
    found = [position for position, codec in enumerate(codecs) if registry.is_serializer(codec.name)]
    if len(found) != 1:
        for codec in codecs:
            if not registry.is_known(codec.name):
                raise UnsupportedFeature(
                    f"codec {codec.name!r} has no decoder here; register a decoder for it if you trust the source",
                    reason="codec-unknown",
                )
        raise ViewSchemaError(
            f"the codecs {[codec.name for codec in codecs]} have {len(found)} array-to-bytes codecs; a chain has one",
            reason="codec-invalid",
        )
    return found[0]


def _sharding(
    layout: Layout,
    codec: NamedConfig,
    front: tuple[NamedConfig, ...],
    stages: list[ArrayStage],
    cells: Cells,
    depth: int,
) -> Sharding[Chain]:
    """A shard whose inner chunks are decoded by the codecs in front of it as well."""
    name, conf = codec.name, codec.configuration
    if depth >= MAX_NESTED_SHARDS:
        raise UnsupportedFeature(f"codec {name!r} is nested {depth} deep; at most {MAX_NESTED_SHARDS} are read")
    stored = conf.get("chunk_shape")
    if (
        not isinstance(stored, list | tuple)
        or len(stored) != len(cells.shape)
        or any(
            not isinstance(c, int) or isinstance(c, bool) or c < 1 or n % c
            for c, n in zip(stored, cells.shape, strict=True)
        )
    ):
        raise invalid(name, f"chunk_shape is {stored!r}; it has to divide the {cells.shape} cells of the shard")
    for one, stage in zip(front, stages, strict=True):
        if not stage.cellwise:
            raise invalid(one.name, "it stands in front of sharding, and does not decode cell by cell")
    axes = tuple(range(len(cells.shape)))  # stored axis -> decoded axis
    for stage in stages:
        if stage.order is not None:
            axes = tuple(axes[axis] for axis in stage.order)
    chunk_shape = tuple(stored[axes.index(axis)] for axis in range(len(axes)))
    inner = Layout(layout.data_type, layout.fill_value, chunk_shape, (*front, *_codecs(name, conf, "codecs")))
    grid = tuple(n // c for n, c in zip(cells.shape, stored, strict=True))
    index = _compile(Layout("uint64", 2**64 - 1, (*grid, 2), _codecs(name, conf, "index_codecs")), depth + 1)
    if not index.encoded.exact:
        raise invalid(name, "index_codecs compress; the index has to have a fixed length")
    location = conf.get("index_location", "end")
    if location not in ("start", "end"):
        raise invalid(name, f"index_location is {location!r}; it is 'start' or 'end'")
    value = _stored_fill(
        cells_of(fill.from_json(layout.fill_value, layout.data_type), to_numpy(layout.data_type)), stages
    )
    decoded = Cells(to_numpy(layout.data_type), tuple(layout.chunk_shape))
    chain = _compile(inner, depth + 1)
    return Sharding(decoded, chunk_shape, chain, index, value, axes, index_first=location == "start")


def _stored_fill(value: Array, stages: list[ArrayStage]) -> Array:
    """The fill value as a missing inner chunk reads: encoded and decoded again, as zarr does."""
    encoders = [stage.encode for stage in stages if stage.order is None]
    decoders = [stage.decode for stage in stages if stage.order is None]
    out = value.reshape(1)
    try:
        for encode in encoders:
            if encode is None:
                return value
            out = encode(out)
    except ChunkDecodeError:
        return value  # it has no stored form, so that no stored form is read
    for decode in reversed(decoders):
        out = decode(out)
    return out.reshape(())


def _codecs(name: str, configuration: dict[str, Any], member: str) -> tuple[NamedConfig, ...]:
    value = configuration.get(member)
    if not isinstance(value, list | tuple) or not value:
        raise invalid(name, f"{member} is {value!r}; it is a list of codecs")
    return tuple(codec_from_json(one) for one in value)


def codec_from_json(value: object) -> NamedConfig:
    """A codec as Zarr v3 writes it: a name, or an object with a name and a configuration."""
    if isinstance(value, str):
        return NamedConfig(value)
    if isinstance(value, NamedConfig):
        return value
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        configuration = value.get("configuration", {})
        if isinstance(configuration, dict):
            return NamedConfig(value["name"], configuration)
    raise ViewSchemaError(f"a codec is {value!r}; it is an object with a name", reason="codec-invalid")


def _one_way() -> SaveUnsupported:
    return SaveUnsupported("encode: a codec of the chain only decodes here; choose other codecs to write")
