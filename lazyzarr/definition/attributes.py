"""Attributes of the dataset and of its arrays: taken from files, then edited.

Owns ``from``, ``rename``, ``drop`` and ``set``. Refuses edits of what is not there, since a name that is written wrongly
would be one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lazyzarr.definition.problems import Path, Problems, names


def edited(
    edits: Mapping[str, Any],
    first: Mapping[str, Any],
    shared: Mapping[str, Any],
    path: Path,
    problems: Problems,
) -> dict[str, Any]:
    """Attributes after the edits.

    Parameters
    ----------
    first, shared
        Those of the first file, and those that all files have alike.

    Examples
    --------
    >>> problems = Problems("d.lz.yaml")
    >>> edited({"rename": {"a": "b"}, "drop": ["c"], "set": {"d": 1}}, {}, {"a": 5, "c": 6}, (), problems)
    {'b': 5, 'd': 1}
    """
    kind = edits.get("from", "equal")
    found: dict[str, Any] = {} if kind == "none" else dict(first if kind == "first" else shared)
    for old, new in edits.get("rename", {}).items():
        if old not in found:
            problems.add((*path, "rename", old), "attribute", f"one of {names(found)}", old)
        else:
            found = {new if name == old else name: value for name, value in found.items()}
    for number, name in enumerate(edits.get("drop", ())):
        if name not in found:
            problems.add((*path, "drop", number), "attribute", f"one of {names(found)}", name)
        found.pop(name, None)
    return found | dict(edits.get("set", {}))


def shared(each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Attributes that all have alike.

    Examples
    --------
    >>> shared([{"a": 1, "b": 2}, {"a": 1, "b": 3}])
    {'a': 1}
    """
    if not each:
        return {}
    found = dict(each[0])
    for other in each[1:]:
        for name in [name for name in found if name not in other or not _same(found[name], other[name])]:
            del found[name]
    return found


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(np.asarray(one), np.asarray(other))
    return bool(one == other) or (one != one and other != other)
