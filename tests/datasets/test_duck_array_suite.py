"""xarray's own suite for arrays that it wraps, run on views.

Every operation of the suite works. Those without values give a view; the others give NumPy arrays. The names are counted, so a
version of xarray that changes the suite shows.
"""

from __future__ import annotations

import inspect
import sys
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
    *("align", "broadcast", "concat", "merge", "full_like", "loc", "isel", "sel", "squeeze", "rolling_iter", "dropna"),
    *("rolling_construct", "cumulative_iter", "cumulative_construct", "coarsen_construct", "shift", "roll", "pad"),
    *("transpose", "stack", "unstack", "expand_dims", "reindex", "astype", "copy", "item"),
}
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


@pytest.mark.filterwarnings("ignore")  # of the suite itself
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join([case[0], *map(str, case[3].values())]))
def test_it_works(namespace: ModuleType, case: Any) -> None:
    if case[0] in EXPECTED_TO_FAIL:
        with pytest.raises(
            (TypeError, ImportError, NotImplementedError, AttributeError, ValueError, ModuleNotFoundError)
        ):
            run(case)
    else:
        run(case)


@pytest.mark.filterwarnings("ignore")
def test_what_stays_a_view_is_counted(namespace: ModuleType) -> None:
    namespace.Array = lz.View  # type: ignore[attr-defined]
    stayed = []
    for case in CASES:
        if case[0] in EXPECTED_TO_FAIL:
            continue
        try:
            run(case)
        except AssertionError:
            continue
        stayed.append(case[0])
    print(f"{len(stayed)} of {len(CASES)} stay views: {sorted(stayed)}")
    assert len(CASES) == 98
    assert len(stayed) >= 27
