"""OME-Zarr metadata of a dataset: one multiscale image over some of its arrays.

Owns the metadata, of version 0.5. Refuses arrays that are not there or have no named dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lazyzarr.definition.placing import Placing
from lazyzarr.definition.problems import Problems, names
from lazyzarr.view import View

_TYPES = {"t": "time", "time": "time", "c": "channel", "channel": "channel"}


def metadata(
    told: Mapping[str, Any], views: Mapping[str, View], placings: Mapping[str, Placing], problems: Problems
) -> dict[str, Any]:
    """The attributes of the dataset that say what image it is.

    Parameters
    ----------
    told
        Of the definition.
    placings
        Where arrays were placed: size of a cell, position of the first, units.
    """
    missing = [name for name in told["arrays"] if name not in views or None in (views[name].dims or (None,))]
    for name in missing:
        problems.add(("ome", "arrays"), "array", f"one with named dimensions, of {names(views)}", name)
    if missing:
        return {}
    dims = [str(dim) for dim in views[told["arrays"][0]].dims or ()]
    units = {**{dim: unit for each in placings.values() for dim, unit in each.units.items()}, **told.get("units", {})}
    axes: list[dict[str, Any]] = []
    for dim in dims:
        axis = {"name": dim, "type": _TYPES.get(dim, "space")}
        axes.append(axis | ({"unit": units[dim]} if dim in units else {}))
    finest = views[told["arrays"][0]].shape
    datasets: list[dict[str, Any]] = []
    for name in told["arrays"]:
        view, placing = views[name], placings.get(name)
        if view.dims != tuple(dims):
            problems.add(("ome", "arrays"), "dimensions", names(dims), f"{names(view.dims or ())} of {name}")
            continue
        factor = [a / b for a, b in zip(finest, view.shape, strict=True)]
        own = placing.scale if placing is not None else {}
        given = told.get("scale", {})
        scale = [
            float(own[dim]) if dim in own and dim not in given else float(given.get(dim, 1)) * factor[k]
            for k, dim in enumerate(dims)
        ]
        moves: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        if placing is not None and placing.origin:
            moves.append({"type": "translation", "translation": [placing.origin.get(dim, 0.0) for dim in dims]})
        datasets.append({"path": name, "coordinateTransformations": moves})
    image = {"axes": axes, "datasets": datasets} | ({"name": told["name"]} if "name" in told else {})
    return {"ome": {"version": "0.5", "multiscales": [image]}}
