"""A view of very many sources is opened, described and read at a point at the cost of one of them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import zarr

import lazyzarr as lz
from lazyzarr.leaves import source
from lazyzarr.view import View
from tests.economics.watching import watched
from tests.faults.trees import objects_of
from tests.servers import RangeServer

DATA = np.arange(12, dtype="i2").reshape(3, 4)


@pytest.fixture
def template(tmp_path: Path) -> Path:
    zarr.create_array(tmp_path / "0" / "a.zarr", data=DATA, chunks=(2, 4))
    return tmp_path / "0" / "a.zarr"


def joined(template: Path, count: int) -> View:
    """Arrays like the template in directories 0, 1, ...; only those that a test touches have to be there."""
    first = lz.open(template)
    (stored,) = first.sources()
    layouts = first.ir.layouts
    root = (stored.location or "").removesuffix("0/a.zarr")
    arrays = (msgspec.structs.replace(stored, location=f"{root}{k}/a.zarr") for k in range(count))
    return lz.concat([source(array, layouts, reader=first.reader) for array in arrays])


def copied(template: Path, number: int) -> None:
    target = template.parent.parent / str(number)
    zarr.create_array(target / "a.zarr", data=DATA, chunks=(2, 4))


@pytest.mark.parametrize("count", [10_000, 100_000])
def test_a_point_of_many_sources_touches_one(template: Path, count: int) -> None:
    folder = template.parent.parent
    lz.save(joined(template, count), folder / "view.zarr")
    touched_source = count * 2 // 3
    copied(template, touched_source)
    assert (folder / "view.zarr" / "zarr.json").stat().st_size < 20_000
    with watched(folder) as touched:
        view = lz.open(folder / "view.zarr")
        assert repr(view)
        assert view.shape == (3 * count, 4)
    assert touched == [f"open {folder / 'view.zarr' / 'zarr.json'}"]

    counts = view.reader.session.counts
    counts.reset()
    with watched(folder) as touched:
        assert view[3 * touched_source + 2, 3].read() == DATA[2, 3]
    outside = [line for line in touched if "/view.zarr/" not in line]
    place = folder / str(touched_source) / "a.zarr"
    assert sorted(outside) == [f"open {place / 'c' / '1' / '0'}", f"open {place / 'zarr.json'}"]
    assert counts.requests <= 25
    assert counts.bytes < 40 * count
    assert view.reader.counts.decodes == 1

    counts.reset()
    with watched(folder) as touched:
        assert view[3 * touched_source, 1].read() == DATA[0, 1]
    assert {line for line in touched if "/view.zarr/" in line} == set()
    with pytest.raises(lz.SourceMissing):
        view[3].read()


def test_a_digest_is_loaded_for_a_source_that_differs(template: Path) -> None:
    """Of sources in one place and time the digest can tell nothing; of others it tells all."""
    folder = template.parent.parent
    for number in range(1, 400):
        copied(template, number)
    lz.save(lz.concat([lz.open(folder / str(number) / "a.zarr") for number in range(400)]), folder / "view.zarr")

    def digests(touched: list[str]) -> int:
        return sum("/digest" in line for line in touched)

    view = lz.open(folder / "view.zarr")
    with watched(folder) as touched:
        assert view[602, 3].read() == DATA[2, 3]
    assert digests(touched) == 0
    document = folder / "300" / "a.zarr" / "zarr.json"
    text = document.read_bytes()
    document.unlink()
    document.write_bytes(text)  # as after a copy: another time, another inode, the same content
    with watched(folder) as touched:
        assert view[902, 3].read() == DATA[2, 3]
    assert digests(touched) > 0
    document.write_bytes(text.replace(b" ", b"\t", 1))
    for opened in (view, lz.open(folder / "view.zarr")):
        with pytest.raises(lz.SourceChanged, match="digest was sha256"):
            opened[902, 3].read()


def test_the_same_over_http(template: Path) -> None:
    folder = template.parent.parent
    lz.save(joined(template, 1000), folder / "view.zarr")
    copied(template, 700)
    with RangeServer(objects_of(folder)) as server:
        view = lz.open(f"{server.url}/view.zarr")
        assert server.lines() == ["GET /view.zarr/zarr.json"]
        server.clear()
        np.testing.assert_array_equal(view[2100:2103].read(), DATA)
        chunks = [f"GET /700/a.zarr/c/{k}/0" for k in range(2)]
        assert sorted(line for line in server.lines() if "/view.zarr/" not in line) == [
            *chunks,
            "GET /700/a.zarr/zarr.json",
        ]
        assert all(request.method == "GET" for request in server.log if "/view.zarr/" in request.target)


def test_an_opened_view_says_how_many_arrays_it_has(template: Path) -> None:
    folder = template.parent.parent
    built = joined(template, 300)
    lz.save(built, folder / "view.zarr")
    assert "300 arrays" in repr(built)
    assert " 300 arrays" in repr(lz.open(folder / "view.zarr"))
