"""Arguments and options that several verbs have, and how what they name is opened.

Owns their help. Refuses defaults that differ from those of `lazyzarr.open`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from lazyzarr.errors import LazyZarrError, SelectionError
from lazyzarr.group import Group
from lazyzarr.view import View

Url = Annotated[str, typer.Argument(help="Path or URL of a saved view, a Zarr array or group, or an HDF5 file.")]
Variable = Annotated[str | None, typer.Option(help="Name of the array inside a file or a group.")]
Allow = Annotated[
    list[str] | None,
    typer.Option(help="Location prefix that a saved view may reference beside its own directory; may be repeated."),
]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage-options",
        metavar="FILE",
        help="JSON file of options by location prefix, such as the endpoint and keys of a bucket; or the JSON itself.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def storage_options(given: str | None) -> dict[str, dict[str, Any]] | None:
    """The ``storage_options`` of `lazyzarr.open` from what `Storage` was given.

    Raises
    ------
    SelectionError
        It is no such JSON, or a file that cannot be read. The message has nothing of its content, which may be secret.

    Examples
    --------
    >>> storage_options('{"s3://": {"region": "eu-central-1"}}')
    {'s3://': {'region': 'eu-central-1'}}
    """
    if given is None:
        return None
    try:
        text = given.encode() if given.lstrip().startswith("{") else Path(given).read_bytes()
        return msgspec.json.decode(text, type=dict[str, dict[str, Any]])
    except OSError as error:
        raise SelectionError(
            f"--storage-options {given}; the file cannot be read ({error.strerror}); name a JSON file"
        ) from None
    except msgspec.MsgspecError:
        raise SelectionError(
            '--storage-options; it is no JSON of the form {"s3://bucket/": {"endpoint": "..."}}; give options by location '
            "prefix"
        ) from None


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
