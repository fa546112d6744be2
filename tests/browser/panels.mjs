// Lenses and panels for everybody: axe on each of them, a walk with the keyboard alone, and pictures of a busy cluster.
// usage: node panels.mjs DIST [--shots DIR] [--only axe|keys|panels]
import { accessible, begin, booted, busy as make_busy, check, inspect, lens, LENSES, sleep } from "./harness.mjs";

const walk = await begin();
const { test, open, shot } = walk;
const busy = (theme) => make_busy(walk, theme);

if (walk.wants("panels") || walk.wants("axe")) {
  for (const theme of ["dark", "light"]) {
    const page = await busy(theme);
    for (const [title, name] of LENSES) {
      await test(`${theme}: ${title} has no violation`, async () => {
        await lens(page, title);
        await shot(page, `${name}-busy-${theme}`);
        await accessible(page, title);
      });
    }
    await lens(page, "Architecture");
    await test(`${theme}: why of a Pending pod names the field, in time`, async () => {
      await inspect(page, "pod/default/too-big");
      await page.locator("aside.inspector").getByRole("tab", { name: "Why?" }).click();
      await page.locator(".why").getByText("spec.containers[c].resources.requests.cpu").waitFor({ timeout: 10_000 });
      await shot(page, `why-pending-${theme}`);
      await accessible(page, "why of a Pending pod");
    });
    await test(`${theme}: why of a crash`, async () => {
      await inspect(page, "pod/default/broken");
      await page.locator(".why").getByText("no such database").first().waitFor({ timeout: 10_000 });
      await shot(page, `why-crash-${theme}`);
      await accessible(page, "why of a crash");
    });
    for (const tab of ["Overview", "YAML", "Events", "Logs"]) {
      await test(`${theme}: the tab ${tab} has no violation`, async () => {
        await page.locator("aside.inspector").getByRole("tab", { name: tab }).click();
        await sleep(400);
        await accessible(page, tab);
      });
    }
    await test(`${theme}: a controller's loop is held, stepped and released`, async () => {
      await inspect(page, "kube-controller-manager");
      await page.locator(".cells").getByText("replicaset", { exact: true }).click();
      await page.getByRole("button", { name: "Hold", exact: true }).click();
      await page.getByRole("button", { name: "Release" }).waitFor({ timeout: 10_000 });
      await page.locator(".inside").getByText("Plans").waitFor();
      await page.locator(".told").first().getByText(/wants 4, has/).first().waitFor({ timeout: 10_000 });
      await shot(page, `loop-held-${theme}`);
      await accessible(page, "a controller's loop");
      await page.getByRole("button", { name: "Release" }).click();
      await page.getByRole("button", { name: "Hold", exact: true }).waitFor({ timeout: 10_000 });
    });
    await test(`${theme}: the scheduler's queues and verdicts`, async () => {
      await inspect(page, "kube-scheduler");
      await page.locator(".inside").getByText("Last verdicts").waitFor({ timeout: 10_000 });
      await shot(page, `scheduler-${theme}`);
      await accessible(page, "kube-scheduler");
    });
    await test(`${theme}: etcd's log, tree and sizes; compact and defrag`, async () => {
      await inspect(page, "etcd");
      await page.locator(".levels li").nth(1).waitFor({ timeout: 10_000 });
      await shot(page, `etcd-${theme}`);
      await accessible(page, "etcd");
      await page.getByLabel("Speed").selectOption({ label: "1×" });
      await page.getByRole("button", { name: "Compact" }).click();
      await page.locator(".toast").getByText(/Compacted at revision/).waitFor({ timeout: 30_000 });
      await page.getByRole("button", { name: "Defrag" }).click();
      await page.locator(".toast").getByText(/Defragmented: the file/).waitFor({ timeout: 30_000 });
      await shot(page, `etcd-defragmented-${theme}`);
      await page.locator(".levels button.cell").last().click();
      await page.locator(".inside").getByRole("heading", { name: "Its revisions" }).waitFor({ timeout: 10_000 });
      await accessible(page, "a key of etcd");
    });
    await test(`${theme}: no console error`, async () => check(page.errors.length === 0, page.errors.join("\n")));
    await page.context().close();
  }
  for (const theme of ["dark", "light"]) {
    for (const [width, height, size] of [[1440, 900, "wide"], [600, 400, "embed"], [360, 800, "phone"]]) {
      const page = await busy(theme);
      await page.setViewportSize({ width, height });
      await test(`${theme} at ${width}×${height}: lenses have no violation`, async () => {
        for (const [title, name] of size === "wide" ? [] : LENSES) {
          await lens(page, title);
          await shot(page, `${name}-${size}-${theme}`);
          await accessible(page, `${title} at ${width}×${height}`);
        }
      });
      await test(`${theme} at ${width}×${height}: panels and dialogs have no violation`, async () => {
        await lens(page, "Architecture");
        for (const title of ["Terminal", "Manifests", "Objects", "Events", "Add-ons"]) {
          await pane(page, title);
          await shot(page, `${title.toLowerCase()}-${size}-${theme}`);
          await accessible(page, `${title} at ${width}×${height}`);
        }
        for (const part of ["Metrics", "Logs"]) {
          await page.locator(".addons").getByRole("tab", { name: part }).click();
          await accessible(page, `${part} at ${width}×${height}`);
        }
        await page.keyboard.press("Control+k");
        await page.locator(".palette input").waitFor({ timeout: 30_000 });
        await shot(page, `palette-${size}-${theme}`);
        await accessible(page, `the palette at ${width}×${height}`);
        await page.keyboard.type("open etcd");
        await page.locator('#palette-list li[aria-selected="true"]', { hasText: "etcd" }).waitFor({ timeout: 30_000 });
        await page.keyboard.press("Enter");
        await page.locator('aside.inspector[aria-label*="etcd"]').waitFor({ timeout: 30_000 });
        await sleep(500);
        await shot(page, `inspector-${size}-${theme}`);
        await accessible(page, `the inspector at ${width}×${height}`);
        await page.keyboard.press("Escape");
        await page.getByLabel("Share this moment").click();
        await page.getByLabel("Link to this moment").waitFor({ timeout: 30_000 });
        await shot(page, `share-${size}-${theme}`);
        await accessible(page, `Share at ${width}×${height}`);
        check(page.errors.length === 0, page.errors.join("\n"));
      });
      await page.context().close();
    }
  }
  await test("an embed's lenses have no violation", async () => {
    const page = await open(600, 400, "dark", "embed.html");
    await booted(page);
    for (const [title] of LENSES) {
      await lens(page, title);
      await accessible(page, `${title} of an embed`);
    }
    await page.context().close();
  });
}

