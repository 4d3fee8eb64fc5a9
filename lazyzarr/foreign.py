"""Files other than HDF5, and objects of other libraries: which importer they go to.

Owns the signatures of the formats and the choice of an importer. An importer whose packages are optional is imported
when such a file or object is met. Refuses what it does not recognise by giving None; the caller says what was found.
"""

from __future__ import annotations

import importlib
from typing import Any, Literal

from lazyzarr.access.url import shown
from lazyzarr.errors import ExtraMissing, SourceMissing, ViewSchemaError
from lazyzarr.formats.references import ReferencedGroup
from lazyzarr.group import Group
from lazyzarr.read import Reader
from lazyzarr.reference_views import group_view
from lazyzarr.view import View

Packing = Literal["auto", "raw"]

SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"CDF\x01", "netcdf3"),
    (b"CDF\x02", "netcdf3"),
    (b"CDF\x05", "netcdf3"),
    (b"SIMPLE  ", "fits"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
    (b"GRIB", "grib"),
)
"""First bytes of a file, and the module of ``lazyzarr.formats`` that imports it."""


def format_of(start: bytes) -> str | None:
    """The format of a file that begins with these bytes; None for one that is not known.

    Examples
    --------
    >>> format_of(b"CDF\\x01\\x00\\x00\\x00\\x00"), format_of(b"\\x00" * 8)
    ('netcdf3', None)
    """
    return next((kind for signature, kind in SIGNATURES if start.startswith(signature)), None)


def open_file(kind: str, url: str, variable: str | None, *, packing: Packing, reader: Reader) -> View | Group:
    """The group of a file, or the view of one array in it.

    Raises
    ------
    SourceError, UnsupportedFeature
        As the importer of the format.
    ExtraMissing
        It needs a package that is not installed.
    """
    module = optional(f"lazyzarr.formats.{kind}", kind, f"open of {shown(url)}")
    found: ReferencedGroup = getattr(module, f"import_{kind}")(reader.session, url, packing=packing)
    return chosen(group_view(found, reader), variable, url)


def optional(module: str, extra: str, what: str) -> Any:
    """A module that needs optional packages.

    Raises
    ------
    ExtraMissing
        A package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("lazyzarr"):
            raise
        raise ExtraMissing(
            f'{what}; the package {error.name} is not installed; run pip install "lazyzarr[{extra}]"'
        ) from error


def chosen(found: View | Group, variable: str | None, place: str) -> View | Group:
    """The named array of a group.

    Raises
    ------
    SourceMissing
        There is none of that name.
    ViewSchemaError
        What was opened is an array itself.
    """
    if variable is None:
        return found
    if isinstance(found, View):
        raise ViewSchemaError(
            f"open of variable {variable!r} of {shown(place)}; that is an array itself; leave variable out",
            reason="source-format",
        )
    try:
        return found[variable]
    except KeyError as error:
        raise SourceMissing(
            f"open of variable {variable!r} of {shown(place)}; {error.args[0]}; name one of them"
        ) from None
