// A tab left open at full speed: a Deployment, a CronJob that never stops, and what the tab holds in memory, noted every half minute.
// Fails if it has grown over the last third, or if the page no longer answers. Not part of `make browser-test`: it takes its time.
// usage: node tests/browser/long.mjs DIST [--minutes 60] [--every 30] [--shots DIR]     closing line: "N passed, M failed"
import { begin, apply, booted, check, sleep } from "./harness.mjs";

const number = (name, other) => {
  const at = process.argv.indexOf(name);
  const value = at < 0 ? other : Number(process.argv[at + 1]);
  if (!(value > 0)) throw new Error(`${name} wants a number above 0`);
  return value;
};
const minutes = number("--minutes", 60);
const everyS = number("--every", 30);
/** Memory of the last third may be so much above that of the second. */
const GROWTH = 1.05;
/** From a click to the next frame, in ms: the median of the last third's looks. */
const ANSWER_MS = 200;

const WORK = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 6
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: nginx, image: "nginx:1.27", ports: [{containerPort: 80}]}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: tick, image: "busybox:1.36", command: [sh, -c, "date; echo done"]}]
`;

/** Before the page's own scripts: what the worker says of itself is read along, and the page's own linear memory is found. */
function listen() {
  const last = (self.kubottleLast = { stats: null, clock: null, memories: [] });
  const heard = (event) => {
    for (const message of event.data?.messages ?? []) {
      if (message.Stats) last.stats = message.Stats;
      if (message.Clock) last.clock = message.Clock;
    }
  };
  const Plain = Worker;
  self.Worker = class extends Plain {
    constructor(...all) {
      super(...all);
      this.addEventListener("message", heard);
    }
  };
  for (const name of ["instantiate", "instantiateStreaming"]) {
    const plain = WebAssembly[name].bind(WebAssembly);
    WebAssembly[name] = async (...all) => {
      const made = await plain(...all);
      const memory = Object.values((made.instance ?? made).exports).find((e) => e instanceof WebAssembly.Memory);
      if (memory) last.memories.push(memory);
      return made;
    };
  }
}

const { test, site, browser, shot, end } = await begin();
const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "dark" });
await context.addInitScript(listen);
const page = await context.newPage();
const errors = [];
page.on("console", (m) => m.type() === "error" && errors.push(m.text()));
page.on("pageerror", (e) => errors.push(String(e)));
const cdp = await context.newCDPSession(page);
await cdp.send("Performance.enable");

/** From a click on a lens to the next frame, in ms, and until the other picture is there. */
const answer = () => page.evaluate(async () => {
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const tabs = [...document.querySelectorAll('header [role="tab"], [role="tab"][aria-selected]')];
  const find = (name) => tabs.find((t) => t.textContent.trim() === name);
  const times = [];
  for (const name of ["Components", "Architecture", "Components", "Architecture"]) {
    const began = performance.now();
    find(name).click();
    await frame();
    times.push(performance.now() - began);
    await new Promise((done) => setTimeout(done, 400));
  }
  return times.sort((a, b) => a - b)[1];
});

/** JavaScript's heap after a collection, the page's and the worker's linear memory, in MB; virtual time in hours. */
async function look(begun) {
  await cdp.send("HeapProfiler.collectGarbage");
  const metrics = Object.fromEntries((await cdp.send("Performance.getMetrics")).metrics.map((m) => [m.name, m.value]));
  const ms = await answer();
  const seen = await page.evaluate(() => {
    const { stats, clock, memories } = self.kubottleLast;
    return { worker: stats?.memory_bytes ?? 0, page: memories.reduce((sum, m) => sum + m.buffer.byteLength, 0), clock };
  });
  const mb = (bytes) => bytes / (1 << 20);
  return {
    heap: mb(metrics.JSHeapUsedSize), nodes: metrics.Nodes, listeners: metrics.JSEventListeners, page: mb(seen.page), worker: mb(seen.worker),
    hours: seen.clock ? (seen.clock.head_us - begun) / 3.6e9 : 0, events: seen.clock?.events ?? 0, answer: ms,
  };
}

const rows = [];
const row = (cells) => console.log(cells.map((c) => String(c).padStart(11)).join(""));
await test(`${minutes} minutes at full speed`, async () => {
  await page.goto(site.url);
  await booted(page);
  await apply(page, WORK);
  await page.waitForFunction(() => document.querySelectorAll('[data-box^="pod/default/web-"]').length === 6, null, { timeout: 120_000 });
  const begun = await page.evaluate(() => self.kubottleLast.clock.head_us);
  await page.getByLabel("Speed").selectOption({ label: "max" });
  row(["minutes", "heap MB", "page MB", "worker MB", "DOM nodes", "listeners", "virtual h", "messages", "answer ms"]);
  // A machine that was stopped in between has not run: its own running time counts.
  let [ran, last, next] = [0, Date.now(), everyS * 1000];
  while (ran < minutes * 60_000) {
    await sleep(1_000);
    const now = Date.now();
    ran += Math.min(now - last, 10_000);
    last = now;
    if (ran < next) continue;
    next += everyS * 1000;
    const seen = { at: ran / 60_000, ...(await look(begun)) };
    rows.push(seen);
    row([seen.at.toFixed(1), seen.heap.toFixed(1), seen.page.toFixed(1), seen.worker.toFixed(1), seen.nodes, seen.listeners, seen.hours.toFixed(1), seen.events, seen.answer.toFixed(0)]);
  }
  await shot(page, "long");
});

if (rows.length < 6) {
  console.log("too few looks for three thirds");
  process.exit(1);
}
const third = (n) => rows.slice(Math.floor((rows.length * n) / 3), Math.floor((rows.length * (n + 1)) / 3));
const highest = (part, name) => Math.max(...part.map((r) => r[name]));
for (const [name, what] of [["heap", "JavaScript's heap"], ["page", "the page's memory"], ["worker", "the worker's memory"], ["nodes", "the number of DOM nodes"]]) {
  await test(`${what} is steady`, () => {
    const [before, after] = [highest(third(1), name), highest(third(2), name)];
    console.log(`     second third ${before.toFixed(1)}, last third ${after.toFixed(1)}`);
    check(after > 0, "it was never told");
    check(after <= before * GROWTH, `it has grown by ${((after / before - 1) * 100).toFixed(1)} %`);
  });
}
await test("the page still answers, and the CronJob still runs", async () => {
  const times = third(2).map((r) => r.answer).sort((a, b) => a - b);
  const median = times[times.length >> 1];
  console.log(`     a click was followed by a frame after ${median.toFixed(0)} ms`);
  check(median <= ANSWER_MS, `${median.toFixed(0)} ms`);
  const [before, after] = [rows[rows.length - 2], rows[rows.length - 1]];
  check(after.hours > before.hours && after.events > before.events, "time stands");
  check(errors.length === 0, errors.join("\n"));
});
await end();
