"""The house rules, read from the imports: layers, fences, sizes, names, and what ``import lazyzarr`` costs."""

from __future__ import annotations

import ast
import functools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import networkx
import numpy as np
import pytest
import zarr

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lazyzarr"

LAYERS: tuple[tuple[str, ...], ...] = (
    ("reasons",),
    ("errors",),
    ("algebra",),
    ("ir",),
    ("access", "codecs"),
    ("interpret", "optimize", "lower"),
    ("read", "formats", "document", "display"),
    (
        *(
            "appending",
            "blocks",
            "casting",
            "combine",
            "described",
            "examining",
            "extensions",
            "fitting",
            "flattening",
            "group",
            "growing",
            "hdf5_views",
        ),
        *(
            "kerchunk_views",
            "manifest_rows",
            "manifests",
            "materializing",
            "members",
            "numpy_protocol",
            "opening",
            "places",
        ),
        *(
            "refreshing",
            "resolving",
            "saving",
            "passing",
            "served",
            "stage_facts",
            "stages",
            "tensorstore_views",
            "uneven",
            "view_store",
        ),
        *("tiling", "topology", "view", "api", "checking", "leaves", "operations"),
        *("foreign", "reference_views"),
    ),
    (
        "definition",
        "datasets",
        "clusters",
        "sealed",
        "serving",
    ),
    ("cli", "demo"),
    ("__main__",),
)
"""From the ground up. A room imports from lower layers and from itself; those of the front may know each other."""

FRONT = len(LAYERS) - 4
LEAVES = (*LAYERS[-2], *LAYERS[-1])

LOCAL_IMPORTS: frozenset[str] = frozenset()
"""Files outside the leaves that may import inside a function; each would need its reason here."""

FENCE = "lazyzarr/codecs/zarr_fence.py"
MOST_LINES = 450
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "base", "core", "misc"}

NOT_IMPORTED = (
    *("zarr", "numcodecs", "networkx", "h5py", "hdf5plugin", "imagecodecs", "obstore", "fsspec", "aiohttp"),
    *(
        "typer",
        "rich",
        "xarray",
        "dask",
        "icechunk",
        "pandas",
        "virtualizarr",
        "gribberish",
        "cast_value_rs",
        "google_crc32c",
        "asyncio",
    ),
)
"""Top-level packages that ``import lazyzarr`` leaves alone."""
MOST_MODULES = 30
"""How many modules ``import lazyzarr`` may load that the interpreter, NumPy and msgspec did not."""


class Import(NamedTuple):
    """One import statement of one module."""

    module: str
    """Dotted name of the importing module."""
    target: str
    """Dotted name of what is imported."""
    line: int
    local: bool
    """Inside a function."""
    typing: bool
    """Only under ``TYPE_CHECKING``."""


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def imports() -> tuple[Import, ...]:
    """Every import of the package."""
    return tuple(found for path in sources() for found in _imports_of(path))


def _imports_of(path: Path) -> Iterator[Import]:
    module = dotted(path)

    def walk(node: ast.AST, local: bool, typing: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inside = local or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            guarded = typing or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test))
            if isinstance(child, ast.Import):
                yield from (Import(module, alias.name, child.lineno, local, typing) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}:{child.lineno}: relative import; write the whole name"
                for alias in child.names:
                    whole = f"{child.module}.{alias.name}"
                    target = whole if whole in modules() else str(child.module)
                    yield Import(module, target, child.lineno, local, typing)
            yield from walk(child, inside, guarded)

    yield from walk(ast.parse(path.read_text()), local=False, typing=False)


@functools.cache
def modules() -> frozenset[str]:
    return frozenset(dotted(path) for path in sources())


def room(module: str) -> str | None:
    """First part below the package; None for the package itself."""
    return module.split(".")[1] if module.count(".") else None


def layer(module: str) -> int:
    return next(number for number, rooms in enumerate(LAYERS) if room(module) in rooms)


def test_every_module_has_a_room() -> None:
    known = {name for rooms in LAYERS for name in rooms}
    assert {room(m) for m in modules()} - known - {None} == set(), "say in LAYERS which layer the new module is in"


def test_imports_go_downward() -> None:
    wrong = []
    for found in imports():
        if not found.target.startswith("lazyzarr") or room(found.module) is None:
            continue
        if room(found.target) is None:
            wrong.append(found)
        elif room(found.module) != room(found.target):
            here, there = layer(found.module), layer(found.target)
            if there > here or (there == here and here != FRONT):
                wrong.append(found)
    assert wrong == []


def test_no_module_imports_itself_in_a_circle() -> None:
    # a type-only import does nothing when the module is loaded: operations name the view they are methods of
    running = [found for found in imports() if found.target in modules() and not found.typing]
    graph = networkx.DiGraph((found.module, found.target) for found in running)
    assert list(networkx.simple_cycles(graph)) == []


def test_zarr_core_is_imported_by_the_fence_alone() -> None:
    users = {found.module for found in imports() if f"{found.target}.".startswith("zarr.core.")}
    assert users == {FENCE.removesuffix(".py").replace("/", ".")}


def test_functions_do_not_import() -> None:
    local = [f for f in imports() if f.local and room(f.module) not in LEAVES]
    assert [f for f in local if f.module not in LOCAL_IMPORTS] == []
    assert {f.module for f in local} == LOCAL_IMPORTS, "take files that no longer need it off the list"


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_of_one_subject(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    assert path.stem not in FORBIDDEN_NAMES
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), "a module says what it owns and what it refuses"


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_test_files_are_short_and_say_what_they_are(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    assert path.stem not in FORBIDDEN_NAMES
    assert not text.strip() or ast.get_docstring(ast.parse(text))


def loaded(statement: str) -> set[str]:
    """Modules in a fresh interpreter after a statement."""
    code = f"import sys, json\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(json.loads(done.stdout))


def test_importing_costs_little() -> None:
    after = loaded("import lazyzarr")
    assert {name.split(".")[0] for name in after} & set(NOT_IMPORTED) == set()
    assert len(after - loaded("import numpy, msgspec")) < MOST_MODULES


def test_joining_stored_arrays_imports_no_dask(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", data=np.arange(6).reshape(2, 3))
    after = loaded(f"import lazyzarr as lz\nlz.concat([lz.open({str(tmp_path / 'a')!r})] * 2)[::-1].T.read()")
    assert {name.split(".")[0] for name in after} & {"networkx", "h5py", "xarray", "dask"} == set()


def test_building_a_view_imports_no_zarr() -> None:
    after = loaded("import lazyzarr as lz\nlz.concat([lz.full((2, 3), 1, dtype='int8')] * 2, axis=0)[::-1].T.read()")
    assert {name.split(".")[0] for name in after} & {"zarr", "networkx", "h5py", "xarray", "dask"} == set()


def test_public_names_are_lazy_and_all_there() -> None:
    loaded(
        "import lazyzarr\n"
        "assert not [n for n in lazyzarr.__all__ if getattr(lazyzarr, n, None) is None]\n"
        "assert set(lazyzarr.__all__) <= set(dir(lazyzarr))"
    )
