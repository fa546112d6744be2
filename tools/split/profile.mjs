// Which functions a visitor's first seconds call: the demo cluster boots and is drawn, a terminal shows its prompt. Runs the
// instrumented worker in a scope of its own, so in a process of its own:
//   node profile.mjs FOLDER BASE COUNT OUT
// FOLDER holds worker.js and the instrumented worker_bg.wasm; OUT becomes one byte a function, 1 if it was called.

import { readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { called } from "./instrument.mjs";
import { Scope } from "./scope.mjs";

/** How long the first look goes on after the boot, in ms. */
const AFTER_BOOT_MS = 2_000;
const FRAME_MS = 16;

/** The visits: a wide page that watches the boot, and a phone that skips it. */
const VISITS = [
  { width: 1000, height: 600, compact: false, reduced_motion: false, skipAfter: null },
  { width: 390, height: 500, compact: true, reduced_motion: true, skipAfter: 1_000 },
];

const show = ({ width, height, compact, reduced_motion }) => {
  const options = { heartbeats: false, system_pods: false, namespace: null, chosen: null, reduced_motion };
  return { Show: { lens: "Architecture", width, height, compact, options } };
};

/** One visit; which functions it called. */
async function look(folder, visit, number, base, count) {
  const scope = new Scope();
  scope.install();
  const seen = { ready: false, booted: false, prompt: false };
  scope.onposted = ({ seq, messages }) => {
    for (const message of messages) {
      const [kind, body] = typeof message === "string" ? [message, null] : Object.entries(message)[0];
      if (kind === "Ready") seen.ready = true;
      if (kind === "Boot" && body.done) seen.booted = true;
      if (kind === "TerminalOutput") seen.prompt = true;
    }
    if (seq > 0) scope.later(FRAME_MS, () => globalThis.onmessage({ data: { Ack: { seq } } }));
  };
  const { initSync } = await import(`${pathToFileURL(join(folder, "worker.js")).href}?visit=${number}`);
  const wasm = initSync({ module: await readFile(join(folder, "worker_bg.wasm")) });
  scope.run(() => seen.ready, 1_000);
  greet(scope, visit);
  scope.run(() => seen.booted && seen.prompt, 60_000);
  const until = scope.now + AFTER_BOOT_MS;
  scope.run(() => scope.now >= until, until + 1_000);
  return called(wasm.memory, base, count);
}

/** What the page says when the worker listens. */
function greet(scope, visit) {
  scope.post({ Start: { protocol: 1, config: { Named: "demo" }, seed: 1, epoch_us: 1767225600000000, resume: null } });
  scope.post(show(visit));
  scope.post({ WatchEvents: { query: { namespace: null, warnings_only: false, limit: 200 } } });
  scope.post({ OpenTerminal: { tab: 1, cols: 120, rows: 16 } });
  scope.post({ Inspect: { thing: null, tab: "Why" } });
  scope.post({ WatchTable: { query: null } });
  // The page settles: the stage gets its size once more, the terminal too.
  scope.later(300, () => globalThis.onmessage({ data: show({ ...visit, height: visit.height - 20 }) }));
  scope.later(300, () => globalThis.onmessage({ data: { ResizeTerminal: { tab: 1, cols: 110, rows: 14 } } }));
  if (visit.skipAfter !== null) scope.later(visit.skipAfter, () => globalThis.onmessage({ data: { Pace: "SkipBoot" } }));
}

const [folder, base, count, out] = [resolve(process.argv[2]), Number(process.argv[3]), Number(process.argv[4]), process.argv[5]];
const union = new Uint8Array(count);
for (const [number, visit] of VISITS.entries()) {
  (await look(folder, visit, number, base, count)).forEach((mark, i) => (union[i] |= mark));
}
await writeFile(out, union);
process.exit(0);
