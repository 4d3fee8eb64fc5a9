// Stored arrays and tiles (section 4 and node `tiles` of graph.md), checked against their tables as far as those are inline.

import { cellCount } from "./codecs.js";
import { disjoint } from "./combs.js";
import { refuse } from "./errors.js";
import { checkNumber } from "./rowvalues.js";

/** @typedef {import("./graph.js").Graph} Graph */

/** @param {bigint[]} shape @param {number[]} chunk @returns {bigint} */
export function chunkCount(shape, chunk) {
  return shape.reduce((count, length, axis) => count * ((length + BigInt(chunk[axis]) - 1n) / BigInt(chunk[axis])), 1n);
}

/**
 * @param {Graph} graph @param {any} wire @param {{url: string | null, places: string[]}} urls @param {string} where
 * @returns {import("./graph.js").Stored}
 */
export function checkArray(graph, wire, urls, where) {
  const { limits } = graph.context;
  /** @type {(what: string) => never} */
  const bad = (what) => refuse("document-member", what, where);
  const has = (/** @type {string} */ name) => wire[name] != null && !(Array.isArray(wire[name]) && wire[name].length === 0);
  if (has("origins")) {
    if (!has("refs")) bad("an array with origins has refs");
    for (const name of ["location", "values", "places", "stamp"]) if (has(name)) bad(`an array with origins has no ${name}`);
  } else {
    if (has("location") === has("values")) bad("an array has either location or values");
    if (has("refs") && !has("location")) bad("refs are beside location");
    if (has("stamp") && !has("location")) bad("a stamp is beside location");
  }
  for (const name of ["variants", "places", "inline"]) if (has(name) && !has("refs")) bad(`${name} is beside refs`);
  const layout = graph.layout(wire.layout, `${where}.layout`);
  const variants = (wire.variants ?? []).map((/** @type {bigint} */ number) => graph.layout(number, `${where}.variants`));
  for (const one of [layout, ...variants]) {
    if (one.rows !== null) refuse("codec-invalid", "only tiles have layouts that take numbers from rows", where);
    if (one.chunkShape.length !== wire.shape.length) refuse("graph-shape", "chunks have another rank than the array", where);
  }
  for (const one of variants) {
    if (one.type.id !== layout.type.id) refuse("graph-type", "variants have one data type", where);
  }
  const stored = {
    shape: wire.shape,
    layout,
    variants,
    url: urls.url,
    stamp: wire.stamp ?? null,
    places: urls.places.map((url, k) => ({ url, stamp: wire.places[k].stamp ?? null })),
    refs: has("refs") ? graph.table(wire.refs, has("origins") ? "originRefs" : "refs", `${where}.refs`) : null,
    refsFirst: wire.refs_first ?? 0n,
    inline: has("inline") ? graph.table(wire.inline, "inline", `${where}.inline`) : null,
    origins: has("origins") ? graph.table(wire.origins, "origins", `${where}.origins`) : null,
    values: has("values") ? graph.table(wire.values, "values", `${where}.values`) : null,
  };
  if (stored.values !== null) {
    const { type, shape } = stored.values.columns.values;
    const wanted = stored.shape.length === 0 ? [1n] : stored.shape;
    if (shape.length !== wanted.length || !wanted.every((/** @type {bigint} */ length, /** @type {number} */ axis) => length === BigInt(shape[axis]))) {
      refuse("table-invalid", "values have another shape than the array", graph.tablePlace(wire.values, "values"));
    }
    if (type.id !== layout.type.id) refuse("table-invalid", "values have another type than the array", graph.tablePlace(wire.values, "values"));
    if (cellCount(shape) * Math.max(type.size, 1) > limits.inline_bytes) refuse("limit-exceeded", "an in-memory array is too large", where);
  }
  if (stored.refs !== null) {
    const count = chunkCount(stored.shape, layout.chunkShape);
    if (stored.refsFirst + count > BigInt(stored.refs.length)) refuse("table-invalid", "there are fewer references than chunks", where);
    checkRefs(stored.refs, stored, (name) => graph.tablePlace(wire.refs, name));
  }
  if (stored.origins !== null) checkOrigins(graph, stored, wire);
  return stored;
}

/** @param {import("./tables.js").Table} refs @param {{variants: any[], places: any[], inline: any, origins: any}} stored @param {(column: string) => string} placeOf */
function checkRefs(refs, { variants, places, inline, origins }, placeOf) {
  /** @type {(column: string, what: string) => never} */
  const bad = (name, what) => refuse("table-invalid", what, placeOf(name));
  const column = (/** @type {string} */ name) => (refs.has(name) && refs.columns[name].inline ? refs.inlineIntegers(name) : []);
  for (const state of column("state")) {
    if (state > 3n) bad("state", `${state} is no state`);
    if (state === 3n && inline === null) bad("state", "a reference is inline, and the array has no table for it");
  }
  if (column("layout").some((number) => number < 0n || number > BigInt(variants.length))) bad("layout", "a reference has a layout that is not there");
  if (column("place").some((number) => number < 0n || number > BigInt(places.length))) bad("place", "a reference has a place that is not there");
  if (origins !== null && column("origin").some((number) => number < -1n || number >= BigInt(origins.length))) {
    bad("origin", "a reference has an origin that is not there");
  }
}

