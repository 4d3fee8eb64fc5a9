"""Definitions whose stores, tables and results are in a bucket or behind http, against real servers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import lazyzarr as lz
from lazyzarr.document.remote_publish import Bucket
from tests.faults import conftest as servers_of_faults
from tests.servers import RangeServer

s3_server, s3, upload, options = (
    servers_of_faults.s3_server,
    servers_of_faults.s3,
    servers_of_faults.upload,
    servers_of_faults.options,
)

DEFINITION = """
lazyzarr: 1
stores: {archive: "STORE"}
sources:
  days:
    store: archive
    path: "{day:%Y%m%d}.nc"
    tile: [{concat: time, name: day, dates: {from: 2024-01-01, END}, items: 1}]
arrays:
  "*": {from: days}
views: {late: {select: {time: {slice: [1, null]}}}}
"""
TABLE = """
lazyzarr: 1
sources:
  days: {table: t.csv, tile: [{concat: time, values: {column: day}, items: 1}]}
arrays:
  a: {from: days}
"""


def day(folder: Path, number: int) -> None:
    folder.mkdir(exist_ok=True)
    with h5py.File(folder / f"2024010{number}.nc", "w") as file:
        file["a"] = np.full((1, 3), number, "int16")
        file["a"].attrs["scale_factor"] = 0.5
        file["time"] = np.zeros(1)
        file["time"].attrs["units"] = np.bytes_(f"hours since 2024-01-0{number}")
        file["x"] = np.arange(3)
        for axis, name in enumerate(("time", "x")):
            file[name].make_scale(name)
            file["a"].dims[axis].attach_scale(file[name])


def define(folder: Path, store: str, end: str) -> Path:
    path = folder / "d.lz.yaml"
    path.write_text(DEFINITION.replace("STORE", store).replace("END", end))
    return path


def cells(place: Any, allow: Any, given: Any) -> tuple[list[float], ...]:
    group: Any = lz.open(place, allow=allow, storage_options=given)
    return group["a"].read()[:, 0].tolist(), group["time"].read().tolist(), group["late"]["a"].read()[:, 0].tolist()


def all_of_it(tmp_path: Path, store: str, given: Any, more: Any) -> None:
    def resolve(end: str, **options: Any) -> lz.Resolution:
        return lz.resolve(define(tmp_path, store, end), tmp_path / "o.zarr", storage_options=given, **options)

    assert not resolve("to: 2024-01-03", dry_run=True).written
    first = resolve("to: 2024-01-03")
    assert first.allow == (f"{store}/",)
    assert cells(tmp_path / "o.zarr", first.allow, given) == ([0.5, 1.0, 1.5], [0, 24, 48], [1.0, 1.5])
    assert resolve("to: 2024-01-03").opened == 0
    with pytest.raises(lz.DefinitionError, match=r"20240104\.nc: file: expected a file there"):
        resolve("to: 2024-01-04", overwrite=True)
    more()
    grown = resolve("to: 2024-01-04")
    assert (grown.opened, grown.appended) == (1, 1)
    assert cells(tmp_path / "o.zarr", first.allow, given)[0] == [0.5, 1.0, 1.5, 2.0]


def test_files_in_a_bucket(tmp_path: Path, upload: Any, options: Any) -> None:
    for number in (1, 2, 3):
        day(tmp_path / "d", number)
    upload(tmp_path / "d", "d")

    def more() -> None:
        day(tmp_path / "d", 4)
        upload(tmp_path / "d", "d")

    all_of_it(tmp_path, "s3://bucket/d", options, more)


def test_files_behind_http(tmp_path: Path) -> None:
    for number in (1, 2, 3, 4):
        day(tmp_path / "d", number)
    files = {f"/d/{path.name}": path.read_bytes() for path in (tmp_path / "d").iterdir()}
    with RangeServer({name: text for name, text in files.items() if "0104" not in name}) as web:
        all_of_it(tmp_path, f"{web.url}/d", None, lambda: web.objects.update(files))


def test_a_series_without_end_in_a_bucket_costs_a_listing(
    tmp_path: Path, upload: Any, options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lazyzarr.access.session import Session

    day(tmp_path / "d", 1)
    upload(tmp_path / "d", "d")
    asked: list[str] = []
    real = Session.list_dir
    monkeypatch.setattr(Session, "list_dir", lambda self, url, **k: (asked.append(url), real(self, url, **k))[1])
    monkeypatch.setattr(Session, "exists", lambda *_, **__: pytest.fail("a path was asked for"))
    report = lz.resolve(
        define(tmp_path, "s3://bucket/d", "step: 1 day"), tmp_path / "o.zarr", storage_options=options, dry_run=True
    )
    assert (report.opened, asked) == (1, ["s3://bucket/d"])


def test_the_dataset_in_a_bucket(tmp_path: Path, upload: Any, options: Any) -> None:
    for number in (1, 2, 3):
        day(tmp_path / "d", number)
    upload(tmp_path / "d", "d")
    out = "s3://bucket/o.zarr"
    done = lz.resolve(define(tmp_path, "s3://bucket/d", "to: 2024-01-02"), out, storage_options=options)
    assert (done.written, done.allow) == (True, ())
    assert cells(out, (), options) == ([0.5, 1.0], [0, 24], [1.0])
    same = lz.resolve(define(tmp_path, "s3://bucket/d", "to: 2024-01-02"), out, storage_options=options)
    assert (same.written, same.opened) == (False, 0)
    grown = lz.resolve(define(tmp_path, "s3://bucket/d", "to: 2024-01-03"), out, storage_options=options)
    assert (grown.written, grown.opened, grown.appended) == (True, 1, 1)
    assert cells(out, (), options) == ([0.5, 1.0, 1.5], [0, 24, 48], [1.0, 1.5])
    dataset = xr.open_dataset(out, engine="lazyzarr", storage_options=options, decode_times=False)
    assert dataset.a.values[:, 0].tolist() == [0.5, 1.0, 1.5]
    again = lz.resolve(
        define(tmp_path, "s3://bucket/d", "to: 2024-01-02"), out, storage_options=options, overwrite=True
    )
    assert again.opened == 2
    assert cells(out, (), options) == ([0.5, 1.0], [0, 24], [1.0])


def test_a_dataset_in_a_bucket_whose_selections_are_made_anew(tmp_path: Path, upload: Any, options: Any) -> None:
    for number in (1, 2, 3, 4):
        day(tmp_path / "d", number)
    upload(tmp_path / "d", "d")
    out = "s3://bucket/o.zarr"
    for end, late in (("to: 2024-01-03", [1.0, 1.5]), ("to: 2024-01-04", [1.5, 2.0])):
        path = define(tmp_path, "s3://bucket/d", end)
        path.write_text(path.read_text().replace("[1, null]", "[-2, null]"))
        lz.resolve(path, out, storage_options=options)
        assert cells(out, (), options)[2] == late


def test_growing_in_a_bucket_that_was_stopped_goes_on(
    tmp_path: Path, upload: Any, options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before each of its writes: the next run has the same data set as one that was never stopped."""
    for number in (1, 2, 3):
        day(tmp_path / "d", number)
    upload(tmp_path / "d", "d")
    real = Bucket.replace, Bucket.create
    stopped = 0
    for number in range(30):
        out = f"s3://bucket/o{number}.zarr"
        lz.resolve(define(tmp_path, "s3://bucket/d", "to: 2024-01-02"), out, storage_options=options)
        writes = [0]

        def counted(call: Any, writes: list[int] = writes, number: int = number) -> Any:
            def write(self: Bucket, *given: Any) -> bool:
                if writes[0] == number:
                    raise KeyboardInterrupt
                writes[0] += 1
                return call(self, *given)

            return write

        monkeypatch.setattr(Bucket, "replace", counted(real[0]))
        monkeypatch.setattr(Bucket, "create", counted(real[1]))
        definition = define(tmp_path, "s3://bucket/d", "to: 2024-01-03")
        try:
            lz.resolve(definition, out, storage_options=options)
            done = True
        except KeyboardInterrupt:
            done = False
            stopped += 1
        monkeypatch.setattr(Bucket, "replace", real[0])
        monkeypatch.setattr(Bucket, "create", real[1])
        lz.resolve(definition, out, storage_options=options)
        assert cells(out, (), options) == ([0.5, 1.0, 1.5], [0, 24, 48], [1.0, 1.5])
        if done:
            break
    assert stopped > 5


