// Run the conformance corpus through this reader: `node run_corpus.mjs [--json] [--corpus FOLDER] [--url URL]`.
// With a URL, under which the folders of the corpus are served, views are opened over HTTP.
// Good cases are read by the graph and, where there is one, by the manifest; all cells and all slabs of a few kinds.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inlineCells } from "./src/columns.js";
import { digestOf } from "./src/digest.js";
import { LIMITS, ViewError, open, openBytes } from "./src/index.js";
import { parseJson } from "./src/json.js";
import { dataType, oneCell } from "./src/types.js";

/** @param {string} name */
const argument = (name) => (process.argv.includes(name) ? process.argv[process.argv.indexOf(name) + 1] : null);
const URL_OF_CORPUS = argument("--url");
const CORPUS = argument("--corpus") ?? fileURLToPath(new URL("../../conformance", import.meta.url));

/** @param {string} path */
const load = (path) => /** @type {any} */ (parseJson(readFileSync(path), { ...LIMITS, json_values: 1e9 }));

/** @param {any} nested @param {number} rank @returns {any[]} */
const flat = (nested, rank) => (rank === 0 ? [nested] : rank === 1 ? nested : nested.flat(rank - 1));

/** @param {boolean} condition @param {string} what */
function agree(condition, what) {
  if (!condition) throw new Error(`another ${what}`);
}

/** @param {any} a @param {any} b */
const same = (a, b) => text(a) === text(b);
/** @param {any} value */
const text = (value) => JSON.stringify(value, (_, item) => (typeof item === "bigint" ? Number(item) : item?.text !== undefined ? Number(item.text) : item));

/** A cell that is given is not one of its type. @param {string} what @returns {never} */
function wrong(what) {
  throw new Error(what);
}

/** @param {any} view @param {any} expected */
async function compare(view, expected) {
  agree(same(view.shape, expected.shape), "shape");
  agree(same(view.dataType, expected.data_type), "data type");
  const { cells } = await view.readCells();
  agree(digestOf(cells, view.type) === expected.digest, `content: ${digestOf(cells, view.type)}`);
  const rank = expected.shape.length;
  const values = inlineCells(dataType(expected.data_type), flat(expected.values, rank), wrong);
  agree(digestOf(values, view.type) === expected.digest, "digest of the values that are given");
  await compareSlabs(view, cells);
}

/** Slabs have the cells that all of the view has there. @param {any} view @param {any} all */
async function compareSlabs(view, all) {
  const size = all instanceof Uint8Array ? view.type.size : 1;
  const rank = view.shape.length;
  for (let axis = 0; axis < rank; axis += 1) {
    const length = view.shape[axis];
    if (length < 2) continue;
    for (const [start, stop, step] of [[1, length, 2], [Math.floor(length / 2), Math.floor(length / 2) + 1, 1]]) {
      const asked = view.shape.map((/** @type {number} */ n, /** @type {number} */ k) => (k === axis ? [start, stop, step] : [0, n]));
      const { cells } = await view.readCells(asked);
      const inner = view.shape.slice(axis + 1).reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b, size);
      const outer = view.shape.slice(0, axis).reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b, 1);
      const wanted = [];
      for (let o = 0; o < outer; o += 1) {
        for (let k = start; k < stop; k += step) {
          const at = (o * length + k) * inner;
          for (let i = 0; i < inner; i += 1) wanted.push(all[at + i]);
        }
      }
      agree(cells.length === wanted.length && wanted.every((value, k) => value === cells[k]), `slab ${JSON.stringify(asked)}`);
    }
  }
}

/** An ordinary array of a group, read as zarrita reads it. @param {string} path @param {any} expected */
async function compareArray(path, expected) {
  const zarr = await import("zarrita");
  const { FileSystemStore } = await import("@zarrita/storage");
  const array = await zarr.open(zarr.root(new FileSystemStore(path)), { kind: "array" });
  const { data, shape } = await zarr.get(array);
  agree(same(shape, expected.shape), "shape");
  const { buffer, byteOffset, byteLength } = /** @type {any} */ (data);
  agree(digestOf(new Uint8Array(buffer, byteOffset, byteLength)) === expected.digest, "content of an array");
}

