"""Names of chunks: the chunk key encodings of Zarr v3 and v2.

Owns the two encodings of the Zarr v3 specification. Refuses others, by name.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lazyzarr.errors import UnsupportedFeature
from lazyzarr.ir.identity import by_identity
from lazyzarr.ir.layout import NamedConfig

_SEPARATOR = {"default": "/", "v2": "."}


def separator(encoding: NamedConfig) -> str:
    """The separator between coordinates.

    Raises
    ------
    UnsupportedFeature
        ``source-unsupported`` for an encoding or a separator that Zarr v3 does not have.
    """
    usual = _SEPARATOR.get(encoding.name)
    if usual is not None and not encoding.configuration:
        return usual
    found = encoding.configuration.get("separator", usual)
    if usual is None or found not in ("/", ".") or encoding.configuration.keys() - {"separator"}:
        raise UnsupportedFeature(
            f"chunk key encoding {encoding.name!r} with {dict(encoding.configuration)} is not known; "
            "Zarr v3 has 'default' and 'v2' with separator '/' or '.'; rewrite the metadata of the array",
            reason="source-unsupported",
        )
    return found


def chunk_keys(encoding: NamedConfig, coords: np.ndarray, above: str = "") -> list[str]:
    """Keys of the chunks at ``coords`` (n, q), each behind the text ``above``.

    Examples
    --------
    >>> chunk_keys(NamedConfig("default"), np.array([[0, 12]])), chunk_keys(NamedConfig("v2"), np.array([[0, 12]]))
    (['c/0/12'], ['0.12'])
    >>> chunk_keys(NamedConfig("default"), np.zeros((1, 0))), chunk_keys(NamedConfig("v2"), np.zeros((1, 0)))
    (['c'], ['0'])
    """
    rank = coords.shape[1]
    if not rank:
        return [chunk_key(encoding, (), above)] * len(coords)
    form = above.replace("%", "%%") + key_form(encoding, rank)
    return [form % row for row in zip(*coords.T.tolist(), strict=True)]


def key_form(encoding: NamedConfig, rank: int) -> str:
    """What ``%`` makes a key of, of the coordinates of a chunk of at least one axis.

    Examples
    --------
    >>> key_form(NamedConfig("v2"), 2) % (0, 12)
    '0.12'
    """
    front, mark = _front(encoding)
    return front + mark.join(["%d"] * rank)


def chunk_key(encoding: NamedConfig, coords: Sequence[int], above: str = "") -> str:
    """As `chunk_keys`, for one chunk and quicker.

    Examples
    --------
    >>> chunk_key(NamedConfig("default"), (0, 12), "a.zarr/")
    'a.zarr/c/0/12'
    """
    front, mark = _front(encoding)
    if not len(coords):
        return above + (front[:1] or "0")
    return above + front + mark.join(map(str, coords))


@by_identity
def _front(encoding: NamedConfig) -> tuple[str, str]:
    """What coordinates stand behind, and what is between them."""
    mark = separator(encoding)
    return ("" if encoding.name == "v2" else "c" + mark), mark
