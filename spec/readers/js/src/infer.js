// Shape, type and fill value of each node (section 6 of graph.md), and what each kind of node refuses.

import { inferBoxes as boxes } from "./boxes.js";
import { disjoint } from "./combs.js";
import { VALUE_WISE, valueCodec } from "./valuewise.js";
import { refuse } from "./errors.js";
import { dataType, oneCell } from "./types.js";

/** @typedef {import("./graph.js").Graph} Graph */
/** @typedef {import("./graph.js").Node} Node */

/** @param {Graph} graph @param {any} wire @param {string} where @returns {Node} */
export function inferNode(graph, wire, where) {
  const kinds = { source, fill, tiles, boxes, index, take, transpose, broadcast, concat, stack, overlay, recode, decode };
  const inputs = (wire.inputs ?? (wire.input === undefined ? [] : [wire.input])).map((/** @type {bigint} */ k) => graph.nodes[Number(k)]);
  const node = kinds[/** @type {keyof typeof kinds} */ (wire.op)](graph, wire, where, inputs);
  return { op: wire.op, wire, where, inputs, ...node };
}

/** @param {string} what @param {string} where @returns {never} */
const badShape = (what, where) => refuse("graph-shape", what, where);

/** @param {bigint[]} shape @param {string} where */
function checkShape(shape, where) {
  if (shape.some((length) => length < 0n)) badShape("a shape has no negative lengths", where);
}

/** @param {bigint} axis @param {number} rank @param {string} where @returns {number} */
function checkAxis(axis, rank, where) {
  if (axis < 0n || axis >= BigInt(rank)) badShape(`there is no axis ${axis}`, where);
  return Number(axis);
}

/** @param {bigint[]} a @param {bigint[]} b */
const equalShapes = (a, b) => a.length === b.length && a.every((length, axis) => length === b[axis]);

/** @param {Graph} graph @param {any} wire @param {string} where */
function source(graph, wire, where) {
  if (wire.array < 0n || wire.array >= BigInt(graph.arrays.length)) refuse("graph-reference", `there is no array ${wire.array}`, `${where}.array`);
  const array = graph.arrays[Number(wire.array)];
  return { array, schema: { shape: array.shape, type: array.layout.type, fill: array.layout.fill } };
}

/** @param {Graph} _ @param {any} wire @param {string} where */
function fill(_, wire, where) {
  checkShape(wire.shape, where);
  const type = dataType(wire.data_type, where);
  return { schema: { shape: wire.shape, type, fill: oneCell(type, wire.value, where) } };
}

/** @param {Graph} graph @param {any} wire @param {string} where */
function tiles(graph, wire, where) {
  checkShape(wire.shape, where);
  const type = dataType(wire.data_type, where);
  const schema = { shape: wire.shape, type, fill: oneCell(type, wire.fill_value, where) };
  const layouts = wire.layouts.map((/** @type {bigint} */ number) => graph.layout(number, `${where}.layouts`));
  if (layouts.some((/** @type {any} */ layout) => layout.type.id !== type.id)) refuse("graph-type", "a layout has another data type", where);
  const rank = wire.shape.length;
  const newAxis = wire.new_axis == null ? null : checkAxis(wire.new_axis, rank, where);
  const inner = newAxis === null ? rank : rank - 1;
  if (layouts.some((/** @type {any} */ layout) => layout.chunkShape.length !== inner)) badShape("a layout has another rank", where);
  const table = graph.table(wire.table, "tiles", `${where}.table`);
  for (const [name, width] of Object.entries({ origin: rank, shape: inner })) {
    if (table.columns[name].width !== width) refuse("table-invalid", `${name} has another width`, table.columns[name].where);
  }
  for (const { rows } of layouts) {
    for (const name of rows?.names ?? []) if (!table.has(name)) refuse("table-invalid", `${name} is missing`, graph.tablePlace(wire.table));
  }
  const refs = wire.refs == null ? null : graph.table(wire.refs, "refs", `${where}.refs`);
  if ((refs !== null) !== table.has("refs_first")) refuse("table-invalid", "refs_first is there with refs, and only then", graph.tablePlace(wire.table));
  return { schema, layouts, newAxis, table, refs };
}

