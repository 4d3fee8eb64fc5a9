"""The verb resolve: a definition becomes a saved dataset.

Owns its options, its progress bar and what it prints. Refuses logic of its own: the work is `lazyzarr.resolve`.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.progress import Progress

from lazyzarr.cli.options import Json, Storage, storage_options
from lazyzarr.cli.output import out, say
from lazyzarr.display import spelling


def resolve(
    definition: Annotated[str, typer.Argument(help="Path or URL of a definition (YAML or JSON).")],
    target: Annotated[str, typer.Argument(metavar="OUT", help="Path or URL of the dataset to write.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Open and check all files, print the table, and write nothing.")
    ] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace what lazyzarr saved there before.")] = False,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a dask scheduler, whose workers open the files.")
    ] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Make the dataset that a definition describes, or append the files that are new since the last time."""
    resolving: Any = importlib.import_module("lazyzarr.definition.resolve")
    console = out()
    with Progress(console=console, transient=True, disable=as_json or not console.is_terminal) as bar:
        task = bar.add_task("files", total=None)
        done = resolving.resolve(
            definition,
            Path(target) if "://" not in target else target,
            dry_run=dry_run,
            overwrite=overwrite,
            scheduler=scheduler,
            progress=lambda count, total: bar.update(task, completed=count, total=total),
            storage_options=storage_options(storage),
        )
    if as_json:
        console.print_json(msgspec.json.encode(done).decode())
        return
    for line in str(done).splitlines():
        say(spelling.printable(line, 400))
