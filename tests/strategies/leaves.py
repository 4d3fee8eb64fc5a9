"""Leaves of random graphs: sources, tables of tiles, and sources read with another layout."""

from __future__ import annotations

import msgspec
import numpy as np
from hypothesis import strategies as st

from lazyzarr.ir.data_type import from_numpy
from lazyzarr.ir.graph import GraphBuilder
from lazyzarr.ir.layout import Layout, NamedConfig, StoredArray
from lazyzarr.ir.nodes import Boxes, ConstantBox, Recode, Source, Tiles
from lazyzarr.ir.tables import Column, Table
from lazyzarr.ir.tiles import tile_columns
from tests.strategies.cells import DTYPES
from tests.strategies.decoding import decoded, fill_json, unpack
from tests.strategies.stored import Pool, Stored
from tests.strategies.truth import Truth, split, swapped

Shape = tuple[int, ...]
RECODED_FROM = {"float32": ("int16", "uint8"), "float64": ("int16", "uint8")}
"""Type -> stored types that a recode may unpack to it."""


class Leaves:
    """Adds leaves to a graph being drawn; every method gives (position, shape)."""

    def __init__(self, draw: st.DrawFn, builder: GraphBuilder, truth: Truth, pool: Pool) -> None:
        self.draw = draw
        self.builder = builder
        self.truth = truth
        self.pool = pool

    def source(self, dtype: str) -> tuple[int, Shape]:
        """Any array of a type."""
        stored = self._pick(self.pool.by_dtype[dtype])
        return self._placed(stored), stored.cells.shape

    def recode(self, dtype: str, kinds: set[str]) -> tuple[int, Shape]:
        """A source, or tiles of one layout, read with other fills, byte order or packing."""
        name = self._pick((dtype, *RECODED_FROM.get(dtype, ())))
        group = self.pool.days(name)
        if group and self._int(0, 2) == 0:
            child, shape = self._tiled(self._some(group), kinds, new_axis=False)
            stored = group[0]
        else:
            fitting = [s for s in self.pool.by_dtype[name] if s.present is not None and s.placing != "values"]
            stored = self._pick([s for s in fitting if not s.variants])
            child, shape = self._placed(stored), stored.cells.shape
        layout = self._other_layout(stored, dtype, kinds)
        return self.builder.node(Recode(child, self.builder.layout(layout))), shape

    def tiles(self, dtype: str, kinds: set[str]) -> tuple[int, Shape]:
        """A few arrays of one rank as rows of a table; packed ones with the packing of each in columns."""
        name = self._pick(RECODED_FROM[dtype]) if dtype in RECODED_FROM and self._int(0, 2) == 0 else dtype
        fitting = [s for s in self.pool.by_dtype[name] if name == dtype or s.present is not None]
        located = [s for s in fitting if s.placing == "keys"]
        by_refs = [s for s in fitting if s.placing == "refs" and not s.variants and not s.array.places]
        members = by_refs if by_refs and self._int(0, 2) == 2 else located
        rank = self._pick(sorted({s.cells.ndim for s in members}))
        new_axis = self._int(0, 1) == 1
        chosen = self._some([s for s in members if s.cells.ndim == rank])
        chosen = chosen if new_axis or rank else chosen[:1]
        return self._tiled(chosen, kinds, new_axis=new_axis, packed_for=None if name == dtype else dtype)

    def boxes(self, dtype: str, kinds: set[str]) -> tuple[int, Shape]:
        """A few arrays of any ranks, each cut, turned, repeated and placed as a row of a table."""
        members = self._some([s for s in self.pool.by_dtype[dtype] if 0 not in s.cells.shape])
        rank = self._int(0, 3)
        rows: list[dict[str, list[int]]] = []
        at, gap = 0, None
        members = members if rank else members[:1]
        for stored in members:
            row = self._box(stored.cells.shape, rank, kinds)
            if rank:
                if gap is not None and row["count"][0] > 1 and self._int(0, 1):
                    row["origin"][0], row["stride"][0], gap = gap, 2, None  # the cells that the last one skips
                    kinds.add("boxes of combs")
                else:
                    row["origin"][0] = at + self._pick((0, 0, 1))
                    gap = row["origin"][0] + 1 if row["stride"][0] == 2 else None
                at = max(at, row["origin"][0] + row["stride"][0] * (row["count"][0] - 1) + 1)
            rows.append(row)
        ends = [
            [o + s * (n - 1) + 1 for o, s, n in zip(row["origin"], row["stride"], row["count"], strict=True)]
            for row in rows
        ]
        shape = tuple(max(axis) + self._pick((0, 0, 1)) for axis in zip(*ends, strict=True))
        places = [self._known(stored) for stored in members]
        arrays = tuple(dict.fromkeys(places))
        wide = max(len(row["axis"]) for row in rows)
        order = sorted(range(len(rows)), key=lambda k: rows[k]["origin"])
        columns: dict[str, Column] = {"array": np.array([arrays.index(places[k]) for k in order], np.int32)}
        for name, filler in (("axis", -1), ("first", 0), ("step", 1)):
            padded = [rows[k][name] + [filler] * (wide - len(rows[k][name])) for k in order]
            columns[name] = np.array(padded, np.int8 if name == "axis" else np.int64).reshape(len(order), wide)
        for name in ("origin", "stride", "count"):
            columns[name] = np.array([rows[k][name] for k in order], np.int64).reshape(len(order), rank)
        constants = tuple(
            self._constant_box(shape, dtype) for _ in range(self._pick((0, 0, 1, 2)) if 0 not in shape else 0)
        )
        kinds.update(["boxes of several"] * (len(rows) > 1) + ["boxes on constants"] * bool(constants))
        table = self.builder.table(Table(columns))
        value = self._pick(fill_json(dtype))
        return self.builder.node(Boxes(table, shape, from_numpy(DTYPES[dtype]), value, arrays, constants)), shape

    def _box(self, shape: Shape, rank: int, kinds: set[str]) -> dict[str, list[int]]:
        free = self.draw(st.permutations(range(rank)))
        axis = [free.pop() if free and self._int(0, 3) else -1 for _ in shape]
        count, stride = [0] * rank, [self._pick((1, 1, 2)) for _ in range(rank)]
        for to in range(rank):
            count[to] = self._int(1, min(shape[axis.index(to)], 4) if to in axis else 3)
        row = {"axis": axis, "first": [0] * len(shape), "step": [1] * len(shape), "count": count, "stride": stride}
        for number, (to, length) in enumerate(zip(axis, shape, strict=True)):
            cells = count[to] if to >= 0 else 1
            step = self._int(1, (length - 1) // (cells - 1)) if cells > 1 else 1
            first = self._int(0, length - 1 - step * (cells - 1))
            back = cells > 1 and self._int(0, 1)
            row["first"][number], row["step"][number] = (first + step * (cells - 1), -step) if back else (first, step)
            kinds.update(["boxes turned round"] * bool(back))
        kinds.update(["boxes repeated"] * any(to not in axis and count[to] > 1 for to in range(rank)))
        kinds.update(["boxes transposed"] * ([to for to in axis if to >= 0] != sorted(to for to in axis if to >= 0)))
        row["origin"] = [self._pick((0, 0, 1)) for _ in range(rank)]
        return row

    def _constant_box(self, shape: Shape, dtype: str) -> ConstantBox:
        count = tuple(self._int(1, n) for n in shape)
        stride = tuple(self._pick((1, (m - 1) // max(n - 1, 1) or 1)) for n, m in zip(count, shape, strict=True))
        origin = tuple(self._int(0, m - 1 - s * (n - 1)) for n, m, s in zip(count, shape, stride, strict=True))
        return ConstantBox(self._pick(fill_json(dtype)), origin, count, None if set(stride) <= {1} else stride)

    def _placed(self, stored: Stored) -> int:
        return self.builder.node(Source(self._known(stored)))

    def _known(self, stored: Stored) -> int:
        """Position of an array of the pool in the graph."""
        array = self._adopted(stored)
        self.truth.add(array, stored)
        return self.builder.array(array)

    def _adopted(self, stored: Stored) -> StoredArray:
        for table in stored.tables:
            self.builder.table(table)
        return msgspec.structs.replace(
            stored.array,
            layout=self.builder.layout(stored.layout),
            variants=tuple(self.builder.layout(layout) for layout in stored.variants),
        )

    def _tiled(
        self, members: list[Stored], kinds: set[str], *, new_axis: bool, packed_for: str | None = None
    ) -> tuple[int, Shape]:
        rank = members[0].cells.ndim
        axis = self._int(0, rank) if new_axis else None
        rows = self._arranged(members, axis)
        order = sorted(range(len(rows)), key=lambda k: rows[k][1])
        members, origins = [rows[k][0] for k in order], [rows[k][1] for k in order]
        held = [self._packing(s, packed_for) for s in members] if packed_for else [(s.layout, {}) for s in members]
        layouts = [self.builder.layout(layout) for layout, _ in held]
        choices = tuple(dict.fromkeys(layouts))
        columns = tile_columns(
            [stored.array for stored in members],
            np.array(origins, np.int64).reshape(len(origins), -1),
            np.array([choices.index(layout) for layout in layouts], np.int32),
        )
        for name in sorted({name for _, numbers in held for name in numbers}):
            columns[name] = np.array([numbers.get(name, 0.0) for _, numbers in held])
            kinds.add(f"tiles with a column {name}")
        refs = None
        if members[0].placing == "refs":
            refs, columns["refs_first"] = self._one_table(members)
            kinds.add("tiles-refs")
        kinds.add("tiles-new-axis" if new_axis else "tiles")
        table = Table(columns)
        shape = self._extent([s.cells.shape for s in members], origins, axis)
        dtype = packed_for or members[0].dtype
        node = Tiles(
            self.builder.table(table),
            shape,
            from_numpy(DTYPES[dtype]),
            self._pick(fill_json(dtype)),
            choices,
            new_axis=axis,
            refs=refs,
        )
        for row, stored in enumerate(members):
            first = int(columns["refs_first"][row]) if refs else 0
            self.truth.add(StoredArray(0, stored.cells.shape, stored.array.location, refs, first), stored)
        return self.builder.node(node), shape

    def _packing(self, stored: Stored, dtype: str) -> tuple[Layout, dict[str, float]]:
        """A layout that unpacks a stored array with numbers of a row, and these numbers."""
        kind, data_type = DTYPES[dtype], from_numpy(DTYPES[dtype])
        numbers = {"scale_factor": float(kind.type(self._pick((0.1, -2.0, 0.02))))}
        if self._int(0, 1):
            numbers["add_offset"] = float(kind.type(self._pick((273.15, -0.0))))
        missing = self._pick(([], [-9999], [0]))
        codec = unpack(stored.dtype, dtype, numbers["scale_factor"], numbers.get("add_offset"), missing)
        value = decoded(stored.layout.fill_value, codec, stored.layout.data_type, data_type)
        if value != "NaN":
            numbers["fill_value"] = float(value)
            value = "row"
        marked = {name: "row" for name in numbers if name != "fill_value"}
        codec = NamedConfig(codec.name, codec.configuration | marked)
        layout = msgspec.structs.replace(
            stored.layout, data_type=data_type, fill_value=value, codecs=(codec, *stored.layout.codecs)
        )
        return layout, numbers

    def _arranged(self, members: list[Stored], new_axis: int | None) -> list[tuple[Stored, Shape]]:
        """Disjoint places: one after the other along one axis with gaps, anywhere along the others."""
        rank = members[0].cells.ndim
        if new_axis is None and not rank:
            return [(members[0], ())]
        along = self._int(0, rank - 1) if new_axis is None else 0
        at = 0
        rows: list[tuple[Stored, Shape]] = []
        for stored in members:
            at += self._pick((0, 0, 1, 2))
            origin = [self._pick((0, 0, 0, 1)) for _ in range(rank)]
            if new_axis is None:
                origin[along] = at
                at += stored.cells.shape[along]
            else:
                origin.insert(new_axis, at)
                at += 1
            rows.append((stored, tuple(origin)))
        return rows

    def _extent(self, shapes: list[Shape], origins: list[Shape], new_axis: int | None) -> Shape:
        boxes = [s if new_axis is None else (*s[:new_axis], 1, *s[new_axis:]) for s in shapes]
        ends = [[o + n for o, n in zip(origin, box, strict=True)] for origin, box in zip(origins, boxes, strict=True)]
        return tuple(max(axis) + self._pick((0, 0, 1)) for axis in zip(*ends, strict=True))

    def _one_table(self, members: list[Stored]) -> tuple[str, Column]:
        """The reference tables of several arrays as one, and where each begins."""
        names = ("offset", "length", "state")
        parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
        firsts = []
        rows = 0
        for stored in members:
            (table,) = stored.tables
            firsts.append(rows + stored.array.refs_first)
            ones = np.ones(table.rows, np.uint8)
            for name in names:
                parts[name].append(np.asarray(table[name]) if name in table else ones)
            rows += table.rows
        whole = Table({name: np.concatenate(columns) for name, columns in parts.items()})
        return self.builder.table(whole), np.array(firsts, np.int64)

    def _other_layout(self, stored: Stored, dtype: str, kinds: set[str]) -> Layout:
        layout = stored.layout
        data_type = from_numpy(DTYPES[dtype])
        if stored.dtype != dtype:
            kinds.add("recode-unpack")
            codec = unpack(stored.dtype, dtype, *self._pick(((0.1, 273.15, [-9999]), (0.02, None, []))))
            value = self._pick(("NaN", decoded(layout.fill_value, codec, layout.data_type, data_type)))
            return msgspec.structs.replace(
                layout, data_type=data_type, fill_value=value, codecs=(codec, *layout.codecs)
            )
        other = swapped(split(layout.codecs)[1])
        if other is not None and DTYPES[dtype].kind in "iuf" and DTYPES[dtype].itemsize > 1 and self._int(0, 1):
            kinds.add("recode-bytes")
            layout = msgspec.structs.replace(layout, codecs=other)
        kinds.add("recode-fill")
        return msgspec.structs.replace(layout, fill_value=self._pick(fill_json(dtype)))

    def _some(self, members: list[Stored] | tuple[Stored, ...]) -> list[Stored]:
        count = self._int(1, min(4, len(members)))
        first = self._int(0, len(members) - 1)
        return [members[(first + k) % len(members)] for k in range(count)]

    def _int(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, max(high, low)))

    def _pick[T](self, choices: list[T] | tuple[T, ...]) -> T:
        return choices[self._int(0, len(choices) - 1)]
