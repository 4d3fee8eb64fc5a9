// JSON text as rules G-010 to G-012 want it: integers exact (BigInt), names once, limits while it is read.

import { createHash } from "node:crypto";
import { refuse } from "./errors.js";

/** A number with a fraction or an exponent; its text is kept, since digests are of what is written. */
export class Real {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.value = Number(text);
  }
}

/**
 * @typedef {null | boolean | string | bigint | Real | any[] | {[name: string]: any}} Json
 */

const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const SPACE = /[ \t\n\r]*/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const ESCAPES = { '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

class Parser {
  /** @param {string} text @param {import("./limits.js").Limits} limits */
  constructor(text, limits) {
    this.text = text;
    this.limits = limits;
    this.at = 0;
    this.values = 0;
  }

  /** @param {string} what @returns {never} */
  bad(what) {
    return refuse("document-syntax", `${what} at character ${this.at}`, "$");
  }

  space() {
    SPACE.lastIndex = this.at;
    SPACE.test(this.text);
    this.at = SPACE.lastIndex;
  }

  /** @param {number} depth @returns {Json} */
  value(depth) {
    if (depth > this.limits.json_depth) refuse("limit-exceeded", "the text is nested too deeply", "$");
    this.values += 1;
    if (this.values > this.limits.json_values) refuse("limit-exceeded", "the text has too many values", "$");
    this.space();
    const first = this.text[this.at];
    if (first === "{") return this.object(depth);
    if (first === "[") return this.list(depth);
    if (first === '"') return this.string();
    for (const [word, meaning] of /** @type {[string, Json][]} */ ([["true", true], ["false", false], ["null", null]])) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return meaning;
      }
    }
    return this.number();
  }

  /** @returns {Json} */
  number() {
    NUMBER.lastIndex = this.at;
    const found = NUMBER.exec(this.text);
    if (found === null) return this.bad("this is not JSON");
    this.at = NUMBER.lastIndex;
    const [token, fraction, exponent] = found;
    if (fraction === undefined && exponent === undefined) {
      const digits = token.startsWith("-") ? token.length - 1 : token.length;
      if (digits > this.limits.integer_digits) refuse("limit-exceeded", "an integer has too many digits", "$");
      return BigInt(token);
    }
    const real = new Real(token);
    return Number.isFinite(real.value) ? real : this.bad("a number is beyond the range of binary64");
  }

  /** @returns {string} */
  string() {
    this.at += 1;
    let result = "";
    for (;;) {
      PLAIN.lastIndex = this.at;
      PLAIN.test(this.text);
      result += this.text.slice(this.at, PLAIN.lastIndex);
      this.at = PLAIN.lastIndex;
      const next = this.text[this.at];
      if (next === '"') {
        this.at += 1;
        return result.isWellFormed() ? result : this.bad("a string has half of a surrogate pair");
      }
      if (next !== "\\") return this.bad("a string has a control character, or no end");
      const escape = this.text[this.at + 1];
      if (escape === "u") {
        const digits = this.text.slice(this.at + 2, this.at + 6);
        if (!/^[0-9a-fA-F]{4}$/.test(digits)) return this.bad("a string has an escape that is none");
        result += String.fromCharCode(parseInt(digits, 16));
        this.at += 6;
      } else {
        if (!Object.hasOwn(ESCAPES, escape ?? "")) return this.bad("a string has an escape that is none");
        result += ESCAPES[/** @type {"b"} */ (escape)];
        this.at += 2;
      }
    }
  }

  /** @param {number} depth @returns {Json[]} */
  list(depth) {
    this.at += 1;
    /** @type {Json[]} */
    const result = [];
    this.space();
    if (this.text[this.at] === "]") {
      this.at += 1;
      return result;
    }
    for (;;) {
      result.push(this.value(depth + 1));
      if (!this.more("]")) return result;
    }
  }

  /** @param {number} depth @returns {{[name: string]: Json}} */
  object(depth) {
    this.at += 1;
    const result = Object.create(null);
    this.space();
    if (this.text[this.at] === "}") {
      this.at += 1;
      return result;
    }
    for (;;) {
      this.space();
      if (this.text[this.at] !== '"') return this.bad("a name is missing");
      const name = this.string();
      if (name in result) return this.bad(`the name ${JSON.stringify(name)} is there twice`);
      this.space();
      if (this.text[this.at] !== ":") return this.bad("a colon is missing");
      this.at += 1;
      result[name] = this.value(depth + 1);
      if (!this.more("}")) return result;
    }
  }

  /** @param {string} end */
  more(end) {
    this.space();
    const next = this.text[this.at];
    if (next !== "," && next !== end) return this.bad(`"," or "${end}" is missing`);
    this.at += 1;
    return next === ",";
  }
}

/**
 * @param {Uint8Array} bytes
 * @param {import("./limits.js").Limits} limits
 * @returns {Json}
 */
export function parseJson(bytes, limits) {
  if (bytes.length > limits.document_bytes) refuse("limit-exceeded", "the text is too long", "$");
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return refuse("document-syntax", "the text is not UTF-8", "$");
  }
  const parser = new Parser(text, limits);
  const result = parser.value(1);
  parser.space();
  if (parser.at !== text.length) parser.bad("there is text behind the end");
  return result;
}

/** @param {Json} value @returns {string} the text of rule M-041 */
export function canonicalText(value) {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Real) return value.text;
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const names = Object.keys(value).sort(byCodePoints);
    return `{${names.map((name) => `${JSON.stringify(name)}:${canonicalText(value[name])}`).join(",")}}`;
  }
  return JSON.stringify(value);
}

/** @param {string} a @param {string} b */
function byCodePoints(a, b) {
  return Buffer.compare(Buffer.from(a, "utf-8"), Buffer.from(b, "utf-8"));
}

/** @param {Uint8Array | string} content @returns {string} */
export function sha256(content) {
  return `sha256:${createHash("sha256").update(content).digest("hex")}`;
}

/** What users get: ordinary numbers, and BigInt only where a number would not be exact. @param {Json} value @returns {any} */
export function plain(value) {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (value instanceof Real) return value.value;
  if (Array.isArray(value)) return value.map(plain);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item)]));
  }
  return value;
}
