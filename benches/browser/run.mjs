// What the performance promises are measured with, in headless Chromium and beside a peer in Node.
//   node run.mjs DIST OUT.json [NAME…]      `limit` (150,000 pods) runs only if named
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants } from "node:zlib";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { serve } from "../../tests/browser/serve.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const [dist, out, ...wanted] = [resolve(process.argv[2]), resolve(process.argv[3]), ...process.argv.slice(4)];
const runs = (name) => (wanted.length ? wanted.some((w) => name.startsWith(w)) : name !== "limit");
const rows = [];
function row(id, value, unit, must, aim, atLeast = false) {
  rows.push({ id, value: Math.round(value * 1000) / 1000, unit, must, aim, ...(atLeast ? { atLeast } : {}) });
  console.log(`${id}: ${value.toFixed(1)} ${unit}`);
}

const site = await serve(dist, { "/visit.mjs": join(here, "visit.mjs") }, { dated: true });
const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--js-flags=--max-old-space-size=4096"];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGS });

/** A worker on an otherwise empty page of the site's origin: `visit` is there in the page. */
async function worker(context) {
  context ??= await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(0);
  await page.goto(`${site.url}empty.html`);
  await page.evaluate(async () => {
    const { Visit } = (window.bench = await import("/visit.mjs"));
    const worker = new Worker("./worker_loader.js", { type: "module" });
    const visit = (window.visit = new Visit((message) => worker.postMessage(message)));
    worker.onmessage = (event) => visit.take(event.data);
    await visit.next((kind) => kind === "Ready", 1);
  });
  return page;
}
const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** Whoever applies something has looked at the cluster first. By then the worker's second half is there (it is fetched 1.5 s after the
 *  start; what is wanted of it before waits for it), and the browser's own start is over. */
const LOOKS_MS = 3_000;

/** Boots `nodes` hollow nodes and rolls out; ms from apply to all Ready, and the tab's wasm memory in bytes. */
async function rollout(nodes, deployments, replicas, services) {
  const page = await worker();
  const result = await page.evaluate(
    async ([nodes, deployments, replicas, services, looks]) => {
      const { bench, visit } = window;
      const boot = await visit.boot({ Named: `hollow-${nodes}` });
      await new Promise((done) => setTimeout(done, looks));
      await visit.run(bench.writeDeployments(deployments, replicas, services), 30);
      const ms = await visit.run(bench.rollOut(replicas), 30);
      await new Promise((done) => setTimeout(done, 1500));
      return { boot, ms, memory: visit.stats.memory_bytes };
    },
    [nodes, deployments, replicas, services, LOOKS_MS],
  );
  await page.context().close();
  return result;
}

/** So long a browser that opens a page is busy with itself (another process for the next page, caches). */
const SETTLES_MS = 1_000;
/** A browser keeps compiled code when it has compiled nothing more for some seconds. */
const KEEPS_MS = 6_000;

/** Boots the demo cluster in a worker that has listened for so long; ms from the order to Ready. */
async function boot(after) {
  const times = [];
  for (let i = 0; i < 7; i++) {
    const page = await worker();
    await page.waitForTimeout(after);
    times.push(await page.evaluate(() => window.visit.boot({ Named: "demo" })));
    await page.context().close();
  }
  return median(times);
}

/** The same for who comes back: the browser has kept the code that it compiled during the last visits. Median of three visits after two. */
async function bootAgain() {
  const profile = await mkdtemp(join(tmpdir(), "kubottle-visitor-"));
  const times = [];
  for (let i = 0; i < 5; i++) {
    const context = await chromium.launchPersistentContext(profile, { executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGS });
    const page = await worker(context);
    await page.waitForTimeout(SETTLES_MS);
    times.push(await page.evaluate(() => window.visit.boot({ Named: "demo" })));
    // A visit: something is rolled out, and the tab stays open for a while. Then the browser writes down what it compiled.
    await page.waitForTimeout(LOOKS_MS);
    await page.evaluate(() => window.visit.run(window.bench.writeDeployments(1, 180, false)).then(() => window.visit.run(window.bench.rollOut(180))));
    await page.waitForTimeout(KEEPS_MS);
    await context.close();
  }
  await rm(profile, { recursive: true, force: true });
  return median(times.slice(2));
}

