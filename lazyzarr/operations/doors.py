"""Methods of views that open a door to another library: each finds its room when it is called.

Owns the signatures. Refuses logic of its own; what a door needs (dask, ...) is imported behind it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lazyzarr.view import View


def to_dask(self: View, chunks: Any = None) -> Any:
    """A dask array of the view: one light task for each block, and the view itself once in the graph.

    Parameters
    ----------
    chunks
        None: blocks in which every stored chunk is decoded once, small ones put together to about 16 MiB. Otherwise as
        dask has it: a length or all lengths for each axis, -1 for a whole axis, "auto"; or a mapping from names or
        numbers of dimensions to those.

    Returns
    -------
    dask.array.Array
        Its name is the same in every process for the same view and blocks.

    Raises
    ------
    ShapeError
        The chunks do not fit the shape.
    ExtraMissing
        dask is not installed.

    Examples
    --------
    >>> import numpy as np, lazyzarr as lz
    >>> a = lz.open(np.arange(6).reshape(2, 3)).to_dask(chunks=(1, 3))
    >>> a.numblocks, int(a.sum().compute())
    ((2, 1), 15)
    """
    return importlib.import_module("lazyzarr.clusters.dask_arrays").to_dask(self, chunks)
