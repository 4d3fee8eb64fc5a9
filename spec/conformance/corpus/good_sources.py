"""Good cases of the forms in which Zarr arrays are stored: shards, version 2, chunk keys, scalars, empty axes."""

from __future__ import annotations

import json
import shutil

import numcodecs
import numpy as np
import zarr

import lazyzarr as lz
from corpus.cases import Case, forget_version, ramp, write_json
from corpus.expected import cells as json_cells
from corpus.expected import digest


def sharded(case: Case) -> None:
    """Shards with missing inner chunks, and a missing shard."""
    values = ramp(9, 8, dtype="int32")
    values[2:4, 4:8] = -5
    values[4:8, 0:4] = -5
    view = case.zarr(
        *("a.zarr", values, (2, 2)),
        shards=(4, 4),
        fill_value=-5,
        compressors=[zarr.codecs.ZstdCodec(level=1)],
    )
    case.save(
        view[1:, ::-1],
        values[1:, ::-1],
        fill_value=-5,
        flatness="L2",
        chunks=6,
        placements=1,
        about="shards of four inner chunks, some of them missing, and one shard that is missing as a whole",
    )


def sharded_index_first(case: Case) -> None:
    """The index of the shard before its chunks."""
    values = ramp(6, 4, dtype="uint8")
    codec = zarr.codecs.ShardingCodec(chunk_shape=(3, 2), index_location="start")
    view = case.zarr("a.zarr", values, (6, 4), fill_value=0, serializer=codec)
    case.save(
        view,
        values,
        fill_value=0,
        flatness="L0",
        chunks=1,
        placements=1,
        about="a shard whose index comes first",
    )


def v3_keys(case: Case) -> None:
    """Version 3 with the chunk keys of version 2, and with dots."""
    values = ramp(4, 4)
    views = [
        case.zarr("a.zarr", values, (2, 2), fill_value=0, chunk_key_encoding={"name": "v2", "separator": "."}),
        case.zarr("b.zarr", values, (2, 2), fill_value=0, chunk_key_encoding={"name": "v2", "separator": "/"}),
        case.zarr("c.zarr", values, (2, 2), fill_value=0, chunk_key_encoding={"name": "default", "separator": "."}),
    ]
    case.save(
        lz.stack(views),
        np.stack([values] * 3),
        fill_value=0,
        flatness="L0",
        chunks=12,
        placements=3,
        about="chunk keys 0.1, 0/1 and c.0.1",
    )


def fill_with_a_fraction(case: Case) -> None:
    """An integer fill value written with a fraction of zero, as metadata of arrays are found with."""
    values = ramp(4, 4)
    values[:2] = 3
    case.save(
        case.zarr("a.zarr", values, (2, 4), fill_value=3),
        values,
        fill_value=3,
        flatness="L0",
        chunks=2,
        placements=1,
        about="the fill value 3.0 of an integer type is 3",
    )
    case.change_layout({"fill_value": 3.0})


def v2(case: Case) -> None:
    """Version 2 with dots in its keys."""
    values = ramp(5, 4, dtype=">i4")
    view = case.zarr(
        *("a.zarr", values, (2, 4)),
        zarr_format=2,
        fill_value=3,
        compressors=numcodecs.Zlib(level=0),
        filters=[numcodecs.Delta("<i4")],
    )
    case.save(
        view,
        values.astype("int32"),
        fill_value=3,
        flatness="L0",
        chunks=3,
        placements=1,
        about="a Zarr v2 array with a filter and a compressor; chunk keys 0.0",
    )


def v2_streams(case: Case) -> None:
    """Compressors whose streams do not say how much they hold."""
    values = ramp(5, 4, dtype="int32")
    lzma2 = {"id": 33, "preset": 6}
    compressors = [
        numcodecs.BZ2(level=9),
        numcodecs.LZMA(),
        numcodecs.LZMA(format=2),
        numcodecs.LZMA(format=3, filters=[{"id": 3, "dist": 4}, lzma2]),
    ]
    views = [
        case.zarr(f"{k}.zarr", values + 100 * k, (2, 4), zarr_format=2, fill_value=3, compressors=compressor)
        for k, compressor in enumerate(compressors)
    ]
    case.save(
        lz.stack(views, axis=0),
        np.stack([values + 100 * k for k in range(len(views))]),
        fill_value=3,
        flatness="L3",
        chunks=12,
        placements=4,
        about="bzip2; lzma as xz, in its older form, and raw with filters that the configuration names",
    )


def v2_fortran(case: Case) -> None:
    """Version 2 in Fortran order, big-endian, with slashes in its keys."""
    values = ramp(4, 3, 2, dtype=">u2")
    view = case.zarr(
        *("a.zarr", values, (2, 3, 2)),
        zarr_format=2,
        order="F",
        fill_value=0,
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )
    case.save(
        view[:, 1],
        values.astype("uint16")[:, 1],
        fill_value=0,
        flatness="L2",
        chunks=2,
        placements=1,
        about="a big-endian Zarr v2 array in Fortran order; chunk keys 0/0/0",
    )


