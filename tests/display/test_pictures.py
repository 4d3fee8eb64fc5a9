"""SVG, HTML and PNG: well formed, escaped, self-contained, bounded."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ElementTree
import zlib
from pathlib import Path

import numpy as np
import pytest

import lazyzarr as lz
from lazyzarr.display import page
from lazyzarr.display.blocks import MOST_BOXES, PALETTE, picture
from lazyzarr.display.diagram import MOST_NODES, diagram
from lazyzarr.display.png import ABSENT, colours, png
from lazyzarr.lower.fragments import fragments
from lazyzarr.lower.lowering import lower
from lazyzarr.view import View
from tests.display.views import every_kind, stored

SVG = "{http://www.w3.org/2000/svg}"


def drawn(view: View):
    lowered = lower(view.ir)
    return picture(lowered, fragments(lowered), view.dims)


def boxes(svg: str) -> list[ElementTree.Element]:
    return [r for r in ElementTree.fromstring(svg).iter(f"{SVG}rect") if r.find(f"{SVG}title") is not None]


def test_every_repr_is_well_formed_and_self_contained(tmp_path: Path) -> None:
    for name, view in every_kind(tmp_path).items():
        html = view._repr_html_()
        root = ElementTree.fromstring(html)
        assert root.tag == "div", name
        tags = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert not tags & {"script", "link", "iframe", "image", "img", "foreignObject"}, name
        for element in root.iter():
            assert not any(key.startswith("on") or key.endswith("href") for key in element.attrib), name
        assert "\x1b" not in html


def test_names_are_escaped(tmp_path: Path) -> None:
    html = every_kind(tmp_path)["evil"]._repr_html_()
    text = "".join(ElementTree.fromstring(html).itertext())
    assert "</td><script>x</script>" in text
    assert "<b>y" in text


def test_boxes_name_their_source_box_and_layout(tmp_path: Path) -> None:
    a, b = stored(tmp_path, "a", (6, 40), (3, 20)), stored(tmp_path, "b", (6, 40), (6, 40))
    svg = drawn(lz.concat([a, b[::-1]])).svg
    titles = [box.findtext(f"{SVG}title") for box in boxes(svg)]
    assert [title.splitlines()[:2] for title in titles if title] == [
        [f"{tmp_path.name}/a [0:6, 0:40]", "fills [0:6, 0:40]"],
        [f"{tmp_path.name}/b [5::-1, 0:40]", "fills [6:12, 0:40]"],
    ]
    assert [box.get("fill") for box in boxes(svg)] == list(PALETTE[:2])


def test_constants_are_hatched(tmp_path: Path) -> None:
    view = lz.pad(stored(tmp_path, "a", (6, 40), (3, 20)), 2, value=0)
    fills = [box.get("fill") or "" for box in boxes(drawn(view).svg)]
    assert fills[0].startswith("url(#")
    assert fills[1] == PALETTE[0]


def test_rank_above_two_is_projected_and_said(tmp_path: Path) -> None:
    found = drawn(every_kind(tmp_path)["rank 4"])
    assert len(boxes(found.svg)) == 4
    assert any("projected" in note for note in found.notes)


def test_places_behind_one_another_are_said(tmp_path: Path) -> None:
    a = stored(tmp_path, "a", (2, 4), (2, 4))
    cube = lz.stack([lz.stack([lz.stack([a] * 2)] * 3)] * 4)
    found = drawn(cube)
    assert any("behind" in note for note in found.notes)
    assert len(boxes(found.svg)) == 12


def test_interleaved_cells_are_drawn_one_by_one(tmp_path: Path) -> None:
    assert len(boxes(drawn(every_kind(tmp_path)["interleaved"]).svg)) == 12


def test_pictures_are_bounded() -> None:
    parts = [lz.full((1, 2), k % 3, dtype="int8") for k in range(3 * MOST_BOXES)]
    found = drawn(lz.concat(parts))
    assert len(boxes(found.svg)) <= MOST_BOXES
    assert any(f"of {3 * MOST_BOXES:,} boxes drawn" in note for note in found.notes)


def test_diagram_is_bounded_and_counts_what_it_leaves_out(tmp_path: Path) -> None:
    for view in every_kind(tmp_path).values():
        root = ElementTree.fromstring(diagram(view.ir))
        assert len(list(root.iter(f"{SVG}rect"))) <= MOST_NODES
    wide = lz.concat([lz.full((1,), k, dtype="int16") for k in range(20)])
    assert "and 15 more inputs" in diagram(wide.ir)


def test_diagram_of_a_long_chain_is_bounded() -> None:
    view = lz.full((4, 4), 0, dtype="int8")
    for _ in range(300):
        view = view.T.flip(0)
    root = ElementTree.fromstring(diagram(view.ir))
    assert len(list(root.iter(f"{SVG}rect"))) == MOST_NODES


def test_page_is_well_formed_and_asks_for_nothing() -> None:
    text = page.page(
        "<t>",
        "l & l",
        {"a": "<1>"},
        [
            page.Section("s", "", page.table(["h"], [["<c>"]]) + page.items(["<i>"]) + page.listing("<p>")),
            page.Section("p", "", page.image(png(np.zeros((2, 2, 3), np.uint8)), '"<c>')),
        ],
    )
    root = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    assert root.findtext("head/title") == "<t>"
    assert [img.get("src", "")[:22] for img in root.iter("img")] == ["data:image/png;base64,"]
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (40, 7)])
def test_png_decodes_to_its_pixels(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    data = png(pixels)
    at, chunks = 8, {}
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        at += 12 + length
    assert struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (shape[1], shape[0], 8, 2, 0, 0, 0)
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(shape[0], 1 + 3 * shape[1])
    assert (lines[:, 0] == 0).all()
    assert (lines[:, 1:].reshape(pixels.shape) == pixels).all()


def test_colours_rise_in_lightness_and_mark_absent_cells() -> None:
    ramp = colours(np.linspace(0, 1, 50), 0, 1).astype(float) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(ramp) > 0).all()
    assert colours(np.array([[np.nan]]), 0, 1)[0, 0].tolist() == list(ABSENT)
    assert colours(np.array([-5.0, 9.0]), 0, 1).tolist() == colours(np.array([0.0, 1.0]), 0, 1).tolist()
