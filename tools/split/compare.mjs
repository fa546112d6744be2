// Does a split worker do what the whole one does? Runs one long visit (work.mjs) with each of two built sites and compares every
// message that the workers post, byte by byte:
//   KUBOTTLE_SPLIT=0 make build, copy dist to WHOLE, make build
//   node tools/split/compare.mjs WHOLE dist

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import "./node.mjs";
import { Scope } from "./scope.mjs";
import { Work } from "./work.mjs";

// How much memory the worker has is no part of what it says.
const plain = (key, value) => (key === "memory_bytes" ? 0 : typeof value === "bigint" ? String(value) : value);

/** The whole visit with the site in `folder`; prints one line of JSON. */
async function visit(folder) {
  const scope = new Scope();
  scope.install();
  const digest = createHash("sha256");
  const work = new Work(scope, (batch) => digest.update(JSON.stringify(batch, plain)));
  const { initSync } = await import(pathToFileURL(join(folder, "worker.js")).href);
  const wasm = initSync({ module: await readFile(join(folder, "worker_bg.wasm")) });
  work.run();
  const { messages, text, last } = work;
  console.log(JSON.stringify({ split: "$loaded" in wasm, messages, characters: text.length, events: Number(last.Clock.events), digest: digest.digest("hex") }));
}

if (process.argv[2] === "--visit") {
  await visit(resolve(process.argv[3]));
  process.exit(0);
}
const [whole, split] = process.argv.slice(2, 4).map((folder) => {
  const run = spawnSync(process.execPath, [fileURLToPath(import.meta.url), "--visit", folder], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  if (run.status !== 0) throw new Error(`the visit of ${folder} ended with ${run.status ?? run.signal}`);
  console.log(`${folder}: ${run.stdout.trim()}`);
  return JSON.parse(run.stdout);
});
if (whole.split || !split.split) throw new Error("usage: node tools/split/compare.mjs WHOLE SPLIT");
if (whole.digest !== split.digest) throw new Error("the two workers posted different messages");
console.log("the two workers posted the same messages");
