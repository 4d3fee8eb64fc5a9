// Lowering: from a graph and a box of the view to placements (manifest.md, and theorem 2 of boundary.md).
// Rows of stored tables are compared where they are seen; those of other tables were when the document was opened.
//
// A want says which cells of a node are wanted and where they go; each kind of node turns it into wants of its inputs.
// Placements come with the seen one first: where several fill a cell, the first one does.

import { tileRows } from "./arrays.js";
import { readBoxes } from "./boxes.js";
import { ceilDiv, disjoint, floorDiv, meet } from "./combs.js";
import { refuse } from "./errors.js";
import { checkIndices } from "./infer.js";
import { checkNumber } from "./rowvalues.js";

/** @typedef {import("./graph.js").Node} Node */
/** @typedef {{first: bigint, step: bigint, axis: number}} Along cells of an axis; `axis` of the result that feeds it, or -1 */
/** @typedef {{first: number, step: number, count: number}} Into cells of an axis of the result */
/**
 * @typedef {object} Want
 * @property {Along[]} along one for each axis of the node
 * @property {Into[]} into one for each axis of the result
 * @property {import("./valuewise.js").ValueCodec[]} decodes what is done with cells, first to last
 * @property {import("./graph.js").Layout | null} layout that takes the place of the stored one
 */
/** @typedef {{want: Want, node: Node, stored: import("./graph.js").Stored | null, constant: import("./types.js").Cells | null}} Placement */

const MOST_PLACEMENTS = 4_000_000;

export class Lowering {
  constructor() {
    /** @type {Placement[]} */
    this.placements = [];
    this.steps = 0;
  }

  /** @param {Placement} placement */
  add(placement) {
    this.placements.push(placement);
  }

  /** @param {Node} node @param {Want} want @returns {Promise<void>} */
  async lower(node, want) {
    this.steps += 1;
    if (this.steps > MOST_PLACEMENTS) refuse("limit-exceeded", "a read has too many placements");
    if (want.into.some(({ count }) => count === 0)) return;
    const { inputs } = node;
    switch (node.op) {
      case "source":
        return this.add({ want, node, stored: node.array, constant: null });
      case "fill":
        return this.add({ want, node, stored: null, constant: node.schema.fill });
      case "tiles":
        return this.tiles(node, want);
      case "boxes":
        return this.boxes(node, want);
      case "index":
        return this.lower(inputs[0], { ...want, along: throughIndex(node.wire.axes, want.along) });
      case "take":
        return this.take(node, want);
      case "transpose": {
        const along = new Array(want.along.length);
        node.axes.forEach((/** @type {number} */ axis, /** @type {number} */ k) => (along[axis] = want.along[k]));
        return this.lower(inputs[0], { ...want, along });
      }
      case "broadcast": {
        const { shape } = inputs[0].schema;
        const along = node.axes.map((/** @type {number} */ axis, /** @type {number} */ k) =>
          shape[k] === 1n ? { first: 0n, step: 0n, axis: -1 } : want.along[axis]);
        return this.lower(inputs[0], { ...want, along });
      }
      case "concat": {
        let first = 0n;
        for (const input of inputs) {
          const length = input.schema.shape[node.axis];
          const part = within(want, node.axis, first, length);
          if (part !== null) await this.lower(input, part);
          first += length;
        }
        return;
      }
      case "stack":
        for (const [number, part] of cellsAlong(want, node.axis)) {
          await this.lower(inputs[Number(number)], { ...part, along: part.along.toSpliced(node.axis, 1) });
        }
        return;
      case "overlay": {
        const order = [...inputs.keys()];
        if (node.rule === "last") order.reverse();
        for (const m of order) {
          const part = throughBox(want, node.boxes[m]);
          if (part !== null) await this.lower(inputs[m], part);
        }
        return this.add({ want, node, stored: null, constant: node.schema.fill });
      }
      case "recode":
        if (node.codecs !== null) return this.lower(inputs[0], { ...want, decodes: [...node.codecs, ...want.decodes] });
        return this.lower(inputs[0], { ...want, layout: node.layout });
      case "decode":
        return this.lower(inputs[0], { ...want, decodes: [...node.codecs, ...want.decodes] });
    }
  }

