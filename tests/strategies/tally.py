"""How many graphs each law was compared on in this process, for the summary and for the floor the suite keeps."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings

GRAPHS: Counter[str] = Counter()
"""Law -> graphs compared."""

FLOORS = {"ci": 2_000, "nightly": 50_000}
"""Profile -> graphs that a whole run compares at least."""


def many(profile: str | None = None) -> settings:
    """Settings of a law about whole graphs: four times the examples of the profile, by default the one in use."""
    chosen = settings() if profile is None else settings.get_profile(profile)
    return settings(max_examples=4 * chosen.max_examples)
