// Tables (section 5 of graph.md): their columns, checked when a document is opened, and their rows, read by chunk.

import { cellCount, makeChain } from "./codecs.js";
import { ViewError, member, refuse } from "./errors.js";
import { dataType, emptyCells, getInteger, isVariable, oneCell } from "./types.js";
import { below } from "./urls.js";

/** @typedef {import("./types.js").DataType} DataType */
/** @typedef {import("./types.js").Cells} Cells */
/** @typedef {import("./limits.js").Limits} Limits */

const ANY = null;
const STAMP = { size: "int64", mtime_ns: "int64", inode: "int64", etag: "text", digest: "text" };

/** Types of the columns of each kind of table, and which of them have to be there. */
const KINDS = {
  take: { columns: { indices: "int64" }, required: ["indices"] },
  values: { columns: { values: ANY }, required: ["values"] },
  inline: { columns: { bytes: "uint8" }, required: ["bytes"] },
  refs: {
    columns: { offset: "uint64", gap: "int64", length: "uint64", state: "uint8", layout: "int32", place: "int32" },
    required: ["length"],
  },
  originRefs: {
    columns: { offset: "uint64", gap: "int64", length: "uint64", state: "uint8", layout: "int32", origin: "int32", number: "int64" },
    required: ["length", "origin"],
  },
  origins: { columns: { url: "text", layout: "int32", grid: "int64", ...STAMP }, required: ["url", "layout", "grid"] },
  tiles: {
    columns: {
      ...{ origin: "int64", shape: "int64", layout: "int32", url: "text", refs_first: "int64" },
      ...{ scale_factor: "float64", add_offset: "float64", fill_value: "float64", ...STAMP },
    },
    required: ["origin", "shape", "layout", "url"],
  },
  boxes: {
    columns: { array: "int32", axis: "int8", first: "int64", step: "int64", origin: "int64", stride: "int64", count: "int64" },
    required: ["array", "axis", "first", "step", "origin", "stride", "count"],
  },
};

/** A column, inline or stored. */
class Column {
  /** @param {DataType} type @param {number[]} shape @param {Cells | null} cells @param {any} stored */
  constructor(type, shape, cells, stored) {
    this.type = type;
    this.shape = shape;
    this.cells = cells;
    this.stored = stored;
    this.width = cellCount(shape.slice(1));
    /** @type {Map<number, Promise<Cells>>} */
    this.chunks = new Map();
  }

  get inline() {
    return this.cells !== null;
  }

  /** Cells of rows `[first, end)`. @param {number} first @param {number} end @returns {Promise<Cells>} */
  async rows(first, end) {
    const { width, type } = this;
    const size = isVariable(type) ? 1 : type.size;
    if (this.cells !== null) return this.cells.slice(first * width * size, end * width * size);
    const result = /** @type {Uint8Array} */ (emptyCells(type, (end - first) * width));
    const length = this.stored.chunkShape[0];
    for (let chunk = Math.floor(first / length); chunk * length < end; chunk += 1) {
      const cells = /** @type {Uint8Array} */ (await this.chunk(chunk));
      const a = Math.max(first, chunk * length);
      const b = Math.min(end, (chunk + 1) * length);
      const part = cells.subarray((a - chunk * length) * width * size, (b - chunk * length) * width * size);
      result.set(part, (a - first) * width * size);
    }
    return result;
  }

