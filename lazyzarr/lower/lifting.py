"""The codec chain of a chunk as its axes lie in a view: transposed, with axes inserted and dropped.

1. A layout and the view axis of each chunk axis give a `Form`: the chain with every mention of an axis by its
   number in the view, and the order in which the axes longer than 1 are stored.
2. Forms of fragments that differ in nothing but axes of length 1 are equal; `common_order` finds the one order of
   axes that is right for all of them.
3. `spelled` writes a form as a Zarr v3 chain: value-wise decodes, one ``transpose`` where the order needs it, the
   rest.
The order of a ``transpose`` is that of the stored axes, so the one that undoes a transposed view is the inverse of
its permutation. Refuses chains whose codecs would see another shape and care (`Form.fixed`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import Struct

from lazyzarr.codecs.chain import codec_from_json
from lazyzarr.codecs.registry import SHARDING
from lazyzarr.ir.data_type import from_json, to_numpy
from lazyzarr.ir.layout import VALUE_WISE, Json, Layout, NamedConfig

_SERIAL = frozenset(("bytes", "vlen-utf8", "vlen-bytes"))
_FLAT = frozenset(
    f"numcodecs.{name}" for name in ("delta", "fixedscaleoffset", "quantize", "astype", "bitround", "packbits")
)
"""Array-to-array codecs that look at cells in C order and not at the shape."""


class Form(Struct, frozen=True):
    """A chain in terms of the axes of the view; forms that are equal as text decode alike."""

    decodes: tuple[NamedConfig, ...]
    rest: tuple[Json, ...]
    """Codecs behind the leading transposes, as JSON values; in a shard, axes by their number in the view."""
    fixed: tuple[int, ...] | None
    """The exact order of stored axes, for codecs that look at the shape; None: axes of length 1 lie anywhere."""


class Lifted(Struct, frozen=True):
    """A form with what only this chunk says."""

    form: Form
    order: tuple[int, ...]
    """View axes of the chunk axes that are fed, in stored order; those of length 1 included."""
    refusal: str = ""
    """Why the chain has no form in these axes."""


def lifted(layout: Layout, axes: Sequence[int], rank: int) -> Lifted:
    """The form of a layout whose chunk axis ``a`` runs along view axis ``axes[a]`` (negative: one cell, dropped).

    Examples
    --------
    >>> chain = (NamedConfig("transpose", {"order": [1, 0]}), NamedConfig("bytes", {"endian": "little"}))
    >>> turned = lifted(Layout("int16", 0, (4, 3), chain), (1, 0), 2)  # the view is transposed, too
    >>> turned.order
    (0, 1)
    """
    decodes, order, rest = _split(layout.codecs, len(axes))
    stored = tuple(axes[axis] for axis in order)
    fed = tuple(axis for axis in stored if axis >= 0)
    same_shape = len(fed) == len(stored) == rank
    if _is_free(rest):
        return Lifted(Form(decodes, _canonical(rest, layout, decodes), None), fed)
    if rest and rest[0].name == SHARDING:
        shard = _sharding(rest[0], stored, rank, same_shape)
        if isinstance(shard, str):
            return Lifted(Form(decodes, tuple(map(_plain, rest)), fed), fed, shard)
        return Lifted(Form(decodes, (shard, *map(_plain, rest[1:])), None), fed)
    why = "" if same_shape else f"codec {_culprit(rest)!r} has no rule for chunks with other axes"
    return Lifted(Form(decodes, tuple(map(_plain, rest)), stored), fed, why)


def spelled(form: Form, order: Sequence[int]) -> tuple[NamedConfig, ...]:
    """A form as a Zarr v3 chain, its axes stored in this order.

    Examples
    --------
    >>> form = Form((), ({"name": "bytes", "configuration": {"endian": "little"}},), None)
    >>> [codec.name for codec in spelled(form, (0, 1))], spelled(form, (1, 0))[0].configuration
    (['bytes'], {'order': [1, 0]})
    """
    turned = () if list(order) == sorted(order) else (NamedConfig("transpose", {"order": list(order)}),)
    return (*form.decodes, *turned, *(_spelled(codec, order) for codec in form.rest))


def common_order(orders: Iterable[Sequence[int]], rank: int) -> tuple[int, ...] | None:
    """One order of all axes in which each of the given ones (of the axes longer than 1) is kept, or None.

    Of several the one nearest to ascending, so that a chain without need of a ``transpose`` gets none.

    Examples
    --------
    >>> common_order([(2, 0), (0, 1)], 3), common_order([(0, 1), (1, 0)], 2), common_order([(2,)], 3)
    ((2, 0, 1), None, (0, 1, 2))
    """
    behind: dict[int, set[int]] = {axis: set() for axis in range(rank)}
    for order in orders:
        for before, after in pairwise(order):
            behind[after].add(before)
    found: list[int] = []
    while len(found) < rank:
        free = next((axis for axis in range(rank) if axis not in found and behind[axis] <= set(found)), None)
        if free is None:
            return None
        found.append(free)
    return tuple(found)


def stored_type(data_type: str | NamedConfig, decodes: Iterable[NamedConfig]) -> str | NamedConfig:
    """Data type below value-wise decodes."""
    for codec in decodes:
        member = {"cast_value": "data_type", "lazyzarr.unpack": "stored_type"}.get(codec.name)
        if member is not None:
            data_type = from_json(codec.configuration[member])
    return data_type


def is_raw(layout: Layout) -> bool:
    """Whether the stored bytes are the cells in the stored order of axes: then bytes can be cut."""
    _, _, rest = _split(layout.codecs, len(layout.chunk_shape))
    return len(rest) == 1 and rest[0].name == "bytes" and to_numpy(layout.data_type).kind not in "TO"


def stored_axes(layout: Layout) -> tuple[int, ...]:
    """Chunk axes in stored order."""
    return _split(layout.codecs, len(layout.chunk_shape))[1]


def _split(
    codecs: Sequence[NamedConfig], rank: int
) -> tuple[tuple[NamedConfig, ...], tuple[int, ...], tuple[NamedConfig, ...]]:
    """Value-wise decodes, the axes in stored order after the leading transposes, and the rest."""
    decodes: list[NamedConfig] = []
    order = tuple(range(rank))
    at = 0
    for at, codec in enumerate(codecs):  # noqa: B007
        if codec.name == "transpose":
            order = tuple(order[axis] for axis in _order(codec, rank))
        elif codec.name in VALUE_WISE:
            decodes.append(codec)  # it commutes with transposes
        else:
            break
    return tuple(decodes), order, tuple(codecs[at:])


def _order(codec: NamedConfig, rank: int) -> Sequence[int]:
    order = codec.configuration["order"]
    if order in ("C", "F"):
        return range(rank) if order == "C" else range(rank)[::-1]
    return order


def _is_free(rest: Sequence[NamedConfig]) -> bool:
    """Whether the codecs see cells in C order only, so that axes of length 1 make no difference."""
    for codec in rest:
        if codec.name in _SERIAL:
            return True
        if codec.name not in _FLAT:
            return False
    return False


def _culprit(rest: Sequence[NamedConfig]) -> str:
    return next(codec.name for codec in rest if codec.name not in _FLAT)


def _canonical(rest: Sequence[NamedConfig], layout: Layout, decodes: Sequence[NamedConfig]) -> tuple[Json, ...]:
    """Codecs as JSON values; a byte order of single bytes says nothing."""
    stored = to_numpy(stored_type(layout.data_type, decodes))
    if rest[0].name == "bytes" and stored.itemsize == 1 and stored.fields is None:
        rest = (NamedConfig("bytes"), *rest[1:])
    return tuple(map(_plain, rest))


def _sharding(codec: NamedConfig, stored: Sequence[int], rank: int, same_shape: bool) -> Json | str:
    """A shard with axes by their number in the view, or why it has no such form."""
    conf = codec.configuration
    inner = {axis: length for axis, length in zip(stored, conf["chunk_shape"], strict=True) if axis >= 0}
    codecs = [codec_from_json(one) for one in conf["codecs"]]
    decodes, order, rest = _split(codecs, len(stored))
    index = [codec_from_json(one) for one in conf["index_codecs"]]
    if any(one.name == "transpose" for one in index) and not same_shape:
        return "the index of its shards is transposed, for which there is no rule with other axes"
    nested: Json = tuple(map(_plain, rest))
    turned = tuple(stored[axis] for axis in order)
    fed = [axis for axis in turned if axis >= 0]
    exact = not _is_free(rest) and rest[0].name != SHARDING
    if rest[0].name == SHARDING:
        deeper = _sharding(rest[0], turned, rank, same_shape)
        if isinstance(deeper, str):
            return deeper
        nested = (deeper, *nested[1:])
    elif exact and not same_shape:
        return f"codec {_culprit(rest)!r} inside its shards has no rule for chunks with other axes"
    return {
        "name": SHARDING,
        "lengths": [inner.get(axis, 1) for axis in range(rank)],
        "decodes": list(map(_plain, decodes)),
        "order": fed if exact else [axis for axis in fed if inner[axis] > 1],
        "exact": exact,
        "rest": list(nested),
        "index": list(map(_plain, index)),
        "location": conf.get("index_location", "end"),
    }


def _spelled(codec: Mapping[str, Any], order: Sequence[int]) -> NamedConfig:
    if codec["name"] != SHARDING or "lengths" not in codec:
        return NamedConfig(codec["name"], codec["configuration"])
    here = list(order) if codec["exact"] else [axis for axis in order if codec["lengths"][axis] > 1]
    inner_order = tuple(order)
    codecs: list[Json] = list(codec["decodes"])
    if codec["order"] != here:
        inner_order = common_order([codec["order"]], len(order))
        assert inner_order is not None
        position = {axis: number for number, axis in enumerate(order)}
        codecs.append({"name": "transpose", "configuration": {"order": [position[axis] for axis in inner_order]}})
    codecs.extend(_plain(_spelled(one, inner_order)) for one in codec["rest"])
    return NamedConfig(
        SHARDING,
        {
            "chunk_shape": [codec["lengths"][axis] for axis in order],
            "codecs": codecs,
            "index_codecs": codec["index"],
            "index_location": codec["location"],
        },
    )


def _plain(codec: NamedConfig) -> Json:
    return {"name": codec.name, "configuration": codec.configuration}


def text(form: Form) -> bytes:
    """A form as text, for comparison."""
    return msgspec.json.encode(form, order="deterministic")


def long_axes(order: Sequence[int], lengths: Sequence[int]) -> tuple[int, ...]:
    """Of an order of axes those longer than 1: only their order shows in the bytes."""
    return tuple(axis for axis in order if lengths[axis] > 1)
