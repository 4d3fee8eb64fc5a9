"""Laws of decodes: what happens cell by cell happens at the source.

Owns the rules whose outer node is a decode. A decode commutes with everything that only moves cells; constants are
decoded at once. Refuses to decode anything but constants, and to fuse with a recode, which is part of its source.

The fill value that a decode declares may be that of an input that has been left out since; the rules work it out anew.
Where a constant has no value in the decoded type they say nothing: whether it is ever read is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import msgspec

from lazyzarr.codecs.values import decoded_value
from lazyzarr.errors import ChunkDecodeError
from lazyzarr.ir.data_type import DataType
from lazyzarr.ir.layout import Json, NamedConfig
from lazyzarr.ir.nodes import (
    Broadcast,
    Concat,
    Decode,
    Fill,
    Index,
    Overlay,
    Stack,
    Take,
    Transpose,
)
from lazyzarr.optimize.rule import rule
from lazyzarr.optimize.site import Site

_text = msgspec.json.Encoder().encode


@rule(Decode, Decode)
def decode_of_decode(site: Site, node: Decode, inner: Decode) -> int | None:
    """decode(decode(x, c), d) = decode(x, d + c), codecs being in encoding order"""
    codecs = (*node.codecs, *inner.codecs)
    return _decode(site, Decode(inner.input, codecs, node.data_type, node.fill_value), inner.input)


@rule(Decode, Fill)
def decode_of_fill(site: Site, node: Decode, inner: Fill) -> int | None:
    """decode(fill(c)) = fill(decoded c)"""
    value = _decoded(inner.value, inner.data_type, node)
    return None if value is None else site.make(Fill(inner.shape, node.data_type, value))


@rule(Decode, Index, Take, Transpose, Broadcast)
def decode_of_view(site: Site, node: Decode, inner: Index | Take | Transpose | Broadcast) -> int | None:
    """decode(f(x)) = f(decode(x)), for f an index, take, transpose or broadcast"""
    if isinstance(inner, Index) and site.weight(inner.input).joins:
        return None  # the index goes first: it may leave few inputs to decode
    x = _decode(site, node, inner.input)
    return None if x is None else site.make(msgspec.structs.replace(inner, input=x))


@rule(Decode, Concat, Stack)
def decode_of_join(site: Site, node: Decode, inner: Concat | Stack) -> int | None:
    """decode(join(x0, x1, ..)) = join(decode(x0), decode(x1), ..), for a concat or a stack"""
    if not site.may_copy(node.input):
        return None
    inputs = _decode_all(site, node, inner.inputs)
    return None if inputs is None else site.make(msgspec.structs.replace(inner, inputs=inputs))


@rule(Decode, Overlay)
def decode_of_overlay(site: Site, node: Decode, inner: Overlay) -> int | None:
    """decode(overlay(x0 at o0, ..; c)) = overlay(decode(x0) at o0, ..; decoded c)"""
    if not site.may_copy(node.input):
        return None
    background = _decoded(inner.fill_value, site.schema(node.input).data_type, node)
    inputs = _decode_all(site, node, inner.inputs)
    if background is None or inputs is None:
        return None
    return site.make(msgspec.structs.replace(inner, inputs=inputs, fill_value=background))


def _decode_all(site: Site, node: Decode, inputs: Iterable[int]) -> tuple[int, ...] | None:
    decoded: list[int] = []
    for x in inputs:
        made = _decode(site, node, x)
        if made is None:
            return None
        decoded.append(made)
    return tuple(decoded)


def _decode(site: Site, node: Decode, x: int) -> int | None:
    """What decodes to the view of a decode, decoded; None where its fill value cannot be."""
    stored = site.schema(x)
    value = _decoded(stored.fill_value, stored.data_type, node)
    return None if value is None else site.make(Decode(x, node.codecs, node.data_type, value))


def _decoded(value: Json, stored: DataType, node: Decode) -> Json | None:
    return _decoded_text(_text(value), stored, node.codecs, node.data_type)


@lru_cache(maxsize=1 << 10)
def _decoded_text(text: bytes, stored: DataType, codecs: tuple[NamedConfig, ...], data_type: DataType) -> Json | None:
    """A constant in the decoded type; None where it has no value there."""
    try:
        return decoded_value(msgspec.json.decode(text), stored, codecs, data_type)
    except ChunkDecodeError:
        return None


RULES = (decode_of_decode, decode_of_fill, decode_of_view, decode_of_join, decode_of_overlay)
