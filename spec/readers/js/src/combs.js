// Combs: cells at a constant distance on each axis (the lemma of boundary.md), and whether several of them have a cell in common
// (G-014, G-058, G-061, G-069). What a comb means to a node is the business of the node.

import { refuse } from "./errors.js";

/** @typedef {{first: bigint[], step: bigint[], count: bigint[]}} Comb cells `first + step k`, `0 <= k < count`, with steps of at least 1 */

/** @param {bigint} a @param {bigint} b at least 1 */
export const floorDiv = (a, b) => a / b - (a % b < 0n ? 1n : 0n);

/** @param {bigint} a @param {bigint} b at least 1 */
export const ceilDiv = (a, b) => a / b + (a % b > 0n ? 1n : 0n);

/** `g = gcd(a, b)`, and `x` with `a x = g` modulo `b`. @param {bigint} a @param {bigint} b both at least 1 @returns {{g: bigint, x: bigint}} */
function euclid(a, b) {
  let [g, rest, x, next] = [a, b, 1n, 0n];
  while (rest !== 0n) {
    const q = g / rest;
    [g, rest, x, next] = [rest, g - q * rest, next, x - q * next];
  }
  return { g, x };
}

/**
 * Which of the cells `first + step m`, `0 <= m < count`, are among `origin + stride k`, `0 <= k < length`: the `m`, ascending.
 * @param {{first: bigint, step: bigint, count: bigint}} cells whose step may be negative, or 0 for one cell
 * @param {{origin: bigint, stride: bigint, length: bigint}} comb with a stride of at least 1
 * @returns {{first: bigint, step: bigint, count: bigint} | null}
 */
export function meet({ first, step, count }, { origin, stride, length }) {
  if (count < 1n || length < 1n) return null;
  const end = origin + stride * (length - 1n);
  if (count === 1n || step === 0n) {
    return first >= origin && first <= end && (first - origin) % stride === 0n ? { first: 0n, step: 1n, count } : null;
  }
  // Backwards is forwards on the mirrored axis, where the comb begins with what was its last cell.
  if (step < 0n) return meet({ first: -first, step: -step, count }, { origin: -end, stride, length });
  const { g, x } = euclid(step, stride);
  const distance = origin - first;
  if (distance % g !== 0n) return null;
  const period = stride / g;
  const residue = (distance / g) * x;
  const low = max(0n, ceilDiv(distance, step));
  const high = min(count - 1n, floorDiv(end - first, step));
  const m = low + modulo(residue - low, period);
  return m > high ? null : { first: m, step: period, count: (high - m) / period + 1n };
}

/** @param {bigint} a @param {bigint} b */
const max = (a, b) => (a > b ? a : b);

/** @param {bigint} a @param {bigint} b */
const min = (a, b) => (a < b ? a : b);

/** @param {bigint} a @param {bigint} b at least 1 */
const modulo = (a, b) => a - floorDiv(a, b) * b;

/** @typedef {{comb: Comb, low: bigint[], high: bigint[], steps: string}} Bounded a comb, its first and its last cell on each axis */

/** Combs that no cut parts from each other are compared pair by pair; of two with different steps that is 64 times the work. */
const WEIGHT_OF_STEPS = 64;

/** Cuts that part few from many are not worth their sorting more often than this. */
const MOST_POOR_CUTS = 16;

/**
 * Refuse combs of which two have a cell in common, and those for which more than `limit` comparisons would have to tell.
 * @param {Comb[]} combs @param {number} limit @param {string} where @param {boolean} [allowed] whether they may have cells in common
 */
export function disjoint(combs, limit, where, allowed = false) {
  /** @type {Bounded[]} */
  const bounded = [];
  for (const comb of combs) {
    if (comb.count.some((count) => count < 1n)) continue;
    const { first, step, count } = comb;
    bounded.push({ comb, low: first, high: first.map((at, axis) => at + step[axis] * (count[axis] - 1n)), steps: step.join() });
  }
  const groups = [...uncut(bounded)];
  const cost = groups.reduce((sum, group) => sum + comparisons(group), 0);
  if (cost > limit) refuse("limit-exceeded", `it takes ${cost} comparisons to know which boxes overlap`, where);
  if (allowed) return;
  for (const group of groups) {
    group.forEach((one, k) => {
      for (let j = 0; j < k; j += 1) if (overlap(one, group[j])) refuse("overlap", "two boxes fill one cell", where);
    });
  }
}

/** Groups of two and more that no cut across an axis parts any further. @param {Bounded[]} all @returns {Generator<Bounded[]>} */
function* uncut(all) {
  const waiting = [{ group: all, poor: 0 }];
  while (waiting.length > 0) {
    const { group, poor } = /** @type {typeof waiting[0]} */ (waiting.pop());
    if (group.length < 2) continue;
    const parts = poor > MOST_POOR_CUTS ? null : cut(group);
    if (parts === null) yield group;
    else for (const part of parts) waiting.push({ group: part, poor: poor + (part.length * 2 > group.length ? 1 : 0) });
  }
}

/** Parts along the first axis that has a cut; null where none has. @param {Bounded[]} group @returns {Bounded[][] | null} */
function cut(group) {
  for (let axis = 0; axis < group[0].low.length; axis += 1) {
    const sorted = group.toSorted((a, b) => (a.low[axis] < b.low[axis] ? -1 : a.low[axis] > b.low[axis] ? 1 : 0));
    const parts = [[sorted[0]]];
    let end = sorted[0].high[axis];
    for (const one of sorted.slice(1)) {
      if (one.low[axis] > end) parts.push([]);
      parts[parts.length - 1].push(one);
      end = max(end, one.high[axis]);
    }
    if (parts.length > 1) return parts;
  }
  return null;
}

/** @param {Bounded[]} group */
function comparisons(group) {
  const pairs = (/** @type {number} */ n) => (n * (n - 1)) / 2;
  /** @type {Map<string, number>} */
  const alike = new Map();
  for (const { steps } of group) alike.set(steps, (alike.get(steps) ?? 0) + 1);
  const same = [...alike.values()].reduce((sum, n) => sum + pairs(n), 0);
  return same + WEIGHT_OF_STEPS * (pairs(group.length) - same);
}

/** Whether two combs have a cell in common: on every axis, then. @param {Bounded} a @param {Bounded} b */
function overlap(a, b) {
  const axes = a.low.length;
  for (let axis = 0; axis < axes; axis += 1) if (a.low[axis] > b.high[axis] || b.low[axis] > a.high[axis]) return false;
  for (let axis = 0; axis < axes; axis += 1) {
    const step = a.comb.step[axis];
    if (step === b.comb.step[axis]) {
      if ((a.low[axis] - b.low[axis]) % step !== 0n) return false;
    } else {
      const cells = { first: a.low[axis], step, count: a.comb.count[axis] };
      if (meet(cells, { origin: b.low[axis], stride: b.comb.step[axis], length: b.comb.count[axis] }) === null) return false;
    }
  }
  return true;
}
