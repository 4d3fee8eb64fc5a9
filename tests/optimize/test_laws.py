"""Every rule alone: both sides of its law as programs, and programs that it leaves alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lazyzarr.ir.layout import NamedConfig
from lazyzarr.ir.nodes import OverlapRule
from lazyzarr.optimize import RULES
from tests.optimize.programs import (
    Program,
    assert_declines,
    assert_rewrites,
    assert_same_meaning,
    concat,
    full,
    overlay,
    stack,
    stored,
)

a = stored(4, 6)
b = stored(4, 6, first=100)
c = stored(4, 6, first=200)
one = stored(1, 6, first=300)
none = stored(0, 6)
cube = stored(2, 3, 4)
UNPACK = NamedConfig(
    "lazyzarr.unpack",
    {
        "scale_factor": 0.5,
        "add_offset": 1.0,
        "fill_values": [3],
        "stored_type": "int16",
        "data_type": "float32",
        "arithmetic": "float32",
    },
)
WIDEN = NamedConfig("cast_value", {"data_type": "float32"})


def twice(joined: Program, left: Callable[[Program], Program], right: Callable[[Program], Program]) -> Program:
    """Both sides of a stack see the same large join."""
    return stack([left(joined), right(joined)])


def over(overlap: OverlapRule, *programs: Program) -> Program:
    """All at the same corner of one overlay."""
    return overlay((4, 6), [(program, (0, 0)) for program in programs], overlap=overlap)


def large(axis: int = 0) -> Program:
    """A join of more nodes than are copied."""
    return concat([stored(2, 3, first=6 * k) for k in range(600)], axis)


LAWS: list[tuple[str, Program, Program]] = [
    # index
    ("index_of_everything", a[:], a),
    ("index_of_index", a[1:4, ::-2][::2, 1], a[1:4:2, 3]),
    ("index_of_index", a[2][1:5], a[2, 1:5]),
    ("index_of_index", a[::-1][::-1], a),
    ("index_of_nothing", a[2:2], full((0, 6), 0)),
    ("index_of_fill", full((4, 6), 7)[1:3, 2], full((2,), 7)),
    ("index_of_decode", concat([a, b]).decode()[3:7], concat([a, b])[3:7].decode()),
    ("index_of_take", a.take([3, 0, 0, 2], 0)[1:3, 2:5], a[:, 2:5].take([0, 0], 0)),
    ("index_of_take", a.take([5, 0, 1], 1)[2, ::-1], a[2].take([1, 0, 5], 0)),
    ("index_of_take", a.take([3, 0, 2], 0)[2, 1:4], a[2, 1:4]),
    ("index_of_transpose", a.T[1:3, ::-1], a[::-1, 1:3].T),
    ("index_of_transpose", a.T[2], a[:, 2]),
    ("index_of_transpose", cube.transpose(2, 0, 1)[1, :, 1:], cube[:, 1:, 1]),
    ("index_of_transpose", cube.transpose(2, 0, 1)[1:, :, 1], cube[:, 1, 1:].T),
    ("index_of_broadcast", one.broadcast((5, 4, 6))[1:3, 2:, ::2], one[:, ::2].broadcast((2, 2, 3))),
    ("index_of_broadcast", one.broadcast((5, 4, 6))[1, 2, 3:], one[0, 3:]),
    ("index_of_broadcast", a.broadcast((4, 3, 6), (0, 2))[2, :2], a[2].broadcast((2, 6))),
    ("index_of_concat", concat([a, b, c])[5:7, 1:], b[1:3, 1:]),
    ("index_of_concat", concat([a, b, c])[5, 1:], b[1, 1:]),
    ("index_of_concat", concat([a, b, c])[6:2:-1, ::2], concat([b[2::-1, ::2], a[3:4, ::2]])),
    ("index_of_concat", concat([a, b, c])[::5], concat([a[:1], b[1:2], c[2:3]])),
    ("index_of_concat", concat([a, b, c], 1)[2, 3:9], concat([a[2, 3:], b[2, :3]])),
    ("index_of_stack", stack([a, b, c])[1, 2:], b[2:]),
    ("index_of_stack", stack([a, b, c], 1)[2:, ::-2], stack([c[2:], a[2:]], 1)),
    ("index_of_stack", stack([a, b, c], 2)[3, :, :2], stack([a[3], b[3]], 1)),
    ("index_of_overlay", overlay((9, 9), [(a, (0, 0)), (b, (5, 3))])[6:, 1:5], overlay((3, 4), [(b[1:, :2], (0, 2))])),
    ("index_of_overlay", overlay((9, 9), [(a, (0, 0)), (b, (5, 3))])[4, 1:5], full((4,), -1)),
    (
        "index_of_overlay",
        overlay((9, 9), [(a, (0, 0)), (b, (2, 2))], overlap="last")[7::-3, 2:],
        overlay((3, 7), [(a[1:2, 2:], (2, 0)), (b[2:3], (1, 0))], overlap="last"),
    ),
    (
        "index_of_overlay",
        overlay((8, 6), [(a, (0, 0)), (b, (1, 0))], steps=[(2, 1), (2, 1)])[1:7, 3],
        overlay((6,), [(a[1:, 3], (1,)), (b[:3, 3], (0,))], steps=[(2,), (2,)]),
    ),
    (
        "index_of_overlay",
        overlay((8, 6), [(a, (0, 0)), (b, (1, 0))], steps=[(2, 1), (2, 1)])[::-2],
        overlay((4, 6), [(b[::-1], (0, 0))]),
    ),
    (
        "index_of_overlay",
        overlay((8, 6), [(a, (0, 0)), (b, (1, 0))], steps=[(2, 1), (2, 1)])[::3],
        overlay((3, 6), [(a[::3], (0, 0)), (b[1:2], (1, 0))], steps=[(2, 1), (1, 1)]),
    ),
    # take
    ("take_of_nothing", a.take([], 1), full((4, 0), 0)),
    ("take_in_steps", a.take([5, 3, 1], 1), a[:, 5:0:-2]),
    ("take_in_steps", a.take([2], 0), a[2:3]),
    ("take_of_take", a.take([3, 1, 1, 0], 0).take([3, 3, 1], 0), a.take([0, 0, 1], 0)),
    (
        "take_of_take",
        a.take([3, 1, 1, 0], 0).take([0, 0, 4], 1).take([3, 3, 1], 0),
        a.take([0, 0, 1], 0).take([0, 0, 4], 1),
    ),
    ("take_of_fill", full((4, 6), 7).take([0, 0, 1], 1), full((4, 3), 7)),
    ("take_of_transpose", a.T.take([3, 0, 0], 0), a.take([3, 0, 0], 1).T),
    ("take_of_broadcast", a.broadcast((2, 4, 6)).take([3, 0, 0], 2), a.take([3, 0, 0], 1).broadcast((2, 4, 3))),
    ("take_of_broadcast", a.broadcast((2, 4, 6)).take([1, 0, 0], 0), a.broadcast((3, 4, 6))),
    ("take_of_broadcast", one.broadcast((2, 6)).take([1, 0, 0], 0), one.broadcast((3, 6))),
    ("take_of_broadcast", one.broadcast((2, 6)).take([1], 0), one),
    ("take_across_concat", concat([a, b]).take([3, 0, 0], 1), concat([a.take([3, 0, 0], 1), b.take([3, 0, 0], 1)])),
    ("take_along_concat", concat([a, b, c]).take([6, 4, 4], 0), b.take([2, 0, 0], 0)),
    ("take_across_stack", stack([a, b]).take([3, 0, 0], 2), stack([a.take([3, 0, 0], 1), b.take([3, 0, 0], 1)])),
    ("take_along_stack", stack([a, b, c], 1).take([2, 0, 1], 1), stack([c, a, b], 1)),
    (
        "take_across_overlay",
        overlay((9, 6), [(a, (0, 0)), (b, (2, 0))], overlap="last").take([3, 0, 0], 1),
        overlay((9, 3), [(a.take([3, 0, 0], 1), (0, 0)), (b.take([3, 0, 0], 1), (2, 0))], overlap="last"),
    ),
    # transpose and broadcast
    ("transpose_of_nothing", a.transpose(0, 1), a),
    ("transpose_of_transpose", cube.transpose(2, 0, 1).transpose(1, 0, 2), cube.transpose(0, 2, 1)),
    ("transpose_of_transpose", a.T.T, a),
    ("transpose_of_fill", full((4, 6), 7).T, full((6, 4), 7)),
    ("transpose_of_broadcast", a.broadcast((5, 4, 6)).transpose(2, 0, 1), a.T.broadcast((6, 5, 4), (0, 2))),
    ("transpose_of_broadcast", a.broadcast((5, 4, 6)).transpose(1, 0, 2), a.broadcast((4, 5, 6), (0, 2))),
    ("transpose_of_concat", concat([a, b]).T, concat([a.T, b.T], 1)),
    ("transpose_of_stack", stack([a, b]).transpose(2, 0, 1), stack([a.T, b.T], 1)),
    (
        "transpose_of_overlay",
        overlay((8, 7), [(a, (0, 1)), (b, (1, 0))], steps=[(2, 1), (2, 1)]).T,
        overlay((7, 8), [(a.T, (1, 0)), (b.T, (0, 1))], steps=[(1, 2), (1, 2)]),
    ),
    ("broadcast_of_nothing", a.broadcast((4, 6)), a),
    ("broadcast_of_broadcast", one.broadcast((4, 6)).broadcast((2, 4, 6)), one.broadcast((2, 4, 6))),
    ("broadcast_of_fill", full((1, 6), 7).broadcast((4, 6)), full((4, 6), 7)),
    ("broadcast_of_concat", concat([a, b]).broadcast((2, 8, 6)), concat([x.broadcast((2, 4, 6)) for x in (a, b)], 1)),
    ("broadcast_of_concat", concat([one, one], 1).broadcast((3, 12)), concat([one.broadcast((3, 6))] * 2, 1)),
    ("broadcast_of_stack", stack([a, b]).broadcast((3, 2, 4, 6)), stack([x.broadcast((3, 4, 6)) for x in (a, b)], 1)),
    ("broadcast_of_stack", stack([a]).broadcast((3, 4, 6)), a.broadcast((3, 4, 6))),
    (
        "broadcast_of_overlay",
        overlay((1, 8), [(one, (0, 1))]).broadcast((2, 5, 8)),
        overlay((2, 5, 8), [(one.broadcast((2, 5, 6)), (0, 0, 1))]),
    ),
    # joins
    ("concat_of_concat", concat([concat([a, b]), c, concat([a, concat([b, c])])]), concat([a, b, c, a, b, c])),
    ("concat_of_empty", concat([a, none, b]), concat([a, b])),
    ("concat_of_empty", concat([none, full((0, 6), 1)]), concat([none])),
    ("concat_of_one", concat([a]), a),
    ("concat_of_fills", concat([a, full((2, 6), 7), full((3, 6), 7), b]), concat([a, full((5, 6), 7), b])),
    ("stack_of_one", stack([a], 1), a.broadcast((4, 1, 6), (0, 2))),
    ("stack_of_fills", stack([full((4,), 7)] * 3), full((3, 4), 7)),
    ("overlay_of_hidden", over("first", a, one), over("first", a)),
    ("overlay_of_hidden", over("last", one, a), over("last", a)),
    ("overlay_of_hidden", over("last", a, b), over("last", b)),
    ("overlay_of_hidden", over("first", a, b), over("first", a)),
    ("overlay_of_hidden", overlay((9, 6), [(a, (0, 0)), (none, (9, 0))]), overlay((9, 6), [(a, (0, 0))])),
    ("overlay_of_hidden", overlay((9, 6), [(none, (9, 0))]), full((9, 6), -1)),
    ("overlay_of_one", overlay((4, 6), [(a, (0, 0))]), a),
    # decode
    (
        "decode_of_decode",
        a.decode(UNPACK).decode(WIDEN, data_type="float64"),
        a.decode(WIDEN, UNPACK, data_type="float64"),
    ),
    ("decode_of_fill", full((4, 6), 5).decode(UNPACK), full((4, 6), 3.5, "float32")),
    ("decode_of_fill", full((4, 6), 3).decode(UNPACK), full((4, 6), "NaN", "float32")),
    ("decode_of_view", a[1:3].decode(UNPACK), a.decode(UNPACK)[1:3]),
    ("decode_of_view", a.take([3, 0, 0], 0).decode(), a.decode().take([3, 0, 0], 0)),
    ("decode_of_view", a.T.decode(), a.decode().T),
    ("decode_of_view", one.broadcast((4, 6)).decode(), one.decode().broadcast((4, 6))),
    ("decode_of_join", concat([a, b]).decode(UNPACK), concat([a.decode(UNPACK), b.decode(UNPACK)])),
    (
        "decode_of_join",
        stack([stored(4, fill_value=9), stored(4, first=7, fill_value=3)]).decode(UNPACK),
        stack([stored(4, fill_value=9).decode(UNPACK), stored(4, first=7, fill_value=3).decode(UNPACK)]),
    ),
    (
        "decode_of_overlay",
        overlay((9, 6), [(a, (0, 0)), (b, (5, 0))], value=5).decode(UNPACK),
        overlay((9, 6), [(a.decode(UNPACK), (0, 0)), (b.decode(UNPACK), (5, 0))], value=3.5),
    ),
]

DECLINES: list[tuple[str, Program]] = [
    ("index_of_everything", a[1:]),
    ("index_of_everything", a[::-1]),
    ("index_of_nothing", a[1:2]),
    ("index_of_index", a[1:].T[1:].T),
    ("index_of_fill", a[1:]),
    ("index_of_decode", a.decode()[3:]),
    ("index_of_take", a[1:].take([1, 1], 0)),
    ("index_of_transpose", a[1:].T),
    ("index_of_broadcast", a[1:].broadcast((2, 3, 6))),
    ("index_of_concat", twice(large(), lambda x: x[::3], lambda x: x[::3, ::-1][::-1])),
    ("index_of_concat", concat([a, b])[2:2]),
    ("index_of_stack", concat([a, b])[1:7]),
    ("index_of_stack", stack([a, b])[1:1]),
    ("index_of_overlay", concat([a, b])[1:7]),
    ("take_of_nothing", a.take([1, 1], 0)),
    ("take_in_steps", a.take([1, 1], 0)),
    ("take_in_steps", a.take([1, 2, 0], 0)),
    ("take_of_take", a.take([1, 1], 0).take([2, 2], 1)),
    ("take_of_fill", a.take([1, 1], 0)),
    ("take_of_transpose", a.take([1, 1], 0).T),
    ("take_of_broadcast", a.take([1, 1], 0).broadcast((2, 2, 6))),
    ("take_across_concat", concat([a, b]).take([1, 7], 0)),
    ("take_across_concat", twice(large(), lambda x: x.take([1, 1, 0], 1), lambda x: x)),
    ("take_along_concat", concat([a, b]).take([1, 7, 1], 0)),
    ("take_along_concat", concat([a, b]).take([1, 1], 1)),
    ("take_along_concat", concat([a, b]).take([], 0)),
    ("take_across_stack", stack([a, b]).take([1, 1], 0)),
    ("take_along_stack", stack([a, b]).take([], 0)),
    ("take_along_stack", stack([a, b]).take([1, 1], 0)),
    ("take_along_stack", stack([a, b]).take([1, 1], 1)),
    ("take_across_overlay", overlay((9, 6), [(a, (0, 0))]).take([1, 1], 0)),
    ("transpose_of_nothing", a.T),
    ("transpose_of_transpose", a.T[1:].T),
    ("transpose_of_fill", a.T),
    ("transpose_of_broadcast", a.T.broadcast((2, 6, 4))),
    ("transpose_of_concat", twice(concat([large()] * 2, 1), lambda x: x.transpose(1, 0).transpose(1, 0), lambda x: x)),
    ("transpose_of_stack", concat([a, b]).T),
    ("transpose_of_overlay", concat([a, b]).T),
    ("broadcast_of_nothing", a.broadcast((1, 4, 6))),
    ("broadcast_of_broadcast", a.broadcast((1, 4, 6))),
    ("broadcast_of_fill", a.broadcast((1, 4, 6))),
    ("broadcast_of_concat", concat([one, none]).broadcast((4, 6))),
    ("broadcast_of_stack", concat([a, b]).broadcast((2, 8, 6))),
    ("broadcast_of_overlay", overlay((1, 6), [(one, (0, 0)), (none, (0, 0))]).broadcast((4, 6))),
    ("concat_of_concat", concat([concat([a, b], 1), concat([b, c], 1)])),
    ("concat_of_concat", concat([concat([a, b])] * 2)),
    ("concat_of_empty", concat([none])),
    ("concat_of_one", concat([a, b])),
    ("concat_of_fills", concat([full((2, 6), 1), a, full((2, 6), 1), full((2, 6), 2)])),
    ("concat_of_fills", concat([full((2,), 0.0, "float32"), full((2,), -0.0, "float32")])),
    ("stack_of_one", stack([a, b])),
    ("stack_of_one", stack([concat([a, b])])),
    ("stack_of_fills", stack([full((4,), 7), full((4,), 8)])),
    ("stack_of_fills", stack([full((6,), 7), a[0]])),
    ("overlay_of_hidden", over("last", a, one)),
    ("overlay_of_hidden", over("first", a[:, ::2], one)),
    ("overlay_of_hidden", overlay((4, 6), [(a[::2], (0, 0)), (one, (1, 0))], overlap="first", steps=[(2, 1), (1, 1)])),
    ("overlay_of_one", overlay((5, 6), [(a, (0, 0))])),
    ("overlay_of_one", overlay((4, 6), [(a[:2], (0, 0)), (b[:2], (2, 0))])),
    ("decode_of_decode", a.decode()),
    ("decode_of_fill", a.decode()),
    ("decode_of_view", a.decode()[1:]),
    ("decode_of_view", concat([a, b])[1:7].decode()),
    ("decode_of_join", twice(large(), lambda x: x.decode(), lambda x: x.decode(UNPACK))),
    ("decode_of_overlay", concat([a, b]).decode()),
]


@pytest.mark.parametrize(("rule", "left", "right"), LAWS)
def test_both_sides_are_the_same(rule: str, left: Program, right: Program) -> None:
    assert_rewrites(rule, left, right)
    assert assert_same_meaning(left) == assert_same_meaning(right)


@pytest.mark.parametrize(("rule", "program"), DECLINES)
def test_a_rule_declines(rule: str, program: Program) -> None:
    assert_declines(rule, program)


def test_every_rule_has_a_law_and_declines() -> None:
    names = {rule.name for rule in RULES}
    assert len(names) == len(RULES)
    assert names == {rule for rule, *_ in LAWS}
    assert names == {rule for rule, _ in DECLINES}
    assert all("=" in rule.equation for rule in RULES)
