"""Rows of text in columns, for people.

Owns alignment and the limit on rows. Refuses to know what the rows are about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

GAP = "  "


def columns(
    rows: Sequence[Sequence[str]],
    *,
    header: Sequence[str] | None = None,
    right: Iterable[int] = (),
    total: int | None = None,
    noun: str = "more",
) -> list[str]:
    """Lines of a table; columns in which every cell is empty are left out.

    Parameters
    ----------
    rows
        Cells of the rows that are shown.
    header
        Names of the columns.
    right
        Columns that are aligned to the right.
    total
        Number of rows there are; beyond those given a last line says how many are not shown.
    noun
        What the rows are, for that line.

    Examples
    --------
    >>> print("\\n".join(columns([["0", "", "fill"], ["10", "", "index"]], right=[0], total=5)))
     0  fill
    10  index
    ... and 3 more
    """
    if rows or header:
        width = len(rows[0]) if rows else len(header or ())
        filled = [k for k in range(width) if any(row[k] for row in rows)] if rows else list(range(width))
        every = [*([header] if header else []), *rows]
        widths = {k: max(len(row[k]) for row in every) for k in filled}
        rightward = set(right)
        lines = [
            GAP.join(row[k].rjust(widths[k]) if k in rightward else row[k].ljust(widths[k]) for k in filled).rstrip()
            for row in every
        ]
    else:
        lines = []
    hidden = (total or 0) - len(rows)
    if hidden > 0:
        lines.append(f"... and {hidden:,} more" if noun == "more" else f"... and {hidden:,} more {noun}")
    return lines
