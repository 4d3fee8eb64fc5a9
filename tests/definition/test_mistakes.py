"""One definition with more than twenty planted mistakes gives one report, which names all of them with their places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

import lazyzarr as lz

DEFINITION = """\
lazyzarr: 1
titel: two spellings
stores:
  archive: data
  archive: other
sources:
  daily:
    store: archive
    path: "t_{day:%Y%m%d}.zarr"
    tile:
      - concat: time
        name: day
        dates: {from: 2001-01-01, to: 2001-01-08}
        items: 2
  lost:
    store: nowhere
    path: "x_{n}.zarr"
    tile: [{concat: x, name: n, range: {to: 3}}]
  unsaid:
    path: "x_{n!r}.zarr"
    tile: [{concat: x, name: n, range: {to: 3}}]
  cube:
    path: "x_{k.real}_{n}.zarr"
    tile: [{concat: x, name: n, range: {to: 3}}]
  feb:
    path: "x_{day}.zarr"
    tile: [{concat: x, name: day, dates: {from: 2001-02-30, to: 2001-03-01}}]
  short:
    path: "x_{n}.zarr"
    tile: [{concat: x, name: n, values: [a, b], items: [1, 2, 3]}]
  tiles:
    store: archive
    boxes:
      - {path: left.zarr, at: {x: 0}}
      - {path: right.zarr, at: {x: 3}}
dims:
  lat: {length: four}
arrays:
  t: {from: daily, units: K}
  p: {from: daily, packing: mixed, path: t}
  anchored: &a {from: daily, path: t}
  again: {from: dayly}
  mosaic: {from: tiles, path: [a, b], place: {x: at}, fill: 0}
  tagged: {from: daily, path: !!str t}
"""

PLANTED = (
    ("2:1", "titel", "unknown key 'titel'"),
    ("5:3", "stores.archive", "a second time"),
    ("16:5", "sources.lost.store", "nowhere"),
    ("20:5", "sources.unsaid.path", "{n!r}"),
    ("23:5", "sources.cube.path", "{k.real}"),
    ("27:43", "sources.feb.tile[0].dates.from", "no such day"),
    ("30:49", "sources.short.tile[0].items", "3"),
    ("37:9", "dims.lat.length", "'four'"),
    ("40:20", "arrays.p.packing", "'mixed'"),
    ("41:13", "arrays.anchored", "anchor"),
    ("42:11", "arrays.again.from", "dayly"),
    ("44:31", "arrays.tagged.path", "tag"),
)
FILES = (
    ("t_20010102.zarr (t)", "length of time", "2", "3"),
    ("t_20010103.zarr", "file", "a file there", "nothing"),
    ("t_20010104.zarr (time)", "calendar", "standard", "noleap"),
    ("t_20010105.zarr (t)", "length of lat", "4", "5"),
    ("t_20010106.zarr (t)", "array", "t", "temperature"),
    ("t_20010107.zarr (t)", "data type", "float32", "float64"),
    ("t_20010108.zarr (t)", "units", "K", "degC"),
    ("right.zarr (mosaic)", "box", "no overlap", "right.zarr"),
)
"""Of files; those of t are found once more in the array p, which has the same path, and so on."""


def day(folder: Path, number: int, *, name: str = "t", shape: tuple[int, ...] = (2, 4), **more: object) -> None:
    group = zarr.open_group(folder / "data" / f"t_200101{number:02d}.zarr", mode="w", zarr_format=3)
    dims = more.get("dims", ["time", "lat"])
    cells = np.zeros(shape, str(more.get("dtype", "float32")))
    group.create_array(name, data=cells, dimension_names=dims, attributes={"units": more.get("units", "K")})
    attrs = {"units": "days since 2001-01-01", "calendar": more.get("calendar", "standard")}
    group.create_array("time", data=np.arange(2) + number, dimension_names=["time"], attributes=attrs)


def make(folder: Path) -> None:
    day(folder, 1)
    day(folder, 2, shape=(3, 4))
    day(folder, 4, calendar="noleap")
    day(folder, 5, shape=(2, 5))
    day(folder, 6, name="temperature")
    day(folder, 7, dtype="float64")
    day(folder, 8, units="degC")
    for name in ("left", "right"):
        group = zarr.open_group(folder / "data" / f"{name}.zarr", mode="w", zarr_format=3)
        group.create_array("a", data=np.zeros(4, "int8"), dimension_names=["x"])


def report(folder: Path, text: str) -> lz.DefinitionError:
    (folder / "d.lz.yaml").write_text(text)
    with pytest.raises(lz.DefinitionError) as raised:
        lz.resolve(folder / "d.lz.yaml", folder / "out.zarr")
    assert not (folder / "out.zarr").exists()
    return raised.value


def test_all_planted_mistakes_are_in_one_report(tmp_path: Path) -> None:
    make(tmp_path)
    found = report(tmp_path, DEFINITION).mistakes
    for place, subject, words in PLANTED:
        hits = [m for m in found if m.subject == subject and words in m.found]
        assert [m.where for m in hits] == [f"d.lz.yaml:{place}"], (subject, [str(m) for m in found])
    for subject, what, expected, words in FILES:
        hits = [m for m in found if m.subject == subject and m.property == what and words in m.found]
        assert hits, (subject, what, [str(m) for m in found])
        assert expected in hits[0].expected
    assert len(PLANTED) + len(FILES) == 20


def test_the_report_is_readable(tmp_path: Path) -> None:
    make(tmp_path)
    error = report(tmp_path, DEFINITION)
    lines = str(error).splitlines()
    assert lines[0].startswith("resolve of d.lz.yaml; there are ")
    assert all(line.startswith("  - d.lz.yaml:") for line in lines[1:])
    assert error.reason == "document-member"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: [1, 2\nb: 3\n", "2:2"),
        ("\ta: 1\n", "1:1"),
        ("a: 1\n---\nb: 2\n", "2:1"),
        ("a: *b\n", "1:4"),
        ("- 1\n", "1:1"),
        ("", "1:1"),
        ('{"lazyzarr": 1, "lazyzarr": 1}', "1:17"),
    ],
)
def test_text_that_is_not_accepted(tmp_path: Path, text: str, place: str) -> None:
    assert f"d.lz.yaml:{place}" in [m.where for m in report(tmp_path, text).mistakes]


@pytest.mark.parametrize(
    "path", ["../up.zarr", "/etc/passwd", "a//b.zarr", "file:///etc/passwd", "s3://bucket/x", "a\\b"]
)
def test_paths_do_not_leave_their_store(tmp_path: Path, path: str) -> None:
    text = f"lazyzarr: 1\nsources: {{s: {{boxes: [{{path: '{path}', at: {{x: 0}}}}]}}}}\narrays: {{a: {{from: s, place: at}}}}\n"
    assert [m.property for m in report(tmp_path, text).mistakes][:1] == ["path"]
