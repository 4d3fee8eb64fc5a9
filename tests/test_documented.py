"""The public surface is documented, each part with an example that is executed.

The examples are run where they stand, as doctests. Operators and protocols (names with double underscores) are exempt:
the docstring of their class shows them. So are plain attributes, which have no docstring at run time, and what a class
inherits from elsewhere, such as ``Mapping.items``.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import MemberDescriptorType

import pytest

import lazyzarr

CLASSES = (lazyzarr.View, lazyzarr.Group, lazyzarr.Limits)


def members(owner: type) -> Iterator[tuple[str, object]]:
    """Public methods and properties that a class has from this package."""
    for base in owner.__mro__:
        if base.__module__.startswith("lazyzarr"):
            for name, member in vars(base).items():
                if not name.startswith("_") and not isinstance(member, MemberDescriptorType):
                    yield f"{owner.__name__}.{name}", member


def documented() -> list[tuple[str, object]]:
    named = ((name, getattr(lazyzarr, name)) for name in lazyzarr.__all__)
    found = [(name, value) for name, value in named if callable(value)]
    return found + [pair for owner in CLASSES for pair in members(owner)]


@pytest.mark.parametrize(("name", "value"), documented(), ids=[name for name, _ in documented()])
def test_it_has_an_example(name: str, value: object) -> None:
    text = inspect.getdoc(value) or ""
    heading, _, examples = text.partition("\nExamples\n--------\n")
    assert heading.strip(), f"{name} says nothing of itself"
    assert any(line.startswith(">>> ") for line in examples.splitlines()), f"{name} has no example"


def test_the_list_is_not_empty() -> None:
    names = {name for name, _ in documented()}
    assert {"concat", "View", "View.T", "View.read", "View.shape", "SourceMissing", "Limits.check"} <= names
