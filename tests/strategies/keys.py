"""Random keys that fit a shape, in every form that NumPy takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

BOUNDS = st.none() | st.integers(-8, 8) | st.integers(-8, 8).map(np.int64)


def arrays(length: int) -> st.SearchStrategy[Any]:
    """Index arrays of every accepted form that fit an axis."""
    inside = st.integers(-length, length - 1) if length else st.nothing()
    lists = st.lists(inside, max_size=6 if length else 0)
    masks = st.lists(st.booleans(), min_size=length, max_size=length)
    return st.one_of(
        lists,
        lists.map(lambda v: np.array(v, np.int16)),
        lists.map(lambda v: np.array([k % length for k in v], np.uint64)),
        masks.map(lambda v: np.array(v, bool)),
        masks.filter(bool),
    )


def slices() -> st.SearchStrategy[slice]:
    return st.builds(slice, BOUNDS, BOUNDS, BOUNDS.filter(lambda s: s != 0))


def integers(length: int) -> st.SearchStrategy[Any]:
    inside = st.integers(-length, length - 1)
    return st.one_of(inside, inside.map(np.int32), inside.map(lambda k: np.array(k)))


@st.composite
def keys(draw: st.DrawFn, shape: tuple[int, ...], *, gathers: int | None) -> tuple[Any, ...]:
    """A tuple key that fits, with at most ``gathers`` index arrays."""
    parts: list[Any] = []
    left = gathers if gathers is not None else len(shape)
    for length in shape[: draw(st.integers(0, len(shape)))]:
        choices = [slices()]
        if length:
            choices.append(integers(length))
        if left:
            choices.append(arrays(length))
        part = draw(st.one_of(choices))
        left -= isinstance(part, list) or (isinstance(part, np.ndarray) and part.ndim > 0)
        parts.append(part)
    for _ in range(draw(st.integers(0, 2))):
        parts.insert(draw(st.integers(0, len(parts))), None)
    if draw(st.booleans()):
        where = draw(st.integers(0, len(parts)))
        used = sum(p is not None for p in parts[where:])
        # behind the ellipsis the parts belong to the last axes: draw them again for those
        tail = [None if p is None else draw(slices()) for p in parts[where:]]
        parts = [*parts[:where], ..., *tail]
        assert used <= len(shape)
    return tuple(parts)
