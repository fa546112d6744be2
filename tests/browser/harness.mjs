// What every walk through the page in Chromium needs: a browser, a count of what passed, and the things that are done again and again.
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { serve } from "./serve.mjs";
import { apply, check, close, launch, page as visit, SERVED, sleep, test } from "./walk.mjs";

export { apply, check, SERVED, sleep } from "./walk.mjs";

/** A browser on the site at the path of the first argument; `--shots DIR` keeps pictures, `--only PART` is one part of the walk. */
export async function begin(also = {}) {
  const dist = resolve(process.argv[2] ?? "dist");
  const at = process.argv.indexOf("--shots");
  const shots = at < 0 ? null : resolve(process.argv[at + 1] ?? ".");
  const only = process.argv.indexOf("--only");
  const wanted = only < 0 ? "" : process.argv[only + 1];
  if (shots) await mkdir(shots, { recursive: true });
  const site = await serve(dist, also);
  const browser = await launch();
  return {
    site,
    browser,
    test,
    wants: (part) => !wanted || part.startsWith(wanted),
    /** `script` runs in the page before its own ones. */
    async open(width, height, theme, path = "", { script, ...options } = {}) {
      const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, ...options });
      if (script) await context.addInitScript(script);
      return visit(context, site.url + path, site.url);
    },
    async shot(page, name) {
      if (shots) await page.screenshot({ path: join(shots, `${name}.png`) });
    },
    async end() {
      await browser.close();
      site.stop();
      close();
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

/** Opens a box's inspector by its id, whatever lies over it. */
export async function inspect(page, id) {
  await page.locator(`[data-box="${id}"]`).first().dispatchEvent("click");
  await page.locator("aside.inspector .tabs").waitFor({ timeout: 10_000 });
}

/** The lenses: as they are called, and as their pictures are. */
export const LENSES = [["Architecture", "architecture"], ["Components", "components"], ["Control plane", "control-plane"], ["Service network", "service-network"], ["Pod creation", "pod-creation"]];

/** A Service with its pods, one pod that fits nowhere, one that crashes. */
export const BUSY = `${SERVED.replace("replicas: 3", "replicas: 4")}---
apiVersion: v1
kind: Pod
metadata: {name: too-big}
spec:
  containers: [{name: c, image: "nginx:1.27", resources: {requests: {cpu: "64"}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: broken}
spec:
  containers: [{name: c, image: "busybox:1.36", command: [sh, -c, "echo no such database; exit 3"]}]
`;

/** A page on the demo cluster with all of that. */
export async function busy(walk, theme) {
  const page = await walk.open(1440, 900, theme);
  await booted(page);
  await page.getByLabel("Speed").selectOption({ label: "10×" });
  await apply(page, BUSY);
  await page.waitForFunction(() => document.querySelector('[data-box="pod/default/too-big"]') && /Running/.test(document.querySelector('[data-box^="pod/default/web-"]')?.getAttribute("aria-label") ?? ""), null, { timeout: 120_000 });
  await page.waitForFunction(() => /CrashLoopBackOff|Error/.test(document.querySelector('[data-box="pod/default/broken"]')?.getAttribute("aria-label") ?? ""), null, { timeout: 120_000 });
  await page.getByLabel("Speed").selectOption({ label: "Auto" });
  return page;
}

/** No text of a box runs over its edge. */
export async function contained(page, what) {
  const over = await page.evaluate(() => [...document.querySelectorAll(".canvas g.box:not(.laptop)")].flatMap((g) => {
    const room = g.querySelector(":scope > rect.shape")?.getBoundingClientRect();
    const texts = room ? [...g.querySelectorAll(":scope > text")] : [];
    const outside = (r) => r.width > 0 && (r.left < room.left + 1 || r.right > room.right - 1);
    return texts.filter((t) => outside(t.getBoundingClientRect())).map((t) => `${g.dataset.box}: ${t.textContent}`);
  }));
  check(over.length === 0, `${what}: texts run over their boxes: ${over.slice(0, 5).join("; ")}`);
}

/** No violation of WCAG 2.2 A and AA, but for what is listed with its reason. */
export async function accessible(page, what) {
  await page.evaluate(await AXE);
  const found = await page.evaluate(async () => {
    const run = { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] };
    // xterm.js and CodeMirror are others' work: their insides are theirs. A dot fades out where it arrives, and is measured while it does.
    const result = await window.axe.run({ exclude: [[".xterm"], [".cm-editor"], [".dots"]] }, { runOnly: run, resultTypes: ["violations"] });
    return result.violations.map((v) => `${v.id} (${v.impact}): ${v.nodes.slice(0, 3).map((n) => `${n.target.join(" ")} ${n.failureSummary?.split("\n")[1] ?? ""}`).join(" | ")}`);
  });
  check(found.length === 0, `${what}:\n${found.join("\n")}`);
}

const AXE = readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