def test_two_that_grow_one_dataset_at_once(tmp_path: Path, upload: Any, options: Any) -> None:
    for number in (1, 2, 3, 4, 5):
        day(tmp_path / "d", number)
    upload(tmp_path / "d", "d")
    out = "s3://bucket/o.zarr"
    lz.resolve(define(tmp_path, "s3://bucket/d", "to: 2024-01-02"), out, storage_options=options)
    definition = define(tmp_path, "s3://bucket/d", "to: 2024-01-05")

    def grow(_: int) -> str:
        try:
            return str(lz.resolve(definition, out, storage_options=options).appended)
        except lz.LazyZarrError as error:
            return error.reason

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(grow, range(4)))
    assert told.count("3") == 1, told
    assert cells(out, (), options) == ([0.5, 1.0, 1.5, 2.0, 2.5], [0, 24, 48, 72, 96], [1.0, 1.5, 2.0, 2.5])


def test_the_definition_and_its_table_in_a_bucket_and_behind_http(
    tmp_path: Path, s3: Any, upload: Any, options: Any
) -> None:
    for number in (1, 2, 3):
        day(tmp_path / "d", number)
    rows = "day,path\n1,20240101.nc\n2,20240102.nc\n"
    (tmp_path / "d" / "t.csv").write_text(rows)
    (tmp_path / "d" / "d.lz.yaml").write_text(TABLE)
    upload(tmp_path / "d", "d")
    objects = {f"/d/{path.name}": path.read_bytes() for path in (tmp_path / "d").iterdir()}
    more = rows + "3,20240103.nc\n"
    with RangeServer(objects) as web:
        for where, name in (("s3://bucket/d", "s"), (f"{web.url}/d", "h")):
            out = tmp_path / name
            assert lz.resolve(f"{where}/d.lz.yaml", out, storage_options=options).opened == 2
            s3.put_object(Bucket="bucket", Key="d/t.csv", Body=more.encode())
            web.objects["/d/t.csv"] = more.encode()
            assert lz.resolve(f"{where}/d.lz.yaml", out, storage_options=options).appended == 1
            group: Any = lz.open(out, allow=[where + "/"], storage_options=options)
            assert group["a"].read()[:, 0].tolist() == [0.5, 1.0, 1.5]
            s3.put_object(Bucket="bucket", Key="d/t.csv", Body=rows.encode())
            web.objects["/d/t.csv"] = rows.encode()
