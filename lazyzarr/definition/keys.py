"""Every key of a definition and the form of its value; the JSON Schema is made from this.

Owns the language. Refuses meaning: what a key does is in the module that reads it.
"""

from __future__ import annotations

import msgspec

from lazyzarr.definition.forms import ANYTHING, NUMBER, SCALAR, Either, ListOf, MapOf, Record, one_of, text, whole

NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
DATE = r"^[0-9]{4}(-[0-9]{2}(-[0-9]{2}([T ][0-9]{2}(:[0-9]{2}(:[0-9]{2})?)?)?)?)?$"
STEP = r"^([1-9][0-9]{0,8} )?(second|minute|hour|day|month|year)s?$"
CALENDARS = ("standard", "gregorian", "proleptic_gregorian", "noleap", "365_day", "all_leap", "366_day", "360_day")
FORMATS = ("auto", "zarr", "hdf5", "netcdf", "tiff", "grib", "fits", "kerchunk")
JOINS = ("concat", "stack", "interleave", "each")

_variable = text("the name of a variable (letters, digits, _)", NAME)
_date = Either(text("a date such as 2001-01-31 or 2001-01-31T12:00", DATE), whole(1))
_column = Record("a column {column: name}", {"column": _variable}, ["column"], "Values of a column of the table.")

_dates = Record(
    "dates {from, to or count, step}",
    {"from": _date, "to": _date, "count": whole(1), "step": text("a step such as 1 day or 6 hours", STEP)},
    ["from"],
    "Dates from the first to the last one, both included; without to and count as long as there are files.",
)
_range = Record(
    "a range {from, to or count, step}",
    {"from": whole(), "to": whole(), "count": whole(1), "step": whole(1)},
    [],
    "Integers, the last one included; without to and count as long as there are files.",
)

TILE = Record(
    "an entry of tile",
    {
        **{join: text("the name of a dimension" if join != "each" else "the name of a variable") for join in JOINS},
        "name": _variable,
        "dates": _dates,
        "range": _range,
        "values": Either(ListOf(SCALAR), _column),
        "calendar": one_of(*CALENDARS),
        "items": Either(
            whole(1),
            ListOf(whole(0)),
            one_of("days", "scan"),
            _column,
        ),
    },
    help="One of concat, stack, interleave (a dimension) or each (files that place puts); the first entry is outermost.",
)

SOURCE = Record(
    "a source",
    {
        "store": text("the name of a store"),
        "format": one_of(*FORMATS),
        "path": text("a template of paths"),
        "table": Either(
            text("the path of a table"),
            Record(
                "a table {path, format, asset}",
                {"path": text(), "format": one_of("csv", "parquet", "stac"), "asset": text()},
                ["path"],
            ),
        ),
        "boxes": ListOf(
            Record("a box {path, at}", {"path": text("a path"), "at": MapOf(NUMBER, least=1)}, ["path", "at"])
        ),
        "tile": ListOf(TILE),
    },
    help="Files: a template whose variables tile enumerates, a table of files, or files with their boxes.",
)

ATTRIBUTES = Record(
    "edits {from, rename, drop, set}",
    {
        "from": one_of("first", "equal", "none"),
        "rename": MapOf(text(), pattern="."),
        "drop": ListOf(text()),
        "set": MapOf(ANYTHING, pattern="."),
    },
    help="Attributes of the first file, those that all files share (the default), or none; then renamed, dropped, set.",
)

_placing = Record(
    "a placing {from, step, scale, origin, snap, tolerance}",
    {
        "from": text("a variable, a column or ome"),
        "step": NUMBER,
        "scale": NUMBER,
        "origin": NUMBER,
        "snap": one_of("exact", "nearest"),
        "tolerance": NUMBER,
        "units": text(),
    },
    ["from"],
    "Cell = (value * step - origin) / scale; whole, or at most tolerance cells from the nearest whole one.",
)

