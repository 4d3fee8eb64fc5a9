"""Hypothesis profiles of the whole suite, and the count of graphs that were compared.

``ci`` (the default) is the same run every time and compares far more than 2,000 graphs; ``nightly`` compares far
more than 50,000 and is random. Laws about whole graphs take `many` examples, others as many as the profile says.
Choose with the environment variable ``HYPOTHESIS_PROFILE``.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.strategies.tally import FLOORS, GRAPHS

settings.register_profile(
    "ci",
    max_examples=500,
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("nightly", parent=settings.get_profile("ci"), max_examples=5_000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker hands its counts to the process that started it."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["graphs"] = dict(GRAPHS)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """The counts of a worker."""
    GRAPHS.update(getattr(node, "workeroutput", {}).get("graphs", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many random graphs each law was compared on."""
    if not GRAPHS:
        return
    terminalreporter.section("graphs compared")
    for law, count in sorted(GRAPHS.items()):
        terminalreporter.write_line(f"{count:8d}  {law}")
    floor = FLOORS.get(os.environ.get("HYPOTHESIS_PROFILE", "ci"), 0)
    terminalreporter.write_line(f"{sum(GRAPHS.values()):8d}  in all; a whole run has at least {floor}")
