"""Ranges that are read together keep their own stamps and their own errors."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import lazyzarr as lz
from lazyzarr.errors import LazyZarrError, SourceChanged
from lazyzarr.ir.layout import Stamp
from tests.review.referenced import SWAPPED, referenced


def test_a_new_stamp_does_not_vouch_for_an_old_one(tmp_path: Path) -> None:
    """Two arrays in one file, of which one was referenced before the file was written again."""
    file = tmp_path / "cells.bin"
    file.write_bytes(np.arange(20, dtype="i2").tobytes())
    now = os.stat(file)
    fresh = Stamp(size=now.st_size, mtime_ns=now.st_mtime_ns, inode=now.st_ino)
    stale = Stamp(size=now.st_size, mtime_ns=now.st_mtime_ns - 1, inode=now.st_ino)
    for stamps in ((fresh, stale), (stale, fresh)):
        parts = [referenced(file, [20 * k], [20], (10,), (10,), stamp=stamp) for k, stamp in enumerate(stamps)]
        with pytest.raises(SourceChanged):
            lz.concat(parts).read()
    same = [referenced(file, [20 * k], [20], (10,), (10,), stamp=fresh) for k in range(2)]
    joined = lz.concat(same)
    assert joined.read().tolist() == list(range(20))
    assert joined.reader.plan(joined.ir).requests == 1


def test_only_the_chunks_beyond_a_cut_fail(tmp_path: Path) -> None:
    """R18, R20: three chunks in one request, the file ends in the third."""
    file = tmp_path / "cells.bin"
    file.write_bytes(np.arange(64, dtype=">i2").tobytes()[:50])
    view = referenced(file, [0, 20, 40], [20] * 3, (30,), (10,), codecs=SWAPPED)
    assert view.reader.plan(view.ir).requests == 1
    with pytest.raises(LazyZarrError) as raised:
        view.read()
    assert raised.value.reason == "chunk-length"
    assert str(raised.value.where).startswith("chunk (2,)")
    assert str(raised.value.where).endswith("bytes 40 to 60")
    assert view[:20].read().tolist() == list(range(20))
