// The digest of cells as the conformance corpus defines it.

import { createHash } from "node:crypto";

/** @param {import("./types.js").Cells} cells @param {import("./types.js").DataType | null} [type] @returns {string} */
export function digestOf(cells, type = null) {
  const hash = createHash("sha256");
  if (cells instanceof Uint8Array) hash.update(cells);
  else {
    for (const text of cells) {
      const bytes = Buffer.from(text, type?.kind === "blob" ? "latin1" : "utf-8");
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(bytes.length));
      hash.update(length).update(bytes);
    }
  }
  return `sha256:${hash.digest("hex")}`;
}
