// Open a view over HTTP or from a directory, and read slabs of it.

import { resolve as resolvePath } from "node:path";
import { pathToFileURL } from "node:url";
import { Context } from "./context.js";
import { documentOf } from "./document.js";
import { ViewError, refuse } from "./errors.js";
import { Graph } from "./graph.js";
import { canonicalText, parseJson, plain } from "./json.js";
import { LIMITS } from "./limits.js";
import { readCells } from "./read.js";
import { getObject } from "./storage.js";
import { cellValue, dataType, oneCell } from "./types.js";

export { LIMITS, ViewError };

const ROOT = "$.attributes.lazyzarr";

/**
 * @typedef {object} Options
 * @property {string[]} [allow] URLs or directories below which the document may reach; by default the parent of what is opened
 * @property {Partial<import("./limits.js").Limits>} [limits] others are the default ones
 * @property {"graph" | "manifest"} [by] what is read: the graph, or the manifest where the document has one
 */
/** @typedef {number | [start: number, stop: number] | [start: number, stop: number, step: number]} Selection of an axis */

/** An array whose cells are stored elsewhere. */
export class View {
  /** @param {any} document @param {any} attributes @param {Graph} graph @param {Context} context */
  constructor(document, attributes, graph, context) {
    const { schema } = document;
    this.shape = schema.shape.map(Number);
    this.dataType = plain(schema.data_type);
    this.fillValue = plain(schema.fill_value);
    /** @type {(string | null)[] | null} */
    this.dimensionNames = schema.dimension_names ?? null;
    this.attributes = plain(attributes);
    this.type = graph.last.schema.type;
    this.graph = graph;
    this.context = context;
  }

  /**
   * Cells as they are: little-endian bytes in C order, or a list of texts.
   * @param {(Selection | null)[] | null} [selection] one for each axis; null for all of it
   * @returns {Promise<{shape: number[], cells: import("./types.js").Cells}>}
   */
  async readCells(selection = null) {
    /** @type {(Selection | null)[]} */
    const asked = selection ?? this.shape.map(() => null);
    if (asked.length !== this.shape.length) refuse("index-syntax", `the view has ${this.shape.length} axes`);
    const slab = asked.map((one, axis) => slabOf(one, this.shape[axis]));
    const cells = await readCells(this.graph, this.context, slab);
    const shape = slab.flatMap(({ count }, axis) => (typeof asked[axis] === "number" ? [] : [count]));
    return { shape, cells };
  }

  /**
   * Values in C order: numbers, BigInt for 64-bit integers and times, booleans, texts, pairs of complex numbers.
   * @param {(Selection | null)[] | null} [selection]
   * @returns {Promise<{shape: number[], data: any[]}>}
   */
  async read(selection = null) {
    const { shape, cells } = await this.readCells(selection);
    const count = cells instanceof Uint8Array ? cells.length / this.type.size : cells.length;
    return { shape, data: Array.from({ length: count }, (_, k) => cellValue(this.type, cells, k)) };
  }
}

/** @param {Selection | null} asked @param {number} length */
function slabOf(asked, length) {
  if (asked === null) return { first: 0, step: 1, count: length };
  const [start, stop, step = 1] = typeof asked === "number" ? [asked, asked + 1] : asked;
  if (![start, stop, step].every(Number.isSafeInteger) || step < 1) refuse("index-syntax", "a selection has integers, and a step of at least 1");
  if (start < 0 || stop < start || stop > length) refuse("index-bounds", `cells ${start} to ${stop} of an axis of ${length}`);
  return { first: start, step, count: Math.ceil((stop - start) / step) };
}

/** The URL of a directory or of a URL, without a slash at its end. @param {string} location */
function urlOf(location) {
  const url = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(location) ? new URL(location).href : pathToFileURL(resolvePath(location)).href;
  return url.replace(/\/+$/, "");
}

/**
 * Open a view by its URL or local path.
 * @param {string} location
 * @param {Options} [options]
 * @returns {Promise<View>}
 */
export async function open(location, options = {}) {
  const url = urlOf(location);
  const key = `${url}/zarr.json`;
  const roots = rootsOf(url, options);
  const answer = await getObject(key, null, [url, ...roots]);
  if (answer === null) return refuse("document-missing", `there is no view at ${url}`);
  return openBytes(answer.bytes, url, options);
}

/** @param {string} url @param {Options} options */
const rootsOf = (url, { allow }) => allow?.map(urlOf) ?? [url.slice(0, url.lastIndexOf("/"))];

/**
 * A view whose `zarr.json` has been read: nothing is requested until cells are.
 * @param {Uint8Array} bytes
 * @param {string} url where the view lies
 * @param {Options} [options]
 * @returns {View}
 */
export function openBytes(bytes, url, options = {}) {
  const limits = { ...LIMITS, ...options.limits };
  const context = new Context(`${url}/zarr.json`, rootsOf(url, options), limits);
  const { document, attributes } = documentOf(parseJson(bytes, limits));
  const graph = new Graph(document.graph, context, `${ROOT}.graph`);
  checkSchema(document, graph);
  checkGrid(document);
  if (document.manifest == null) return new View(document, attributes, graph, context);
  const manifest = new Graph(document.manifest.graph, context, `${ROOT}.manifest.graph`);
  checkSchema(document, manifest);
  return new View(document, attributes, options.by === "manifest" ? manifest : graph, context);
}

/** @param {any} document @param {Graph} graph */
function checkSchema({ schema }, graph) {
  const { shape, type, fill } = graph.last.schema;
  const where = `${ROOT}.schema`;
  /** @type {(what: string) => never} */
  const bad = (what) => refuse("document-schema", `the graph has another ${what} than the schema says`, where);
  if (canonicalText(shape) !== canonicalText(schema.shape)) bad("shape");
  const declared = dataType(schema.data_type, where);
  if (declared.id !== type.id) bad("data type");
  const value = oneCell(declared, schema.fill_value, where);
  if (value.length !== fill.length || ![...value].every((one, k) => one === fill[k])) bad("fill value");
  if (schema.dimension_names != null && schema.dimension_names.length !== shape.length) bad("number of axes");
}

/** Advice is checked and not used (G-025). @param {any} document */
function checkGrid({ grid, schema }) {
  if (grid == null) return;
  const lengths = grid.configuration?.chunk_shape;
  const right =
    grid.name === "regular" && Array.isArray(lengths) && lengths.length === schema.shape.length &&
    lengths.every((length) => typeof length === "bigint" && length >= 1n);
  if (!right) refuse("document-member", "the grid is a regular one, of the rank of the view", `${ROOT}.grid`);
}
