"""Bad cases of locations: what a document may not name, and what it may not reach."""

from __future__ import annotations

from corpus.documents import HERE, Bad, changed

PLACE = f"{HERE}.graph.arrays[0].location"


def _invalid(name: str, location: str) -> Bad:
    return Bad(f"url-{name}", changed(("graph.arrays.0.location", location)), "ViewSchemaError", "url-invalid", PLACE)


def _denied(name: str, location: str) -> Bad:
    return Bad(
        f"access-{name}",
        changed(("graph.arrays.0.location", location)),
        "AccessDenied",
        "access-denied",
        f"{HERE}.graph.arrays[0].location",
    )


CASES = (
    _invalid("user-information", "https://user:secret@data.example/views/a.zarr"),
    _invalid("backslash", "..\\a.zarr"),
    _invalid("fragment", "../a.zarr#chunk"),
    _invalid("query", "../a.zarr?token=1"),
    _invalid("control-character", "../a\u0001.zarr"),
    _invalid("not-ascii", "../ä.zarr"),
    _invalid("space", "../a b.zarr"),
    _invalid("encoded-separator", "../a%2Fb.zarr"),
    _invalid("encoded-dot-segment", "../%2e%2e/%2e%2e/secret.zarr"),
    _invalid("dot-segment", "https://data.example/views/../secret/a.zarr"),
    _invalid("empty-segment", "https://data.example/views//a.zarr"),
    _invalid("numeric-host", "http://2130706433/a.zarr"),
    _invalid("hexadecimal-host", "http://0x7f.1/a.zarr"),
    _invalid("port", "https://data.example:99999/views/a.zarr"),
    _invalid("empty", ""),
    _invalid("colon-in-the-first-segment", "a:b.zarr"),
    _invalid("template", "../{name}.zarr"),
    _invalid("broken-escape", "../a%zz.zarr"),
    _invalid("above-the-root", "../../../../../a.zarr"),
    _denied("other-directory", "../../secret/a.zarr"),
    _denied("name-that-begins-alike", "https://data.example/views-secret/a.zarr"),
    _denied("other-host", "https://other.example/views/a.zarr"),
    _denied("other-port", "https://data.example:8443/views/a.zarr"),
    _denied("other-scheme", "http://data.example/views/a.zarr"),
    _denied("local-file", "file:///etc/passwd"),
    _denied("bucket", "s3://bucket/a.zarr"),
    _denied("loopback", "http://127.0.0.1/a.zarr"),
    Bad(
        "access-place",
        changed(
            ("graph.arrays.0.refs", "r"),
            ("graph.arrays.0.places", [{"location": "file:///etc/passwd"}]),
            ("graph.tables", {}),
        ),
        *("AccessDenied", "access-denied", f"{HERE}.graph.arrays[0].places[0].location"),
    ),
)
