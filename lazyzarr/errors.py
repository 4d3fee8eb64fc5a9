"""Every error lazyzarr raises, and the closed list of reasons they carry.

Owns the exception tree and `REASONS`, the closed list that `spec/reason-codes.md` explains. A caller
matches on the class and on ``.reason``; the text is for people: what was asked, what is true, what to do.

Refuses to derive from `FileNotFoundError` or `KeyError`: Zarr stores turn those into fill values, and a
missing source must never read as one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

REASONS: Mapping[str, str] = {
    # text and version of a document
    "document-missing": "there is no lazyzarr document at this location",
    "document-syntax": "the document is not well-formed JSON or breaks the limits of JSON text",
    "document-member": "a member is missing, unknown, or has the wrong type",
    "document-version": "the document version is not known to this reader",
    "document-requires": "the document requires a feature this reader does not have",
    "document-digest": "the manifest was derived from another graph",
    "document-schema": "the declared schema is not the one the graph has",
    # graph
    "graph-empty": "the graph has no nodes",
    "graph-order": "a node names an input at or after its own position",
    "graph-unreachable": "a node does not reach the last node",
    "graph-duplicate": "two nodes are equal",
    "graph-reference": "a node names an array, layout or table that is not there",
    "graph-canonical": "a span, order or origin is not in canonical form",
    "graph-shape": "shapes do not fit together",
    "graph-type": "data types do not fit together",
    "graph-node": "the node kind is not known",
    # types, fills, codecs, tables
    "type-unknown": "the data type is not known",
    "fill-invalid": "the fill value does not fit the data type",
    "codec-unknown": "the codec is not known to this reader",
    "codec-invalid": "the codec configuration or its place in the chain is not valid",
    "table-invalid": "a table has missing columns, a wrong type or a wrong length",
    # limits
    "limit-exceeded": "a cost of the document is over its limit",
    # selections and shapes asked for by a user
    "index-bounds": "an index is outside its axis",
    "index-syntax": "the key is not a valid selection",
    "axis-bounds": "an axis is outside the rank",
    "shape-mismatch": "shapes do not fit together",
    "values-needed": "the operation would compute on values",
    # combining
    "combine-mismatch": "the inputs cannot be combined",
    "overlap": "placed boxes overlap and the view was declared without overlap",
    # casting
    "cast-lossy": "a cast does not keep every value and no rounding or overflow was named",
    "packing-ambiguous": "the packing attributes contradict each other",
    # access
    "access-denied": "the location is outside what the policy allows",
    "url-invalid": "the location is not an acceptable URL",
    # sources
    "source-missing": "the object is not there",
    "source-denied": "the storage refuses access",
    "source-changed": "the object is not the one that was referenced",
    "source-unavailable": "the storage did not answer in time",
    "source-protocol": "the storage answered against its protocol",
    "source-format": "the object is not of the expected format",
    "source-unsupported": "the object uses a feature that has no decoder here",
    # chunks
    "chunk-length": "the stored bytes are shorter or longer than referenced",
    "chunk-checksum": "the checksum of the bytes does not match",
    "chunk-decode": "the bytes cannot be decoded with the codec chain",
    "chunk-too-large": "decoding would exceed the declared size of the chunk",
    # flattening
    "not-flat": "the view is not a flat manifest",
    # saving
    "save-conflict": "the target exists or was changed by someone else",
    "save-unsupported": "something in the view cannot be stored",
    "save-failed": "the storage failed while saving",
    "inline-limit": "an in-memory array is over the inline limit",
    # environment
    "extra-missing": "an optional dependency is not installed",
    "read-cancelled": "the read was cancelled",
}
"""Reason code -> what it says. Closed: a new code is a change of the specification."""


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
    """A document or a graph is not valid."""


class ViewSyntaxError(ViewError):
    """The text of a document is not well formed."""

    default_reason = "document-syntax"


class ViewSchemaError(ViewError):
    """A document has missing, unknown, mistyped or inconsistent members."""


class UnsupportedFeature(ViewError):
    """A document or a source needs something this reader does not have."""

    default_reason = "document-requires"


class ViewLimitError(ViewError):
    """A cost is over its limit; carries which, value and limit."""

    default_reason = "limit-exceeded"

    def __init__(
        self, which: str, value: int, limit: int, *, where: str | None = None, remedy: str | None = None
    ) -> None:
        remedy = remedy or f"raise it with limits=Limits({which}=...) if you trust the origin"
        super().__init__(f"{which} is {value}; the limit is {limit}; {remedy}", where=where)
        self.which, self.value, self.limit = which, value, limit


class SelectionError(LazyZarrError, IndexError):
    """A key does not select from this shape."""

    default_reason = "index-syntax"


class AxisError(SelectionError, ValueError):
    """An axis number or name is outside the rank (both IndexError and ValueError, as NumPy's is)."""

    default_reason = "axis-bounds"


class ShapeError(LazyZarrError, ValueError):
    """Shapes do not fit the operation."""

    default_reason = "shape-mismatch"


class ValuesNeeded(LazyZarrError, TypeError):
    """The operation computes on values, which a view never does."""

    default_reason = "values-needed"


class CastError(LazyZarrError, TypeError):
    """A conversion of type does not keep every value and was not told how to lose them."""

    default_reason = "cast-lossy"


class _ProblemList(LazyZarrError):
    """An error that lists every problem at once in ``.problems``."""

    def __init__(
        self, headline: str, problems: Sequence[str], *, reason: str | None = None, where: str | None = None
    ) -> None:
        self.problems = tuple(problems)
        super().__init__("\n  - ".join((headline, *self.problems)), reason=reason, where=where)


class CombineError(_ProblemList, ValueError):
    """Inputs do not combine; ``.problems`` lists every mismatch of every input."""

    default_reason = "combine-mismatch"


class NotFlat(_ProblemList, ValueError):
    """The view does not reduce to a flat manifest; ``.problems`` says why, each with its remedy."""

    default_reason = "not-flat"


class AccessDenied(LazyZarrError, PermissionError):
    """A document references a location its reader did not allow."""

    default_reason = "access-denied"


class ExtraMissing(LazyZarrError, ImportError):
    """An optional dependency is not installed; the message has the install line."""

    default_reason = "extra-missing"


class SourceError(LazyZarrError, OSError):
    """A source cannot be used."""

    default_reason = "source-unavailable"


class SourceMissing(SourceError):
    """The referenced object is not there."""

    default_reason = "source-missing"


class SourceDenied(SourceError):
    """The storage refused access."""

    default_reason = "source-denied"


class SourceChanged(SourceError):
    """The object is not the one that was referenced (size, time, etag, inode or digest differ)."""

    default_reason = "source-changed"


class SourceUnavailable(SourceError):
    """The storage did not answer, or not in time."""


class SourceProtocolError(SourceError):
    """The storage answered, but not with what was asked for (length, range, format)."""

    default_reason = "source-protocol"


class ChunkError(LazyZarrError, ValueError):
    """One chunk cannot be had; the others can be read."""

    default_reason = "chunk-decode"


class ChunkChecksumError(ChunkError):
    """A checksum inside the chunk does not match."""

    default_reason = "chunk-checksum"


class ChunkDecodeError(ChunkError):
    """The bytes are not what the codec chain says."""


class ChunkTooLarge(ChunkError):
    """Decoding would produce more than the declared chunk."""

    default_reason = "chunk-too-large"


class ReadCancelled(LazyZarrError):
    """The read was cancelled before it was complete; the output buffer is not to be used."""

    default_reason = "read-cancelled"


class SaveError(LazyZarrError, OSError):
    """A view could not be saved; the target is as it was."""

    default_reason = "save-failed"


class SaveConflict(SaveError):
    """The target exists, or someone else changed it in between."""

    default_reason = "save-conflict"


class SaveUnsupported(SaveError, ValueError):
    """Something in the view has no stored form."""

    default_reason = "save-unsupported"
