// Exact conversion of numbers between formats, in the five rounding modes (spec/decoding.md, D-010 to D-012).
//
// A number is a sign and `size / 2^scale` with BigInt, so nothing is rounded before the one rounding that is asked for.

import { getInteger, setInteger } from "./types.js";

/** @typedef {import("./types.js").DataType} DataType */
/**
 * @typedef {object} Exact
 * @property {"finite" | "infinite" | "nan"} kind
 * @property {boolean} negative
 * @property {bigint} size
 * @property {number} scale the value is size * 2^-scale
 * @property {bigint} payload of a NaN, its fraction at the left of 52 bits
 */
/** @typedef {"nearest-even" | "nearest-away" | "towards-zero" | "towards-positive" | "towards-negative"} Rounding */

const FRACTION = { 2: 10, 4: 23, 8: 52 };
const BIAS = { 2: 15, 4: 127, 8: 1023 };
export const ROUNDINGS = ["nearest-even", "nearest-away", "towards-zero", "towards-positive", "towards-negative"];

/** @param {DataType} type @param {DataView} view @param {number} at @returns {Exact} */
export function readExact(type, view, at) {
  if (type.kind !== "float") {
    const value = getInteger(view, at, type.size, type.kind === "int");
    return { kind: "finite", negative: value < 0n, size: value < 0n ? -value : value, scale: 0, payload: 0n };
  }
  const size = /** @type {2 | 4 | 8} */ (type.size);
  const fractionBits = FRACTION[size];
  const bits = getInteger(view, at, size, false);
  const negative = bits >> BigInt(size * 8 - 1) === 1n;
  const fraction = bits & ((1n << BigInt(fractionBits)) - 1n);
  const exponent = Number((bits >> BigInt(fractionBits)) & ((1n << BigInt(size * 8 - 1 - fractionBits)) - 1n));
  if (exponent === 2 * BIAS[size] + 1) {
    const payload = fraction << BigInt(52 - fractionBits);
    return { kind: fraction === 0n ? "infinite" : "nan", negative, size: 0n, scale: 0, payload };
  }
  const whole = exponent === 0 ? fraction : fraction | (1n << BigInt(fractionBits));
  return { kind: "finite", negative, size: whole, scale: BIAS[size] + fractionBits - Math.max(exponent, 1), payload: 0n };
}

/**
 * `size / 2^shift` as an integer, rounded. @param {bigint} size @param {number} shift @param {boolean} negative @param {Rounding} rounding
 */
function roundShift(size, shift, negative, rounding) {
  if (shift <= 0) return size << BigInt(-shift);
  const low = size >> BigInt(shift);
  const rest = size - (low << BigInt(shift));
  if (rest === 0n) return low;
  const half = 1n << BigInt(shift - 1);
  const up =
    rounding === "towards-zero" ? false
    : rounding === "towards-positive" ? !negative
    : rounding === "towards-negative" ? negative
    : rest > half || (rest === half && (rounding === "nearest-away" || (low & 1n) === 1n));
  return up ? low + 1n : low;
}

/** @param {bigint} value */
function bitLength(value) {
  return value === 0n ? 0 : value.toString(2).length;
}

/**
 * Write a number into a cell of a floating-point type. @param {DataType} type @param {DataView} view @param {number} at
 * @param {Exact} x @param {Rounding} rounding @returns {boolean} whether it went beyond the range (and became infinite)
 */
export function writeFloat(type, view, at, x, rounding) {
  const size = /** @type {2 | 4 | 8} */ (type.size);
  const fractionBits = FRACTION[size];
  const sign = x.negative ? 1n << BigInt(size * 8 - 1) : 0n;
  const infinite = BigInt(2 * BIAS[size] + 1) << BigInt(fractionBits);
  if (x.kind === "infinite") setInteger(view, at, size, sign | infinite);
  else if (x.kind === "nan") {
    const quiet = 1n << BigInt(fractionBits - 1);
    setInteger(view, at, size, sign | infinite | quiet | (x.payload >> BigInt(52 - fractionBits)));
  } else {
    const lowest = 1 - BIAS[size] - fractionBits;
    const unit = x.size === 0n ? lowest : Math.max(lowest, bitLength(x.size) - x.scale - fractionBits - 1);
    const whole = roundShift(x.size, unit + x.scale, x.negative, rounding);
    const bits = whole + (BigInt(unit - lowest) << BigInt(fractionBits)); // as if exponents had no end
    setInteger(view, at, size, sign | (bits > infinite ? infinite : bits));
    return bits >= infinite;
  }
  return false;
}

/**
 * The integer nearest to a finite number, in a rounding. @param {Exact} x @param {Rounding} rounding @returns {bigint}
 */
export function roundToInteger(x, rounding) {
  const size = roundShift(x.size, x.scale, x.negative, rounding);
  return x.negative ? -size : size;
}

/** @param {DataType} type @returns {[bigint, bigint]} */
export function integerRange(type) {
  const bits = BigInt(type.size * 8);
  return type.kind === "int" ? [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n] : [0n, (1n << bits) - 1n];
}
