"""Graphs to equal graphs in normal form, law by law: `optimize`.

``RULES`` are the laws in the order in which they are tried, each with its ``name`` and ``equation``. `apply_rule` fires
one of them alone; `is_normal` says whether any would. The engine is in `lazyzarr.optimize.engine`, why it ends in
`lazyzarr.optimize.measure`, the laws by subject in ``lazyzarr.optimize.rules_*``.
"""

from lazyzarr.optimize.engine import RULES, apply_rule, is_normal, optimize
from lazyzarr.optimize.rule import Rule
from lazyzarr.optimize.steps import Step

__all__ = ["RULES", "Rule", "Step", "apply_rule", "is_normal", "optimize"]
