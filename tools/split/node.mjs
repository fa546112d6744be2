// Lets a split worker find its rest in Node, where there is no XMLHttpRequest and no fetch of files. Import it before worker.js:
//   node --import ./tools/split/node.mjs …

import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

globalThis.self ??= globalThis;

/** As much of it as the loader uses, for files. */
globalThis.XMLHttpRequest ??= class {
  status = 0;
  statusText = "";
  response = null;

  open(_method, url) {
    this.url = url;
  }

  send() {
    this.response = readFileSync(fileURLToPath(this.url));
    this.status = 200;
  }
};

const { fetch } = globalThis;
globalThis.fetch = async (resource, options) => {
  if (new URL(resource.url ?? resource).protocol !== "file:") return fetch(resource, options);
  return new Response(await readFile(fileURLToPath(resource)), { headers: { "Content-Type": "application/wasm" } });
};
