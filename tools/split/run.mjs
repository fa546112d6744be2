// Makes the first load of the site small: cuts the worker's wasm, and the page's (page.mjs), by what a visitor's first seconds call.
//   node tools/split/run.mjs FOLDER [--load NAME]     NAME: part of the name of the import that loads the rest (loadRest)
//
// FOLDER is the built site, with worker.js and worker_bg.wasm in it. The tool runs an instrumented copy of the worker through the
// first seconds of many visits (the demo cluster boots and is drawn, a terminal shows its prompt), in a time of its own, so that the
// same worker always gives the same profile. Long functions that are called often are divided (divide.mjs). What was reached stays
// in worker_bg.wasm (made smaller once more, shrink.mjs); the functions that were not called, and the arms of the others that were not reached (outline.mjs), go to
// worker_rest-STAMP.wasm, which worker.js fetches 1.5 s after the start, or at once and while the worker waits if something of it
// is wanted before. What a second, longer visit needs of it (work.mjs) is compiled there in small parts while the worker has little to
// do. STAMP is of the original module and of the cut, and the halves know it: those of two builds don't link.
//
// Nothing is lost if the profile misses something: it is in the rest, and going there loads the rest. All functions keep their
// indices, and data, tables and memory are the original's; see cut.mjs for how the halves call each other. Once the rest is there, a
// call across costs an indirect call more. compare.mjs shows that a split site does what the whole one does.

import { spawnSync } from "node:child_process";
import { copyFile, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { brotliCompressSync, constants } from "node:zlib";
import { cut } from "./cut.mjs";
import { divide } from "./divide.mjs";
import { instrument } from "./instrument.mjs";
import { withLoader } from "./loader.mjs";
import { cutPage } from "./page.mjs";
import { shrink } from "./shrink.mjs";

const { values, positionals } = parseArgs({ allowPositionals: true, options: { load: { type: "string" } } });
if (positionals.length !== 1) {
  console.error("usage: node tools/split/run.mjs FOLDER [--load NAME]");
  process.exit(2);
}
const folder = resolve(positionals[0]);
const [scriptFile, wasmFile] = [join(folder, "worker.js"), join(folder, "worker_bg.wasm")];

/** How often the functions are divided (divide.mjs). */
const ROUNDS = 3;

/** Runs the instrumented worker through the first so many of its visits, or all, or through `work`; how often each place was reached. */
async function profile(original, visits = []) {
  const at = await mkdtemp(join(tmpdir(), "kubottle-profile-"));
  try {
    const { bytes, base, count } = instrument(original);
    await writeFile(join(at, "worker_bg.wasm"), bytes);
    await copyFile(scriptFile, join(at, "worker.js"));
    await writeFile(join(at, "package.json"), '{"type":"module"}');
    const script = fileURLToPath(new URL("profile.mjs", import.meta.url));
    const run = spawnSync(process.execPath, [script, at, String(base), String(count), join(at, "reached"), ...visits.map(String)], { stdio: ["ignore", "inherit", "inherit"] });
    if (run.status !== 0) throw new Error(`the profile's run ended with ${run.status ?? run.signal}`);
    const counts = await readFile(join(at, "reached"));
    return new Uint16Array(counts.buffer.slice(counts.byteOffset, counts.byteOffset + counts.length));
  } finally {
    await rm(at, { recursive: true, force: true });
  }
}

function brotli(bytes) {
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  return brotliCompressSync(bytes, { params }).length;
}

const count = (marks) => marks.reduce((sum, mark) => sum + mark, 0);
const tell = (what, bytes, functions, more) =>
  console.log(`split: ${what}: ${functions} functions and ${more}, ${bytes.length} bytes, ${brotli(bytes)} in brotli`);

async function main() {
  let original = await readFile(wasmFile);
  // Arms may have arms: several rounds.
  for (let round = 1; round <= ROUNDS; round++) {
    const { bytes, arms } = divide(original, await profile(original, [1]));
    console.log(`split: ${arms} arms of often called functions are functions now`);
    original = bytes;
  }
  const reached = await profile(original);
  const worked = await profile(original, ["work"]);
  const { rest, plan, arms, warmed, stamp, ...halves } = cut(original, reached, { load: values.load, worked });
  const primary = shrink(halves.primary);
  for (const bytes of [primary, rest]) new WebAssembly.Module(bytes);

  const restName = `worker_rest-${stamp}.wasm`;
  const script = withLoader(await readFile(scriptFile, "utf8"), restName);
  for (const old of await readdir(folder)) if (/^worker_rest-.*\.wasm$/.test(old)) await rm(join(folder, old));
  await writeFile(join(folder, restName), rest);
  await writeFile(wasmFile, primary);
  await writeFile(scriptFile, script);
  tell("worker_bg.wasm", primary, count(plan.primary.bodies), `${plan.toRest.length} trampolines`);
  tell(restName, rest, count(plan.rest.bodies), `${arms} arms, ${plan.toPrimary.length} trampolines, ${warmed} warmed up`);

  const page = await cutPage(folder);
  if (!page) return void console.log("split: the page stays whole: there is no Chromium to see its first seconds in");
  tell(page.wasmName, page.primary, count(page.plan.primary.bodies), `${page.plan.toRest.length} trampolines`);
  tell(page.restName, page.rest, count(page.plan.rest.bodies), `${page.arms} arms, ${page.plan.toPrimary.length} trampolines`);
}

main().catch((error) => {
  console.error(`split: ${error.message} (KUBOTTLE_SPLIT=0 builds the site with its wasm whole)`);
  process.exit(1);
});
