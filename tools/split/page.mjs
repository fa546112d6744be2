// Cuts the page's wasm as run.mjs cuts the worker's. The page needs a browser for its first seconds: Chromium, through what the browser
// tests use. Where that isn't there, the page stays whole.

import { createHash } from "node:crypto";
import { cp, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serve } from "../../tests/browser/serve.mjs";
import { cut } from "./cut.mjs";
import { add, instrument } from "./instrument.mjs";
import { withLoader } from "./loader.mjs";
import { shrink } from "./shrink.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
/** Windows in which the demo cluster is watched as it boots: a laptop, an embed, a phone; dark or light. */
const WINDOWS = [
  { width: 1440, height: 900, colorScheme: "dark", skip: false },
  { width: 600, height: 400, colorScheme: "light", skip: false },
  { width: 360, height: 800, colorScheme: "dark", skip: true },
];
/** How long the look goes on after the boot, in ms. */
const AFTER_BOOT_MS = 1_500;

/** The browser tests' driver, or null. */
function driver() {
  const require = createRequire(new URL("../../tests/browser/package.json", import.meta.url));
  try {
    return existsSync(CHROMIUM) ? require("playwright-core").chromium : null;
  } catch {
    return null;
  }
}

/** How often the places of the page's module were reached. */
async function profile(chromium, folder, wasmName, original) {
  const at = await mkdtemp(join(tmpdir(), "kubottle-page-"));
  const { bytes, base, count } = instrument(original);
  await cp(folder, at, { recursive: true });
  await writeFile(join(at, wasmName), bytes);
  await writeFile(join(at, "index.html"), (await readFile(join(at, "index.html"), "utf8")).replace(/ integrity="[^"]*"/g, ""));
  const site = await serve(at, {});
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
  try {
    const sums = new Uint16Array(count);
    for (const { width, height, colorScheme, skip } of WINDOWS) {
      const context = await browser.newContext({ viewport: { width, height }, colorScheme });
      const page = await context.newPage();
      await page.addInitScript(() => {
        self.loadRest = () => {};
        addEventListener("TrunkApplicationStarted", (event) => (self.instrumented = event.detail.wasm));
      });
      await page.goto(site.url);
      await page.waitForSelector(".boot", { state: "attached", timeout: 60_000 }).catch(() => {});
      if (skip) await page.getByLabel("Skip", { exact: false }).first().click({ timeout: 5_000 }).catch(() => {});
      await page.waitForFunction(() => !document.querySelector(".boot") && document.querySelector("[data-box], .list li"), null, { timeout: 120_000 });
      await page.waitForTimeout(AFTER_BOOT_MS);
      add(sums, await page.evaluate(([base, count]) => [...new Uint16Array(self.instrumented.memory.buffer, base, count)], [base, count]));
      await context.close();
    }
    return sums;
  } finally {
    await browser.close();
    site.stop();
    await rm(at, { recursive: true, force: true });
  }
}

/** Cuts the page in `folder`; `{ primary, rest, restName, parts }`, or null if it has to stay whole. */
export async function cutPage(folder) {
  const chromium = driver();
  if (!chromium) return null;
  const names = await readdir(folder);
  const wasmName = names.find((name) => /^page-.*_bg\.wasm$/.test(name));
  const scriptName = names.find((name) => /^page-[^.]*\.js$/.test(name));
  const original = await readFile(join(folder, wasmName));
  // The page doesn't warm up: nothing would be done while it waits.
  const halves = cut(original, await profile(chromium, folder, wasmName, original), { long: Infinity });
  const parts = { ...halves, primary: shrink(halves.primary) };
  const restName = `page_rest-${parts.stamp}.wasm`;
  const script = await readFile(join(folder, scriptName), "utf8");
  for (const old of names) if (/^page_rest-.*\.wasm$/.test(old)) await rm(join(folder, old));
  await replace(folder, wasmName, original, parts.primary);
  await replace(folder, scriptName, Buffer.from(script), Buffer.from(withLoader(script, restName, { warm: false })));
  await writeFile(join(folder, restName), parts.rest);
  return { ...parts, wasmName, restName };
}

/** Writes other content into a file whose hash stands in the page. */
async function replace(folder, name, before, after) {
  const integrity = (bytes) => `sha384-${createHash("sha384").update(bytes).digest("base64")}`;
  const index = join(folder, "index.html");
  await writeFile(join(folder, name), after);
  await writeFile(index, (await readFile(index, "utf8")).replaceAll(integrity(before), integrity(after)));
}
