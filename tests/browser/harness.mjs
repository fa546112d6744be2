// What every walk through the page in Chromium needs: a browser, a count of what passed, and the things that are done again and again.
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { chromium } from "playwright-core";
import { serve } from "./serve.mjs";

const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export function check(condition, text) {
  if (!condition) throw new Error(text);
}

/** A browser on the site at the path of the first argument; `--shots DIR` keeps pictures. */
export async function begin(also = {}) {
  const dist = resolve(process.argv[2] ?? "dist");
  const at = process.argv.indexOf("--shots");
  const shots = at < 0 ? null : resolve(process.argv[at + 1] ?? ".");
  const only = process.argv.indexOf("--only");
  const wanted = only < 0 ? "" : process.argv[only + 1];
  if (shots) await mkdir(shots, { recursive: true });
  const site = await serve(dist, also);
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGS });
  let passed = 0;
  let failed = 0;
  return {
    site,
    browser,
    wants: (part) => !wanted || part.startsWith(wanted),
    async test(name, body) {
      const began = Date.now();
      try {
        await body();
        passed += 1;
        console.log(`ok   ${name} (${Date.now() - began} ms)`);
      } catch (error) {
        failed += 1;
        console.log(`FAIL ${name} (${Date.now() - began} ms)\n     ${String(error?.stack ?? error).split("\n").slice(0, 12).join("\n     ")}`);
      }
    },
    async open(width, height, theme, path = "", options = {}) {
      const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, ...options });
      const page = await context.newPage();
      page.errors = [];
      page.on("console", (m) => m.type() === "error" && page.errors.push(m.text()));
      page.on("pageerror", (e) => page.errors.push(String(e)));
      await page.goto(site.url + path);
      return page;
    },
    async shot(page, name) {
      if (shots) await page.screenshot({ path: join(shots, `${name}.png`) });
    },
    async end() {
      await browser.close();
      site.stop();
      console.log(`${passed} passed, ${failed} failed`);
      process.exit(failed ? 1 : 0);
    },
  };
}

/** The boot is over: skipped, or played. */
export async function booted(page) {
  await page.getByRole("button", { name: "Skip", exact: true }).click({ timeout: 8_000 }).catch(() => {});
  await page.waitForFunction(() => !document.querySelector(".boot") && document.querySelectorAll("[data-box], .list li").length > 8, null, { timeout: 180_000 });
}

export async function lens(page, title) {
  const pick = page.locator(".lens-pick");
  if (await pick.isVisible()) await pick.selectOption({ label: title });
  else await page.getByRole("tab", { name: title, exact: true }).click();
  await page.waitForFunction(() => document.querySelectorAll("[data-box], .list li").length > 3, null, { timeout: 20_000 });
  await sleep(700);
}

export async function apply(page, yaml) {
  await page.evaluate(() => document.querySelector('[role="tab"][aria-controls="manifests"]')?.click());
  const area = page.locator(".cm-content").first();
  await area.click();
  await page.keyboard.press("Control+A");
  await page.keyboard.insertText(yaml);
  await page.keyboard.press("Control+Enter");
}

/** Opens a box's inspector by its id, whatever lies over it. */
export async function inspect(page, id) {
  await page.locator(`[data-box="${id}"]`).first().dispatchEvent("click");
  await page.locator("aside.inspector .tabs").waitFor({ timeout: 10_000 });
}
