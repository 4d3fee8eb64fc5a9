"""The verb copy: a view or a group as plain Zarr arrays.

Owns its options, its bar and what it prints. Refuses logic of its own: the copy is that of `lazyzarr.clusters.copying`.
"""

from __future__ import annotations

import importlib
import json
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from lazyzarr import api as lz
from lazyzarr.cli.options import Allow, Json, Storage, Url, Variable, storage_options
from lazyzarr.cli.output import out, say, say_json
from lazyzarr.clusters.copying import MEMORY, copy
from lazyzarr.display import spelling
from lazyzarr.errors import ExtraMissing, SelectionError
from lazyzarr.view import View

Lengths = Annotated[str | None, typer.Option(help="Cells along each axis, such as 100,720,-1 (-1: the whole axis).")]


def copy_(
    url: Url,
    target: Annotated[
        str, typer.Argument(help="Directory that will be the Zarr array or group, or its URL in a bucket.")
    ],
    variable: Variable = None,
    allow: Allow = None,
    storage: Storage = None,
    chunks: Lengths = None,
    shards: Lengths = None,
    codecs: Annotated[
        str | None, typer.Option(help="Names of codecs, such as bytes,zstd, or a JSON list of codecs.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a dask scheduler, whose workers do the work.")
    ] = None,
    memory: Annotated[int, typer.Option(min=1, help="Cells that are held at a time [MiB].")] = MEMORY >> 20,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an array by an array, a group by a group.")
    ] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Do not go on with a copy that was stopped.")] = False,
    as_json: Json = False,
) -> None:
    """Write the cells of a view or a group as plain Zarr; a copy that was stopped goes on when it is run again."""
    options: dict[str, Any] = {
        "chunks": _lengths("--chunks", chunks),
        "shards": _lengths("--shards", shards),
        "codecs": _codecs(codecs),
    }
    remote = storage_options(storage)
    found = lz.open(url, variable=variable, allow=allow or (), storage_options=remote)
    client = None if scheduler is None else _client(scheduler)
    console = out()
    columns = (TextColumn("copy"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, transient=True, disable=as_json or not console.is_terminal) as bar:
            task = bar.add_task("copy", total=None)
            copy(
                found,
                target,
                scheduler=client,
                overwrite=overwrite,
                resume=not restart,
                memory=memory << 20,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
                storage_options=remote,
                **options,
            )
    finally:
        if client is not None:
            client.close()
    _tell(target, lz.open(target, storage_options=remote), as_json)


def _tell(target: str, found: View | lz.Group, as_json: bool) -> None:
    """What is at the target now."""
    arrays = dict(_arrays(found, ""))
    if as_json:
        say_json({"target": target, "arrays": {name: _facts(view) for name, view in arrays.items()}})
        return
    for name, view in arrays.items():
        facts = _facts(view)
        text = f"{view.dtype} {spelling.shape(view.shape)}, chunks {spelling.shape(facts['chunks'])}"
        say(f"{spelling.printable(name)}: {text}" if name else text)


def _arrays(found: View | lz.Group, path: str) -> list[tuple[str, View]]:
    if isinstance(found, View):
        return [(path, found)]
    return [one for name in found for one in _arrays(found[name], f"{path}/{name}" if path else name)]


def _facts(view: View) -> dict[str, Any]:
    (array,) = view.ir.arrays
    layout = view.ir.layouts[array.layout]
    codecs = [codec.name for codec in layout.codecs]
    return {"shape": view.shape, "data_type": str(view.dtype), "chunks": layout.chunk_shape, "codecs": codecs}


def _lengths(option: str, text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise SelectionError(
            f"copy {option} {text}; lengths are whole numbers with commas between; give them so"
        ) from None


def _codecs(text: str | None) -> list[Any] | None:
    if text is None or not text.lstrip().startswith("["):
        return None if text is None else text.split(",")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise SelectionError(f"copy --codecs {text}; that is no JSON: {error}; give a list of codecs") from None


def _client(address: str) -> Any:
    try:
        distributed = importlib.import_module("distributed")
    except ModuleNotFoundError as error:
        raise ExtraMissing(
            f'copy --scheduler; the package {error.name} is not installed; run pip install "lazyzarr[dask]"'
        ) from error
    return distributed.Client(address)