ARRAY = Record(
    "an array",
    {
        "from": text("the name of a source"),
        "path": Either(text("the path of an array in a file"), ListOf(text("a path"))),
        "dims": ListOf(text("a name")),
        "dtype": Either(
            text("a data type"),
            Record(
                "a data type {name, rounding, out_of_range}",
                {
                    "name": text(),
                    "rounding": one_of(
                        "nearest-even", "towards-zero", "towards-positive", "towards-negative", "nearest-away"
                    ),
                    "out_of_range": one_of("clamp", "wrap"),
                },
                ["name"],
            ),
        ),
        "packing": one_of("per-source", "same", "raw"),
        "units": text(),
        "take": one_of("first"),
        "check": one_of("equal", "none"),
        "place": Either(
            one_of("at", "ome"),
            MapOf(Either(text("a variable, a column or ome"), _placing), least=1),
        ),
        "trim": MapOf(Either(whole(0), ListOf(whole(0), least=2, most=2)), least=1),
        "overlap": one_of("error", "first", "last"),
        "fill": SCALAR,
        "missing": one_of("error", "fill"),
        "attributes": ATTRIBUTES,
    },
    ["from"],
    "One array of the dataset; the name * stands for all arrays of the first file that have no entry.",
)

DIM = Record(
    "a dimension",
    {
        "length": whole(0),
        "coordinate": text("the path of a 1-D array in the files, or none"),
        "values": ListOf(SCALAR),
        "start": NUMBER,
        "step": NUMBER,
        "units": text(),
        "calendar": one_of(*CALENDARS),
        "check": one_of("equal", "none"),
        "attributes": ATTRIBUTES,
    },
    help="Length, and where its coordinate comes from: files (the default), values, or start and step.",
)

SELECTION = Record(
    "a selection",
    {
        "slice": ListOf(Either(whole(), one_of(None)), least=1, most=3),
        "index": Either(text("the path of an index file"), ListOf(whole())),
        "drop": Either(text("a month and day, or a date"), ListOf(text("a month and day, or a date"))),
        "where": text("the name of a 1-D array of the dataset"),
        "equals": SCALAR,
        "in": ListOf(SCALAR),
        "above": NUMBER,
        "below": NUMBER,
        "shuffle": whole(0),
    },
    help="One of slice, index, drop, where (with equals, in, above or below) and shuffle (with its seed).",
)

VIEW = Record(
    "a view",
    {
        "of": Either(text("the name of an array"), ListOf(text("the name of an array"))),
        "select": MapOf(Either(SELECTION, ListOf(SELECTION)), least=1),
        "attributes": ATTRIBUTES,
    },
    ["select"],
    "A named selection of arrays, saved as a group; by default of all arrays that have the dimensions.",
)

OME = Record(
    "OME metadata",
    {"arrays": ListOf(text("the name of an array")), "name": text(), "scale": MapOf(NUMBER), "units": MapOf(text())},
    ["arrays"],
    "Writes OME-Zarr metadata (multiscales) over these arrays, the finest first.",
)

DEFINITION = Record(
    "a definition",
    {
        "lazyzarr": one_of(1),
        "stores": MapOf(text("a path or a URL"), pattern=NAME),
        "sources": MapOf(SOURCE, pattern=NAME, least=1),
        "dims": MapOf(DIM),
        "arrays": MapOf(ARRAY, least=1),
        "views": MapOf(VIEW),
        "attributes": ATTRIBUTES,
        "ome": OME,
    },
    ["lazyzarr", "sources", "arrays"],
    "A dataset made of files that are joined, placed and selected.",
)


def schema_text() -> bytes:
    """The JSON Schema of a definition, as it is shipped.

    Examples
    --------
    >>> msgspec.json.decode(schema_text())["required"]
    ['lazyzarr', 'sources', 'arrays']
    """
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Definition of a lazyzarr dataset",
        **DEFINITION.schema(),
    }
    return msgspec.json.format(msgspec.json.encode(schema), indent=1) + b"\n"