if (runs("boot")) {
  row("boot-ms", await boot(SETTLES_MS), "ms", 150, 50);
  // The same while the browser is still opening the page, which takes the worker's time on a machine of few cores.
  row("boot-at-once-ms", await boot(0), "ms", null, null);
  row("boot-again-ms", await bootAgain(), "ms", null, null);
}
if (runs("rollout-1000")) {
  const times = [];
  for (let i = 0; i < 5; i++) times.push((await rollout(10, 1, 1000, false)).ms);
  row("rollout-1000-ms", median(times), "ms", 600, 200);
}
if (runs("rollout-1000-vs-webernetes")) {
  const json = (args) => {
    const run = spawnSync(process.execPath, args, { encoding: "utf8", maxBuffer: 1 << 24 });
    const line = run.stdout.trim().split("\n").at(-1);
    if (!line) throw new Error(`${args.join(" ")}: ${run.stderr.slice(-800)}`);
    return JSON.parse(line);
  };
  const ours = [1, 2, 3].map(() => json([join(here, "node.mjs"), dist, "1000", "10"]).applyToReadyMs);
  // The package names its modules without endings, for bundlers.
  const bundle = join(dirname(out), "webernetes.mjs");
  await build({ entryPoints: [join(here, "webernetes.mjs")], bundle: true, platform: "node", format: "esm", outfile: bundle, logLevel: "error" });
  const theirs = json([bundle, "1000", "10"]).applyToReadyMs;
  console.log(`     in Node: ${ours.join(", ")} ms beside ${theirs} ms`);
  row("rollout-1000-vs-webernetes", theirs / median(ours), "×", 40, 100, true);
}
if (runs("rollout-5000")) row("rollout-5000-ms", (await rollout(100, 1, 5000, false)).ms, "ms", 4000, 1500);
if (runs("apply-10000")) {
  const page = await worker();
  const [small, large] = await page.evaluate(async () => {
    const { bench, visit } = window;
    await visit.boot({ Named: "demo" });
    await visit.run(bench.writeConfigMaps(1000));
    await visit.run(bench.writeConfigMaps(10000));
    const small = await visit.run("kubectl apply -f cm-1000.yaml > /dev/null");
    await visit.run("kubectl delete -f cm-1000.yaml > /dev/null");
    return [small, await visit.run("kubectl apply -f cm-10000.yaml > /dev/null")];
  });
  await page.context().close();
  row("apply-10000-ms", large, "ms", 3000, 1000);
  row("apply-10000-growth", large / 10 / small, "×", 1.3, null);
}
if (runs("limit")) {
  const { ms, memory } = await rollout(5000, 300, 500, true);
  row("limit-wasm-s", ms / 1000, "s", 180, 60);
  row("limit-wasm-gb", memory / 1e9, "GB", 3.5, 2);
}

/** The page itself, at full speed, with a shell prompt. */
async function open(config) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  await page.goto(`${site.url}?config=${config}`);
  await page.getByLabel("Skip", { exact: false }).first().click({ timeout: 3_000 }).catch(() => {});
  await page.waitForFunction(() => !document.querySelector(".boot"), null, { timeout: 120_000 });
  await page.getByLabel("Speed").selectOption({ label: "max" });
  await page.locator(".term").first().click();
  await page.waitForFunction(() => /\$/.test(document.querySelector(".xterm-rows")?.textContent ?? ""), null, { timeout: 60_000 });
  return page;
}
const terminal = (page, text) => page.waitForFunction((t) => document.querySelector(".xterm-rows").textContent.includes(t), text, { timeout: 120_000, polling: 50 });

