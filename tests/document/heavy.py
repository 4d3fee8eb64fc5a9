"""Documents at the limits, good and bad: as many of everything as one document may have, and more than that.

Owns the texts, each by a name with what comes of it. `tests/bench/documents.py` measures time and memory of each in a
process of its own; the tests hold the memory and the outcome.
"""

from __future__ import annotations

from tests.document.heavy_forms import (
    CASES,
    CELLS,
    COLUMN,
    EDGES,
    LAYOUT,
    LIMITS,
    MANY,
    NODES,
    VIEW,
    case,
    document,
    fill,
    join,
    numbers,
)
from tests.document.heavy_graphs import wide_concat

__all__ = ("CASES",)


# -- layouts, arrays, tables


@case("30,000 layouts, none used", "limit-exceeded")
def _layouts() -> bytes:
    return document([fill(1)], [1], layouts=(LAYOUT.replace("[1]", f"[{k + 1}]") for k in range(30_000)))


@case("as many codecs as there may be")
def _codecs() -> bytes:
    codecs = '[{"name":"bytes"}' + ',{"name":"crc32c"}' * 15 + "]"
    layout = '{{"data_type":"int8","fill_value":0,"chunk_shape":[{}],"codecs":{}}}'
    return document([fill(1)], [1], layouts=(layout.format(k + 1, codecs) for k in range(LIMITS.layout_codecs // 16)))


@case("layouts of nested shards")
def _shards() -> bytes:
    def nested(depth: int) -> str:
        if not depth:
            return '[{"name":"bytes"}]'
        conf = f'{{"chunk_shape":[1],"codecs":{nested(depth - 1)},"index_codecs":[{{"name":"bytes","configuration":{{"endian":"little"}}}}]}}'
        return f'[{{"name":"sharding_indexed","configuration":{conf}}}]'

    codecs = nested(3)
    layout = '{{"data_type":"int8","fill_value":0,"chunk_shape":[{}],"codecs":{}}}'
    return document([fill(1)], [1], layouts=(layout.format(k + 1, codecs) for k in range(1_000)))


@case("too many arrays, none used", "limit-exceeded")
def _arrays() -> bytes:
    arrays = (f'{{"layout":0,"shape":[{k}],"location":"../data/a{k}.zarr"}}' for k in range(2 * LIMITS.arrays))
    return document([fill(1)], [1], layouts=[LAYOUT], arrays=arrays)


@case("as many arrays as there may be, with stamps")
def _stamped() -> bytes:
    count = LIMITS.arrays
    arrays = (
        f'{{"layout":0,"shape":[1],"location":"../data/a{k}.zarr","stamp":{{"size":700,"mtime_ns":{10**18 + k},'
        f'"inode":{k},"digest":"sha256:{k:064x}"}}}}'
        for k in range(count)
    )
    sources = (f'{{"op":"source","array":{k}}}' for k in range(count))
    return document([*sources, join("concat", range(count))], [count], layouts=[LAYOUT], arrays=arrays)


@case("too many further places of an array", "limit-exceeded")
def _places() -> bytes:
    places = ",".join(f'{{"location":"../data/{k}.bin"}}' for k in range(EDGES))
    array = f'{{"layout":0,"shape":[1],"location":"../data/a.h5","places":[{places}]}}'
    return document(['{"op":"source","array":0}'], [1], layouts=[LAYOUT], arrays=[array])


@case("too many stored tables", "limit-exceeded")
def _tables() -> bytes:
    return document(
        [fill(1)], [1], tables=(f'"t{k}":{{"folder":"f{k}","columns":{{"indices":{COLUMN}}}}}' for k in range(NODES))
    )


@case("a table of too many columns", "limit-exceeded")
def _columns() -> bytes:
    columns = ",".join(f'"c{k}":{COLUMN}' for k in range(NODES))
    return document([fill(1)], [1], tables=[f'"t":{{"folder":"f","columns":{{{columns}}}}}'])


@case("as many indices as there may be inside")
def _indices() -> bytes:
    table = f'"t":{{"columns":{{"indices":{{"data_type":"int64","shape":[{CELLS}],"data":{numbers(range(CELLS))}}}}}}}'
    return document(
        [fill(CELLS), '{"op":"take","input":0,"axis":0,"indices":"t"}'], [CELLS], requires=["take"], tables=[table]
    )


@case("as many indices as there may be inside, the last is true", "fill-invalid")
def _wrong_index() -> bytes:
    data = numbers(range(CELLS - 1))[:-1] + ",true]"
    table = f'"t":{{"columns":{{"indices":{{"data_type":"int64","shape":[{CELLS}],"data":{data}}}}}}}'
    return document(
        [fill(CELLS), '{"op":"take","input":0,"axis":0,"indices":"t"}'], [CELLS], requires=["take"], tables=[table]
    )


@case("1 MiB of cells inside the document", "limit-exceeded")
def _cells_inside() -> bytes:
    count = 1 << 20
    table = f'"t":{{"columns":{{"values":{{"data_type":"int8","shape":[{count}],"data":{numbers([3] * count)}}}}}}}'
    array = f'{{"layout":0,"shape":[{count}],"values":"t"}}'
    layout = LAYOUT.replace("[1]", f"[{count}]")
    return document(['{"op":"source","array":0}'], [count], layouts=[layout], arrays=[array], tables=[table])


@case("as many tiles as there may be inside")
def _tile_rows() -> bytes:
    count = CELLS // 4
    columns = {
        "origin": ("int64", [count, 1], numbers(range(count))),
        "shape": ("int64", [count, 1], numbers([1] * count)),
        "layout": ("int32", [count], numbers([0] * count)),
        "url": ("string", [count], "[" + ",".join(f'"../data/{k}.zarr"' for k in range(count)) + "]"),
    }
    return _tiled(columns, count)


@case("tiles whose origins wrap", "graph-shape")
def _wrapping() -> bytes:
    columns = {
        "origin": ("int64", [2, 1], numbers([0, 2**63 - 1])),
        "shape": ("int64", [2, 1], numbers([1, 2**63 - 1])),
        "layout": ("int32", [2], "[0,0]"),
        "url": ("string", [2], '["a","b"]'),
    }
    return _tiled(columns, 2)


@case("tiles on top of each other", "limit-exceeded")
def _heaped() -> bytes:
    count = CELLS // 4
    columns = {
        "origin": ("int64", [count, 1], numbers([0] * count)),
        "shape": ("int64", [count, 1], numbers([1] * count)),
        "layout": ("int32", [count], numbers([0] * count)),
        "url": ("string", [count], "[" + ",".join(['"a"'] * count) + "]"),
    }
    return _tiled(columns, count)


def _tiled(columns: dict[str, tuple[str, list[int], str]], count: int) -> bytes:
    table = ",".join(
        f'"{name}":{{"data_type":"{kind}","shape":{numbers(shape)},"data":{data}}}'
        for name, (kind, shape, data) in columns.items()
    )
    node = f'{{"op":"tiles","table":"t","shape":[{count}],"data_type":"int8","fill_value":0,"layouts":[0]}}'
    return document([node], [count], requires=["tiles"], layouts=[LAYOUT], tables=[f'"t":{{"columns":{{{table}}}}}'])


# -- text


@case("all bytes: one string of the user")
def _string() -> bytes:
    return document([fill(1)], [1], beside=f'"note":"{"x" * (LIMITS.document_bytes - 400)}",')


@case("one byte more", "limit-exceeded")
def _too_long() -> bytes:
    text = document([fill(1)], [1])
    return text + b" " * (LIMITS.document_bytes + 1 - len(text))


@case("all bytes of escaped characters of the user")
def _escapes() -> bytes:
    return document([fill(1)], [1], beside='"note":"' + "\\n" * (LIMITS.document_bytes // 2 - 400) + '",')


@case("all bytes of spaces")
def _spaces() -> bytes:
    return document([fill(1)], [1])[:-1] + b" " * (LIMITS.document_bytes - 400) + b"}"


@case("all bytes: a fill value", "fill-invalid")
def _long_fill() -> bytes:
    return document([fill(1).replace('"value":0', f'"value":"{"x" * (LIMITS.document_bytes - 400)}"')], [1])


@case("all bytes: a location", "limit-exceeded")
def _long_location() -> bytes:
    array = f'{{"layout":0,"shape":[1],"location":"{"x" * (LIMITS.document_bytes - 600)}"}}'
    return document(['{"op":"source","array":0}'], [1], layouts=[LAYOUT], arrays=[array])


@case("all bytes: the name of a codec", "codec-unknown")
def _long_codec() -> bytes:
    layout = LAYOUT.replace('"bytes"', f'"{"x" * (LIMITS.document_bytes - 600)}"')
    return document([fill(1)], [1], layouts=[layout])


@case("all bytes: the name of a data type", "type-unknown")
def _long_type() -> bytes:
    return document([fill(1).replace('"int8"', f'"{"x" * (LIMITS.document_bytes - 600)}"')], [1])


@case("all bytes: the name of a member", "document-member")
def _long_member() -> bytes:
    return document([fill(1).replace('"value"', f'"{"x" * (LIMITS.document_bytes - 600)}":1,"value"')], [1])


@case("many numbers of the user")
def _numbers() -> bytes:
    return document([fill(1)], [1], beside=f'"note":{numbers(range(LIMITS.json_values - 100))},')


@case("many empty objects of the user")
def _objects() -> bytes:
    return document([fill(1)], [1], beside=f'"note":[{",".join(["{}"] * MANY)}],')


@case("many members of the user")
def _members() -> bytes:
    return document([fill(1)], [1], beside='"note":{' + ",".join(f'"{k}":0' for k in range(MANY)) + "},")


@case("3,000,000 values", "limit-exceeded")
def _values() -> bytes:
    return document([fill(1)], [1], beside='"note":[' + "0," * 3_000_000 + "0],")


@case("all bytes of opening brackets", "limit-exceeded")
def _brackets() -> bytes:
    return VIEW + b"[" * (LIMITS.document_bytes - 99)


@case("all bytes of digits", "limit-exceeded")
def _digits() -> bytes:
    return VIEW + b"1" * (LIMITS.document_bytes - 99)


@case("all bytes of quotes", "document-syntax")
def _quotes() -> bytes:
    return VIEW + b'"' * (LIMITS.document_bytes - 99)


@case("all bytes of backslashes", "document-syntax")
def _slashes() -> bytes:
    return VIEW + b"\\" * (LIMITS.document_bytes - 99)


@case("a member of very many twice", "document-syntax")
def _twice() -> bytes:
    return document([fill(1)], [1], beside='"note":{' + ",".join(f'"{k}":0' for k in range(MANY)) + ',"0":0},')


@case("NaN", "document-syntax")
def _nan() -> bytes:
    return document([fill(1)], [1], value="NaN")


@case("an integer of 5,000 digits", "limit-exceeded")
def _huge() -> bytes:
    return document([fill(1)], [1]).replace(b'"shape":[1]', b'"shape":[' + b"9" * 5000 + b"]")


@case("a float of 10^6 digits", "fill-invalid")
def _float() -> bytes:
    return document([fill(1)], [1], value="0." + "1" * 1_000_000)


@case("all nodes, cut in the middle", "document-syntax")
def _cut() -> bytes:
    text = wide_concat()
    return text[: len(text) // 2]
