// A graph with its tables, arrays and layouts, checked as a whole before anything is read (sections 4 to 6 of graph.md).

import { checkArray, checkTileRows } from "./arrays.js";
import { checkBoxes } from "./boxes.js";
import { cellCount, makeChain } from "./codecs.js";
import { makeColumn } from "./columns.js";
import { member, refuse } from "./errors.js";
import { inferNode } from "./infer.js";
import { canonicalText } from "./json.js";
import { checkMarkers, rowColumns, withNumbers } from "./rowvalues.js";
import { makeTable } from "./tables.js";
import { dataType, oneCell } from "./types.js";

/** @typedef {import("./types.js").DataType} DataType */
/** @typedef {import("./types.js").Cells} Cells */
/**
 * @typedef {object} Layout
 * @property {DataType} type
 * @property {Cells} fill one cell
 * @property {number[]} chunkShape
 * @property {import("./codecs.js").Chain} chain
 * @property {(position: number[]) => string} chunkKey
 * @property {string} metadata
 * @property {{names: string[], wire: any, make: (numbers: {[name: string]: number}) => Layout} | null} rows what it takes from the rows of tiles
 */
/**
 * @typedef {object} Stored a stored array
 * @property {bigint[]} shape
 * @property {Layout} layout
 * @property {Layout[]} variants
 * @property {string | null} url
 * @property {any} stamp
 * @property {{url: string, stamp: any}[]} places
 * @property {import("./tables.js").Table | null} refs
 * @property {bigint} refsFirst
 * @property {import("./tables.js").Table | null} inline
 * @property {import("./tables.js").Table | null} origins
 * @property {import("./tables.js").Table | null} values
 */
/** @typedef {{shape: bigint[], type: DataType, fill: Cells}} NodeSchema */
/** @typedef {{op: string, wire: any, schema: NodeSchema, [more: string]: any}} Node */

export class Graph {
  /**
   * @param {any} wire
   * @param {import("./context.js").Context} context
   * @param {string} where
   */
  constructor(wire, context, where) {
    this.context = context;
    this.where = where;
    this.wire = wire;
    const { limits } = context;
    const { nodes } = wire;
    const layouts = wire.layouts ?? [];
    const arrays = wire.arrays ?? [];
    this.tables = wire.tables ?? {};
    /** @type {Map<string, import("./tables.js").Table>} */
    this.known = new Map();
    checkCosts(wire, limits, where);
    if (nodes.length === 0) refuse("graph-empty", "the graph has no nodes", `${where}.nodes`);
    this.urls = arrays.map((/** @type {any} */ array, /** @type {number} */ k) => ({
      url: array.location == null ? null : context.resolve(array.location, context.base, `${where}.arrays[${k}].location`),
      places: (array.places ?? []).map((/** @type {any} */ place, /** @type {number} */ j) =>
        context.resolve(place.location, context.base, `${where}.arrays[${k}].places[${j}].location`)),
    }));
    this.urls.forEach((/** @type {{url: string | null, places: string[]}} */ { url, places }, /** @type {number} */ k) => {
      if (url !== null) context.allow(url, `${where}.arrays[${k}].location`);
      places.forEach((one, j) => context.allow(one, `${where}.arrays[${k}].places[${j}].location`));
    });
    /** @type {Layout[]} */
    this.layouts = layouts.map((/** @type {any} */ layout, /** @type {number} */ k) => makeLayout(layout, limits, `${where}.layouts[${k}]`));
    /** @type {Stored[]} */
    this.arrays = [];
    let inlineTotal = 0;
    arrays.forEach((/** @type {any} */ array, /** @type {number} */ k) => {
      const stored = checkArray(this, array, this.urls[k], `${where}.arrays[${k}]`);
      this.arrays.push(stored);
      if (stored.values !== null) inlineTotal += cellCount(stored.shape.map(Number)) * Math.max(stored.layout.type.size, 1);
      if (inlineTotal > limits.inline_total) refuse("limit-exceeded", "in-memory arrays are too large in all", `${where}.arrays`);
    });
    this.checkOrder(nodes);
    /** @type {Node[]} */
    this.nodes = [];
    nodes.forEach((/** @type {any} */ node, /** @type {number} */ k) => {
      this.nodes.push(inferNode(this, node, `${where}.nodes[${k}]`));
      const { shape } = this.nodes[k].schema;
      if (shape.length > limits.rank) refuse("limit-exceeded", "a node has too many axes", `${where}.nodes[${k}]`);
      if (shape.reduce((count, length) => count * length, 1n) >= 2n ** 63n) {
        refuse("graph-shape", "a node has too many cells", `${where}.nodes[${k}]`);
      }
    });
    this.checkRest();
  }

