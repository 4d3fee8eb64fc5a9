"""Names of chunks: the chunk key encodings of Zarr v3 and v2.

Owns the two encodings of the Zarr v3 specification. Refuses others, by name.
"""

from __future__ import annotations

import numpy as np

from lazyzarr.errors import UnsupportedFeature
from lazyzarr.ir.layout import NamedConfig

_SEPARATOR = {"default": "/", "v2": "."}


def separator(encoding: NamedConfig) -> str:
    """The separator between coordinates.

    Raises
    ------
    UnsupportedFeature
        ``source-unsupported`` for an encoding or a separator that Zarr v3 does not have.
    """
    found = encoding.configuration.get("separator", _SEPARATOR.get(encoding.name))
    if encoding.name not in _SEPARATOR or found not in ("/", ".") or encoding.configuration.keys() - {"separator"}:
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
    mark = separator(encoding)
    plain = encoding.name == "v2"
    rank = coords.shape[1]
    if not rank:
        return [above + ("0" if plain else "c")] * len(coords)
    form = above.replace("%", "%%") + ("" if plain else "c" + mark) + mark.join(["%d"] * rank)
    return [form % row for row in zip(*coords.T.tolist(), strict=True)]
