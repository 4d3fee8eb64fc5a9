"""xarray's own suite for arrays that it wraps, run on views.

Two figures, which say different things:

- With a view as the only result that is accepted, 27 of the 98 tests pass; `LAZY` has exactly their names. The figures of
  peers, where the peer's own type is the only one accepted, compare with this one: 91 for NumPy, 13 for VirtualiZarr.
- With NumPy arrays accepted too, 93 pass: all but those in `EXPECTED_TO_FAIL`. It says that operations which need values
  work, by reading them, and compares with no figure of a peer.
"""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
import xarray.tests.test_duck_array_wrapping as suite

import lazyzarr as lz
from lazyzarr.datasets.arrays import DatasetView

xr.set_options(warn_for_unclosed_files=False)  # the import of the suite turns it on for everybody

NAMESPACE = "lazyzarr_views_for_the_suite"
LAZY = {
    *("T", "align", "astype", "broadcast", "broadcast_like", "coarsen_construct", "concat", "cumulative_construct"),
    *("cumulative_iter", "dropna", "fillna", "full_like", "isel", "loc", "merge", "pad", "roll", "rolling_construct"),
    *("rolling_iter", "sel", "shift", "sortby", "squeeze", "stack", "transpose", "unstack", "where"),
}
"""Tests whose result stays a view, all of them."""
EXPECTED_TO_FAIL = {"ffill", "bfill", "interpolate_na", "rolling_exp_reduce", "rank"}
"""With every array that the suite knows, by its own marks."""


def cases() -> Iterator[tuple[str, type, Callable[..., Any], dict[str, Any]]]:
    """Name, class, function and further arguments of each test of the suite."""
    for cls in vars(suite).values():
        if not (inspect.isclass(cls) and cls.__name__.startswith("Test") and issubclass(cls, suite._BaseTest)):
            continue
        for name, function in inspect.getmembers(cls, inspect.isfunction):
            if not name.startswith("test_"):
                continue
            given = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
            for value in given[0].args[1] if given else [None]:
                yield name.removeprefix("test_"), cls, function, {given[0].args[0]: value} if given else {}


CASES = list(cases())


@pytest.fixture
def namespace(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType(NAMESPACE)
    module.Array = (lz.View, np.ndarray, np.generic)  # type: ignore[attr-defined]
    module.asarray = lambda data: DatasetView.of(lz.open(np.asarray(data)))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, NAMESPACE, module)
    entry = {"attrs": {"array": "Array", "constructor": "asarray"}, "xfails": {}}
    monkeypatch.setitem(suite.NAMESPACE_ARRAYS, NAMESPACE, entry)
    return module


def run(case: tuple[str, type, Callable[..., Any], dict[str, Any]]) -> None:
    """One test of the suite, in the way that pytest would run it."""
    name, cls, function, arguments = case
    instance = cls()
    request = SimpleNamespace(node=SimpleNamespace(name=f"test_{name}[{NAMESPACE}]"))
    instance.setup_for_test(request, NAMESPACE)
    instance.x = instance.get_test_dataarray()
    instance.x1, instance.x2 = instance.x, instance.x.assign_coords(x=np.arange(2, 7))
    function(instance, **arguments)


def identity(case: tuple[str, type, Callable[..., Any], dict[str, Any]]) -> str:
    """Name of a test with its arguments."""
    return "-".join([case[0], *(getattr(value, "__name__", str(value)) for value in case[3].values())])


def works_as_a_view(case: tuple[str, type, Callable[..., Any], dict[str, Any]]) -> bool:
    """Whether the result is a view; every error but the suite's own check of the type is passed on."""
    if case[0] in EXPECTED_TO_FAIL:
        return False
    try:
        run(case)
    except AssertionError as error:
        raised = traceback.extract_tb(error.__traceback__)[-1]
        if not (raised.filename == suite.__file__ and "isinstance(" in (raised.line or "")):
            raise
        return False
    return True


@pytest.mark.filterwarnings("ignore")  # of the suite itself
@pytest.mark.parametrize("case", CASES, ids=identity)
def test_it_works(namespace: ModuleType, case: Any) -> None:
    if case[0] in EXPECTED_TO_FAIL:
        with pytest.raises(
            (TypeError, ImportError, NotImplementedError, AttributeError, ValueError, ModuleNotFoundError)
        ):
            run(case)
    else:
        run(case)


@pytest.mark.filterwarnings("ignore")
def test_exactly_these_stay_views(namespace: ModuleType) -> None:
    namespace.Array = lz.View  # type: ignore[attr-defined]
    stayed = [identity(case) for case in CASES if works_as_a_view(case)]
    assert sorted(stayed) == sorted(LAZY)


def test_what_is_counted_are_all_tests_of_the_suite() -> None:
    failing = [case for case in CASES if case[0] in EXPECTED_TO_FAIL]
    assert (len(CASES), len(failing), len(LAZY)) == (98, 5, 27)
