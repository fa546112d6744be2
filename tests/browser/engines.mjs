// The same site in Firefox and WebKitGTK: boot, terminal, the hash of a moment, a lab, embeds. Chromium has the long walks.
// usage: node engines.mjs DIST [--shots DIR] [--engines firefox,webkit]     closing line: "N passed, M failed"
import { createHash } from "node:crypto";
import { copyFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { serve } from "./serve.mjs";
import { check, close, test, WEB } from "./walk.mjs";
import { ENGINES, launch, missing } from "./webdriver.mjs";

const option = (name, otherwise) => (process.argv.includes(name) ? process.argv[process.argv.indexOf(name) + 1] : otherwise);
const dist = resolve(process.argv[2] ?? "dist");
const shots = resolve(option("--shots", "target/browser"));
const engines = option("--engines", "firefox,webkit").split(",");
await mkdir(shots, { recursive: true });

const DIGEST = `<!doctype html><title>digest</title><link rel="icon" href="data:,"><script src="./problems.js"></script><script type="module">
import { digest } from "./digest.mjs";
fetch("./digest.yaml").then((answer) => answer.text()).then(digest).then((hash) => (window.hash = hash));</script>`;
const HOST = (site, attributes) => `<!doctype html><title>host</title><link rel="icon" href="data:,"><script src="${site}problems.js"></script>
<script type="module" src="${site}kube-bottle.js"></script><kube-bottle id="b" ${attributes} style="height:600px" speed="10"></kube-bottle>`;

/** A copy of the site whose pages keep what goes wrong in them; the service worker knows them as they are now. */
async function watched() {
  const folder = await mkdtemp(join(tmpdir(), "kubottle-engines-"));
  await cp(dist, folder, { recursive: true });
  const sha256 = (text) => createHash("sha256").update(text).digest("hex");
  let worker = await readFile(join(folder, "sw.js"), "utf8");
  for (const name of ["index.html", "embed.html"]) {
    const html = await readFile(join(folder, name), "utf8");
    const with_problems = html.replace("<title>", '<script src="./problems.js"></script><title>');
    await writeFile(join(folder, name), with_problems);
    worker = worker.replaceAll(sha256(html), sha256(with_problems));
  }
  await writeFile(join(folder, "sw.js"), worker);
  for (const file of ["tests/browser/problems.js", "tests/browser/digest.mjs", "benches/browser/visit.mjs", "tests/golden/digest.yaml"]) {
    await copyFile(file, join(folder, file.split("/").at(-1)));
  }
  await writeFile(join(folder, "digest.html"), DIGEST);
  return folder;
}

/** What went wrong in the page or in the frame: scripts, files, and what the page itself says of an error. */
async function clean(browser, site) {
  const problems = await browser.run(() => [...(window.problems ?? ["problems.js is not in the page"]), ...[...document.querySelectorAll(".toast.error p")].map((p) => p.textContent)]);
  // Firefox prints what nobody caught, in workers too.
  problems.push(...browser.said.split("\n").filter((line) => line.includes("JavaScript error: ") && line.includes(site.url)));
  browser.said = "";
  check(problems.length === 0, problems.join("\n"));
}

const inside = (browser) => browser.frame(() => document.getElementById("b").shadowRoot.querySelector("iframe"));

/** The policy holds: no script runs that isn't a file of the site. Last, because it counts as a problem; that is told a little later. */
async function strict(browser) {
  const ran = await browser.run(() => {
    const script = document.createElement("script");
    script.textContent = "window.ran = true";
    document.head.append(script);
    return window.ran;
  });
  check(!ran, "a script inside the page has run");
  await browser.wait("the policy's word on it", 10_000, () => window.problems.some((p) => p.includes("policy forbids")));
}

const booted = (browser, ms = 180_000) =>
  browser.wait("the end of the boot", ms, () => !document.querySelector(".boot") && document.querySelectorAll('[data-box^="node/"]').length >= 3);
const terminal = (browser, what, pattern, ms = 60_000) =>
  browser.wait(what, ms, (source) => {
    const text = [...document.querySelectorAll(".term .xterm-rows > div")].map((row) => row.textContent.replaceAll("\u00a0", " ").trimEnd()).join("\n");
    return new RegExp(source, "m").test(text) && text;
  }, pattern);

async function walk(name, browser, site) {
  const shot = (what) => browser.shot(join(shots, `${name}-${what}.png`));

  await test(`${name}: the demo cluster boots`, async () => {
    const began = Date.now();
    await browser.go(site.url);
    await browser.wait("the first picture", 30_000, () => document.querySelector('[data-box="kube-apiserver"]'));
    console.log(`     first picture after ${Date.now() - began} ms`);
    await booted(browser);
    console.log(`     booted after ${Date.now() - began} ms`);
    const [box, wide] = await browser.run(() => [document.querySelector('[data-box="kube-apiserver"]').getBoundingClientRect().toJSON(), document.documentElement.scrollWidth - innerWidth]);
    check(box.width > 40 && box.height > 20 && box.left >= 0 && box.top >= 0, `kube-apiserver is drawn at ${JSON.stringify(box)}`);
    check(wide <= 0, `the page is ${wide} px too wide`);
    await shot("boot");
    await clean(browser, site);
    await strict(browser);
    await browser.run(() => void (window.problems.length = 0));
  });
  await test(`${name}: the terminal answers, and all are Ready`, async () => {
    await browser.click(".term");
    await browser.type("kubectl wait --for=condition=Ready nodes,pods --all -A --timeout=5m >/dev/null && clear && kubectl get nodes && echo all-of-$((1+2))");
    const text = await terminal(browser, "kubectl", "^all-of-3$", 180_000);
    const lines = text.match(/^(cp|node)-\d+ .*$/gm) ?? [];
    check(lines.length === 3 && lines.every((line) => /^\S+ +Ready /.test(line)), text);
    await shot("terminal");
    await clean(browser, site);
  });
  await test(`${name}: a moment has the same hash as natively`, async () => {
    const native = (await readFile("tests/golden/digest.txt", "utf8")).trim();
    await browser.go(`${site.url}digest.html`);
    const hash = await browser.wait("the hash", 180_000, () => window.hash ?? window.problems[0]);
    check(hash === native, `here ${hash}, natively ${native}`);
    await clean(browser, site);
  });
  await test(`${name}: a lab is solved, step by step`, async () => {
    await browser.go(`${site.url}?lab=cluster`);
    for (let step = 1; step <= 3; step++) {
      await browser.wait(`step ${step}`, 180_000, (step) => document.querySelector("section.lab h2")?.textContent.startsWith(`${step}. `), step);
      if (step === 2) await shot("lab");
      await browser.click("section.lab > footer button", "Solve this step", 120_000);
      if (step < 3) await browser.click("section.lab > footer button", "Next step", 120_000);
    }
    await browser.wait("the end of the lab", 120_000, () => document.querySelector("section.lab > footer")?.textContent.includes("All steps passed"));
    await shot("lab-solved");
    await clean(browser, site);
  });
  for (const [what, attributes] of [["of another origin", ""], ["without an origin", "sandboxed"]]) {
    await test(`${name}: an embed ${what} is ready, applies and answers`, async () => {
      const outer = await serve(dist, { "/host.html": HOST(site.url, attributes) });
      try {
        await browser.go(`${outer.url}host.html`);
        await browser.run(() => {
          const bottle = document.getElementById("b");
          bottle.addEventListener("error", (event) => window.problems.push(`the bottle says: ${event.detail?.text}`));
        });
        await browser.wait("ready", 180_000, () => document.getElementById("b").isReady);
        await browser.run((yaml) => {
          const note = (name) => [(value) => (window[name] = value), (error) => (window[name] = { error: error.message })];
          const bottle = document.getElementById("b");
          const line = "kubectl wait --for=condition=Available deployment/web --timeout=5m >/dev/null && kubectl get deployment web -o name";
          bottle.apply(yaml).then((answer) => (note("applied")[0](answer), bottle.exec(line))).then(...note("ran"));
        }, WEB);
        const applied = await browser.wait("apply", 60_000, () => window.applied ?? window.ran);
        check(applied.lines?.join() === "deployment.apps/web created", JSON.stringify(applied));
        const ran = await browser.wait("exec", 180_000, () => window.ran);
        check(ran.code === 0 && ran.stdout === "deployment.apps/web\n", JSON.stringify(ran));
        await shot(attributes ? "embed-sandboxed" : "embed");
        await clean(browser, outer);
        await inside(browser);
        const pods = await browser.run(() => document.querySelectorAll('[data-box^="pod/default/web-"]').length);
        check(pods === 3, `${pods} pods are drawn`);
        await clean(browser, site);
        await strict(browser);
      } catch (error) {
        await inside(browser).catch(() => {});
        const says = await browser.run(() => [...(window.problems ?? ["none of its scripts has run"]), document.body.innerText.replace(/\s+/g, " ").slice(0, 150)]);
        throw new Error(`${error.message}\nthe frame says: ${says.join("; ")}`);
      } finally {
        await browser.frame();
        outer.stop();
      }
    });
  }
}

const folder = await watched();
const site = await serve(folder, {}, { headers: { "access-control-allow-origin": "*" } });
for (const name of engines) {
  let browser = null;
  await test(`${name}: starts`, async () => {
    check(ENGINES[name], `there is no engine ${name} here: ${Object.keys(ENGINES).join(", ")}`);
    const lacks = missing(name);
    check(lacks.length === 0, `not installed; it needs ${lacks.join(", ")}: tools/setup.sh --engines`);
    browser = await launch(name);
    console.log(`     ${browser.version}`);
  });
  if (!browser) continue;
  await walk(name, browser, site);
  await browser.end();
}
site.stop();
await rm(folder, { recursive: true });
close();
