// Codec chains (rule G-030): checked when a document is opened, and run from the last codec to the first.

import { COMPRESSORS } from "./compressors.js";
import { refuse } from "./errors.js";
import { plain } from "./json.js";
import { emptyCells, isVariable, swapBytes } from "./types.js";
import { VALUE_WISE, valueCodec } from "./valuewise.js";

/** @typedef {import("./types.js").DataType} DataType */
/** @typedef {import("./types.js").Cells} Cells */
/** @typedef {{cells: Cells, absent: Uint8Array | null}} Marked cells, with marks of those that a shard does not have */
/**
 * @typedef {object} Chain
 * @property {(bytes: Uint8Array) => Promise<Cells>} decode
 * @property {(bytes: Uint8Array) => Promise<Marked>} decodeMarked the same, with absent cells of any value
 * @property {number | null} fixedSize stored bytes, if nothing compresses
 */

/** @type {DataType} */
const MARK = { id: "uint8", kind: "uint", size: 1, part: 1 };
const SERIALIZERS = ["bytes", "vlen-utf8", "vlen-bytes", "sharding_indexed"];

/** @param {number[]} shape */
export const cellCount = (shape) => shape.reduce((count, length) => count * length, 1);

/**
 * @param {object} asked
 * @param {DataType} asked.type of the decoded cells
 * @param {Cells} asked.fill one cell, for what a shard does not have
 * @param {number[]} asked.shape of a chunk
 * @param {any[]} asked.codecs
 * @param {string | null} asked.where
 * @param {import("./limits.js").Limits} asked.limits
 * @returns {Chain}
 */
export function makeChain({ type, fill, shape, codecs, where, limits }) {
  if (codecs.length > limits.codecs) refuse("limit-exceeded", "a chain has too many codecs", where);
  for (const { name } of codecs) {
    const known = name === "transpose" || SERIALIZERS.includes(name) || VALUE_WISE.includes(name) || Object.hasOwn(COMPRESSORS, name);
    if (!known) refuse("codec-unknown", `${JSON.stringify(name)} is a codec that this reader does not know`, where);
  }
  /** @type {(what: string) => never} */
  const bad = (what) => refuse("codec-invalid", what, where);
  const decodedType = type;
  /** @type {((marked: Marked) => Marked)[]} */
  const steps = [];
  let at = 0;
  for (; at < codecs.length; at += 1) {
    const { name, configuration = {} } = codecs[at];
    if (VALUE_WISE.includes(name)) {
      const codec = valueCodec(name, configuration, type, bad);
      steps.push(({ cells, absent }) => ({ cells: decodePresent(codec, /** @type {Uint8Array} */ (cells), absent), absent }));
      type = codec.encoded;
    } else if (name === "transpose") {
      const order = checkOrder(configuration, shape.length, bad);
      const decodedShape = shape;
      const cellType = type;
      steps.push(({ cells, absent }) => ({
        cells: untranspose(cells, cellType, decodedShape, order),
        absent: absent && /** @type {Uint8Array} */ (untranspose(absent, MARK, decodedShape, order)),
      }));
      shape = order.map((axis) => decodedShape[axis]);
    } else break;
  }
  if (at === codecs.length) bad("the chain has no codec that makes bytes");
  const { name, configuration = {} } = codecs[at];
  if (!SERIALIZERS.includes(name)) bad(`${name} stands where cells have to become bytes`);
  const serializer = makeSerializer(name, configuration, { type, shape, where, limits }, bad);
  /** @type {{decode: import("./compressors.js").Decompress, bound: number}[]} */
  const unpackers = [];
  let bound = serializer.bound;
  let fixedSize = serializer.fixedSize;
  for (const codec of codecs.slice(at + 1)) {
    if (!Object.hasOwn(COMPRESSORS, codec.name)) bad(`${codec.name} stands behind the codec that makes bytes`);
    const { decode, extra } = COMPRESSORS[codec.name](codec.configuration ?? {}, bad);
    unpackers.push({ decode, bound });
    fixedSize = fixedSize !== null && (extra > 0 || codec.name === "crc32c") ? fixedSize + extra : null;
    bound = extra > 0 ? bound + extra : Math.ceil(bound * 1.1) + 65_536; // what does not compress may grow a little
  }
  /** @param {Uint8Array} bytes */
  const decodeMarked = async (bytes) => {
    for (const unpacker of unpackers.toReversed()) bytes = await unpacker.decode(bytes, unpacker.bound);
    let marked = await serializer.decode(bytes);
    for (const step of steps.toReversed()) marked = step(marked);
    return marked;
  };
  /** @param {Uint8Array} bytes */
  const decode = async (bytes) => {
    const { cells, absent } = await decodeMarked(bytes);
    absent?.forEach((mark, k) => {
      if (mark === 0) return;
      if (cells instanceof Uint8Array) cells.set(/** @type {Uint8Array} */ (fill), k * decodedType.size);
      else cells[k] = /** @type {string} */ (fill[0]);
    });
    return cells;
  };
  return { fixedSize, decodeMarked, decode };
}

