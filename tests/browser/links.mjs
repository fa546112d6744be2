// Links to a moment, restored clusters, offline, sandboxed frames, embeds, pictures: in headless Chromium.
// usage: node links.mjs DIST [--shots DIR]     closing line: "N passed, M failed"
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { gunzipSync, inflateRawSync } from "node:zlib";
import { createHash } from "node:crypto";
import { serve } from "./serve.mjs";
import { apply, booted, box, check, close, launch, page, pods, sleep, test, told, WEB } from "./walk.mjs";

const dist = resolve(process.argv[2] ?? "dist");
const shotsAt = process.argv.indexOf("--shots");
const shots = resolve(shotsAt < 0 ? "target/browser" : process.argv[shotsAt + 1]);
await mkdir(shots, { recursive: true });
const paths = [];
const site = await serve(dist, {}, { headers: { "access-control-allow-origin": "*" }, seen: (path) => paths.push(path) });
const browser = await launch();
const context = (options = {}) => browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "dark", ...options });
const open = async (c, path = "") => page(c, site.url + path, site.url);
const shot = (p, name) => p.screenshot({ path: join(shots, `${name}.png`) });

async function pause(p) {
  const button = p.getByLabel(/^Pause/).first();
  if (await button.isVisible()) await button.click();
  await sleep(400);
}
/** The link of the share dialog. */
async function share(p) {
  await p.getByLabel("Share this moment").click();
  const field = p.getByLabel("Link to this moment");
  await field.waitFor({ timeout: 15_000 });
  return field.inputValue();
}
const moment = (link) => new URLSearchParams(new URL(link).hash.slice(1)).get("m");

// ---- links ----

let link = "";
const first = await context();
await test("a moment becomes a link", async () => {
  const p = await open(first);
  await booted(p);
  await apply(p, WEB);
  await pods(p, "web-", 3);
  await sleep(4_000);
  await pause(p);
  link = await share(p);
  console.log(`     ${link.length} characters`);
  check(link.length <= 2048, "too long");
  await shot(p, "share-dark");
  check(p.errors.length === 0, p.errors.join("\n"));
  await p.close();
});

await test("the link leads to the very moment, in a browser that has never seen it", async () => {
  const c = await context();
  const p = await page(c, link, site.url);
  const began = Date.now();
  await told(p, "of a shared cluster", 60_000);
  console.log(`     replayed after ${Date.now() - began} ms`);
  await pods(p, "web-", 3);
  await shot(p, "link-opened-dark");
  // That toast is of a replay that met the hash: another one would have said that details may differ. What is shared from there has
  // one more input, the terminal that this page has opened.
  const again = await share(p);
  check(Math.abs(again.length - link.length) < 120, `${again.length} characters`);
  await p.keyboard.press("Escape");
  check(p.errors.length === 0, p.errors.join("\n"));
  check(p.foreign.length === 0, p.foreign.join("\n"));
  await c.close();
});

const packed = () => Buffer.from(moment(link).split(".")[1], "base64url");
const { deflateRawSync } = await import("node:zlib");
const HOSTILE = {
  "cut off": [() => moment(link).slice(0, -40), /cut off/],
  "of letters that no link has": [() => "0.ab$%c", /characters/],
  "without a moment": [() => "hello", /no moment in it/],
  "a bomb": [() => `0.${deflateRawSync(Buffer.alloc(80 << 20)).toString("base64url")}`, /larger than 64 MiB|too long/],
  "not of ours": [() => `0.${deflateRawSync(Buffer.from("{}")).toString("base64url")}`, /not a cluster of Kubottle/],
  "of a later format": [() => `0.${deflateRawSync(Buffer.from("KB\x63abcdefgh", "latin1")).toString("base64url")}`, /has the format 99/],
  "changed on its way": [
    () => {
      const bytes = inflateRawSync(packed());
      bytes[bytes.length - 3] ^= 1;
      return `0.${deflateRawSync(bytes).toString("base64url")}`;
    },
    /checksum/,
  ],
};
for (const [what, [make, says]] of Object.entries(HOSTILE)) {
  await test(`a link that is ${what} is named, and the page lives`, async () => {
    const c = await context();
    const p = await open(c, `#m=${make()}`);
    await told(p, says, 20_000);
    await box(p, "kube-apiserver").waitFor({ state: "attached", timeout: 30_000 });
    check(p.errors.length === 0, p.errors.join("\n"));
    await c.close();
  });
}

