"""The distribution of the documentation, as an installer would leave it: its module, and metadata with entry points."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tomllib
from pathlib import Path
from types import ModuleType

from lazyzarr.ir import extensions

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "lazyzarr-reshape"
MODULE = "lazyzarr_reshape"
KIND = "example.reshape"


def install(folder: Path) -> Path:
    """Put the distribution into a folder that is then one for ``sys.path``; all it says is from its pyproject.toml."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    metadata = folder / f"{MODULE}-{project['version']}.dist-info"
    metadata.mkdir(parents=True)
    shutil.copy(EXAMPLE / f"{MODULE}.py", folder)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines: list[str] = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder


def module() -> ModuleType:
    """The module of the example, imported once, its kind registered."""
    found = sys.modules.get(MODULE)
    if found is None or getattr(found, "__file__", None) != str(EXAMPLE / f"{MODULE}.py"):
        spec = importlib.util.spec_from_file_location(MODULE, EXAMPLE / f"{MODULE}.py")
        assert spec is not None
        assert spec.loader is not None
        found = sys.modules[MODULE] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
    extensions.register(found.Reshape)
    return found