/**
 * Decode the cells that are there: those that a shard does not have are not decoded (D-002), since a codec may refuse them.
 * @param {import("./valuewise.js").ValueCodec} codec @param {Uint8Array} cells @param {Uint8Array | null} absent @returns {Uint8Array}
 */
function decodePresent(codec, cells, absent) {
  if (absent === null || !absent.includes(1)) return codec.decode(cells);
  const { encoded, decoded } = codec;
  const present = [...absent.keys()].filter((k) => absent[k] === 0);
  const some = new Uint8Array(present.length * encoded.size);
  present.forEach((k, j) => some.set(cells.subarray(k * encoded.size, (k + 1) * encoded.size), j * encoded.size));
  const made = codec.decode(some);
  const result = new Uint8Array(absent.length * decoded.size);
  present.forEach((k, j) => result.set(made.subarray(j * decoded.size, (j + 1) * decoded.size), k * decoded.size));
  return result;
}

/** @param {any} configuration @param {number} rank @param {(what: string) => never} bad @returns {number[]} */
function checkOrder(configuration, rank, bad) {
  const { order } = configuration;
  if (order === "C" || order === "F") { // of a draft of Zarr v3
    const axes = [...new Array(rank).keys()];
    return order === "C" ? axes : axes.reverse();
  }
  if (!Array.isArray(order) || order.length !== rank) bad("the order of a transpose has another rank");
  if (!order.every((axis) => typeof axis === "bigint")) bad("the order of a transpose has integers");
  const axes = order.map(Number);
  if (!axes.toSorted((a, b) => a - b).every((axis, k) => axis === k)) bad("the order of a transpose is no permutation");
  return axes;
}

/** @param {Cells} cells @param {DataType} type @param {number[]} shape @param {number[]} order @returns {Cells} */
function untranspose(cells, type, shape, order) {
  const result = emptyCells(type, cellCount(shape));
  const strides = new Array(shape.length).fill(0);
  let stride = 1;
  for (const axis of order.toReversed()) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  copyBox(result, cells, type.size, shape, { at: 0, strides: cStrides(shape) }, { at: 0, strides });
  return result;
}

/** @param {number[]} shape @returns {number[]} */
export function cStrides(shape) {
  const strides = new Array(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis -= 1) strides[axis] = strides[axis + 1] * shape[axis + 1];
  return strides;
}

/**
 * Copy a box of cells; strides are in cells and may be negative.
 * @param {Cells} target @param {Cells} source @param {number} size @param {number[]} shape
 * @param {{at: number, strides: number[]}} to @param {{at: number, strides: number[]}} from
 * @param {Uint8Array | null} [seen] marks of the target: marked cells stay, all others are marked
 */
export function copyBox(target, source, size, shape, to, from, seen = null) {
  const count = cellCount(shape);
  const index = new Array(shape.length).fill(0);
  let a = to.at;
  let b = from.at;
  for (let k = 0; k < count; k += 1) {
    if (seen === null || seen[a] === 0) {
      if (target instanceof Uint8Array) {
        for (let byte = 0; byte < size; byte += 1) target[a * size + byte] = /** @type {Uint8Array} */ (source)[b * size + byte];
      } else target[a] = /** @type {string[]} */ (source)[b];
      if (seen !== null) seen[a] = 1;
    }
    for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
      // Never a step beyond the last cell: along an axis of one cell a stride may be more than a number holds exactly.
      if (index[axis] + 1 < shape[axis]) {
        index[axis] += 1;
        a += to.strides[axis];
        b += from.strides[axis];
        break;
      }
      a -= to.strides[axis] * index[axis];
      b -= from.strides[axis] * index[axis];
      index[axis] = 0;
    }
  }
}

