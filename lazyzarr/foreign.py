"""Files other than HDF5, and objects of other libraries: which importer they go to.

Owns the signatures of the formats and the choice of an importer. An importer whose packages are optional is imported
when such a file or object is met. Refuses what it does not recognise by giving None; the caller says what was found.
"""

from __future__ import annotations

import importlib
from typing import Any, Literal

from lazyzarr.access.policy import Grant
from lazyzarr.access.session import Session
from lazyzarr.access.url import child, parent, shown
from lazyzarr.errors import ExtraMissing, SourceMissing, SourceProtocolError, ViewSchemaError
from lazyzarr.formats.referenced import ReferencedGroup
from lazyzarr.group import Group
from lazyzarr.read import Reader
from lazyzarr.reference_views import group_view, member_view
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
_ICECHUNK = b"ICE\xf0\x9f\xa7\x8aCHUNK"


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


def is_virtual(place: Any) -> bool:
    """Whether an object is one of VirtualiZarr's, or of xarray, which holds such objects."""
    return type(place).__module__.partition(".")[0] in ("virtualizarr", "xarray")


def open_virtual(place: Any, variable: str | None, *, packing: Packing, reader: Reader) -> View | Group:
    """The view of a ManifestArray, or the group of a virtual dataset.

    Raises
    ------
    SourceError, ViewError
        As `lazyzarr.formats.virtual_datasets.import_virtual`.
    """
    module = optional("lazyzarr.formats.virtual_datasets", "virtualizarr", f"open of a {type(place).__name__}")
    found = module.import_virtual(reader.session, place, packing=packing)
    return chosen(member_view(found, reader), variable, type(place).__name__)


def is_icechunk(place: Any) -> bool:
    """Whether an object is one of Icechunk's: a repository, a session or a store."""
    return type(place).__module__.partition(".")[0] == "icechunk"


def is_repository(session: Session, url: str) -> bool:
    """Whether there is an Icechunk repository at a location: its files have a signature."""
    start = None
    try:
        start = session.try_read(child(url, "repo"), offset=0, length=len(_ICECHUNK))
    except (SourceMissing, SourceProtocolError):
        return False
    if start is None:
        return session.exists(child(url, "refs/branch.main/ref.json"))
    return bytes(start) == _ICECHUNK


def open_repository(
    url: str, variable: str | None, version: str | None, *, packing: Packing, reader: Reader, grant: Grant
) -> View | Group:
    """The view or group at a snapshot of a repository at a location.

    Raises
    ------
    SourceError, ViewError
        As `lazyzarr.formats.icechunk_repository`.
    AccessDenied
        A virtual chunk is outside what the repository may reach.
    """
    module = optional("lazyzarr.formats.icechunk_repository", "icechunk", f"open of {shown(url)}")
    repository = module.open_repository(reader.session, url)
    return _snapshot(module, repository, url, variable, version, packing, reader, grant)


def open_icechunk(
    place: Any, variable: str | None, version: str | None, *, packing: Packing, reader: Reader, allow: Grant
) -> View | Group:
    """The view or group of a repository, a session or a store of Icechunk.

    A repository on local disk is read as if it were opened by its path, and may reach what it was authorized for.
    Everything else is read through Icechunk.

    Raises
    ------
    SourceError, ViewError, AccessDenied
        As `open_repository`.
    """
    module = optional("lazyzarr.formats.icechunk_repository", "icechunk", f"open of a {type(place).__name__}")
    what = type(place).__name__
    if what == "Repository":
        url = module.location(place)
        if url is not None:
            grant = allow | Grant.below(parent(url)) | Grant.of(place.authorized_virtual_container_prefixes)
            return _snapshot(module, place, url, variable, version, packing, reader, grant)
        place = module.snapshot(place, version)
    elif version is not None:
        raise ViewSchemaError(
            f"open of version {version!r} of a {what} of Icechunk; it is at one version already; pass the repository",
            reason="source-format",
        )
    found = module.import_store(reader.session, getattr(place, "store", place), packing=packing)
    return chosen(member_view(found, reader), variable, what)


def _snapshot(
    module: Any,
    repository: Any,
    url: str,
    variable: str | None,
    version: str | None,
    packing: Packing,
    reader: Reader,
    grant: Grant,
) -> View | Group:
    at = module.snapshot(repository, version)
    found = module.import_snapshot(reader.session, repository, at, url, packing=packing)
    return chosen(member_view(found, reader, reader.session.add_grant(grant)), variable, url)


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