  get last() {
    return this.nodes[this.nodes.length - 1];
  }

  /**
   * A table as one of a kind. @param {string} name @param {Parameters<typeof makeTable>[1]} kind @param {string} where
   * @returns {import("./tables.js").Table}
   */
  table(name, kind, where) {
    const key = `${kind} ${name}`;
    const known = this.known.get(key);
    if (known !== undefined) return known;
    if (!Object.hasOwn(this.tables, name)) refuse("graph-reference", `there is no table ${JSON.stringify(name)}`, where);
    const { limits, base, get, resolve } = this.context;
    const allowed = (/** @type {string} */ location, /** @type {string} */ from, /** @type {string} */ at) => {
      const url = resolve(location, from, at);
      this.context.allow(url, at);
      return url;
    };
    const table = makeTable(this.tables[name], kind, { limits, base, get, resolve: allowed, where: this.tablePlace(name) });
    this.known.set(key, table);
    return table;
  }

  /** The place of a table, or of one of its columns. @param {string} name @param {string} [column] */
  tablePlace(name, column) {
    return `${this.where}.tables${member(name)}${column === undefined ? "" : `.columns${member(column)}`}`;
  }

  /** @param {bigint} number @param {string} where @returns {Layout} */
  layout(number, where) {
    if (number < 0n || number >= BigInt(this.layouts.length)) refuse("graph-reference", `there is no layout ${number}`, where);
    return this.layouts[Number(number)];
  }

  /** Inputs of a node. @param {any} node @returns {bigint[]} */
  static inputs(node) {
    return node.inputs ?? (node.input === undefined ? [] : [node.input]);
  }

  /** I1 to I3, and the depth. @param {any[]} nodes */
  checkOrder(nodes) {
    const { limits } = this.context;
    const uses = new Array(nodes.length).fill(0);
    const seen = new Set();
    nodes.forEach((node, k) => {
      const where = `${this.where}.nodes[${k}]`;
      for (const input of Graph.inputs(node)) {
        if (input < 0n || input >= BigInt(k)) refuse("graph-order", "an input is not before its user", where);
        uses[Number(input)] += 1;
      }
      const text = canonicalText(withoutDefaults(node));
      if (seen.has(text)) refuse("graph-duplicate", "two nodes are equal", where);
      seen.add(text);
    });
    const reached = new Array(nodes.length).fill(false);
    reached[nodes.length - 1] = true;
    for (let k = nodes.length - 1; k >= 0; k -= 1) {
      if (!reached[k]) refuse("graph-unreachable", "a node does not reach the last one", `${this.where}.nodes[${k}]`);
      for (const input of Graph.inputs(nodes[k])) reached[Number(input)] = true;
    }
    const run = ["index", "transpose", "broadcast", "recode"];
    const depths = new Array(nodes.length).fill(1);
    nodes.forEach((node, k) => {
      for (const input of Graph.inputs(node).map(Number)) {
        const below = nodes[input];
        const same =
          (run.includes(node.op) && run.includes(below.op)) ||
          (node.op === "concat" && below.op === "concat" && node.axis === below.axis && uses[input] === 1);
        depths[k] = Math.max(depths[k], depths[input] + (same ? 0 : 1));
      }
      if (depths[k] > limits.graph_depth) refuse("limit-exceeded", "the graph is too deep", `${this.where}.nodes`);
    });
  }

  /** Rows of tiles, and tables that nothing names: they have to be right, too, as far as that can be said of them. */
  checkRest() {
    const { limits, get } = this.context;
    const named = new Set([...this.known.keys()].map((key) => key.slice(key.indexOf(" ") + 1)));
    for (const [name, table] of Object.entries(this.tables)) {
      if (named.has(name)) continue;
      for (const [column, wire] of Object.entries(table.columns)) {
        makeColumn(wire, table.folder == null ? null : table.folder, { limits, get, where: this.tablePlace(name, column) });
      }
    }
    for (const node of this.nodes) {
      if (node.op === "tiles") checkTileRows(this, node);
      if (node.op === "boxes") checkBoxes(this, node);
    }
  }
}

