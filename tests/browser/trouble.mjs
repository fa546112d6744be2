// What goes wrong around the page, each by its name: nothing can be kept, the clock jumps, the tab is in the background for a day, no
// WebGL, a journal and files that are none, no more memory. usage: node trouble.mjs DIST [--shots DIR] [--only PART]
import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { begin, apply, booted, check, sleep } from "./harness.mjs";
import { page as visit, pods, told } from "./walk.mjs";

const dist = resolve(process.argv[2] ?? "dist");
const at = await mkdtemp(join(tmpdir(), "kubottle-trouble-"));
const small = join(at, "worker_bg.wasm");
const also = {};
const { test, wants, site, browser, shot, end } = await begin(also);
const context = (options = {}) => browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "dark", ...options });
const open = (c, path = "") => visit(c, site.url + path, site.url);
/** So that the journal is written: a save comes a second after a deed. */
const saved = () => sleep(3_500);
const WEB = (name, replicas) => `apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      containers: [{name: nginx, image: "nginx:1.27"}]
`;
const DAY = 86_400_000;

if (wants("storage")) {
  for (const [what, script, says] of [
    ["the browser keeps nothing", "Object.defineProperty(self, 'indexedDB', { value: { open() { throw new DOMException('no', 'SecurityError'); } } });", "doesn't let this page keep anything"],
    ["the storage is full", "IDBObjectStore.prototype.put = function () { throw new DOMException('full', 'QuotaExceededError'); };", "storage is full"],
  ]) {
    await test(`${what}: the page works, and says so once`, async () => {
      const c = await context();
      await c.addInitScript(script);
      const p = await open(c);
      await booted(p);
      check((await p.locator(".toast").count()) === 0, "a toast before anything was done");
      await apply(p, WEB("web", 3));
      await pods(p, "web-", 3);
      await told(p, says);
      await p.locator(".toast .x").first().click();
      await apply(p, WEB("web", 2));
      await pods(p, "web-", 2, 90_000);
      await saved();
      check((await p.locator(".toast", { hasText: says }).count()) === 0, "said twice");
      await c.close();
    });
  }
}

if (wants("clock")) {
  // The wall clock is `self.ahead` ms off, from the next visit on; without Web Locks the tabs go by it as well.
  const shifted = (locks) => `{
    const plain = Date.now.bind(Date);
    Date.now = () => plain() + Number(localStorage.getItem("ahead") ?? 0);
    ${locks ? "" : 'Object.defineProperty(Navigator.prototype, "locks", { value: undefined });'}
  }`;
  for (const locks of [true, false]) {
    await test(`the clock jumps a day ahead, and two days back, between visits${locks ? "" : ", without Web Locks"}`, async () => {
      const c = await context();
      await c.addInitScript(shifted(locks));
      let p = await open(c);
      await booted(p);
      await apply(p, WEB("web", 2));
      await pods(p, "web-", 2);
      await saved();
      for (const ahead of [DAY, -DAY]) {
        const leases = await p.evaluate(() => Object.entries(localStorage).filter(([name]) => name.startsWith("kubottle-tab-")));
        check(locks || leases.length === 1, "no lease");
        await p.close();
        const q = await c.newPage();
        await q.goto(`${site.url}policy.js`);
        await q.evaluate(([ahead, leases]) => {
          localStorage.setItem("ahead", ahead);
          // As if the tab had crashed: nobody took its lease back.
          for (const [name, value] of leases) localStorage.setItem(name, value);
        }, [ahead, leases]);
        await q.close();
        p = await open(c);
        await told(p, "Your cluster is back", 60_000);
        await pods(p, "web-", 2);
        // So that it is this visit's own time that is kept with it.
        await apply(p, WEB("web", 2));
        await saved();
      }
      check(p.errors.length === 0, p.errors.join("\n"));
      await c.close();
    });
  }
}

