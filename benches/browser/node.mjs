// The worker's wasm in Node, without a browser: for a comparison with a peer that runs there.
//   node node.mjs DIST REPLICAS NODES       prints one JSON line
import { readFile, readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import "../../tools/split/node.mjs";
import { Visit, rollOut, writeDeployments } from "./visit.mjs";

const [dist, replicas, nodes] = [resolve(process.argv[2]), Number(process.argv[3]), Number(process.argv[4])];

// What a dedicated worker's global scope has and Node's does not.
let visit;
globalThis.postMessage = (batch) => setImmediate(() => visit.take(batch));
// Node's own hands out up to a thousand messages before it looks at anything else; a browser's takes turns.
globalThis.MessageChannel = class {
  port1 = { onmessage: null };
  port2 = { postMessage: (data) => setImmediate(() => this.port1.onmessage({ data })) };
};
const script = (await readdir(dist)).find((name) => /^worker[^/]*\.js$/.test(name) && !name.includes("loader"));
const { default: init } = await import(pathToFileURL(join(dist, script)).href);
const began = performance.now();
visit = new Visit((message) => setImmediate(() => globalThis.onmessage({ data: message })));
const listens = visit.next((kind) => kind === "Ready");
await init({ module_or_path: await readFile(join(dist, script.replace(".js", "_bg.wasm"))) });
await listens;
const load = performance.now() - began;
const boot = await visit.boot({ Named: `hollow-${nodes}` });
await visit.run(writeDeployments(1, replicas, false));
const cpu = process.cpuUsage();
const ready = await visit.run(rollOut(replicas));
const { user } = process.cpuUsage(cpu);
console.log(JSON.stringify({ replicas, nodes, loadMs: Math.round(load), bootMs: Math.round(boot), applyToReadyMs: Math.round(ready), cpuMs: Math.round(user / 1000) }));
process.exit(0);
