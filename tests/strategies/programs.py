"""Random programs through the public API, each step done on a NumPy array beside it.

A program starts from stored arrays of the pool, arrays in memory or constants, and applies methods of `View`,
functions of `lazyzarr` and NumPy functions. Joined views are cut or made to fit, so no program fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

import lazyzarr as lz
from tests.strategies.cells import DTYPES, FILLS, PLAIN
from tests.strategies.keys import keys
from tests.strategies.stored import pool

MOST_CELLS = 1_500
MOST_RANK = 6

Step = Callable[["Program"], None]
STEPS: dict[str, Step] = {}
"""Name -> step; every one is drawn."""


def step(function: Step) -> Step:
    """Make a function a step of programs."""
    STEPS[function.__name__.strip("_")] = function
    return function


class Program:
    """A view and the array it must equal, with what was done so far."""

    def __init__(self, draw: st.DrawFn, dtype: str) -> None:
        self.draw = draw
        self.dtype = dtype
        self.said: list[str] = []
        self.view, self.array = self.leaf()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """How Hypothesis prints a failing program."""
        printer.text("\n".join(("Program(", *self.said, ")")))

    def leaf(self) -> tuple[Any, np.ndarray]:
        """A view of something stored, in memory or constant, with its cells."""
        kind = self.integer(0, 5)
        if kind == 0:
            shape = tuple(self.integer(0, 5) for _ in range(self.integer(0, 3)))
            value = self.pick(FILLS[self.dtype])
            array = np.full(shape, np.array(value, DTYPES[self.dtype]))
            self.said.append(f"full({shape}, {value!r})")
            return lz.full(
                shape, array.dtype.type(value) if array.dtype.kind in "iufc" else value, dtype=array.dtype
            ), array
        stored = self.pick(pool().by_dtype[self.dtype])
        if stored.path is None:
            self.said.append(f"open(array {stored.number} of {stored.cells.shape})")
            return lz.open(stored.cells), stored.cells
        self.said.append(f"open({stored.path.name!r} of {stored.cells.shape})")
        return lz.open(stored.path), stored.cells

    def set(self, said: str, view: Any, array: np.ndarray) -> None:
        """The program goes on with these."""
        self.said.append(said)
        self.view, self.array = view, array

    def part(self) -> tuple[Any, np.ndarray]:
        """The same view, cut and turned over at random."""
        key = tuple(
            slice(self.integer(0, n // 2), self.integer(n // 2, n), self.pick([1, 1, 2])) for n in self.array.shape
        )
        return self.view[key], self.array[(*key, ...)]

    def like(self, axis: int | None = None) -> tuple[Any, np.ndarray]:
        """Something of the same shape, but for the length along an axis."""
        kind = self.integer(0, 2)
        if kind == 0:
            shape = list(self.array.shape)
            if axis is not None:
                shape[axis] = self.integer(0, 4)
            value = self.array.dtype.type() if self.array.dtype.kind in "iufc" else FILLS[self.dtype][0]
            filled = np.full(shape, np.array(value, self.array.dtype))
            return lz.full(shape, value, dtype=self.array.dtype), filled
        view, array = self.view, self.array
        if kind == 1 and array.ndim:
            view, array = view.flip(), np.flip(array)
        if axis is None:
            return view, array
        cut = (slice(None),) * (axis % array.ndim) + (slice(self.integer(0, array.shape[axis]), None),)
        return view[cut], array[(*cut, ...)]

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, max(low, high)))

    def axis(self) -> int:
        """An axis, counted from either end."""
        return self.integer(-self.array.ndim, self.array.ndim - 1)

    def pick(self, choices: Any) -> Any:
        return choices[self.integer(0, len(choices) - 1)]


@st.composite
def programs(draw: st.DrawFn, *, steps: int = 7) -> Program:
    """A program of a few steps."""
    program = Program(draw, draw(st.sampled_from(PLAIN) | st.sampled_from(sorted(DTYPES))))
    names = sorted(STEPS)
    for _ in range(draw(st.integers(0, steps))):
        if program.array.size > MOST_CELLS or program.array.ndim > MOST_RANK:
            break
        STEPS[program.pick(names)](program)
    return program


@step
def _getitem(p: Program) -> None:
    key = p.draw(keys(p.array.shape, gathers=1))
    whole = key if any(part is ... for part in key) else (*key, ...)
    p.set(f"[{key}]", p.view[key], p.array[whole])


@step
def _oindex(p: Program) -> None:
    chosen = [p.draw(st.lists(st.integers(-n, n - 1), max_size=5)) if n else [] for n in p.array.shape]
    array = p.array
    for axis, indices in enumerate(chosen):
        array = np.take(array, np.array(indices, np.int64), axis)
    p.set(f".oindex[{chosen}]", p.view.oindex[tuple(chosen)], array)


@step
def _take(p: Program) -> None:
    if p.array.ndim:
        axis = p.axis()
        n = p.array.shape[axis]
        indices = p.draw(st.lists(st.integers(-n, n - 1), max_size=6)) if n else []
        array = np.take(p.array, np.array(indices, np.int64), axis)
        view = p.pick([lambda: p.view.take(indices, axis=axis), lambda: np.take(p.view, indices, axis=axis)])()
        p.set(f".take({indices}, {axis})", view, array)


@step
def _transpose(p: Program) -> None:
    axes = p.draw(st.permutations(range(p.array.ndim)))
    p.set(f".transpose({axes})", p.view.transpose(*axes) if axes else p.view.T, p.array.transpose(axes))


@step
def _flip(p: Program) -> None:
    axis = p.pick([None, p.axis()]) if p.array.ndim else None
    array = np.flip(p.array, axis) if p.array.ndim else p.array
    p.set(f".flip({axis})", p.pick([p.view.flip, lambda a: np.flip(p.view, a)])(axis), array)


@step
def _squeeze(p: Program) -> None:
    p.set(".squeeze()", p.view.squeeze(), np.squeeze(p.array)[...])


@step
def _expand_dims(p: Program) -> None:
    axis = p.integer(-p.array.ndim - 1, p.array.ndim)
    p.set(f".expand_dims({axis})", p.view.expand_dims(axis), np.expand_dims(p.array, axis))


@step
def _broadcast_to(p: Program) -> None:
    lengths = [p.integer(0, 3) if n == 1 else n for n in p.array.shape]
    shape = (*(p.integer(0, 2) for _ in range(p.integer(0, 1))), *lengths)
    p.set(f".broadcast_to({shape})", p.view.broadcast_to(shape), np.broadcast_to(p.array, shape))


@step
def _concat(p: Program) -> None:
    if p.array.ndim:
        axis = p.axis()
        parts = [p.like(axis) for _ in range(p.integer(1, 3))] + [(p.view, p.array)]
        join = p.pick([lz.concat, np.concatenate])
        p.set(
            f"concat(axis={axis})", join([v for v, _ in parts], axis=axis), np.concatenate([a for _, a in parts], axis)
        )


@step
def _stack(p: Program) -> None:
    axis = p.integer(-p.array.ndim - 1, p.array.ndim)
    parts = [(p.view, p.array), *(p.like() for _ in range(p.integer(0, 2)))]
    join = p.pick([lz.stack, np.stack])
    p.set(f"stack(axis={axis})", join([v for v, _ in parts], axis=axis), np.stack([a for _, a in parts], axis))


@step
def _block(p: Program) -> None:
    if p.array.ndim == 2:
        (v, a), (w, b) = p.like(), (p.view, p.array)
        p.set("block", lz.block([[v, w], [w, v]]), np.block([[a, b], [b, a]]))


@step
def _roll(p: Program) -> None:
    if p.array.ndim:
        axis, shift = p.axis(), p.integer(-9, 9)
        p.set(f"roll({shift}, {axis})", np.roll(p.view, shift, axis), np.roll(p.array, shift, axis))


@step
def _moveaxis(p: Program) -> None:
    if p.array.ndim:
        source, to = p.axis(), p.axis()
        p.set(f"moveaxis({source}, {to})", np.moveaxis(p.view, source, to), np.moveaxis(p.array, source, to))


@step
def _pad(p: Program) -> None:
    widths = [(p.integer(0, 2), p.integer(0, 2)) for _ in p.array.shape]
    value = p.pick(FILLS[p.dtype])
    if p.array.dtype == DTYPES[p.dtype]:
        shape = [n + a + b for n, (a, b) in zip(p.array.shape, widths, strict=True)]
        array = np.full(shape, np.array(value, p.array.dtype))
        array[(*(slice(a, a + n) for n, (a, _) in zip(p.array.shape, widths, strict=True)), ...)] = p.array
        p.set(f"pad({widths}, {value!r})", lz.pad(p.view, widths or 0, value=value), array)


@step
def _interleave(p: Program) -> None:
    if p.array.ndim:
        axis, count = p.integer(0, p.array.ndim - 1), p.integer(1, 3)
        parts = [p.like() for _ in range(count)]
        array = np.stack([a for _, a in parts], axis + 1)
        shape = [*p.array.shape]
        shape[axis] *= count
        p.set(f"interleave(axis={axis})", lz.interleave([v for v, _ in parts], axis=axis), array.reshape(shape))


@step
def _overlay(p: Program) -> None:
    if p.array.dtype != DTYPES[p.dtype]:
        return
    rule = p.pick(["first", "last", "error"])
    shape = tuple(n + p.integer(0, 3) for n in p.array.shape)
    placed = []
    for _ in range(1 if rule == "error" else p.integer(1, 3)):
        view, array = p.part()
        placed.append((view, array, tuple(p.integer(0, m - n) for n, m in zip(array.shape, shape, strict=True))))
    value = p.pick(FILLS[p.dtype])
    out = np.full(shape, np.array(value, p.array.dtype))
    for _, array, origin in placed if rule != "first" else reversed(placed):
        out[(*(slice(o, o + n) for o, n in zip(origin, array.shape, strict=True)), ...)] = array
    view = lz.overlay(shape, [(v, o) for v, _, o in placed], fill_value=value, overlap=rule)
    p.set(f"overlay({shape}, {[o for *_, o in placed]}, {value!r}, {rule})", view, out)


@step
def _astype(p: Program) -> None:
    to = {"uint8": "int16", "int16": "float32", "float32": "float64"}.get(p.dtype)
    if to and p.array.dtype == DTYPES[p.dtype]:
        p.dtype = to
        p.set(f".astype({to})", p.view.astype(to), p.array.astype(to))


@step
def _unpack(p: Program) -> None:
    if p.dtype in ("int16", "uint8") and p.array.dtype == DTYPES[p.dtype]:
        array = p.array.astype("f8")
        array[p.array == 7] = np.nan
        p.dtype = "float64"
        p.set(".unpack()", p.view.unpack(scale_factor=0.1, add_offset=2.5, fill_values=[7]), array * 0.1 + 2.5)


@step
def _recode(p: Program) -> None:
    """Other bytes for the same numbers: a stored array read with its own chain, spelled out."""
    if len(p.said) == 1 and p.said[0].startswith("open('"):
        stored = next(s for s in pool().arrays if s.path and repr(s.path.name) in p.said[0] and s.dtype == p.dtype)
        layout = stored.layout
        codecs = [{"name": c.name, "configuration": dict(c.configuration)} for c in layout.codecs]
        p.set(".recode()", p.view.recode(codecs=codecs), p.array)
