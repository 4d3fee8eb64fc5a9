"""Exchanging two directories in one step, where the system can.

Owns the call of Linux's ``renameat2``, which Python does not offer. Refuses to stand in for it: where the system or
the file system has no such step, the answer is False and nothing was done.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

_AT_WORKING_DIRECTORY = -100
_RENAME_EXCHANGE = 2
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


def exchange(left: str, right: str) -> bool:
    """Let two paths change places in one step; False, and nothing done, where that is not possible.

    Raises
    ------
    OSError
        The system can, and failed.
    """
    if not sys.platform.startswith("linux"):
        return False
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    here = _AT_WORKING_DIRECTORY
    if call(here, os.fsencode(left), here, os.fsencode(right), ctypes.c_uint(_RENAME_EXCHANGE)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), right)
