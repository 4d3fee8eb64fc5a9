// The chunks of stored arrays: where they are, their bytes, and their cells. Each is read and decoded once for a read (M-012).

import { refuse } from "./errors.js";
import { checkStamp, getObject } from "./storage.js";
import { below } from "./urls.js";

/** @typedef {import("./graph.js").Stored} Stored */
/** @typedef {import("./graph.js").Layout} Layout */
/** @typedef {import("./types.js").Cells} Cells */
/** @typedef {{bytes: Uint8Array | null, layout: Layout, variant?: boolean}} Found bytes of a chunk, null where it is absent, and what decodes them */

export class Chunks {
  /** @param {import("./context.js").Context} context */
  constructor(context) {
    this.context = context;
    /** @type {Map<Stored, Map<string, Promise<Cells | null>>>} */
    this.decoded = new Map();
    /** @type {Map<string, Promise<void>>} */
    this.metadata = new Map();
    /** @type {Map<Layout, number>} a number for each layout that takes the place of another */
    this.layouts = new Map();
  }

  /**
   * Cells of a chunk, or null where it is absent.
   * @param {Stored & {location?: string, base?: string}} stored @param {number[]} position @param {bigint} number in C order @param {Layout | null} instead
   * @returns {Promise<Cells | null>}
   */
  cells(stored, position, number, instead) {
    const ofArray = this.decoded.get(stored) ?? new Map();
    this.decoded.set(stored, ofArray);
    const key = `${number} ${instead === null ? -1 : this.layoutNumber(instead)}`;
    let loading = ofArray.get(key);
    if (loading === undefined) {
      loading = this.load(stored, position, number, instead);
      ofArray.set(key, loading);
    }
    return loading;
  }

  /** @param {Layout} layout */
  layoutNumber(layout) {
    if (!this.layouts.has(layout)) this.layouts.set(layout, this.layouts.size);
    return this.layouts.get(layout);
  }

  /** @param {Stored & {location?: string, base?: string}} stored @param {number[]} position @param {bigint} number @param {Layout | null} instead */
  async load(stored, position, number, instead) {
    if (stored.url === null && stored.location !== undefined) {
      stored.url = this.context.resolve(stored.location, /** @type {string} */ (stored.base), "a table of tiles");
      this.context.allow(stored.url);
    }
    const { bytes, layout, variant = false } = await (stored.refs === null ? this.keyed(stored, position) : this.referenced(stored, number));
    if (instead !== null && variant) refuse("graph-type", "one chain cannot stand for the several of an array's chunks");
    return bytes === null ? null : (instead ?? layout).chain.decode(bytes);
  }

  /** @param {Stored} stored @param {number[]} position @returns {Promise<Found>} */
  async keyed({ url, layout, stamp }, position) {
    const bytes = await this.underKeys(/** @type {string} */ (url), layout, stamp, position);
    return { bytes, layout };
  }

  /** @param {string} url @param {Layout} layout @param {any} stamp @param {number[]} position */
  async underKeys(url, layout, stamp, position) {
    if (stamp !== null && Object.values(stamp).some((value) => value !== null)) await this.checkMetadata(url, layout, stamp);
    return this.context.get(below(url, layout.chunkKey(position)));
  }

  /** The stamp of an array under chunk keys is that of its metadata document. @param {string} url @param {Layout} layout @param {any} stamp */
  checkMetadata(url, layout, stamp) {
    const key = below(url, layout.metadata);
    const known = this.metadata.get(key);
    if (known !== undefined) return known;
    const checking = (async () => {
      this.context.allow(key);
      const answer = await getObject(key, null, this.context.roots);
      if (answer === null) return refuse("source-missing", `${key} is not there`);
      checkStamp(answer, stamp, key);
    })();
    this.metadata.set(key, checking);
    return checking;
  }

