// The page on a slow machine: its CPU and the worker's four times slower. It boots, a click is answered while a hundred pods roll
// out, a key is echoed; how long each took is printed. usage: node slow.mjs DIST [--shots DIR] [--rate 4]
//
// Chromium throttles the page's thread itself (`Emulation.setCPUThrottlingRate`), but no worker's. There each task takes as long
// again and again before the next one begins, and its clock runs as it would on the slower machine.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { apply, begin, booted, check, sleep } from "./harness.mjs";

const at = process.argv.indexOf("--rate");
const rate = at < 0 ? 4 : Number(process.argv[at + 1]);
/** From a click to the next frame, in ms. */
const ANSWER_MS = 200;
/** From a key to its letter in the terminal: through the worker, the laptop's shell, and back. */
const ECHO_MS = 500;
/** From the first of four letters in the palette to the list that they name, with its file fetched. */
const LIST_MS = 5_000;

function slowed(rate) {
  const real = Performance.prototype.now;
  const now = () => real.call(performance);
  let began = null;
  Performance.prototype.now = function () {
    return began === null ? now() : began + rate * (now() - began);
  };
  const slow = (task) => task && function (...all) {
    began = now();
    try {
      return task.apply(this, all);
    } finally {
      const end = began + rate * (now() - began);
      began = null;
      while (now() < end);
    }
  };
  for (const owner of [MessagePort.prototype, self]) {
    const plain = Object.getOwnPropertyDescriptor(owner, "onmessage");
    Object.defineProperty(owner, "onmessage", { ...plain, set(task) { plain.set.call(this, slow(task)); } });
  }
  const timeout = self.setTimeout;
  self.setTimeout = (task, ...all) => timeout(slow(task), ...all);
  self.kubottleSlowed = rate;
}

const dist = resolve(process.argv[2] ?? "dist");
const folder = await mkdtemp(join(tmpdir(), "kubottle-slow-"));
const loader = join(folder, "worker_loader.js");
await writeFile(loader, `(${slowed})(${rate});\n${await readFile(join(dist, "worker_loader.js"), "utf8")}`);
const { test, site, browser, shot, end } = await begin({ "/worker_loader.js": loader });
const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "dark" });
// The delay from an event to the frame that follows it, as the browser itself measures it; shorter than a frame: it is not told.
await context.addInitScript(() => {
  self.answers = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (entry.name === "click") self.answers.push(entry.duration);
  }).observe({ type: "event", durationThreshold: 16 });
});
const page = await context.newPage();
const errors = [];
page.on("console", (m) => m.type() === "error" && errors.push(m.text()));
page.on("pageerror", (e) => errors.push(String(e)));
const cdp = await context.newCDPSession(page);
await cdp.send("Emulation.setCPUThrottlingRate", { rate });

const sorted = (times) => [...times].sort((a, b) => a - b);
const told = (what, times) => {
  const all = sorted(times.map(Math.round));
  console.log(`     ${what}: median ${all[all.length >> 1]} ms, of ${all.join(", ")}`);
  return all[all.length >> 1];
};

/** Clicks on lens after lens, with the mouse: from each click to the frame after it, in ms. */
async function clicks(n) {
  const names = ["Components", "Control plane", "Service network", "Architecture"];
  const times = [];
  for (let i = 0; i < n; i++) {
    await page.evaluate(() => (self.answers.length = 0));
    await page.getByRole("tab", { name: names[i % names.length], exact: true }).click();
    await page.waitForFunction((name) => document.querySelector('[role="tab"][aria-selected="true"]')?.textContent.trim() === name, names[i % names.length], { timeout: 10_000 });
    await sleep(350);
    times.push(await page.evaluate(() => Math.max(0, ...self.answers)));
  }
  return times;
}

await test(`the page boots, ${rate} times slower`, async () => {
  await page.goto(site.url);
  await page.locator('[data-box="kube-apiserver"]').waitFor({ state: "attached", timeout: 120_000 });
  console.log(`     first picture after ${Math.round(await page.evaluate(() => performance.now()))} ms`);
  const worker = page.workers()[0];
  check(worker && (await worker.evaluate(() => self.kubottleSlowed)) === rate, "the worker runs at full speed");
  await booted(page);
  console.log(`     the boot is over after ${Math.round(await page.evaluate(() => performance.now()))} ms`);
});

await test("a click on a lens is answered while the cluster is idle", async () => {
  const median = told("click to frame", await clicks(8));
  check(median <= ANSWER_MS, `${median} ms`);
});

await test("a key in the terminal is echoed", async () => {
  await page.locator(".term").first().click();
  await page.waitForFunction(() => /[$#] *$/.test(document.querySelector(".term .xterm-rows")?.textContent.trimEnd() ?? ""), null, { timeout: 60_000 });
  const times = [];
  for (const letter of "qzjxvw") {
    const before = await page.evaluate((letter) => {
      const count = () => document.querySelector(".term .xterm-rows").textContent.split(letter).length;
      const [was, began] = [count(), performance.now()];
      self.echoed = new Promise((done) => {
        const look = () => (count() > was ? done(performance.now() - began) : requestAnimationFrame(look));
        addEventListener("keydown", () => (self.keyAt = performance.now()), { once: true, capture: true });
        look();
      }).then(() => performance.now() - self.keyAt);
      return was;
    }, letter);
    await page.keyboard.press(letter);
    times.push(await page.evaluate(() => self.echoed));
    check(before > 0, "the terminal is gone");
  }
  const median = told("key to letter", times);
  check(median <= ECHO_MS, `${median} ms`);
  await page.keyboard.press("Control+C");
});

await test("the palette follows what is typed, and what was chosen comes", async () => {
  await page.getByRole("tab", { name: "Architecture", exact: true }).click();
  await page.keyboard.press("Control+k");
  await page.locator(".dialog.palette input:focus").waitFor({ timeout: 30_000 });
  const began = await page.evaluate(() => performance.now());
  await page.keyboard.type("labs");
  await page.keyboard.press("Enter");
  await page.locator(".dialog.labs li").first().waitFor({ timeout: 30_000 });
  const ms = Math.round(await page.evaluate((began) => performance.now() - began, began));
  console.log(`     from the first letter to the list of labs: ${ms} ms`);
  check(ms <= LIST_MS, `${ms} ms`);
  // What lies over the picture must not make each of its frames dearer: a blur of all that is behind did.
  const filters = await page.evaluate(() => [...document.querySelectorAll(".veil, .boot, .stage-tools .btn")].filter((e) => getComputedStyle(e).backdropFilter !== "none").length);
  check(filters === 0, `${filters} elements filter the moving picture behind them`);
  await page.keyboard.press("Escape");
});

await test("a click is answered while a hundred pods roll out", async () => {
  await page.getByLabel("Speed").selectOption({ label: "1×" });
  await apply(page, `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 100
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: nginx, image: "nginx:1.27"}]
`);
  await page.waitForFunction(() => document.querySelector('[data-box^="pod/default/web-"]'), null, { timeout: 60_000 });
  const median = told("click to frame", await clicks(12));
  await shot(page, "slow-rollout");
  check(median <= ANSWER_MS, `${median} ms`);
});

await test("no console error", async () => check(errors.length === 0, errors.join("\n")));
await context.close();
await rm(folder, { recursive: true });
await end();
