"""The workers of a cluster, each a process of its own: views read and copied there, and errors from there."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from distributed import Client, LocalCluster

import lazyzarr as lz
from lazyzarr.definition.problems import Problem
from lazyzarr.refreshing import RefreshReport
from tests.clusters.trees import files_of

CELLS = np.arange(60 * 30).reshape(60, 30)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            local_directory=str(tmp_path_factory.mktemp("workers")),
        ) as cluster,
        Client(cluster) as found,
    ):
        yield found


@pytest.fixture
def stored(tmp_path: Path) -> lz.View:
    zarr.create_array(tmp_path / "a.zarr", data=CELLS, chunks=(3, 7), dimension_names=("y", "x"))
    return lz.open(tmp_path / "a.zarr")


def test_a_dask_array_is_computed_by_workers(client: Client, stored: lz.View) -> None:
    view = lz.concat([stored[1:], stored[::-1]])
    array = view.to_dask((4, 30))
    expected = np.concatenate([CELLS[1:], CELLS[::-1]])
    np.testing.assert_array_equal(client.compute(array).result(), expected)
    np.testing.assert_array_equal(client.compute(array[::7, 3]).result(), expected[::7, 3])
    assert client.compute(array.astype("f8").mean()).result() == expected.mean()


def test_values_that_live_in_this_process_are_sent(client: Client, tmp_path: Path) -> None:
    memory = zarr.create_array({}, data=CELLS, chunks=(5, 30))
    view = lz.concat([lz.open(memory), lz.open(CELLS)])
    np.testing.assert_array_equal(client.compute(view.to_dask((7, 30))).result(), np.concatenate([CELLS] * 2))
    lz.copy(view, tmp_path / "c.zarr", scheduler=client)
    np.testing.assert_array_equal(lz.open(tmp_path / "c.zarr").read(), np.concatenate([CELLS] * 2))


def test_a_copy_by_workers_is_the_copy_by_threads(client: Client, stored: lz.View, tmp_path: Path) -> None:
    views = {"v": lz.concat([stored[1:], stored]), "t": np.arange(7), "g": {"w": stored.T}}
    told: list[tuple[int, int]] = []
    options: Any = {"memory": 1, "codecs": ["gzip"]}
    lz.copy(views, tmp_path / "c.zarr", scheduler=client, progress=lambda *now: told.append(now), **options)
    lz.copy(views, tmp_path / "d.zarr", **options)
    assert files_of(tmp_path / "c.zarr") == files_of(tmp_path / "d.zarr")
    assert len(told) > 3
    assert told[-1][0] == told[-1][1]


def test_errors_of_workers_reach_the_client_whole(client: Client, stored: lz.View, tmp_path: Path) -> None:
    chunk = tmp_path / "a.zarr" / "c" / "7" / "2"
    good = chunk.read_bytes()
    chunk.write_bytes(b"broken")
    with pytest.raises(lz.ChunkDecodeError) as here:
        stored.read()
    with pytest.raises(lz.ChunkDecodeError) as computed:
        client.compute(stored.to_dask((60, 30))).result()
    with pytest.raises(lz.ChunkDecodeError) as copied:
        lz.copy(stored, tmp_path / "c.zarr", scheduler=client)
    for there in (computed, copied):
        assert (there.value.reason, str(there.value), there.value.where) == (
            here.value.reason,
            str(here.value),
            here.value.where,
        )
    assert not (tmp_path / "c.zarr").exists()
    chunk.write_bytes(good)
    lz.copy(stored, tmp_path / "c.zarr", scheduler=client)
    np.testing.assert_array_equal(lz.open(tmp_path / "c.zarr").read(), CELLS)


def test_every_error_class_is_pickled_with_its_traceback() -> None:
    """As distributed does it; installing its support changes how all exceptions of a process are pickled."""
    for name in lz.__all__:
        kind = getattr(lz, name)
        if not (isinstance(kind, type) and issubclass(kind, lz.LazyZarrError)):
            continue
        with pytest.raises(kind) as caught:
            raise made(kind)
        error = caught.value
        error.add_note("seen by a test")
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is kind
        assert (again.reason, again.where, str(again)) == (error.reason, error.where, str(error))
        assert again.__notes__ == ["seen by a test"]
        assert vars(again).keys() == vars(error).keys()


def made(kind: type[lz.LazyZarrError]) -> lz.LazyZarrError:
    """An error of a class with arguments of its own."""
    if issubclass(kind, lz.ViewLimitError):
        return kind("nodes", 11, 10)
    if issubclass(kind, lz.CombineError | lz.NotFlat):
        return kind("a headline", ["one", "two"], where="here")
    if issubclass(kind, lz.DefinitionError):
        return kind("a headline", [Problem("d.lz.yaml:1:2", "stores", "key", "a name", "3")])
    if issubclass(kind, lz.RefreshRefused):
        return kind(RefreshReport("v.zarr", (), ("a.nc is gone",), False))
    return kind("text; true; do", where="here")


def test_a_worker_that_dies_does_not_spoil_a_copy(client: Client, stored: lz.View, tmp_path: Path) -> None:
    killed: list[int] = []

    def watch(done: int, total: int) -> None:
        if not killed:
            killed.append(client.submit(os.getpid, pure=False).result())
            os.kill(killed[0], signal.SIGKILL)

    lz.copy(stored, tmp_path / "c.zarr", chunks=(3, 7), memory=1, scheduler=client, progress=watch)
    np.testing.assert_array_equal(lz.open(tmp_path / "c.zarr").read(), CELLS)
    assert killed


def test_an_asynchronous_client_is_refused(client: Client, stored: lz.View, tmp_path: Path) -> None:
    async def copied() -> None:
        async with Client(client.scheduler.address, asynchronous=True) as found:
            with pytest.raises(lz.SaveUnsupported):
                lz.copy(stored, tmp_path / "c.zarr", scheduler=found)

    asyncio.run(copied())


@pytest.mark.parametrize("part", [(slice(None),), (slice(5, 6), slice(None, None, -1)), (5, 5)])
def test_no_error_is_its_own_cause(stored: lz.View, tmp_path: Path, part: Any) -> None:
    """Whoever walks along the causes of such an error, as distributed does, never comes to an end."""
    (tmp_path / "a.zarr" / "c" / "1" / "0").write_bytes(b"broken")
    with pytest.raises(lz.ChunkDecodeError) as caught:
        stored[part].read()
    seen: list[BaseException] = []
    error: BaseException | None = caught.value
    while error is not None:
        assert error not in seen
        seen.append(error)
        error = error.__cause__ or error.__context__
    assert len(seen) > 1
