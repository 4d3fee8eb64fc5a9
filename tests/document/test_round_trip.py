"""A view that is encoded and decoded is the same view, and nothing is asked of storage on the way."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given

from lazyzarr.access.policy import Grant
from lazyzarr.access.session import Session
from lazyzarr.document.decode import decode
from lazyzarr.document.encode import EncodedView, encode
from lazyzarr.document.publish import publish
from lazyzarr.errors import AccessDenied, SaveUnsupported, ViewLimitError, ViewSchemaError
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import from_numpy
from lazyzarr.ir.graph import Graph, GraphBuilder
from lazyzarr.ir.layout import Layout, NamedConfig, StoredArray
from lazyzarr.ir.nodes import Concat, Fill, Source, Take, Tiles
from lazyzarr.ir.tables import Table
from lazyzarr.ir.tiles import tile_array
from tests.document.samples import VIEW, joined, layout, referenced, samples, tiled
from tests.strategies.graphs import Drawn, graphs

SAMPLES = dict(samples())


def wire(view: EncodedView) -> dict[str, Any]:
    return msgspec.json.decode(view.document)["attributes"]["lazyzarr"]


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_round_trip(name: str) -> None:
    graph = SAMPLES[name]
    session = Session()
    view = encode(graph, base_url=VIEW, attributes={"units": "K", "zarr_conventions": [{"uuid": "x"}]})
    opened = decode(view.document, url=VIEW, session=session)
    assert opened.graph == graph
    assert opened.attributes == {"units": "K", "zarr_conventions": [{"uuid": "x"}]}
    assert encode(opened.graph, base_url=VIEW, attributes=opened.attributes).document == view.document
    assert session.counts.requests == 0


@given(graphs())
def test_random_graphs_round_trip(drawn: Drawn) -> None:
    rank = len(drawn.graph.schemas[-1].shape) if drawn.graph.schemas else None
    dims = None if rank is None else tuple(f"d{k}" if k % 2 else None for k in range(rank))
    view = encode(drawn.graph, base_url=VIEW, dims=dims)
    opened = decode(view.document, url=VIEW, session=Session())
    assert opened.dims == dims
    assert opened.graph.nodes[-1] == drawn.graph.nodes[-1] or view.tables
    assert view.tables or opened.graph == drawn.graph


def test_features_beyond_the_plainest_are_listed() -> None:
    assert wire(encode(joined(), base_url=VIEW))["requires"] == ["take"]
    assert wire(encode(SAMPLES["layered"], base_url=VIEW))["requires"] == [
        "broadcast",
        "decode",
        "lazyzarr.unpack",
        "overlay",
        "recode",
    ]


def test_integers_beyond_2_53_keep_every_bit() -> None:
    view = encode(referenced(), base_url=VIEW)
    assert str(2**63 + 5).encode() in view.document
    opened = decode(view.document, url=VIEW, session=Session())
    assert np.asarray(opened.graph.tables[opened.graph.arrays[0].refs or ""]["offset"])[0] == 2**63 + 5


def test_locations_are_relative_and_move_with_the_view() -> None:
    view = encode(joined(), base_url=VIEW)
    assert [a["location"] for a in wire(view)["graph"]["arrays"]] == [f"../../raw/{k}.zarr" for k in range(3)]
    moved = decode(view.document, url="s3://bucket/x/views/v.zarr", session=Session())
    assert [a.location for a in moved.graph.arrays] == [f"s3://bucket/x/raw/{k}.zarr" for k in range(3)]


def test_locations_elsewhere_are_absolute() -> None:
    view = encode(joined(), base_url="s3://bucket/v.zarr")
    assert wire(view)["graph"]["arrays"][0]["location"] == "file:///data/raw/0.zarr"
    other_root = encode(joined(), base_url="file:///home/me/v.zarr")
    assert wire(other_root)["graph"]["arrays"][0]["location"] == "file:///data/raw/0.zarr"


def test_inline_tiles_have_relative_locations_as_text() -> None:
    view = encode(tiled(3), base_url=VIEW)
    (table,) = wire(view)["graph"]["tables"].values()
    assert table["columns"]["url"]["data"] == [f"../../raw/0/{k:06d}.zarr" for k in range(3)]
    assert "url_end" not in table["columns"]


def test_many_tiles_are_child_arrays_and_read_by_chunk(tmp_path: Path) -> None:
    graph = tiled(70_000)
    target = tmp_path / "a" / "v.zarr"
    view = encode(graph, base_url=f"file://{target}")
    assert len(view.document) < 10_000
    publish(target, view)
    session = Session()
    opened = decode(view.document, url=f"file://{target}", session=session)
    assert session.counts.requests == 0
    root = opened.graph.root
    assert isinstance(root, Tiles)
    for row in (0, 5, 65_536, 69_999):
        assert tile_array(opened.graph, root, row) == tile_array(graph, graph.root, row)  # type: ignore[arg-type]
    columns = len(opened.graph.tables[root.table].columns)
    assert session.counts.requests <= 2 * columns + 2
    again = pickle.loads(pickle.dumps(opened.graph))
    assert again == opened.graph
    assert tile_array(again, again.root, 7).location == "file:///data/raw/0/000007.zarr"


def test_saving_elsewhere_what_was_opened_keeps_the_locations(tmp_path: Path) -> None:
    first = tmp_path / "first.zarr"
    publish(first, encode(tiled(300), base_url=f"file://{first}"))
    opened = decode((first / "zarr.json").read_bytes(), url=f"file://{first}", session=Session())
    second = tmp_path / "deep" / "er" / "second.zarr"
    publish(second, encode(opened.graph, base_url=f"file://{second}"))
    again = decode((second / "zarr.json").read_bytes(), url=f"file://{second}", session=Session())
    assert isinstance(again.graph.root, Tiles)
    assert tile_array(again.graph, again.graph.root, 299).location == "file:///data/raw/29/000299.zarr"


def test_equal_names_in_two_documents_do_not_make_two_tables_one(tmp_path: Path) -> None:
    view = encode(tiled(300), base_url=VIEW)
    here = decode(view.document, url="file:///a/b/c.zarr", session=Session())
    there = decode(view.document, url="file:///d/e/f.zarr", session=Session())
    build = GraphBuilder()
    build.graph_of(here.graph)
    build.graph_of(there.graph)
    assert set(here.graph.tables).isdisjoint(there.graph.tables)


def test_locations_are_checked_against_the_grant_before_any_request() -> None:
    session = Session()
    inside, outside = session.add_grant(Grant.below("file:///data/")), session.add_grant(Grant.below("file:///other/"))
    for graph in SAMPLES.values():
        view = encode(graph, base_url=VIEW)
        opened = decode(view.document, url=VIEW, session=session, grant=inside)
        assert all(array.grant == inside for array in opened.graph.arrays)
        if any(a.location for a in graph.arrays) or "tiles" in wire(view)["requires"]:
            with pytest.raises(AccessDenied) as error:
                decode(view.document, url=VIEW, session=session, grant=outside)
            assert error.value.reason == "access-denied"
            assert "file:///data/raw" in str(error.value)
    assert session.counts.requests == 0


def test_the_same_table_under_two_grants_is_two_tables() -> None:
    session = Session()
    grant = session.add_grant(Grant.below("file:///data/"))
    for count in (3, 300):
        text = encode(tiled(count), base_url=VIEW).document
        mine = decode(text, url=VIEW, session=session)
        theirs = decode(text, url=VIEW, session=session, grant=grant)
        assert set(mine.graph.tables).isdisjoint(theirs.graph.tables)
        assert [t.grant for t in theirs.graph.tables.values()] == [grant]


def kept(size: int, count: int = 1) -> Graph:
    build = GraphBuilder()
    form = build.layout(layout("uint8", (size,)))
    nodes = [
        build.node(
            Source(
                build.array(StoredArray(form, (size,), values=build.table(Table({"values": np.full(size, k, "u1")}))))
            )
        )
        for k in range(count)
    ]
    return build.build(build.node(Concat(tuple(nodes), 0)))


def test_arrays_in_memory_are_child_arrays_up_to_a_limit(tmp_path: Path) -> None:
    target = tmp_path / "v.zarr"
    view = encode(kept(1 << 20), base_url=f"file://{target}")
    publish(target, view)
    opened = decode(view.document, url=f"file://{target}", session=Session())
    values = np.asarray(opened.graph.tables[opened.graph.arrays[0].values or ""]["values"])
    assert values.shape == (1 << 20,)
    for graph in (kept((1 << 20) + 1), kept(1 << 20, 17)):
        with pytest.raises(SaveUnsupported) as error:
            encode(graph, base_url=VIEW)
        assert error.value.reason == "inline-limit"
        assert "write it with zarr and open that" in str(error.value)


def test_what_is_in_memory_of_the_process_is_not_saved() -> None:
    build = GraphBuilder()
    array = build.array(StoredArray(build.layout(layout()), (8, 10), location="store://0123456789abcdef/a"))
    with pytest.raises(SaveUnsupported) as error:
        encode(build.build(build.node(Source(array))), base_url=VIEW)
    assert error.value.reason == "save-unsupported"


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (np.float32(0.5), 0.5),
        (np.array([[1, 2]], "u1"), [[1, 2]]),
        (float("nan"), "NaN"),
        (np.float64("-inf"), "-Infinity"),
        ((1, np.int64(2**60)), [1, 2**60]),
        ({"a": np.bool_(True)}, {"a": True}),
        (np.str_("x"), "x"),
    ],
)
def test_attributes_become_json(value: Any, stored: Any) -> None:
    view = encode(Graph([Fill((2,), "int8", 0)]), base_url=VIEW, attributes={"a": value})
    assert decode(view.document, url=VIEW, session=Session()).attributes == {"a": stored}


@pytest.mark.parametrize("value", [b"x", 1j, object(), np.datetime64("2000-01-01")])
def test_attributes_without_a_json_form_are_refused(value: Any) -> None:
    with pytest.raises(SaveUnsupported, match="'a'"):
        encode(Graph([Fill((2,), "int8", 0)]), base_url=VIEW, attributes={"a": value})


def test_the_attribute_of_the_document_is_not_the_users() -> None:
    with pytest.raises(SaveUnsupported):
        encode(Graph([Fill((2,), "int8", 0)]), base_url=VIEW, attributes={"lazyzarr": 1})


def test_what_could_not_be_opened_is_not_saved() -> None:
    with pytest.raises(ViewLimitError):
        encode(Graph([Fill((1,) * 33, "int8", 0)]), base_url=VIEW)
    with pytest.raises(ViewSchemaError):
        encode(Graph([Fill((1,), "int7", 0)]), base_url=VIEW)


def test_a_grid_is_kept() -> None:
    view = encode(joined(), base_url=VIEW, grid=(4, 5))
    assert decode(view.document, url=VIEW, session=Session()).grid == (4, 5)


@pytest.mark.parametrize("dtype", ["<f8", "<i2", "?", "U3", "S4", "M8[s]", "c8", "T"])
def test_small_tables_of_values_keep_their_cells(dtype: str) -> None:
    found = np.dtypes.StringDType() if dtype == "T" else np.dtype(dtype)
    cells = np.array(["a", "bc", ""] if found.kind in "UST" else [0, 1, 2], found)
    data_type = from_numpy(cells.dtype)
    serial = NamedConfig("vlen-utf8") if dtype == "T" else NamedConfig("bytes", {"endian": "little"})
    build = GraphBuilder()
    table = build.table(Table({"values": cells}))
    form = build.layout(Layout(data_type, fill.zero(data_type), (3,), (serial,)))
    graph = build.build(build.node(Source(build.array(StoredArray(form, (3,), values=table)))))
    view = encode(graph, base_url=VIEW)
    assert not view.tables
    opened = decode(view.document, url=VIEW, session=Session())
    assert opened.graph == graph
    np.testing.assert_array_equal(np.asarray(opened.graph.tables[table]["values"]), cells)


def test_rows_outside_the_graph_are_refused_when_they_are_read(tmp_path: Path) -> None:
    target = tmp_path / "v.zarr"
    build = GraphBuilder()
    table = build.table(Table({"indices": np.arange(1000, dtype=np.int64)}))
    graph = build.build(build.node(Take(build.node(Fill((1000,), "int8", 0)), 0, table)))
    view = encode(graph, base_url=f"file://{target}")
    publish(target, view)
    document = msgspec.json.decode(view.document)
    document["attributes"]["lazyzarr"]["graph"]["nodes"][0]["shape"] = [999]
    opened = decode(msgspec.json.encode(document), url=f"file://{target}", session=Session())
    assert isinstance(opened.graph.root, Take)
    with pytest.raises(ViewSchemaError) as error:
        np.asarray(opened.graph.tables[opened.graph.root.indices]["indices"][:5])
    assert error.value.reason == "table-invalid"
    assert str(error.value.where).startswith("$.attributes.lazyzarr.graph.tables.")
