"""Random programs through the public API give what the same program gives on NumPy arrays."""

from __future__ import annotations

import pickle

import numpy as np
from hypothesis import given

from lazyzarr.ir.validate import validate
from tests.strategies.cells import same_cells
from tests.strategies.programs import STEPS, Program, programs
from tests.strategies.tally import GRAPHS, many


@many()
@given(programs())
def test_a_program_on_views_is_the_program_on_arrays(program: Program) -> None:
    view, array = program.view, program.array
    assert view.shape == array.shape
    assert view.dtype == array.dtype
    assert same_cells(view.read(), array)
    GRAPHS["program on views == program on arrays"] += 1


@given(programs())
def test_every_program_builds_a_valid_graph(program: Program) -> None:
    validate(program.view.ir)


@given(programs())
def test_views_pickle_by_value(program: Program) -> None:
    again = pickle.loads(pickle.dumps(program.view))
    assert again.token() == program.view.token()
    assert hash(again) == hash(program.view)
    assert again.token() == program.view.token()
    assert same_cells(again.read(), program.array)


@given(programs())
def test_every_view_can_say_what_it_is(program: Program) -> None:
    view = program.view
    assert view.flatness in ("L0", "L1", "L2", "L3", "L4")
    assert view.is_flat == (view.flatness == "L0")
    assert bool(view.why_not_flat()) == (not view.is_flat)
    assert "lazyzarr" in repr(view)
    for stage in ("built", "optimized", "placements", "manifest", "located", "plan"):
        assert view.explain(stage=stage)
    assert np.asarray(view).shape == program.array.shape


def test_steps_are_many() -> None:
    """A step that is no longer registered would not be missed otherwise."""
    assert len(STEPS) == 19
