"""A reader of imported HDF5 variables, as slow and plain as it can be: one chunk at a time, no shared code with read/."""

import itertools
import math
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from lazyzarr.codecs.chain import compile_chain
from lazyzarr.formats.hdf5 import import_array
from lazyzarr.formats.hdf5_model import Hdf5Array, Hdf5Virtual
from lazyzarr.ir import fill


def url_of(path):
    return Path(path).absolute().as_uri()


def path_of(url):
    return unquote(url.removeprefix("file://"))


def read(array: Hdf5Array) -> np.ndarray:
    if array.values is not None:
        assert array.values.shape == array.shape
        return array.values
    columns, main = array.refs(), array.layout
    count = math.prod(-(-n // c) for n, c in zip(array.shape, main.chunk_shape, strict=True))
    assert all(len(column) == count for column in columns.values())
    assert columns["offset"].dtype == columns["length"].dtype == np.uint64
    out = fill.full(array.shape, main.fill_value, main.data_type)
    grid = itertools.product(*(range(0, n, c) for n, c in zip(array.shape, main.chunk_shape, strict=True)))
    for row, corner in enumerate(grid):
        if "state" in columns and not columns["state"][row]:
            continue
        url = array.urls[columns["url"][row]] if "url" in columns else array.location
        with open(path_of(url), "rb") as f:
            f.seek(int(columns["offset"][row]))
            data = f.read(int(columns["length"][row]))
        assert len(data) == columns["length"][row]
        layout = array.layouts[columns["layout"][row] if "layout" in columns else 0]
        chunk = compile_chain(layout).decode(data)
        box = tuple(slice(a, a + c) for a, c in zip(corner, layout.chunk_shape, strict=True))
        target = out[box]
        out[box] = chunk[tuple(slice(0, n) for n in target.shape)]
    return out


def read_virtual(view: Hdf5Virtual) -> np.ndarray:
    out = fill.full(view.shape, view.fill_value, view.data_type)
    for one in view.mappings:
        item = import_array(path_of(one.url), one.url, one.dataset, packing="raw")
        source = read(item) if isinstance(item, Hdf5Array) else read_virtual(item)
        box = source[tuple(slice(a, a + s * (c - 1) + 1, s) for a, s, c in one.source)]
        order = [axis for axis in range(len(one.axes)) if one.axes[axis] >= 0]
        assert [one.axes[axis] for axis in order] == sorted(one.axes[axis] for axis in order)
        shape = tuple(c for _, _, c in one.view)
        out[tuple(slice(a, a + s * (c - 1) + 1, s) for a, s, c in one.view)] = box.reshape(shape)
    return out


def same(left, right):
    """Equal shape, type and bits."""
    left, right = np.asarray(left), np.asarray(right)
    assert left.shape == right.shape, (left.shape, right.shape)
    assert left.dtype == right.dtype.newbyteorder("="), (left.dtype, right.dtype)
    if left.dtype.kind in "OT":
        assert left.tolist() == right.tolist()
    elif left.dtype.names:
        for name in left.dtype.names:
            same(left[name], right[name])
    else:
        assert left.tobytes() == right.astype(left.dtype).tobytes()