/** Opens a pane of the dock: by its tab, by the navigation of small screens, or by the palette. */
async function pane(page, title) {
  const tab = page.locator(".dock").getByRole("tab", { name: title }).filter({ visible: true }).first();
  const entry = page.locator("nav.nav").getByRole("button", { name: title });
  if (await tab.isVisible()) await tab.click();
  else if (await entry.isVisible()) await entry.click();
  // Where there is room for both, the terminal is on screen and has no tab.
  else if (title !== "Terminal") {
    await page.keyboard.press("Control+k");
    await page.locator(".palette input:focus").waitFor({ timeout: 30_000 });
    await page.keyboard.type(title);
    await page.locator('#palette-list li[aria-selected="true"]', { hasText: title }).waitFor({ timeout: 30_000 });
    await page.keyboard.press("Enter");
  }
  await sleep(500);
}

if (walk.wants("keys")) {
  /** Presses keys only, and says where the focus is. */
  const hands = (page) => {
    const key = async (name, times = 1) => { for (let i = 0; i < times; i++) await page.keyboard.press(name); };
    const at = () => page.evaluate(() => {
      const e = document.activeElement;
      return `${e?.tagName} ${e?.id} ${e?.textContent.slice(0, 80)} ${e?.getAttribute("aria-label") ?? ""}`;
    });
    /** Tab until a button with these words has the focus. It is there: how long it takes to come is the cluster's business. */
    const tabTo = async (text, most = 300) => {
      await page.locator("button", { hasText: text }).first().waitFor({ timeout: 60_000 });
      for (let i = 0; i < most; i++) {
        const now = await at();
        if (now.startsWith("BUTTON") && now.includes(text)) return;
        await key("Tab");
      }
      throw new Error(`no way to ${text} by ${most} × Tab; the focus is at ${await at()}`);
    };
    return { key, at, tabTo };
  };
  const untouched = async (page) => {
    await page.evaluate(() => { document.activeElement?.blur(); window.pointed = 0; addEventListener("pointerdown", () => (window.pointed += 1), true); });
    return async () => check(await page.evaluate(() => window.pointed) === 0, "the pointer was used");
  };

  await test("with the keyboard alone: find a pod, open its cause, stop a node, undo it", async () => {
    const page = await busy("dark");
    const { key, at, tabTo } = hands(page);
    const by_keys = await untouched(page);
    // The palette finds the pod by its name.
    await key("Control+k");
    await page.locator(".palette input:focus").waitFor({ timeout: 60_000 });
    await page.keyboard.type("open too-big");
    await page.locator('#palette-list li[aria-selected="true"]', { hasText: "too-big" }).waitFor({ timeout: 60_000 });
    await key("Enter");
    await page.locator('aside.inspector[aria-label*="too-big"]').waitFor({ timeout: 60_000 });
    // Its cause: the first node that it does not fit.
    await page.locator(".why button", { hasText: "node-1" }).first().waitFor({ timeout: 60_000 });
    await tabTo("node-1");
    await key("Enter");
    await page.locator('aside.inspector[aria-label*="node-1"]').waitFor({ timeout: 60_000 });
    await tabTo("Power off");
    await key("Enter");
    await page.locator("aside.inspector .offers").getByRole("button", { name: "Power on" }).waitFor({ timeout: 60_000 });
    check((await at()).includes("Power on"), `the focus stays where it was; it is at ${await at()}`);
    await key("Enter");
    await page.locator("aside.inspector .offers").getByRole("button", { name: "Power off" }).waitFor({ timeout: 60_000 });
    await by_keys();
    await page.context().close();
  });
  await test("with the keyboard alone: the picture is one tab stop, arrows walk in it, Enter opens, Escape closes", async () => {
    const page = await busy("dark");
    const { key, at } = hands(page);
    const by_keys = await untouched(page);
    for (let i = 0; i < 100 && !(await at()).startsWith("MAIN stage"); i++) await key("Tab");
    check((await at()).startsWith("MAIN stage"), `the stage is a tab stop; the focus is at ${await at()}`);
    const cursor = () => page.evaluate(() => document.querySelector("#stage").getAttribute("aria-activedescendant") ?? "");
    const seen = new Set();
    // To the nodes, to the leftmost of them, and on to what waits beside it.
    for (const [name, most] of [["Home", 1], ["ArrowDown", 1], ["ArrowLeft", 14], ["ArrowDown", 8], ["ArrowUp", 14]]) {
      for (let i = 0; i < most && !(await cursor()).endsWith("too-big"); i++) {
        await key(name);
        seen.add(await cursor());
      }
    }
    check((await cursor()).endsWith("too-big"), `arrows come to ${[...seen].join(", ")}`);
    await key("Enter");
    await page.locator('aside.inspector[aria-label*="too-big"]').waitFor({ timeout: 60_000 });
    await key("Escape");
    await page.waitForFunction(() => !document.querySelector('aside.inspector[aria-label*="too-big"]'), null, { timeout: 60_000 });
    await by_keys();
    await page.context().close();
  });
}

await walk.end();
