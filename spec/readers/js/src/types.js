// Data types, and cells in the JSON form of Zarr fill values. Cells are bytes (little-endian), text is a list of strings:
// so no bit of a NaN is touched on its way.

import { refuse } from "./errors.js";
import { Real } from "./json.js";

/**
 * @typedef {object} DataType
 * @property {string} id one spelling for each type; equal types have equal ids
 * @property {"bool" | "int" | "uint" | "float" | "complex" | "time" | "raw" | "utf32" | "bytes" | "string" | "blob" | "struct"} kind
 * @property {number} size bytes of a cell; 0 for text and for bytes of variable length
 * @property {number} part bytes of what has a byte order; 1 for structs, whose fields have their own
 * @property {{name: string, type: DataType, at: number}[]} [fields] of a struct, and at which byte of the cell they begin
 */

/**
 * Bytes of little-endian cells in C order; or texts; or bytes of variable length, each byte a character of a text.
 * @typedef {Uint8Array | string[]} Cells
 */
/** Whether cells are a list. @param {DataType} type */
export const isVariable = (type) => type.kind === "string" || type.kind === "blob";
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;


const NUMBER = /^(u?int|float|complex)(\d+)$/;
const SIZES = { int: [1, 2, 4, 8], uint: [1, 2, 4, 8], float: [2, 4, 8], complex: [8, 16] };
const UNITS = ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "μs", "ns", "ps", "fs", "as", "generic"];

/**
 * A struct: its fields one after the other, without padding. The pair is how fields were once written.
 * @param {any} fields @param {string | null} where @returns {DataType | null}
 */
function structType(fields, where) {
  if (!Array.isArray(fields) || fields.length === 0) return null;
  /** @type {NonNullable<DataType["fields"]>} */
  const members = [];
  const names = new Set();
  let size = 0;
  for (const field of fields) {
    const { name, data_type: spec } = Array.isArray(field) && field.length === 2 ? { name: field[0], data_type: field[1] } : (field ?? {});
    if (typeof name !== "string" || (typeof spec !== "string" && typeof spec?.name !== "string")) return null;
    const type = dataType(spec, where);
    if (isVariable(type) || names.has(name)) return null;
    names.add(name);
    members.push({ name, type, at: size });
    size += type.size;
  }
  const id = `struct[${JSON.stringify(members.map(({ name, type }) => [name, type.id]))}]`;
  return { id, kind: "struct", size, part: 1, fields: members };
}

/** Cells that are big-endian as little-endian, or the other way round, in place. @param {DataType} type @param {Uint8Array} cells */
export function swapBytes(type, cells) {
  if (type.kind === "struct") {
    for (let cell = 0; cell < cells.length; cell += type.size) {
      for (const { type: inner, at } of type.fields ?? []) swapBytes(inner, cells.subarray(cell + at, cell + at + inner.size));
    }
  } else if (type.part > 1) for (let at = 0; at < cells.length; at += type.part) cells.subarray(at, at + type.part).reverse();
}

/** @param {any} spec @param {string | null} [where] @returns {DataType} */
export function dataType(spec, where = null) {
  const name = typeof spec === "string" ? spec : spec.name;
  const configuration = (typeof spec === "string" ? null : spec.configuration) ?? {};
  const number = NUMBER.exec(name);
  if (number !== null) {
    const kind = /** @type {"int" | "uint" | "float" | "complex"} */ (number[1]);
    const size = Number(number[2]) / 8;
    if (SIZES[kind].includes(size)) return { id: name, kind, size, part: kind === "complex" ? size / 2 : size };
  }
  if (name === "bool") return { id: name, kind: "bool", size: 1, part: 1 };
  if (name === "string") return { id: name, kind: "string", size: 0, part: 0 };
  if (name === "variable_length_bytes" || name === "bytes") return { id: "variable_length_bytes", kind: "blob", size: 0, part: 0 };
  if (/^r\d+$/.test(name) && Number(name.slice(1)) % 8 === 0 && Number(name.slice(1)) > 0) {
    return { id: name, kind: "raw", size: Number(name.slice(1)) / 8, part: 1 };
  }
  if (name === "fixed_length_utf32" || name === "null_terminated_bytes" || name === "raw_bytes") {
    const length = configuration.length_bytes;
    const part = name === "fixed_length_utf32" ? 4 : 1;
    if (typeof length === "bigint" && length >= 1n && length < 2n ** 31n && Number(length) % part === 0) {
      if (name === "raw_bytes") return { id: `r${length * 8n}`, kind: "raw", size: Number(length), part };
      return { id: `${name}[${length}]`, kind: part === 4 ? "utf32" : "bytes", size: Number(length), part };
    }
  }
  if ((name === "numpy.datetime64" || name === "numpy.timedelta64") && UNITS.includes(configuration.unit)) {
    const factor = configuration.scale_factor ?? 1n;
    if (typeof factor === "bigint" && factor >= 1n && factor < 2n ** 31n) {
      return { id: `${name}[${factor}${configuration.unit}]`, kind: "time", size: 8, part: 8 };
    }
  }
  if (name === "struct" || name === "structured") {
    const found = structType(configuration.fields, where);
    if (found !== null) return found;
  }
  return refuse("type-unknown", `${JSON.stringify(name)} is a data type that this reader does not know`, where);
}

