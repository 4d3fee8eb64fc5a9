"""Every unreadable case is refused as the corpus says when it is read, and what is not damaged can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

import lazyzarr as lz
from tests.conformance.corpus import UNREADABLE, expected

every = pytest.mark.parametrize("case", UNREADABLE, ids=lambda path: path.name)
partly = pytest.mark.parametrize(
    "case", [case for case in UNREADABLE if "values" in expected(case)], ids=lambda path: path.name
)


@every
def test_refused(case: Path) -> None:
    wanted = expected(case)
    view = lz.open(case / "view.zarr")
    with pytest.raises(lz.LazyZarrError) as caught:
        view.read()
    assert (type(caught.value).__name__, caught.value.reason) == (wanted["error"], wanted["reason"])


@partly
def test_the_rest_is_readable(case: Path) -> None:
    wanted = expected(case)
    box = tuple(slice(*span) for span in wanted["readable"])
    assert lz.open(case / "view.zarr")[box].read().tolist() == wanted["values"]