  /** @param {number} number @returns {Promise<Cells>} */
  chunk(number) {
    const known = this.chunks.get(number);
    if (known !== undefined) return known;
    const { url, chain, get } = this.stored;
    const load = async () => {
      const key = below(url, ["c", number, ...this.shape.slice(1).map(() => 0)].join("/"));
      const bytes = await get(key);
      if (bytes === null) return refuse("source-missing", `${key} is not there, and a table has no fill values`);
      return chain.decode(bytes);
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
function integersOf(cells, type) {
  const view = new DataView(cells.buffer, cells.byteOffset, cells.length);
  return Array.from({ length: cells.length / type.size }, (_, k) => getInteger(view, k * type.size, type.size, type.kind === "int"));
}

/** @param {Uint8Array} cells @returns {number[]} */
function floatsOf(cells) {
  const view = new DataView(cells.buffer, cells.byteOffset, cells.length);
  return Array.from({ length: cells.length / 8 }, (_, k) => view.getFloat64(8 * k, true));
}

/** A table of one kind: its columns have the types and lengths that they need. */
export class Table {
  /** @param {{[name: string]: Column}} columns @param {number} length @param {string} base */
  constructor(columns, length, base) {
    this.columns = columns;
    this.length = length;
    this.base = base; // the `zarr.json` to which locations in the table are relative
  }

  /** @param {string} name */
  has(name) {
    return name in this.columns;
  }

  get inline() {
    return Object.values(this.columns).every((column) => column.inline);
  }

  /** One number of one row. @param {string} name @param {number} row @param {bigint} otherwise */
  async number(name, row, otherwise) {
    return name in this.columns ? (await this.columns[name].integers(row, row + 1))[0] : otherwise;
  }

  /** All integers of a column that is inline. @param {string} name @returns {bigint[]} */
  inlineIntegers(name) {
    const column = this.columns[name];
    return integersOf(/** @type {Uint8Array} */ (column.cells), column.type);
  }

  /** All numbers of a column of float64 that is inline. @param {string} name @returns {number[]} */
  inlineFloats(name) {
    return floatsOf(/** @type {Uint8Array} */ (this.columns[name].cells));
  }

  /** One text of one row; "" where there is none. @param {string} name @param {number} row @returns {Promise<string>} */
  async text(name, row) {
    if (!(name in this.columns)) return "";
    const column = this.columns[name];
    if (column.type.kind === "string") return /** @type {string[]} */ (await column.rows(row, row + 1))[0];
    const ends = this.columns[`${name}_end`];
    const first = row === 0 ? 0n : (await ends.integers(row - 1, row))[0];
    const [end] = await ends.integers(row, row + 1);
    if (first < 0n || end < first || end > BigInt(column.shape[0])) refuse("table-invalid", `ends of ${name} do not ascend`);
    const bytes = /** @type {Uint8Array} */ (await column.rows(Number(first), Number(end)));
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      return refuse("table-invalid", `a text of ${name} is not UTF-8`);
    }
  }

  /** The stamp of a row, as the member `stamp` of an array has it. @param {number} row */
  async stamp(row) {
    /** @type {any} */
    const result = {};
    for (const name of ["size", "mtime_ns", "inode"]) {
      const value = await this.number(name, row, -1n);
      if (value >= 0n) result[name] = value;
    }
    for (const name of ["etag", "digest"]) {
      const value = await this.text(name, row);
      if (value !== "") result[name] = value;
    }
    return result;
  }
}

/**
 * @param {any} wire a table of a document, of the right form
 * @param {keyof typeof KINDS} kind
 * @param {{limits: Limits, base: string, get: (url: string) => Promise<Uint8Array | null>, resolve: (location: string, base: string, where: string) => string, where: string}} around
 * @returns {Table}
 */
export function makeTable(wire, kind, { limits, base, get, resolve, where }) {
  /** @type {(what: string, at?: string) => never} */
  const bad = (what, at = where) => refuse("table-invalid", what, at);
  const { columns: wanted, required } = KINDS[kind];
  const folder = wire.folder ?? null;
  if (wire.beside != null) base = below(resolve(wire.beside, base, `${where}.beside`), "zarr.json");
  /** @type {{[name: string]: Column}} */
  const columns = {};
  for (const [name, column] of Object.entries(wire.columns)) {
    const plainName = name.endsWith("_end") ? name.slice(0, -"_end".length) : name;
    const known = Object.hasOwn(wanted, name) || (/** @type {any} */ (wanted)[plainName] === "text" && folder !== null);
    if (!known) bad(`${name} is no column of a table of ${kind}`);
    columns[name] = makeColumn(column, folder === null ? null : `${base.slice(0, -"zarr.json".length)}tables/${folder}/${name}`, { limits, get, where: `${where}.columns${member(name)}` });
  }
  if ("gap" in columns && (!("length" in columns) || "offset" in columns || folder === null)) {
    bad("gap is beside length, without offset, and in a folder");
  }
  if (kind.toLowerCase().endsWith("refs") && !("gap" in columns) && !("offset" in columns)) bad("offset is missing");
  for (const name of required) if (!(name in columns)) bad(`the column ${name} is missing`);
  let length = -1;
  for (const [name, column] of Object.entries(columns)) {
    const type = /** @type {any} */ (wanted)[name] ?? null;
    const stored = column.stored !== null;
    const place = `${where}.columns${member(name)}`;
    if (type === "text") {
      if (stored ? column.type.id !== "uint8" : column.type.id !== "string") bad(`${name} has another type`, place);
      if (stored && !(`${name}_end` in columns)) bad(`${name}_end is missing`);
    } else if (name.endsWith("_end")) {
      if (column.type.id !== "int64") bad(`${name} has another type`, place);
    } else if (type !== null && column.type.id !== type) {
      bad(`${name} has the type ${column.type.id} instead of ${type}`, place);
    }
    const wide = kind === "boxes" ? name !== "array" : ["grid", "shape"].includes(name) || (name === "origin" && kind === "tiles");
    const rank = wide ? 2 : 1;
    if (kind !== "values" && column.shape.length !== rank) bad(`${name} has another rank`, place);
    if (kind === "values" || (type === "text" && stored)) continue;
    if (length >= 0 && column.shape[0] !== length) bad("columns have unequal lengths");
    length = column.shape[0];
  }
  return new Table(columns, length, base);
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
    return new Column(type, shape, inlineCells(type, wire.data, (what) => refuse("fill-invalid", what, where)), null);
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
  return new Column(type, shape, null, { url, chain, chunkShape, get });
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
