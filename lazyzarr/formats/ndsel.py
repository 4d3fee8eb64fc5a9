"""ndsel messages: NumPy-style selections as JSON, of the draft 1.0-draft.2 (github.com/d-v-b/ndsel, ``spec/ndsel.md``).

Owns `normalize`, which brings each kind of message to the one canonical spelling, and `message`, which says what a view
selects from its array. Selecting by a message is `View.select`. Refuses what the draft refuses, with its code, and views
that no message describes: joins, and constants. A message selects cells; how they are decoded is no part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from lazyzarr.errors import SaveUnsupported, SelectionError
from lazyzarr.formats.index_transforms import Transform, read_transform
from lazyzarr.formats.tensorstore import Viewed
from lazyzarr.formats.tensorstore_layers import layers_of
from lazyzarr.lower.lowering import lower
from lazyzarr.lower.naming import NUMBERED, Naming, gathering, joining, listed_nodes

Json = Any
Message = Mapping[str, Json]
_BOUNDS = ("inclusive_min", "exclusive_max", "inclusive_max", "shape")
_MEMBERS: dict[str, frozenset[str]] = {
    "point": frozenset({"coords"}),
    "box": frozenset({*_BOUNDS, "labels"}),
    "slice": frozenset({"start", "stop", "step", "labels"}),
    "points": frozenset({"coords"}),
    "transform": frozenset({*(f"input_{name}" for name in _BOUNDS), "input_rank", "input_labels", "output"}),
}
_OUTPUT = frozenset({"offset", "stride", "input_dimension", "index_array", "index_array_bounds"})
_INFINITE = ("-inf", "+inf")


class MessageRefused(SelectionError):
    """A message breaks the draft; `code` is the draft's own reason.

    Examples
    --------
    >>> try:
    ...     normalize({"kind": "slice", "start": [0], "stop": [4], "step": [0]})
    ... except MessageRefused as error:
    ...     error.code, error.reason
    ('step_zero', 'index-syntax')
    """

    def __init__(self, code: str, what: str) -> None:
        super().__init__(f"ndsel message: {what} ({code}); write it again", reason="index-syntax")
        self.code = code


def normalize(message: Json) -> dict[str, Json]:
    """The canonical form of a message: what ``tensorstore.IndexTransform(json=...)`` takes.

    Parameters
    ----------
    message
        Of kind point, box, slice, points or transform.

    Returns
    -------
    dict
        A transform without ``kind``, every member written out.

    Raises
    ------
    MessageRefused
        With the code of the draft.

    Examples
    --------
    >>> body = normalize({"kind": "slice", "start": [10], "stop": [20], "step": [2]})
    >>> body["input_inclusive_min"], body["output"]
    ([5], [{'offset': 0, 'stride': 2, 'input_dimension': 0}])
    """
    if not isinstance(message, Mapping):
        raise MessageRefused("invalid_json", f"it is a {type(message).__name__}, and no JSON object")
    found = cast("Mapping[str, Json]", message)
    kind = found.get("kind")
    if not isinstance(kind, str):
        raise MessageRefused("invalid_json", "it has no kind")
    if kind not in _MEMBERS:
        raise MessageRefused("unknown_kind", f"there is no kind {kind[:64]!r}")
    _only(found, _MEMBERS[kind] | {"kind"}, f"the kind {kind!r}")
    return {"point": _point, "box": _box, "slice": _slice, "points": _points, "transform": _transform}[kind](found)


def transform_of(message: Json) -> Transform:
    """A message as an index transform.

    Raises
    ------
    SelectionError
        It breaks the draft, or has numbers beyond 62 bits.
    """
    return read_transform(normalize(message))


def message(view: Viewed) -> dict[str, Json]:
    """What a view selects from the one array below it, as a message of kind transform in canonical form.

    Parameters
    ----------
    view
        A view made of one array by indexing, taking, transposing and broadcasting.

    Returns
    -------
    dict
        ``lz.open(array).select(message)`` has the same cells.

    Raises
    ------
    SaveUnsupported
        The view has cells of several arrays, or of none.
    ViewLimitError
        The message would be too long.

    Examples
    --------
    >>> import numpy as np, lazyzarr as lz
    >>> message(lz.open(np.arange(6).reshape(2, 3))[1, ::-1])["output"]
    [{'offset': 1}, {'offset': 2, 'stride': -1, 'input_dimension': 0}]
    """
    lowered = lower(view.ir)
    shape = lowered.schema.shape
    body: dict[str, Json] = {"kind": "transform", "input_inclusive_min": [0] * len(shape)}
    body["input_exclusive_max"] = list(shape)
    if view.dims is not None:
        body["input_labels"] = ["" if name is None else name for name in view.dims]
    if 0 in shape and len(view.ir.arrays) == 1:
        body["output"] = [{}] * len(view.ir.arrays[0].shape)
    else:
        numbers = np.unique(lowered.placements.source)
        arrays = lowered.sources.arrays(numbers[numbers >= 0])
        layers = None
        if len(numbers) == len(arrays) == 1:
            layers = layers_of(lowered.placements, shape, [len(arrays[0].shape)] * len(lowered.placements))
        if layers is None or len(layers.layers) != 1 or layers.output is not None:
            names = Naming(view.ir)
            nodes = names.of_kind(joining) or names.of_kind(gathering) or (names.view,)
            raise SaveUnsupported(
                f"a selection of {len(numbers)} sources{listed_nodes(nodes)} ({NUMBERED}); a message selects from one array, each cell by one rule; save "
                "the view with lz.save, or write it with lz.formats.tensorstore"
            )
        body["output"] = layers.layers[0].transform["output"]
    return {"kind": "transform", **normalize(body)}


def _point(found: Message) -> dict[str, Json]:
    coords = _integers(found, "coords")
    return _body([], [], [], [{"offset": n} for n in coords])


def _points(found: Message) -> dict[str, Json]:
    rows = found.get("coords")
    if not isinstance(rows, list):
        raise MessageRefused("invalid_json", "coords are no list")
    points = [_integers({"coords": row}, "coords") for row in cast("list[Json]", rows)]
    if len({len(point) for point in points}) > 1:
        raise MessageRefused("rank_mismatch", "points have different lengths")
    columns = [list(column) for column in zip(*points, strict=True)]
    output = [
        {"offset": 0, "stride": 1, "index_array": column, "index_array_bounds": list(_INFINITE)} for column in columns
    ]
    return _body([0], [len(points)], [""], output)


def _box(found: Message) -> dict[str, Json]:
    low, stop, labels = _domain(found, "", ())
    return _body(low, stop, labels, _identity(len(low)))


def _slice(found: Message) -> dict[str, Json]:
    start, stop = _integers(found, "start"), _integers(found, "stop")
    step = _integers(found, "step") if "step" in found else [1] * len(start)
    labels = _labels(found, "labels", len(start))
    if len({len(start), len(stop), len(step), len(labels)}) > 1:
        raise MessageRefused("rank_mismatch", "start, stop, step and labels have different lengths")
    lows: list[Json] = []
    stops: list[Json] = []
    output: list[dict[str, Json]] = []
    for axis, (first, end, by) in enumerate(zip(start, stop, step, strict=True)):
        if by == 0:
            raise MessageRefused("step_zero", f"the step of axis {axis} is 0")
        length = (end - first) * (1 if by > 0 else -1)
        if length < 0:
            raise MessageRefused("bounds_out_of_order", f"from {first} to {end} is no way in steps of {by}")
        origin = abs(first) // abs(by) * (1 if (first < 0) == (by < 0) else -1)  # towards zero, in whole numbers
        lows.append(origin)
        stops.append(origin - -length // abs(by))
        output.append({"offset": first - by * origin, "stride": by, "input_dimension": axis})
    return _body(lows, stops, labels, output)


def _transform(found: Message) -> dict[str, Json]:
    ranks: tuple[int, ...] = ()
    if "input_rank" in found:
        ranks = (_integer(found["input_rank"], "input_rank"),)
        if ranks[0] < 0:
            raise MessageRefused("invalid_json", "the input_rank is negative")
    low, stop, labels = _domain(found, "input_", ranks)
    outputs = found.get("output")
    if outputs is None and "output" not in found:
        return _body(low, stop, labels, _identity(len(low)))
    if not isinstance(outputs, list):
        raise MessageRefused("invalid_json", "the output is no list")
    return _body(low, stop, labels, [_output(one) for one in cast("list[Json]", outputs)])


def _output(found: Json) -> dict[str, Json]:
    if not isinstance(found, Mapping):
        raise MessageRefused("invalid_json", "an output map is no object")
    given = cast("Mapping[str, Json]", found)
    _only(given, _OUTPUT, "an output map")
    if "index_array" in given and "input_dimension" in given:
        raise MessageRefused("output_map_conflict", "an output map has an index_array and an input_dimension")
    made: dict[str, Json] = {"offset": _integer(given.get("offset", 0), "offset")}
    stride = _integer(given.get("stride", 1), "stride")
    if "index_array" in given:
        _check_nested(given["index_array"])
        bounds = given.get("index_array_bounds", list(_INFINITE))
        if not isinstance(bounds, list) or len(cast("list[Json]", bounds)) != 2:
            raise MessageRefused("invalid_json", "index_array_bounds are no pair")
        pair = [_value(one, "index_array_bounds") for one in cast("list[Json]", bounds)]
        return {**made, "stride": stride, "index_array": given["index_array"], "index_array_bounds": pair}
    if "input_dimension" in given:
        dimension = _integer(given["input_dimension"], "input_dimension")
        if dimension < 0:
            raise MessageRefused("invalid_json", "an input_dimension is negative")
        return {**made, "stride": stride, "input_dimension": dimension}
    return made


def _domain(found: Message, prefix: str, ranks: Sequence[int]) -> tuple[list[Json], list[Json], list[str]]:
    """Lower bounds, upper bounds and labels of the box that a message is about."""
    given = {name: _bounds(found[prefix + name], prefix + name) for name in _BOUNDS if prefix + name in found}
    if len(given.keys() - {"inclusive_min"}) > 1:
        raise MessageRefused("multiple_upper_bounds", "it says more than once where it ends")
    labels = _labels(found, f"{prefix}labels", None)
    lengths = {*ranks, *map(len, given.values()), *(() if labels is None else (len(labels),))}
    if len(lengths) > 1:
        raise MessageRefused("rank_mismatch", "its members have different ranks")
    rank = lengths.pop() if lengths else 0
    low = given.get("inclusive_min", [0] * rank)
    stop = given.get("exclusive_max", [["+inf"]] * rank)
    if "inclusive_max" in given:
        stop = [_plus(one, 1) for one in given["inclusive_max"]]
    if "shape" in given:
        stop = [_plus(size, first) for first, size in zip(low, given["shape"], strict=True)]
    for first, end in zip(low, stop, strict=True):
        if _extended(first) > _extended(end):
            raise MessageRefused("bounds_out_of_order", f"it begins at {first} and ends at {end}")
    return low, stop, [""] * rank if labels is None else labels


def _plus(bound: Json, more: Json) -> Json:
    """A bound moved on, implicit if it was; an infinite one stays where it is."""
    if isinstance(bound, list):
        return [_plus(bound[0], more)]
    more = more[0] if isinstance(more, list) else more
    if bound in _INFINITE:
        return bound
    if more in _INFINITE:
        raise MessageRefused("invalid_json", "a length that begins at no finite cell")
    return bound + more


def _extended(bound: Json) -> float | int:
    value = bound[0] if isinstance(bound, list) else bound
    return {"-inf": float("-inf"), "+inf": float("inf")}[value] if isinstance(value, str) else value


def _bounds(found: Json, name: str) -> list[Json]:
    if not isinstance(found, list):
        raise MessageRefused("invalid_json", f"{name} is no list")
    made: list[Json] = []
    for one in cast("list[Json]", found):
        if isinstance(one, list):
            implicit = cast("list[Json]", one)
            if len(implicit) != 1:
                raise MessageRefused("invalid_json", f"{name} has a list of {len(implicit)}")
            made.append([_value(implicit[0], name)])
        else:
            made.append(_value(one, name))
    return made


def _value(found: Json, name: str) -> int | str:
    return found if isinstance(found, str) and found in _INFINITE else _integer(found, name)


def _integer(found: Json, name: str) -> int:
    if type(found) is not int or not -(2**63) <= found < 2**63:
        raise MessageRefused("invalid_json", f"{name} has {str(found)[:64]}, which is no whole number of 64 bits")
    return found


def _integers(found: Message, name: str) -> list[int]:
    given = found.get(name)
    if not isinstance(given, list):
        raise MessageRefused("invalid_json", f"{name} is no list")
    return [_integer(one, name) for one in cast("list[Json]", given)]


def _labels(found: Message, name: str, rank: int | None) -> Any:
    if name not in found:
        return None if rank is None else [""] * rank
    given = found[name]
    if not isinstance(given, list) or any(not isinstance(one, str) for one in cast("list[Json]", given)):
        raise MessageRefused("invalid_json", f"{name} are no list of texts")
    return list(cast("list[str]", given))


def _check_nested(found: Json) -> None:
    """An index array is carried as it is written; its rank is a matter of the array it is applied to."""
    waiting = [found]
    if not isinstance(found, list):
        raise MessageRefused("invalid_json", "an index_array is no list")
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting.extend(cast("list[Json]", one))
        else:
            _integer(one, "index_array")


def _identity(rank: int) -> list[dict[str, Json]]:
    return [{"offset": 0, "stride": 1, "input_dimension": axis} for axis in range(rank)]


def _body(low: list[Json], stop: list[Json], labels: list[str], output: list[dict[str, Json]]) -> dict[str, Json]:
    return {
        "input_rank": len(low),
        "input_inclusive_min": low,
        "input_exclusive_max": stop,
        "input_labels": labels,
        "output": output,
    }


def _only(found: Message, known: frozenset[str], name: str) -> None:
    others = found.keys() - known
    if others:
        raise MessageRefused("unknown_field", f"{name} has no member {min(map(str, others))[:64]!r}")
