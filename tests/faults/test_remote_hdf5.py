"""HDF5 and NetCDF-4 files that are not on this machine: what they hold, what they name, and how they fail."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fsspec
import h5py
import netCDF4
import numpy as np
import pytest
from zarr.buffer import cpu
from zarr.storage import MemoryStore, StorePath

import lazyzarr as lz
from tests.economics.watching import watched
from tests.faults.conftest import Upload
from tests.servers import RangeServer

CELLS = np.random.default_rng(5).integers(-900, 900, (12, 30, 40)).astype("i2")
NAMES = [f"station {number} Grüße" for number in range(30)]


def write(path: Path, cells: np.ndarray = CELLS) -> None:
    """A NetCDF-4 file with packing, text, groups, unlimited and compact variables."""
    with netCDF4.Dataset(path, "w") as file:
        file.title = "a title"
        file.createDimension("time", None)
        for name, length in (("lat", 30), ("lon", 40)):
            file.createDimension(name, length)
            file.createVariable(name, "f8", (name,))[:] = np.arange(length) / 2
        sst = file.createVariable("sst", "i2", ("time", "lat", "lon"), zlib=True, chunksizes=(1, 30, 20), fill_value=-1)
        sst.setncatts({"scale_factor": 0.5, "add_offset": 3.0, "units": "K"})
        sst.set_auto_maskandscale(False)
        sst[:] = cells
        file.createVariable("plain", "f4", ("lat", "lon"))[:] = cells[0]
        file.createVariable("names", str, ("lat",))[:] = np.array(NAMES, object)
        deep = file.createGroup("deep").createGroup("er")
        deep.createVariable("x", "i4", ("lat",), fletcher32=True, chunksizes=(7,))[:] = np.arange(30)
        deep.history = np.array(["one", "two"], object)[0]


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with RangeServer() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "d").mkdir()
    write(tmp_path / "d" / "x.nc")
    return tmp_path / "d"


@pytest.fixture
def serve(server: RangeServer, folder: Path) -> Callable[[], str]:
    """Put the files of the folder onto the server."""

    def put() -> str:
        for path in folder.rglob("*"):
            if path.is_file():
                server.objects[f"/d/{quote(path.relative_to(folder).as_posix())}"] = path.read_bytes()
        return f"{server.url}/d"

    return put


def check(opened: Callable[..., Any]) -> None:
    """All there is in the file of `write`, by group and by variable."""
    group = opened()
    assert set(group) == {"lat", "lon", "sst", "plain", "names", "deep"}
    assert group.attrs["title"] == "a title"
    expected = np.where(CELLS == -1, np.nan, CELLS * 0.5 + 3.0)
    for view in (group["sst"], opened("sst")):
        assert (view.dims, view.attrs) == (("time", "lat", "lon"), {"units": "K"})
        np.testing.assert_array_equal(view.read(), expected, strict=True)
        np.testing.assert_array_equal(view[::-5, 3, 1::7].T.read(), expected[::-5, 3, 1::7].T, strict=True)
    raw = opened("sst", packing="raw")
    assert raw.attrs["scale_factor"] == 0.5
    np.testing.assert_array_equal(raw.read(), CELLS, strict=True)
    np.testing.assert_array_equal(opened("plain").read(), CELLS[0].astype("f4"), strict=True)
    assert opened("names").read().tolist() == group["names"].read().tolist() == NAMES
    assert opened("names")[3].read() == NAMES[3]
    assert group["deep/er"].attrs["history"] == "one"
    for view in (group["deep/er/x"], opened("deep/er/x")):
        np.testing.assert_array_equal(view.read(), np.arange(30, dtype="i4"), strict=True)
    with pytest.raises(KeyError):
        group["nothing"]
    with pytest.raises(lz.SourceMissing):
        opened("nothing")


@pytest.mark.parametrize("kind", ["http", "s3", "memory", "store"])
def test_every_storage(
    kind: str, folder: Path, serve: Callable[[], str], options: dict[str, Any], upload: Upload
) -> None:
    place: Any
    match kind:
        case "http":
            place = f"{serve()}/x.nc"
        case "s3":
            upload(folder, "d")
            place = "s3://bucket/d/x.nc"
        case "memory":
            place = "memory:///hdf5/x.nc"
            fsspec.filesystem("memory").pipe("/hdf5/x.nc", (folder / "x.nc").read_bytes())
        case _:
            place = StorePath(MemoryStore({"d/x.nc": cpu.Buffer.from_bytes((folder / "x.nc").read_bytes())}), "d/x.nc")
    check(lambda *variable, **how: lz.open(place, *variable, storage_options=options, **how))


def test_names_without_an_ending_and_with_a_signature(serve: Callable[[], str], server: RangeServer) -> None:
    root = serve()
    server.objects["/plain/name"] = server.objects["/d/x.nc"]
    for place in (f"{server.url}/plain/name", f"{server.url}/plain/name?signature=1%2F2", f"{root}/x.nc?signature=12"):
        check(lambda *variable, place=place, **how: lz.open(place, *variable, **how))
    server.objects["/d/cut.nc"] = server.objects["/d/x.nc"][:9000]
    server.objects["/d/text.nc"] = b"text"
    wrong = {"other.nc": None, "cut.nc": None, "text.nc": None, "x.nc": "nothing"}
    for name, variable in {**wrong, "x.nc ": "deep"}.items():
        with pytest.raises(lz.LazyZarrError) as caught:
            lz.open(f"{root}/{name.strip()}?signature=12", variable)
        assert "signature=" not in str(caught.value)


@pytest.mark.parametrize("libver", ["earliest", "latest", "v110"])
@pytest.mark.parametrize("block", [0, 512, 8192])
def test_versions_of_the_format_and_user_blocks(
    folder: Path, serve: Callable[[], str], libver: Any, block: int
) -> None:
    with h5py.File(folder / "v.h5", "w", libver=libver, userblock_size=block) as file:
        file.create_dataset("chunked", data=CELLS, chunks=(1, 30, 13), shuffle=True, compression=1)
        file.create_dataset("grows", data=CELLS[0], chunks=(7, 9), maxshape=(None, None))
        file["contiguous"] = CELLS[1]
        file["scalar"] = 3.5
        file.create_dataset("names", data=np.array(NAMES, object), chunks=(8,), compression=1)
        file.create_dataset("never", (4, 4), "i2", chunks=(2, 2), fillvalue=7)
        for number in range(40):
            file["grows"].attrs[f"a{number}"] = np.arange(number)
    group, local = lz.open(f"{serve()}/v.h5"), lz.open(folder / "v.h5")
    assert list(group) == list(local)
    for name in local:
        assert group[name].attrs == local[name].attrs
        np.testing.assert_array_equal(group[name].read(), local[name].read(), strict=True)
        assert group[name].read().tolist() == lz.open(f"{serve()}/v.h5", name).read().tolist()


def test_a_large_chunk_index_is_read_when_it_is_needed(folder: Path, serve: Callable[[], str]) -> None:
    cells = np.arange(5000, dtype="i4")
    with h5py.File(folder / "many.h5", "w") as file:
        file.create_dataset("x", data=cells, chunks=(1,))
    for view in (lz.open(f"{serve()}/many.h5", "x"), lz.open(f"{serve()}/many.h5")["x"]):
        np.testing.assert_array_equal(view[::501].read(), cells[::501])


def test_saved_views_are_pinned_and_within_their_grant(
    folder: Path, tmp_path: Path, serve: Callable[[], str], server: RangeServer
) -> None:
    root = serve()
    view = lz.open(f"{root}/x.nc", "sst")[2:9, ::-1]
    expected = view.read()
    lz.save(view, tmp_path / "view.zarr")
    text = (tmp_path / "view.zarr" / "zarr.json").read_text()
    assert f"{root}/x.nc" in text
    assert "etag" in text
    with pytest.raises(lz.AccessDenied):
        lz.open(tmp_path / "view.zarr")
    again = lz.open(tmp_path / "view.zarr", allow=[root])
    np.testing.assert_array_equal(again.read(), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(view)).read(), expected)
    write(folder / "x.nc", CELLS[::-1])
    serve()
    for changed in (again, view, lz.open(tmp_path / "view.zarr", allow=[root])):
        with pytest.raises(lz.SourceChanged):
            changed.read()
    with pytest.raises(lz.SaveError) as caught:
        lz.save(lz.open(f"{root}/x.nc?signature=1", "sst"), tmp_path / "signed.zarr")
    assert caught.value.reason == "save-unsupported"


def test_a_change_while_the_file_is_parsed_is_seen(folder: Path, serve: Callable[[], str], server: RangeServer) -> None:
    with h5py.File(folder / "big.h5", "w") as file:
        file.create_dataset("noise", data=np.random.default_rng(1).integers(0, 99, 1 << 20, "u1"))
        file.create_dataset("late", data=CELLS, chunks=(1, 30, 40))
    root = serve()
    group = lz.open(f"{root}/big.h5")
    content = server.objects["/d/big.h5"]
    server.objects["/d/big.h5"] = content[: 1 << 19] + b"?" + content[(1 << 19) + 1 :]  # of the noise
    with pytest.raises(lz.SourceChanged) as caught:
        group["late"]
    assert caught.value.reason == "source-changed"
    np.testing.assert_array_equal(lz.open(f"{root}/big.h5", "late").read(), CELLS)


@pytest.mark.parametrize(
    ("fault", "value", "error"),
    [("status", 403, lz.SourceDenied), ("status", 503, lz.SourceUnavailable), ("status", 404, lz.SourceMissing)],
)
def test_a_failure_in_the_middle_is_no_damage(
    folder: Path, serve: Callable[[], str], server: RangeServer, fault: Any, value: Any, error: type[Exception]
) -> None:
    with h5py.File(folder / "big.h5", "w") as file:
        file.create_dataset("noise", data=np.random.default_rng(1).integers(0, 99, 1 << 20, "u1"))
        file.create_group("late").create_dataset("x", data=CELLS, chunks=(1, 30, 40))
    place = f"{serve()}/big.h5"
    lz.open(place)
    count = len(server.log)
    assert count > 1
    for good in range(1, count):
        server.clear()
        server.objects = FailsAfter(server.objects, lambda: server.plan("/d/big.h5", fault, value), good)
        with pytest.raises(error):
            lz.open(place)
        assert len(server.log) > good
        server.clear()
        assert lz.open(place)["late/x"].shape == CELLS.shape


class FailsAfter(dict[str, bytes]):
    """Objects of a server that meets a fault once some requests were answered."""

    def __init__(self, objects: dict[str, bytes], fail: Callable[[], None], good: int) -> None:
        super().__init__(objects)
        self.fail, self.left = fail, good

    def get(self, path: str, default: Any = None) -> Any:
        self.left -= 1
        if not self.left:
            self.fail()
        return super().get(path, default)


@pytest.mark.parametrize(
    "content",
    [b"", b"CDF\x01" + b"\xff" * 100, b"<html>no such page</html>", b"\x89HDF", bytes(5000), b'{"zarr_format": 3}'],
)
@pytest.mark.parametrize("name", ["o.nc", "o"])
def test_other_content_is_named(server: RangeServer, content: bytes, name: str) -> None:
    server.objects[f"/{name}"] = content
    with pytest.raises(lz.SourceProtocolError) as caught:
        lz.open(f"{server.url}/{name}")
    assert caught.value.reason == "source-format"
    assert f"{server.url}/{name}" in str(caught.value)
    assert ("NetCDF-3" in str(caught.value)) == content.startswith(b"CDF")


@pytest.mark.parametrize("part", [0.2, 0.5, 0.99])
def test_a_cut_file_is_refused(serve: Callable[[], str], server: RangeServer, part: float) -> None:
    place = f"{serve()}/x.nc"
    whole = server.objects["/d/x.nc"]
    server.objects["/d/x.nc"] = whole[: int(len(whole) * part)]
    for variable in (None, "sst"):
        with pytest.raises(lz.SourceError) as caught:
            lz.open(place, variable)
        assert caught.value.reason == "source-format"


@pytest.mark.parametrize("place", ["/nothing", "/nothing.nc", "/d/x", ""])
def test_nothing_there(serve: Callable[[], str], server: RangeServer, place: str) -> None:
    serve()
    with pytest.raises(lz.SourceMissing) as caught:
        lz.open(server.url + place)
    assert caught.value.reason == "source-missing"


def test_what_is_not_local_is_said_of_local_places(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    words = {"folder": "directory", "link": "regular file", "nothing": "nothing"}
    for name, word in words.items():
        with pytest.raises(lz.SourceMissing) as caught:
            lz.open(tmp_path / name)
        assert word in str(caught.value)


def test_external_links(folder: Path, serve: Callable[[], str], server: RangeServer, tmp_path: Path) -> None:
    (folder / "sub").mkdir()
    write(folder / "sub" / "o ther.nc")
    with h5py.File(folder / "links.h5", "w") as file:
        file["below"] = h5py.ExternalLink("sub/o ther.nc", "/sst")
        file["group"] = h5py.ExternalLink("./sub/../x.nc", "/deep")
        file["up"] = h5py.ExternalLink("../e/x.nc", "/plain")
        file["local"] = h5py.ExternalLink(str(folder / "x.nc"), "/plain")
        file["gone"] = h5py.ExternalLink("gone.nc", "/plain")
        file["odd"] = h5py.ExternalLink("http://127.0.0.1/x.nc", "/plain")
        file["cycle"] = h5py.ExternalLink("links.h5", "/cycle")
    root = serve()
    server.objects["/e/x.nc"] = server.objects["/d/x.nc"]
    group = lz.open(f"{root}/links.h5")
    assert server.lines() == ["GET /d/links.h5"]
    for opened in (group.__getitem__, lambda name: lz.open(f"{root}/links.h5", name)):
        np.testing.assert_array_equal(opened("below").read(), lz.open(folder / "x.nc", "sst").read())
        for name, error in {
            "up": "access-denied",
            "local": "access-denied",
            "gone": "source-missing",
            "odd": "source-missing",
            "cycle": "source-unsupported",
        }.items():
            server.clear()
            with watched(tmp_path) as touched, pytest.raises(lz.LazyZarrError) as caught:
                opened(name)
            assert caught.value.reason == error
            assert [line for line in touched if not line.startswith("socket")] == []
            assert "/e/x.nc" not in " ".join(server.lines())
    np.testing.assert_array_equal(group["group/er/x"].read(), np.arange(30))
    allowed = lz.open(f"{root}/links.h5", "up", allow=[f"{server.url}/e/"])
    np.testing.assert_array_equal(allowed.read(), CELLS[0])
    # what a file names is read as what a document names: no redirect leads out
    server.plan("/d/sub/o%20ther.nc", "redirect", f"{server.url}/e/x.nc")
    with pytest.raises(lz.AccessDenied):
        lz.open(f"{root}/links.h5", "below")


def test_allow_counts_for_local_files_too(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "e").mkdir()
    with h5py.File(tmp_path / "e" / "links.h5", "w") as file:
        file["up"] = h5py.ExternalLink("../d/x.nc", "/plain")
    with pytest.raises(lz.AccessDenied):
        lz.open(tmp_path / "e" / "links.h5", "up")
    np.testing.assert_array_equal(lz.open(tmp_path / "e" / "links.h5", "up", allow=[folder]).read(), CELLS[0])


def test_external_storage(folder: Path, serve: Callable[[], str], server: RangeServer) -> None:
    cells = np.arange(60, dtype="i4").reshape(6, 10)
    (folder / "raw").write_bytes(b"1234" + cells[:4].tobytes())
    (folder / "more").write_bytes(cells[4:].tobytes())
    with h5py.File(folder / "e.h5", "w") as file:
        parts = [("raw", 4, 160), ("more", 0, 80)]
        file.create_dataset("x", (6, 10), "i4", external=parts)
        file.create_dataset("local", (6, 10), "i4", external=[(str(folder / "raw"), 4, 240)])
    root = serve()
    view = lz.open(f"{root}/e.h5", "x")
    np.testing.assert_array_equal(view.read(), cells)
    np.testing.assert_array_equal(lz.open(f"{root}/e.h5")["x"][::2].read(), cells[::2])
    with pytest.raises(lz.LazyZarrError) as caught:
        lz.open(f"{root}/e.h5", "local")
    assert caught.value.reason == "access-denied"
    server.objects["/d/more"] = server.objects["/d/more"][::-1]
    with pytest.raises(lz.SourceChanged):
        view.read()


def test_texts_in_external_storage_open_no_file(folder: Path) -> None:
    (folder / "raw").write_bytes(bytes(64))
    with h5py.File(folder / "t.h5", "w") as file:
        file.create_dataset("x", (4,), h5py.string_dtype(), external=[(str(folder / "raw"), 0, 64)])
    with pytest.raises(lz.UnsupportedFeature) as caught:
        lz.open(folder / "t.h5", "x")
    assert caught.value.reason == "source-unsupported"


def test_virtual_datasets(folder: Path, serve: Callable[[], str], server: RangeServer, tmp_path: Path) -> None:
    layout = h5py.VirtualLayout((4, 3), "i4")
    for row, name in enumerate(("p0.h5", "p1.h5", "p2.h5")):
        with h5py.File(folder / name, "w") as file:
            file["x"] = np.arange(3, dtype="i4") + 10 * row
        layout[row] = h5py.VirtualSource(name, "x", (3,))
    with h5py.File(folder / "v.h5", "w") as file:
        file["own"] = np.arange(3, dtype="i4") + 90
        layout[3] = h5py.VirtualSource(".", "own", (3,))
        file.create_virtual_dataset("v", layout, fillvalue=-1)
        away = h5py.VirtualLayout((3,), "i4")
        away[:] = h5py.VirtualSource("../e/p0.h5", "x", (3,))
        file.create_virtual_dataset("away", away)
    root = serve()
    server.objects["/e/p0.h5"] = server.objects["/d/p0.h5"]
    expected = np.array([[0, 1, 2], [10, 11, 12], [20, 21, 22], [90, 91, 92]], "i4")
    server.clear()
    view = lz.open(f"{root}/v.h5", "v")
    assert sorted(server.lines()) == [f"GET /d/{name}" for name in ("p0.h5", "p1.h5", "p2.h5", "v.h5")]
    for one in (view, lz.open(f"{root}/v.h5")["v"]):
        np.testing.assert_array_equal(one.read(), expected, strict=True)
    with pytest.raises(lz.AccessDenied):
        lz.open(f"{root}/v.h5", "away")
    away_view = lz.open(f"{root}/v.h5", "away", allow=[f"{server.url}/e"])
    np.testing.assert_array_equal(away_view.read(), expected[0])
    lz.save(view, tmp_path / "v.zarr")
    np.testing.assert_array_equal(lz.open(tmp_path / "v.zarr", allow=[root]).read(), expected)
    del server.objects["/d/p1.h5"]
    with pytest.raises(lz.SourceMissing):
        lz.open(f"{root}/v.h5", "v")
    expected[1] = -1
    np.testing.assert_array_equal(lz.open(f"{root}/v.h5", "v", missing="fill").read(), expected)
