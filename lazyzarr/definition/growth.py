"""What a dataset gets when it grows: its arrays what is new of them, and each named selection what it selects of that.

1. A selection that judges every cell by itself (dates that are dropped, values of an array) is made of the new cells
   alone, and appended.
2. Another one (slices, index files, shuffles) is made for the old length and for the new one. Where the first is how the
   second begins, the rest is appended; where it is not, the selection is made anew of the arrays that have grown.
Owns these two ways. Refuses to open an old file, except where a selection asks for the values of an array in them that is
not along the dimension that grows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lazyzarr.combine import concat
from lazyzarr.definition.files import Coordinate
from lazyzarr.definition.problems import Path, Problems
from lazyzarr.definition.selections import Selector, cut
from lazyzarr.group import Group
from lazyzarr.view import View

BY_CELL = ("drop", "where")
"""Kinds of selections that judge every cell by itself."""


class Growth:
    """What is appended to a saved dataset, and what is made anew.

    Parameters
    ----------
    told
        The definition, checked.
    dim
        The dimension that grows.
    saved
        What is there.
    added, times
        What is new of the arrays along the dimension, and of its coordinate.
    load
        The bytes of a file named beside the definition.
    problems
        Gets what cannot be selected.
    """

    def __init__(
        self,
        told: Mapping[str, Any],
        dim: str,
        saved: Group,
        added: Mapping[str, View],
        times: Coordinate | None,
        load: Callable[[str], bytes],
        problems: Problems,
    ) -> None:
        self.told = told
        self.dim = dim
        self.added = added
        self.load = load
        self.problems = problems
        self.old: dict[str, View] = {}
        self.old_values: dict[str, Coordinate] = {}
        self.times = times
        for name, member in saved.items() if told.get("views") else ():
            if isinstance(member, Group):
                continue
            if member.dims == (name,) and name not in told["arrays"]:
                self.old_values[name] = Coordinate(member.read(), member.attrs)
            else:
                self.old[name] = member
        self.appended: dict[str, Any] = {**added} | ({} if times is None else {dim: times.values})
        """Views and values by path below the dataset, to be appended along the dimension."""
        self.anew: dict[str, dict[str, np.ndarray]] = {}
        """Positions, by dimension, of selections that are made anew."""

    def select(self) -> None:
        """The named selections."""
        for name, told in self.told.get("views", {}).items():
            path: Path = ("views", name)
            listed = told["select"].get(self.dim, [])
            steps = listed if isinstance(listed, list) else [listed]
            if all(
                kind in BY_CELL for step in steps for kind in step if kind in ("slice", "index", "shuffle", *BY_CELL)
            ):
                self._append(name, self.positions(told, self.part(), path))
                continue
            before, after = (self.positions(told, selector, path) for selector in (self.before(), self.after()))
            old, new = before[self.dim], after[self.dim]
            length = next(
                view.shape[(view.dims or ()).index(self.dim)] for view in self.old.values() if self.grows(view)
            )
            if np.array_equal(new[: len(old)], old) and (new[len(old) :] >= length).all():
                self._append(name, after | {self.dim: new[len(old) :] - length})
            else:
                self.anew[name] = after

    def grows(self, view: View) -> bool:
        """Whether a view is along the dimension."""
        return self.dim in (view.dims or ())

    def growing(self, selection: str) -> list[str]:
        """The arrays of a selection that are along the dimension."""
        chosen = self.before().chosen(self.told["views"][selection], ("views", selection))
        return [key for key, view in chosen.items() if self.grows(view)]

    def positions(self, told: Mapping[str, Any], selector: Selector, path: Path) -> dict[str, np.ndarray]:
        """What is selected of some views."""
        return selector.positions(told, selector.chosen(told, path), path)

    def values(self, more: Coordinate | None) -> dict[str, Coordinate]:
        """All coordinates, that of the dimension being another one."""
        return self.old_values | ({} if more is None else {self.dim: more})

    def before(self) -> Selector:
        """Selects of what is there."""
        return Selector(self.old, self.old_values, self.load, self.problems)

    def part(self) -> Selector:
        """Selects of what is new."""
        return Selector(self.old | dict(self.added), self.values(self.times), self.load, self.problems)

    def after(self) -> Selector:
        """Selects of both."""
        views = {
            name: concat([view, self.added[name]], (view.dims or ()).index(self.dim)) if name in self.added else view
            for name, view in self.old.items()
        }
        return Selector(views, self.values(self.whole()), self.load, self.problems)

    def whole(self) -> Coordinate | None:
        """The coordinate of the dimension, with what is new."""
        if self.times is None:
            return None
        old = self.old_values[self.dim]
        return Coordinate(np.concatenate([old.values, self.times.values]), old.attrs)

    def _append(self, name: str, positions: Mapping[str, np.ndarray]) -> None:
        if self.problems.found or not len(positions.get(self.dim, (0,))):
            return
        chosen = self.growing(name)
        for key in chosen:
            self.appended[f"{name}/{key}"] = cut(self.added[key], positions)
        if chosen and self.times is not None:
            rows = positions.get(self.dim, slice(None))
            self.appended[f"{name}/{self.dim}"] = self.times.values[rows]

    def derived(self, grown: Mapping[str, View]) -> dict[str, View | np.ndarray]:
        """The selections that are made anew, of the arrays that have grown, by path below the dataset."""
        made: dict[str, View | np.ndarray] = {}
        for name, positions in self.anew.items():
            made |= {f"{name}/{key}": cut(grown[key], positions) for key in self.growing(name)}
            whole = self.whole()
            if whole is not None:
                made[f"{name}/{self.dim}"] = whole.values[positions[self.dim]]
        return made
