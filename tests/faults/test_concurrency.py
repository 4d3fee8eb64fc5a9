"""Reading at the same time: threads, tasks, processes, cancellation, and the memory that all of it takes."""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

import lazyzarr as lz
from tests.faults.trees import objects_of
from tests.servers import RangeServer

DATA = np.arange(100 * 40, dtype="i4").reshape(100, 40)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    zarr.create_array(tmp_path / "a.zarr", data=DATA, chunks=(10, 10))
    zarr.create_array(tmp_path / "s.zarr", data=DATA, chunks=(5, 5), shards=(50, 20))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("d", data=DATA, chunks=(7, 40), compression="gzip")
    parts = [lz.open(tmp_path / "a.zarr"), lz.open(tmp_path / "s.zarr"), lz.open(tmp_path / "x.h5", "d")]
    lz.save(lz.concat(parts)[::-1], tmp_path / "view.zarr")
    lz.save(lz.concat(parts[:1] * 300), tmp_path / "many.zarr")
    return tmp_path


EXPECTED = np.concatenate([DATA] * 3)[::-1]


@pytest.fixture
def server(folder: Path) -> Iterator[RangeServer]:
    with RangeServer(objects_of(folder)) as found:
        yield found


@pytest.mark.parametrize("name", ["view.zarr", "many.zarr"])
@pytest.mark.parametrize("remote", [False, True])
def test_threads_read_one_view(folder: Path, server: RangeServer, name: str, remote: bool) -> None:
    view = lz.open(f"{server.url}/{name}" if remote else folder / name)
    expected = EXPECTED if name == "view.zarr" else np.concatenate([DATA] * 300)
    start = threading.Barrier(8)

    def read(number: int) -> bool:
        start.wait()
        part = slice(number, None, 7)
        whole = view[: len(EXPECTED)]
        cell = view[11 * number, number].read() == expected[11 * number, number]
        return cell and np.array_equal(whole[part, ::-1].read(), expected[: len(EXPECTED)][part, ::-1])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(8)))


def test_threads_build_and_describe_one_view(folder: Path) -> None:
    view = lz.open(folder / "view.zarr")
    with ThreadPoolExecutor(8) as pool:
        texts = set(pool.map(lambda _: lz.concat([view[5:], view[:5].T.T]).explain("located"), range(32)))
    assert len(texts) == 1


@pytest.mark.parametrize("remote", [False, True])
def test_tasks_read_at_once(folder: Path, server: RangeServer, remote: bool) -> None:
    view = lz.open(f"{server.url}/view.zarr" if remote else folder / "view.zarr")

    async def all_parts() -> list[np.ndarray]:
        return await asyncio.gather(*(view[10 * k : 10 * k + 10].read_async() for k in range(30)))

    np.testing.assert_array_equal(np.concatenate(asyncio.run(all_parts())), EXPECTED)


def test_the_event_loop_is_not_blocked(server: RangeServer) -> None:
    view = lz.open(f"{server.url}/a.zarr")
    server.plan("/a.zarr/c/3/3", "slow", 0.3)

    async def ticks() -> int:
        task = asyncio.ensure_future(view.read_async())
        count = 0
        while not task.done():
            await asyncio.sleep(0.01)
            count += 1
        np.testing.assert_array_equal(await task, DATA)
        return count

    assert asyncio.run(ticks()) > 10


def test_one_failure_in_a_gather_leaves_the_others(server: RangeServer) -> None:
    view = lz.open(f"{server.url}/a.zarr")
    server.plan("/a.zarr/c/3/3", "status", 403)

    async def parts() -> list[np.ndarray | BaseException]:
        return await asyncio.gather(
            *(view[:, 10 * k : 10 * k + 10].read_async() for k in range(4)), return_exceptions=True
        )

    *good, bad = asyncio.run(parts())
    assert isinstance(bad, lz.SourceDenied)
    np.testing.assert_array_equal(np.concatenate(good, axis=1), DATA[:, :30])


def cancelled_after(view: lz.View, out: np.ndarray | None = None) -> float:
    """Cancel a read that is under way and say how long that took [s]."""

    async def run() -> float:
        task = asyncio.ensure_future(view.read_async(out=out))
        await asyncio.sleep(0.05)
        start = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - start

    return asyncio.run(run())


