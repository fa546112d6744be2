// What the walks share: tests with a closing count, a browser, pages that note what must not happen.
import { chromium } from "playwright-core";

const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGS });

let passed = 0;
let failed = 0;
const only = process.env.ONLY && new RegExp(process.env.ONLY);

/** The Deployment that walks apply. */
export const WEB = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: nginx, image: "nginx:1.27"}]
`;

/** The same behind a Service. */
export const SERVED = `apiVersion: v1
kind: Service
metadata: {name: my-service}
spec:
  selector: {app: MyApp}
  ports: [{protocol: TCP, port: 80, targetPort: 80}]
---
${WEB.replaceAll("app: web", "app: MyApp")}`;

/** Runs one test; ONLY=words runs those whose name has the words. */
export async function test(name, body) {
  if (only && !only.test(name)) return;
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

export function check(condition, text) {
  if (!condition) throw new Error(text);
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Says how many passed; the process ends with it. */
export function close() {
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

/** A page of a context that notes console errors and requests to other hosts. */
export async function page(context, url, own) {
  const p = await context.newPage();
  p.errors = [];
  p.foreign = [];
  p.on("console", (m) => m.type() === "error" && p.errors.push(m.text()));
  p.on("pageerror", (e) => p.errors.push(String(e)));
  p.on("request", (r) => !r.url().startsWith(own) && !/^(data|blob|chrome):/.test(r.url()) && p.foreign.push(r.url()));
  if (url) await p.goto(url);
  return p;
}

export const box = (p, id) => p.locator(`[data-box="${id}"]`);

/** The boot is over. */
export async function booted(p, ms = 60_000) {
  await p.waitForFunction(() => document.querySelector("[data-box]") && !document.querySelector(".boot"), null, { timeout: ms });
}

export async function apply(p, yaml) {
  await p.evaluate(() => document.querySelector('[role="tab"][aria-controls="manifests"]')?.click());
  await p.locator(".cm-content").first().click();
  await p.keyboard.press("Control+A");
  await p.keyboard.insertText(yaml);
  await p.keyboard.press("Control+Enter");
}

/** So many pods whose names begin so are drawn. */
export const pods = (p, name, n, ms = 60_000) =>
  p.waitForFunction(([name, n]) => document.querySelectorAll(`[data-box^="pod/default/${name}"]`).length === n, [name, n], { timeout: ms });

/** A toast says this. */
export const told = (p, text, ms = 15_000) => p.locator(".toast", { hasText: text }).first().waitFor({ timeout: ms });
