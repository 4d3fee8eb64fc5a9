// Boxes and progressions: whether they meet, and where (boundary.md, lemma of the intersection).

import { refuse } from "./errors.js";

/** @typedef {{first: bigint[], step: bigint[], count: bigint[]}} Box cells `first + step k`, with steps of at least 1 */

/** @param {bigint} a @param {bigint} b @returns {[bigint, bigint, bigint]} g, x, y with a x + b y = g */
function gcd(a, b) {
  let [g, x, y, h, u, v] = [a, 1n, 0n, b, 0n, 1n];
  while (h !== 0n) {
    const quotient = g / h;
    [g, x, y, h, u, v] = [h, u, v, g - quotient * h, x - quotient * u, y - quotient * v];
  }
  return [g, x, y];
}

/** @param {bigint} a @param {bigint} b floor of the quotient, for b > 0 */
export const floorDiv = (a, b) => (a >= 0n ? a / b : -((-a + b - 1n) / b));
/** @param {bigint} a @param {bigint} b ceiling of the quotient, for b > 0 */
export const ceilDiv = (a, b) => -floorDiv(-a, b);

/**
 * Those `j` in `[0, count)` for which `first + step j` is in the progression `origin + stride i`, `0 <= i < length`.
 * @param {{first: bigint, step: bigint, count: bigint}} line `step` may be negative, and 0 if `count` is 1
 * @param {{origin: bigint, stride: bigint, length: bigint}} comb
 * @returns {{first: bigint, step: bigint, count: bigint} | null} a progression of `j`
 */
export function meet({ first, step, count }, { origin, stride, length }) {
  if (count === 0n || length === 0n) return null;
  if (step === 0n) step = 1n;
  const slope = step < 0n ? -step : step;
  const [g, x] = gcd(slope, stride);
  const distance = origin - first;
  if (distance % g !== 0n) return null;
  const period = stride / g;
  let j0 = ((step < 0n ? -1n : 1n) * x * (distance / g)) % period;
  if (j0 < 0n) j0 += period;
  // i(m) = (first + step (j0 + period m) - origin) / stride, for j = j0 + period m
  const i0 = (first + step * j0 - origin) / stride;
  const di = step / g;
  let low = 0n;
  let high = floorDiv(count - 1n - j0, period);
  if (di > 0n) {
    low = max(low, ceilDiv(-i0, di));
    high = min(high, floorDiv(length - 1n - i0, di));
  } else {
    low = max(low, ceilDiv(i0 - length + 1n, -di));
    high = min(high, floorDiv(i0, -di));
  }
  if (low > high) return null;
  return { first: j0 + period * low, step: period, count: high - low + 1n };
}

/** @param {bigint} a @param {bigint} b */
const max = (a, b) => (a > b ? a : b);
/** @param {bigint} a @param {bigint} b */
const min = (a, b) => (a < b ? a : b);

/** @param {Box} a @param {Box} b */
function boxesMeet(a, b) {
  return a.first.every((first, axis) =>
    meet({ first, step: a.step[axis], count: a.count[axis] }, { origin: b.first[axis], stride: b.step[axis], length: b.count[axis] }) !== null);
}

/**
 * Refuse boxes of which two meet, and boxes of which too many pairs would have to be compared (G-014).
 * Cuts across an axis part them first. Where overlap is allowed, the pairs are counted only.
 * @param {Box[]} boxes @param {number} limit of comparisons @param {string} where @param {boolean} [allowed]
 */
export function disjoint(boxes, limit, where, allowed = false) {
  let left = limit;
  /** @type {[Box[], number][]} a group of boxes, and how many axes have not parted it */
  const groups = [[boxes.filter((box) => box.count.every((count) => count > 0n)), 0]];
  const rank = boxes.length === 0 ? 0 : boxes[0].first.length;
  for (let next = groups.pop(); next !== undefined; next = groups.pop()) {
    const [group, tried] = next;
    if (group.length < 2) continue;
    if (tried < rank) {
      for (let axis = tried, k = 0; k < rank; k += 1, axis = (axis + 1) % rank) {
        const parts = cut(group, axis);
        if (parts.length > 1) {
          groups.push(...parts.map((part) => /** @type {[Box[], number]} */ ([part, 0])));
          break;
        }
        if (k === rank - 1) groups.push([group, rank]);
      }
      continue;
    }
    left -= (group.length * (group.length - 1)) / 2;
    if (left < 0) refuse("limit-exceeded", "too many boxes have to be compared", where);
    if (allowed) continue;
    for (let a = 0; a < group.length; a += 1) {
      for (let b = 0; b < a; b += 1) if (boxesMeet(group[a], group[b])) refuse("overlap", "two boxes overlap", where);
    }
  }
}

/** Groups of boxes whose extents along an axis are connected. @param {Box[]} boxes @param {number} axis @returns {Box[][]} */
function cut(boxes, axis) {
  const sorted = boxes.toSorted((a, b) => (a.first[axis] < b.first[axis] ? -1 : a.first[axis] > b.first[axis] ? 1 : 0));
  /** @type {Box[][]} */
  const parts = [];
  let end = -1n;
  for (const box of sorted) {
    if (parts.length === 0 || box.first[axis] > end) parts.push([]);
    parts[parts.length - 1].push(box);
    end = max(end, box.first[axis] + box.step[axis] * (box.count[axis] - 1n));
  }
  return parts;
}
