"""The other process of the demonstration: ``python -m lazyzarr.demo.reopen VIEW VALUES``.

Opens a saved view, reads it, keeps the values as a NumPy file and prints what that took as JSON. Refuses to
know anything but the two paths.
"""

from __future__ import annotations

import json
import os
import sys
import time

import numpy as np

from lazyzarr import api as lz


def main(view_path: str, values_path: str) -> None:
    """Open, read, keep the values, print what it took."""
    start = time.perf_counter()
    view = lz.open(view_path)
    opened = time.perf_counter()
    counts = view.reader.session.counts
    at_open = (counts.requests, counts.bytes)
    values = view.read()
    read = time.perf_counter()
    np.save(values_path, values)
    took = {
        "process": os.getpid(),
        "shape": view.shape,
        "dims": view.dims,
        "data_type": str(view.dtype),
        "open_requests": at_open[0],
        "open_bytes": at_open[1],
        "read_requests": counts.requests - at_open[0],
        "read_bytes": counts.bytes - at_open[1],
        "chunks": view.reader.counts.decodes,
        "open_seconds": opened - start,
        "read_seconds": read - opened,
    }
    print(json.dumps(took))


if __name__ == "__main__":
    main(*sys.argv[1:])
