"""The corpus alone catches mistakes in lowering, reading and decoding: each is seeded at run time and has to show.

A mistake changes one function of the implementation, as a slip of a programmer would. The corpus catches it when a good case gives
other cells than it should, or fails; the same harness finds nothing where nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lazyzarr as lz
from lazyzarr.codecs import casting, chain, scaling, serial, values
from lazyzarr.lower import locate, lowering, placements
from lazyzarr.lower.lowering import lower
from lazyzarr.read import place
from tests.conformance.corpus import SINGLE, digest, expected

Change = Callable[..., Any]


def _differing() -> dict[str, str]:
    """Cases that do not read as the corpus says, with what is wrong; each is lowered, cut into fragments and read."""
    found = {}
    for case in SINGLE:
        try:
            cells = _read(case)
        except Exception as error:
            found[case.name] = type(error).__name__
            continue
        wanted = expected(case)
        if list(cells.shape) != wanted["shape"] or digest(cells) != wanted["digest"]:
            found[case.name] = "other cells"
    return found


def _read(case: Path) -> np.ndarray:
    view = lz.open(case / "view.zarr")
    return view.reader.read_lowered(lower(view.ir))


@pytest.fixture(autouse=True)
def _no_chain_is_kept() -> Iterator[None]:
    """Chains are compiled once for each layout; one that was compiled with a mistake must not outlive it."""
    chain._compile_cached.cache_clear()
    yield
    chain._compile_cached.cache_clear()


def _offset_of_a_join(moved: Change) -> Change:
    return lambda placed, axis, cells: moved(placed, axis, np.maximum(cells - 1, 0))


def _axis_order_inverted(reordered: Change) -> Change:
    def changed(placed: Any, axes: Any) -> Any:
        return reordered(placed, np.argsort(axes).tolist())

    return changed


def _stacked_at_the_end(inserted: Change) -> Change:
    return lambda placed, axis, cell: inserted(placed, placed.into_first.shape[1] if axis == 0 else 0, cell)


def _step_without_sign(selected: Change) -> Change:
    def changed(*args: Any) -> Any:
        placed = selected(*args)
        return replace(placed, step=np.abs(placed.step))

    return changed


def _gather_in_order(gathered: Change) -> Change:
    return lambda placed, axis, indices: gathered(placed, axis, np.sort(indices))


def _steps_of_an_overlay_ignored(shifted: Change) -> Change:
    return lambda placed, origin, steps=None: shifted(placed, origin)


def _layers_the_other_way_round(visible: Change) -> Change:
    return lambda origins, shapes, steps, ranks: visible(origins, shapes, steps, -ranks)


def _background_forgotten(over: Change) -> Change:
    return lambda background, placed: placed


def _recode_ignored(recode: Change) -> Change:
    return lambda self, node, placed: placed


def _constants_not_decoded(decoded: Change) -> Change:
    return lambda value, stored, codecs, data_type: value


def _byte_range_off_by_one(ranges: Change) -> Change:
    def changed(self: Any, name: str, rows: Any) -> None:
        ranges(self, name, rows)
        self.offset[rows] += 1

    return changed


def _variants_ignored(variant: Change) -> Change:
    return lambda self, stored, choice, layout: layout


def _window_from_the_start(window: Change) -> Change:
    def changed(self: Any, fragment: int, begin: Any) -> Any:
        keys = window(self, fragment, begin)
        return tuple(
            slice(0, key.stop - key.start, key.step) if (key.step or 1) > 0 and key.stop is not None else key
            for key in keys
        )

    return changed


def _missing_chunks_are_zero(fill: Change) -> Change:
    def changed(self: Any, fragment: int, value: Any) -> Any:
        return fill(self, fragment, type(value)() if isinstance(value, (str, bytes)) else np.zeros_like(value))

    return changed


def _byte_order_ignored(storage_type: Change) -> Change:
    return lambda dtype, configuration: dtype


def _rounding_ignored(adjust: Change) -> Change:
    return lambda out, error, rounding: out


def _quotient_by_the_reciprocal(divide: Change) -> Change:
    return lambda array, scale, offset: np.asarray(array * (1 / scale) + offset)


def _blanks_not_found(unpack_cells: Change) -> Change:
    return lambda array, result, fills, factor, offset: unpack_cells(array, result, (), factor, offset)


def _offset_before_scale(unpack_cells: Change) -> Change:
    def changed(array: Any, result: Any, fills: Any, factor: Any, offset: Any) -> Any:
        out = unpack_cells(array, result, fills, None, offset)
        return out if factor is None else (out * factor).astype(result)

    return changed


MISTAKES: dict[str, tuple[object, str, Callable[[Change], Change]]] = {
    "the offset of a join is one too small": (placements, "moved", _offset_of_a_join),
    "the inverse order of axes": (placements, "reordered", _axis_order_inverted),
    "the new axis of a stack is elsewhere": (placements, "inserted", _stacked_at_the_end),
    "negative steps are positive": (lowering, "selected", _step_without_sign),
    "gathered cells come in ascending order": (lowering, "gathered", _gather_in_order),
    "the steps of an overlay are ignored": (placements, "shifted", _steps_of_an_overlay_ignored),
    "the last layer is the first": (lowering, "visible", _layers_the_other_way_round),
    "an overlay has no background": (lowering, "_over", _background_forgotten),
    "recode changes nothing": (lowering._Lowering, "_recode", _recode_ignored),
    "constants are not decoded": (lowering, "decoded_value", _constants_not_decoded),
    "a byte range begins one byte late": (locate._Located, "_ranges", _byte_range_off_by_one),
    "every chunk has the first chain": (locate._Located, "_variant", _variants_ignored),
    "windows begin with their chunk": (place.Placer, "_window", _window_from_the_start),
    "missing chunks are zero": (place.Placer, "fill", _missing_chunks_are_zero),
    "the byte order is ignored": (serial, "storage_type", _byte_order_ignored),
    "casts round to nearest": (casting, "_adjust", _rounding_ignored),
    "a quotient is a product with the reciprocal": (scaling, "_divide", _quotient_by_the_reciprocal),
    "fill values are not found when unpacking": (values, "unpack_cells", _blanks_not_found),
    "the offset is added before the product": (values, "unpack_cells", _offset_before_scale),
}


def test_without_a_mistake_the_corpus_finds_none() -> None:
    assert _differing() == {}


def test_there_are_enough_mistakes() -> None:
    assert len(MISTAKES) >= 10


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_corpus_catches(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, change = MISTAKES[mistake]
    right: Change = getattr(owner, name)
    calls = 0
    wrong = change(right)

    @wraps(right)
    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        return wrong(*args, **kwargs)

    monkeypatch.setattr(owner, name, counted)
    found = _differing()
    assert calls
    assert found, f"no case of the corpus shows that {mistake}"
    assert len(found) < len(SINGLE), "a mistake that breaks everything says nothing about single cases"
