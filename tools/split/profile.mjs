// Which places of the program a visitor's first seconds reach: the demo cluster boots and is drawn, a terminal shows its prompt. Runs the
// instrumented worker in a scope of its own, so in a process of its own:
//   node profile.mjs FOLDER BASE COUNT OUT [VISITS | work]
// FOLDER holds worker.js and the instrumented worker_bg.wasm; OUT gets two bytes a place: how often the visits (all, or the first so
// many) reached it. `work`: how often what is done later did (work.mjs).

import { readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { add, reached } from "./instrument.mjs";
import { Scope } from "./scope.mjs";
import { Work } from "./work.mjs";

/** How long the first look goes on after the boot, in ms. */
const AFTER_BOOT_MS = 2_000;

/**
 * The visits: wide pages that watch the boot with a terminal open, on a quick and on a slow machine, and a phone that skips the
 * boot, each with another cluster. `work`: ms between two looks of the worker at its clock; `frame`: ms from a batch to its acknowledgement; `blind`: nothing is drawn.
 */
const WIDE = { seed: 1, epoch: 1_767_225_600_123_000, width: 1088, height: 510, compact: false, reduced_motion: false, terminal: true, skipAfter: null };
const VISITS = [
  { ...WIDE, work: 0.05, frame: 16 },
  { ...WIDE, seed: 2, epoch: 1_798_761_599_000_000, work: 0.5, frame: 33 },
  { ...WIDE, seed: 3, work: 5, frame: 150 },
  { seed: 5, epoch: 1_780_000_000_900_000, width: 390, height: 564, compact: true, reduced_motion: true, terminal: false, skipAfter: 1_000, work: 1, frame: 16 },
  // How tables are searched and trees grow depends on names and moments: many clusters, at full speed.
  ...Array.from({ length: 30 }, (_, i) => ({ ...WIDE, seed: 10 + i, epoch: 1_770_000_000_000_000 + i * 1_234_567_891_234, work: 0.25, frame: 16, skipAfter: 0, blind: true })),
];

/** What is not set is `undefined`, as the page writes it: `null` would take other ways through the decoder. */
const NONE = undefined;
const show = ({ width, height, compact, reduced_motion }) => {
  const options = { heartbeats: false, system_pods: true, namespace: NONE, chosen: NONE, reduced_motion };
  return { Show: { lens: "Architecture", width, height, compact, options } };
};

/** One visit; which places it reached. */
async function look(folder, visit, number, base, count) {
  const scope = new Scope(visit.work);
  scope.install();
  const seen = { ready: false, booted: false, prompt: false };
  scope.onposted = ({ seq, messages }) => {
    for (const message of messages) {
      const [kind, body] = typeof message === "string" ? [message, null] : Object.entries(message)[0];
      if (kind === "Ready") seen.ready = true;
      if (kind === "Boot" && body.done) seen.booted = true;
      if (kind === "TerminalOutput") seen.prompt = true;
    }
    if (seq > 0) scope.later(visit.frame, () => globalThis.onmessage({ data: { Ack: { seq } } }));
  };
  const { initSync } = await import(`${pathToFileURL(join(folder, "worker.js")).href}?visit=${number}`);
  const wasm = initSync({ module: await readFile(join(folder, "worker_bg.wasm")) });
  scope.run(() => seen.ready, 1_000);
  greet(scope, visit);
  scope.run(() => seen.booted && (seen.prompt || !visit.terminal), 60_000);
  const until = scope.now + (visit.blind ? 0 : AFTER_BOOT_MS);
  scope.run(() => scope.now >= until, until + 1_000);
  return reached(wasm.memory, base, count);
}

/** The long visit; which places it reached. */
async function work(folder, base, count) {
  const scope = new Scope();
  scope.install();
  const visit = new Work(scope);
  const { initSync } = await import(`${pathToFileURL(join(folder, "worker.js")).href}?visit=work`);
  const wasm = initSync({ module: await readFile(join(folder, "worker_bg.wasm")) });
  visit.run();
  return reached(wasm.memory, base, count);
}

/** What the page says when the worker listens, in its order. */
function greet(scope, visit) {
  const later = (ms, message) => scope.later(ms, () => globalThis.onmessage({ data: message }));
  scope.post({ Start: { protocol: 1, config: { Named: "demo" }, seed: visit.seed, epoch_us: visit.epoch, resume: NONE } });
  if (visit.skipAfter === 0) scope.post({ Pace: "SkipBoot" });
  if (visit.blind) return void later(500, { OpenTerminal: { tab: 1, cols: 120, rows: 40 } });
  scope.post({ WatchEvents: { query: { namespace: NONE, warnings_only: false, limit: 200 } } });
  scope.post({ Inspect: { thing: NONE, tab: "Why" } });
  scope.post({ WatchTable: { query: NONE } });
  later(20, show(visit));
  if (visit.terminal) {
    later(200, { OpenTerminal: { tab: 1, cols: 70, rows: 10 } });
    later(200, { ResizeTerminal: { tab: 1, cols: 70, rows: 10 } });
  }
  // The page settles: the stage gets its size once more.
  later(300, show({ ...visit, height: visit.height - 20 }));
  if (visit.skipAfter) later(visit.skipAfter, { Pace: "SkipBoot" });
}

const [folder, base, count, out] = [resolve(process.argv[2]), Number(process.argv[3]), Number(process.argv[4]), process.argv[5]];
const sums = new Uint16Array(count);
const wanted = process.argv[6];
if (wanted === "work") add(sums, await work(folder, base, count));
else for (const [number, visit] of VISITS.slice(0, Number(wanted ?? VISITS.length)).entries()) {
  add(sums, await look(folder, visit, number, base, count));
}
await writeFile(out, sums);
process.exit(0);