await test("lens, selection and tab are in the address", async () => {
  const c = await context();
  const p = await open(c, "#lens=components&open=component:kube-scheduler&tab=overview");
  await p.locator('aside.inspector[aria-label*="kube-scheduler"]').waitFor({ timeout: 30_000 });
  check((await p.getByRole("tab", { name: "Components" }).getAttribute("aria-selected")) === "true", "another lens");
  await p.getByRole("tab", { name: "Service network" }).click();
  await p.waitForFunction(() => location.hash.includes("lens=service-network"), null, { timeout: 5_000 });
  const q = await open(c, "#lens=nothing&open=%00&tab=x");
  await booted(q);
  check(q.errors.length === 0, q.errors.join("\n"));
  await c.close();
});

// ---- restore ----

const home = await context();
/** So that the journal is written: a save comes a second after a deed. */
const saved = () => sleep(3_500);
await test("a reload brings the cluster back", async () => {
  const p = await open(home);
  await booted(p);
  await apply(p, WEB);
  await pods(p, "web-", 3);
  await saved();
  await p.reload();
  await told(p, "Your cluster is back", 60_000);
  await pods(p, "web-", 3);
  check(p.errors.length === 0, p.errors.join("\n"));
  await p.close();
});

await test("so does a new tab after the old one was closed, and its terminal has what it had", async () => {
  const p = await open(home);
  await told(p, "Your cluster is back", 60_000);
  await pods(p, "web-", 3);
  await p.evaluate(() => document.querySelector('[role="tab"][aria-controls="terminal"]')?.click());
  await p.locator(".term").first().click();
  await p.keyboard.type("kubectl scale deployment web --replicas=2\n");
  await pods(p, "web-", 2, 90_000);
  await saved();
  await p.close();
});

await test("and after the page has crashed", async () => {
  const p = await open(home);
  await told(p, "Your cluster is back", 60_000);
  await pods(p, "web-", 2);
  await saved();
  const cdp = await home.newCDPSession(p);
  // Nobody is left to answer.
  cdp.send("Page.crash").catch(() => {});
  await sleep(1_000);
  await Promise.race([p.close().catch(() => {}), sleep(2_000)]);
  const q = await open(home);
  await told(q, "Your cluster is back", 60_000);
  await pods(q, "web-", 2);
  await q.close();
});

await test("two tabs have a cluster each", async () => {
  const a = await open(home);
  await told(a, "Your cluster is back", 60_000);
  const b = await open(home);
  await booted(b);
  await pods(b, "web-", 0);
  await apply(b, WEB.replaceAll("web", "other").replace("replicas: 3", "replicas: 1"));
  await pods(b, "other-", 1);
  await saved();
  await Promise.all([a.reload(), b.reload()]);
  await told(a, "Your cluster is back", 60_000);
  await told(b, "Your cluster is back", 60_000);
  await pods(a, "web-", 2);
  await pods(a, "other-", 0);
  await pods(b, "other-", 1);
  // A new one on request.
  await b.getByLabel("Share this moment").click();
  await b.getByRole("button", { name: "Start a new cluster" }).click();
  await b.waitForFunction(() => !document.querySelector(".share"), null, { timeout: 30_000 });
  await booted(b);
  await pods(b, "other-", 0);
  await home.close();
});

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
    await apply(p, WEB);
    await pods(p, "web-", 3);
    await told(p, says);
    await p.locator(".toast .x").first().click();
    await apply(p, WEB.replace("replicas: 3", "replicas: 2"));
    await pods(p, "web-", 2, 90_000);
    await saved();
    check((await p.locator(".toast", { hasText: says }).count()) === 0, "said twice");
    await c.close();
  });
}

// ---- files ----

