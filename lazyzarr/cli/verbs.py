"""The verbs of the command line: demo, info, explain, check, append, refresh, schema; `flat_verbs` and `copy_verb` have
the others.

Owns options and help. Refuses logic of its own: each verb opens something, calls one function and prints.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any, get_args

import msgspec
import typer
from rich.progress import Progress

from lazyzarr import api as lz
from lazyzarr import stages
from lazyzarr.checking import SAMPLE, Failure, Report, check
from lazyzarr.cli.copy_verb import copy_
from lazyzarr.cli.flat_verbs import export, flatten
from lazyzarr.cli.options import Allow, Json, Storage, Url, Variable, storage_options, views_below
from lazyzarr.cli.output import EXIT_CODES, FAILED, Verbs, example, out, say, say_json, write_page
from lazyzarr.cli.resolve_verb import resolve
from lazyzarr.cli.serve_verb import serve_
from lazyzarr.definition.keys import schema_text as definition_schema
from lazyzarr.display import page, spelling
from lazyzarr.display.blocks import picture
from lazyzarr.display.diagram import diagram
from lazyzarr.display.flat import is_small
from lazyzarr.display.page import Section
from lazyzarr.display.tables import columns
from lazyzarr.display.zoom import SCRIPT, zoomable
from lazyzarr.document.json_schema import schema_text
from lazyzarr.errors import ExtraMissing, LazyZarrError, SelectionError
from lazyzarr.lower.fragments import fragments
from lazyzarr.lower.lowering import lower
from lazyzarr.refreshing import Accepted
from lazyzarr.stage_facts import facts
from lazyzarr.stages import LIMIT, STAGES
from lazyzarr.view import View

app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help=f"Views of arrays, stored as Zarr metadata.\n\n{EXIT_CODES}",
)

app.command(
    "flatten",
    epilog=example("lazyzarr flatten americas.zarr --materialize boundary --dry-run", "a view is no plain array"),
)(flatten)
app.command("export", epilog=example("lazyzarr export americas.zarr refs.json --to kerchunk"))(export)
app.command("copy", epilog=example("lazyzarr copy americas.zarr real.zarr --chunks 100,180,360 --codecs zstd"))(copy_)
app.command("serve", epilog=example("lazyzarr serve americas.zarr --port 8000"))(serve_)
app.command("resolve", epilog=example("lazyzarr resolve archive.lz.yaml archive.zarr --dry-run"))(resolve)


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option(help="Show the traceback of errors.")] = False,
) -> None:
    """Options of all verbs; the group reads them."""


@app.command(epilog=example("lazyzarr demo --out my-demo", "the view differs from what xarray decodes"))
def demo(
    out_dir: Annotated[Path, typer.Option("--out", help="Directory for the files.")] = Path("lazyzarr-demo"),
    clean: Annotated[bool, typer.Option(help="Remove the files at the end.")] = False,
) -> None:
    """Join three real monthly NetCDF files that do not fit together, and prove the result bit by bit."""
    try:
        story = importlib.import_module("lazyzarr.demo.story")
        report = importlib.import_module("lazyzarr.demo.report")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("lazyzarr"):
            raise
        raise ExtraMissing(
            f'demo; the package {error.name} is not installed; run pip install "lazyzarr[demo]"'
        ) from error
    found = story.run(out_dir, say)
    written = out_dir / "demo.html"
    report.write(found, written)
    if clean:
        story.remove(found, written)
        say(f"\nremoved what was written to {out_dir}")
    else:
        say(f"\npage: {written} ({written.stat().st_size:,} bytes)")
    if not found.passed:
        say("the view differs from what xarray decodes")
        raise typer.Exit(FAILED)


@app.command(epilog=example("lazyzarr info americas.zarr --json"))
def info(
    url: Url,
    variable: Variable = None,
    allow: Allow = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Say what is at a location: shape, type, class, sources."""
    found = lz.open(url, variable=variable, allow=allow or (), storage_options=storage_options(storage))
    if as_json:
        say_json(_facts(found))
    elif isinstance(found, View):
        say(repr(found))
        say(f"\nstored arrays: {len(found.sources()):,}   class: {found.flatness}")
        for problem in found.why_not_flat():
            say(f"  - {spelling.printable(problem)}")
        for name, value in found.attrs.items():
            say(f"{spelling.printable(str(name))}: {spelling.printable(str(value), 160)}")
    else:
        say(repr(found))


