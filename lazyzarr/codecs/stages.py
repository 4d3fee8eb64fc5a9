"""What one codec of a compiled chain is: three kinds of stages and the sizes between them.

Owns the records that builders return (`ArrayStage`, `Serializer`, `BytesStage`), the description of what flows
between them (`Cells`, `Size`), and the errors that every decoder raises about lengths. Refuses to know any codec.
"""

from __future__ import annotations

import math
from collections.abc import Buffer, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from lazyzarr.errors import ChunkDecodeError, ChunkError, ChunkTooLarge, ViewSchemaError

Configuration = Mapping[str, Any]
"""The JSON configuration of a codec, as a document or a file gave it."""
Array = np.ndarray[Any, np.dtype[Any]]
Bytes = bytes | memoryview
"""What stages pass on: one contiguous run of bytes, indexed by byte."""

SLACK = 1 << 16
"""What a compressor may add to incompressible input, beside an eighth of it [bytes]."""


class Cells(NamedTuple):
    """A block of cells: native NumPy type and shape."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of cells."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Length in memory [bytes]; without meaning for variable-length types."""
        return self.size * self.dtype.itemsize


class Size(NamedTuple):
    """How many bytes a stage may hand on."""

    limit: int
    """Never more than this [bytes]."""
    exact: bool
    """Whether it is never less either."""

    def compressed(self) -> Size:
        """What a compressor makes of this at most."""
        return Size(self.limit + self.limit // 8 + SLACK, exact=False)

    def check(self, length: int, codec: str) -> None:
        """Raise unless `length` is an allowed number of bytes.

        Raises
        ------
        ChunkTooLarge
            More than declared.
        ChunkDecodeError
            ``chunk-length``: less than declared.
        """
        if length > self.limit:
            raise too_large(codec, length, self.limit)
        if self.exact and length != self.limit:
            raise wrong_length(codec, length, self.limit)


@dataclass(frozen=True, slots=True)
class ArrayStage:
    """An array-to-array codec."""

    decode: Callable[[Array], Array]
    encode: Callable[[Array], Array] | None
    encoded: Cells
    """What it is decoded from."""
    cellwise: bool = False
    """Whether each cell is decoded on its own, so that it commutes with cutting the block."""
    order: tuple[int, ...] | None = None
    """The permutation, if it is a transpose."""
    into: Callable[[Array, Array], None] | None = None
    """Decodes straight into a writable array, where it need not make one."""


@dataclass(frozen=True, slots=True)
class Serializer:
    """The array-to-bytes codec."""

    decode: Callable[[Bytes], Array]
    encode: Callable[[Array], Bytes] | None
    encoded: Size


@dataclass(frozen=True, slots=True)
class BytesStage:
    """A bytes-to-bytes codec."""

    decode: Callable[[Bytes], Bytes]
    encode: Callable[[Bytes], Bytes] | None
    encoded: Size
    into: Callable[[Bytes, Array], None] | None = None
    """Decodes straight into a writable contiguous array of bytes, where the decoder can."""
    each_into: Callable[[memoryview, Sequence[int], Array], bool] | None = None
    """Decodes several chunks, end to end and of these lengths, into one such array in one call; False: it cannot."""
    is_checksum: bool = False
    """Whether it only guards the bytes, so that decoding is checking."""
    probe: Callable[[Bytes], None] | None = None
    """Raises, as `decode` would, for damage that shows in the headers of the bytes."""


def octets(data: Buffer) -> Bytes:
    """The bytes of a contiguous buffer, without a copy."""
    if type(data) is bytes:
        return data
    view = memoryview(data)
    return view.cast("B") if view.nbytes else b""


def too_large(codec: str, length: int | None, limit: int) -> ChunkTooLarge:
    """The error of a stage whose output is over the declared size."""
    found = "more" if length is None else f"{length} bytes"
    return ChunkTooLarge(
        f"{codec}: the chunk would decode to {found}; its layout declares at most {limit} bytes; "
        "the reference or the layout is not the one of these bytes"
    )


def wrong_length(codec: str, length: int, expected: int) -> ChunkDecodeError:
    """The error of a stage whose bytes are shorter or longer than declared."""
    return ChunkDecodeError(
        f"{codec}: {length} bytes; the layout declares exactly {expected}; "
        "the chunk is truncated, or the layout is not the one of these bytes",
        reason="chunk-length",
    )


def wrong_count(codec: str, count: int, expected: int) -> ChunkError:
    """The error of a stage that has more or fewer cells of variable length than declared."""
    text = (
        f"{codec}: {count} cells; the layout declares exactly {expected}; "
        "the chunk is truncated, or the layout is not the one of these bytes"
    )
    return ChunkTooLarge(text) if count > expected else ChunkDecodeError(text, reason="chunk-length")


def malformed(codec: str, what: object) -> ChunkDecodeError:
    """The error of bytes that the codec cannot read."""
    return ChunkDecodeError(f"{codec}: the bytes are not what the codec writes; {what}; check the source")


def invalid(codec: str, what: str) -> ViewSchemaError:
    """The error of a configuration or a place in the chain that is not valid."""
    return ViewSchemaError(f"codec {codec!r}: {what}", reason="codec-invalid")


def integer(codec: str, configuration: Configuration, name: str, default: int | None = None) -> int:
    """A whole number of the configuration."""
    value = configuration.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid(codec, f"{name} is {value!r}; it has to be a whole number")
    return value


def stored_type(codec: str, configuration: Configuration, name: str, default: np.dtype[Any] | None) -> np.dtype[Any]:
    """A NumPy type that a numcodecs configuration names, numbers only."""
    text = configuration.get(name)
    if text is None and default is not None:
        return default
    try:
        dtype = np.dtype(text) if isinstance(text, str) and "," not in text else None
    except TypeError:
        dtype = None
    if dtype is None or dtype.kind not in "biufcMm" or dtype.subdtype is not None:
        raise invalid(codec, f"{name} is {text!r}; it has to name a numeric type")
    return dtype
