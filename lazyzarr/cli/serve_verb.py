"""The verb serve: views over HTTP until it is interrupted.

Owns its options and what it prints. Refuses logic of its own: the server is that of `lazyzarr.serving`.
"""

from __future__ import annotations

import importlib
import time
from typing import Annotated, Any

import typer

from lazyzarr import api as lz
from lazyzarr.cli.options import Allow, Json, Storage, Url, Variable, storage_options
from lazyzarr.cli.output import say, say_json
from lazyzarr.errors import ExtraMissing


def serve_(
    url: Url,
    variable: Variable = None,
    allow: Allow = None,
    storage: Storage = None,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 for every network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for a free one.")] = 8000,
    origin: Annotated[
        list[str] | None, typer.Option(help="Origin whose web pages may read; may be repeated. All, by default.")
    ] = None,
    rectilinear: Annotated[bool, typer.Option("--rectilinear", help="Allow chunks of several lengths.")] = False,
    seconds: Annotated[float | None, typer.Option(min=0, help="Stop after so long.")] = None,
    as_json: Json = False,
) -> None:
    """Serve a view or a group as plain Zarr v3 over HTTP, with a page for people."""
    found = lz.open(url, variable=variable, allow=allow or (), storage_options=storage_options(storage))
    running = _module()
    with running.serve(found, host=host, port=port, origins=origin or ("*",), rectilinear=rectilinear) as server:
        if as_json:
            say_json({"url": server.url})
        else:
            say(f"{server.url}  (stop with Ctrl-C)")
        try:
            time.sleep(seconds if seconds is not None else 1e9)
        except KeyboardInterrupt:
            say()


def _module() -> Any:
    try:
        return importlib.import_module("lazyzarr.serving.running")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("lazyzarr"):
            raise
        raise ExtraMissing(
            f'serve; the package {error.name} is not installed; run pip install "lazyzarr[serve]"'
        ) from error
