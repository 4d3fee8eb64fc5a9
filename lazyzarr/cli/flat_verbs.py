"""The verbs about flat manifests and other people's formats: flatten and export.

Owns their options and what they print. Refuses logic of its own: the conditions are those of `View.flatten`, and the
writers are those of `lazyzarr.formats`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.progress import Progress

from lazyzarr import api as lz
from lazyzarr import formats
from lazyzarr.access.url import to_path
from lazyzarr.cli.options import Allow, Json, Storage, Url, Variable, storage_options, views_below
from lazyzarr.cli.output import FAILED, out, say, say_json
from lazyzarr.display import spelling
from lazyzarr.display.flat import flatness_of
from lazyzarr.errors import LazyZarrError, NotFlat, SaveUnsupported, SelectionError
from lazyzarr.formats.report import ExportReport
from lazyzarr.group import Group
from lazyzarr.lower.aligned import INLINE, MISSING, AlignedManifest
from lazyzarr.materializing import BoundaryReport
from lazyzarr.view import View

FORMATS = "kerchunk, icechunk, manifest-json, vds"


class Materialize(StrEnum):
    """What happens to chunks that cannot be references."""

    NONE = "none"
    BOUNDARY = "boundary"


class Format(StrEnum):
    """Formats that views are written to."""

    KERCHUNK = "kerchunk"
    ICECHUNK = "icechunk"
    MANIFEST_JSON = "manifest-json"
    VDS = "vds"
    TENSORSTORE = "tensorstore"
    OCDBT = "ocdbt"


Into = Annotated[Path | None, typer.Option(help="Local directory for chunks that are written.")]


def flatten(
    url: Url,
    variable: Variable = None,
    allow: Allow = None,
    storage: Storage = None,
    materialize: Annotated[
        Materialize, typer.Option(help="boundary: decode, cut and write the chunks that cannot be references.")
    ] = Materialize.NONE,
    into: Into = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")] = False,
    regular: Annotated[bool, typer.Option(help="All chunks along an axis have one length.")] = False,
    as_json: Json = False,
) -> None:
    """Say the class, grid and codec chain of a view, or every reason why it is no plain array, with a remedy."""
    if materialize is Materialize.NONE and (into is not None or dry_run):
        raise SelectionError("flatten with --into or --dry-run; nothing is written; add --materialize boundary")
    found = lz.open(url, variable=variable, allow=allow or (), storage_options=storage_options(storage))
    told: dict[str, Any] = {}
    failed = False
    for name, view in views_below(found, ""):
        if isinstance(view, LazyZarrError):
            raise view
        place = into if into is None or not name else into / name
        facts = _facts(view, materialize, place, dry_run, not regular)
        failed = failed or bool(facts["problems"])
        told[name] = facts
        if not as_json:
            _tell(name, facts)
    if as_json:
        say_json(told[""] if isinstance(found, View) else told)
    if failed:
        raise typer.Exit(FAILED)


def export(
    source: Url,
    target: Annotated[str, typer.Argument(help="What to write: a local path.")],
    to: Annotated[Format, typer.Option("--to", help=f"One of {FORMATS}.")],
    variable: Variable = None,
    allow: Allow = None,
    storage: Storage = None,
    name: Annotated[str, typer.Option(help="Name of the array in the target, where the source is one view.")] = "data",
    overwrite: Annotated[bool, typer.Option(help="Replace a file, or arrays of a repository.")] = False,
    relative: Annotated[
        bool, typer.Option(help="kerchunk, manifest-json: locations relative to what is written.")
    ] = False,
    into: Annotated[
        Path | None, typer.Option(help="Local directory: write chunks that cannot be references into it.")
    ] = None,
    rectilinear: Annotated[
        bool, typer.Option("--rectilinear", help="kerchunk: allow chunks of several lengths, in metadata of version 3.")
    ] = False,
    message: Annotated[str, typer.Option(help="icechunk: message of the commit.")] = "views written by lazyzarr",
    as_json: Json = False,
) -> None:
    """Write a view or a group in the format of others: kerchunk, Icechunk, TensorStore, HDF5 virtual datasets and more."""
    views = lz.open(source, variable=variable, allow=allow or (), storage_options=storage_options(storage))
    if into is not None and to in (Format.VDS, Format.TENSORSTORE):
        raise SelectionError(f"export --to {to} --into; it refers to whole arrays only; leave out --into")
    if to is Format.TENSORSTORE and not isinstance(views, View):
        raise SelectionError("export --to tensorstore of a group; a specification is of one array; add --variable")
    if relative and to not in (Format.KERCHUNK, Format.MANIFEST_JSON):
        raise SelectionError(f"export --to {to} --relative; it has one spelling of locations; leave out --relative")
    if rectilinear and to is not Format.KERCHUNK:
        raise SelectionError(f"export --to {to} --rectilinear; only kerchunk has to be told; leave out --rectilinear")
    if overwrite and to in (Format.MANIFEST_JSON, Format.OCDBT):
        raise SelectionError(f"export --to {to} --overwrite; a folder is not replaced; remove it first")
    if into is not None:
        views = _materialized(views, into, rectilinear=rectilinear or to is Format.ICECHUNK)
    report = _WRITERS[to](views, target, _Options(name, overwrite, relative, rectilinear, message))
    if as_json:
        say_json(report)
        return
    for line in str(report).splitlines():
        say(spelling.printable(line, 400))


def _facts(view: View, materialize: Materialize, into: Path | None, dry_run: bool, rectilinear: bool) -> dict[str, Any]:
    """What there is to tell of one view."""
    found = flatness_of(view.ir)
    facts: dict[str, Any] = {"class": found.level, "problems": [], "chunk_lengths": None, "codecs": None}
    try:
        if materialize is Materialize.BOUNDARY:
            report = view.flatten(materialize="boundary", dry_run=True, rectilinear=rectilinear)
            facts["boundary"] = {
                name: getattr(report, name)
                for name in ("chunks", "referenced", "written", "bytes_read", "bytes_written")
            }
            if dry_run:
                return facts | _array(report)
            with Progress(console=out(), transient=True, disable=not out().is_terminal) as bar:
                task = bar.add_task("chunks", total=None)
                flat = view.flatten(
                    materialize="boundary",
                    into=into,
                    rectilinear=rectilinear,
                    progress=lambda done, total: bar.update(task, completed=done, total=total),
                )
        else:
            flat = view.flatten(rectilinear=rectilinear)
    except NotFlat as error:
        facts["problems"] = list(error.problems)
        return facts
    counts = {"chunks": len(flat), "missing": int((flat.state == MISSING).sum())}
    counts["inline"] = int((flat.state == INLINE).sum())
    return facts | _array(flat) | counts


def _array(flat: AlignedManifest | BoundaryReport) -> dict[str, Any]:
    return {
        "chunk_lengths": [n if isinstance(n, int) else list(n) for n in flat.chunk_lengths],
        "codecs": [codec.name for codec in flat.codecs],
    }


def _tell(name: str, facts: Mapping[str, Any]) -> None:
    head = f"{spelling.printable(name)}: " if name else ""
    if facts["problems"]:
        say(f"{head}class {facts['class']}, no plain array:")
        for problem in facts["problems"]:
            say(f"  - {spelling.printable(problem, 400)}")
        return
    shape = ", ".join(str(n) if isinstance(n, int) else _lengths(n) for n in facts["chunk_lengths"])
    say(f"{head}class {facts['class']}, chunks ({shape}), {' + '.join(facts['codecs'])}")
    boundary = facts.get("boundary")
    if boundary is not None:
        say(
            f"  {boundary['written']:,} of {spelling.many(boundary['chunks'], 'chunk')} to write, "
            f"{boundary['referenced']:,} stay references; {boundary['bytes_read']:,} bytes to read, at most "
            f"{boundary['bytes_written']:,} to write"
        )
    if "missing" in facts:
        say(f"  {spelling.many(facts['chunks'], 'chunk')}, {facts['missing']:,} missing, {facts['inline']:,} in memory")


def _lengths(lengths: list[int]) -> str:
    """A few of the lengths of chunks."""
    return "[" + " ".join(map(str, lengths[:6])) + (" ...]" if len(lengths) > 6 else "]")


def _materialized(found: View | Group, into: Path, *, rectilinear: bool) -> Any:
    if isinstance(found, View):
        return found.flatten(materialize="boundary", into=into, rectilinear=rectilinear)
    members = {name: _materialized(found[name], into / name, rectilinear=rectilinear) for name in found}
    return _Members(members, found.attrs)


class _Members(dict[str, Any]):
    """A group of them."""

    def __init__(self, members: Mapping[str, Any], attrs: Mapping[str, Any]) -> None:
        super().__init__(members)
        self.attrs = attrs


class _Options(NamedTuple):
    """What was asked of a writer."""

    name: str
    overwrite: bool
    relative: bool
    rectilinear: bool
    message: str


Writer = Callable[[Any, str, _Options], ExportReport]


def _kerchunk(views: Any, target: str, options: _Options) -> ExportReport:
    return formats.kerchunk.write(
        views,
        target,
        zarr_format=3 if options.rectilinear else 2,
        rectilinear=options.rectilinear,
        name=options.name,
        overwrite=options.overwrite,
        relative=options.relative,
    )


def _manifest_json(views: Any, target: str, options: _Options) -> ExportReport:
    return formats.manifest_json.write(views, target, name=options.name, relative=options.relative)


def _vds(views: Any, target: str, options: _Options) -> ExportReport:
    return formats.hdf5.write_vds(views, target, name=options.name, overwrite=options.overwrite)


def _tensorstore(views: Any, target: str, options: _Options) -> ExportReport:
    return formats.tensorstore.write(views, target, overwrite=options.overwrite)


def _ocdbt(views: Any, target: str, options: _Options) -> ExportReport:
    return formats.ocdbt.write(views, target, name=options.name)


def _icechunk(views: Any, target: str, options: _Options) -> ExportReport:
    """One commit on the branch main of a repository on a local disk, which is made if it is not there."""
    writer = formats.icechunk  # says which extra is needed, if it is
    icechunk = importlib.import_module("icechunk")
    storage = icechunk.local_filesystem_storage(target)
    if icechunk.Repository.exists(storage):
        containers = icechunk.Repository.open(storage).config.virtual_chunk_containers or {}
        access = _local_access(icechunk, containers)
        repository = icechunk.Repository.open(storage, authorize_virtual_chunk_access=access)
    else:
        prefix = _folder_of_sources(views)
        config = icechunk.RepositoryConfig.default()
        store = icechunk.local_filesystem_store(to_path(prefix))
        config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(prefix, store))
        access = _local_access(icechunk, [prefix])
        repository = icechunk.Repository.create(storage, config, authorize_virtual_chunk_access=access)
        repository.save_config()
    session = repository.writable_session("main")
    path = "" if isinstance(views, Mapping) else options.name
    report = writer.write(views, session, path=path, overwrite=options.overwrite)
    session.commit(options.message)
    return report


def _local_access(icechunk: Any, prefixes: Iterable[str]) -> dict[str, Any]:
    local = icechunk.credentials.LocalFileSystemAccess
    return {prefix: local for prefix in prefixes if prefix.startswith("file://")}


def _folder_of_sources(views: Any) -> str:
    """The deepest folder that all local chunks are below."""
    waiting, folders = [views], set[str]()
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            waiting.extend(one[name] for name in one)
            continue
        for url in {origin.location for origin in one.flatten().origins}:
            if not url.startswith("file://"):
                raise SaveUnsupported(
                    f"export to a new Icechunk repository of {spelling.location(url)}; only local sources need no "
                    "credentials; create the repository with a container for them first"
                )
            folders.add(os.path.dirname(to_path(url)))
    return Path(os.path.commonpath(folders) if folders else os.getcwd()).as_uri() + "/"


_WRITERS: dict[Format, Writer] = {
    Format.KERCHUNK: _kerchunk,
    Format.ICECHUNK: _icechunk,
    Format.MANIFEST_JSON: _manifest_json,
    Format.VDS: _vds,
    Format.TENSORSTORE: _tensorstore,
    Format.OCDBT: _ocdbt,
}
