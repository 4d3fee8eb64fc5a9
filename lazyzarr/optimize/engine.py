"""Rewriting a graph to its normal form, with every rewrite checked.

1. Start at the view. A node is rewritten as long as a rule fires; then its inputs are, so that selections fuse and
   reach what they select from before anything else is looked at.
2. Inputs that several nodes use are rewritten first and once; what they become is known to all of them.
3. After a rewrite of an input its user looks again. What has been left behind is not looked at any more.
4. If a rule declined because a node was shared, and it no longer is, the whole is gone through again.

The normal form has, from the sources outwards, ``source < decode < index, take < transpose, broadcast < concat, stack,
overlay``, which is a list of placements; only joins that are shared and large keep what stands on them outside.

The engine distrusts its rules: after each rewrite shape and data type are compared (the fill value of a join is only
that of its first input, which may be left out), and the measure (`lazyzarr.optimize.measure`) must be lower. Refuses recursion: all loops have their own stacks, so long chains are as good as short ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lazyzarr.errors import ViewSchemaError
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.nodes import Concat, Node
from lazyzarr.optimize import rules_axes, rules_index, rules_join, rules_take, rules_value
from lazyzarr.optimize.measure import is_lower
from lazyzarr.optimize.rule import Rule
from lazyzarr.optimize.site import Site
from lazyzarr.optimize.steps import Step, phrase

Observer = Callable[[Step], None]

RULES: tuple[Rule, ...] = (
    *(*rules_index.RULES, *rules_take.RULES, *rules_axes.RULES),
    *(*rules_join.RULES, *rules_value.RULES),
)
"""All laws; where several apply to a node, the first one fires."""

_NOBODY = -1


class RuleError(RuntimeError):
    """A rule broke its promise: an error in this library, never in a graph."""


def optimize(graph: Graph, *, observer: Observer | None = None) -> Graph:
    """A graph with the same meaning in normal form; the same object if it is in normal form already.

    Parameters
    ----------
    graph
        A valid graph.
    observer
        Called with each `Step`.

    Examples
    --------
    >>> from lazyzarr.algebra.span import Span
    >>> from lazyzarr.ir.nodes import Fill, Index
    >>> one, two = Fill((4,), "int8", 1), Fill((4,), "int8", 2)
    >>> view = Graph([one, two, Concat((0, 1), 0), Index(2, (Span(5, 1, 2),))])
    >>> optimize(view, observer=lambda step: print(step.rule)).nodes
    index_of_concat
    index_of_fill
    (Fill(shape=(2,), data_type='int8', value=2),)
    """
    engine = _Engine(Site(graph), observer)
    while engine.sweep():
        pass
    return engine.site.build() if engine.fired else graph


def apply_rule(graph: Graph, rule: Rule | str) -> Graph | None:
    """The graph with one rule fired once, at the node nearest the view that it applies to; None: at none.

    Parameters
    ----------
    graph
        A valid graph.
    rule
        A member of `RULES`, or its name.

    Examples
    --------
    >>> from lazyzarr.ir.nodes import Fill, Transpose
    >>> twice = Graph([Fill((2, 3), "int8", 1), Transpose(0, (1, 0)), Transpose(1, (1, 0))])
    >>> apply_rule(twice, "transpose_of_transpose").nodes
    (Fill(shape=(2, 3), data_type='int8', value=1),)
    >>> apply_rule(twice, "transpose_of_nothing") is None
    True
    """
    law = rule if isinstance(rule, Rule) else next(known for known in RULES if known.name == rule)
    site = Site(graph)
    fired = _first(site, len(graph.nodes), (law,))
    return site.build() if fired else None


def is_normal(graph: Graph) -> bool:
    """Whether no rule applies to any node of a graph.

    Examples
    --------
    >>> from lazyzarr.ir.nodes import Fill, Transpose
    >>> is_normal(Graph([Fill((2, 3), "int8", 1), Transpose(0, (1, 0))]))
    False
    """
    return not _first(Site(graph), len(graph.nodes), RULES)


def _first(site: Site, count: int, rules: Sequence[Rule]) -> bool:
    """Fire the first of some rules that applies, from the view inwards."""
    for position in range(count - 1, -1, -1):
        for rule in rules:
            if rule.matches(site, position) and _fire(site, rule, position, None) is not None:
                return True
    return False


def _fire(site: Site, rule: Rule, position: int, observer: Observer | None) -> int | None:
    """Rewrite a node with a rule that matches it, and check what the rule promised."""
    try:
        made = rule.rewrite(site, position)
    except ViewSchemaError as error:
        raise RuleError(f"{rule.name} made nodes that do not fit, from {phrase(site, position)}: {error}") from error
    if made is None:
        return None
    made = site.latest(made)
    before, after = site.weight(position), site.weight(made)
    schemas = site.schema(position), site.schema(made)
    if schemas[0].shape != schemas[1].shape or schemas[0].data_type != schemas[1].data_type:
        raise RuleError(f"{rule.name} changed the schema of {phrase(site, position)} to {schemas[1]}")
    if not is_lower(after, before):
        raise RuleError(f"{rule.name} did not lower {before} of {phrase(site, position)}: {after}")
    if observer is not None:
        texts = phrase(site, position), phrase(site, made)
        observer(Step(rule.name, position, *texts, before.measure, after.measure))
    site.replace(position, made)
    return made


class _Engine:
    """One run over a site: which nodes are in normal form, and what to look at next."""

    def __init__(self, site: Site, observer: Observer | None) -> None:
        self.site = site
        self.observer = observer
        self.fired = 0
        self._normal: set[int] = set()
        self._left: set[int] = set()
        """Concats that were left to the concat around them."""
        self._rules: dict[tuple[type[Node], type[Node] | None], tuple[Rule, ...]] = {}

    def sweep(self) -> bool:
        """Bring the view into normal form; whether it has to be gone through again."""
        fired = self.fired
        self._normal.clear()
        self._left.clear()
        self.site.asked.clear()
        self._normalise()
        if self.fired == fired:
            return False
        freed = any(0 < self.site.users(x) < users for x, users in self.site.asked.items())
        return freed or any(self.site.users(x) for x in self._left)

    def _normalise(self) -> None:
        site = self.site
        waiting = [(site.root, _NOBODY)]
        while waiting:
            position, user = waiting[-1]
            current = site.refreshed(position)
            if current in self._normal:
                waiting.pop()
                continue
            unfinished = self._unfinished(current)
            shared = [x for x in unfinished if site.users(x) > 1]
            if shared:
                waiting.extend((x, _NOBODY) for x in shared)
                continue
            if self._rewritten(current, user):
                if user != _NOBODY and len(site.inputs(user)) == 1:
                    waiting.pop()  # the user of an only input may now have a rule for it
                continue
            if unfinished:
                waiting.extend((x, current) for x in unfinished)
                continue
            self._normal.add(current)
            waiting.pop()

    def _unfinished(self, position: int) -> list[int]:
        """Inputs that are not in normal form yet, the first one last."""
        site, normal = self.site, self._normal
        return [x for x in reversed(site.inputs(position)) if not site.is_leaf(x) and x not in normal]

    def _rewritten(self, position: int, user: int) -> bool:
        for rule in self._matching(position):
            if rule.outermost and self._nested(position, user):
                self._left.add(position)
                continue
            if _fire(self.site, rule, position, self.observer) is not None:
                self.fired += 1
                return True
        return False

    def _nested(self, position: int, user: int) -> bool:
        """Whether a concat is the input of one along the same axis, which will take in all below it at once."""
        node, around = self.site.node(position), None if user == _NOBODY else self.site.node(user)
        return isinstance(node, Concat) and isinstance(around, Concat) and node.axis == around.axis

    def _matching(self, position: int) -> tuple[Rule, ...]:
        """Rules for the kinds of a node and its first input, in order."""
        inputs = self.site.inputs(position)
        kinds = (type(self.site.node(position)), type(self.site.node(inputs[0])) if inputs else None)
        if kinds not in self._rules:
            self._rules[kinds] = tuple(
                rule for rule in RULES if rule.outer is kinds[0] and (not rule.inner or kinds[1] in rule.inner)
            )
        return self._rules[kinds]
