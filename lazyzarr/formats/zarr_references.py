"""Zarr arrays whose chunks are references: metadata plus a manifest become a `Referenced` array.

Owns the check of a manifest against the grid of its array. Refuses manifests of another shape than the grid, and offsets that no
object can have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lazyzarr.errors import SourceProtocolError
from lazyzarr.formats.packing import Packing, packing_of, with_fill_value
from lazyzarr.formats.referenced import Referenced, distinct, json_values
from lazyzarr.formats.zarr import ZarrArrayInfo
from lazyzarr.ir.data_type import DataType, to_numpy
from lazyzarr.ir.layout import Json, Stamp

_MOST_BYTES = 1 << 62


def referenced(
    name: str,
    info: ZarrArrayInfo,
    urls: Sequence[str],
    offsets: np.ndarray,
    lengths: np.ndarray,
    inline: Mapping[int, bytes],
    stamps: Mapping[str, Stamp],
    *,
    packing: Packing,
) -> Referenced:
    """An array from one row for each chunk of its grid.

    Parameters
    ----------
    name
        Of the array.
    info
        What its metadata say.
    urls
        Location of each chunk; ``""`` where there is none (missing, or inline).
    offsets, lengths
        Where in the object [bytes].
    inline
        Stored bytes by row.
    stamps
        What is known of the objects.
    packing
        Whether packing attributes become a decode.

    Raises
    ------
    SourceProtocolError
        ``source-format``: the rows do not fit the grid, or no object has such bytes.
    """
    count = int(np.prod(info.grid, dtype=np.int64))
    if not count == len(urls) == len(offsets) == len(lengths):
        raise _lies(name, f"its manifest has {len(urls)} entries, its grid {count} chunks")
    offsets, lengths = np.asarray(offsets).astype(np.uint64), np.asarray(lengths).astype(np.uint64)
    places, number = distinct(urls)
    there = np.ones(count, bool)
    if "" in places:
        missing = places.index("")
        there = number != missing
        number = np.where(number > missing, number - 1, number).astype(np.int32)
        number[~there] = 0
        places = (*places[:missing], *places[missing + 1 :])
    if np.any(offsets[there] > _MOST_BYTES) or np.any(lengths[there] > _MOST_BYTES):
        raise _lies(name, f"a chunk is at offset {int(offsets[there].max())} of {int(lengths[there].max())} bytes")
    offsets[~there] = 0
    lengths[~there] = 0
    columns: dict[str, np.ndarray] = {"offset": offsets, "length": lengths}
    if not there.all() or not count:
        columns["state"] = there.astype(np.uint8)
    if len(places) > 1:
        columns["url"] = number
    decode, attributes = cf_decode(info.attributes, info.layout.data_type, packing)
    return Referenced(
        name,
        info.shape,
        info.layout,
        columns,
        places,
        tuple(stamps.get(url) for url in places),
        attributes=attributes,
        dimension_names=info.dimension_names,
        decode=decode,
        inline=inline,
        lengths=info.lengths,
    )


def cf_decode(
    attributes: Mapping[str, Any], data_type: DataType, packing: Packing
) -> tuple[dict[str, Json] | None, dict[str, Json]]:
    """The decode that packing attributes of a Zarr array ask for, and the attributes that remain.

    Examples
    --------
    >>> decode, left = cf_decode({"scale_factor": 0.5, "units": "K"}, "int16", "auto")
    >>> decode["data_type"], left
    ('float64', {'units': 'K'})
    """
    own = json_values(attributes)
    if packing == "raw":
        return None, own
    decode, kept = packing_of(with_fill_value(own, data_type, None), to_numpy(data_type), packing)
    return decode, {name: value for name, value in own.items() if name in kept}


def _lies(name: str, what: str) -> SourceProtocolError:
    return SourceProtocolError(
        f"open of references to {name!r}; {what}; metadata and manifest disagree; make the references again",
        reason="source-format",
    )
