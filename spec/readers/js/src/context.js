// What a document is opened with: where it lies, what it may reach, and under which limits.

import { refuse } from "./errors.js";
import { checkStamp, getObject } from "./storage.js";
import { allowBelow, resolve } from "./urls.js";

export class Context {
  /**
   * @param {string} base URL of the `zarr.json`
   * @param {string[]} roots URLs below which the document may reach
   * @param {import("./limits.js").Limits} limits
   */
  constructor(base, roots, limits) {
    this.base = base;
    this.roots = roots;
    this.limits = limits;
    this.allows = allowBelow(roots);
    this.get = this.get.bind(this);
    this.resolve = this.resolve.bind(this);
  }

  /** @param {string} location @param {string} base @param {string} where @returns {string} */
  resolve(location, base, where) {
    if (location.length > this.limits.url_characters) refuse("limit-exceeded", "a location is too long", where);
    return resolve(location, base, where);
  }

  /** @param {string} url @param {string | null} [where] */
  allow(url, where = null) {
    if (!this.allows(url)) refuse("access-denied", `${url} is outside of what the policy allows`, where);
  }

  /**
   * A whole object, or null where the storage says that it is not there.
   * @param {string} url @param {any} [stamp] @returns {Promise<Uint8Array | null>}
   */
  async get(url, stamp = null) {
    this.allow(url);
    const answer = await getObject(url, null, this.roots);
    if (answer === null) return null;
    checkStamp(answer, stamp, url);
    return answer.bytes;
  }

  /**
   * A byte range of an object that has to be there.
   * @param {string} url @param {bigint} offset @param {bigint} length @param {any} stamp @returns {Promise<Uint8Array>}
   */
  async range(url, offset, length, stamp) {
    this.allow(url);
    if (length > BigInt(this.limits.chunk_bytes)) refuse("limit-exceeded", "a byte range is too long");
    const answer = await getObject(url, { offset, length }, this.roots);
    if (answer === null) return refuse("source-missing", `${url} is not there`);
    // A range that the object does not have is the more precise thing to say than that its size has changed.
    if (BigInt(answer.bytes.length) < length) refuse("chunk-length", `${url} ends inside of the range`);
    checkStamp(answer, stamp, url);
    return answer.bytes.subarray(0, Number(length));
  }
}
