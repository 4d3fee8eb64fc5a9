// The limits of rule G-012 and G-014, under the names that the cases of the corpus use.

export const LIMITS = Object.freeze({
  document_bytes: 32 * 2 ** 20,
  json_depth: 64,
  json_values: 1_000_000,
  integer_digits: 20,
  nodes: 50_000,
  edges: 250_000,
  graph_depth: 256,
  rank: 32,
  arrays: 30_000,
  columns: 5_000,
  inline_cells: 100_000,
  codecs: 16,
  layout_codecs: 20_000,
  url_characters: 2_048,
  chunk_bytes: 2 * 2 ** 30,
  inline_bytes: 2 ** 20,
  inline_total: 16 * 2 ** 20,
  table_chunk_bytes: 32 * 2 ** 20,
  box_pairs: 4_000_000,
});

/** @typedef {{[name in keyof typeof LIMITS]: number}} Limits */