/** @param {DataType} type @param {number} count @returns {Cells} */
export function emptyCells(type, count) {
  return isVariable(type) ? new Array(count).fill("") : new Uint8Array(count * type.size);
}

/** @param {DataType} type @param {any} value @param {string | null} [where] @returns {Cells} one cell */
export function oneCell(type, value, where = null) {
  const cell = encode(type, value);
  return cell ?? refuse("fill-invalid", `a value is not one of ${type.id}`, where);
}

/** @param {DataType} type @param {any} value @returns {Cells | null} */
function encode(type, value) {
  if (type.kind === "string") return typeof value === "string" ? [value] : null;
  if (type.kind === "blob") return typeof value === "string" && BASE64.test(value) ? [Buffer.from(value, "base64").toString("latin1")] : null;
  const bytes = new Uint8Array(type.size);
  const view = new DataView(bytes.buffer);
  switch (type.kind) {
    case "bool":
      if (typeof value !== "boolean") return null;
      bytes[0] = value ? 1 : 0;
      return bytes;
    case "time":
      if (value === "NaT") view.setBigInt64(0, -(2n ** 63n), true);
      else if (typeof value === "bigint" && BigInt.asIntN(64, value) === value) view.setBigInt64(0, value, true);
      else return null;
      return bytes;
    case "int":
    case "uint": {
      if (value instanceof Real && Number.isInteger(value.value)) value = BigInt(value.value); // `2.0`, by G-011
      if (typeof value !== "bigint") return null;
      const bits = type.size * 8;
      if ((type.kind === "int" ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value)) !== value) return null;
      setInteger(view, 0, type.size, value);
      return bytes;
    }
    case "float":
      return encodeFloat(view, 0, type.size, value) ? bytes : null;
    case "complex":
      if (!Array.isArray(value) || value.length !== 2) return null;
      return encodeFloat(view, 0, type.part, value[0]) && encodeFloat(view, type.part, type.part, value[1]) ? bytes : null;
    case "utf32": {
      if (typeof value !== "string" || [...value].length * 4 > type.size) return null;
      [...value].forEach((character, k) => view.setUint32(k * 4, /** @type {number} */ (character.codePointAt(0)), true));
      return bytes;
    }
    case "bytes":
    case "raw":
    case "struct": {
      if (typeof value !== "string" || !BASE64.test(value)) return null;
      const stored = Buffer.from(value, "base64");
      if (stored.length > type.size || (type.kind !== "bytes" && stored.length < type.size)) return null;
      bytes.set(stored);
      return bytes;
    }
  }
}

/** @param {DataView} view @param {number} at @param {number} size @param {bigint} value */
export function setInteger(view, at, size, value) {
  if (size === 8) view.setBigUint64(at, BigInt.asUintN(64, value), true);
  else if (size === 4) view.setUint32(at, Number(BigInt.asUintN(32, value)), true);
  else if (size === 2) view.setUint16(at, Number(BigInt.asUintN(16, value)), true);
  else view.setUint8(at, Number(BigInt.asUintN(8, value)));
}

