// The value-wise codecs (spec/decoding.md): cast_value, scale_offset and lazyzarr.unpack.

import { ViewError, refuse } from "./errors.js";
import { Real } from "./json.js";
import { ROUNDINGS, integerRange, readExact, roundToInteger, writeFloat } from "./real.js";
import { dataType, fromHalf, getInteger, oneCell, setInteger, toHalf } from "./types.js";

/** @typedef {import("./types.js").DataType} DataType */
/**
 * @typedef {object} ValueCodec
 * @property {DataType} encoded the type of cells before decoding
 * @property {DataType} decoded
 * @property {(cells: Uint8Array) => Uint8Array} decode
 */

export const VALUE_WISE = ["cast_value", "scale_offset", "lazyzarr.unpack"];

/** @param {DataType} type */
const isNumber = (type) => type.kind === "int" || type.kind === "uint" || type.kind === "float";

/**
 * @param {string} name
 * @param {any} configuration
 * @param {DataType} decoded type of the cells after decoding
 * @param {(what: string) => never} bad
 * @returns {ValueCodec}
 */
export function valueCodec(name, configuration, decoded, bad) {
  if (!isNumber(decoded)) bad(`${name} is of integers and floating point, not of ${decoded.id}`);
  try {
    if (name === "cast_value") return castValue(configuration, decoded, bad);
    if (name === "scale_offset") return scaleOffset(configuration, decoded, bad);
    return unpack(configuration, decoded, bad);
  } catch (error) {
    if (error instanceof ViewError && error.reason === "fill-invalid") bad(`${name}: a number is not one of its type`);
    throw error;
  }
}

/** @param {any} configuration @param {string[]} names @param {(what: string) => never} bad */
function onlyMembers(configuration, names, bad) {
  for (const name of Object.keys(configuration)) if (!names.includes(name)) bad(`${name} is not a member`);
}

/**
 * A number of a configuration: a whole one may have a fraction of zero, and in the codecs of the registry it may be a text.
 * @param {DataType} type @param {any} value @param {boolean} texts
 */
function numberCell(type, value, texts) {
  if (texts && value === "+Infinity") value = "Infinity"; // as an example of the registry has it
  if (texts && typeof value === "string" && /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/.test(value)) {
    value = /^-?[0-9]+$/.test(value) && type.kind !== "float" ? BigInt(value) : new Real(value);
  }
  if (type.kind !== "float" && value instanceof Real && Number.isInteger(value.value)) value = BigInt(value.value);
  return /** @type {Uint8Array} */ (oneCell(type, value));
}

/** @param {any} spec @param {string} what @param {(what: string) => never} bad @returns {DataType} */
function numberType(spec, what, bad) {
  if (typeof (spec?.name ?? spec) !== "string") bad(`${what} has to be a type`);
  try {
    const type = dataType(spec);
    return isNumber(type) ? type : bad(`${what} has to be a type of numbers`);
  } catch (error) {
    if (error instanceof ViewError && error.reason === "type-unknown") bad(`${what} has to be a type of numbers`);
    throw error;
  }
}

/** @param {any} configuration @param {DataType} decoded @param {(what: string) => never} bad @returns {ValueCodec} */
function castValue(configuration, decoded, bad) {
  onlyMembers(configuration, ["data_type", "rounding", "out_of_range", "scalar_map"], bad);
  const encoded = numberType(configuration.data_type, "data_type", bad);
  const { rounding = "nearest-even", out_of_range: beyond, scalar_map: pairs = {} } = configuration;
  if (!ROUNDINGS.includes(rounding)) bad("the rounding is none of the five");
  if (![undefined, "clamp", "wrap"].includes(beyond)) bad("out_of_range is clamp or wrap");
  const map = scalarMap(pairs, encoded, decoded, bad);
  const range = integerRange(decoded);
  return {
    encoded,
    decoded,
    decode(cells) {
      const count = cells.length / encoded.size;
      const result = new Uint8Array(count * decoded.size);
      const from = new DataView(cells.buffer, cells.byteOffset, cells.length);
      const to = new DataView(result.buffer);
      for (let k = 0; k < count; k += 1) {
        const mapped = map.size > 0 ? map.get(scalarKey(encoded, from, k * encoded.size)) : undefined;
        if (mapped !== undefined) {
          result.set(mapped, k * decoded.size);
          continue;
        }
        if (encoded.id === decoded.id) {
          result.set(cells.subarray(k * encoded.size, (k + 1) * encoded.size), k * encoded.size);
          continue;
        }
        const x = readExact(encoded, from, k * encoded.size);
        if (decoded.kind === "float") {
          // Only integers wrap: decoded to floating point, `wrap` is for whoever encodes.
          if (writeFloat(decoded, to, k * decoded.size, x, rounding) && beyond !== "clamp") {
            refuse("chunk-decode", "a cell is beyond the range of its type");
          }
          continue;
        }
        if (x.kind !== "finite") refuse("chunk-decode", "NaN and infinity are no integers");
        let value = roundToInteger(x, rounding);
        if (value < range[0] || value > range[1]) {
          if (beyond === undefined) refuse("chunk-decode", "a cell is beyond the range of its type");
          if (beyond === "clamp") value = value < range[0] ? range[0] : range[1];
        }
        setInteger(to, k * decoded.size, decoded.size, value);
      }
      return result;
    },
  };
}

