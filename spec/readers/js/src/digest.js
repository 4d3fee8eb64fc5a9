// The digest of cells as the conformance corpus defines it.

import { createHash } from "node:crypto";

/** @param {import("./types.js").Cells} cells @returns {string} */
export function digestOf(cells) {
  const hash = createHash("sha256");
  if (cells instanceof Uint8Array) hash.update(cells);
  else {
    for (const text of cells) {
      const bytes = Buffer.from(text, "utf-8");
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(bytes.length));
      hash.update(length).update(bytes);
    }
  }
  return `sha256:${hash.digest("hex")}`;
}
