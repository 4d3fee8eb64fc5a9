"""Graphs at the limits, good and bad: nodes of every kind, inputs, boxes, depth, rank."""

from __future__ import annotations

from tests.document.heavy_forms import (
    EDGES,
    LAYOUT,
    NODES,
    TOTAL,
    case,
    distinct,
    document,
    fill,
    join,
    numbers,
    overlay,
)

# -- as many nodes as there may be, of every kind


@case("all nodes: chain of transposes")
def _transposes() -> bytes:
    return document([fill(2, 3), *(f'{{"op":"transpose","input":{k},"axes":[1,0]}}' for k in range(NODES - 1))], [3, 2])


@case("all nodes: chain of slices")
def _slices() -> bytes:
    return document(
        [fill(NODES), *(f'{{"op":"index","input":{k},"axes":[[1,1,{NODES - 1 - k}]]}}' for k in range(NODES - 1))], [1]
    )


@case("all nodes: chain of broadcasts")
def _broadcasts() -> bytes:
    return document(
        [fill(1), *(f'{{"op":"broadcast","input":{k},"shape":[7],"axes":[0]}}' for k in range(NODES - 1))],
        [7],
        requires=["broadcast"],
    )


@case("all nodes: chain of gathers", "limit-exceeded")
def _takes() -> bytes:
    table = '"t":{"columns":{"indices":{"data_type":"int64","shape":[2],"data":[1,0]}}}'
    return document(
        [fill(2), *(f'{{"op":"take","input":{k},"axis":0,"indices":"t"}}' for k in range(NODES - 1))],
        [2],
        requires=["take"],
        tables=[table],
    )


@case("all nodes: chain of decodes", "limit-exceeded")
def _decodes() -> bytes:
    codec = '{"name":"scale_offset","configuration":{"offset":1,"scale":2}}'
    text = '{{"op":"decode","input":{},"codecs":[{}],"data_type":"float64","fill_value":0.0}}'
    first = '{"op":"fill","shape":[2],"data_type":"float64","value":0.0}'
    return document(
        [first, *(text.format(k, codec) for k in range(NODES - 1))],
        [2],
        requires=["decode"],
        data_type='"float64"',
        value="0.0",
    )