/** @param {Graph} graph @param {import("./graph.js").Stored} stored @param {any} wire */
function checkOrigins(graph, stored, wire) {
  const origins = /** @type {import("./tables.js").Table} */ (stored.origins);
  if (!origins.inline) return;
  const urls = /** @type {string[]} */ (origins.columns.url.cells);
  const place = graph.tablePlace(wire.origins, "url");
  for (const location of urls) graph.context.allow(graph.context.resolve(location, origins.base, place), place);
  if (origins.inlineIntegers("layout").some((number) => number < -1n || number > BigInt(stored.variants.length))) {
    refuse("table-invalid", "an origin has a layout that is not there", graph.tablePlace(wire.origins, "layout"));
  }
  const refs = /** @type {import("./tables.js").Table} */ (stored.refs);
  if (!refs.inline) return;
  const grids = origins.inlineIntegers("grid");
  const width = origins.columns.grid.width;
  const rows = refs.inlineIntegers("origin");
  const states = refs.has("state") ? refs.inlineIntegers("state") : rows.map(() => 1n);
  const numbers = refs.has("number") ? refs.inlineIntegers("number") : rows.map(() => 0n);
  const layouts = origins.inlineIntegers("layout");
  rows.forEach((origin, k) => {
    if (states[k] === 0n || states[k] === 3n) return;
    if (origin < 0n) refuse("table-invalid", "a reference that is not absent has no origin", graph.tablePlace(wire.refs, "origin"));
    if (layouts[Number(origin)] < 0n) return;
    const grid = grids.slice(Number(origin) * width, (Number(origin) + 1) * width).filter((length) => length > 0n);
    const count = grid.reduce((product, length) => product * length, 1n);
    if (numbers[k] < 0n || numbers[k] >= count) refuse("table-invalid", "a reference has a chunk outside of the grid", graph.tablePlace(wire.refs, "number"));
  });
}

/** Rows of a table of tiles that is inside the document (G-061). @param {Graph} graph @param {import("./graph.js").Node} node */
export function checkTileRows(graph, node) {
  const { table, where, layouts } = node;
  if (!table.inline) return;
  const urls = /** @type {string[]} */ (table.columns.url.cells);
  const place = graph.tablePlace(node.wire.table, "url");
  for (const location of urls) graph.context.allow(graph.context.resolve(location, table.base, place), place);
  const rows = tileRows(table.inlineIntegers("origin"), table.inlineIntegers("shape"), table.inlineIntegers("layout"), node, graph);
  rows.forEach(({ layout, shape }, k) => {
    const { rows: marked } = layouts[layout];
    for (const name of marked?.names ?? []) checkNumber(marked.wire, name, table.inlineFloats(name)[k], graph.tablePlace(node.wire.table, name));
    if (node.refs === null) return;
    const first = table.has("refs_first") ? table.inlineIntegers("refs_first")[k] : -1n;
    if (first < 0n || first + chunkCount(shape, layouts[layout].chunkShape) > BigInt(node.refs.length)) {
      refuse("table-invalid", "there are fewer references than chunks of tiles", where);
    }
  });
  disjoint(rows.map(({ first, count }) => ({ first, step: first.map(() => 1n), count })), graph.context.limits.box_pairs, where);
}

/**
 * Rows of tiles as boxes of the view, checked.
 * @param {bigint[]} origins @param {bigint[]} shapes @param {bigint[]} layouts @param {any} node @param {Graph | null} [graph] that has them in its document
 */
export function tileRows(origins, shapes, layouts, node, graph = null) {
  const { where, newAxis } = node;
  const outer = node.schema.shape;
  const rank = outer.length;
  const inner = node.table.columns.shape.width;
  /** @type {{first: bigint[], count: bigint[], shape: bigint[], layout: number}[]} */
  const rows = [];
  layouts.forEach((layout, k) => {
    if (layout < 0n || layout >= BigInt(node.layouts.length)) {
      refuse("table-invalid", "a tile has a layout that is not there", graph?.tablePlace(node.wire.table, "layout") ?? where);
    }
    const first = origins.slice(k * rank, (k + 1) * rank);
    const shape = shapes.slice(k * inner, (k + 1) * inner);
    const count = newAxis === null ? shape : shape.toSpliced(newAxis, 0, 1n);
    first.forEach((value, axis) => {
      if (value < 0n || count[axis] < 0n || value + count[axis] > outer[axis]) refuse("graph-shape", "a tile is outside of the view", where);
    });
    if (k > 0 && compare(rows[k - 1].first, first) > 0) refuse("graph-canonical", "tiles are not sorted by origin", where);
    rows.push({ first, count, shape, layout: Number(layout) });
  });
  return rows;
}

/** @param {bigint[]} a @param {bigint[]} b */
function compare(a, b) {
  const axis = a.findIndex((value, k) => value !== b[k]);
  return axis < 0 ? 0 : a[axis] < b[axis] ? -1 : 1;
}
