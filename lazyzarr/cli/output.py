"""What the command line prints: texts, JSON, blocks of errors, exit codes, examples in the help.

Owns the one readable block per error, what becomes of a page that cannot be written, and that JSON is of ASCII letters only. Refuses markup in texts that come from
data: names are printed as they are.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from lazyzarr.display import spelling
from lazyzarr.errors import LazyZarrError, SaveError

FAILED, REFUSED = 1, 2
"""Exit codes: something that was checked is not right; the command could not do what was asked."""
EXIT_CODES = (
    "Exit codes: 0 done and right; 1 a check or a comparison failed; 2 the command could not be carried out "
    "(wrong usage, or an error, whose reason code stands in brackets)."
)


class _Output(Console):
    """Standard output."""

    def on_broken_pipe(self) -> None:
        """End with exit code 2, not 1: nothing that was checked is wrong when nobody reads on."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(REFUSED)


def out() -> Console:
    """Standard output, found anew so that redirection is seen."""
    return _Output(highlight=False, markup=False, soft_wrap=True)


def example(command: str, failed: str = "") -> str:
    """The end of the help of a verb.

    Parameters
    ----------
    command
        An example, which stays on one line so that it can be copied.
    failed
        When the exit code is 1; absent: never.

    Examples
    --------
    >>> print(example("lazyzarr check v.zarr", "a chunk is damaged").partition("\\n")[2])
    Example: lazyzarr check v.zarr
    <BLANKLINE>
    Exit codes: 0 done; 1 a chunk is damaged; 2 the command could not be carried out.
    """
    middle = f" 1 {failed};" if failed else ""
    return f"\b\nExample: {command}\n\nExit codes: 0 done;{middle} 2 the command could not be carried out."


def say_json(value: Any) -> None:
    """Print a value as JSON of ASCII letters, so that no name reaches a terminal but spelled out."""
    out().print_json(json.dumps(msgspec.to_builtins(value)), ensure_ascii=True)


def say(text: str = "") -> None:
    """Print plain text."""
    out().print(text)


def write_page(path: Path, text: str) -> None:
    """Write a page that can be made again; whatever is there goes.

    Raises
    ------
    SaveError
        It cannot be written there.
    """
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        said = f"{error.strerror or error}"
        raise SaveError(
            f"write of the page {path}; the storage refused ({said}); name a file in a folder that exists"
        ) from error


def error_block(error: LazyZarrError) -> None:
    """Reason, place and text of an error, on standard error."""
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    head = Text.assemble((f"[{error.reason}]", "bold red"), f" {type(error).__name__}")
    if error.where:
        head.append(f" at {spelling.printable(error.where)}")
    console.print(head)
    text = str(error.args[0]) if error.args else ""
    for line in text.splitlines():
        console.print(f"  {spelling.printable(line)}")
    for note in getattr(error, "__notes__", ()):
        console.print(f"  {spelling.printable(note)}")


class Verbs(TyperGroup):
    """A group of commands in which an error of lazyzarr is one block of text and exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        """Run a verb."""
        try:
            return super().invoke(ctx)
        except LazyZarrError as error:
            if ctx.params.get("debug"):
                raise
            error_block(error)
            raise typer.Exit(REFUSED) from None
