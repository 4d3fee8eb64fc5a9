"""What opening a remote NetCDF-4 file asks for: its metadata, in few requests, and no chunk."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest

import lazyzarr as lz
from lazyzarr.access.ranged_file import BLOCK, FIRST
from tests.servers import RangeServer

SHAPE = (24, 180, 180)
NAMES = ("sst", "ice", "wind")


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file of the usual kind: dimensions, coordinates, attributes, and variables in turns by time step."""
    path = tmp_path_factory.mktemp("typical") / "x.nc"
    rng = np.random.default_rng(7)
    with netCDF4.Dataset(path, "w") as file:
        file.setncatts({"title": "t", "history": "h" * 2000})
        for name, length in zip(("time", "lat", "lon"), (None, *SHAPE[1:]), strict=True):
            file.createDimension(name, length)
            file.createVariable(name, "f8", (name,)).setncatts({"units": "u", "long_name": name})
        for name in NAMES:
            variable = file.createVariable(name, "i2", ("time", "lat", "lon"), zlib=True, chunksizes=(1, 90, 90))
            variable.setncatts({"scale_factor": 0.01, "units": "K", "comment": "c" * 500})
            variable.set_auto_maskandscale(False)
        file.createVariable("names", str, ("lat",))[:] = np.array([f"n{n}" for n in range(180)], object)
        file["lat"][:], file["lon"][:] = np.arange(180), np.arange(180)
        file["time"][:] = np.arange(SHAPE[0])
        for step in range(SHAPE[0]):
            for name in NAMES:
                file[name][step] = rng.integers(-900, 900, SHAPE[1:])
    return path.read_bytes()


@pytest.fixture
def server(content: bytes) -> Iterator[RangeServer]:
    with RangeServer({"/x.nc": content, "/named": content}) as running:
        yield running


def fetched(server: RangeServer) -> int:
    ends = [request.headers["Range"].removeprefix("bytes=").split("-") for request in server.log]
    return sum(int(last) + 1 - int(first) for first, last in ends)


def test_a_group_is_one_request(server: RangeServer, content: bytes) -> None:
    group = lz.open(f"{server.url}/x.nc")
    assert set(group) == {"time", "lat", "lon", "names", *NAMES}
    assert server.lines() == ["GET /x.nc"]
    assert fetched(server) == FIRST < len(content) / 8
    assert group["lat"].shape == (180,)
    assert group["names"].dtype == np.dtypes.StringDType()
    assert len(server.log) == 1


def test_a_variable_is_its_header_and_its_chunk_index(server: RangeServer, content: bytes) -> None:
    view = lz.open(f"{server.url}/x.nc", "wind")
    counts = view.reader.session.counts
    # two nodes of the chunk index are behind chunks of others, each in a block of its own
    assert counts.requests == len(server.log) <= 3
    assert counts.bytes == fetched(server) <= FIRST + 2 * BLOCK
    server.clear()
    part = view[-1, 100:, 100:].read()
    assert part.shape == (80, 80)
    assert len(server.log) == 1
    assert fetched(server) < 2 * 90 * 90


def test_opening_all_variables_shares_what_was_read(server: RangeServer, content: bytes) -> None:
    group = lz.open(f"{server.url}/x.nc")
    views = [group[name] for name in group]
    assert len(views) == 7
    first = len(server.log)
    assert first <= 1 + 2 * len(NAMES)
    assert fetched(server) <= FIRST + 2 * len(NAMES) * BLOCK < len(content) / 4
    again = [group[name] for name in group]
    assert [view.shape for view in again] == [view.shape for view in views]
    assert len(server.log) == first


def test_a_file_without_an_ending_is_found_after_three_questions(server: RangeServer) -> None:
    lz.open(f"{server.url}/named")
    assert server.lines() == [f"GET /named{key}" for key in ("/zarr.json", "/.zarray", "/.zgroup", "")]


def test_looking_for_a_signature_is_one_request(server: RangeServer) -> None:
    server.objects["/o.bin"] = bytes(3 << 20)
    with pytest.raises(lz.SourceProtocolError):
        lz.open(f"{server.url}/o.bin")
    assert server.lines().count("GET /o.bin") == 1
    assert len(server.log) == 4


def test_a_small_file_is_one_request(server: RangeServer, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        for number in range(30):
            file.create_dataset(f"g/d{number}", data=np.arange(20.0), chunks=(5,)).attrs["a"] = "b"
    server.objects["/s.h5"] = (tmp_path / "s.h5").read_bytes()
    group = lz.open(f"{server.url}/s.h5")["g"]
    assert isinstance(group, lz.Group)
    assert [group[name].attrs["a"] for name in group] == ["b"] * 30
    assert len(server.log) == 1


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("package", "place", "extra"),
    [("h5py", "{url}/x.nc", "hdf5"), ("obstore", "s3://bucket/x.nc", "remote"), ("fsspec", "memory:///x.nc", "remote")],
)
def test_an_extra_that_is_missing_is_named(server: RangeServer, package: str, place: str, extra: str) -> None:
    done = run(f"""
        import sys
        sys.modules[{package!r}] = None
        import lazyzarr as lz
        try:
            lz.open({place.format(url=server.url)!r}, "sst")
        except lz.ExtraMissing as error:
            assert error.reason == "extra-missing"
            print(error)
    """)
    assert f'pip install "lazyzarr[{extra}]"' in done.stdout, done.stderr


def test_a_process_ends_well_whatever_it_keeps(server: RangeServer) -> None:
    """libhdf5 must hold nothing that calls back when the interpreter is gone."""
    server.objects["/cut.nc"] = server.objects["/x.nc"][:-1000]
    done = run(f"""
        import lazyzarr as lz
        kept = [lz.open("{server.url}/x.nc"), lz.open("{server.url}/x.nc", "sst")]
        for name in ("cut.nc", "gone.nc"):
            try:
                lz.open(f"{server.url}/{{name}}")
            except lz.LazyZarrError as error:
                kept.append(error)
        print(len(kept))
        raise kept[2]
    """)
    assert (done.returncode, done.stdout) == (1, "4\n")
    assert done.stderr.splitlines()[-1].startswith("lazyzarr.errors.SourceError")