/** @param {DataView} view @param {number} at @param {number} size @param {boolean} signed @returns {bigint} */
export function getInteger(view, at, size, signed) {
  if (size === 8) return signed ? view.getBigInt64(at, true) : view.getBigUint64(at, true);
  if (size === 4) return BigInt(signed ? view.getInt32(at, true) : view.getUint32(at, true));
  if (size === 2) return BigInt(signed ? view.getInt16(at, true) : view.getUint16(at, true));
  return BigInt(signed ? view.getInt8(at) : view.getUint8(at));
}

const SPECIAL = {
  NaN: { 2: 0x7e00n, 4: 0x7fc00000n, 8: 0x7ff8000000000000n },
  Infinity: { 2: 0x7c00n, 4: 0x7f800000n, 8: 0x7ff0000000000000n },
  "-Infinity": { 2: 0xfc00n, 4: 0xff800000n, 8: 0xfff0000000000000n },
};

/** @param {DataView} view @param {number} at @param {number} size @param {any} value @returns {boolean} */
function encodeFloat(view, at, size, value) {
  if (typeof value === "string") {
    if (Object.hasOwn(SPECIAL, value)) setInteger(view, at, size, SPECIAL[/** @type {"NaN"} */ (value)][/** @type {2} */ (size)]);
    else if (new RegExp(`^0x[0-9a-fA-F]{${size * 2}}$`).test(value)) setInteger(view, at, size, BigInt(value));
    else return false;
    return true;
  }
  if (!(typeof value === "bigint" || value instanceof Real)) return false;
  const number = typeof value === "bigint" ? Number(value) : value.value;
  if (size === 8) view.setFloat64(at, number, true);
  else if (size === 4) view.setFloat32(at, number, true);
  else view.setUint16(at, toHalf(number), true);
  const stored = size === 8 ? number : size === 4 ? view.getFloat32(at, true) : fromHalf(view.getUint16(at, true));
  return Number.isFinite(stored);
}

/** Bits of the binary16 nearest to a number, ties to even. @param {number} number @returns {number} */
export function toHalf(number) {
  if (Number.isNaN(number)) return 0x7e00;
  const sign = number < 0 || Object.is(number, -0) ? 0x8000 : 0;
  const size = Math.abs(number);
  if (size >= 65520) return sign | 0x7c00;
  let exponent = -14;
  while (size >= 2 ** (exponent + 1)) exponent += 1;
  const steps = size / 2 ** (exponent - 10); // exact; below 1024 only where the exponent is the lowest
  const low = Math.floor(steps);
  const rest = steps - low;
  const rounded = rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
  return sign | (rounded + ((exponent + 14) << 10));
}

/** @param {number} bits @returns {number} */
export function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1024 + mantissa) * 2 ** (exponent - 25));
}

/** A cell as users get it: numbers, BigInt of 64-bit integers and times, booleans, text, pairs, structs as objects. @param {DataType} type @param {Cells} cells @param {number} k @returns {any} */
export function cellValue(type, cells, k) {
  if (!(cells instanceof Uint8Array)) return type.kind === "blob" ? Uint8Array.from(Buffer.from(cells[k], "latin1")) : cells[k];
  if (type.kind === "struct") {
    const members = (type.fields ?? []).map(({ name, type: inner, at }) => {
      const first = k * type.size + at;
      return [name, cellValue(inner, cells.subarray(first, first + inner.size), 0)];
    });
    return Object.fromEntries(members);
  }
  const view = new DataView(cells.buffer, cells.byteOffset + k * type.size, type.size);
  /** @param {number} at */
  const real = (at) =>
    type.part === 8 ? view.getFloat64(at, true) : type.part === 4 ? view.getFloat32(at, true) : fromHalf(view.getUint16(at, true));
  switch (type.kind) {
    case "bool":
      return cells[k] !== 0;
    case "int":
    case "uint": {
      const value = getInteger(view, 0, type.size, type.kind === "int");
      return type.size === 8 ? value : Number(value);
    }
    case "time":
      return view.getBigInt64(0, true);
    case "float":
      return real(0);
    case "complex":
      return [real(0), real(type.part)];
    case "utf32": {
      const codes = Array.from({ length: type.size / 4 }, (_, at) => view.getUint32(at * 4, true));
      return String.fromCodePoint(...codes).replace(/\0+$/, "");
    }
    default:
      return cells.slice(k * type.size, (k + 1) * type.size);
  }
}
