// The first half of a module once more through wasm-opt: what was cut out of its functions leaves jumps, locals and whole branches that
// are no longer needed. What the halves know of each other (exports, tables, globals) stays as it is: all of that is exported.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What the modules use; no more, or wasm-opt would use more (see opcodes.mjs). */
const FEATURES = ["bulk-memory", "bulk-memory-opt", "sign-ext", "nontrapping-float-to-int", "mutable-globals", "reference-types", "multivalue"];

/** The module, smaller; as it is if there is no wasm-opt. */
export function shrink(bytes) {
  const at = mkdtempSync(join(tmpdir(), "kubottle-shrink-"));
  const [before, after] = [join(at, "before.wasm"), join(at, "after.wasm")];
  try {
    writeFileSync(before, bytes);
    const run = spawnSync("wasm-opt", ["-Oz", ...FEATURES.map((f) => `--enable-${f}`), before, "-o", after], { stdio: ["ignore", "inherit", "inherit"] });
    if (run.error?.code === "ENOENT") {
      console.log("split: there is no wasm-opt: the first halves stay as they were cut");
      return bytes;
    }
    if (run.status !== 0) throw new Error(`wasm-opt ended with ${run.status ?? run.signal}`);
    return readFileSync(after);
  } finally {
    rmSync(at, { recursive: true, force: true });
  }
}