/** @param {any} node */
function withoutDefaults(node) {
  const kept = Object.entries(node).filter(([name, value]) => value !== null && !(name === "overlap" && value === "error") && !(name === "constants" && value.length === 0));
  const plainNode = Object.assign(Object.create(null), Object.fromEntries(kept));
  if (plainNode.constants !== undefined) plainNode.constants = plainNode.constants.map(withoutDefaults);
  return plainNode;
}

/** @param {any} wire @param {import("./limits.js").Limits} limits @param {string} where */
function checkCosts(wire, limits, where) {
  /** @type {(cost: number, limit: keyof typeof limits, at: string) => void} */
  const under = (cost, limit, at) => {
    if (cost > limits[limit]) refuse("limit-exceeded", `${limit} is ${cost}, and the limit ${limits[limit]}`, `${where}${at}`);
  };
  const layouts = wire.layouts ?? [];
  const arrays = wire.arrays ?? [];
  const constants = wire.nodes.reduce((/** @type {number} */ sum, /** @type {any} */ node) => sum + (node.constants?.length ?? 0), 0);
  under(wire.nodes.length + constants, "nodes", ".nodes");
  let edges = 0;
  wire.nodes.forEach((/** @type {any} */ node, /** @type {number} */ k) => {
    edges += Graph.inputs(node).length;
    under(node.shape?.length ?? 0, "rank", `.nodes[${k}].shape`);
  });
  under(edges, "edges", ".nodes");
  let places = 0;
  arrays.forEach((/** @type {any} */ array, /** @type {number} */ k) => {
    places += 1 + (array.places ?? []).length;
    under(array.shape.length, "rank", `.arrays[${k}].shape`);
  });
  under(places, "arrays", ".arrays");
  let codecs = 0;
  for (const layout of layouts) codecs += layout.codecs.length;
  under(codecs, "layout_codecs", ".layouts");
  let columns = 0;
  let cells = 0;
  for (const table of Object.values(wire.tables ?? {})) {
    for (const column of Object.values(/** @type {any} */ (table).columns)) {
      columns += 1;
      cells += /** @type {any} */ (column).data?.length ?? 0;
    }
  }
  under(columns, "columns", ".tables");
  under(cells, "inline_cells", ".tables");
}

/** @param {any} wire @param {import("./limits.js").Limits} limits @param {string} where @returns {Layout} */
function makeLayout(wire, limits, where) {
  const names = rowColumns(wire);
  if (names.length === 0) return makePlainLayout(wire, limits, where);
  checkMarkers(wire, names, `${where}.codecs`);
  const sample = makePlainLayout(withNumbers(wire, Object.fromEntries(names.map((name) => [name, 1]))), limits, where);
  return { ...sample, rows: { names, wire, make: (numbers) => makePlainLayout(withNumbers(wire, numbers), limits, where) } };
}

/** @param {any} wire @param {import("./limits.js").Limits} limits @param {string} where @returns {Layout} */
function makePlainLayout(wire, limits, where) {
  const type = dataType(wire.data_type, where);
  const fill = oneCell(type, wire.fill_value, where);
  if (wire.chunk_shape.some((/** @type {bigint} */ length) => length < 1n)) {
    refuse("graph-shape", "a chunk has a length of at least 1", `${where}.chunk_shape`);
  }
  const cells = wire.chunk_shape.reduce((/** @type {bigint} */ count, /** @type {bigint} */ length) => count * length, 1n);
  if (cells * BigInt(Math.max(type.size, 1)) > BigInt(limits.chunk_bytes)) {
    refuse("limit-exceeded", "a decoded chunk is too large", `${where}.chunk_shape`);
  }
  const chunkShape = wire.chunk_shape.map(Number);
  const chain = makeChain({ type, fill, shape: chunkShape, codecs: wire.codecs, where: `${where}.codecs`, limits });
  return { type, fill, chunkShape, chain, chunkKey: chunkKeys(wire.chunk_keys, `${where}.chunk_keys`), metadata: wire.metadata ?? "zarr.json", rows: null };
}

/** @param {any} wire @param {string} where @returns {(position: number[]) => string} */
function chunkKeys(wire, where) {
  const name = wire?.name ?? "default";
  if (name !== "default" && name !== "v2") refuse("codec-unknown", `${JSON.stringify(name)} are chunk keys that are not known`, where);
  const separator = wire?.configuration?.separator ?? (name === "v2" ? "." : "/");
  if (separator !== "/" && separator !== ".") refuse("codec-invalid", "the separator is / or .", where);
  if (name === "default") return (position) => ["c", ...position].join(separator);
  return (position) => (position.length === 0 ? "0" : position.join(separator));
}
