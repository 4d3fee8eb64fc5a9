"""Named views side by side: `Group`.

Owns the mapping from names to views and groups, opened when they are asked for. Refuses to list what a storage
cannot list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from lazyzarr.errors import LazyZarrError, ViewSchemaError
from lazyzarr.view import View

Member = "View | Group"
Opener = Callable[[], "View | Group"]


MEMORY = "lazyzarr_files"
"""Name of the group in which a data set that was made of a definition remembers its files."""
DEFINITION = "lazyzarr_definition"
"""Attribute of that group: the definition, which says where files are."""


def _itself(member: View | Group) -> View | Group:
    return member


def in_both_forms(group: Group, stored: Callable[[], Group] | None) -> Group:
    """A group that says what its arrays are as they are stored, too."""
    group._stored = stored
    return group


class Group(Mapping[str, "View | Group"]):
    """Views and groups by name, with attributes.

    Members are opened on first use and kept. A name with slashes leads through groups.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> g = Group({"a": lambda: lz.full((2,), 1, dtype="int8")}, attrs={"title": "t"})
    >>> list(g), g["a"].shape, g.attrs["title"]
    (['a'], (2,), 't')
    """

    def __init__(
        self, members: Mapping[str, Opener], *, attrs: Mapping[str, Any] | None = None, place: str = ""
    ) -> None:
        self._openers = dict(members)
        self._open: dict[str, View | Group] = {}
        self.attrs = dict(attrs or {})
        """Attributes of the group."""
        self._place = place
        self._stored: Callable[[], Group] | None = None
        """The same group with arrays as they are stored, not unpacked, from metadata that are read; None: open again."""

    @classmethod
    def of(cls, members: Mapping[str, Any]) -> Group:
        """A group of views and groups that are there; a group is left as it is.

        Raises
        ------
        ViewSchemaError
            Members are neither.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> Group.of({"a": lz.full((2,), 1, dtype="int8")})["a"].shape
        (2,)
        """
        if isinstance(members, cls):
            return members
        wrong = [
            f"{name!r} is a {type(one).__name__}"
            for name, one in members.items()
            if not isinstance(one, View | Mapping)
        ]
        if wrong:
            raise ViewSchemaError(
                f"group of {', '.join(wrong)}; members are views and mappings of views; open it with lz.open first",
                reason="source-format",
            )
        return cls(
            {name: partial(_itself, cls.of(one) if isinstance(one, Mapping) else one) for name, one in members.items()}
        )

    def without(self, names: Iterable[str]) -> Group:
        """The same group without some of its members, which are not opened.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> list(Group.of({"a": lz.full((2,), 1), "b": lz.full((2,), 1)}).without(["a"]))
        ['b']
        """
        left = {name: opener for name, opener in self._openers.items() if name not in set(names)}
        return Group(left, attrs=self.attrs, place=self._place)

    def __getitem__(self, name: str) -> View | Group:
        head, _, rest = name.strip("/").partition("/") if name not in self._openers else (name, "", "")
        if head not in self._openers:
            raise KeyError(
                f"{name!r} is not in the group {self._place}; it has {', '.join(sorted(self._openers)) or 'no members'}"
            )
        if head not in self._open:
            self._open[head] = self._openers[head]()
        found = self._open[head]
        if not rest:
            return found
        if isinstance(found, View):
            raise KeyError(f"{name!r}: {head!r} is an array, not a group")
        return found[rest]

    def __iter__(self) -> Iterator[str]:
        return iter(self._openers)

    def __len__(self) -> int:
        return len(self._openers)

    def __contains__(self, name: object) -> bool:
        return name in self._openers

    def __repr__(self) -> str:
        lines = [f"<lazyzarr.Group {self._place} with {len(self)} members>"]
        for name in list(self)[:50]:
            try:
                member = self[name]
            except LazyZarrError as error:
                lines.append(f"  {name}: cannot be opened [{error.reason}] {str(error).splitlines()[0]}")
                continue
            text = f"{member.dtype} {member.shape}" if isinstance(member, View) else f"group of {len(member)}"
            lines.append(f"  {name}: {text}")
        if len(self) > 50:
            lines.append(f"  ... and {len(self) - 50} more")
        return "\n".join(lines)


def mixed(group: Group, other: Group, names: Iterable[str]) -> Group:
    """A group in which the members of these names are those of another group; none is opened.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> one, two = (Group.of({name: lz.full((2,), value) for name in "ab"}) for value in (1, 2))
    >>> {name: int(view[0]) for name, view in mixed(one, two, ["b"]).items()}
    {'a': 1, 'b': 2}
    """
    openers = {**group._openers, **{name: other._openers[name] for name in names if name in other._openers}}
    return Group({name: openers[name] for name in group._openers}, attrs=group.attrs, place=group._place)


def for_others(group: Group) -> Group:
    """A group without what definitions remember of their files, at any depth: nothing of it is data.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> memory = Group({}, attrs={DEFINITION: "{}"})
    >>> list(for_others(Group.of({"sst": lz.full((2,), 1), MEMORY: memory})))
    ['sst']
    """
    openers = {
        name: partial(_for_others, group, name) for name in group if name != MEMORY or not _remembers(group[name])
    }
    return Group(openers, attrs=group.attrs, place=group._place)


def _for_others(group: Group, name: str) -> View | Group:
    member = group[name]
    return for_others(member) if isinstance(member, Group) else member


def _remembers(member: View | Group) -> bool:
    return isinstance(member, Group) and DEFINITION in member.attrs
