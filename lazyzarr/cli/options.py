"""Arguments and options that several verbs have, and how what they name is opened.

Owns their help. Refuses defaults that differ from those of `lazyzarr.open`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from lazyzarr.errors import LazyZarrError
from lazyzarr.group import Group
from lazyzarr.view import View

Url = Annotated[str, typer.Argument(help="Path or URL of a saved view, a Zarr array or group, or an HDF5 file.")]
Variable = Annotated[str | None, typer.Option(help="Name of the array inside a file or a group.")]
Allow = Annotated[
    list[str] | None,
    typer.Option(help="Location prefix that a saved view may reference beside its own directory; may be repeated."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def views_below(found: View | Group, name: str) -> Iterator[tuple[str, View | LazyZarrError]]:
    """All views below, with their names; errors of members that cannot be opened."""
    waiting: list[tuple[str, View | Group]] = [(name, found)]
    while waiting:
        path, member = waiting.pop()
        if isinstance(member, View):
            yield path, member
            continue
        for child in reversed(list(member)):
            below = f"{path}/{child}" if path else child
            try:
                waiting.append((below, member[child]))
            except LazyZarrError as error:
                yield below, error
