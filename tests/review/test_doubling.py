"""Joins of a view with itself: few nodes that mean very many placements, which are counted before they are made."""

from __future__ import annotations

import numpy as np
import pytest

import lazyzarr as lz
from lazyzarr.display.flat import is_small
from lazyzarr.document.limits import graph_depth
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import NamedConfig
from lazyzarr.ir.nodes import Concat, Decode, Fill, Index, Take
from lazyzarr.lower import lowering
from lazyzarr.lower.lowering import lower
from tests.review.referenced import columnar

PERIOD = np.array([1, 1, 1, 2, 2])


def doubled(times: int) -> lz.View:
    view = lz.concat([lz.full((3,), 1), lz.full((2,), 2)])
    for _ in range(times):
        view = lz.concat([view, view])
    return view


def test_a_part_of_it_is_as_much_work_as_the_part() -> None:
    view = doubled(40)
    for first, stop, step in ((0, 1000, 1), (7, 900, 3)):
        for offset in (0, 5 * 2**40 - 1000):
            part = view[offset + first : offset + stop : step]
            expected = PERIOD[np.arange(offset + first, offset + stop, step) % 5]
            assert np.array_equal(columnar(part), expected)
            assert len(lower(part.ir).placements) <= 500


def test_what_would_be_too_many_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lowering, "MAX_PLACEMENTS", 1000)
    assert doubled(8).read().tolist() == PERIOD.tolist() * 256
    view = doubled(40)
    # a part across the middle asks for both ends of what is shared
    middle = 5 * 2**39
    for ask in (lambda: view.flatness, lambda: columnar(view[middle - 4 : middle + 4])):
        with pytest.raises(lz.ViewLimitError) as error:
            ask()
        assert (error.value.which, error.value.limit) == ("placements", 1000)
        assert error.value.value == 1024
        assert str(error.value.where).startswith("concat")


def test_a_glance_counts_what_sharing_means() -> None:
    assert is_small(doubled(5).ir)
    assert not is_small(doubled(40).ir)
    assert "lazyzarr.View" in repr(doubled(40))


def test_decodes_and_takes_are_deep_and_indices_are_not() -> None:
    codec = NamedConfig("scale_offset", {"scale": 2})
    first = Fill((2,), "float64", 0.0)
    decodes = [first, *(Decode(k, (codec,), "float64", 0.0) for k in range(9))]
    takes = [first, *(Take(k, 0, "t") for k in range(9))]
    assert (graph_depth(decodes), graph_depth(takes)) == (10, 10)
    assert graph_depth([first, Index(0, (1,)), Concat((0, 0), 0), Concat((2, 2), 0)]) == 3
    assert isinstance(doubled(3).ir, Graph)