await test("a cluster goes into a file and comes out of it; YAML is clean; the picture is a picture", async () => {
  const c = await context({ acceptDownloads: true });
  const p = await open(c);
  await booted(p);
  await apply(p, WEB);
  await pods(p, "web-", 3);
  await sleep(3_000);
  await pause(p);
  await share(p);
  const download = async (name) => {
    const [file] = await Promise.all([p.waitForEvent("download"), p.getByRole("button", { name, exact: true }).click()]);
    return { name: file.suggestedFilename(), bytes: await readFile(await file.path()) };
  };
  const cluster = await download("Cluster");
  check(/^demo-\d{8}-\d{6}\.kubottle$/.test(cluster.name), cluster.name);
  check(gunzipSync(cluster.bytes).subarray(0, 2).toString() === "KB", "not ours");
  const yours = (await download("Your objects (YAML)")).bytes.toString();
  check(/kind: Deployment/.test(yours) && /name: web/.test(yours), yours.slice(0, 500));
  check(!/managedFields|uid:|resourceVersion|status:|kind: Pod\b|kind: Node\b/.test(yours), yours.slice(0, 2_000));
  const all = (await download("All objects (YAML)")).bytes.toString();
  check((all.match(/^---$/gm) ?? []).length > 80 && /kind: Node/.test(all) && !/managedFields/.test(all), "not all");
  const svg = (await download("SVG")).bytes.toString();
  check(svg.startsWith("<svg") && /kube-apiserver/.test(svg) && !/var\(--/.test(svg.replaceAll(/style="[^"]*"/g, "")), "no picture");
  const png = (await download("PNG")).bytes;
  check(png.subarray(1, 4).toString() === "PNG" && png.length > 20_000, `${png.length} bytes`);
  await writeFile(join(shots, "picture.svg"), svg);
  await writeFile(join(shots, "picture.png"), png);
  const at = join(shots, cluster.name);
  await writeFile(at, cluster.bytes);
  const q = await open(await context());
  await booted(q);
  await q.getByLabel("Share this moment").click();
  const [chooser] = await Promise.all([q.waitForEvent("filechooser"), q.getByRole("button", { name: "Open a file…" }).click()]);
  await chooser.setFiles(at);
  await told(q, "Your cluster is back", 60_000);
  await pods(q, "web-", 3);
  // A file of somebody else.
  await writeFile(`${at}.cut`, cluster.bytes.subarray(0, 400));
  await q.getByLabel("Share this moment").click();
  const [again] = await Promise.all([q.waitForEvent("filechooser"), q.getByRole("button", { name: "Open a file…" }).click()]);
  await again.setFiles(`${at}.cut`);
  await told(q, "cut off or changed");
  await pods(q, "web-", 3);
  await rm(at);
  await rm(`${at}.cut`);
  check(p.errors.length + q.errors.length === 0, [...p.errors, ...q.errors].join("\n"));
});

// ---- other releases, offline ----

/** The site as another release: one file differs, and so does its name. */
async function release(name, change = true) {
  const at = await mkdtemp(join(tmpdir(), "kubottle-site-"));
  await cp(dist, at, { recursive: true });
  const html = (await readFile(join(at, "index.html"), "utf8")).replace(/(kubottle-release" content=")[0-9a-f]+/, `$1${name}`);
  const sha = (text) => createHash("sha256").update(text).digest("hex");
  const start = `${await readFile(join(at, "start.js"), "utf8")}// ${name}\n`;
  let sw = await readFile(join(at, "sw.js"), "utf8");
  if (change) await writeFile(join(at, "start.js"), start);
  for (const page of ["index.html", "embed.html"]) await writeFile(join(at, page), html);
  sw = sw.replace(/RELEASE = "[0-9a-f]+"/, `RELEASE = "${name}"`);
  for (const [file, text] of [["index.html", html], ["embed.html", html], ["start.js", change ? start : null]]) {
    if (text) sw = sw.replace(new RegExp(`"${file.replace(".", "\\.")}":"[0-9a-f]+"`), `"${file}":"${sha(text)}"`);
  }
  await writeFile(join(at, "sw.js"), sw);
  return at;
}

await test("a link of another release: done again, and it is said that details may differ; its own release if the site has it", async () => {
  const other = await release("00000000beef");
  const host = await serve(other);
  const c = await context();
  const p = await page(c, host.url + new URL(link).hash, host.url);
  await told(p, /details may differ|of a shared cluster/, 60_000);
  await pods(p, "web-", 3);
  await p.close();
  // The site keeps the link's release under v/.
  const mine = moment(link).split(".")[0];
  await cp(dist, join(other, "v", mine), { recursive: true });
  const q = await page(c, host.url + new URL(link).hash, host.url);
  await q.waitForURL(new RegExp(`/v/${mine}/`), { timeout: 20_000 });
  await told(q, "of a shared cluster", 60_000);
  await c.close();
  host.stop();
  await rm(other, { recursive: true });
});

await test("another release restores the last visit as after a power cut", async () => {
  const c = await context();
  const host = await serve(dist);
  const p = await page(c, host.url, host.url);
  await booted(p);
  await apply(p, WEB);
  await pods(p, "web-", 3);
  // Not before the page has made its store: whoever opens it first makes it. etcd's keys are kept once a minute.
  await saved();
  await p.waitForFunction(
    () => new Promise((done) => {
      const opening = indexedDB.open("kubottle", 1);
      opening.onsuccess = () => {
        const all = opening.result.transaction("tabs").objectStore("tabs").getAll();
        all.onsuccess = () => (opening.result.close(), done(all.result.some((r) => r.spare)));
      };
    }), null, { timeout: 90_000, polling: 2_000 });
  await p.close();
  host.become(await release("00000000cafe"));
  const q = await page(c, host.url, host.url);
  await told(q, "as after a power cut", 60_000);
  await pods(q, "web-", 3, 90_000);
  check(q.errors.length === 0, q.errors.join("\n"));
  await c.close();
  host.stop();
});

await test("offline after the first visit; a new release waits until it is wanted", async () => {
  const c = await context();
  const host = await serve(dist);
  const p = await page(c, host.url, host.url);
  await p.waitForFunction(() => navigator.serviceWorker.controller, null, { timeout: 60_000 });
  await apply(p, WEB);
  await pods(p, "web-", 3);
  await saved();
  host.stop();
  await p.reload();
  await told(p, "Your cluster is back", 60_000);
  await pods(p, "web-", 3);
  await p.getByLabel("Share this moment").click();
  await p.getByLabel("Link to this moment").waitFor({ timeout: 15_000 });
  await p.goto(`${host.url}embeds.html`);
  await p.getByRole("heading", { name: "Five clusters on one page" }).waitFor({ timeout: 10_000 });
  const port = new URL(host.url).port;
  const next = await serve(await release("00000000f00d"), {}, { port: Number(port) });
  await p.goto(host.url);
  const old = await p.locator("meta[name=kubottle-release]").getAttribute("content");
  await told(p, "A new version of Kubottle is ready", 90_000);
  check((await p.locator("meta[name=kubottle-release]").getAttribute("content")) === old, "it was loaded unasked");
  await p.locator(".toast").getByRole("button", { name: "Load it" }).click();
  await p.waitForFunction(() => document.querySelector("meta[name=kubottle-release]")?.content === "00000000f00d", null, { timeout: 30_000 });
  await box(p, "kube-apiserver").waitFor({ state: "attached", timeout: 60_000 });
  await c.close();
  next.stop();
});

// ---- frames ----

for (const sandbox of ["allow-scripts", "allow-scripts allow-same-origin"]) {
  await test(`in a frame with sandbox="${sandbox}"`, async () => {
    const c = await context();
    const html = `<!doctype html><title>frame</title><link rel="icon" href="data:,"><iframe sandbox="${sandbox}" src="${site.url}embed.html" width="900" height="600"></iframe>`;
    const outer = await serve(dist, { "/frame.html": html });
    const p = await page(c, `${outer.url}frame.html`, outer.url);
    const frame = p.frameLocator("iframe");
    await frame.locator('[data-box="kube-apiserver"]').waitFor({ state: "attached", timeout: 60_000 });
    await frame.locator('[data-box="node/node-2"]').waitFor({ state: "attached", timeout: 60_000 });
    const errors = p.errors.filter((e) => !/localStorage|sandboxed/.test(e));
    check(errors.length === 0, errors.join("\n"));
    await c.close();
    outer.stop();
  });
}

await test("a page with five embeds: one download, one after another, each its own cluster", async () => {
  const c = await context();
  paths.length = 0;
  const p = await open(c, "embeds.html");
  const ready = (id, ms = 90_000) => p.evaluate(([id, ms]) => new Promise((done, failed) => {
    const bottle = document.getElementById(id);
    if (bottle.isReady) return done();
    bottle.addEventListener("ready", done, { once: true });
    setTimeout(() => failed(new Error(`${id} is not ready`)), ms);
  }), [id, ms]);
  const began = Date.now();
  await ready("deployment");
  console.log(`     the first is ready after ${Date.now() - began} ms`);
  await shot(p, "embeds-first");
  for (const id of ["service", "components", "pod"]) {
    const waiting = ready(id);
    await p.locator(`#${id}`).scrollIntoViewIfNeeded();
    await waiting;
  }
  await p.locator("#etcd").scrollIntoViewIfNeeded();
  check((await p.locator("#etcd").evaluate((b) => b.shadowRoot.querySelector("iframe"))) === null, "it started without being pressed");
  await p.locator("#etcd").click();
  await ready("etcd", 240_000);
  console.log(`     all five after ${Date.now() - began} ms`);
  for (const file of ["/worker_bg.wasm", "/start.js"]) console.log(`     ${file}: asked for ${paths.filter((x) => x === file).length} times`);
  await p.locator("#deployment").scrollIntoViewIfNeeded();
  const { stdout } = await p.evaluate(() => document.getElementById("deployment").exec("kubectl get deployment web -o name"));
  check(stdout === "deployment.apps/web\n", stdout);
  // A bottle that isn't seen stands still, and answers when it is seen again.
  await p.locator("#components").scrollIntoViewIfNeeded();
  const none = await p.evaluate(() => document.getElementById("components").exec("kubectl get deployments -o name"));
  check(none.stdout === "", `${none.stdout}`);
  await shot(p, "embeds-five");
  check(p.errors.length === 0, p.errors.join("\n"));
  await c.close();
});

const HOST = (own) => `<!doctype html><title>host</title><link rel="icon" href="data:,"><script type="module" src="${own}kube-bottle.js"></script><kube-bottle id="b" style="height:500px" speed="10"></kube-bottle>`;
await test("the methods of <kube-bottle> from another origin", async () => {
  const c = await context();
  const outer = await serve(dist, { "/host.html": HOST(site.url) });
  const p = await page(c, `${outer.url}host.html`, outer.url);
  const b = (body) => p.evaluate(`(async () => { const b = document.getElementById("b"); ${body} })()`);
  await b(`await customElements.whenDefined("kube-bottle"); b.changes = 0; b.addEventListener("change", () => b.changes++); b.scrollIntoView();`);
  const applied = await b(`return b.apply(${JSON.stringify(WEB)});`);
  check(applied.lines.join() === "deployment.apps/web created", applied.lines.join());
  const wrong = await b(`return b.apply("kind: [").then(() => "", (e) => e.message);`);
  check(/error/.test(wrong), wrong);
  const run = await b(`return b.exec("echo $((6*7)); echo no >&2; exit 3");`);
  check(run.code === 3 && run.stdout === "42\n" && run.stderr === "no\n", JSON.stringify(run));
  await b(`await b.pause();`);
  const one = await b(`return b.snapshot();`);
  const two = await b(`return b.snapshot();`);
  check(one.digest === two.digest && one.moment === two.moment, "time doesn't stand");
  await b(`await b.step();`);
  const three = await b(`return b.snapshot();`);
  check(three.digest !== one.digest, "no step");
  await b(`await b.seek(20);`);
  const past = await b(`return b.snapshot();`);
  check(past.at < one.at, past.at);
  for (const [call, says] of [[`b.seek("x")`, "no time"], [`b.lens("x")`, "no lens"], [`b.inspect("x")`, "names no thing"], [`b.speed("x")`, "no speed"], [`b.theme("x")`, "no theme"]]) {
    const error = await b(`return ${call}.then(() => "", (e) => e.message);`);
    check(error.includes(says), `${call}: ${error}`);
  }
  await b(`await b.seek("head"); await b.lens("components"); await b.inspect("component:kube-scheduler"); await b.theme("light");`);
  check(await b(`return b.changes > 0;`), "no change was told");
  // The moment in another bottle is the same.
  const again = await b(`
    const other = document.createElement("kube-bottle");
    other.setAttribute("moment", ${JSON.stringify(one.moment)});
    document.body.append(other);
    other.scrollIntoView();
    return other.snapshot();`);
  check(again.at === one.at, `${again.at} is not ${one.at}`);
  await shot(p, "embed-host");
  await c.close();
  outer.stop();
});

await test("hostile messages of a host, and hosts that are none", async () => {
  const c = await context();
  const frame = (host) => `<!doctype html><title>evil</title><link rel="icon" href="data:,"><iframe src="${site.url}embed.html${host ? `?host=${encodeURIComponent(host)}` : ""}" width="900" height="600"></iframe>
    <script>self.heard = []; addEventListener("message", (e) => heard.push(e.data));</script>`;
  const outer = await serve(dist, { "/right.html": "<", "/wrong.html": "<" });
  outer.also["/right.html"] = frame(outer.url.slice(0, -1));
  outer.also["/wrong.html"] = frame("https://docs.example.org");
  outer.also["/none.html"] = frame("");
  const p = await page(c, `${outer.url}right.html`, outer.url);
  await p.waitForFunction(() => heard.some((m) => m.type === "ready"), null, { timeout: 60_000 });
  await p.evaluate(() => {
    const to = frames[0];
    const cyclic = { kubottle: 1, type: "apply" };
    cyclic.value = cyclic;
    for (const m of [null, 1, "x", [], {}, { kubottle: 2, type: "step" }, { kubottle: 1 }, { kubottle: 1, type: "__proto__" }, { kubottle: 1, type: "constructor", id: 1 }, { kubottle: 1, type: {}, id: {} }, cyclic, { kubottle: 1, type: "exec", id: 9007199254740993, value: {} }, { kubottle: 1, type: "seek", id: -1, value: "NaN" }, { kubottle: 1, type: "seek", id: 2, value: "1e300" }, { kubottle: 1, type: "speed", id: 3, value: "-5" }, { kubottle: 1, type: "inspect", id: 4, value: "<img src=x onerror=alert(1)>/a/b" }, new Uint8Array(1000)]) to.postMessage(m, "*");
    to.postMessage({ kubottle: 1, id: 5, type: "apply", value: "x".repeat(5 << 20) }, "*");
    to.postMessage({ kubottle: 1, id: 6, type: "exec", value: "y".repeat(100_000) }, "*");
  });
  await p.waitForFunction(() => heard.some((m) => m.id === 6), null, { timeout: 30_000 });
  const answers = await p.evaluate(() => Object.fromEntries(heard.filter((m) => m.type === "result").map((m) => [m.id, m.error ?? m.stderr ?? "ok"])));
  check(/larger than 4 MiB/.test(answers[5]) && /too long/.test(answers[6]) && /no speed/.test(answers[3]), JSON.stringify(answers));
  await p.evaluate(() => {
    for (let i = 0; i < 5_000; i++) frames[0].postMessage({ kubottle: 1, id: 100 + i, type: "step" }, "*");
  });
  await p.waitForFunction(() => heard.some((m) => m.error === "too many messages"), null, { timeout: 10_000 });
  await sleep(1_500);
  await p.evaluate(() => frames[0].postMessage({ kubottle: 1, id: 7, type: "exec", value: "echo alive" }, "*"));
  await p.evaluate(() => frames[0].postMessage({ kubottle: 1, id: 8, type: "play" }, "*"));
  await p.waitForFunction(() => heard.some((m) => m.id === 7 && m.stdout === "alive\n"), null, { timeout: 30_000 });
  check(!p.errors.some((e) => !/sandbox/.test(e)), p.errors.join("\n"));
  // Another origin than the address names, and none at all: nothing is told, nothing is done.
  for (const name of ["wrong.html", "none.html"]) {
    const q = await page(c, `${outer.url}${name}`, outer.url);
    await q.frameLocator("iframe").locator('[data-box="node/node-2"]').waitFor({ state: "attached", timeout: 60_000 });
    await q.evaluate(() => frames[0].postMessage({ kubottle: 1, id: 1, type: "exec", value: "touch /root/x" }, "*"));
    await sleep(2_000);
    check((await q.evaluate(() => heard.length)) === 0, `${name}: something was told`);
    await q.close();
  }
  await c.close();
  outer.stop();
});

await browser.close();
site.stop();
close();
