// Rows of tile tables as records (G-048): the column `record`, each field of whose struct is a column or a part of one.

import { Column, decodeText } from "./columns.js";
import { refuse } from "./errors.js";

/** @typedef {import("./types.js").DataType} DataType */

export const RECORD = "record";
const TEXTS = ["url", "etag"];

/** A column that is a run of fields of a record, which are next to each other in a cell of it. */
class FieldColumn extends Column {
  /** @param {Column} record @param {DataType} type @param {number[]} shape @param {number} at byte of a record where the run begins */
  constructor(record, type, shape, at) {
    super(type, shape, null, record.stored, record.where);
    this.record = record;
    this.at = at;
  }

  get isText() {
    return this.type.kind === "bytes";
  }

  /** @param {number} first @param {number} end @returns {Promise<Uint8Array>} */
  async rows(first, end) {
    const records = /** @type {Uint8Array} */ (await this.record.rows(first, end));
    const whole = this.record.type.size;
    const size = this.width * this.type.size;
    const result = new Uint8Array((end - first) * size);
    for (let k = 0; k < end - first; k += 1) {
      const from = k * whole + this.at;
      result.set(records.subarray(from, from + size), k * size);
    }
    return result;
  }
}

/**
 * The columns that a record has. Their types and ranks are left to the checks of all columns.
 * @param {Column} record @param {{[name: string]: string | null}} wanted columns of the table, with their types
 * @param {{[name: string]: Column}} beside columns that the table has beside the record
 * @returns {{[name: string]: Column}}
 */
export function splitRecord(record, wanted, beside) {
  /** @type {(what: string) => never} */
  const bad = (what) => refuse("table-invalid", what, record.where);
  const { type, shape } = record;
  if (type.kind !== "struct") bad("record is a struct");
  if (shape.length !== 1) bad("record has another rank");
  /** @type {Map<string, {type: DataType, at: number, width: number | null}>} */
  const runs = new Map();
  let last = "";
  for (const { name, type: fieldType, at } of type.fields ?? []) {
    const dot = name.lastIndexOf(".");
    const column = dot < 0 ? name : name.slice(0, dot);
    if (!Object.hasOwn(wanted, column) || (wanted[column] === "text" && !TEXTS.includes(column))) bad(`${name} is no field of a record`);
    if (column in beside || `${column}_end` in beside) bad(`the table has ${column} beside the record, too`);
    const run = runs.get(column);
    if (run === undefined) {
      if (dot >= 0 && name !== `${column}.0`) bad(`${name} is not behind the field before it`);
      runs.set(column, { type: fieldType, at, width: dot < 0 ? null : 1 });
    } else {
      if (run.width === null || column !== last || name !== `${column}.${run.width}`) bad(`${name} is not behind the field before it`);
      if (fieldType.id !== run.type.id) bad(`${name} has another type`);
      run.width += 1;
    }
    last = column;
  }
  const made = [...runs].map(([name, { type: fieldType, at, width }]) =>
    [name, new FieldColumn(record, fieldType, width === null ? shape : [...shape, width], at)]);
  return Object.fromEntries(made);
}

/** The text of a field: zeros fill it up to its length. @param {Uint8Array} bytes @param {string} where */
export function textOfField(bytes, where) {
  return decodeText(bytes.subarray(0, bytes.findLastIndex((byte) => byte !== 0) + 1), where);
}
