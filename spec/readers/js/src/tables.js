// Tables (section 5 of graph.md): which columns each kind of them has, checked when a document is opened, and what their rows say.

import { decodeText, floatsOf, integersOf, makeColumn } from "./columns.js";
import { member, refuse } from "./errors.js";
import { RECORD, splitRecord, textOfField } from "./records.js";
import { below } from "./urls.js";

/** @typedef {import("./columns.js").Column} Column */
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
    if (column.type.kind === "bytes") return textOfField(/** @type {Uint8Array} */ (await column.rows(row, row + 1)), column.where);
    const ends = this.columns[`${name}_end`];
    const first = row === 0 ? 0n : (await ends.integers(row - 1, row))[0];
    const [end] = await ends.integers(row, row + 1);
    if (first < 0n || end < first || end > BigInt(column.shape[0])) refuse("table-invalid", `ends of ${name} do not ascend`);
    const bytes = /** @type {Uint8Array} */ (await column.rows(Number(first), Number(end)));
    return decodeText(bytes, column.where);
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
  const { required } = KINDS[kind];
  /** @type {{[name: string]: string | null}} */
  const wanted = KINDS[kind].columns;
  const folder = wire.folder ?? null;
  if (wire.beside != null) base = below(resolve(wire.beside, base, `${where}.beside`), "zarr.json");
  /** @type {{[name: string]: Column}} */
  const columns = {};
  /** @type {Column | null} */
  let record = null;
  for (const [name, column] of Object.entries(wire.columns)) {
    const plainName = name.endsWith("_end") ? name.slice(0, -"_end".length) : name;
    const isRecord = name === RECORD && kind === "tiles" && folder !== null;
    const known = isRecord || Object.hasOwn(wanted, name) || (wanted[plainName] === "text" && folder !== null);
    if (!known) bad(`${name} is no column of a table of ${kind}`);
    const made = makeColumn(column, folder === null ? null : `${base.slice(0, -"zarr.json".length)}tables/${folder}/${name}`, { limits, get, where: `${where}.columns${member(name)}` });
    if (isRecord) record = made;
    else columns[name] = made;
  }
  if (record !== null) Object.assign(columns, splitRecord(record, wanted, columns));
  if ("gap" in columns && (!("length" in columns) || "offset" in columns || folder === null)) {
    bad("gap is beside length, without offset, and in a folder");
  }
  if ("gap" in columns && wire.columns.gap.codecs.some((/** @type {any} */ codec) => codec.name === "sharding_indexed")) {
    bad("gaps begin anew in every chunk, and shards have chunks in chunks", columns.gap.where);
  }
  if (kind.toLowerCase().endsWith("refs") && !("gap" in columns) && !("offset" in columns)) bad("offset is missing");
  for (const name of required) if (!(name in columns)) bad(`the column ${name} is missing`);
  let length = -1;
  for (const [name, column] of Object.entries(columns)) {
    const type = wanted[name] ?? null;
    const place = column.where;
    const endToEnd = type === "text" && column.type.id === "uint8";
    if (type === "text") {
      if (!column.isText) bad(`${name} has another type`, place);
      if (endToEnd && !(`${name}_end` in columns)) bad(`${name}_end is missing`);
    } else if (name.endsWith("_end")) {
      if (column.type.id !== "int64") bad(`${name} has another type`, place);
      if (!(name.slice(0, -"_end".length) in columns)) bad(`${name} is there, and its text is missing`);
    } else if (type !== null && column.type.id !== type) {
      bad(`${name} has the type ${column.type.id} instead of ${type}`, place);
    }
    const wide = kind === "boxes" ? name !== "array" : ["grid", "shape"].includes(name) || (name === "origin" && kind === "tiles");
    const rank = wide ? 2 : 1;
    if (kind !== "values" && column.shape.length !== rank) bad(`${name} has another rank`, place);
    if (kind === "values" || endToEnd) continue;
    if (length >= 0 && column.shape[0] !== length) bad("columns have unequal lengths");
    length = column.shape[0];
  }
  return new Table(columns, length, base);
}
