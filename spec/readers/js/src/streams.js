// The codecs bz2 and lzma of numcodecs, whose streams do not say how much they make: output is counted while it is made.

import lzmaNative from "lzma-native";
// @ts-expect-error -- the package has no types
import bunzip from "seek-bzip";
import { ViewError, refuse } from "./errors.js";

/** @typedef {import("./compressors.js").Decompress} Decompress */
/** @typedef {import("./compressors.js").Maker} Maker */

/** Its types are those of an older version. @type {any} */
const lzma = lzmaNative;
const MEMORY = 80 * 2 ** 20; // the dictionary of the largest preset, 64 MiB, and what is around it

/** @param {number} bound @returns {never} */
const tooLarge = (bound) => refuse("chunk-too-large", `decoding would make more than ${bound} bytes`);

/** One or several bzip2 streams, end to end. @type {Decompress} */
function decodeBzip2(bytes, bound) {
  const result = new Uint8Array(bound);
  let made = 0;
  let at = 0;
  const output = {
    /** @param {number} byte */
    writeByte(byte) {
      if (made === bound) tooLarge(bound);
      result[made] = byte;
      made += 1;
    },
  };
  const input = {
    readByte() {
      if (at === bytes.length) refuse("chunk-decode", "a bzip2 stream ends early");
      at += 1;
      return bytes[at - 1];
    },
    /** @param {Uint8Array} into @param {number} first @param {number} count */
    read(into, first, count) {
      const part = bytes.subarray(at, at + count);
      into.set(part, first);
      at += part.length;
      return part.length;
    },
    eof: () => at === bytes.length,
  };
  if (bytes.length === 0) refuse("chunk-decode", "there is no bzip2 stream");
  try {
    bunzip.decode(input, output, true);
  } catch (error) {
    if (error instanceof ViewError) throw error;
    refuse("chunk-decode", `this is no bzip2 stream: ${/** @type {Error} */ (error).message}`);
  }
  return result.subarray(0, made);
}

/** @type {Maker} */
export const bz2 = () => ({ decode: decodeBzip2, extra: 0 });

/** Numbers of filters in a configuration, which are those of liblzma. @type {{[number: string]: string}} */
const FILTERS = {
  3: lzma.FILTER_DELTA,
  4: lzma.FILTER_X86,
  5: lzma.FILTER_POWERPC,
  6: lzma.FILTER_IA64,
  7: lzma.FILTER_ARM,
  8: lzma.FILTER_ARMTHUMB,
  9: lzma.FILTER_SPARC,
  33: lzma.FILTER_LZMA2,
};
FILTERS[String(0x4000000000000001n)] = lzma.FILTER_LZMA1;
const OPTIONS = { preset: "preset", dict_size: "dictSize", lc: "lc", lp: "lp", pb: "pb", dist: "dist" };

/** Filters of a stream that does not name them. @param {any} filters @param {(what: string) => never} bad */
function filtersOf(filters, bad) {
  if (!Array.isArray(filters) || filters.length === 0) bad("a raw lzma stream has filters");
  return filters.map((filter) => {
    const id = FILTERS[String(filter?.id)];
    if (id === undefined) bad(`${filter?.id} is no filter of lzma`);
    /** @type {{[name: string]: number}} */
    const options = {};
    for (const [name, given] of Object.entries(OPTIONS)) {
      const value = filter[name] ?? null;
      if (value === null) continue;
      if (typeof value !== "bigint" || value < 0n || value > 2n ** 32n) bad(`${name} of a filter of lzma is an integer`);
      options[given] = Number(value);
    }
    if ((options.dictSize ?? 0) > MEMORY) bad("the dictionary of an lzma filter is too large");
    return { id, options };
  });
}

/** @param {any} configuration @param {(what: string) => never} bad @returns {() => any} */
function decoderOf(configuration, bad) {
  const form = configuration.format ?? 1n;
  if (form === 3n) {
    const filters = filtersOf(configuration.filters, bad);
    return () => lzma.createStream("rawDecoder", { filters });
  }
  const coder = ["autoDecoder", "streamDecoder", "aloneDecoder"][Number(form)];
  if (coder === undefined) bad("the format of lzma is 0, 1, 2 or 3");
  return () => lzma.createStream(coder, { memlimit: MEMORY, flags: lzma.CONCATENATED });
}

/**
 * One stream, from the first byte on, and how many bytes it has; all streams where the decoder goes on by itself.
 * @param {any} decoder @param {boolean} whole @param {Uint8Array} bytes @param {number} bound
 * @returns {Promise<{made: Uint8Array, read: number}>}
 */
function oneStream(decoder, whole, bytes, bound) {
  return new Promise((resolve, reject) => {
    /** @type {Uint8Array[]} */
    const parts = [];
    let made = 0;
    decoder.on("data", (/** @type {Uint8Array} */ part) => {
      made += part.length;
      if (made > bound) decoder.destroy(new RangeError("too large"));
      else parts.push(part);
    });
    decoder.on("end", () => resolve({ made: Buffer.concat(parts), read: whole ? bytes.length : decoder.totalIn() }));
    decoder.on("error", reject);
    decoder.end(bytes);
  });
}

/** One or several streams, end to end, and zeros behind them. @type {Maker} */
export const xz = (configuration, bad) => {
  const start = decoderOf(configuration, bad);
  const whole = (configuration.format ?? 1n) <= 1n;
  return {
    extra: 0,
    async decode(bytes, bound) {
      const parts = [];
      let room = bound;
      let rest = bytes;
      try {
        do {
          const { made, read } = await oneStream(start(), whole, rest, room);
          parts.push(made);
          room -= made.length;
          rest = rest.subarray(read);
        } while (rest.some((byte) => byte !== 0));
      } catch (error) {
        if (error instanceof RangeError) return tooLarge(bound);
        return refuse("chunk-decode", `this is no such lzma stream: ${/** @type {Error} */ (error).message}`);
      }
      return Buffer.concat(parts);
    },
  };
};
