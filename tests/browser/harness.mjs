// What every walk through the page in Chromium needs: a browser, a count of what passed, and the things that are done again and again.
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { serve } from "./serve.mjs";
import { close, launch, page as visit, sleep, test } from "./walk.mjs";

export { apply, check, sleep } from "./walk.mjs";

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
    async open(width, height, theme, path = "", options = {}) {
      const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, ...options });
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
