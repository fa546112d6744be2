// The acceptance walk in headless Chromium: boot, apply, inspect, terminal, timeline, sizes and themes.
// usage: node run.mjs DIST [--shots DIR]     closing line: "N passed, M failed"
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { chromium } from "playwright-core";
import { serve } from "./serve.mjs";

const dist = resolve(process.argv[2] ?? "dist");
const shotsAt = process.argv.indexOf("--shots");
const shots = resolve(shotsAt < 0 ? "." : (process.argv[shotsAt + 1] ?? "."));
await mkdir(shots, { recursive: true });
const site = await serve(dist);
const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGS });

let passed = 0;
let failed = 0;
async function test(name, body) {
  const began = Date.now();
  try {
    await body();
    passed += 1;
    console.log(`ok   ${name} (${Date.now() - began} ms)`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name} (${Date.now() - began} ms)\n     ${String(error?.stack ?? error).split("\n").slice(0, 6).join("\n     ")}`);
  }
}
function check(condition, text) {
  if (!condition) throw new Error(text);
}
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** A page that notes console errors and requests to other hosts. */
async function open(width, height, theme, path = "") {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme });
  const page = await context.newPage();
  page.errors = [];
  page.foreign = [];
  page.on("console", (m) => m.type() === "error" && page.errors.push(m.text()));
  page.on("pageerror", (e) => page.errors.push(String(e)));
  page.on("request", (r) => !r.url().startsWith(site.url) && !/^(data|blob):/.test(r.url()) && page.foreign.push(r.url()));
  await page.goto(site.url + path);
  return page;
}
const box = (page, id) => page.locator(`[data-box="${id}"]`);
const boots = (page, ms = 30_000) => box(page, "node/node-2").waitFor({ state: "attached", timeout: ms });
async function booted(page) {
  await page.waitForFunction(() => !document.querySelector(".boot"), null, { timeout: 60_000 });
}
async function shot(page, name) {
  await page.screenshot({ path: join(shots, `${name}.png`) });
}
async function apply(page, yaml) {
  await page.evaluate(() => document.querySelector('[role="tab"][aria-controls="manifests"]')?.click());
  const area = page.locator(".cm-content").first();
  await area.click();
  await page.keyboard.press("Control+A");
  await page.keyboard.insertText(yaml);
  await page.keyboard.press("Control+Enter");
}
const WEB = `apiVersion: v1
kind: Service
metadata: {name: my-service}
spec:
  selector: {app: MyApp}
  ports: [{protocol: TCP, port: 80, targetPort: 80}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: MyApp}}
  template:
    metadata: {labels: {app: MyApp}}
    spec:
      containers: [{name: nginx, image: "nginx:1.27", ports: [{containerPort: 80}]}]
`;

const page = await open(1440, 900, "dark");
await test("something true is on screen within two seconds", async () => {
  await box(page, "kube-apiserver").waitFor({ state: "attached", timeout: 20_000 });
  const ms = await page.evaluate(() => performance.now());
  console.log(`     first picture after ${Math.round(ms)} ms`);
  check(ms <= 2_000, `it took ${Math.round(ms)} ms`);
});
await test("the demo cluster boots for real", async () => {
  await boots(page);
  await booted(page);
  await shot(page, "boot-dark");
  check(await box(page, "kubelet/node-1").count(), "no kubelet of node-1");
});
await test("applied YAML becomes pods that run", async () => {
  await apply(page, WEB);
  await page.waitForFunction(() => document.querySelectorAll('[data-box^="pod/default/web-"]').length === 3, null, { timeout: 60_000 });
  await shot(page, "apply-dark");
  await page.waitForFunction(
    () => [...document.querySelectorAll('[data-box^="pod/default/web-"]')].every((b) => /Running/.test(b.getAttribute("aria-label"))), null, { timeout: 120_000 });
  await shot(page, "architecture-dark");
});
await test("a pod opens in the inspector", async () => {
  await page.locator('[data-box^="pod/default/web-"]').first().click();
  await page.locator('aside.inspector[aria-label*="web-"]').waitFor({ timeout: 10_000 });
  await page.getByRole("tab", { name: "YAML" }).click();
  await page.waitForFunction(() => /kind: Pod/.test(document.querySelector("#inspector-body")?.textContent ?? ""), null, { timeout: 10_000 });
  await shot(page, "inspector-dark");
});
await test("the terminal is a shell with kubectl", async () => {
  await page.locator(".term").first().click();
  await page.keyboard.type("kubectl get pods -o wide\n");
  await page.waitForFunction(() => /Running/.test(document.querySelector(".term .xterm-rows, .term")?.textContent ?? ""), null, { timeout: 30_000 });
  await shot(page, "terminal-dark");
});
await test("the pod creation flow is drawn from the trace", async () => {
  await page.getByRole("tab", { name: "Pod creation" }).click();
  await page.locator('[data-box="lifeline/etcd"]').waitFor({ state: "attached", timeout: 10_000 });
  await page.waitForFunction(() => document.querySelectorAll('[data-edge^="message/"]').length > 10, null, { timeout: 10_000 });
  await shot(page, "pod-creation-dark");
});
await test("a message opens with its cause", async () => {
  await page.locator('[data-edge^="message/"]').first().dispatchEvent("click");
  await page.locator('aside.inspector').getByText(/message \d+/).first().waitFor({ timeout: 10_000 });
  await page.getByRole("tab", { name: "Architecture" }).click();
});
await test("pause stands still, and the timeline goes back", async () => {
  await page.locator("body").click({ position: { x: 700, y: 20 } });
  await page.getByLabel(/Pause/).first().click();
  await sleep(300);
  const scrub = page.locator(".scrub");
  const area = await scrub.boundingBox();
  await page.mouse.click(area.x + area.width * 0.3, area.y + area.height / 2);
  await page.waitForFunction(() => document.querySelectorAll('[data-box^="pod/default/web-"]').length === 0, null, { timeout: 15_000 });
  await shot(page, "past-dark");
});
await test("no console error, no request to another host", async () => {
  check(page.errors.length === 0, page.errors.join("\n"));
  check(page.foreign.length === 0, page.foreign.join("\n"));
});
await page.context().close();

for (const [width, height, theme, name, path] of [
  [1440, 900, "light", "architecture-light", ""],
  [600, 400, "dark", "embed-dark", "embed.html"],
  [360, 800, "dark", "phone-dark", ""],
  [360, 800, "light", "phone-light", ""],
]) {
  await test(`${name} at ${width}×${height}`, async () => {
    const p = await open(width, height, theme, path);
    await p.waitForFunction(() => document.querySelector("[data-box], .list, table"), null, { timeout: 30_000 });
    await sleep(7_500);
    await shot(p, name);
    const overflow = await p.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    check(overflow <= 0, `the page is ${overflow} px too wide`);
    check(p.errors.length === 0, p.errors.join("\n"));
    await p.context().close();
  });
}
await browser.close();
site.stop();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