/** @param {string} name @param {string} [part] */
async function good(name, part = "good") {
  const folder = join(CORPUS, part, name);
  const expected = load(join(folder, "expected.json"));
  const path = join(folder, "view.zarr");
  const place = URL_OF_CORPUS === null ? folder : `${URL_OF_CORPUS}/${part}/${name}`;
  if (expected.members !== undefined) {
    for (const [member, wanted] of Object.entries(expected.members)) {
      const { node_type: kind } = load(join(path, member, "zarr.json"));
      if (kind === "array") await compareArray(join(path, member), wanted);
      else await compare(await open(`${place}/view.zarr/${member}`, { allow: [place] }), wanted);
    }
    return;
  }
  for (const by of /** @type {const} */ (["graph", "manifest"])) {
    const view = await open(`${place}/view.zarr`, { by });
    agree(same(view.dimensionNames, expected.dimension_names), "dimension names");
    agree(same(view.attributes, expected.attributes), "attributes");
    agree(same([...oneCell(view.type, expected.fill_value)], [...view.graph.last.schema.fill]), "fill value");
    await compare(view, expected);
  }
}

/** @param {() => Promise<any> | any} run @param {{reason: string, where?: string}} expected a place, where one is stated (G-027) */
async function refused(run, expected) {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof ViewError)) throw error;
    if (error.reason !== expected.reason) throw new Error(`${error.reason} instead of ${expected.reason}: ${error.message}`);
    if (expected.where !== undefined && error.where !== expected.where) throw new Error(`the place ${error.where} instead of ${expected.where}`);
    return;
  }
  throw new Error(`nothing is refused instead of ${expected.reason}`);
}

/** @param {string} name */
async function bad(name) {
  const source = readFileSync(join(CORPUS, "bad", name));
  const expected = load(join(CORPUS, "bad", name));
  const bytes = expected.document_base64 === undefined ? documentText(source) : Buffer.from(expected.document_base64, "base64");
  const limits = Object.fromEntries(Object.entries(expected.limits ?? {}).map(([limit, value]) => [limit, Number(value)]));
  const options = { allow: ["https://data.example/views/"], limits };
  agree(typeof expected.where === "string", "case: it states no place");
  await refused(() => openBytes(bytes, "https://data.example/views/v.zarr", options), expected);
}

/** The member `document` of a case, as JSON text. @param {Uint8Array} source */
function documentText(source) {
  const { document } = load_(source);
  return Buffer.from(write(document), "utf-8");
}

/** @param {Uint8Array} source */
const load_ = (source) => /** @type {any} */ (parseJson(source, { ...LIMITS, json_values: 1e9, json_depth: 1e9, integer_digits: 1e9 }));

/** @param {any} value @returns {string} */
function write(value) {
  if (typeof value === "bigint") return value.toString();
  if (value?.text !== undefined && typeof value.value === "number") return value.text;
  if (Array.isArray(value)) return `[${value.map(write).join(",")}]`;
  if (value !== null && typeof value === "object") {
    return `{${Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}:${write(item)}`).join(",")}}`;
  }
  return JSON.stringify(value);
}

/** @param {string} name */
async function unreadable(name) {
  const folder = join(CORPUS, "unreadable", name);
  const expected = load(join(folder, "expected.json"));
  const view = await open(URL_OF_CORPUS === null ? join(folder, "view.zarr") : `${URL_OF_CORPUS}/unreadable/${name}/view.zarr`);
  await refused(() => view.readCells(), { reason: expected.reason });
  if (expected.readable === undefined) return;
  const readable = expected.readable.map((/** @type {bigint[]} */ part) => part.map(Number));
  const { cells } = await view.readCells(readable);
  const wanted = inlineCells(view.type, flat(expected.values, readable.length), wrong);
  agree(digestOf(cells, view.type) === digestOf(wanted, view.type), "content of the readable part");
}

/** @param {string} part @param {(name: string) => Promise<void>} run */
async function runPart(part, run) {
  const result = { agree: 0, cases: 0, differ: /** @type {Record<string, string>} */ ({}) };
  for (const name of readdirSync(join(CORPUS, part)).sort()) {
    result.cases += 1;
    try {
      await run(name);
      result.agree += 1;
    } catch (error) {
      result.differ[name] = process.env.TRACE ? String(/** @type {Error} */ (error).stack) : String(/** @type {Error} */ (error).message);
    }
  }
  return result;
}

const results = {
  good: await runPart("good", good),
  saved: await runPart("saved", (name) => good(name, "saved")),
  bad: await runPart("bad", bad),
  unreadable: await runPart("unreadable", unreadable),
};
if (process.argv.includes("--json")) console.log(JSON.stringify(results));
else {
  for (const [part, result] of Object.entries(results)) {
    console.log(`${part}: ${result.agree} of ${result.cases} agree`);
    for (const [name, why] of Object.entries(result.differ)) console.log(`  ${name}: ${why}`);
  }
}
process.exitCode = Object.values(results).every((result) => result.agree === result.cases) ? 0 : 1;
