// Numbers from rows (section 5 of graph.md, G-046 and G-047): layouts of tiles of which some numbers are in columns of the table.

import { refuse } from "./errors.js";
import { Real } from "./json.js";

const UNPACK = "lazyzarr.unpack";
const ROW = "row";
const FLOATS = ["float32", "float64"];

/** Columns that a layout of a document takes numbers from. @param {any} wire @returns {string[]} */
export function rowColumns(wire) {
  const unpack = wire.codecs.find((/** @type {any} */ { name }) => name === UNPACK);
  const names = ["scale_factor", "add_offset"].filter((name) => unpack?.configuration?.[name] === ROW);
  if (wire.fill_value === ROW && FLOATS.includes(wire.data_type)) names.push("fill_value");
  return names;
}

/** What does not depend on the numbers. @param {any} wire @param {string[]} names @param {string} where */
export function checkMarkers(wire, names, where) {
  if (names.every((name) => name === "fill_value")) return;
  const unpacks = wire.codecs.filter((/** @type {any} */ { name }) => name === UNPACK);
  if (unpacks.length !== 1) refuse("codec-invalid", `a layout that takes numbers from rows has one ${UNPACK}`, where);
  if (!FLOATS.includes(unpacks[0].configuration.arithmetic)) {
    refuse("codec-invalid", "numbers from rows are applied in float32 or float64", where);
  }
}

/** The layout with the numbers of a row in the place of the texts. @param {any} wire @param {{[name: string]: number}} numbers */
export function withNumbers(wire, numbers) {
  const operands = Object.entries(numbers).filter(([name]) => name !== "fill_value").map(([name, value]) => [name, real(value)]);
  const codecs = wire.codecs.map((/** @type {any} */ codec) =>
    codec.name === UNPACK ? { ...codec, configuration: { ...codec.configuration, ...Object.fromEntries(operands) } } : codec);
  return { ...wire, codecs, fill_value: "fill_value" in numbers ? real(numbers.fill_value) : wire.fill_value };
}

/**
 * Refuses a number that is not of the type in which it is used.
 * @param {any} wire the layout @param {string} name the column @param {number} value @param {string} [where]
 */
export function checkNumber(wire, name, value, where) {
  const unpack = wire.codecs.find((/** @type {any} */ codec) => codec.name === UNPACK);
  const type = name === "fill_value" ? wire.data_type : unpack.configuration.arithmetic;
  if (!Number.isFinite(value) || (type === "float32" && Math.fround(value) !== value)) {
    refuse("table-invalid", `${name} ${value} is no finite ${type}`, where);
  }
}

/** @param {number} value */
const real = (value) => new Real(Object.is(value, -0) ? "-0.0" : String(value));