@case("all nodes: appended one by one")
def _appended() -> bytes:
    nodes = [fill(1)]
    for k in range(NODES // 2 - 1):
        nodes += [fill(k + 2), join("concat", [2 * k, 2 * k + 1])]
    return document(nodes, [sum(range(1, NODES // 2 + 1))])


@case("all nodes: one wide concat")
def wide_concat() -> bytes:
    return document([*distinct(), join("concat", range(NODES - 1))], [TOTAL])


@case("all nodes: one wide stack")
def _stack() -> bytes:
    rows = (f'{{"op":"index","input":0,"axes":[[{k},1,7]]}}' for k in range(NODES - 2))
    return document([fill(NODES + 7), *rows, join("stack", range(1, NODES - 1))], [NODES - 2, 7])


@case("all nodes: one wide overlay")
def _overlay() -> bytes:
    origins = (f"[{k * (k - 1) // 2}]" for k in range(1, NODES))
    return document([*distinct(), overlay(range(NODES - 1), origins, [TOTAL])], [TOTAL], requires=["overlay"])


@case("all nodes: overlays of one input each", "limit-exceeded")
def _overlays() -> bytes:
    return document([fill(1), *(overlay([k], ["[0]"], [1]) for k in range(NODES - 1))], [1], requires=["overlay"])


@case("all nodes: sources and recodes")
def _sources() -> bytes:
    half = NODES // 2 - 1
    arrays = (f'{{"layout":0,"shape":[{k + 1}],"location":"../data/a{k}.zarr"}}' for k in range(half))
    sources = (f'{{"op":"source","array":{k}}}' for k in range(half))
    recodes = (f'{{"op":"recode","input":{k},"layout":1}}' for k in range(half))
    other = LAYOUT.replace('"fill_value":0', '"fill_value":1')
    return document(
        [*sources, *recodes, join("concat", range(half, 2 * half))],
        [half * (half + 1) // 2],
        requires=["recode"],
        layouts=[LAYOUT, other],
        arrays=arrays,
        value="1",
    )


@case("all nodes: tiles")
def _tiles() -> bytes:
    columns = {"origin": "[1,1]", "shape": "[1,1]", "layout": "[1]", "url_end": "[1]", "url": "[8]"}
    types = {"layout": "int32", "url": "string"}
    data = {"origin": "[0]", "shape": "[1]", "layout": "[0]", "url": '["a.zarr"]'}
    del columns["url_end"]
    columns["url"] = "[1]"
    table = ",".join(
        f'"{name}":{{"data_type":"{types.get(name, "int64")}","shape":{shape},"data":{data[name]}}}'
        for name, shape in columns.items()
    )
    nodes = (
        f'{{"op":"tiles","table":"t","shape":[{k}],"data_type":"int8","fill_value":0,"layouts":[0]}}'
        for k in range(1, NODES)
    )
    return document(
        [*nodes, join("concat", range(NODES - 1))],
        [TOTAL],
        requires=["tiles"],
        layouts=[LAYOUT],
        tables=[f'"t":{{"columns":{{{table}}}}}'],
    )


@case("one node more", "limit-exceeded")
def _too_many_nodes() -> bytes:
    return document([*distinct(), fill(NODES), join("concat", range(NODES))], [TOTAL + NODES])


@case("all nodes that are all wrong", "graph-order")
def _wrong_nodes() -> bytes:
    return document([fill(1), *(join("concat", [NODES + k]) for k in range(NODES - 1))], [1])


@case("all nodes equal", "graph-duplicate")
def _equal_nodes() -> bytes:
    return document([fill(1)] * NODES, [1])


# -- as many edges as there may be


@case("all edges: one concat")
def _edges() -> bytes:
    return document([fill(1), join("concat", [0] * EDGES)], [EDGES])


@case("all edges: stacks of the same input")
def _stacks() -> bytes:
    nodes = [fill(1), *(join("stack", [0] * k) for k in range(1, 700))]
    cuts = (f'{{"op":"index","input":{k},"axes":[0,[0,1,1]]}}' for k in range(1, 700))
    return document([*nodes, *cuts, join("concat", range(700, 1399))], [699])


@case("all edges over nearly all nodes")
def _spread() -> bytes:
    leaves, joins = 1000, NODES - 1001
    each = EDGES // joins - 1
    inputs = [[(k + i) % 999 for i in range(each - 1)] + [k // 999] for k in range(joins)]
    nodes = [*(fill(k + 1) for k in range(leaves)), *(join("concat", some) for some in inputs)]
    total = 1000 + sum(k + 1 for some in inputs for k in some)
    return document([*nodes, join("concat", [999, *range(leaves, NODES - 1)])], [total])


@case("all edges: overlay without overlap")
def _boxes() -> bytes:
    return document(
        [fill(1), overlay([0] * EDGES, (f"[{k}]" for k in range(EDGES)), [EDGES])], [EDGES], requires=["overlay"]
    )


@case("all edges: overlay on the same cells", "limit-exceeded")
def _layers() -> bytes:
    return document(
        [fill(1), overlay([0] * EDGES, ["[0]"] * EDGES, [9], ',"overlap":"last"')], [9], requires=["overlay"]
    )


@case("overlay whose 2,500 boxes all overlap", "overlap")
def _all_overlap() -> bytes:
    count = 2_500
    return document([fill(1), overlay([0] * count, ["[0]"] * count, [9])], [9], requires=["overlay"])


@case("overlay of rows above columns")
def _crossing() -> bytes:
    # long rows above long columns: on each axis nearly all pairs of intervals meet
    half = 50_000
    nodes = [fill(1, half), fill(half, 1)]
    origins = [*(f"[{k},0]" for k in range(half)), *(f"[{half},{k}]" for k in range(half))]
    return document(
        [*nodes, overlay([0] * half + [1] * half, origins, [2 * half, half])], [2 * half, half], requires=["overlay"]
    )


@case("overlay of rows and columns of one square", "limit-exceeded")
def _diagonal() -> bytes:
    half = 10_000
    nodes = [fill(1, half), fill(half, 1)]
    origins = [*(f"[{k},0]" for k in range(half)), *(f"[0,{k}]" for k in range(half))]
    return document(
        [*nodes, overlay([0] * half + [1] * half, origins, [half, half])], [half, half], requires=["overlay"]
    )


@case("overlay of 20,000 combs of different steps")
def _combs() -> bytes:
    count = 20_000
    steps = ",".join(f"[{2 + 2 * (k % 7)}]" for k in range(count))
    return document(
        [fill(1), overlay([0] * count, (f"[{k}]" for k in range(count)), [count], f',"steps":[{steps}]')],
        [count],
        requires=["overlay"],
    )


@case("overlay of 4,000 long combs of different steps that never meet")
def _long_combs() -> bytes:
    # even cells and odd cells, with two paces each: every pair of bounds meets and no pair of combs does
    count = 4000
    nodes = [fill(2000, 1)]
    steps = ",".join(f"[{4 if k % 2 else 8},1]" for k in range(count))
    origins = (f"[{k % 2},{k // 2}]" for k in range(count))
    return document(
        [*nodes, overlay([0] * count, origins, [16_000, 2000], f',"steps":[{steps}]')],
        [16_000, 2000],
        requires=["overlay"],
    )


@case("overlay of 1,000 combs of different steps on one line", "limit-exceeded")
def _line_combs() -> bytes:
    # residues 0..998 modulo 2000 at pace 2000, residues 1000..1998 at pace 4000
    nodes = [fill(1000)]
    steps = ",".join(f"[{2000 if k % 2 else 4000}]" for k in range(1000))
    origins = (f"[{k}]" for k in range(1000))
    return document(
        [*nodes, overlay([0] * 1000, origins, [4_000_000], f',"steps":[{steps}]')], [4_000_000], requires=["overlay"]
    )


@case("one edge more", "limit-exceeded")
def _too_many_edges() -> bytes:
    return document([fill(0), join("concat", [0] * (EDGES + 1))], [0])


# -- depth, size, rank


@case("doubled 40 times")
def _doubled() -> bytes:
    return document([fill(1), *(join("concat", [k, k]) for k in range(40))], [2**40])


@case("doubled 63 times", "graph-shape")
def _doubled_beyond() -> bytes:
    return document([fill(1), *(join("concat", [k, k]) for k in range(63))], [2**63])


@case("shape 2^62")
def _long() -> bytes:
    return document([fill(2**62)], [2**62])


@case("rank 100", "limit-exceeded")
def _rank() -> bytes:
    return document([fill(*[1] * 100)], [1] * 100)


@case("26,881 nodes of rank 32")
def _rank_many() -> bytes:
    turn = numbers([*range(1, 32), 0])
    turns = (f'{{"op":"transpose","input":{k},"axes":{turn}}}' for k in range(26_880))
    return document([fill(3, *[1] * 30, 5), *turns], [3, *[1] * 30, 5])


@case("deep: concats and stacks", "limit-exceeded")
def _deep() -> bytes:
    return document([fill(1, 1), *(join("concat", [k, k], k % 2) for k in range(NODES - 1))], [1, 1])


@case("a node names itself", "graph-order")
def _itself() -> bytes:
    return document([fill(1), join("concat", [1])], [1])


@case("a node names a later one", "graph-order")
def _later() -> bytes:
    return document([join("concat", [1]), join("concat", [0])], [1])
