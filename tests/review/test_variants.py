"""Arrays whose chunks are stored with several codec chains (HDF5 filter masks)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lazyzarr.codecs.chain import compile_chain
from lazyzarr.errors import ViewSchemaError
from lazyzarr.ir.layout import Layout, NamedConfig, StoredArray
from lazyzarr.ir.tables import Table
from lazyzarr.leaves import source
from lazyzarr.read import Reader
from lazyzarr.view import View
from tests.review.referenced import PLAIN, columnar

ZSTD = (*PLAIN, NamedConfig("zstd", {"level": 1}))


@pytest.fixture
def mixed(tmp_path: Path) -> View:
    """The first chunk is stored plain, the second compressed."""
    layouts = [Layout("int32", 0, (10,), ZSTD), Layout("int32", 0, (10,), PLAIN)]
    parts = [compile_chain(layout).encode(np.arange(10, dtype="i4") + 10 * k) for k, layout in enumerate(layouts[::-1])]
    file = tmp_path / "chunks.bin"
    file.write_bytes(b"".join(parts))
    table = Table(
        {
            "offset": np.array([0, len(parts[0])], np.uint64),
            "length": np.array([len(part) for part in parts], np.uint64),
            "layout": np.array([1, 0], np.int32),
        }
    )
    array = StoredArray(0, (20,), file.as_uri(), refs=table.name, variants=(1,))
    return source(array, layouts, reader=Reader(), tables={table.name: table})


def test_decodes_stand_above_every_chain(mixed: View) -> None:
    unpacked = mixed.unpack(scale_factor=0.5, fill_values=[3], dtype="float32")
    expected = np.where(np.arange(20) == 3, np.nan, np.arange(20) / 2).astype("f4")
    assert np.array_equal(columnar(unpacked), expected, equal_nan=True)
    assert unpacked[3:13:7].read()[1] == 5
    assert mixed.flatness == "L3"


def test_a_recode_is_of_one_chain(mixed: View) -> None:
    """One chain cannot stand for two: the bytes would be read with a chain that is not theirs."""
    values = {"name": "cast_value", "configuration": {"data_type": "int32"}}
    plain = {"name": "bytes", "configuration": {"endian": "little"}}
    zstd = {"name": "zstd", "configuration": {"level": 1}}
    assert mixed.recode(data_type="uint32").read().tolist() == list(range(20))
    assert mixed.recode(data_type="float32", codecs=[values, plain, zstd]).read().tolist() == list(range(20))
    for codecs in ([values, plain], [{"name": "bytes", "configuration": {"endian": "big"}}, zstd]):
        with pytest.raises(ViewSchemaError) as raised:
            mixed.recode(data_type="float32", codecs=codecs).read()
        assert raised.value.reason == "graph-type"
