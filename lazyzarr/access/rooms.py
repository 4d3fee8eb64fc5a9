"""Buffers that bytes are read into on their way elsewhere.

Owns where they begin in memory. The kernel copies into memory with an instruction that takes up to a quarter more
time if the buffer does not begin like the page that is copied, and several times as long if it begins a few bytes
behind the border of a page; an array of NumPy begins 16 bytes behind one.
Refuses to keep buffers: whoever asks for one keeps it.
"""

from __future__ import annotations

import mmap

import numpy as np


def page_aligned(nbytes: int) -> np.ndarray:
    """An uninitialized buffer that begins at the border of a page of memory.

    Examples
    --------
    >>> room = page_aligned(1000)
    >>> room.nbytes, room.ctypes.data % mmap.PAGESIZE
    (1000, 0)
    """
    wide = np.empty(nbytes + mmap.PAGESIZE, np.uint8)
    first = -wide.ctypes.data % mmap.PAGESIZE
    return wide[first : first + nbytes]
