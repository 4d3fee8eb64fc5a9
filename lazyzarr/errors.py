"""Every error lazyzarr raises, and the closed list of reasons they carry.

Owns the exception tree. A caller matches on the class and on ``.reason``, a key of the closed list `REASONS`; the
text is for people: what was asked, what is true, what to do.

Refuses to derive from `FileNotFoundError` or `KeyError`: Zarr stores turn those into fill values, and a
missing source must never read as one.
"""

from __future__ import annotations

from collections.abc import Sequence

from lazyzarr.reasons import REASONS

LONGEST_MESSAGE = 1 << 14
"""Characters of a message; what a document holds is quoted no further."""


class LazyZarrError(Exception):
    """Root of all errors raised on purpose.

    Parameters
    ----------
    message
        ``<what was asked> <is/has what>; <what is true>; <what to do>``.
    reason
        A key of `REASONS`; by default the class's own.
    where
        The place: a JSON path in a document, a location, or an argument.

    Examples
    --------
    >>> issubclass(SelectionError, LazyZarrError)
    True
    """

    default_reason = "document-member"

    def __init__(self, message: str, *, reason: str | None = None, where: str | None = None) -> None:
        super().__init__(message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]} ...")
        self.reason = reason or self.default_reason
        self.where = where
        if self.reason not in REASONS:
            raise AssertionError(f"reason {self.reason!r} is not in the closed list")

    def __str__(self) -> str:
        text = str(self.args[0]) if self.args else ""
        return f"{self.where}: {text}" if self.where else text

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[LazyZarrError], args: tuple[object, ...], state: dict[str, object]) -> LazyZarrError:
    error = kind.__new__(kind)
    Exception.__init__(error, *args)
    error.__dict__.update(state)
    return error


class ViewError(LazyZarrError, ValueError):
    """A document or a graph is not valid.

    Examples
    --------
    >>> issubclass(ViewSchemaError, ViewError)
    True
    """


class ViewSyntaxError(ViewError):
    """The text of a document is not well formed.

    Examples
    --------
    >>> ViewSyntaxError("the text ends inside an object; restore the document").reason
    'document-syntax'
    """

    default_reason = "document-syntax"


class ViewSchemaError(ViewError):
    """A document has missing, unknown, mistyped or inconsistent members.

    Examples
    --------
    >>> import numpy as np, lazyzarr as lz
    >>> v = lz.open(np.arange(4))[1:]
    >>> try:
    ...     v.recode(codecs=["bytes"])
    ... except lz.ViewSchemaError as error:
    ...     error.reason
    'graph-type'
    """


class UnsupportedFeature(ViewError):
    """A document or a source needs something this reader does not have.

    Examples
    --------
    >>> UnsupportedFeature("codec 'x' has no decoder here; register one").reason
    'document-requires'
    """

    default_reason = "document-requires"


class ViewLimitError(ViewError):
    """A cost is over its limit; carries which, value and limit.

    Examples
    --------
    >>> error = ViewLimitError("nodes", 11, 10)
    >>> error.reason, error.which, error.value, error.limit
    ('limit-exceeded', 'nodes', 11, 10)
    """

    default_reason = "limit-exceeded"

    def __init__(
        self, which: str, value: int, limit: int, *, where: str | None = None, remedy: str | None = None
    ) -> None:
        remedy = remedy or f"raise it with limits=Limits({which}=...) if you trust the origin"
        super().__init__(f"{which} is {value}; the limit is {limit}; {remedy}", where=where)
        self.which, self.value, self.limit = which, value, limit


class SelectionError(LazyZarrError, IndexError):
    """A key does not select from this shape.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> try:
    ...     lz.full((4, 6), 7, dtype="int16")[9]
    ... except lz.SelectionError as error:
    ...     error.reason
    'index-bounds'
    """

    default_reason = "index-syntax"


class AxisError(SelectionError, ValueError):
    """An axis number or name is outside the rank (both IndexError and ValueError, as NumPy's is).

    Examples
    --------
    >>> import lazyzarr as lz
    >>> try:
    ...     lz.full((4, 6), 7, dtype="int16").flip(2)
    ... except lz.AxisError as error:
    ...     error.reason
    'axis-bounds'
    """

    default_reason = "axis-bounds"


class ShapeError(LazyZarrError, ValueError):
    """Shapes do not fit the operation.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> try:
    ...     lz.full((4, 6), 7, dtype="int16").broadcast_to((4, 7))
    ... except lz.ShapeError as error:
    ...     error.reason
    'shape-mismatch'
    """

    default_reason = "shape-mismatch"


class ValuesNeeded(LazyZarrError, TypeError):
    """The operation computes on values, which a view never does.

    Examples
    --------
    >>> ValuesNeeded("sort of a view; the order depends on values; call .read() first").reason
    'values-needed'
    """

    default_reason = "values-needed"


class CastError(LazyZarrError, TypeError):
    """A conversion of type does not keep every value and was not told how to lose them.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> try:
    ...     lz.full((4, 6), 7, dtype="int16").astype("int8")
    ... except lz.CastError as error:
    ...     error.reason
    'cast-lossy'
    """

    default_reason = "cast-lossy"


class ProblemList(LazyZarrError):
    """An error that lists every problem at once in ``.problems``."""

    def __init__(
        self, headline: str, problems: Sequence[str], *, reason: str | None = None, where: str | None = None
    ) -> None:
        self.problems = tuple(problems)
        super().__init__("\n  - ".join((headline, *self.problems)), reason=reason, where=where)


