"""Every code block of the README and the documentation runs, and what they say of the library is so.

The ``python`` blocks of a file run in order, in one namespace, in an empty directory. What a block prints is shown by
its asserts, so a block that has become wrong fails.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import lazyzarr as lz
from lazyzarr.codecs import registry
from lazyzarr.errors import REASONS
from lazyzarr.formats import hdf5_filters

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://)([^)#]+)(?:#[^)]*)?\)")
DEMO = "python3 -m pip install uv && uv run --extra demo lazyzarr demo"
TESTS = "uv run pytest"

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)


@every_page
def test_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = page.read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.delenv("LAZYZARR_ALLOW", raising=False)
    namespace: dict[str, object] = {"__name__": "__page__"}
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start(1))
        exec(compile("\n" * line + match[1], str(page), "exec"), namespace)


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text("utf-8")) if not (page.parent / link).exists()]
    assert not missing


def test_every_page_has_code() -> None:
    without = [page.name for page in PAGES if not BLOCK.search(page.read_text("utf-8"))]
    assert set(without) <= {"index.md", "contributing.md", "comparison.md", "reference.md"}


def test_readme_has_the_two_commands() -> None:
    lines = [line.split("#")[0].strip() for line in (ROOT / "README.md").read_text("utf-8").splitlines()]
    assert DEMO in lines
    assert TESTS in lines


def test_table_of_codecs_is_the_table_of_the_reader() -> None:
    text = (ROOT / "docs" / "sources.md").read_text("utf-8")
    section = text.split("## Codecs")[1].split("\n## ")[0]
    named = {name for name in re.findall(r"`([a-z0-9_.\-]+)`", section) if registry.is_known(name)}
    known = {registry.SHARDING, *registry._ARRAY, *registry._SERIAL, *registry._BYTES, *registry._HDF5}
    known |= {*registry._TIFF, registry._GRIB}
    assert named == {name for name in known if registry.is_known(name)}


def test_table_of_hdf5_filters_is_the_table_of_the_importer() -> None:
    text = (ROOT / "docs" / "sources.md").read_text("utf-8")
    section = text.split("## Filters of HDF5")[1].split("\n## ")[0]
    assert {int(number) for number in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)} == set(hdf5_filters._TABLE)


@every_page
def test_reasons_that_are_named_exist(page: Path) -> None:
    named = re.findall(r"reason `([a-z-]+)`", page.read_text("utf-8"))
    assert set(named) <= set(REASONS)


@every_page
def test_functions_that_are_named_exist(page: Path) -> None:
    named = set(re.findall(r"(?<!\.)\blz\.(\w+)", page.read_text("utf-8")))  # the suffix .lz.yaml is none
    assert named <= set(dir(lz)) | {"__version__", "__file__"}
