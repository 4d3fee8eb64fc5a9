// Digests of the cells of views: `node read_digests.mjs ALLOW FOLDER...` prints a list, with the reason for what is refused.

import { digestOf } from "./src/digest.js";
import { ViewError, open } from "./src/index.js";

const [allow, ...folders] = process.argv.slice(2);
const results = [];
for (const folder of folders) {
  try {
    const view = await open(folder, { allow: [allow] });
    results.push(digestOf((await view.readCells()).cells, view.type));
  } catch (error) {
    if (!(error instanceof ViewError)) throw error;
    results.push(`${error.reason}: ${error.message}`);
  }
}
console.log(JSON.stringify(results));
