"""What a dataset remembers of its files, so that resolving again opens the new ones alone.

Owns the group `lazyzarr.group.MEMORY` inside a dataset: the definition without its ends, and for each source a column with a number for
each value of the outermost entry, which is made of the paths of its files and says whether all were there. Refuses to
append where an earlier file has another name now, or has arrived since.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np

from lazyzarr.definition.planning import SourcePlan, head
from lazyzarr.errors import SaveConflict

_PRIME, _MIX = np.uint64(0x100000001B3), np.uint64(0x9E3779B97F4A7C15)


def canonical(definition: Mapping[str, Any]) -> str:
    """A definition in one spelling, without what may grow: the end of the first entry of each source.

    Examples
    --------
    >>> one = {"sources": {"a": {"tile": [{"concat": "x", "range": {"to": 3}}]}}}
    >>> two = {"sources": {"a": {"tile": [{"concat": "x", "range": {"to": 4}}]}}}
    >>> canonical(one) == canonical(two)
    True
    """
    told: Any = copy.deepcopy(dict(definition))
    for source in told["sources"].values():
        for tile in source.get("tile", [])[:1]:
            for key in ("dates", "range"):
                for end in ("to", "count"):
                    tile.get(key, {}).pop(end, None)
            for key in ("values", "items"):
                if isinstance(tile.get(key), list):
                    tile[key] = []
    for dim in told.get("dims", {}).values():
        dim.pop("length", None)
        if "values" in dim:
            dim["values"] = []
    return msgspec.json.encode(told, order="sorted").decode()


def signatures(plan: SourcePlan, present: np.ndarray) -> np.ndarray:
    """A number for each value of the outermost entry; odd where all files are there.

    Parameters
    ----------
    present
        Which files are there (rows,).
    """
    with np.errstate(over="ignore"):
        letters = np.ascontiguousarray(plan.paths).view(np.uint32).reshape(plan.rows, -1).astype(np.uint64)
        weights = np.cumprod(np.full(letters.shape[1], _PRIME, np.uint64))
        rows = (letters * weights).sum(axis=1, dtype=np.uint64)  # the zeros behind a short name count nothing
        rows = (rows ^ (rows >> np.uint64(29))) * _MIX
        steps = plan.at[:, 0] if plan.entries else np.zeros(plan.rows, np.int64)
        order = np.argsort(steps, kind="stable")
        within = np.arange(plan.rows) - np.searchsorted(steps[order], steps[order])
        rows[order] *= (2 * within + 1).astype(np.uint64)
        count = plan.entries[0].size if plan.entries else 1
        found, there = np.zeros(count, np.uint64), np.ones(count, bool)
        np.add.at(found, steps, rows)
    np.logical_and.at(there, steps, present)
    return (found & ~np.uint64(1)) | there.astype(np.uint64)


def growth(plans: Mapping[str, SourcePlan]) -> str | None:
    """The dimension that all sources with entries grow along; None where there is not one."""
    dims = {
        plan.entries[0].dim for plan in plans.values() if plan.entries and plan.entries[0].join in ("concat", "stack")
    }
    return dims.pop() if len(dims) == 1 else None


def remaining(
    plans: Mapping[str, SourcePlan],
    stored: Mapping[str, np.ndarray],
    present: Callable[[SourcePlan], np.ndarray],
    target: str,
) -> dict[str, SourcePlan]:
    """The plans of what is new, by source; sources without anything new are left out.

    Raises
    ------
    SaveConflict
        What was resolved before is not the beginning of what is to be.
    """
    new: dict[str, SourcePlan] = {}
    for name, plan in plans.items():
        old = stored.get(name)
        count = plan.entries[0].size if plan.entries else 1
        if old is None or len(old) > count:
            raise _conflict(target, f"source {name} had {0 if old is None else len(old)} steps and has {count}")
        now = signatures(plan, np.ones(plan.rows, bool))
        moved = np.flatnonzero((now[: len(old)] ^ old) & ~np.uint64(1))
        if len(moved):
            steps = plan.at[:, 0] if plan.entries else np.zeros(plan.rows, np.int64)
            raise _conflict(
                target, f"step {moved[0]} of source {name} has other files, such as {plan.paths[steps == moved[0]][0]}"
            )
        gaps = np.flatnonzero(~(old & np.uint64(1)).astype(bool))
        if len(gaps):
            rows = plan.at[:, 0] if plan.entries else np.zeros(plan.rows, np.int64)
            held = head_rows(plan, np.isin(rows, gaps))
            # a step with several files, some of which are there, has arrived when all are
            complete = np.zeros(count, bool)
            complete[gaps] = True
            np.logical_and.at(complete, rows[np.isin(rows, gaps)], present(held))
            if complete.any():
                raise _conflict(target, f"{int(complete.sum())} steps of source {name} that had no file have one now")
        if count > len(old):
            new[name] = head(plan, count, len(old))
    return new


def head_rows(plan: SourcePlan, keep: np.ndarray) -> SourcePlan:
    """Some rows of a plan."""
    columns = {name: column[keep] for name, column in plan.columns.items()}
    return SourcePlan(plan.name, plan.entries, plan.at[keep], columns, plan.paths[keep], plan.store, plan.format)


def _conflict(target: str, what: str) -> SaveConflict:
    return SaveConflict(
        f"resolve into {target}; {what}, so new files cannot be appended to what is there; pass overwrite=True to "
        "resolve all files anew"
    )
