"""How much is tried: little and the same on every run, or much and new each night.

Owns the one switch, the environment variable ``HYPOTHESIS_PROFILE``, for what Hypothesis does not draw: mutated
documents and chunks, kills, savers.
"""

from __future__ import annotations

import os
import secrets

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "ci")


def often(ci: int, nightly: int) -> int:
    """A count by profile.

    Examples
    --------
    >>> often(20, 1000) in (20, 1000)
    True
    """
    return nightly if PROFILE == "nightly" else ci


def seed() -> int:
    """What random numbers start from: 0 in ``ci``, a new number each night, ``LAZYZARR_SEED`` to repeat one."""
    return int(os.environ.get("LAZYZARR_SEED", often(0, secrets.randbits(32))))
