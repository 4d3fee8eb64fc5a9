"""Definitions that nobody would write with care: each is one report with places, and nothing is tried for long."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

import lazyzarr as lz

TILE = 'path: "{t}.zarr", tile: [{concat: t, '
BOXES = "boxes: [{path: 0.zarr, at: {t: 0, x: 0}}, {path: 1.zarr, at: {t: "
CASES = {
    "integers beyond 64 bits": (TILE + "range: {from: 1180591620717411303424, count: 2}}]", "integers of 64 bits"),
    "a range that ends beyond": (TILE + "range: {from: 9223372036854775800, count: 9}}]", "integers of 64 bits"),
    "a range without measure": (TILE + "range: {to: 99999999999999}}]", "at most 10,000,000"),
    "dates without measure": (
        'path: "{t:%Y}.zarr", tile: [{concat: t, dates: {from: 2001-01-01, count: 99999999999}}]',
        "at most 10,000,000",
    ),
    "a table that is elsewhere": (
        "table: ../../../etc/passwd, tile: [{concat: t}]",
        "sources.s.table: table: expected",
    ),
    "a table that is a directory": ("table: 0.zarr, tile: [{concat: t}]", "sources.s.table: table: expected"),
    "values that leave the store": (TILE + 'values: ["../../etc/passwd"]}]', "a path below the store"),
    "a box that is very far": (BOXES + "9223372036854775807, x: 0}}]", "cells from the first"),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", CASES)
def test_it_is_one_report(tmp_path: Path, name: str) -> None:
    source, expected = CASES[name]
    for number in range(2):
        zarr.create_array(tmp_path / f"{number}.zarr", data=np.full((1, 2), number), dimension_names=["t", "x"])
    place = ", place: at, fill: 0" if "boxes" in source else ""
    (tmp_path / "d.lz.yaml").write_text(
        f"lazyzarr: 1\nsources: {{s: {{{source}}}}}\narrays: {{a: {{from: s{place}}}}}\n"
    )
    with pytest.raises(lz.DefinitionError) as raised:
        lz.resolve(tmp_path / "d.lz.yaml", tmp_path / "o.zarr")
    assert expected in str(raised.value)
    assert raised.value.mistakes[0].where.startswith("d.lz.yaml:")
    assert not (tmp_path / "o.zarr").exists()
