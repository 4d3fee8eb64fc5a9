"""Why an error was raised: `REASONS`, the closed list of reason codes that ``spec/reason-codes.md`` explains.

Owns the codes and one sentence for each. Refuses to know which error carries which: that is `lazyzarr.errors`.
"""

from __future__ import annotations

from collections.abc import Mapping

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
    "extension-failed": "a node kind of another package did not do what it promised",
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