/** Equal for cells that are equal by D-010: all NaN, and both zeros. @param {DataType} type @param {DataView} view @param {number} at */
function scalarKey(type, view, at) {
  const x = readExact(type, view, at);
  if (x.kind === "nan") return "nan";
  if (x.kind === "finite" && x.size === 0n) return "0";
  return `${x.negative}:${x.kind}:${getInteger(view, at, type.size, false)}`;
}

/**
 * @param {any} configuration @param {DataType} encoded @param {DataType} decoded @param {(what: string) => never} bad
 * @returns {Map<string, Uint8Array>}
 */
function scalarMap(configuration, encoded, decoded, bad) {
  if (configuration === null || typeof configuration !== "object" || Array.isArray(configuration)) bad("scalar_map is an object");
  onlyMembers(configuration, ["encode", "decode"], bad);
  scalarPairs(configuration.encode, decoded, encoded, bad);
  return scalarPairs(configuration.decode, encoded, decoded, bad);
}

/** The first pair with a key is the one that counts. @param {any} pairs @param {DataType} from @param {DataType} to @param {(what: string) => never} bad */
function scalarPairs(pairs, from, to, bad) {
  if (pairs !== undefined && !Array.isArray(pairs)) bad("scalar_map has lists of pairs");
  /** @type {Map<string, Uint8Array>} */
  const result = new Map();
  for (const pair of pairs ?? []) {
    if (!Array.isArray(pair) || pair.length !== 2) bad("scalar_map has lists of pairs");
    const [cell, value] = [numberCell(from, pair[0], true), numberCell(to, pair[1], true)];
    const key = scalarKey(from, new DataView(cell.buffer), 0);
    if (!result.has(key)) result.set(key, value);
  }
  return result;
}

/** One operation in a floating-point type: exact in binary64, or rounded once more to the narrower type, which is the same as rounding once. */
/** @param {DataType} type @param {number} value */
function narrow(type, value) {
  return type.size === 8 ? value : type.size === 4 ? Math.fround(value) : fromHalf(toHalf(value));
}

/** @param {DataType} type @param {DataView} view @param {number} at @returns {number} */
function getFloat(type, view, at) {
  return type.size === 8 ? view.getFloat64(at, true) : type.size === 4 ? view.getFloat32(at, true) : fromHalf(view.getUint16(at, true));
}

/** @param {DataType} type @param {DataView} view @param {number} at @param {number} value */
function setFloat(type, view, at, value) {
  if (type.size === 8) view.setFloat64(at, value, true);
  else if (type.size === 4) view.setFloat32(at, value, true);
  else view.setUint16(at, toHalf(value), true);
}

/** @typedef {{view: DataView, number: number, integer: bigint}} Operand a number of a configuration; `number` of floating point, `integer` of others */

/** @param {DataType} type @param {any} value @param {boolean} texts @returns {Operand} */
function operand(type, value, texts) {
  const view = new DataView(numberCell(type, value, texts).buffer);
  if (type.kind === "float") return { view, number: getFloat(type, view, 0), integer: 0n };
  return { view, number: 0, integer: getInteger(view, 0, type.size, type.kind === "int") };
}

/**
 * One operation on a cell of floating point, in place: a NaN stays, quiet, and so does that of the configuration (D-020).
 * @param {DataType} type @param {DataView} view @param {number} at @param {"*" | "/" | "+"} operation @param {Operand} by
 */
function operate(type, view, at, operation, by) {
  const x = getFloat(type, view, at);
  const y = by.number;
  if (Number.isNaN(x)) writeFloat(type, view, at, readExact(type, view, at), "nearest-even");
  else if (Number.isNaN(y)) writeFloat(type, view, at, readExact(type, by.view, 0), "nearest-even");
  else setFloat(type, view, at, narrow(type, operation === "*" ? x * y : operation === "/" ? x / y : x + y));
}