  /** @param {Stored} stored @param {bigint} number @returns {Promise<Found>} */
  async referenced(stored, number) {
    const refs = /** @type {import("./tables.js").Table} */ (stored.refs);
    const row = Number(stored.refsFirst + number);
    if (row >= refs.length) refuse("table-invalid", "there are fewer references than chunks");
    const state = await refs.number("state", row, 1n);
    const chosen = await refs.number("layout", row, 0n);
    if (chosen < 0n || chosen > BigInt(stored.variants.length)) refuse("table-invalid", "a reference has a layout that is not there");
    const variant = chosen !== 0n;
    const layout = variant ? stored.variants[Number(chosen) - 1] : stored.layout;
    if (state === 0n) return { bytes: null, layout, variant };
    if (state > 3n) refuse("table-invalid", `${state} is no state`);
    const length = await refs.number("length", row, 0n);
    const offset = refs.has("gap") ? await offsetFromGaps(refs, row) : await refs.number("offset", row, 0n);
    if (state === 3n) {
      if (stored.inline === null) return refuse("table-invalid", "a reference is inline, and the array has no table for it");
      if (offset + length > BigInt(stored.inline.length)) refuse("chunk-length", "a reference leads out of the inline bytes");
      const bytes = await stored.inline.columns.bytes.rows(Number(offset), Number(offset + length));
      return { bytes: /** @type {Uint8Array} */ (bytes), layout, variant };
    }
    if (stored.origins !== null) return { ...(await this.fromOrigin(stored, row, state, offset, length, layout)), variant };
    const place = await refs.number("place", row, 0n);
    if (place < 0n || place > BigInt(stored.places.length)) refuse("table-invalid", "a reference has a place that is not there");
    const { url, stamp } = place === 0n ? stored : stored.places[Number(place) - 1];
    return { bytes: await this.object(/** @type {string} */ (url), state, offset, length, stamp), layout, variant };
  }

  /** @param {string} url @param {bigint} state @param {bigint} offset @param {bigint} length @param {any} stamp */
  async object(url, state, offset, length, stamp) {
    if (state === 1n) return this.context.range(url, offset, length, stamp);
    return (await this.context.get(url, stamp)) ?? refuse("source-missing", `${url} is not there`);
  }

  /**
   * @param {Stored} stored @param {number} row @param {bigint} state @param {bigint} offset @param {bigint} length @param {Layout} layout
   * @returns {Promise<Found>}
   */
  async fromOrigin(stored, row, state, offset, length, layout) {
    const refs = /** @type {import("./tables.js").Table} */ (stored.refs);
    const origins = /** @type {import("./tables.js").Table} */ (stored.origins);
    const origin = Number(await refs.number("origin", row, -1n));
    if (origin < 0 || origin >= origins.length) refuse("table-invalid", "a reference has an origin that is not there");
    const url = this.context.resolve(await origins.text("url", origin), origins.base, "a table of origins");
    this.context.allow(url);
    const stamp = await origins.stamp(origin);
    const chosen = await origins.number("layout", origin, -1n);
    if (chosen === -1n) return { bytes: await this.object(url, state, offset, length, stamp), layout };
    if (chosen < -1n || chosen > BigInt(stored.variants.length)) refuse("table-invalid", "an origin has a layout that is not there");
    const keyed = chosen === 0n ? stored.layout : stored.variants[Number(chosen) - 1];
    const grid = (await origins.columns.grid.integers(origin, origin + 1)).filter((count) => count > 0n);
    const number = await refs.number("number", row, 0n);
    if (number < 0n || number >= grid.reduce((count, one) => count * one, 1n)) {
      refuse("table-invalid", "a reference has a chunk outside of the grid");
    }
    const position = [];
    let rest = number;
    for (const count of grid.toReversed()) {
      position.unshift(Number(rest % count));
      rest /= count;
    }
    return { bytes: await this.underKeys(url, keyed, stamp, position), layout };
  }
}

/** Rule G-045. @param {import("./tables.js").Table} refs @param {number} row @returns {Promise<bigint>} */
async function offsetFromGaps(refs, row) {
  const first = row - (row % refs.columns.gap.stored.chunkShape[0]);
  const gaps = await refs.columns.gap.integers(first, row + 1);
  const lengths = await refs.columns.length.integers(first, row + 1);
  const group = refs.has("origin") ? "origin" : refs.has("place") ? "place" : null;
  const groups = group === null ? gaps.map(() => 0n) : await refs.columns[group].integers(first, row + 1);
  let end = 0n;
  let offset = 0n;
  for (const [k, gap] of gaps.entries()) {
    if (groups[k] !== groups[gaps.length - 1]) continue;
    offset = BigInt.asUintN(64, end + gap);
    end = BigInt.asUintN(64, offset + lengths[k]);
  }
  return offset;
}