/**
 * @typedef {object} Around
 * @property {DataType} type
 * @property {number[]} shape
 * @property {string | null} where
 * @property {import("./limits.js").Limits} limits
 */

/**
 * @param {string} name @param {any} configuration @param {Around} around @param {(what: string) => never} bad
 * @returns {{decode: (bytes: Uint8Array) => Promise<Marked> | Marked, bound: number, fixedSize: number | null}}
 */
function makeSerializer(name, configuration, around, bad) {
  const { type, shape, limits } = around;
  const size = cellCount(shape) * type.size;
  if (name === "vlen-utf8") {
    if (type.kind !== "string") bad("vlen-utf8 is of text");
    return { decode: (bytes) => ({ cells: decodeText(bytes, cellCount(shape)), absent: null }), bound: limits.chunk_bytes, fixedSize: null };
  }
  if (name === "vlen-bytes") {
    if (type.kind !== "blob") bad("vlen-bytes is of bytes of variable length");
    const decode = (/** @type {Uint8Array} */ bytes) => splitCells(bytes, cellCount(shape)).map((cell) => Buffer.from(cell).toString("latin1"));
    return { decode: (bytes) => ({ cells: decode(bytes), absent: null }), bound: limits.chunk_bytes, fixedSize: null };
  }
  if (name === "sharding_indexed") return makeSharding(configuration, around, bad);
  if (isVariable(type)) bad("cells of variable length have another codec than bytes");
  const endian = configuration.endian ?? (type.part > 1 ? null : "little");
  if (endian !== "little" && endian !== "big") bad("endian is little or big");
  const swapped = endian === "big" ? type : null;
  return { decode: (bytes) => ({ cells: decodeBytes(bytes, size, swapped), absent: null }), bound: size, fixedSize: size };
}

/** @param {Uint8Array} bytes @param {number} size @param {DataType | null} swapped the type, where it is stored the other way round */
function decodeBytes(bytes, size, swapped) {
  if (bytes.length !== size) refuse("chunk-length", `a chunk has ${bytes.length} bytes, and ${size} are declared`);
  const result = Uint8Array.from(bytes);
  if (swapped !== null) swapBytes(swapped, result);
  return result;
}

/** @param {Uint8Array} bytes @param {number} count @returns {string[]} */
function decodeText(bytes, count) {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  return splitCells(bytes, count).map((cell) => {
    try {
      return decoder.decode(cell);
    } catch {
      return refuse("chunk-decode", "a text is not UTF-8");
    }
  });
}

/** Cells of variable length, each behind its length, and the number of them in front. @param {Uint8Array} bytes @param {number} count */
function splitCells(bytes, count) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 4) refuse("chunk-length", "a chunk of variable cells has no header");
  const stored = view.getUint32(0, true);
  if (stored > count) refuse("chunk-too-large", `a chunk has ${stored} cells, and ${count} are declared`);
  if (stored < count) refuse("chunk-length", `a chunk has ${stored} cells, and ${count} are declared`);
  /** @type {Uint8Array[]} */
  const result = [];
  let at = 4;
  for (let k = 0; k < count; k += 1) {
    if (at + 4 > bytes.length) refuse("chunk-decode", "a chunk ends inside a cell");
    const length = view.getUint32(at, true);
    at += 4;
    if (at + length > bytes.length) refuse("chunk-decode", "a chunk ends inside a cell");
    result.push(bytes.subarray(at, at + length));
    at += length;
  }
  if (at !== bytes.length) refuse("chunk-decode", "there are bytes behind the last cell");
  return result;
}