if (runs("frame-gap")) {
  const { writeDeployments, rollOut } = await import("./visit.mjs");
  const page = await open("hollow-10");
  await page.keyboard.insertText(`${writeDeployments(1, 1000, false)}; echo writ""ten`);
  await page.keyboard.press("Enter");
  await terminal(page, "written");
  await page.evaluate(() => {
    window.gaps = [];
    let last = performance.now();
    const frame = (now) => (window.gaps.push(now - last), (last = now), requestAnimationFrame(frame));
    requestAnimationFrame(frame);
  });
  // A word that the command itself doesn't have: it is on the screen, too, until it is cleared.
  await page.keyboard.insertText(`clear; ${rollOut(1000)}; echo all""there`);
  await page.keyboard.press("Enter");
  await terminal(page, "allthere");
  const gaps = await page.evaluate(() => window.gaps);
  console.log(`     ${gaps.length} frames, the longest: ${gaps.sort((a, b) => b - a).slice(0, 5).map((g) => g.toFixed(0)).join(", ")} ms`);
  row("frame-gap-ms", Math.max(...gaps), "ms", 50, 16);
  await page.context().close();
}
if (runs("pause")) {
  const { writeDeployments, rollOut } = await import("./visit.mjs");
  const page = await open("hollow-100");
  await page.keyboard.insertText(`${writeDeployments(1, 5000, false)}; echo writ""ten`);
  await page.keyboard.press("Enter");
  await terminal(page, "written");
  await page.keyboard.insertText(rollOut(5000));
  await page.keyboard.press("Enter");
  await page.waitForTimeout(400);
  const times = await page.evaluate(async () => {
    document.activeElement?.blur();
    const now = () => document.querySelector(".when").textContent;
    const frame = () => new Promise(requestAnimationFrame);
    const times = [];
    for (let i = 0; i < 5; i++) {
      const began = performance.now();
      document.body.dispatchEvent(new KeyboardEvent("keydown", { key: " ", bubbles: true, cancelable: true }));
      while (!/paused/.test(now())) await frame();
      times.push(performance.now() - began);
      const stands = now();
      for (let k = 0; k < 12; k++) await frame();
      if (now() !== stands) throw new Error(`the clock went on: ${stands} → ${now()}`);
      document.body.dispatchEvent(new KeyboardEvent("keydown", { key: " ", bubbles: true, cancelable: true }));
      for (let k = 0; k < 12; k++) await frame();
    }
    return times;
  });
  console.log(`     pauses: ${times.map((t) => t.toFixed(0)).join(", ")} ms`);
  row("pause-ms", Math.max(...times), "ms", 50, 16);
  await page.context().close();
}
if (runs("first-load")) {
  const brotli = (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24 } }).length;
  // What a new visitor's browser asks for until there is a picture, but for the editor and the terminal (js/) and for what is fetched
  // in the background, whenever that begins.
  const asked = new Set();
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  context.on("request", (request) => asked.add(new URL(request.url()).pathname));
  const page = await context.newPage();
  await page.goto(site.url);
  await page.waitForSelector("[data-box], .list li", { timeout: 60_000 });
  const names = [...asked].map((path) => (path.endsWith("/") ? "index.html" : path.slice(1))).sort();
  await context.close();
  let total = 0;
  for (const name of names.filter((name) => !/^(js\/|(worker|page)_rest|sw\.js)/.test(name))) {
    const size = brotli(await readFile(join(dist, name)));
    total += size;
    console.log(`     ${name}: ${(size / 1000).toFixed(1)} kB`);
  }
  row("first-load-kb", total / 1000, "kB", 900, 600);
}
await browser.close();
site.stop();
await mkdir(dirname(out), { recursive: true });
await writeFile(out, JSON.stringify(rows, null, 1));