if (wants("background")) {
  await test("in the background for a day the cluster stands still; then it goes on, and does not make up for it", async () => {
    const c = await context();
    const p = await open(c);
    await booted(p);
    await p.getByLabel("Speed").selectOption({ label: "1×" });
    const when = () => p.locator(".when").first().textContent();
    const seconds = (text) => { const [h, m, s] = /(\d+):(\d+):(\d+)/.exec(text).slice(1).map(Number); return h * 3600 + m * 60 + s; };
    const see = (state) => p.evaluate((state) => {
      Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
      Object.defineProperty(document, "hidden", { configurable: true, get: () => state === "hidden" });
      document.dispatchEvent(new Event("visibilitychange"));
    }, state);
    await sleep(1_500);
    await see("hidden");
    await sleep(500);
    const stood = await when();
    await sleep(3_000);
    check((await when()) === stood, `it went on: ${stood}, ${await when()}`);
    // A day passes, for the page and for its worker.
    const skip = (ms) => {
      const plain = Performance.prototype.now;
      Performance.prototype.now = function () { return plain.call(this) + ms; };
      const date = Date.now.bind(Date);
      Date.now = () => date() + ms;
    };
    await p.workers()[0].evaluate(skip, DAY);
    await p.evaluate(skip, DAY);
    await see("visible");
    await sleep(3_000);
    const passed = (seconds(await when()) - seconds(stood) + 86_400) % 86_400;
    check(passed >= 1 && passed <= 30, `${passed} seconds have passed inside`);
    await apply(p, WEB("web", 2));
    await pods(p, "web-", 2);
    check(p.errors.length === 0, p.errors.join("\n"));
    await c.close();
  });
}

if (wants("webgl")) {
  await test("without WebGL everything is drawn: nothing asks for it", async () => {
    const c = await context();
    await c.addInitScript(() => {
      self.asked = [];
      for (const kind of [HTMLCanvasElement, OffscreenCanvas]) {
        const plain = kind.prototype.getContext;
        kind.prototype.getContext = function (name, ...all) {
          if (!/webgl|webgpu/.test(name)) return plain.call(this, name, ...all);
          self.asked.push(name);
          return null;
        };
      }
    });
    const p = await open(c);
    await booted(p);
    await p.locator(".term .xterm-rows").first().waitFor({ timeout: 30_000 });
    for (const lens of ["Components", "Control plane", "Service network", "Pod creation", "Architecture"]) {
      await p.getByRole("tab", { name: lens, exact: true }).click();
      await p.waitForFunction(() => document.querySelectorAll("[data-box]").length > 3, null, { timeout: 20_000 });
    }
    check((await p.evaluate(() => self.asked.join())) === "", "WebGL was asked for");
    check(p.errors.length === 0, p.errors.join("\n"));
    await c.close();
  });
}

