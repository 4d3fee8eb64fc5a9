// Print a view, or a slab of it, as JSON: `node read_view.mjs LOCATION [SELECTION]`, for example
// `node read_view.mjs https://data.example/v.zarr '[[0, 10], 3]'`. What is refused is printed with its reason.

import { ViewError, open } from "./src/index.js";

const [location, selection] = process.argv.slice(2);
try {
  const view = await open(location);
  const { shape, data } = await view.read(selection === undefined ? null : JSON.parse(selection));
  console.log(JSON.stringify({ shape, data }, (_, item) => (typeof item === "bigint" ? item.toString() : item)));
} catch (error) {
  if (!(error instanceof ViewError)) throw error;
  console.log(JSON.stringify({ reason: error.reason, where: error.where, message: error.message }));
  process.exitCode = 1;
}
