"""The quick decoder of zlib streams gives what zlib gives, or leaves it to zlib."""

import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lazyzarr.codecs import bounded, inflating
from lazyzarr.codecs.bounded import streams
from lazyzarr.codecs.inflating import Inflater
from lazyzarr.codecs.stages import Cells, Size
from lazyzarr.errors import ChunkError

QUICK = Inflater(0)
RAW = st.builds(
    lambda parts: b"".join(piece * count for piece, count in parts),
    st.lists(st.tuples(st.binary(max_size=40), st.integers(1, 60)), max_size=6),
)
STRATEGIES = st.sampled_from((zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED))


def packed(raw: bytes, level: int, window: int, strategy: int) -> bytes:
    writer = zlib.compressobj(level, zlib.DEFLATED, window, strategy=strategy)
    return writer.compress(raw) + writer.flush()


def slow(data: bytes, limit: int) -> bytes | None:
    try:
        return bytes(streams("zlib", lambda: zlib.decompressobj(15), data, Size(limit, exact=True), trailing=True))
    except ChunkError:
        return None


@given(RAW, st.integers(0, 9), st.integers(9, 15), STRATEGIES, st.binary(max_size=9))
def test_what_zlib_wrote(raw: bytes, level: int, window: int, strategy: int, trailing: bytes) -> None:
    data = packed(raw, level, window, strategy) + trailing
    assert slow(data, len(raw)) == raw
    found = QUICK(data, len(raw))
    assert (found is None) == (not raw)  # nothing to gain by an empty chunk
    assert found is None or found.tobytes() == raw
    out = np.zeros(len(raw), np.uint8)
    assert (QUICK(memoryview(data), len(raw), out) is None) == (not raw)
    assert out.tobytes() == raw


@given(RAW, st.integers(0, 9), st.data())
def test_what_nobody_wrote(raw: bytes, level: int, data: st.DataObject) -> None:
    """Cut, changed and of another length than declared: no more than zlib takes, and no byte beyond the buffer."""
    stream = bytearray(zlib.compress(raw, level))
    for _ in range(data.draw(st.integers(0, 3))):
        stream[data.draw(st.integers(0, len(stream) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    cut = bytes(stream[: data.draw(st.integers(0, len(stream)))])
    length = max(len(raw) + data.draw(st.integers(-3, 3)), 0)
    room = np.full(length + 64, 7, np.uint8)
    found = QUICK(cut, length, room[:length])
    assert (room[length:] == 7).all()
    if found is not None:
        assert found.tobytes() == slow(cut, length)


def test_a_declared_length_that_no_stream_has_is_not_allocated() -> None:
    assert QUICK(zlib.compress(b"x"), 1 << 50) is None


def test_the_stage_is_zlib_with_and_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = np.arange(5000, dtype="<i2")
    size, stored = Size(cells.nbytes, exact=True), zlib.compress(cells.tobytes())
    without = Inflater(0)
    monkeypatch.setattr(inflating, "PACKAGE", "no_such_package")
    assert without(stored, cells.nbytes) is None
    for one in (QUICK, without):
        monkeypatch.setattr(bounded, "inflate", one)
        stage = bounded.deflate({}, size, Cells(cells.dtype, cells.shape))
        assert bytes(stage.decode(stored)) == cells.tobytes()
        out = np.zeros(cells.nbytes, np.uint8)
        assert stage.into is not None
        stage.into(stored, out)
        assert out.tobytes() == cells.tobytes()
        for bad in (stored[:-1], stored[:20], zlib.compress(bytes(cells.nbytes + 1)), zlib.compress(bytes(9)), b""):
            with pytest.raises(ChunkError) as first:
                stage.decode(bad)
            with pytest.raises(ChunkError, match="zlib"):
                stage.into(bad, out)
            assert "zlib" in str(first.value)


def test_the_package_is_loaded_once_it_is_worth_it() -> None:
    """A small read must not pay for an import; one that inflates much is paid back."""
    text = (
        "import sys, zlib; from lazyzarr.codecs.inflating import PACKAGE, Inflater; one = Inflater(1000);"
        "data = zlib.compress(bytes(400)); found = [(one(data, 400) is None, PACKAGE in sys.modules) for _ in range(4)];"
        "print(found)"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([(True, False), (True, False), (False, True), (False, True)])