def test_a_cancelled_read_sends_no_further_request_and_leaves_its_output_alone(server: RangeServer) -> None:
    view = lz.open(f"{server.url}/a.zarr")
    view.read()
    for k in range(10):
        for m in range(4):
            server.plan(f"/a.zarr/c/{k}/{m}", "slow", 0.15)
    server.log.clear()
    out = np.full(DATA.shape, -1, "i4")
    assert cancelled_after(view, out) < 2
    sent = len(server.log)
    assert sent < 20
    held = out.copy()
    time.sleep(0.3)
    assert len(server.log) == sent
    np.testing.assert_array_equal(out, held)
    server.clear()
    np.testing.assert_array_equal(view.read(), DATA)


@pytest.mark.parametrize("small", [True, False])
def test_a_read_of_a_slow_server_is_cancelled_promptly(server: RangeServer, small: bool) -> None:
    server.plan("/a.zarr/c/0/0", "slow", 1.5)
    view = lz.open(f"{server.url}/a.zarr")
    assert cancelled_after(view[0, 0] if small else view) < 0.8


def test_a_view_is_pickled_as_metadata(folder: Path) -> None:
    view = lz.open(folder / "many.zarr")
    data = pickle.dumps(view)
    assert len(data) < 20_000
    again = pickle.loads(data)
    assert again.token() == view.token()
    assert (again.shape, again.dtype, again.dims, again.attrs) == (view.shape, view.dtype, view.dims, view.attrs)
    np.testing.assert_array_equal(again[150:160].read(), DATA[50:60])


def read_part(view: lz.View, start: int) -> np.ndarray:
    return view[start : start + 10].read()


def test_processes_read_a_pickled_view(folder: Path, server: RangeServer) -> None:
    local, remote = lz.open(folder / "view.zarr"), lz.open(f"{server.url}/view.zarr")
    inline = lz.concat([lz.open(np.arange(40, dtype="i4")).expand_dims(0), local])
    for view in (local, remote):
        view[5, 5].read()  # connections and descriptors stay here
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        for view, offset in ((local, 0), (remote, 0), (inline[1:], 0)):
            found = pool.submit(read_part, view.T.T, 140 + offset).result(60)
            np.testing.assert_array_equal(found, EXPECTED[140:150])
    np.testing.assert_array_equal(remote[5].read(), EXPECTED[5])


def test_errors_cross_processes(folder: Path) -> None:
    view = lz.open(folder / "a.zarr")
    (folder / "a.zarr" / "c" / "0" / "0").write_bytes(b"broken")
    with pytest.raises(lz.ChunkDecodeError) as here:
        view[0].read()
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool,
        pytest.raises(lz.ChunkDecodeError) as there,
    ):
        pool.submit(view[0].read).result()
    assert (there.value.reason, str(there.value)) == (here.value.reason, str(here.value))


SLABS = """
import resource, sys
import numpy as np
import lazyzarr as lz

wide = lz.open(sys.argv[1])
raw = lz.open(sys.argv[2], "d")
view = lz.concat([
    wide, lz.full((20000, 1000), 3.0, dtype="f8"), lz.broadcast_to(wide[:1], (20000, 1000)), raw[::-1], wide[::-1],
])
assert view.nbytes > 1.5e9, view.nbytes
view[:10].read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
step = 2000
total = 0.0
for start in range(0, len(view), step):
    total += float(view[start : start + step].read()[:, 0].sum())
slab = step * 1000 * 8
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - before
print(total, grown / slab)
"""


def test_a_large_view_is_read_in_the_memory_of_a_slab(tmp_path: Path) -> None:
    """1.6 GB of cells, most of them stored nowhere: missing chunks, constants, repeated rows, a sparse file."""
    stored = zarr.create_array(tmp_path / "a.zarr", shape=(60_000, 1000), chunks=(500, 500), dtype="f8", fill_value=1.0)
    stored[:1000] = 2.0
    with h5py.File(tmp_path / "x.h5", "w", libver="latest") as file:
        file.create_dataset("d", shape=(40_000, 1000), dtype="f8", chunks=(100, 1000))[:500] = 5.0
    arguments = [sys.executable, "-c", SLABS, str(tmp_path / "a.zarr"), str(tmp_path / "x.h5")]
    done = subprocess.run(arguments, check=True, timeout=120, capture_output=True, text=True)
    total, slabs = map(float, done.stdout.split())
    assert total == 2 * (1000 * 2.0 + 59_000) + 3.0 * 20_000 + 2.0 * 20_000 + 5.0 * 500
    assert slabs < 3
