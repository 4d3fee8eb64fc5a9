// What zarrita makes of directories, without any code of this reader: `node zarrita_opens.mjs FOLDER...` prints one JSON
// list; for each folder what opening it as an array, as a group and as either gives: the kind with the cells, or the error.

import * as zarr from "zarrita";
import { FileSystemStore } from "@zarrita/storage";

/** @param {() => Promise<any>} open */
async function attempt(open) {
  try {
    const node = await open();
    if (node.kind !== "array") return { kind: node.kind };
    const { data } = await zarr.get(node);
    return { kind: "array", cells: Array.from(/** @type {any} */ (data), Number) };
  } catch (error) {
    return { error: /** @type {Error} */ (error).name };
  }
}

const results = [];
for (const folder of process.argv.slice(2)) {
  const root = zarr.root(new FileSystemStore(folder));
  results.push({
    array: await attempt(() => zarr.open(root, { kind: "array" })),
    group: await attempt(() => zarr.open(root, { kind: "group" })),
    either: await attempt(() => zarr.open(root)),
    version_3: await attempt(() => zarr.open.v3(root)),
  });
}
console.log(JSON.stringify(results));