/** @param {any} configuration @param {DataType} type @param {(what: string) => never} bad @returns {ValueCodec} */
function scaleOffset(configuration, type, bad) {
  onlyMembers(configuration, ["scale", "offset"], bad);
  const scale = operand(type, configuration.scale === undefined ? 1n : configuration.scale, true);
  const offset = operand(type, configuration.offset === undefined ? 0n : configuration.offset, true);
  if (type.kind === "float" ? scale.number === 0 : scale.integer === 0n) bad("scale is 0");
  const range = integerRange(type);
  return {
    encoded: type,
    decoded: type,
    decode(cells) {
      const result = cells.slice();
      const view = new DataView(result.buffer);
      for (let at = 0; at < result.length; at += type.size) {
        if (type.kind === "float") {
          operate(type, view, at, "/", scale);
          operate(type, view, at, "+", offset);
        } else {
          const x = getInteger(view, at, type.size, type.kind === "int");
          if (x % scale.integer !== 0n) refuse("chunk-decode", "a cell is no multiple of the scale");
          const value = x / scale.integer + offset.integer;
          if (value < range[0] || value > range[1]) refuse("chunk-decode", "a cell is beyond the range of its type");
          setInteger(view, at, type.size, value);
        }
      }
      return result;
    },
  };
}

/** Cells of numbers as another type of numbers (D-032): to floating point to nearest even; integers to integers modulo 2^bits. */
/** @param {Uint8Array} cells @param {DataType} from @param {DataType} to @returns {Uint8Array} */
function convert(cells, from, to) {
  if (from.id === to.id) return cells.slice();
  const count = cells.length / from.size;
  const result = new Uint8Array(count * to.size);
  const source = new DataView(cells.buffer, cells.byteOffset, cells.length);
  const target = new DataView(result.buffer);
  const [least, most] = integerRange(to);
  for (let k = 0; k < count; k += 1) {
    const x = readExact(from, source, k * from.size);
    if (to.kind === "float") writeFloat(to, target, k * to.size, x, "nearest-even");
    else {
      if (x.kind !== "finite") refuse("chunk-decode", "NaN and infinity are no integers");
      const value = roundToInteger(x, "towards-zero");
      if (from.kind === "float" && (value < least || value > most)) refuse("chunk-decode", "a cell is beyond the range of its type");
      setInteger(target, k * to.size, to.size, value);
    }
  }
  return result;
}

/** @param {any} configuration @param {DataType} decoded @param {(what: string) => never} bad @returns {ValueCodec} */
function unpack(configuration, decoded, bad) {
  const members = ["stored_type", "data_type", "arithmetic", "scale_factor", "add_offset", "fill_values"];
  onlyMembers(configuration, members, bad);
  const stored = numberType(configuration.stored_type, "stored_type", bad);
  const type = numberType(configuration.data_type, "data_type", bad);
  const arithmetic = numberType(configuration.arithmetic, "arithmetic", bad);
  if (type.id !== decoded.id) bad("data_type is not the type of the chain in front of it");
  const { scale_factor: factor = null, add_offset: offset = null, fill_values: fills = [] } = configuration;
  if (!Array.isArray(fills)) bad("fill_values is a list");
  if (fills.length > 0 && type.kind !== "float") bad("fill_values need floating point");
  if (arithmetic.kind !== type.kind || arithmetic.size < type.size) bad("arithmetic is of another kind than the type, or narrower");
  const scale = factor === null ? null : operand(arithmetic, factor, false);
  const add = offset === null ? null : operand(arithmetic, offset, false);
  const missing = new Set();
  for (const fill of fills) {
    const cell = convert(numberCell(stored, fill, false), stored, type);
    const value = getFloat(type, new DataView(cell.buffer), 0);
    if (!Number.isNaN(value)) missing.add(value); // a Set holds both zeros as one
  }
  const nan = /** @type {Uint8Array} */ (type.kind === "float" ? oneCell(type, "NaN") : new Uint8Array(0));
  return {
    encoded: stored,
    decoded,
    decode(cells) {
      let result = convert(cells, stored, type);
      if (missing.size > 0) {
        const view = new DataView(result.buffer);
        for (let at = 0; at < result.length; at += type.size) {
          if (missing.has(getFloat(type, view, at))) result.set(nan, at);
        }
      }
      if (scale !== null) result = convert(calculate(convert(result, type, arithmetic), arithmetic, "*", scale), arithmetic, type);
      if (add !== null) result = convert(calculate(convert(result, type, arithmetic), arithmetic, "+", add), arithmetic, type);
      return result;
    },
  };
}

/** @param {Uint8Array} cells @param {DataType} type @param {"*" | "+"} operation @param {Operand} by */
function calculate(cells, type, operation, by) {
  const view = new DataView(cells.buffer, cells.byteOffset, cells.length);
  for (let at = 0; at < cells.length; at += type.size) {
    if (type.kind === "float") operate(type, view, at, operation, by);
    else {
      const x = getInteger(view, at, type.size, type.kind === "int");
      setInteger(view, at, type.size, operation === "*" ? x * by.integer : x + by.integer);
    }
  }
  return cells;
}