if (wants("files")) {
  await test("files that are no cluster of ours are named, and the cluster stays", async () => {
    const p = await open(await context());
    await booted(p);
    await apply(p, WEB("web", 2));
    await pods(p, "web-", 2);
    const huge = join(at, "huge.kubottle");
    await writeFile(huge, "KB");
    await truncate(huge, (64 << 20) + 1);
    for (const [name, bytes, says] of [
      ["picture.png", Buffer.from("\x89PNG\r\n\x1a\nsomething", "latin1"), "not a cluster of Kubottle"],
      ["empty.kubottle", Buffer.alloc(0), "cut off or changed"],
      ["zip.kubottle", Buffer.from([0x1f, 0x8b, 8, 0, 1, 2, 3]), "cut off or changed"],
      ["later.kubottle", Buffer.from("KB\x63abcdefgh", "latin1"), "has the format 99"],
      ["huge.kubottle", huge, "larger than 64 MiB"],
    ]) {
      await p.getByLabel("Share this moment").click();
      const [chooser] = await Promise.all([p.waitForEvent("filechooser"), p.getByRole("button", { name: "Open a file…" }).click()]);
      await chooser.setFiles(typeof bytes === "string" ? bytes : { name, mimeType: "application/octet-stream", buffer: bytes });
      await told(p, says);
      await p.evaluate(() => document.querySelectorAll(".toast .x").forEach((x) => x.click()));
      await p.keyboard.press("Escape");
      await p.waitForFunction(() => !document.querySelector(".toast, .share"), null, { timeout: 10_000 });
    }
    await pods(p, "web-", 2);
    check(p.errors.length === 0, p.errors.join("\n"));
    await p.context().close();
  });
  await test("a journal that was damaged is named, and a new cluster boots", async () => {
    const c = await context();
    const p = await open(c);
    await booted(p);
    await apply(p, WEB("web", 2));
    await pods(p, "web-", 2);
    await saved();
    await p.evaluate(() => new Promise((done, failed) => {
      const opening = indexedDB.open("kubottle", 1);
      opening.onsuccess = () => {
        const all = opening.result.transaction("tabs", "readwrite").objectStore("tabs");
        all.openCursor().onsuccess = (event) => {
          const cursor = event.target.result;
          if (!cursor) return;
          cursor.update({ ...cursor.value, log: cursor.value.log.slice(0, 60) });
          cursor.continue();
        };
        all.transaction.oncomplete = done;
        all.transaction.onabort = failed;
      };
    }));
    await p.close();
    const q = await open(c);
    await told(q, /cut off or changed/, 30_000);
    await booted(q);
    await pods(q, "web-", 0);
    await c.close();
  });
}

/** The module with room for so many pages of 64 KiB. */
function limited(bytes, pages) {
  const leb = (value) => { const out = []; do { out.push((value & 127) | (value > 127 ? 128 : 0)); value >>>= 7; } while (value); return out; };
  let i = 8;
  const number = () => { let value = 0; for (let shift = 0; ; shift += 7) { const b = bytes[i++]; value += (b & 127) * 2 ** shift; if (b < 128) return value; } };
  while (i < bytes.length) {
    const start = i;
    const id = bytes[i++];
    const size = number();
    const body = i;
    if (id === 5) {
      const [count, flags, least] = [number(), number(), number()];
      check(count === 1 && flags < 2 && least < pages, `memory of another kind: ${count} ${flags} ${least}`);
      const section = [1, 1, ...leb(least), ...leb(pages)];
      return Buffer.concat([bytes.subarray(0, start), Buffer.from([5, ...leb(section.length), ...section]), bytes.subarray(body + size)]);
    }
    i = body + size;
  }
  throw new Error("the module has no memory of its own");
}

if (wants("memory")) {
  await test("the end of the memory is said; the last snapshot is kept; a smaller cluster is offered, and boots", async () => {
    await writeFile(small, limited(await readFile(join(dist, "worker_bg.wasm")), (96 << 20) >> 16));
    also["/worker_bg.wasm"] = small;
    const c = await context({ acceptDownloads: true });
    const p = await open(c, "?seed=3");
    await booted(p);
    await apply(p, WEB("web", 2));
    await pods(p, "web-", 2);
    await saved();
    await p.getByLabel("Speed").selectOption({ label: "max" });
    await apply(p, WEB("many", 20_000));
    const dialog = p.getByRole("alertdialog");
    await dialog.waitFor({ timeout: 240_000 });
    const text = await dialog.innerText();
    await shot(p, "memory-dark");
    check(/too large for this tab/.test(text) && /all the memory that the browser gives a page/.test(text) && /last snapshot is of/.test(text), text);
    const [download] = await Promise.all([p.waitForEvent("download"), dialog.getByRole("button", { name: "Keep the last snapshot as a file" }).click()]);
    check((await readFile(await download.path())).length > 200, "an empty file");
    await dialog.getByRole("button", { name: "Start a smaller cluster" }).click();
    await p.waitForURL(/config=demo/, { timeout: 20_000 });
    await booted(p);
    await pods(p, "many-", 0);
    check((await p.locator(".toast", { hasText: "is back" }).count()) === 0, "the large one was restored");
    await c.close();
    delete also["/worker_bg.wasm"];
  });
}

await rm(at, { recursive: true });
await end();
