// Objects over HTTP and in directories. Missing is `null`, and said by the storage; everything else is an error (G-035).

import { open as openFile, realpath } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { refuse } from "./errors.js";
import { sha256 } from "./json.js";

/**
 * @typedef {object} Answer
 * @property {Uint8Array} bytes
 * @property {bigint | null} size of the whole object
 * @property {bigint | null} mtime_ns
 * @property {bigint | null} inode
 * @property {string | null} etag
 * @property {boolean} whole
 */
/** @typedef {{offset: bigint, length: bigint} | null} Range */

const MOST_BYTES = 2 ** 31;

/**
 * @param {string} url
 * @param {Range} range
 * @param {string[]} roots URLs below which local files may lie, after links are resolved
 * @returns {Promise<Answer | null>}
 */
export function getObject(url, range, roots) {
  if (url.startsWith("file:")) return getFile(url, range, roots);
  if (url.startsWith("http:") || url.startsWith("https:")) return getHttp(url, range);
  return refuse("source-unsupported", `this reader has no storage for ${url}`);
}

/** @param {string} url @param {Range} range @param {string[]} roots @returns {Promise<Answer | null>} */
async function getFile(url, range, roots) {
  let file;
  try {
    const path = await realpath(fileURLToPath(url));
    const folders = await Promise.all(roots.filter((root) => root.startsWith("file:")).map((root) => realpath(fileURLToPath(root))));
    if (!folders.some((folder) => path === folder || path.startsWith(`${folder.replace(/\/$/, "")}/`))) {
      refuse("access-denied", `${url} leads out of what the policy allows`);
    }
    file = await openFile(path, "r");
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    if (code === "EACCES" || code === "EPERM") refuse("source-denied", `${url} may not be read`);
    throw error;
  }
  try {
    const stat = await file.stat({ bigint: true });
    if (!stat.isFile()) {
      if (stat.isDirectory()) return null;
      refuse("source-denied", `${url} is no regular file`);
    }
    const offset = range === null ? 0n : range.offset;
    const rest = stat.size > offset ? stat.size - offset : 0n;
    const length = range === null || rest < range.length ? rest : range.length;
    const bytes = new Uint8Array(Number(length));
    let done = 0;
    while (done < bytes.length) {
      const { bytesRead } = await file.read(bytes, done, bytes.length - done, Number(offset) + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    const { size, mtimeNs, ino } = stat;
    return { bytes: bytes.subarray(0, done), size, mtime_ns: mtimeNs, inode: ino, etag: null, whole: range === null };
  } finally {
    await file.close();
  }
}

/** @param {string} url @param {Range} range @returns {Promise<Answer | null>} */
async function getHttp(url, range) {
  if (range !== null && range.length === 0n) range = { offset: range.offset, length: 1n }; // no range has no bytes
  /** @type {Record<string, string>} */
  const headers = { "accept-encoding": "identity" };
  if (range !== null) headers.range = `bytes=${range.offset}-${range.offset + range.length - 1n}`;
  const response = await fetch(url, { headers, redirect: "manual" }).catch((error) =>
    refuse("source-unavailable", `${url} gave no answer: ${error.message}`));
  const { status } = response;
  const stamp = { mtime_ns: null, inode: null, etag: response.headers.get("etag") };
  if (status !== 200 && status !== 206) {
    await response.body?.cancel();
    if (status === 404 || status === 410) return null;
    if (status === 416) return { ...stamp, bytes: new Uint8Array(0), size: null, whole: false };
    if (status === 401 || status === 403) refuse("source-denied", `${url} may not be read`);
    if (status >= 300 && status < 400) refuse("access-denied", `${url} leads elsewhere`);
    return refuse("source-unavailable", `${url} answered ${status}`);
  }
  const encoding = response.headers.get("content-encoding");
  if (encoding !== null && encoding !== "identity") refuse("source-protocol", `${url} answered in the encoding ${encoding}`);
  if (status === 200) {
    const declared = response.headers.get("content-length");
    if (range === null) {
      const bytes = await body(response, url, MOST_BYTES);
      return { ...stamp, bytes, size: BigInt(bytes.length), whole: true };
    }
    const bytes = await body(response, url, Math.min(Number(range.offset + range.length), MOST_BYTES), false);
    return { ...stamp, bytes: bytes.slice(Number(range.offset)), size: declared === null ? null : BigInt(declared), whole: false };
  }
  const found = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(response.headers.get("content-range") ?? "");
  if (range === null || found === null || BigInt(found[1]) !== range.offset || BigInt(found[2]) >= range.offset + range.length) {
    return refuse("source-protocol", `${url} answered with another range`);
  }
  const bytes = await body(response, url, Number(range.length));
  if (BigInt(bytes.length) !== BigInt(found[2]) - BigInt(found[1]) + 1n) refuse("source-protocol", `${url} sent another number of bytes than it said`);
  return { ...stamp, bytes, size: found[3] === "*" ? null : BigInt(found[3]), whole: false };
}

/**
 * The body of a response, of which no more than `most` bytes are taken.
 * @param {Response} response @param {string} url @param {number} most @param {boolean} [refuseMore] or leave the rest
 */
async function body(response, url, most, refuseMore = true) {
  const pieces = [];
  let length = 0;
  try {
    for await (const piece of /** @type {any} */ (response.body ?? [])) {
      pieces.push(piece);
      length += piece.length;
      if (length > most) break;
    }
  } catch (error) {
    refuse("source-unavailable", `${url} ended early: ${/** @type {Error} */ (error).message}`);
  }
  if (length > most && refuseMore) refuse("source-protocol", `${url} sent more than ${most} bytes`);
  return new Uint8Array(Buffer.concat(pieces).subarray(0, most));
}

/**
 * Refuse an object that is not the one that was referenced (G-036).
 * @param {Answer} answer
 * @param {any} stamp members that are missing or null say nothing
 * @param {string} url
 */
export function checkStamp(answer, stamp, url) {
  if (stamp == null) return;
  for (const name of /** @type {const} */ (["size", "mtime_ns", "inode", "etag"])) {
    if (stamp[name] != null && answer[name] !== null && stamp[name] !== answer[name]) {
      refuse("source-changed", `${url} is another object than was referenced: ${name} is ${answer[name]}, not ${stamp[name]}`);
    }
  }
  if (stamp.digest != null && answer.whole && stamp.digest !== sha256(answer.bytes)) {
    refuse("source-changed", `${url} has other content than was referenced`);
  }
}
