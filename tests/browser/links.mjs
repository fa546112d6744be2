// Links to a moment, restored clusters, files, pictures, other releases, offline: in headless Chromium. Embeds are embeds.mjs'.
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
const site = await serve(dist, {}, { headers: { "access-control-allow-origin": "*" } });
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
  check((await p.locator(".boot").count()) === 0, "it says that the cluster boots");
  console.log(`     replayed after ${Date.now() - began} ms`);
  await pods(p, "web-", 3);
  await shot(p, "link-opened-dark");
  // That toast is of a replay that met the hash: another one would have said that details may differ. The terminal that the page opens
  // and sizes is nothing that the visitor does: what is shared from here is the same moment, hash and all, until something is done.
  await p.locator(".term .xterm-rows", { hasText: "$" }).first().waitFor({ timeout: 15_000 });
  check(moment(await share(p)) === moment(link), "what is shared from here is another moment");
  await p.keyboard.press("Escape");
  await p.setViewportSize({ width: 1200, height: 700 });
  await sleep(600);
  check(moment(await share(p)) === moment(link), "another size of the window makes it another moment");
  await p.keyboard.press("Escape");
  await p.locator(".term").first().click();
  await p.keyboard.type("echo still $((6*7))\n");
  await p.locator(".term .xterm-rows", { hasText: "still 42" }).first().waitFor({ timeout: 15_000 });
  check(moment(await share(p)) !== moment(link), "what was typed is not in it");
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
});
await home.close();

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
  const other = await context();
  const q = await open(other);
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
  await c.close();
  await other.close();
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
  // A service worker would keep the release that was there first.
  const c = await context({ serviceWorkers: "block" });
  const host = await serve(dist);
  const p = await page(c, host.url, host.url);
  await booted(p);
  await apply(p, WEB);
  await pods(p, "web-", 3);
  // Not before the page has made its store: whoever opens it first makes it. etcd's keys are kept once a minute.
  await saved();
  const spare = () =>
    p.evaluate(
      () => new Promise((done) => {
        const opening = indexedDB.open("kubottle", 1);
        opening.onsuccess = () => {
          const all = opening.result.transaction("tabs").objectStore("tabs").getAll();
          all.onsuccess = () => (opening.result.close(), done(all.result.some((r) => r.spare?.length > 0)));
        };
      }),
    );
  const limit = Date.now() + 120_000;
  while (!(await spare())) {
    check(Date.now() < limit, "etcd's keys were not kept");
    await p.waitForTimeout(2_000);
  }
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

await browser.close();
site.stop();
close();