class CombineError(ProblemList, ValueError):
    """Inputs do not combine; ``.problems`` lists every mismatch of every input.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> v = lz.full((4, 6), 7, dtype="int16")
    >>> try:
    ...     lz.concat([v, v[:, 1:].astype("float64")])
    ... except lz.CombineError as error:
    ...     len(error.problems)  # the length, and the type
    2
    """

    default_reason = "combine-mismatch"


class NotFlat(ProblemList, ValueError):
    """The view does not reduce to a flat manifest; ``.problems`` says why, each with its remedy.

    Examples
    --------
    >>> error = NotFlat("flatten", ["2 of 4 fragments are read backwards; flip after reading"])
    >>> error.reason, len(error.problems)
    ('not-flat', 1)
    """

    default_reason = "not-flat"


class AccessDenied(LazyZarrError, PermissionError):
    """A document references a location its reader did not allow.

    Examples
    --------
    >>> AccessDenied("s3://other/a.zarr is outside the view's own place; pass allow=[...]").reason
    'access-denied'
    """

    default_reason = "access-denied"


class ExtraMissing(LazyZarrError, ImportError):
    """An optional dependency is not installed; the message has the install line.

    Examples
    --------
    >>> ExtraMissing("HDF5 files need h5py; pip install lazyzarr[hdf5]").reason
    'extra-missing'
    """

    default_reason = "extra-missing"


class SourceError(LazyZarrError, OSError):
    """A source cannot be used.

    Examples
    --------
    >>> issubclass(SourceMissing, SourceError)
    True
    """

    default_reason = "source-unavailable"


class SourceMissing(SourceError):
    """The referenced object is not there.

    Examples
    --------
    >>> SourceMissing("open of a.zarr; there is no array; check the path").reason
    'source-missing'
    """

    default_reason = "source-missing"


class SourceDenied(SourceError):
    """The storage refused access.

    Examples
    --------
    >>> SourceDenied("GET of s3://b/a: the storage answered 403; check storage_options").reason
    'source-denied'
    """

    default_reason = "source-denied"


class SourceChanged(SourceError):
    """The object is not the one that was referenced (size, time, etag, inode or digest differ).

    Examples
    --------
    >>> SourceChanged("a.nc has another size than when it was referenced; save the view again").reason
    'source-changed'
    """

    default_reason = "source-changed"


class SourceUnavailable(SourceError):
    """The storage did not answer, or not in time.

    Examples
    --------
    >>> SourceUnavailable("GET of s3://b/a: no answer in 15 s; try again").reason
    'source-unavailable'
    """


class SourceProtocolError(SourceError):
    """The storage answered, but not with what was asked for (length, range, format).

    Examples
    --------
    >>> SourceProtocolError("GET of s3://b/a: the range has 3 bytes, not 8; check the server").reason
    'source-protocol'
    """

    default_reason = "source-protocol"


class ChunkError(LazyZarrError, ValueError):
    """One chunk cannot be had; the others can be read.

    Examples
    --------
    >>> issubclass(ChunkDecodeError, ChunkError)
    True
    """

    default_reason = "chunk-decode"


class ChunkChecksumError(ChunkError):
    """A checksum inside the chunk does not match.

    Examples
    --------
    >>> ChunkChecksumError("chunk (0,): crc32c is 5, stored is 6; restore the object").reason
    'chunk-checksum'
    """

    default_reason = "chunk-checksum"


class ChunkDecodeError(ChunkError):
    """The bytes are not what the codec chain says.

    Examples
    --------
    >>> import numpy as np, zarr, lazyzarr as lz
    >>> v = lz.open(zarr.create_array({}, data=np.arange(4, dtype="uint8"), compressors=None))
    >>> try:
    ...     v.recode(codecs=["bytes", "gzip"]).read()
    ... except lz.ChunkDecodeError as error:
    ...     error.reason
    'chunk-decode'
    """


class ChunkTooLarge(ChunkError):
    """Decoding would produce more than the declared chunk.

    Examples
    --------
    >>> ChunkTooLarge("chunk (0,) decodes to more than 8 bytes; check the source").reason
    'chunk-too-large'
    """

    default_reason = "chunk-too-large"


class ReadCancelled(LazyZarrError):
    """The read was cancelled before it was complete; the output buffer is not to be used.

    Examples
    --------
    >>> ReadCancelled("read of 3 chunks was cancelled; read again").reason
    'read-cancelled'
    """

    default_reason = "read-cancelled"


class SaveError(LazyZarrError, OSError):
    """A view could not be saved; the target is as it was.

    Examples
    --------
    >>> issubclass(SaveConflict, SaveError)
    True
    """

    default_reason = "save-failed"


class SaveConflict(SaveError):
    """The target exists, or someone else changed it in between.

    Examples
    --------
    >>> SaveConflict("save to v.zarr; something is there; pass overwrite=True").reason
    'save-conflict'
    """

    default_reason = "save-conflict"


class SaveUnsupported(SaveError, ValueError):
    """Something in the view has no stored form; ``.problems`` lists what, where it is more than one thing.

    Examples
    --------
    >>> import zarr, lazyzarr as lz
    >>> v = lz.open(zarr.zeros(4))  # in memory: another process could not read it
    >>> try:
    ...     lz.save(v, "view.zarr")
    ... except lz.SaveUnsupported as error:
    ...     error.reason
    'save-unsupported'
    """

    default_reason = "save-unsupported"

    def __init__(
        self, message: str, problems: Sequence[str] = (), *, reason: str | None = None, where: str | None = None
    ) -> None:
        self.problems = tuple(problems)
        super().__init__("\n  - ".join((message, *self.problems)), reason=reason, where=where)
