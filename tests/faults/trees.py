"""Trees of files as a server has them."""

from __future__ import annotations

from pathlib import Path


def objects_of(folder: Path) -> dict[str, bytes]:
    """Path below a folder, with a leading ``/`` -> content, as `tests.servers.RangeServer` takes them."""
    return {
        f"/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