  /** @param {Node} node @param {Want} want */
  async take(node, want) {
    const { axis, table, inputs, where } = node;
    const { first, step, axis: fed } = want.along[axis];
    const count = fed < 0 ? 1 : want.into[fed].count;
    const length = inputs[0].schema.shape[axis];
    /** @type {bigint[]} */
    const indices = [];
    const [low, high] = step < 0n ? [first + step * BigInt(count - 1), first] : [first, first + step * BigInt(count - 1)];
    const rows = await table.columns.indices.integers(Number(low), Number(high) + 1);
    for (let j = 0; j < count; j += 1) indices.push(rows[Number(first + step * BigInt(j) - low)]);
    checkIndices(indices, length, where);
    for (let j = 0; j < count; ) {
      let run = 1;
      const distance = j + 1 < count ? indices[j + 1] - indices[j] : 0n;
      if (distance !== 0n) while (j + run < count && indices[j + run] - indices[j + run - 1] === distance) run += 1;
      const along = want.along.with(axis, { first: indices[j], step: run > 1 ? distance : 0n, axis: run > 1 ? fed : -1 });
      const into = fed < 0 ? want.into : want.into.with(fed, part(want.into[fed], j, 1, run));
      await this.lower(inputs[0], { ...want, along, into });
      j += run;
    }
  }

  /** @param {Node} node @param {Want} want */
  async tiles(node, want) {
    const { table, refs } = node;
    const { origin, shape, layout } = table.columns;
    const rows = tileRows(
      await origin.integers(0, table.length),
      await shape.integers(0, table.length),
      await layout.integers(0, table.length),
      node,
    );
    const seen = [];
    for (const [k, row] of rows.entries()) {
      const box = { first: row.first, step: row.first.map(() => 1n), count: row.count };
      let found = throughBox(want, box);
      if (found === null) continue;
      seen.push(box);
      if (node.newAxis !== null) found = { ...found, along: found.along.toSpliced(node.newAxis, 1) };
      const stored = {
        shape: row.shape,
        layout: await this.rowLayout(node.layouts[row.layout], table, k),
        variants: [],
        base: table.base,
        location: await table.text("url", k),
        url: null,
        stamp: await table.stamp(k),
        places: [],
        refs,
        refsFirst: refs === null ? 0n : await table.number("refs_first", k, 0n),
        inline: null,
        origins: null,
        values: null,
      };
      this.add({ want: found, node, stored, constant: null });
    }
    if (!table.inline) disjoint(seen, Number.POSITIVE_INFINITY, node.where);
    this.add({ want, node, stored: null, constant: (want.layout ?? node.schema).fill });
  }

  /** A layout with the numbers of a row. @param {import("./graph.js").Layout} layout @param {import("./tables.js").Table} table @param {number} row */
  async rowLayout(layout, table, row) {
    if (layout.rows === null) return layout;
    /** @type {{[name: string]: number}} */
    const numbers = {};
    for (const name of layout.rows.names) {
      [numbers[name]] = await table.columns[name].floats(row, row + 1);
      checkNumber(layout.rows.wire, name, numbers[name]);
    }
    return layout.rows.make(numbers);
  }

  /** @param {Node} node @param {Want} want */
  async boxes(node, want) {
    const seen = [];
    for (const { comb, array, fed } of await readBoxes(node)) {
      const found = throughBox(want, comb);
      if (found === null) continue;
      seen.push(comb);
      this.add({ want: { ...found, along: throughWindow(fed, found.along) }, node, stored: array, constant: null });
    }
    if (!node.table.inline) disjoint(seen, Number.POSITIVE_INFINITY, node.where);
    for (const { comb, cell } of node.constants.toReversed()) {
      const found = throughBox(want, comb);
      if (found !== null) this.add({ want: found, node, stored: null, constant: cell });
    }
    this.add({ want, node, stored: null, constant: node.schema.fill });
  }
}