@app.command(epilog=example("lazyzarr explain americas.zarr --stage plan --html americas.html"))
def explain(
    url: Url,
    variable: Variable = None,
    allow: Allow = None,
    storage: Storage = None,
    stage: Annotated[
        str, typer.Option(help=f"One of {', '.join(STAGES)}.", autocompletion=lambda: list(STAGES))
    ] = "optimized",
    trace: Annotated[bool, typer.Option(help="List every rule that fired.")] = False,
    html: Annotated[
        Path | None, typer.Option(help="Also write a page with pictures of the blocks and the graph.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Most rows that are listed; the others are counted.")] = LIMIT,
    as_json: Json = False,
) -> None:
    """Say what a view becomes on its way to a read."""
    view = _view(url, variable, allow, storage)
    if stage not in STAGES:
        raise SelectionError(f"explain --stage {stage}; there is no such stage; give one of {', '.join(STAGES)}")
    if html is not None:
        write_page(html, _page(view, url))
    if as_json:
        say_json(facts(view.ir, stage, reader=view.reader, trace=trace, limit=limit))
        return
    say(stages.explain(view.ir, stage, reader=view.reader, trace=trace, limit=limit))
    if html is not None:
        say(f"\npage: {spelling.printable(str(html))} ({html.stat().st_size:,} bytes)")


