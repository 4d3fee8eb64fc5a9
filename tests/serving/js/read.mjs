// Reads an array of a server with zarrita and prints its shape and cells as JSON: node read.mjs URL
import * as zarr from "zarrita";

const array = await zarr.open.v3(new zarr.FetchStore(process.argv[2]), { kind: "array" });
const { data, shape } = await zarr.get(array);
process.stdout.write(JSON.stringify({ shape, data: Array.from(data, Number) }));
