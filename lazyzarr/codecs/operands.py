"""Numbers and members of the configurations of value-wise codecs.

Owns the forms in which a number may stand there: that of a fill value of its type, a whole number with a fraction of
zero where the type has integers, and, in the codecs of the registry, the text of a decimal number, all of which
zarr-python writes. Refuses what is no number of the type, and members that a codec does not have.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from lazyzarr.codecs.stages import Configuration, invalid
from lazyzarr.errors import ViewSchemaError
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import from_numpy

_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def number(codec: str, member: str, value: Any, dtype: np.dtype[Any], *, texts: bool = False) -> Any:
    """NumPy scalar of a number of a configuration, bit for bit.

    Raises
    ------
    ViewSchemaError
        ``codec-invalid``: the value is no number of the type.

    Examples
    --------
    >>> number("scale_offset", "scale", "2.5", np.dtype("f4"), texts=True), number("scale_offset", "scale", 2.0, np.dtype("i2"))
    (np.float32(2.5), np.int16(2))
    """
    try:
        if texts and value == "+Infinity":  # as an example of the registry has it
            value = "Infinity"
        if texts and isinstance(value, str) and _DECIMAL.fullmatch(value):
            whole = dtype.kind != "f" and value.removeprefix("-").isdigit()
            return fill.from_json(int(value) if whole else float(value), from_numpy(dtype))
        return fill.from_json(value, from_numpy(dtype))
    except (ViewSchemaError, ValueError) as error:
        raise invalid(codec, f"{member} is {value!r}; it has to be a number of type {dtype}") from error


def only(codec: str, configuration: Configuration, *members: str) -> None:
    """Return if a configuration has no other members.

    Raises
    ------
    ViewSchemaError
        ``codec-invalid``, naming one that is not known: it may change every value.

    Examples
    --------
    >>> only("scale_offset", {"scale": 2}, "scale", "offset")
    """
    for member in configuration:
        if member not in members:
            raise invalid(codec, f"the member {member[:64]!r} is not known; it has {', '.join(members)}")
