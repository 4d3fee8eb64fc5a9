// The form of a document: the members of the JSON Schema, the version, and what it requires (G-001 to G-026).

import { readFileSync } from "node:fs";
import { member, refuse } from "./errors.js";
import { canonicalText, sha256 } from "./json.js";
import { rowColumns } from "./rowvalues.js";

const SCHEMA = JSON.parse(readFileSync(new URL("../../../schema/lazyzarr-1.schema.json", import.meta.url), "utf-8"));
const BASIC_NODES = ["source", "fill", "index", "transpose", "concat", "stack"];
const FEATURES = ["tiles", "boxes", "take", "broadcast", "overlay", "recode", "decode", "origins", "gaps", "records", "row-values", "manifest", "lazyzarr.unpack"];
const ROOT = "$.attributes.lazyzarr";

/** @typedef {import("./json.js").Json} Json */

/** @param {Json} value @returns {value is {[name: string]: Json}} */
const isObject = (value) => value !== null && typeof value === "object" && Object.getPrototypeOf(value) === null;

/**
 * The document of a group, of the right form; its meaning is not looked at.
 * @param {Json} group content of a `zarr.json`
 * @returns {{document: any, attributes: any}}
 */
export function documentOf(group) {
  if (!isObject(group)) return refuse("document-member", "the text is no object", "$");
  if (!("node_type" in group) || !("zarr_format" in group)) {
    refuse("document-member", "node_type or zarr_format is missing", "$");
  }
  if (group.zarr_format !== 3n || group.node_type !== "group") refuse("document-missing", "this is no group of Zarr v3", "$");
  for (const [name, further] of Object.entries(group)) {
    if (["zarr_format", "node_type", "attributes", "consolidated_metadata"].includes(name)) continue;
    if (!(isObject(further) && further.must_understand === false)) {
      refuse("document-requires", `the group has the member ${name}, which this reader does not know`, "$");
    }
  }
  const attributes = group.attributes ?? Object.create(null);
  if (!isObject(attributes)) return refuse("document-member", "the attributes are no object", "$.attributes");
  if (!("lazyzarr" in attributes)) return refuse("document-missing", "the group has no attribute lazyzarr", "$.attributes");
  const document = attributes.lazyzarr;
  if (!isObject(document)) return refuse("document-member", "the document is no object", ROOT);
  if (!("version" in document)) refuse("document-member", "version is missing", ROOT);
  if (typeof document.version !== "bigint") refuse("document-member", "version is an integer", `${ROOT}.version`);
  if (document.version !== 1n) refuse("document-version", `version ${document.version} is not known`, `${ROOT}.version`);
  if (Array.isArray(document.requires)) {
    for (const name of document.requires) {
      if (typeof name === "string" && !FEATURES.includes(name)) {
        refuse("document-requires", `${JSON.stringify(name)} is a feature that this reader does not have`, `${ROOT}.requires`);
      }
    }
  }
  check(document, SCHEMA.$defs.Document, ROOT);
  checkExtensions(document);
  checkRequires(document);
  checkDigest(document);
  const { zarr_conventions: _, lazyzarr: __, ...rest } = attributes;
  return { document, attributes: rest };
}

/** @param {any} value */
function kindOf(value) {
  if (value === null) return "null";
  if (typeof value === "bigint") return "integer";
  if (Array.isArray(value)) return "array";
  if (isObject(value)) return "object";
  return typeof value === "object" ? "number" : typeof value;
}

/**
 * Check a value by the part of JSON Schema that the schema of documents uses, and write the defaults into it.
 * @param {any} value @param {any} schema @param {string} where
 */