/** @param {Graph} _ @param {any} wire @param {string} where @param {Node[]} inputs */
function index(_, wire, where, [input]) {
  const { shape, type, fill: value } = input.schema;
  if (wire.axes.length !== shape.length) badShape("there is one entry for each axis of the input", where);
  /** @type {bigint[]} */
  const result = [];
  wire.axes.forEach((/** @type {any} */ entry, /** @type {number} */ axis) => {
    const length = shape[axis];
    const place = `${where}.axes[${axis}]`;
    if (!Array.isArray(entry)) {
      if (entry < 0n || entry >= length) badShape(`the cell ${entry} is outside of the axis`, where);
      return;
    }
    const [start, step, count] = entry;
    if (step === 0n || count < 0n) refuse("graph-canonical", "a span has a step that is not 0, and a count", place);
    if (count === 0n && (start !== 0n || step !== 1n)) refuse("graph-canonical", "a span of no cells is [0, 1, 0]", place);
    if (count === 1n && step !== 1n) refuse("graph-canonical", "a span of one cell has step 1", place);
    const last = start + step * (count - 1n);
    if (count > 0n && (start < 0n || start >= length || last < 0n || last >= length)) badShape("a span is outside of the axis", where);
    result.push(count);
  });
  return { schema: { shape: result, type, fill: value } };
}

/** @param {Graph} graph @param {any} wire @param {string} where @param {Node[]} inputs */
function take(graph, wire, where, [input]) {
  const axis = checkAxis(wire.axis, input.schema.shape.length, where);
  const table = graph.table(wire.indices, "take", `${where}.indices`);
  const length = input.schema.shape[axis];
  if (table.columns.indices.inline) checkIndices(table.inlineIntegers("indices"), length, graph.tablePlace(wire.indices, "indices"));
  const shape = input.schema.shape.with(axis, BigInt(table.length));
  return { axis, table, schema: { ...input.schema, shape } };
}

/** @param {bigint[]} indices @param {bigint} length @param {string} where */
export function checkIndices(indices, length, where) {
  if (indices.some((index) => index < 0n || index >= length)) refuse("table-invalid", "an index is outside of the axis", where);
}

/** @param {Graph} _ @param {any} wire @param {string} where @param {Node[]} inputs */
function transpose(_, wire, where, [input]) {
  const { shape } = input.schema;
  const sorted = wire.axes.toSorted((/** @type {bigint} */ a, /** @type {bigint} */ b) => Number(a - b));
  if (sorted.length !== shape.length || sorted.some((/** @type {bigint} */ axis, /** @type {number} */ k) => axis !== BigInt(k))) {
    badShape("axes are no permutation", where);
  }
  const axes = wire.axes.map(Number);
  return { axes, schema: { ...input.schema, shape: axes.map((/** @type {number} */ axis) => shape[axis]) } };
}

/** @param {Graph} _ @param {any} wire @param {string} where @param {Node[]} inputs */
function broadcast(_, wire, where, [input]) {
  const { shape } = input.schema;
  checkShape(wire.shape, where);
  if (wire.axes.length !== shape.length) badShape("there is one axis of the result for each axis of the input", where);
  const axes = wire.axes.map((/** @type {bigint} */ axis) => checkAxis(axis, wire.shape.length, where));
  axes.forEach((/** @type {number} */ axis, /** @type {number} */ k) => {
    if (k > 0 && axis <= axes[k - 1]) badShape("axes ascend", where);
    if (shape[k] !== 1n && shape[k] !== wire.shape[axis]) badShape("an axis of more than one cell is repeated", where);
  });
  return { axes, schema: { ...input.schema, shape: wire.shape } };
}

/** @param {Node[]} inputs @param {string} where */
function checkInputs(inputs, where) {
  if (inputs.length === 0) badShape("there is at least one input", where);
  if (inputs.some(({ schema }) => schema.type.id !== inputs[0].schema.type.id)) refuse("graph-type", "inputs have one data type", where);
}

/** @param {Graph} _ @param {any} wire @param {string} where @param {Node[]} inputs */
function concat(_, wire, where, inputs) {
  checkInputs(inputs, where);
  const first = inputs[0].schema;
  const axis = checkAxis(wire.axis, first.shape.length, where);
  let length = 0n;
  for (const { schema } of inputs) {
    const { shape } = schema;
    if (shape.length !== first.shape.length || !equalShapes(shape.with(axis, 0n), first.shape.with(axis, 0n))) {
      badShape("inputs agree in all axes but one", where);
    }
    length += shape[axis];
  }
  return { axis, schema: { ...first, shape: first.shape.with(axis, length) } };
}

