"""Boxes and combs against the sets of cells that they stand for."""

from __future__ import annotations

from itertools import combinations, product
from random import Random

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from lazyzarr.algebra.boxes import any_overlap, overlapping_pairs, subtract, visible
from lazyzarr.algebra.span import Span, canonical

Cells = set[tuple[int, ...]]


def cells(start: np.ndarray, stop: np.ndarray) -> Cells:
    """Cells of a half-open box."""
    lengths = np.maximum(stop - start, 0)
    return {tuple((start + np.array(at, np.int64)).tolist()) for at in np.ndindex(*lengths.tolist())}


def comb(start: np.ndarray, count: np.ndarray, step: np.ndarray) -> Cells:
    """Cells of a comb."""
    return {tuple((start + step * np.array(at, np.int64)).tolist()) for at in np.ndindex(*count.tolist())}


@st.composite
def boxes(draw: st.DrawFn, *, most: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Starts and stops of some boxes of one rank, empty ones among them."""
    rank, rows = draw(st.integers(0, 3)), draw(st.integers(0, most))
    starts = [[draw(st.integers(0, 6)) for _ in range(rank)] for _ in range(rows)]
    counts = [[draw(st.integers(0, 4)) for _ in range(rank)] for _ in range(rows)]
    first = np.array(starts, np.int64).reshape(rows, rank)
    return first, first + np.array(counts, np.int64).reshape(rows, rank)


@given(boxes())
@example((np.zeros((3, 0), np.int64), np.zeros((3, 0), np.int64)))
def test_overlapping_pairs_are_all_pairs_with_a_common_cell(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    starts, stops = drawn
    found = [
        (int(i), int(j)) for left, right in overlapping_pairs(starts, stops) for i, j in zip(left, right, strict=True)
    ]
    sets = [cells(a, b) for a, b in zip(starts, stops, strict=True)]
    assert sorted(found) == [(i, j) for i, j in combinations(range(len(sets)), 2) if sets[i] & sets[j]]


@given(boxes(), st.data())
def test_any_overlap_is_a_pair_of_combs_with_a_common_cell(
    drawn: tuple[np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    starts, stops = drawn
    counts = stops - starts
    steps = np.array([[data.draw(st.integers(1, 4)) for _ in row] for row in starts.tolist()], np.int64)
    steps = steps.reshape(starts.shape)
    sets = [comb(a, n, s) for a, n, s in zip(starts, counts, steps, strict=True)]
    found = any_overlap(starts, counts, steps)
    if found is None:
        assert not any(a & b for a, b in combinations(sets, 2))
    else:
        assert sets[found[0]] & sets[found[1]]


@st.composite
def combs(draw: st.DrawFn, *, least: int = 0, most: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts, counts and steps of some combs of one rank, empty ones among them."""
    rank, rows = draw(st.integers(0, 3)), draw(st.integers(least, most))
    columns = [st.integers(0, 6), st.integers(0, 4), st.sampled_from([1, 1, 1, 2, 3])]
    parts = [[[draw(c) for _ in range(rank)] for _ in range(rows)] for c in columns]
    starts, counts, steps = (np.array(part, np.int64).reshape(rows, rank) for part in parts)
    return starts, counts, np.where(counts > 1, steps, 1)


def spanned(spans: tuple[Span, ...]) -> Cells:
    """Cells of a comb given by one span per axis."""
    return set(product(*([span.start + span.step * k for k in range(span.count)] for span in spans)))


@given(combs(), st.randoms(use_true_random=False))
def test_visible_is_what_higher_ranks_leave(drawn: tuple[np.ndarray, np.ndarray, np.ndarray], random: Random) -> None:
    rows = list(zip(*drawn, strict=True))
    ranks = np.array(random.sample(range(len(rows)), len(rows)), np.int64)
    found = visible(*drawn, ranks)
    for number, row in enumerate(rows):
        above = set().union(*(comb(*other) for k, other in enumerate(rows) if ranks[k] > ranks[number]))
        pieces = [spanned(piece) for piece in found[number]] if number in found else [comb(*row)]
        assert sum(len(p) for p in pieces) == len(set().union(*pieces))
        assert set().union(*pieces) == comb(*row) - above


@given(combs(least=2, most=2))
def test_subtract_leaves_disjoint_combs(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    one, other = (
        tuple(canonical(a, s, n) for a, n, s in zip(*row, strict=True))
        for row in zip(*(column.tolist() for column in drawn), strict=True)
    )
    pieces = [spanned(piece) for piece in subtract(one, other)]
    assert sum(len(p) for p in pieces) == len(set().union(*pieces))
    assert set().union(*pieces) == spanned(one) - spanned(other)
