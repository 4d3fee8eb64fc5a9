"""Index transforms: from a box of cells to the cells of a source, in the JSON form of TensorStore and ndsel.

Owns the form, checked member by member. Refuses members it does not know, since each may change what is read, and
numbers beyond 62 bits. Knows no arrays: what a transform reads of one is `lazyzarr.operations.transforming`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from lazyzarr.errors import SelectionError, UnsupportedFeature

Json = Any
Object = Mapping[str, Any]
MOST_AXES = 32
"""Of a transform, as TensorStore has it."""


@dataclass(frozen=True)
class Output:
    """Where one axis of the source is read."""

    offset: int
    stride: int = 1
    dimension: int | None = None
    """Axis of the domain; None with no `index`: one cell."""
    index: np.ndarray[Any, Any] | None = None
    """int64: cells, as an array that is repeated over the domain."""


@dataclass(frozen=True)
class Transform:
    """From a box of cells to the cells of a source."""

    low: tuple[int | None, ...]
    stop: tuple[int | None, ...]
    """None: as far as the source goes."""
    labels: tuple[str, ...]
    output: tuple[Output, ...] | None
    """None: the same cell of the source."""


def read_transform(found: Object) -> Transform:
    """The members of a transform, checked one by one.

    Raises
    ------
    SelectionError
        It is not one.
    UnsupportedFeature
        It has a member that is not read here.

    Examples
    --------
    >>> read_transform({"input_shape": [3], "output": [{"offset": 2, "stride": -1, "input_dimension": 0}]}).stop
    (3,)
    """
    names = ("input_inclusive_min", "input_exclusive_max", "input_inclusive_max", "input_shape")
    _only(found, (*names, "input_rank", "input_labels", "output"), "an index transform")
    given = {name: _bounds(found[name], name) for name in names if name in found}
    if sum(name in given for name in names[1:]) > 1:
        raise bad("it says more than once where its domain ends")
    labels = found.get("input_labels", [])
    if not isinstance(labels, list) or any(not isinstance(one, str) for one in cast("list[Any]", labels)):
        raise bad("its labels are no texts")
    texts = tuple(cast("list[str]", labels))
    ranks = {len(one) for one in given.values()} | ({len(texts)} if "input_labels" in found else set())
    if "input_rank" in found:
        ranks.add(_integer(found["input_rank"], "input_rank"))
    if len(ranks) > 1 or any(not 0 <= rank <= MOST_AXES for rank in ranks):
        raise bad("its members have different ranks")
    outputs = found.get("output")
    if not ranks and outputs is None:
        return Transform((), (), (), None)
    if not ranks:
        raise bad("it does not say its rank")
    rank = ranks.pop()
    low = given.get("input_inclusive_min", (0,) * rank if "input_shape" in given else (None,) * rank)
    stop = given.get("input_exclusive_max", (None,) * rank)
    if "input_inclusive_max" in given:
        stop = tuple(None if n is None else n + 1 for n in given["input_inclusive_max"])
    if "input_shape" in given:
        ends = zip(low, given["input_shape"], strict=True)
        stop = tuple(None if first is None or n is None else first + n for first, n in ends)
    if outputs is not None:
        if not isinstance(outputs, list) or len(cast("list[Any]", outputs)) > MOST_AXES:
            raise bad("its output is no list of at most 32 maps")
        outputs = tuple(_output(_mapping(one, "output"), rank) for one in cast("list[Any]", outputs))
    return Transform(low, stop, texts, outputs)


def _bounds(given: Json, name: str) -> tuple[int | None, ...]:
    if not isinstance(given, list):
        raise bad(f"{name} is no list")
    found: list[int | None] = []
    for one in cast("list[Any]", given):
        implicit = isinstance(one, list) and len(cast("list[Any]", one)) == 1
        found.append(None if implicit or one in ("-inf", "+inf") else _integer(one, name))
    return tuple(found)


def _output(found: Object, rank: int) -> Output:
    _only(found, ("offset", "stride", "input_dimension", "index_array", "index_array_bounds"), "output")
    offset = _integer(found.get("offset", 0), "offset")
    stride = _integer(found.get("stride", 1), "stride")
    if "index_array" in found:
        if "input_dimension" in found:
            raise bad("an output has both an index_array and an input_dimension")
        try:
            index = np.array(found["index_array"])
        except ValueError as error:
            raise bad("an index_array has lists of unequal length") from error
        if (index.dtype.kind != "i" and index.size) or index.ndim != rank:
            raise bad("an index_array has other than whole numbers, or another rank than the domain")
        index = index.astype(np.int64)
        _check_indices(index, found.get("index_array_bounds", ["-inf", "+inf"]))
        return Output(offset, stride, None, index)
    if "input_dimension" not in found:
        return Output(offset)
    dimension = _integer(found["input_dimension"], "input_dimension")
    if not 0 <= dimension < rank:
        raise bad(f"an input_dimension is {dimension}; the domain has {rank}")
    return Output(offset, stride, dimension) if stride else Output(offset)


def _check_indices(index: np.ndarray[Any, Any], bounds: Json) -> None:
    """Bounds are a promise about the cells of an index array, both of them included."""
    if not isinstance(bounds, list) or len(cast("list[Any]", bounds)) != 2:
        raise bad("index_array_bounds are no pair")
    low, high = (None if one in ("-inf", "+inf") else _integer(one, "index_array_bounds") for one in bounds)
    if index.size and ((low is not None and index.min() < low) or (high is not None and index.max() > high)):
        raise bad(f"an index_array has cells {index.min()} to {index.max()}, and bounds {low} to {high}", bounds=True)


def _integer(value: Json, name: str) -> int:
    if type(value) is not int or not -(2**62) <= value <= 2**62:
        raise bad(f"{name} is {str(value)[:64]}, which is no whole number of 62 bits")
    return value


def _only(found: Object, known: Collection[str], name: str) -> None:
    others = set(found) - set(known)
    if others:
        raise unsupported(f"the member {min(others)[:64]!r} of {name}")


def _mapping(value: Json, name: str) -> Object:
    if not isinstance(value, Mapping):
        raise bad(f"{name} is a {type(value).__name__}; it is a JSON object")
    return cast("Mapping[str, Any]", value)


def bad(what: str, *, bounds: bool = False) -> SelectionError:
    """The error for a transform that says something impossible, or leads outside of what it is of."""
    return SelectionError(
        f"index transform: {what}; write it again", reason="index-bounds" if bounds else "index-syntax"
    )


def unsupported(what: str) -> UnsupportedFeature:
    """The error for what is not read here."""
    return UnsupportedFeature(
        f"index transform: {what} is not read here; TensorStore itself may; write it without",
        reason="source-unsupported",
    )
