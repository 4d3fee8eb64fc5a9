"""What the site has beyond the pages of this folder: the specification, and links that lead out of both.

Owns the two steps that MkDocs asks for. The texts of ``spec/`` become pages below ``spec/``, and a link to a file of the
repository that is no page becomes one to where the repository is hosted, so every page reads the same in a checkout and in the site.
Refuses to change any other text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\((?![a-z]+://|#)([^)#\s]+)(#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the texts of the specification."""
    for path in sorted((ROOT / "spec").rglob("*.md")):
        if "node_modules" not in path.parts:
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links between the folders of the repository into links between pages, or out of the site."""
    source = page.file.src_uri
    place = posixpath.dirname(source if source.startswith("spec/") else f"docs/{source}")

    def link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(place, match[1]))
        inside = target.removeprefix("docs/")
        if (target.startswith(("docs/", "spec/"))) and files.get_file_from_path(inside):
            there = posixpath.relpath(inside, posixpath.dirname(source) or ".")
            return f"]({there}{match[2] or ''})"
        if not (ROOT / target).exists():
            return match[0]  # MkDocs says what is wrong with it
        kind = "tree" if (ROOT / target).is_dir() else "blob"
        return f"]({config.repo_url.rstrip('/')}/{kind}/main/{target}{match[2] or ''})"

    return LINK.sub(link, markdown)
