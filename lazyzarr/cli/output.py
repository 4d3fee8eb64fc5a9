"""What the command line prints: blocks of errors, tables, exit codes.

Owns the one readable block per error. Refuses markup in texts that come from data: names are printed as they are.
"""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from lazyzarr.display import spelling
from lazyzarr.errors import LazyZarrError

FAILED, REFUSED = 1, 2
"""Exit codes: something that was checked is not right; the command could not do what was asked."""
EXIT_CODES = (
    "Exit codes: 0 done and right; 1 a check or a comparison failed; 2 the command could not be carried out "
    "(wrong usage, or an error, whose reason code stands in brackets)."
)


def out() -> Console:
    """Standard output, found anew so that redirection is seen."""
    return Console(highlight=False, markup=False, soft_wrap=True)


def say(text: str = "") -> None:
    """Print plain text."""
    out().print(text)


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
