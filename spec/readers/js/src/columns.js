// One column of a table (section 5 of graph.md): checked when a document is opened, and its rows, read by chunk.

import { cellCount, makeChain } from "./codecs.js";
import { ViewError, refuse } from "./errors.js";
import { dataType, emptyCells, getInteger, isVariable, oneCell } from "./types.js";
import { below } from "./urls.js";

/** @typedef {import("./types.js").DataType} DataType */
/** @typedef {import("./types.js").Cells} Cells */
/** @typedef {import("./codecs.js").Marked} Marked */
/** @typedef {import("./limits.js").Limits} Limits */

/** A column, inline or stored. */
export class Column {
  /** @param {DataType} type @param {number[]} shape @param {Cells | null} cells @param {any} stored @param {string} where its place */
  constructor(type, shape, cells, stored, where) {
    this.type = type;
    this.shape = shape;
    this.cells = cells;
    this.stored = stored;
    this.where = where;
    this.width = cellCount(shape.slice(1));
    /** @type {Map<number, Promise<Marked>>} */
    this.chunks = new Map();
  }

  get inline() {
    return this.cells !== null;
  }

  /** Whether its type is that of a column of texts. */
  get isText() {
    return this.type.id === (this.inline ? "string" : "uint8");
  }

  /** Cells of rows `[first, end)`. @param {number} first @param {number} end @returns {Promise<Cells>} */
  async rows(first, end) {
    const { width, type } = this;
    const size = isVariable(type) ? 1 : type.size;
    if (this.cells !== null) return this.cells.slice(first * width * size, end * width * size);
    const result = emptyCells(type, (end - first) * width);
    const length = this.stored.chunkShape[0];
    for (let chunk = Math.floor(first / length); chunk * length < end; chunk += 1) {
      const { cells, absent } = await this.chunk(chunk);
      const a = Math.max(first, chunk * length);
      const b = Math.min(end, (chunk + 1) * length);
      const [from, to] = [a - chunk * length, b - chunk * length].map((row) => row * width);
      if (absent?.subarray(from, to).includes(1)) {
        refuse("source-missing", `a shard of ${this.stored.url} does not have all rows, and a table has no fill values`, this.where);
      }
      const at = (a - first) * width * size;
      if (cells instanceof Uint8Array) /** @type {Uint8Array} */ (result).set(cells.subarray(from * size, to * size), at);
      else for (let k = from; k < to; k += 1) result[at + k - from] = cells[k];
    }
    return result;
  }

  /** Cells of a chunk, and marks of those that a shard does not have (G-049). @param {number} number @returns {Promise<Marked>} */
  chunk(number) {
    const known = this.chunks.get(number);
    if (known !== undefined) return known;
    const { url, chain, get } = this.stored;
    const load = async () => {
      const key = below(url, ["c", number, ...this.shape.slice(1).map(() => 0)].join("/"));
      const bytes = await get(key);
      if (bytes === null) return refuse("source-missing", `${key} is not there, and a table has no fill values`);
      return chain.decodeMarked(bytes);
    };
    const loading = load();
    this.chunks.set(number, loading);
    return loading;
  }

  /** Numbers of rows `[first, end)` of a column of float64. @param {number} first @param {number} end @returns {Promise<number[]>} */
  async floats(first, end) {
    return floatsOf(/** @type {Uint8Array} */ (await this.rows(first, end)));
  }

  /** Integers of rows `[first, end)`, row by row. @param {number} first @param {number} end @returns {Promise<bigint[]>} */
  async integers(first, end) {
    const cells = /** @type {Uint8Array} */ (await this.rows(first, end));
    return integersOf(cells, this.type);
  }
}

/** @param {Uint8Array} cells @param {DataType} type @returns {bigint[]} */
export function integersOf(cells, type) {
  const view = new DataView(cells.buffer, cells.byteOffset, cells.length);
  return Array.from({ length: cells.length / type.size }, (_, k) => getInteger(view, k * type.size, type.size, type.kind === "int"));
}

/** @param {Uint8Array} cells @returns {number[]} */
export function floatsOf(cells) {
  const view = new DataView(cells.buffer, cells.byteOffset, cells.length);
  return Array.from({ length: cells.length / 8 }, (_, k) => view.getFloat64(8 * k, true));
}

/** @param {Uint8Array} bytes @param {string} where */
export function decodeText(bytes, where) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return refuse("table-invalid", "a text is not UTF-8", where);
  }
}

/** @param {any} wire @param {string | null} url @param {{limits: Limits, get: any, where: string}} around @returns {Column} */
export function makeColumn(wire, url, { limits, get, where }) {
  const type = dataType(wire.data_type, where);
  const shape = wire.shape.map(Number);
  /** @type {(what: string) => never} */
  const bad = (what) => refuse("table-invalid", what, where);
  if (url === null) {
    if (wire.data == null || wire.chunk_shape != null || wire.codecs != null) bad("a column of a table without folder has data");
    if (wire.data.length !== cellCount(shape)) bad("a column has more or fewer cells than its shape");
    return new Column(type, shape, inlineCells(type, wire.data, (what) => refuse("fill-invalid", what, where)), null, where);
  }
  if (wire.data != null) bad("a column of a table with a folder has no data");
  if (wire.chunk_shape == null || wire.codecs == null) bad("a column of a table with a folder has chunk_shape and codecs");
  const chunkShape = wire.chunk_shape.map(Number);
  if (chunkShape.length !== shape.length || chunkShape.some((/** @type {number} */ length, /** @type {number} */ axis) => (axis === 0 ? length < 1 : length !== shape[axis]))) {
    bad("chunks of a column are cut along the first axis only");
  }
  if (cellCount(chunkShape) * Math.max(type.size, 1) > limits.table_chunk_bytes) refuse("limit-exceeded", "a chunk of a table is too large", where);
  const fill = emptyCells(type, 1);
  const chain = makeChain({ type, fill, shape: chunkShape, codecs: wire.codecs, where, limits });
  checkShards(wire.codecs, chunkShape, bad);
  return new Column(type, shape, null, { url, chain, chunkShape, get }, where);
}

/** Shards of a column (G-049). @param {any[]} codecs @param {number[]} chunkShape @param {(what: string) => never} bad */
function checkShards(codecs, chunkShape, bad) {
  const shards = codecs.find((codec) => codec.name === "sharding_indexed")?.configuration;
  if (shards === undefined) return;
  if (codecs.length > 1 || shards.codecs.some((/** @type {any} */ codec) => codec.name === "sharding_indexed")) {
    bad("shards of a column have other codecs beside them, or shards in them");
  }
  if (chunkShape.some((length, axis) => axis > 0 && Number(shards.chunk_shape[axis]) !== length)) bad("shards of a column are cut along the first axis only");
}

/** @param {DataType} type @param {any[]} data @param {(what: string) => never} bad @returns {Cells} */
export function inlineCells(type, data, bad) {
  const cells = emptyCells(type, data.length);
  data.forEach((value, k) => {
    try {
      const cell = oneCell(type, value);
      if (cells instanceof Uint8Array) cells.set(/** @type {Uint8Array} */ (cell), k * type.size);
      else cells[k] = /** @type {string} */ (cell[0]);
    } catch (error) {
      if (error instanceof ViewError && error.reason === "fill-invalid") bad("a cell is not one of its type");
      throw error;
    }
  });
  return cells;
}
