"""The microscopy example: OME-Zarr tiles with physical positions and overlap become one mosaic with OME metadata."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import zarr

import lazyzarr as lz

SIZE, STEP, PIXEL = 20, 16, 0.325
DEFINITION = """
lazyzarr: 1
sources:
  tiles:
    path: "{channel}/tile_{row}_{column}.zarr"
    tile:
      - stack: c
        name: channel
        values: [dapi, gfp]
      - each: row
        range: {count: 2}
      - each: column
        range: {count: 3}
arrays:
  s0:
    from: tiles
    path: "0"
    dims: [c, y, x]
    place: ome
    overlap: first
ome: {arrays: [s0], name: mosaic}
"""


def scene() -> np.ndarray:
    """Two channels of one specimen, which the tiles are cut from."""
    return np.random.default_rng(1).integers(0, 4096, (2, 36, 52)).astype("uint16")


def make(folder: Path, shift: float = 0.0) -> None:
    """Tiles that overlap by 4 cells; one stands ``shift`` cells beside its place."""
    cells = scene()
    for (c, channel), row, column in itertools.product(enumerate(("dapi", "gfp")), range(2), range(3)):
        y, x = row * STEP, column * STEP
        group = zarr.open_group(folder / channel / f"tile_{row}_{column}.zarr", mode="w", zarr_format=3)
        group.create_array("0", data=cells[c, y : y + SIZE, x : x + SIZE], chunks=(10, 10), dimension_names=["y", "x"])
        moved = x + (shift if (c, row, column) == (0, 1, 2) else 0)
        group.attrs["ome"] = {
            "version": "0.5",
            "multiscales": [
                {
                    "axes": [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"],
                    "datasets": [
                        {
                            "path": "0",
                            "coordinateTransformations": [
                                {"type": "scale", "scale": [PIXEL, PIXEL]},
                                {"type": "translation", "translation": [100 + y * PIXEL, 200 + moved * PIXEL]},
                            ],
                        }
                    ],
                }
            ],
        }


def resolve(folder: Path, text: str = DEFINITION) -> lz.Group:
    (folder / "mosaic.lz.yaml").write_text(text)
    lz.resolve(folder / "mosaic.lz.yaml", folder / "mosaic.zarr")
    return lz.open(folder / "mosaic.zarr")


def test_the_mosaic_is_the_specimen(tmp_path: Path) -> None:
    make(tmp_path)
    group = resolve(tmp_path)
    np.testing.assert_array_equal(group["s0"].read(), scene())
    assert group["s0"].dims == ("c", "y", "x")
    assert group["c"].read().tolist() == ["dapi", "gfp"]


def test_it_has_ome_metadata(tmp_path: Path) -> None:
    make(tmp_path)
    image = resolve(tmp_path).attrs["ome"]["multiscales"][0]
    assert [axis["name"] for axis in image["axes"]] == ["c", "y", "x"]
    assert image["axes"][2] == {"name": "x", "type": "space", "unit": "micrometer"}
    assert image["datasets"] == [
        {
            "path": "s0",
            "coordinateTransformations": [
                {"type": "scale", "scale": [1.0, PIXEL, PIXEL]},
                {"type": "translation", "translation": [0.0, 100.0, 200.0]},
            ],
        }
    ]


def test_overlap_is_an_error_unless_a_rule_is_named(tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(lz.DefinitionError) as raised:
        resolve(tmp_path, DEFINITION.replace("    overlap: first\n", ""))
    assert {m.property for m in raised.value.mistakes} == {"box"}
    assert len(raised.value.mistakes) == 2 * (4 + 3 + 4)
    assert "tile_0_0.zarr" in str(raised.value)


def test_a_tile_between_cells_is_an_error_unless_snapped(tmp_path: Path) -> None:
    make(tmp_path, shift=0.2)
    with pytest.raises(lz.DefinitionError) as raised:
        resolve(tmp_path)
    assert [m.subject for m in raised.value.mistakes] == ["dapi/tile_1_2.zarr (s0)"]
    place = "{y: {from: ome}, x: {from: ome, snap: nearest, tolerance: 0.25}}"
    group = resolve(tmp_path, DEFINITION.replace("place: ome", f"place: {place}"))
    np.testing.assert_array_equal(group["s0"].read(), scene())


def test_positions_from_a_table(tmp_path: Path) -> None:
    make(tmp_path)
    lines = [f"dapi/tile_{r}_{c}.zarr,{r * STEP * 2.5},{c * STEP}" for r in range(2) for c in range(3)]
    (tmp_path / "tiles.csv").write_text("\n".join(["file,stage_y,column", *lines]) + "\n")
    group = resolve(
        tmp_path,
        """
lazyzarr: 1
sources: {tiles: {table: tiles.csv}}
arrays:
  image:
    from: tiles
    path: "0"
    place: {y: {from: stage_y, scale: 2.5}, x: column}
    trim: {x: [0, 4]}
    overlap: last
    fill: 0
""",
    )
    expected = scene()[0][:, :48]
    np.testing.assert_array_equal(group["image"].read(), expected)


def test_boxes_in_the_definition(tmp_path: Path) -> None:
    make(tmp_path)
    group = resolve(
        tmp_path,
        """
lazyzarr: 1
sources:
  two:
    boxes:
      - {path: dapi/tile_0_0.zarr, at: {x: 0, y: 0}}
      - {path: dapi/tile_0_1.zarr, at: {x: 30, y: 0}}
dims: {x: {length: 60}}
arrays:
  image: {from: two, path: "0", place: at, fill: 7}
""",
    )
    cells = group["image"].read()
    assert cells.shape == (20, 60)
    np.testing.assert_array_equal(cells[:, 30:50], scene()[0][:20, 16:36])
    assert (cells[:, 20:30] == 7).all()
