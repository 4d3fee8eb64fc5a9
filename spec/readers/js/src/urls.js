// Locations (G-033): their one spelling, how references are resolved, and the policy that decides what may be reached (G-034).

import { refuse } from "./errors.js";

const ALLOWED = /^[A-Za-z0-9\-._~!$&'()*+,;=:@/%]*$/;
const SCHEME = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/]*)(\/.*)?$/;
const PORTS = /** @type {Record<string, string>} */ ({ http: ":80", https: ":443" });

/**
 * Check the spelling of a location and make it absolute.
 * @param {string} location
 * @param {string} base URL of the `zarr.json` that has it
 * @param {string | null} where
 * @returns {string} an absolute URL
 */
export function resolve(location, base, where) {
  /** @type {(what: string) => never} */
  const bad = (what) => refuse("url-invalid", `${JSON.stringify(location)} ${what}`, where);
  if (location === "") bad("is empty");
  const parts = SCHEME.exec(location);
  if (!ALLOWED.test(parts === null ? location : `${parts[1]}${parts[3] ?? ""}`)) bad("has characters that a location cannot have");
  if (/%(?![0-9A-Fa-f]{2})/.test(location)) bad("has a percent sign that escapes nothing");
  const escaped = [...location.matchAll(/%([0-9A-Fa-f]{2})/g)].map((found) => parseInt(found[1], 16));
  if (escaped.some((code) => code === 0x2f || code === 0x5c || code < 0x20 || code === 0x7f)) {
    bad("escapes a separator or a control character");
  }
  if (parts !== null) {
    const scheme = parts[1].toLowerCase();
    const authority = parts[2].toLowerCase();
    checkAuthority(scheme, authority, bad);
    checkSegments((parts[3] ?? "/").slice(1).split("/"), bad);
    const port = PORTS[scheme];
    return `${scheme}://${port !== undefined && authority.endsWith(port) ? authority.slice(0, -port.length) : authority}${parts[3] ?? ""}`;
  }
  if (location.startsWith("//") || /^[A-Za-z][A-Za-z0-9+.-]*:/.test(location)) return bad("is neither a URL nor a reference to a path");
  const found = /** @type {RegExpExecArray} */ (SCHEME.exec(base));
  const [, scheme, authority, path = "/"] = found;
  if (location.startsWith("/")) {
    checkSegments(location.slice(1).split("/"), bad);
    return `${scheme}://${authority}${location}`;
  }
  const segments = location.replace(/^\.\//, "").split("/");
  let up = 0;
  while (segments[up] === "..") up += 1;
  checkSegments(segments.slice(up), bad);
  const folders = path.slice(1).split("/").slice(0, -1);
  if (up > folders.length) bad("leads above the root");
  return `${scheme}://${authority}/${[...folders.slice(0, folders.length - up), ...segments.slice(up)].join("/")}`;
}

/** @param {string} scheme @param {string} authority @param {(what: string) => never} bad */
function checkAuthority(scheme, authority, bad) {
  if (authority.includes("@")) bad("has user information");
  if (scheme === "file") return;
  const host = authority.replace(/:[0-9]*$/, "");
  if (host === "") bad("has no host");
  if (!/^([a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])$/.test(host)) bad("has a host that is no name and no address");
  const port = /:([0-9]*)$/.exec(authority);
  if (port !== null && !(Number(port[1]) >= 1 && Number(port[1]) <= 65535)) bad("has a port that there is not");
  if (/^(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*$/i.test(host) && !dotted(host)) bad("has a host that is a number");
}

/** @param {string} host */
function dotted(host) {
  const parts = host.split(".");
  return parts.length === 4 && parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) < 256);
}

/** @param {string[]} segments @param {(what: string) => never} bad */
function checkSegments(segments, bad) {
  const dots = segments.map((segment) => segment.replaceAll(/%2e/gi, "."));
  if (dots.some((segment) => segment === "." || segment === "..")) bad("has dot segments");
  if (segments.slice(0, -1).some((segment) => segment === "")) bad("has an empty segment");
}

/** @param {string} url @param {string} key */
export function below(url, key) {
  return `${url.replace(/\/$/, "")}/${key}`;
}

/**
 * A policy that allows what is below some URLs: same scheme, host and port, compared by segments of the path.
 * @param {string[]} roots
 * @returns {(url: string) => boolean}
 */
export function allowBelow(roots) {
  const ends = roots.map((root) => root.replace(/\/$/, ""));
  return (url) => ends.some((root) => url === root || url.startsWith(`${root}/`));
}