function check(value, schema, where) {
  if (schema.$ref !== undefined) return check(value, SCHEMA.$defs[schema.$ref.slice("#/$defs/".length)], where);
  /** @type {(what: string, at?: string) => never} */
  const bad = (what, at = where) => refuse("document-member", what, at);
  if (schema.discriminator !== undefined) {
    if (!isObject(value) || !("op" in value)) bad("a node is an object with op");
    if (typeof value.op !== "string") bad("the kind of a node is a text", `${where}.op`);
    const chosen = schema.discriminator.mapping[value.op];
    if (chosen === undefined) refuse("graph-node", `${JSON.stringify(value.op)} is a kind of node that is not known`, `${where}.op`);
    return check(value, { $ref: chosen }, where);
  }
  if (schema.anyOf !== undefined) {
    const fitting = schema.anyOf.find((/** @type {any} */ one) => typeOf(one) === kindOf(value));
    if (fitting === undefined) bad(`a value is of a type that the member does not have`);
    return check(value, fitting, where);
  }
  if (schema.type !== undefined && schema.type !== kindOf(value)) bad(`a value has to be of type ${schema.type}`);
  if (schema.enum !== undefined && !schema.enum.includes(value)) bad(`a value is none of ${schema.enum.join(", ")}`);
  if (schema.pattern !== undefined && !new RegExp(schema.pattern).test(value)) bad("a name is not of the right form");
  if (schema.minimum !== undefined && value < BigInt(schema.minimum)) bad("a number is negative");
  if (Array.isArray(value)) {
    if (schema.minItems !== undefined && (value.length < schema.minItems || value.length > schema.maxItems)) bad("a list has another length");
    value.forEach((item, k) => {
      const items = schema.prefixItems?.[k] ?? schema.items;
      if (items !== undefined) check(item, items, `${where}[${k}]`);
    });
  } else if (isObject(value) && schema.properties !== undefined) {
    for (const name of Object.keys(value)) {
      if (schema.properties[name] === undefined && schema.additionalProperties === false) bad(`${name} is no member`);
    }
    for (const name of schema.required ?? []) if (!(name in value)) bad(`${name} is missing`);
    for (const [name, property] of Object.entries(schema.properties)) {
      if (name in value) check(value[name], property, where + member(name));
    }
  } else if (isObject(value) && schema.additionalProperties !== undefined) {
    for (const [name, item] of Object.entries(value)) {
      if (!new RegExp(schema.propertyNames.pattern).test(name)) bad("a name is not of the right form");
      check(item, schema.additionalProperties, where + member(name));
    }
  }
}

/** @param {any} schema @returns {string} */
function typeOf(schema) {
  return schema.$ref === undefined ? schema.type : typeOf(SCHEMA.$defs[schema.$ref.slice("#/$defs/".length)]);
}

/** This reader has no kinds of nodes beyond those of the text (G-073, G-074). @param {any} document */
function checkExtensions(document) {
  for (const [graph, where] of [[document.graph, "graph"], [document.manifest?.graph, "manifest.graph"]]) {
    for (const [k, node] of (graph?.nodes ?? []).entries()) {
      if (node.op !== "extension") continue;
      const { name } = node.kind;
      if (!/^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)+$/.test(name) || name.length > 64 || name.startsWith("lazyzarr.")) {
        refuse("graph-node", `${JSON.stringify(name)} is no name of a kind of nodes`, `${ROOT}.${where}.nodes[${k}].kind.name`);
      }
      refuse("document-requires", `${name} is a kind of nodes that this reader does not have`, `${ROOT}.requires`);
    }
  }
}

/** @param {any} document */
function checkRequires(document) {
  const used = new Set();
  if (document.manifest != null) used.add("manifest");
  for (const graph of [document.graph, document.manifest?.graph]) {
    if (graph == null) continue;
    for (const node of graph.nodes) if (!BASIC_NODES.includes(node.op)) used.add(node.op);
    for (const chain of chainsOf(graph)) for (const name of codecNames(chain)) if (name.startsWith("lazyzarr.")) used.add(name);
    if ((graph.arrays ?? []).some((/** @type {any} */ array) => array.origins != null)) used.add("origins");
    if ((graph.layouts ?? []).some((/** @type {any} */ layout) => rowColumns(layout).length > 0)) used.add("row-values");
    for (const { columns } of /** @type {any[]} */ (Object.values(graph.tables ?? {}))) {
      if ("gap" in columns) used.add("gaps");
      if ("record" in columns) used.add("records");
    }
  }
  for (const name of used) {
    if (!document.requires.includes(name) && FEATURES.includes(name)) {
      refuse("document-requires", `the document uses ${name} and does not list it`, `${ROOT}.requires`);
    }
  }
}

/** @param {any} graph @returns {any[][]} */
function chainsOf(graph) {
  const chains = (graph.layouts ?? []).map((/** @type {any} */ layout) => layout.codecs);
  return [...chains, ...graph.nodes.filter((/** @type {any} */ node) => node.op === "decode").map((/** @type {any} */ node) => node.codecs)];
}

/** @param {any[]} chain @returns {string[]} names of codecs, those inside of shards too */
function codecNames(chain) {
  return chain.flatMap(({ name, configuration }) => {
    const inner = configuration?.codecs;
    const named = Array.isArray(inner) && inner.every((codec) => typeof codec?.name === "string");
    return [name, ...(named ? codecNames(inner) : [])];
  });
}

/** @param {any} document */
function checkDigest(document) {
  if (document.manifest == null) return;
  if (document.manifest.of !== sha256(canonicalText(document.graph))) {
    refuse("document-digest", "the manifest was derived from another graph", `${ROOT}.manifest.of`);
  }
}