/** @param {Graph} _ @param {any} wire @param {string} where @param {Node[]} inputs */
function stack(_, wire, where, inputs) {
  checkInputs(inputs, where);
  const first = inputs[0].schema;
  const axis = checkAxis(wire.axis, first.shape.length + 1, where);
  if (inputs.some(({ schema }) => !equalShapes(schema.shape, first.shape))) badShape("inputs have one shape", where);
  return { axis, schema: { ...first, shape: first.shape.toSpliced(axis, 0, BigInt(inputs.length)) } };
}

/** @param {Graph} graph @param {any} wire @param {string} where @param {Node[]} inputs */
function overlay(graph, wire, where, inputs) {
  checkInputs(inputs, where);
  checkShape(wire.shape, where);
  const { type } = inputs[0].schema;
  const rank = wire.shape.length;
  const steps = wire.steps ?? inputs.map(() => wire.shape.map(() => 1n));
  if (wire.origins.length !== inputs.length || steps.length !== inputs.length) badShape("there is one origin for each input", where);
  const boxes = inputs.map(({ schema }, m) => {
    const box = { first: wire.origins[m], step: steps[m], count: schema.shape };
    if (box.first.length !== rank || box.step.length !== rank || box.count.length !== rank) badShape("a box has another rank", where);
    box.count.forEach((count, axis) => {
      const first = box.first[axis];
      const step = box.step[axis];
      if (step < 1n) badShape("a step is at least 1", where);
      const end = count === 0n ? first : first + step * (count - 1n) + 1n;
      if (first < 0n || end > wire.shape[axis]) badShape("a box is outside of the shape", where);
    });
    return box;
  });
  const rule = wire.overlap ?? "error";
  disjoint(boxes, graph.context.limits.box_pairs, where, rule !== "error");
  return { boxes, rule, schema: { shape: wire.shape, type, fill: oneCell(type, wire.fill_value, where) } };
}

/** @param {Graph} graph @param {any} wire @param {string} where @param {Node[]} inputs */
function recode(graph, wire, where, [input]) {
  if (input.op !== "source" && input.op !== "tiles") refuse("graph-type", "the input of recode is a source or tiles", where);
  const layout = graph.layout(wire.layout, `${where}.layout`);
  if (layout.rows !== null) refuse("codec-invalid", "only tiles have layouts that take numbers from rows", where);
  const before = input.op === "source" ? [input.array.layout] : input.layouts;
  for (const { chunkShape } of before) {
    if (!equalShapes(chunkShape.map(BigInt), layout.chunkShape.map(BigInt))) badShape("recode does not change the shape of chunks", where);
  }
  const schema = { shape: input.schema.shape, type: layout.type, fill: layout.fill };
  if (input.op !== "source" || input.array.values === null) return { layout, codecs: null, schema };
  // An array with values has no bytes: its cells are what the value-wise codecs of the chain decode.
  const chain = graph.wire.layouts[Number(wire.layout)].codecs.filter((/** @type {any} */ codec) => VALUE_WISE.includes(codec.name));
  const { codecs, encoded } = valueChain(chain, layout.type, where);
  if (encoded.id !== input.schema.type.id) refuse("graph-type", "the cells of the array are of another type than the chain decodes", where);
  return { layout, codecs, schema };
}

/** @param {Graph} graph @param {any} wire @param {string} where @param {Node[]} inputs */
function decode(graph, wire, where, [input]) {
  const type = dataType(wire.data_type, where);
  const value = oneCell(type, wire.fill_value, where);
  if (wire.codecs.length === 0) refuse("codec-invalid", "there is at least one codec", `${where}.codecs`);
  if (wire.codecs.length > graph.context.limits.codecs) refuse("limit-exceeded", "a chain has too many codecs", `${where}.codecs`);
  const { codecs, encoded } = valueChain(wire.codecs, type, `${where}.codecs`);
  if (encoded.id !== input.schema.type.id) refuse("graph-type", "the last codec takes the type of the input", where);
  return { codecs, schema: { shape: input.schema.shape, type, fill: value } };
}

/**
 * Value-wise codecs in the order in which they decode, and the type of the cells that they take.
 * @param {any[]} wire @param {import("./types.js").DataType} decoded @param {string} where
 */
function valueChain(wire, decoded, where) {
  let encoded = decoded;
  /** @type {import("./valuewise.js").ValueCodec[]} */
  const codecs = [];
  for (const { name, configuration = {} } of wire) {
    if (!VALUE_WISE.includes(name)) refuse("codec-invalid", `${name} is not value-wise`, where);
    codecs.unshift(valueCodec(name, configuration, encoded, (what) => refuse("codec-invalid", what, where)));
    encoded = codecs[0].encoded;
  }
  return { codecs, encoded };
}
