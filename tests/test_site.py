"""The documentation site builds without a warning, and every internal link of it leads to a page and an anchor."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[1]


class Page(HTMLParser):
    """Links and anchors of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "a" and found.get("href"):
            self.links.append(str(found["href"]))
        self.anchors |= {str(found[name]) for name in ("id", "name") if found.get(name)}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(ROOT / ".mkdocs.yml"), "-d", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "WARNING -" not in done.stderr
    return target


def test_every_internal_link_leads_somewhere(site: Path) -> None:
    pages = {path: Page(path.read_text("utf-8")) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 25
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if target.suffix != ".html" and target.is_file():
                continue
            there = pages.get(target)
            if there is None or (parts.fragment and unquote(parts.fragment) not in there.anchors):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []


def test_the_specification_is_part_of_it(site: Path) -> None:
    for name in sorted(path.stem for path in (ROOT / "spec").glob("*.md")):
        page = site / "spec" / ("index.html" if name == "README" else f"{name}/index.html")
        assert page.exists(), name
    rules = set(re.findall(r"\*\*([GMD]-\d{3})\*\*", (ROOT / "spec" / "graph.md").read_text("utf-8")))
    shown = (site / "spec" / "graph" / "index.html").read_text("utf-8")
    assert all(f"<strong>{rule}</strong>" in shown for rule in rules)


def test_links_out_of_the_site_are_files_of_the_repository(site: Path) -> None:
    base = "https://github.com/lazyzarr/lazyzarr/"
    links = {link for path in site.rglob("*.html") for link in Page(path.read_text("utf-8")).links}
    ours = {link.removeprefix(base) for link in links if link.startswith((f"{base}blob/main/", f"{base}tree/main/"))}
    assert ours
    missing = [link for link in ours if not (ROOT / urlsplit(link).path.split("/", 2)[2]).exists()]
    assert missing == []
