"""What is wrong with a definition or with the files it names: all of it, each with its place.

Owns the places in the text of a definition, the list of problems and the error that carries them. Refuses to stop at
the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from lazyzarr.errors import ProblemList

MOST_ALIKE = 20
"""Mistakes that differ in the file alone of which each has a line of its own."""
MOST_LINES = 2_000

Path = tuple[str | int, ...]
"""Keys and numbers that lead to a value of a definition."""


class Mark(NamedTuple):
    """A place in a text."""

    line: int
    """Counted from 1."""
    column: int
    """Counted from 1 [characters]."""


class Problem(NamedTuple):
    """One mistake."""

    where: str
    """File, line and column of the definition."""
    subject: str
    """A file that a source names, or the keys that lead to the value of the definition."""
    property: str
    expected: str
    found: str

    def __str__(self) -> str:
        """The mistake in one line."""
        return f"{self.where}: {self.subject}: {self.property}: expected {self.expected}, found {self.found}"


class DefinitionError(ProblemList, ValueError):
    """A definition cannot be resolved; ``.problems`` lists every mistake in it and every file that does not fit.

    Examples
    --------
    >>> import pathlib, tempfile, lazyzarr as lz
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "d.lz.yaml")
    ...     _ = path.write_text("lazyzarr: 1\\nsauces: {}\\narrays: {}\\nsources: {}\\n")
    ...     try:
    ...         lz.resolve(path, f"{folder}/out.zarr")
    ...     except lz.DefinitionError as error:
    ...         [(m.subject, m.found) for m in error.mistakes][0], error.mistakes[0].where.endswith("d.lz.yaml:2:1")
    (('sauces', "the unknown key 'sauces'"), True)
    """

    default_reason = "combine-mismatch"

    def __init__(self, headline: str, mistakes: Sequence[Problem], *, reason: str | None = None) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__(headline, said(self.mistakes), reason=reason)


def said(mistakes: Sequence[Problem]) -> list[str]:
    """Mistakes in lines; those of very many files in one, if nothing else tells them apart.

    Examples
    --------
    >>> said([Problem("d:1:1", f"{k}.nc", "file", "one", "none") for k in range(1000)])
    ['d:1:1: 0.nc, 1.nc, 2.nc and 997 more: file: expected one, found none']
    """
    kinds: dict[tuple[str, ...], list[Problem]] = {}
    for mistake in mistakes:
        kinds.setdefault((mistake.where, *mistake[2:]), []).append(mistake)
    lines: list[str] = []
    for alike in kinds.values():
        if len(alike) > MOST_ALIKE:
            lines.append(str(alike[0]._replace(subject=names([each.subject for each in alike], 3))))
        else:
            lines += map(str, alike)
    if len(lines) > MOST_LINES:
        lines[MOST_LINES:] = [f"and {len(lines) - MOST_LINES:,} more lines; the mistakes of the error are all of them"]
    return lines


class Problems:
    """Mistakes as they are found.

    Parameters
    ----------
    name
        Of the definition, as it is shown.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.marks: dict[Path, Mark] = {}
        """Where each value of the definition stands."""
        self.found: list[Problem] = []
        self.in_text = 0
        """How many are mistakes of the definition itself."""

    def where(self, path: Path) -> str:
        """File, line and column of a value, or of the nearest one that holds it."""
        while path and path not in self.marks:
            path = path[:-1]
        mark = self.marks.get(path, Mark(1, 1))
        return f"{self.name}:{mark.line}:{mark.column}"

    def add(self, path: Path, what: str, expected: str, found: str) -> None:
        """A mistake in the definition."""
        self.in_text += 1
        self.found.append(Problem(self.where(path), dotted(path) or "the definition", what, expected, found))

    def add_at(self, mark: Mark, path: Path, what: str, expected: str, found: str) -> None:
        """A mistake at a place that holds no value, such as a key."""
        self.in_text += 1
        self.found.append(Problem(f"{self.name}:{mark.line}:{mark.column}", dotted(path), what, expected, found))

    def of_file(self, path: Path, file: str, what: str, expected: str, found: str) -> None:
        """A file that does not fit; ``path`` leads to what asks for it."""
        self.found.append(Problem(self.where(path), file, what, expected, found))

    def check(self) -> None:
        """Return if nothing was found.

        Raises
        ------
        DefinitionError
            Listing everything.
        """
        if not self.found:
            return
        reason = "document-member" if self.in_text else "combine-mismatch"
        count = f"{len(self.found)} mistake{'s' if len(self.found) > 1 else ''}"
        raise DefinitionError(
            f"resolve of {self.name}; there {'is' if len(self.found) == 1 else 'are'} {count}, and nothing was "
            "written; correct the definition or the files",
            self.found,
            reason=reason,
        )


def dotted(path: Path) -> str:
    """Keys in one text.

    Examples
    --------
    >>> dotted(("sources", "daily", "tile", 0, "dates"))
    'sources.daily.tile[0].dates'
    """
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


def names(found: Iterable[Any], most: int = 12) -> str:
    """Some names for a message."""
    listed = [str(name) for name in found]
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return (", ".join(listed[:most]) or "none") + more


def most_common(values: Mapping[int, Any]) -> Any:
    """What most have; of equally many what comes first. ``values`` are by number of the file."""
    counts: dict[Any, int] = {}
    for value in values.values():
        counts[value] = counts.get(value, 0) + 1
    return max(counts, key=lambda value: counts[value]) if counts else None