def unpinned(case: Case) -> None:
    """A source without a stamp beside one with."""
    values = ramp(3)
    views = [
        case.zarr("a.zarr", values, (3,), fill_value=0, pin=False),
        case.zarr("b.zarr", values, (3,), fill_value=0),
    ]
    case.save(
        lz.concat(views, axis=0),
        np.concatenate([values, values]),
        fill_value=0,
        flatness="L0",
        chunks=2,
        placements=2,
        about="a stamp is optional; the second source is pinned by the size and digest of its metadata",
    )


def scalar(case: Case) -> None:
    """Rank 0."""
    values = np.array(42, "int16")
    view = case.zarr("a.zarr", values, (), fill_value=0)
    case.save(
        view,
        values,
        fill_value=0,
        flatness="L0",
        chunks=1,
        placements=1,
        about="an array of rank 0",
    )


def scalar_repeated(case: Case) -> None:
    """Rank 0, stacked and broadcast, and an array cut down to rank 0."""
    one, many = np.array(42, "int16"), ramp(3)
    views = [case.zarr("a.zarr", one, (), fill_value=0), case.zarr("b.zarr", many, (2,), fill_value=0)[-1]]
    case.save(
        lz.stack(views).broadcast_to((2, 2)),
        np.broadcast_to(np.array([42, 2], "int16"), (2, 2)),
        fill_value=0,
        flatness="L2",
        chunks=2,
        placements=2,
        about="two arrays of rank 0 as one axis",
    )


def empty_axes(case: Case) -> None:
    """A source without cells, joined with one that has some."""
    none, some = np.zeros((0, 3), "int16"), ramp(2, 3)
    views = [case.zarr("a.zarr", none, (2, 3), fill_value=8), case.zarr("b.zarr", some, (2, 3), fill_value=0)]
    case.save(
        lz.concat(views, axis=0),
        some,
        fill_value=8,
        flatness="L0",
        chunks=1,
        placements=1,
        about="an input without cells adds none; the fill value is that of the first input all the same",
    )


def nested_group(case: Case) -> None:
    """Views, a real array and a group in a group."""
    _group(case, "a group with a view, a real array and a group with a view")


def nested_group_consolidated(case: Case) -> None:
    """The same, whose consolidated metadata are of an older state."""
    _group(
        case, "documents in the consolidated metadata of the group are older than those of the views, and not looked at"
    )
    path = case.folder / "view.zarr" / "zarr.json"
    document = json.loads(path.read_text("utf-8"))
    older = document["consolidated_metadata"]["metadata"]["joined"]["attributes"]["lazyzarr"]
    older["graph"]["nodes"][-1]["inputs"].reverse()
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _group(case: Case, about: str) -> None:
    one, two = ramp(4, 3), ramp(4, 3, start=100)
    views = [case.zarr("a.zarr", one, (2, 3), fill_value=0), case.zarr("b.zarr", two, (2, 3), fill_value=0)]
    members = {
        "joined": lz.concat(views).rename_dims(["time", "x"]),
        "time": np.arange(8),
        "inner": {"flipped": views[1][::-1]},
    }
    target = case.folder / "view.zarr"
    lz.save(members, target, attrs={"title": "a group"})
    for document in sorted(target.rglob("zarr.json")):
        forget_version(document)
    values = {
        "joined": np.concatenate([one, two]),
        "time": np.arange(8),
        "inner/flipped": two[::-1],
    }
    expected = {
        "about": about,
        "rules": case.rules,
        "attributes": {"title": "a group"},
        "members": {
            name: {"shape": list(v.shape), "data_type": v.dtype.name, "values": json_cells(v), "digest": digest(v)}
            for name, v in values.items()
        },
    }
    write_json(case.folder / "expected.json", expected)


def view_of_views(case: Case) -> None:
    """Views of saved views: one graph, whose locations are relative to where it is."""
    values = ramp(6, 4)
    first = case.folder / "deep" / "er" / "first.zarr"
    second = case.folder / "second.zarr"
    first.parent.mkdir(parents=True)
    lz.save(case.zarr("a.zarr", values, (3, 2), fill_value=0)[::-1], first)
    lz.save(
        lz.concat([lz.open(first, allow=[case.folder]), case.zarr("b.zarr", values, (2, 4), fill_value=0)], axis=0),
        second,
    )
    case.save(
        lz.open(second)[1::2, ::-1],
        np.concatenate([values[::-1], values])[1::2, ::-1],
        fill_value=0,
        flatness="L2",
        chunks=7,
        placements=2,
        about="a view of a view of a view names the arrays, not the views; those may be taken away",
    )
    shutil.rmtree(case.folder / "deep")
    shutil.rmtree(second)


CASES = (
    *(
        sharded,
        sharded_index_first,
        v3_keys,
        fill_with_a_fraction,
        v2,
        v2_streams,
        v2_fortran,
        unpinned,
        scalar,
        scalar_repeated,
        empty_axes,
    ),
    *(nested_group, nested_group_consolidated, view_of_views),
)
