"""Hypothesis profiles of the whole suite, and the count of graphs that were compared.

``ci`` (the default) is the same run every time and compares far more than 2,000 graphs; ``nightly`` compares
far more than 50,000 and is random. Laws about whole graphs take `many` examples, others as the profile says. Choose with the environment variable ``HYPOTHESIS_PROFILE``.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.strategies.tally import GRAPHS

settings.register_profile(
    "ci",
    max_examples=500,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile(
    "nightly",
    parent=settings.get_profile("ci"),
    max_examples=5_000,
    derandomize=False,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many random graphs each law was compared on."""
    if GRAPHS:
        terminalreporter.section("graphs compared")
        for law, count in sorted(GRAPHS.items()):
            terminalreporter.write_line(f"{count:8d}  {law}")
        terminalreporter.write_line(f"{sum(GRAPHS.values()):8d}  in all")