@app.command(
    "check", epilog=example("lazyzarr check americas.zarr --sample 100", "a source or a chunk is not as the view says")
)
def check_(
    url: Url,
    variable: Variable = None,
    allow: Allow = None,
    storage: Storage = None,
    sample: Annotated[int, typer.Option(min=0, help="Chunks that are read.")] = SAMPLE,
    every: Annotated[bool, typer.Option("--all", help="Read every chunk.")] = False,
    deep: Annotated[
        bool, typer.Option(help="Compare every chunk reference and all Zarr metadata with the sources, too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Verify that sources exist and are unchanged, and that a sample of chunks decodes."""
    reports: dict[str, Report] = {}
    for name, member in views_below(
        lz.open(url, variable=variable, allow=allow or (), storage_options=storage_options(storage)), ""
    ):
        if isinstance(member, LazyZarrError):
            reports[name] = Report(failures=[Failure(name, member.reason, f"cannot be opened: {member}")])
        else:
            reports[name] = _checked(member, None if every else sample, deep, quiet=as_json)
        if not as_json:
            _tell(name, reports[name])
    failed = sum(len(report.failures) for report in reports.values())
    if as_json:
        views = [{"name": name, **msgspec.to_builtins(report)} for name, report in reports.items()]
        say_json({"passed": not failed, "views": views})
    elif failed:
        say(spelling.many(failed, "failure"))
    if failed:
        raise typer.Exit(FAILED)


@app.command(epilog=example("lazyzarr append americas.zarr 2006.nc 2007.nc --variable sst --axis time"))
def append(
    target: Annotated[str, typer.Argument(help="Path or URL of a saved view, or path of a saved group.")],
    sources: Annotated[list[str], typer.Argument(help="What to append, in order: anything that can be opened.")],
    variable: Variable = None,
    axis: Annotated[str, typer.Option(help="Number or name of the dimension to append along.")] = "0",
    allow: Allow = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Append to a saved view; or all arrays of one file or group to the members of a saved group with their names."""
    options = storage_options(storage)
    opened = [lz.open(source, variable=variable, allow=allow or (), storage_options=options) for source in sources]
    number = int(axis) if axis.lstrip("-").isdigit() else axis
    lz.append(target, opened[0] if len(opened) == 1 else opened, axis=number, storage_options=options)
    found = lz.open(target, allow=allow or (), storage_options=options)
    if as_json:
        say_json(_facts(found))
    else:
        say(repr(found))


@app.command(
    epilog=example("lazyzarr refresh americas.zarr --accept grown", "a source changed in a way that was not accepted")
)
def refresh(
    target: Annotated[str, typer.Argument(help="Path or URL of a saved view, or path of a saved group.")],
    accept: Annotated[
        list[str] | None,
        typer.Option(
            help="A kind of change to take in: grown or metadata; may be repeated.",
            autocompletion=lambda: list(get_args(Accepted)),
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report only.")] = False,
    allow: Allow = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Look at all sources of a saved view anew, and renew their stamps unless something else changed."""
    kinds: Any = accept or ()
    try:
        report = lz.refresh(
            target, accept=kinds, dry_run=dry_run, allow=allow or (), storage_options=storage_options(storage)
        )
    except lz.RefreshRefused as error:
        report = error.report
    if as_json:
        say_json(report)
    else:
        for line in str(report).splitlines():
            say(spelling.printable(line))
    if not report.passed:
        raise typer.Exit(FAILED)


@app.command(epilog=example("lazyzarr schema > document.json"))
def schema(
    definition: Annotated[bool, typer.Option("--definition", help="The one of definitions (*.lz.yaml).")] = False,
) -> None:
    """Print the JSON Schema of the document that a saved view keeps in its attributes, or that of definitions."""
    text = definition_schema() if definition else schema_text()
    typer.echo(text.decode(), nl=False)


def _view(url: str, variable: str | None, allow: list[str] | None, storage: str | None) -> View:
    found = lz.open(url, variable=variable, allow=allow or (), storage_options=storage_options(storage))
    if isinstance(found, View):
        return found
    names = ", ".join(list(found)[:20])
    raise SelectionError(f"explain of {url}; that is a group; name an array with --variable, one of {names}")


def _facts(found: View | lz.Group) -> dict[str, Any]:
    if not isinstance(found, View):
        return {"kind": "group", "members": list(found), "attributes": {str(k): str(v) for k, v in found.attrs.items()}}
    return {
        "kind": "view",
        "shape": found.shape,
        "dimension_names": found.dims,
        "data_type": str(found.dtype),
        "fill_value": found.schema.fill_value,
        "nbytes": found.nbytes,
        "chunks": found.chunks,
        "class": found.flatness,
        "problems": found.why_not_flat(),
        "stored_arrays": len(found.sources()),
        "nodes": len(found.ir.nodes),
        "attributes": {str(k): str(v) for k, v in found.attrs.items()},
    }


def _checked(view: View, sample: int | None, deep: bool, *, quiet: bool) -> Report:
    console = out()
    with Progress(console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("chunks", total=None)
        return check(
            view.ir,
            view.reader,
            sample=sample,
            deep=deep,
            watch=lambda done, total: bar.update(task, completed=done, total=total),
        )


def _tell(name: str, report: Report) -> None:
    parts = [
        f"{spelling.many(report.arrays, 'stored array')} verified",
        f"{report.decoded:,} of {spelling.many(report.chunks, 'chunk')} decoded",
    ]
    if report.absent:
        parts.append(f"{report.absent:,} absent (fill values)")
    if report.skipped:
        parts.append(f"{report.skipped:,} not read because their array failed")
    say((f"{spelling.printable(name)}: " if name else "") + ", ".join(parts))
    rows = [[f"[{f.reason}]", spelling.printable(f.where), spelling.printable(f.text)] for f in report.failures]
    for line in columns(rows):
        say("  " + line)


def _page(view: View, url: str) -> str:
    name = spelling.location(url)
    sections = [Section(f"Stage: {stage}", "", page.listing(view.explain(stage))) for stage in STAGES]
    figures = {
        "shape": spelling.shape(view.shape),
        "type": str(view.dtype),
        "class": view.flatness,
        "size when read": spelling.size(view.nbytes),
        "nodes": f"{len(view.ir.nodes):,}",
    }
    drawn: list[Section] = []
    scripts: list[str] = []
    if is_small(view.ir):
        lowered = lower(view.ir)
        blocks = picture(lowered, fragments(lowered), view.dims, hover=True)
        drawn.append(Section("Where the cells come from", "", zoomable(blocks)))
        scripts.append(SCRIPT)
    drawn.append(Section("The graph", "", f'<div class="wide">{diagram(view.ir)}</div>'))
    drawn.append(Section(f"How flat: {view.flatness}", "", page.items(view.why_not_flat())))
    return page.page(name.rpartition("/")[2] or name, name, figures, [*drawn, *sections], scripts=scripts)
