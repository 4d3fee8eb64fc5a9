"""The JSON Schema of the document, made from the structs that parse it.

Owns `document_schema`, so that the schema in the specification cannot drift from the reader. Refuses to say more than
the structs: order of nodes, shapes and limits are rules of the specification that no JSON Schema expresses.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lazyzarr.document.wire import ATTRIBUTE, CONVENTION, VERSION, Document


def document_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the attribute ``lazyzarr`` of a view.

    Examples
    --------
    >>> document_schema()["$ref"]
    '#/$defs/Document'
    """
    (schema,), parts = msgspec.json.schema_components((Document,), ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": CONVENTION["schema_url"],
        "title": f"{ATTRIBUTE} document, version {VERSION}",
        **schema,
        "$defs": {name: parts[name] for name in sorted(parts)},
    }


def schema_text() -> bytes:
    """The schema as it is checked in."""
    return msgspec.json.format(msgspec.json.encode(document_schema()), indent=2) + b"\n"
