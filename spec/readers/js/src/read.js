// A read: placements, cut into fragments along the chunks of their sources, written into the result.

import { cStrides, cellCount, copyBox } from "./codecs.js";
import { Chunks } from "./chunks.js";
import { Lowering } from "./lower.js";
import { emptyCells } from "./types.js";

/** @typedef {import("./types.js").Cells} Cells */
/** @typedef {{first: number, step: number, count: number}} Slab cells of an axis of the view */

/**
 * Cells of a box of the view, in C order.
 * @param {import("./graph.js").Graph} graph @param {import("./context.js").Context} context @param {Slab[]} slab
 * @returns {Promise<Cells>}
 */
export async function readCells(graph, context, slab) {
  const shape = slab.map(({ count }) => count);
  const { type } = graph.last.schema;
  const result = emptyCells(type, cellCount(shape));
  if (cellCount(shape) === 0) return result;
  const lowering = new Lowering();
  await lowering.lower(graph.last, {
    along: slab.map(({ first, step }, axis) => ({ first: BigInt(first), step: BigInt(step), axis })),
    into: shape.map((count) => ({ first: 0, step: 1, count })),
    decodes: [],
    layout: null,
  });
  const target = { result, seen: new Uint8Array(cellCount(shape)), strides: cStrides(shape), size: type.size };
  const chunks = new Chunks(context);
  for (const placement of lowering.placements) {
    if (hidden(target, placement.want)) continue;
    if (placement.stored === null) writeConstant(target, placement);
    else if (placement.stored.values !== null) await writeValues(target, placement);
    else await writeChunks(target, placement, chunks);
  }
  return result;
}

/** @typedef {{result: Cells, seen: Uint8Array, strides: number[], size: number}} Target */

/** @param {import("./lower.js").Want} want @param {Target} target */
function boxOf({ into }, target) {
  const at = into.reduce((sum, { first }, axis) => sum + first * target.strides[axis], 0);
  return { shape: into.map(({ count }) => count), to: { at, strides: into.map(({ step }, axis) => step * target.strides[axis]) } };
}

/** @param {Cells} cells @param {import("./valuewise.js").ValueCodec[]} decodes @returns {Cells} */
const decoded = (cells, decodes) => decodes.reduce((now, codec) => codec.decode(/** @type {Uint8Array} */ (now)), cells);

/** @param {Target} target @param {import("./lower.js").Placement} placement */
function writeConstant(target, { want, constant }) {
  const { shape, to } = boxOf(want, target);
  const cell = decoded(/** @type {Cells} */ (constant), want.decodes);
  copyBox(target.result, cell, target.size, shape, to, { at: 0, strides: shape.map(() => 0) }, target.seen);
}

/**
 * The cells of a window, decoded and written where nothing is yet.
 * @param {Target} target @param {import("./lower.js").Want} want @param {Cells} source @param {number} size of a stored cell
 * @param {{at: number, strides: number[]}} from
 */
function writeWindow(target, want, source, size, from) {
  const { shape, to } = boxOf(want, target);
  if (want.decodes.length === 0) {
    copyBox(target.result, source, size, shape, to, from, target.seen);
    return;
  }
  const window = emptyCells(want.decodes[0].encoded, cellCount(shape));
  copyBox(window, source, size, shape, { at: 0, strides: cStrides(shape) }, from);
  const cells = decoded(window, want.decodes);
  copyBox(target.result, cells, target.size, shape, to, { at: 0, strides: cStrides(shape) }, target.seen);
}

/** Whether every cell of a part is filled by what is seen above it. @param {Target} target @param {import("./lower.js").Want} want */
function hidden(target, want) {
  const { shape, to } = boxOf(want, target);
  const index = shape.map(() => 0);
  let at = to.at;
  for (let k = cellCount(shape); k > 0; k -= 1) {
    if (target.seen[at] === 0) return false;
    for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
      if (index[axis] + 1 < shape[axis]) {
        index[axis] += 1;
        at += to.strides[axis];
        break;
      }
      at -= to.strides[axis] * index[axis];
      index[axis] = 0;
    }
  }
  return true;
}

/** @param {Target} target @param {import("./lower.js").Placement} placement */
async function writeValues(target, { want, stored }) {
  const array = /** @type {import("./graph.js").Stored} */ (stored);
  const column = /** @type {import("./tables.js").Table} */ (array.values).columns.values;
  const cells = await column.rows(0, column.shape[0]);
  const strides = cStrides(array.shape.map(Number));
  writeWindow(target, want, cells, column.type.size, windowOf(want, strides, want.along.map(() => 0)));
}

/** @param {import("./lower.js").Want} want @param {number[]} strides of the source @param {number[]} corner its first cell */
function windowOf({ along, into }, strides, corner) {
  const at = along.reduce((sum, { first }, axis) => sum + (Number(first) - corner[axis]) * strides[axis], 0);
  const result = into.map(() => 0);
  along.forEach(({ step, axis }, k) => {
    if (axis >= 0) result[axis] = Number(step) * strides[k];
  });
  return { at, strides: result };
}

/** @param {Target} target @param {import("./lower.js").Placement} placement @param {Chunks} chunks */
async function writeChunks(target, { want, stored }, chunks) {
  const array = /** @type {import("./graph.js").Stored} */ (stored);
  const { chunkShape } = array.layout;
  const grid = array.shape.map((length, axis) => (length + BigInt(chunkShape[axis]) - 1n) / BigInt(chunkShape[axis]));
  for (const { part, position } of fragments(want, chunkShape)) {
    if (hidden(target, part)) continue;
    const number = position.reduce((sum, p, axis) => sum * grid[axis] + BigInt(p), 0n);
    const cells = await chunks.cells(array, position, number, part.layout);
    const { fill, type } = part.layout ?? array.layout;
    if (cells === null) writeWindow(target, part, fill, type.size, { at: 0, strides: part.into.map(() => 0) });
    else {
      const corner = position.map((p, axis) => p * chunkShape[axis]);
      writeWindow(target, part, cells, type.size, windowOf(part, cStrides(chunkShape), corner));
    }
  }
}

/**
 * The parts of a placement, one for each chunk that it meets.
 * @param {import("./lower.js").Want} want @param {number[]} chunkShape
 * @returns {Generator<{part: import("./lower.js").Want, position: number[]}>}
 */
function* fragments(want, chunkShape, axis = 0, position = /** @type {number[]} */ ([])) {
  if (axis === chunkShape.length) {
    yield { part: want, position };
    return;
  }
  const { first, step, axis: fed } = want.along[axis];
  const length = BigInt(chunkShape[axis]);
  const count = fed < 0 ? 1 : want.into[fed].count;
  for (let j = 0; j < count; ) {
    const cell = first + step * BigInt(j);
    const chunk = cell / length;
    const rest = step > 0n ? ((chunk + 1n) * length - 1n - cell) / step : step < 0n ? (cell - chunk * length) / -step : BigInt(count);
    const run = Math.min(count - j, Number(rest) + 1);
    const along = want.along.with(axis, { first: cell, step, axis: fed });
    const { first: into, step: intoStep } = fed < 0 ? { first: 0, step: 0 } : want.into[fed];
    const part = fed < 0 ? want : { ...want, into: want.into.with(fed, { first: into + intoStep * j, step: intoStep, count: run }) };
    yield* fragments({ ...part, along }, chunkShape, axis + 1, [...position, Number(chunk)]);
    j += run;
  }
}
