"""Lazy columns against the arrays they store."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lazyzarr.access.session import Session
from lazyzarr.document import plain_array
from lazyzarr.document.columns import Bounds, ChunkCache, LazyColumn
from lazyzarr.errors import SelectionError, SourceMissing, ViewSchemaError

ARRAYS = {
    "flat": np.arange(100, dtype="u8") * 2**58,
    "wide": np.arange(60, dtype="i8").reshape(30, 2),
    "none": np.zeros((30, 0), "i8"),
    "cube": np.arange(24, dtype="f4").reshape(4, 3, 2),
    "one": np.array(5, "i2"),
    "empty": np.zeros(0, "i4"),
    "text": np.array(["a", "bü", ""] * 5, np.dtypes.StringDType()),
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., LazyColumn]:
    root = tmp_path_factory.mktemp("columns")

    def column(name: str, **options: Any) -> LazyColumn:
        array = ARRAYS[name]
        chunk_shape = tuple(max(n, 1) if axis else 7 for axis, n in enumerate(array.shape))
        layout = plain_array.layout_of(array[:7] if array.shape else array, chunk_shape)
        for key, content in plain_array.chunk_files(array, layout):
            path: Path = root / name / key
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content if isinstance(content, bytes) else content())
        session = options.pop("session", None) or Session()
        return LazyColumn(f"file://{root}/{name}", shape=array.shape, layout=layout, session=session, **options)

    return column


@given(st.data())
def test_rows_are_those_of_the_array(stored: Callable[..., LazyColumn], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(set(ARRAYS) - {"one"})))
    array, column = ARRAYS[name], stored(name)
    length = len(array)
    bound = st.none() | st.integers(-length - 2, length + 2)
    keys = [st.slices(length), st.builds(slice, bound, bound)]
    if length:
        keys.append(st.integers(-length, length - 1))
        keys.append(st.lists(st.integers(-length, length - 1)).map(lambda rows: np.array(rows, np.int64)))
    key = data.draw(st.one_of(keys))
    np.testing.assert_array_equal(column[key], array[key])


@pytest.mark.parametrize("name", sorted(ARRAYS))
def test_the_whole_column(stored: Callable[..., LazyColumn], name: str) -> None:
    column = stored(name)
    np.testing.assert_array_equal(np.asarray(column), ARRAYS[name])
    np.testing.assert_array_equal(column[...], ARRAYS[name])
    assert (column.shape, column.dtype) == (ARRAYS[name].shape, ARRAYS[name].dtype)
    if ARRAYS[name].ndim > 1:
        np.testing.assert_array_equal(column[3, 1:], ARRAYS[name][3, 1:])
        np.testing.assert_array_equal(column[1:3, ..., 1:], ARRAYS[name][1:3, ..., 1:])


def test_only_the_chunks_of_the_rows_are_read_and_once(stored: Callable[..., LazyColumn]) -> None:
    session = Session()
    column = stored("flat", session=session)
    column[8:13]
    assert session.counts.requests == 1
    column[np.array([9, 50, 51])]
    assert session.counts.requests == 2
    column[7], column[52]
    assert session.counts.requests == 2


def test_the_cache_lets_go_of_the_least_recent() -> None:
    cache = ChunkCache(32)
    for key in "abcde":
        cache.put((key, 0), np.zeros(1))
        cache.get(("a", 0))
    assert [cache.get((key, 0)) is not None for key in "abcde"] == [True, False, True, True, True]


def test_rows_outside_are_refused(stored: Callable[..., LazyColumn]) -> None:
    column = stored("flat")
    for key in (100, -101, np.array([0, 100]), np.array([-101])):
        with pytest.raises(SelectionError) as error:
            column[key]
        assert error.value.reason == "index-bounds"


def test_values_outside_the_bounds_are_refused(stored: Callable[..., LazyColumn]) -> None:
    column = stored("wide", bounds=Bounds(0, 30, "$.here"))
    column[:7]
    with pytest.raises(ViewSchemaError) as error:
        column[20]
    assert (error.value.reason, error.value.where) == ("table-invalid", "$.here")


def test_a_missing_chunk_is_an_error_and_never_fill(stored: Callable[..., LazyColumn]) -> None:
    column = stored("flat")
    gone = LazyColumn(f"{column._url}/gone", shape=(100,), layout=column._layout, session=Session())
    with pytest.raises(SourceMissing):
        gone[0]


def test_columns_pickle_by_configuration(stored: Callable[..., LazyColumn]) -> None:
    column = stored("wide", bounds=Bounds(0, 60, "$"))
    before = len(pickle.dumps(column))
    np.asarray(column)
    text = pickle.dumps(column)
    assert len(text) == before < 2000
    again = pickle.loads(text)
    assert again.bounds == column.bounds
    np.testing.assert_array_equal(again[:], ARRAYS["wide"])


def test_threads_may_share_a_column(stored: Callable[..., LazyColumn]) -> None:
    column = stored("flat", cache=ChunkCache(100))
    wrong: list[int] = []

    def read(seed: int) -> None:
        rows = np.random.default_rng(seed).integers(0, 100, 50)
        wrong.extend(row for row in rows.tolist() if column[row] != ARRAYS["flat"][row])

    threads = [threading.Thread(target=read, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