/** Cells of an array behind those of a box of the view. @param {import("./boxes.js").Fed[]} fed @param {Along[]} along @returns {Along[]} */
function throughWindow(fed, along) {
  return fed.map(({ first, step, axis }) => {
    if (axis < 0) return { first, step: 0n, axis: -1 };
    const of = along[axis];
    return { first: first + step * of.first, step: step * of.step, axis: of.axis };
  });
}

/** Cells `first + step m` of a part of the result. @param {Into} into @param {number} first @param {number} step @param {number} count @returns {Into} */
function part(into, first, step, count) {
  return { first: into.first + into.step * first, step: into.step * step, count };
}

/** @param {any[]} axes @param {Along[]} along @returns {Along[]} */
function throughIndex(axes, along) {
  let next = 0;
  return axes.map((entry) => {
    if (!Array.isArray(entry)) return { first: entry, step: 0n, axis: -1 };
    const [start, step] = entry;
    const one = along[next];
    next += 1;
    return { first: start + step * one.first, step: step * one.step, axis: one.axis };
  });
}

/** The part of a want that lies in `[first, first + length)` of an axis, counted from there. @param {Want} want @param {number} axis @param {bigint} first @param {bigint} length */
function within(want, axis, first, length) {
  return throughAxis(want, axis, { origin: first, stride: 1n, length });
}

/** @param {Want} want @param {number} axis @param {{origin: bigint, stride: bigint, length: bigint}} comb @returns {Want | null} */
function throughAxis(want, axis, comb) {
  const one = want.along[axis];
  const count = one.axis < 0 ? 1 : want.into[one.axis].count;
  if (comb.stride === 1n && count > 1) return throughInterval(want, axis, comb);
  const found = meet({ first: one.first, step: one.step, count: BigInt(count) }, comb);
  if (found === null) return null;
  const first = (one.first + one.step * found.first - comb.origin) / comb.stride;
  const along = want.along.with(axis, { first, step: (one.step * found.step) / comb.stride, axis: one.axis });
  if (one.axis < 0) return { ...want, along };
  const into = want.into.with(one.axis, part(want.into[one.axis], Number(found.first), Number(found.step), Number(found.count)));
  return { ...want, along, into };
}

/** The same for cells without gaps, which is what most joins are. @param {Want} want @param {number} axis @param {{origin: bigint, length: bigint}} interval @returns {Want | null} */
function throughInterval(want, axis, { origin, length }) {
  const one = want.along[axis];
  const { count } = want.into[one.axis];
  const { first, step } = one;
  const last = origin + length - 1n;
  let low = step > 0n ? ceilDiv(origin - first, step) : ceilDiv(first - last, -step);
  let high = step > 0n ? floorDiv(last - first, step) : floorDiv(first - origin, -step);
  if (low < 0n) low = 0n;
  if (high > BigInt(count - 1)) high = BigInt(count - 1);
  if (low > high) return null;
  const along = want.along.with(axis, { first: first + step * low - origin, step, axis: one.axis });
  const into = want.into.with(one.axis, part(want.into[one.axis], Number(low), 1, Number(high - low) + 1));
  return { ...want, along, into };
}

/** @param {Want} want @param {import("./combs.js").Comb} box @returns {Want | null} */
function throughBox(want, box) {
  /** @type {Want | null} */
  let found = want;
  for (let axis = 0; axis < box.first.length && found !== null; axis += 1) {
    found = throughAxis(found, axis, { origin: box.first[axis], stride: box.step[axis], length: box.count[axis] });
  }
  return found;
}

/** Each cell of an axis by itself. @param {Want} want @param {number} axis @returns {Generator<[bigint, Want]>} */
function* cellsAlong(want, axis) {
  const one = want.along[axis];
  const count = one.axis < 0 ? 1 : want.into[one.axis].count;
  for (let j = 0; j < count; j += 1) {
    const into = one.axis < 0 ? want.into : want.into.with(one.axis, part(want.into[one.axis], j, 1, 1));
    yield [one.first + one.step * BigInt(j), { ...want, into }];
  }
}
