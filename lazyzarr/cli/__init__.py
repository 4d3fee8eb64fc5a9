"""The console script ``lazyzarr``: `main`.

Owns what happens where the extra ``cli`` is not installed, and where a verb fails in a way nobody foresaw. The verbs are
in `lazyzarr.cli.verbs`, which needs the extra.
"""

from __future__ import annotations

import importlib
import sys
import traceback

_EXTRA = ("typer", "rich")


def main() -> None:
    """Run the command line."""
    try:
        verbs = importlib.import_module("lazyzarr.cli.verbs")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRA:
            raise
        print(
            f'lazyzarr: the command line needs the package {package}; run pip install "lazyzarr[cli]"', file=sys.stderr
        )
        sys.exit(2)
    try:
        verbs.app()
    except Exception:
        # Python would exit with 1, which says that a check failed
        traceback.print_exc()
        sys.exit(2)
