"""Programs that are no Python packages and that some tests need: Node.js with npm, and a browser.

Where one is missing, its tests are skipped and say so; with ``LAZYZARR_EVERYTHING=1``, as in ``.ci/run``, they fail instead.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest


def program(*names: str) -> str:
    """The path of the first of some programs that is there."""
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    return missing(f"{' or '.join(names)} is not installed")


def missing(text: str) -> NoReturn:
    """Skip a test, or let it fail where everything has to be there."""
    if os.environ.get("LAZYZARR_EVERYTHING"):
        pytest.fail(text)
    pytest.skip(text)


def node(folder: Path) -> str:
    """Node.js, with what the ``package-lock.json`` of a folder names installed there."""
    path, npm = program("node"), program("npm")
    modules = folder / "node_modules"
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        installed = modules / ".package-lock.json"
        if not installed.exists() or installed.stat().st_mtime < (folder / "package-lock.json").stat().st_mtime:
            done = subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True)
            if done.returncode:
                missing(f"npm ci in {folder.name} failed: {done.stderr[-500:]}")
            installed.touch()
    return path
