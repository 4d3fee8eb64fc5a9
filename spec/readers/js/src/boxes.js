// The node `boxes` (section 6 of graph.md): windows of stored arrays, each cut, turned, repeated and placed as a row of a table says.

import { disjoint } from "./combs.js";
import { refuse } from "./errors.js";
import { dataType, oneCell } from "./types.js";

/** @typedef {import("./graph.js").Graph} Graph */
/** @typedef {import("./graph.js").Node} Node */
/** @typedef {import("./graph.js").Stored} Stored */
/** @typedef {import("./combs.js").Comb} Comb */
/** @typedef {import("./types.js").Cells} Cells */
/** @typedef {{first: bigint, step: bigint, axis: number}} Fed cells of an axis of an array; `axis` of the view that feeds it, or -1 */
/** @typedef {{comb: Comb, array: Stored, fed: Fed[]}} Row cells of the view, and of the array which cells they show */
/** @typedef {{comb: Comb, cell: Cells}} Constant cells of the view that are stored nowhere */

/** Of the columns of a row, those that have a number for each axis of arrays, and those that have one for each of the view. */
const OF_ARRAYS = ["axis", "first", "step"];
const OF_VIEW = ["origin", "stride", "count"];

/**
 * What the node is, as far as no rows say it (G-057, G-059).
 * @param {Graph} graph @param {any} wire @param {string} where
 */
export function inferBoxes(graph, wire, where) {
  const { shape } = wire;
  if (shape.some((/** @type {bigint} */ length) => length < 0n)) refuse("graph-shape", "a shape has no negative lengths", where);
  const type = dataType(wire.data_type, where);
  const fill = oneCell(type, wire.fill_value, where);
  /** @type {Stored[]} */
  const arrays = wire.arrays.map((/** @type {bigint} */ number) => {
    if (number < 0n || number >= BigInt(graph.arrays.length)) refuse("graph-reference", `there is no array ${number}`, `${where}.arrays`);
    return graph.arrays[Number(number)];
  });
  if (arrays.some(({ layout }) => layout.type.id !== type.id)) refuse("graph-type", "an array has another data type", where);
  /** @type {Constant[]} */
  const constants = (wire.constants ?? []).map((/** @type {any} */ constant, /** @type {number} */ k) => {
    const at = `${where}.constants[${k}]`;
    const comb = { first: constant.origin, step: constant.stride ?? shape.map(() => 1n), count: constant.count };
    checkComb(comb, shape, at);
    return { comb, cell: oneCell(type, constant.value, where) };
  });
  const table = graph.table(wire.table, "boxes", `${where}.table`);
  const columnAt = (/** @type {string} */ name) => graph.tablePlace(wire.table, name);
  const rank = Math.max(0, ...arrays.map((array) => array.shape.length));
  for (const [names, width] of /** @type {const} */ ([[OF_ARRAYS, rank], [OF_VIEW, shape.length]])) {
    for (const name of names) {
      const { shape: [, found] } = table.columns[name];
      if (found === width || (names === OF_ARRAYS && found > width && found === table.columns.axis.shape[1])) continue;
      refuse("table-invalid", `rows of ${name} have ${width} numbers`, columnAt(name));
    }
  }
  return { arrays, constants, table, columnAt, schema: { shape, type, fill } };
}

/** Cells inside a shape, and at least one on each axis. @param {Comb} comb @param {bigint[]} shape @param {string} where */
function checkComb({ first, step, count }, shape, where) {
  if ([first, step, count].some((numbers) => numbers.length !== shape.length)) refuse("graph-shape", "a box has another rank", where);
  shape.forEach((length, axis) => {
    if (count[axis] < 1n || step[axis] < 1n) refuse("graph-shape", "counts and strides are at least 1", where);
    if (first[axis] < 0n || first[axis] + step[axis] * (count[axis] - 1n) >= length) refuse("graph-shape", "a box is outside of the view", where);
  });
}

/** Rows of a table that is inside the document. @param {Graph} graph @param {Node} node */
export function checkBoxes(graph, node) {
  if (!node.table.inline) return;
  const rows = rowsOf((name) => node.table.inlineIntegers(name), node);
  disjoint(rows.map(({ comb }) => comb), graph.context.limits.box_pairs, node.where);
}

/** All rows, checked but for cells that two of them fill. @param {Node} node @returns {Promise<Row[]>} */
export async function readBoxes(node) {
  /** @type {{[name: string]: bigint[]}} */
  const columns = {};
  for (const name of ["array", ...OF_ARRAYS, ...OF_VIEW]) columns[name] = await node.table.columns[name].integers(0, node.table.length);
  return rowsOf((name) => columns[name], node);
}

/** @param {(name: string) => bigint[]} column @param {Node} node @returns {Row[]} */
function rowsOf(column, node) {
  const { shape } = node.schema;
  const [axes, firsts, steps] = OF_ARRAYS.map((name) => grouped(column(name), node.table.columns[name].width));
  const [origins, strides, counts] = OF_VIEW.map((name) => grouped(column(name), shape.length));
  return column("array").map((number, k) => {
    if (number < 0n || number >= BigInt(node.arrays.length)) refuse("table-invalid", `row ${k} has an array that is not there`, node.columnAt("array"));
    const comb = { first: origins(k), step: strides(k), count: counts(k) };
    checkComb(comb, shape, node.where);
    if (k > 0 && after(origins(k - 1), comb.first)) refuse("graph-canonical", "rows are not sorted by origin", node.where);
    /** @type {Stored} */
    const array = node.arrays[Number(number)];
    const fed = axes(k).map((axis, a) => ({ first: firsts(k)[a], step: steps(k)[a], axis: Number(axis) }));
    checkFed(fed, comb, array, node);
    return { comb, array, fed: fed.slice(0, array.shape.length) };
  });
}

/** @param {bigint[]} numbers @param {number} width @returns {(k: number) => bigint[]} */
const grouped = (numbers, width) => (k) => numbers.slice(k * width, (k + 1) * width);

/** Whether one position is behind another in C order. @param {bigint[]} a @param {bigint[]} b */
function after(a, b) {
  const axis = a.findIndex((at, k) => at !== b[k]);
  return axis >= 0 && a[axis] > b[axis];
}

/** Axes that an array does not have are of length 1. @param {Fed[]} fed @param {Comb} comb @param {Stored} array @param {Node} node */
function checkFed(fed, { count }, array, node) {
  const named = fed.map(({ axis }) => axis).filter((axis) => axis !== -1);
  if (named.some((axis) => axis < 0 || axis >= count.length)) refuse("table-invalid", "a row has an axis that the view does not have", node.columnAt("axis"));
  if (new Set(named).size < named.length) refuse("table-invalid", "a row has an axis of the view twice", node.columnAt("axis"));
  fed.forEach(({ first, step, axis }, a) => {
    if (step === 0n) refuse("graph-shape", "a step is not 0", node.where);
    const last = axis < 0 ? first : first + step * (count[axis] - 1n);
    const length = array.shape[a] ?? 1n;
    if ([first, last].some((cell) => cell < 0n || cell >= length)) refuse("graph-shape", "a row is outside of its array", node.where);
  });
}