/** @param {any} configuration @param {Around} around @param {(what: string) => never} bad */
function makeSharding(configuration, around, bad) {
  const { type, shape, where, limits } = around;
  const { chunk_shape: inner, codecs, index_codecs: indexCodecs, index_location: location = "end" } = configuration;
  if (!Array.isArray(inner) || inner.length !== shape.length) bad("the chunks of a shard have another rank");
  if (!inner.every((length) => typeof length === "bigint" && length >= 1n)) bad("the chunks of a shard have lengths of at least 1");
  const chunk = inner.map(Number);
  if (!chunk.every((length, axis) => shape[axis] % length === 0)) bad("the chunks of a shard do not divide it");
  for (const chain of [codecs, indexCodecs]) {
    if (!Array.isArray(chain) || !chain.every(isCodec)) bad("a shard has two lists of codecs");
  }
  if (location !== "start" && location !== "end") bad("the index of a shard is at the start or at the end");
  const grid = shape.map((length, axis) => length / chunk[axis]);
  const index = makeChain({
    type: { id: "uint64", kind: "uint", size: 8, part: 8 },
    fill: new Uint8Array(8),
    shape: [...grid, 2],
    codecs: indexCodecs,
    where,
    limits,
  });
  if (index.fixedSize === null) bad("the index of a shard cannot be compressed");
  const indexSize = /** @type {number} */ (index.fixedSize);
  const chain = makeChain({ type, fill: emptyCells(type, 1), shape: chunk, codecs, where, limits });
  const count = cellCount(grid);
  const bound = Math.ceil(cellCount(shape) * Math.max(type.size, 64) * 1.1) + 1024 * (count + 64) + indexSize;
  /** @param {Uint8Array} bytes */
  async function decode(bytes) {
    if (bytes.length < indexSize) refuse("chunk-length", "a shard is shorter than its index");
    const stored = location === "start" ? bytes.subarray(0, indexSize) : bytes.subarray(bytes.length - indexSize);
    const entries = /** @type {Uint8Array} */ (await index.decode(stored));
    const first = BigInt(location === "start" ? indexSize : 0);
    const chunks = entriesOf(new DataView(entries.buffer), count, first, first + BigInt(bytes.length - indexSize));
    const result = emptyCells(type, cellCount(shape));
    const marks = new Uint8Array(cellCount(shape));
    const one = Uint8Array.of(1);
    for (const [k, entry] of chunks.entries()) {
      const position = unravel(k, grid);
      const at = dot(position.map((p, axis) => p * chunk[axis]), cStrides(shape));
      const to = { at, strides: cStrides(shape) };
      if (entry === null) {
        copyBox(marks, one, 1, chunk, to, { at: 0, strides: chunk.map(() => 0) });
        continue;
      }
      const { cells, absent } = await chain.decodeMarked(bytes.subarray(...entry));
      copyBox(result, cells, type.size, chunk, to, { at: 0, strides: cStrides(chunk) });
      if (absent !== null) copyBox(marks, absent, 1, chunk, to, { at: 0, strides: cStrides(chunk) });
    }
    return { cells: result, absent: marks };
  }
  return { decode, bound, fixedSize: null };
}

/** @param {any} codec */
const isCodec = (codec) =>
  typeof codec?.name === "string" && (codec.configuration === undefined || Object.prototype.toString.call(codec.configuration) === "[object Object]");

/**
 * Where the chunks of a shard begin and end, null for those that it does not have (G-039).
 * @param {DataView} index @param {number} count @param {bigint} first of the bytes beside the index @param {bigint} end
 * @returns {([number, number] | null)[]}
 */
function entriesOf(index, count, first, end) {
  const none = 2n ** 64n - 1n;
  /** @type {([number, number] | null)[]} */
  const entries = [];
  for (let k = 0; k < count; k += 1) {
    const offset = index.getBigUint64(k * 16, true);
    const length = index.getBigUint64(k * 16 + 8, true);
    if (offset === none && length === none) entries.push(null);
    else if (offset === none || length === none) refuse("chunk-decode", "an entry of the index of a shard is half missing");
    else if (offset < first || offset + length > end) refuse("chunk-decode", "a chunk of a shard lies outside of its bytes");
    else entries.push([Number(offset), Number(offset + length)]);
  }
  const sorted = entries.filter((entry) => entry !== null).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  if (sorted.some(([offset], k) => k > 0 && sorted[k - 1][1] > offset)) refuse("chunk-decode", "chunks of a shard overlap");
  return entries;
}

/** @param {number} number @param {number[]} grid @returns {number[]} */
export function unravel(number, grid) {
  const position = new Array(grid.length).fill(0);
  for (let axis = grid.length - 1; axis >= 0; axis -= 1) {
    position[axis] = number % grid[axis];
    number = Math.floor(number / grid[axis]);
  }
  return position;
}

/** @param {number[]} a @param {number[]} b */
export const dot = (a, b) => a.reduce((sum, value, k) => sum + value * b[k], 0);

/** A chain as text: equal for chains that are the same. @param {any} codecs */
export const chainText = (codecs) => JSON.stringify(plain(codecs), (_, value) => (typeof value === "bigint" ? `${value}n` : value));
