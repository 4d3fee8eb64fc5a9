// Codecs from bytes to bytes. What they make is bounded by the caller (D-003); headers are checked before they are believed.

import { gunzipSync, inflateSync } from "node:zlib";
import * as fzstd from "fzstd";
import { registry } from "zarrita";
import { ViewError, refuse } from "./errors.js";
import { bz2, xz } from "./streams.js";
import { dataType, getInteger, setInteger } from "./types.js";

/** @typedef {(bytes: Uint8Array, bound: number) => Promise<Uint8Array> | Uint8Array} Decompress */
/** @typedef {(configuration: any, bad: (what: string) => never) => {decode: Decompress, extra: number}} Maker */

/** @param {number} size @param {number} bound */
function within(size, bound) {
  if (size > bound) refuse("chunk-too-large", `decoding would make more than ${bound} bytes`);
}

/** @param {typeof gunzipSync | typeof inflateSync} inflate @returns {Decompress} */
function deflated(inflate) {
  return (bytes, bound) => {
    try {
      const options = { maxOutputLength: Math.max(bound, 1), info: true };
      const found = /** @type {any} */ (inflate(bytes, /** @type {any} */ (options)));
      if (found.engine.bytesWritten !== bytes.length) refuse("chunk-decode", "there are bytes behind the end of the stream");
      return found.buffer;
    } catch (error) {
      if (error instanceof ViewError) throw error;
      const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
      if (code === "ERR_BUFFER_TOO_LARGE") refuse("chunk-too-large", `decoding would make more than ${bound} bytes`);
      return refuse("chunk-decode", `this is no such stream: ${message}`);
    }
  };
}

/** One of zarrita's codecs, which are WebAssembly builds of the C libraries. @param {string} name @param {any} configuration */
async function zarritaCodec(name, configuration) {
  const codec = await /** @type {any} */ (registry.get(/** @type {any} */ (name)))();
  return codec.fromConfig(configuration, null);
}

/** @param {string} name @param {any} configuration @param {(bytes: Uint8Array, bound: number) => void} check @returns {Decompress} */
function checked(name, configuration, check) {
  return async (bytes, bound) => {
    check(bytes, bound);
    const codec = await zarritaCodec(name, configuration);
    let result;
    try {
      result = await codec.decode(bytes);
    } catch (error) {
      return refuse("chunk-decode", `${name} cannot decode the bytes: ${/** @type {Error} */ (error).message ?? error}`);
    }
    within(result.length, bound);
    return result;
  };
}

/** @param {Uint8Array} bytes */
const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** @param {Uint8Array} bytes @param {number} bound */
function checkBlosc(bytes, bound) {
  if (bytes.length < 16 || viewOf(bytes).getUint32(12, true) !== bytes.length) refuse("chunk-decode", "this is no Blosc chunk");
  within(viewOf(bytes).getUint32(4, true), bound);
}

/** @param {Uint8Array} bytes @param {number} bound */
function checkZstd(bytes, bound) {
  if (bytes.length < 6 || viewOf(bytes).getUint32(0, true) !== 0xfd2fb528) refuse("chunk-decode", "this is no Zstandard frame");
  let made = 0;
  try {
    const stream = new fzstd.Decompress((piece) => {
      made += piece.length;
      within(made, bound);
    });
    stream.push(bytes, true);
  } catch (error) {
    if (error instanceof ViewError) throw error;
    refuse("chunk-decode", `this is no Zstandard frame: ${/** @type {Error} */ (error).message}`);
  }
}

/** @param {Uint8Array} bytes @param {number} bound */
function checkLz4(bytes, bound) {
  if (bytes.length < 4) refuse("chunk-decode", "this is no LZ4 block");
  within(viewOf(bytes).getUint32(0, true), bound);
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, k) => {
  let value = k;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});

/** @param {Uint8Array} bytes @returns {number} */
export function crc32c(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC_TABLE[(value ^ byte) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

/** @param {Uint8Array} bytes @returns {Uint8Array} */
function checkCrc(bytes) {
  if (bytes.length < 4) refuse("chunk-length", "there are fewer bytes than a checksum has");
  const content = bytes.subarray(0, bytes.length - 4);
  if (viewOf(bytes).getUint32(content.length, true) !== crc32c(content)) refuse("chunk-checksum", "the crc32c does not match");
  return content;
}

/** Running sums of the integers in the bytes, of one little-endian type. @type {Maker} */
function delta(configuration, bad) {
  /** @param {any} name */
  const integer = (name) => {
    const found = /^[<|]([iu])([1248])$/.exec(name ?? "");
    if (found === null) bad("delta is understood of little-endian integers only");
    const [, kind, size] = /** @type {RegExpExecArray} */ (found);
    return dataType(`${kind === "u" ? "uint" : "int"}${Number(size) * 8}`);
  };
  const decoded = integer(configuration.dtype);
  const encoded = integer(configuration.astype ?? configuration.dtype);
  return {
    extra: 0,
    decode(bytes, bound) {
      const count = bytes.length / encoded.size;
      if (!Number.isInteger(count)) refuse("chunk-length", "the bytes are no whole number of differences");
      within(count * decoded.size, bound);
      const result = new Uint8Array(count * decoded.size);
      let sum = 0n;
      for (let k = 0; k < count; k += 1) {
        sum += getInteger(viewOf(bytes), k * encoded.size, encoded.size, encoded.kind === "int");
        setInteger(viewOf(result), k * decoded.size, decoded.size, sum);
      }
      return result;
    },
  };
}

/** @type {Maker} */
function shuffle(configuration, bad) {
  const given = configuration.elementsize ?? 4n;
  if (typeof given !== "bigint" || given < 0n || given >= 2n ** 31n) bad("elementsize is a number of bytes");
  const size = Math.max(Number(given), 1);
  return {
    extra: 0,
    decode(bytes) {
      const count = bytes.length / size;
      if (!Number.isInteger(count)) refuse("chunk-decode", "the bytes are no whole number of elements");
      const result = bytes.slice();
      for (let k = 0; k < count; k += 1) for (let b = 0; b < size; b += 1) result[k * size + b] = bytes[b * count + k];
      return result;
    },
  };
}

/** @type {Maker} */
const gzip = ({ level = 0n }, bad) => {
  if (typeof level !== "bigint") bad("level is an integer");
  return { decode: deflated(gunzipSync), extra: 0 };
};
/** @type {Maker} */
const zstd = ({ level = 0n }, bad) => {
  if (typeof level !== "bigint") bad("level is an integer");
  return { decode: checked("zstd", {}, checkZstd), extra: 0 };
};
/** @type {Maker} */
const blosc = () => ({
  decode: checked("blosc", { cname: "lz4", clevel: 5, shuffle: "shuffle", typesize: 4, blocksize: 0 }, checkBlosc),
  extra: 0,
});

/** @type {{[name: string]: Maker}} `extra`: how many bytes the codec adds to what it encodes, where that is fixed */
export const COMPRESSORS = {
  gzip,
  zstd,
  blosc,
  crc32c: () => ({ decode: checkCrc, extra: 4 }),
  "numcodecs.gzip": gzip,
  "numcodecs.zlib": () => ({ decode: deflated(inflateSync), extra: 0 }),
  "numcodecs.bz2": bz2,
  "numcodecs.lzma": xz,
  "numcodecs.zstd": zstd,
  "numcodecs.blosc": blosc,
  "numcodecs.lz4": () => ({ decode: checked("lz4", {}, checkLz4), extra: 0 }),
  "numcodecs.delta": delta,
  "numcodecs.shuffle": shuffle,
};
