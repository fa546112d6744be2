// Frames and embeds: sandboxed, five on one page and what that costs, from another origin, and hostile hosts: in headless Chromium.
// usage: node embeds.mjs DIST [--shots DIR]     closing line: "N passed, M failed"
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { serve } from "./serve.mjs";
import { check, close, launch, page, sleep, test, WEB } from "./walk.mjs";

const dist = resolve(process.argv[2] ?? "dist");
const shotsAt = process.argv.indexOf("--shots");
const shots = resolve(shotsAt < 0 ? "target/browser" : process.argv[shotsAt + 1]);
await mkdir(shots, { recursive: true });
const site = await serve(dist, {}, { headers: { "access-control-allow-origin": "*" } });
const browser = await launch();
const context = (options = {}) => browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "dark", ...options });
const shot = (p, name) => p.screenshot({ path: join(shots, `${name}.png`) });

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

const ready = (p, id, ms = 120_000) => p.evaluate(([id, ms]) => new Promise((done, failed) => {
  const bottle = document.getElementById(id);
  if (bottle.isReady) return done();
  bottle.addEventListener("ready", done, { once: true });
  setTimeout(() => failed(new Error(`${id} is not ready`)), ms);
}), [id, ms]);
/**
 * A site of its own that notes what it has really sent: files and bytes. What an embed is to be stands in its address, so that the page
 * in it, of 3 kB, is a file for each (and is sent once for each); everything else is for all.
 */
async function counted(dated) {
  const sent = new Map();
  const host = await serve(dist, {}, { dated, seen: (path, status, bytes, address) => {
    const file = path === "/embed.html" ? address : path;
    if (status === 200) sent.set(file, [...(sent.get(file) ?? []), bytes]);
  } });
  const bytes = (files) => files.flatMap(([, sizes]) => sizes).reduce((sum, n) => sum + n, 0);
  return { ...host, again: () => [...sent].filter(([, sizes]) => sizes.length > 1).map(([path]) => path), kb: () => Math.round(bytes([...sent]) / 1000) };
}

await test("a page with five embeds: one download, one after another, each its own cluster", async () => {
  const c = await context();
  const host = await counted(true);
  const p = await page(c, `${host.url}embeds.html`, host.url);
  const began = Date.now();
  const after = (what) => console.log(`     ${what} after ${Date.now() - began} ms, ${host.kb()} kB sent`);
  await ready(p, "deployment");
  after("the first is ready");
  await shot(p, "embeds-first");
  for (const id of ["service", "components", "pod"]) {
    const waiting = ready(p, id);
    await p.locator(`#${id}`).scrollIntoViewIfNeeded();
    await waiting;
    after(id);
  }
  await p.locator("#etcd").scrollIntoViewIfNeeded();
  check((await p.locator("#etcd").evaluate((b) => b.shadowRoot.querySelector("iframe"))) === null, "it started without being pressed");
  await p.locator("#etcd").click();
  await ready(p, "etcd", 240_000);
  after("all five");
  check(host.again().length === 0, `sent more than once: ${host.again().join(", ")}`);
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
  host.stop();
});

await test("from a host that says nothing of caches, embeds share the modules still", async () => {
  const c = await context();
  const host = await counted(false);
  const p = await page(c, `${host.url}embeds.html`, host.url);
  for (const id of ["deployment", "service", "components"]) {
    await p.locator(`#${id}`).scrollIntoViewIfNeeded();
    await ready(p, id);
    console.log(`     ${id}: ${host.kb()} kB sent`);
  }
  // What a module's second part is wanted for at once is asked for while the worker waits, and such a request can't say so.
  const modules = host.again().filter((path) => path.endsWith("_bg.wasm"));
  check(modules.length === 0, `sent more than once: ${modules.join(", ")}`);
  await c.close();
  host.stop();
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
  check(again.at === one.at && again.digest === one.digest, `${again.at} ${again.digest} is not ${one.at} ${one.digest}`);
  check(again.moment === one.moment, "it has another past");
  await shot(p, "embed-host");
  await c.close();
  outer.stop();
});

await test("a command fails when its bottle is silent, not while others are before it in the line", async () => {
  const c = await context();
  const bottles = Array.from({ length: 12 }, (_, i) => `<kube-bottle id="b${i}" src="silent/" start="click"></kube-bottle>`).join("");
  const outer = await serve(dist, { "/silent/embed.html": "<!doctype html><title>silent</title>", "/line.html": `<!doctype html><title>line</title><link rel="icon" href="data:,"><script type="module" src="kube-bottle.js"></script>${bottles}` });
  const p = await c.newPage();
  await p.clock.install();
  await p.goto(`${outer.url}line.html`);
  await p.evaluate(async () => {
    await customElements.whenDefined("kube-bottle");
    self.failed = {};
    for (const b of document.querySelectorAll("kube-bottle")) b.exec("true").catch((error) => (self.failed[b.id] = error.message));
  });
  const after = async (seconds) => {
    // A turn lasts 15 s at most; what comes next in the line is begun between two steps of the clock.
    for (let s = 0; s < seconds; s += 5) await p.clock.runFor(5_000);
    return p.evaluate(() => self.failed);
  };
  const first = await after(130);
  check(first.b0 === "the bottle does not answer", JSON.stringify(first));
  check(first.b8 === undefined && first.b11 === undefined, `it was not its turn yet: ${JSON.stringify(first)}`);
  const all = await after(200);
  check(all.b11 === "the bottle does not answer", JSON.stringify(all));
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
