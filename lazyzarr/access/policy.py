"""What a document may reach: grants of location prefixes, given by the reader and by nobody else.

Owns `Grant` (a set of prefixes on segment borders) and where its entries come from: the document's own directory,
the ``allow`` argument, the variable ``LAZYZARR_ALLOW`` and ``lazyzarr.toml`` in the user's configuration directory.

Refuses to widen anything on behalf of a document, to match by pattern, and to look at storage: a symbolic link or
a redirect that leaves a grant is found by the module that opens the object.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

from lazyzarr.access.url import as_prefix, from_user, is_plain_below, parent, parse, shown
from lazyzarr.errors import AccessDenied, SourceDenied, ViewSchemaError

VARIABLE = "LAZYZARR_ALLOW"
"""Environment variable with further prefixes, separated by commas (a comma inside one is written ``%2C``)."""


class Grant(Struct, frozen=True):
    """The locations a document may reach: everything at or below one of ``prefixes``.

    Make one with `Grant.below`, `Grant.of`, ``|`` and ``&``: they keep ``prefixes`` in its one spelling, sorted and
    without entries that another entry contains. A location is one text, so scheme, host, port and path are compared
    by comparing text.

    Examples
    --------
    >>> grant = Grant.of(["s3://bucket/a"])
    >>> grant.permits("s3://bucket/a/x"), grant.permits("s3://bucket/a"), grant.permits("s3://bucket/ab")
    (True, True, False)
    """

    prefixes: tuple[str, ...] = ()
    """Locations, each with a final ``/``; none permits nothing."""

    @classmethod
    def below(cls, directory: str) -> Grant:
        """Everything below one directory-like location, such as the `parent` of a document.

        Raises
        ------
        ViewSchemaError
            ``url-invalid``.
        """
        found = parse(directory, trusted=True)
        return cls((as_prefix(found._replace(query="").url),))

    @classmethod
    def of(cls, entries: Iterable[str | os.PathLike[str]]) -> Grant:
        """Everything at or below any of the entries, each a path or a URL as a person writes it.

        Raises
        ------
        ViewSchemaError
            ``url-invalid`` for an entry that is not acceptable.
        """
        found: list[str] = []
        for entry in entries:
            url = from_user(entry)
            if "?" in url:
                raise ViewSchemaError(
                    "the entry of allow has a query string; prefixes are plain locations; write it without",
                    reason="url-invalid",
                    where=shown(url),
                )
            found.append(as_prefix(url))
        return cls(_smallest(found))

    @property
    def name(self) -> str:
        """A name made from the content: equal grants have equal names in every process."""
        return hashlib.sha256("\n".join(self.prefixes).encode()).hexdigest()[:16]

    def permits(self, url: str) -> bool:
        """Whether a location *in its one spelling* is at or below a prefix; `check` does not assume the spelling."""
        return url.startswith(self.prefixes) or f"{url}/" in self.prefixes

    def check(self, url: str) -> None:
        """Return if a document may reach the location.

        Raises
        ------
        AccessDenied
            ``access-denied``, naming the location and the ``allow`` that would permit it.
        ViewSchemaError, ViewLimitError
            As `lazyzarr.access.url.parse`.
        """
        if any(is_plain_below(url, prefix) for prefix in self.prefixes):
            return
        spelled = parse(url).url
        if not self.permits(spelled):
            raise denied(spelled)

    def __or__(self, other: Grant) -> Grant:
        """What either permits."""
        return Grant(_smallest([*self.prefixes, *other.prefixes]))

    def __and__(self, other: Grant) -> Grant:
        """What both permit: the grant of a document inside a document."""
        mine = [prefix for prefix in self.prefixes if prefix.startswith(other.prefixes)]
        theirs = [prefix for prefix in other.prefixes if prefix.startswith(self.prefixes)]
        return Grant(_smallest([*mine, *theirs]))


def grant_for(
    document: str,
    allow: Iterable[str | os.PathLike[str]] = (),
    *,
    environ: Mapping[str, str] = os.environ,
) -> Grant:
    """The grant of a document that was opened: below its own directory, plus what the reader allows.

    Parameters
    ----------
    document
        Location of the document (or of the node that holds it); its `parent` is allowed.
    allow
        Further prefixes: paths or URLs.
    environ
        Where ``LAZYZARR_ALLOW``, ``XDG_CONFIG_HOME`` and ``HOME`` are looked up.

    Raises
    ------
    ViewSchemaError
        ``url-invalid`` for an entry that is not acceptable, ``document-syntax`` or ``document-member`` for a
        ``lazyzarr.toml`` that is not.

    Examples
    --------
    >>> grant_for("s3://bucket/views/a.zarr", ["s3://other/x"], environ={}).prefixes
    ('s3://bucket/views/', 's3://other/x/')
    """
    return Grant.below(parent(document)) | Grant.of(allow) | Grant.of(configured(environ))


def configured(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The entries of ``LAZYZARR_ALLOW`` and of ``allow = [...]`` in ``lazyzarr.toml``, as they were written.

    Raises
    ------
    ViewSchemaError
        ``document-syntax`` when ``lazyzarr.toml`` is not TOML, ``document-member`` when it holds anything but a
        list of strings under ``allow``.
    SourceDenied
        ``lazyzarr.toml`` is there and cannot be read.
    """
    entries = [entry.strip() for entry in environ.get(VARIABLE, "").split(",")]
    return (*(entry for entry in entries if entry), *_from_file(environ))


def denied(
    url: str,
    *,
    because: str = "it is not below the document's own directory or an allowed prefix",
) -> AccessDenied:
    """The error for a location that a document may not reach, with the line that would allow it."""
    place = shown(url)
    return AccessDenied(
        f"the document references {place}; {because}; "
        f'if you trust the document, open it with allow=["{place}"] or put that prefix into {VARIABLE}',
        where=place,
    )


class _File(Struct, forbid_unknown_fields=True):
    """``lazyzarr.toml``."""

    allow: tuple[str, ...] = ()


def _smallest(prefixes: Iterable[str]) -> tuple[str, ...]:
    """Sorted, without a prefix that begins with another one (which sorts before it)."""
    kept: list[str] = []
    for prefix in sorted(set(prefixes)):
        if not prefix.startswith(tuple(kept)):
            kept.append(prefix)
    return tuple(kept)


def _from_file(environ: Mapping[str, str]) -> tuple[str, ...]:
    config = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".config")
    path = os.path.join(config, "lazyzarr", "lazyzarr.toml")
    try:
        with open(path, "rb") as file:
            return msgspec.convert(tomllib.load(file), _File).allow
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise SourceDenied(
            f"the configuration file cannot be read ({error.strerror}); what it allows is not known; change its mode",
            where=path,
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ViewSchemaError(
            f"the configuration file is not TOML ({error}); nothing in it is used; mend it or remove it",
            reason="document-syntax",
            where=path,
        ) from error
    except msgspec.ValidationError as error:
        raise ViewSchemaError(
            f'the configuration file has something other than allow = ["...", ...] ({error}); that is its only key; '
            "correct it",
            where=path,
        ) from error
