// Lenses and panels for everybody: axe on each of them, a walk with the keyboard alone, and pictures of a busy cluster.
// Also what the stage itself does: the map of a picture that doesn't fit, tips, the playhead.
// usage: node panels.mjs DIST [--shots DIR] [--only axe|keys|panels|stage]
import { accessible, begin, booted, busy as make_busy, check, contained, inspect, lens, LENSES, sleep } from "./harness.mjs";

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
        await contained(page, title);
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
          await contained(page, `${title} at ${width}×${height}`);
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

if (walk.wants("stage")) {
  const page = await busy("dark");
  const transform = () => page.evaluate(() => document.querySelector(".canvas").style.transform);
  await test("a map shows where one is in a picture that doesn't fit, leads elsewhere, and goes when all is seen", async () => {
    await page.getByLabel("Fit the picture").click();
    check(await page.locator(".minimap").count() === 0, "a map of a picture that fits");
    for (let i = 0; i < 3; i++) await page.getByLabel("Zoom in").click();
    await page.locator(".minimap").waitFor({ timeout: 30_000 });
    const part = await page.evaluate(() => document.querySelector(".minimap .frame").getBoundingClientRect().width / document.querySelector(".minimap").getBoundingClientRect().width);
    check(part > 0.3 && part < 0.7, `the frame is ${part.toFixed(2)} of the map at a zoom of almost 2`);
    await shot(page, "minimap-dark");
    await accessible(page, "the map");
    const before = await transform();
    const map = await page.locator(".minimap").boundingBox();
    await page.mouse.move(map.x + 4, map.y + 4);
    await page.mouse.down();
    await page.mouse.move(map.x + map.width - 4, map.y + map.height - 4, { steps: 4 });
    await page.mouse.up();
    check((await transform()) !== before, "a drag in the map leads nowhere");
    await page.waitForFunction(() => {
      const box = (e) => document.querySelector(e).getBoundingClientRect();
      return box(".minimap .frame").right > box(".minimap").right - 30;
    }, null, { timeout: 30_000 });
    await page.getByLabel("Fit the picture").click();
    await page.locator(".minimap").waitFor({ state: "detached", timeout: 30_000 });
  });
  await test("the tip of a connection says what was said there last", async () => {
    const hover = async () => {
      const at = await page.evaluate(() => {
        const path = document.querySelector('[data-edge="kube-apiserver>etcd"] .hit, [data-edge="kube-apiserver>etcd"] path');
        const matrix = path.getScreenCTM();
        const p = path.getPointAtLength(path.getTotalLength() * 0.5);
        return [matrix.a * p.x + matrix.e, matrix.d * p.y + matrix.f];
      });
      // Elsewhere first: only a pointer that moves is told anything. A dot on its way may lie over the line.
      await page.mouse.move(at[0], at[1] + 70);
      await page.mouse.move(at[0], at[1]);
      return page.evaluate(() => [...document.querySelectorAll(".tip.on span, .tip.on small")].map((e) => e.textContent));
    };
    let told = [];
    for (let i = 0; i < 60 && !/→/.test(told[1] ?? ""); i++) {
      told = await hover();
      await sleep(250);
    }
    check(/kube-apiserver has a connection to etcd/.test(told[0] ?? ""), `the tip says ${JSON.stringify(told)}`);
    check(/^(kube-apiserver → etcd|etcd → kube-apiserver) +\S/.test(told[1] ?? ""), `the last message: ${JSON.stringify(told)}`);
    await shot(page, "tip-connection-dark");
  });
  await test("a pod that the picture has no room for is opened by its name", async () => {
    const id = "pod/kube-system/kube-scheduler-cp-1";
    check(await page.locator(`[data-box="${id}"]`).count() === 0, "it is drawn: choose another one");
    await page.keyboard.press("Control+k");
    await page.locator(".palette input:focus").waitFor({ timeout: 30_000 });
    await page.keyboard.type("open kube-scheduler-cp");
    await page.locator('#palette-list li[aria-selected="true"]', { hasText: "kube-scheduler-cp-1" }).waitFor({ timeout: 30_000 });
    await shot(page, "palette-found-dark");
    await page.keyboard.press("Enter");
    await page.locator('aside.inspector[aria-label*="kube-scheduler-cp-1"]').waitFor({ timeout: 30_000 });
    // Every node has a kube-proxy: the palette says which.
    await page.keyboard.press("Control+k");
    await page.locator(".palette input:focus").waitFor({ timeout: 30_000 });
    await page.keyboard.type("kube-proxy node-2");
    await page.locator('#palette-list li[aria-selected="true"]', { hasText: "kube-proxy/node-2" }).waitFor({ timeout: 30_000 });
    await page.keyboard.press("Enter");
    await page.locator('aside.inspector[aria-label*="kube-proxy/node-2"]').waitFor({ timeout: 30_000 });
    await page.keyboard.press("Escape");
  });
  await test("the playhead of a pod's creation is the timeline's: what is still to come is behind it", async () => {
    await lens(page, "Pod creation");
    const look = () => page.evaluate(() => {
      const y = Number(/translateY\(([-\d.]+)px/.exec(document.querySelector(".playhead").getAttribute("style"))[1]);
      const arrows = [...document.querySelectorAll('[data-edge^="message/"]')];
      return { y, coming: arrows.filter((a) => a.classList.contains("future")).length, all: arrows.length };
    });
    await page.waitForFunction(() => document.querySelectorAll('[data-edge^="message/"]').length > 10, null, { timeout: 30_000 });
    const now = await look();
    check(now.coming === 0, `${now.coming} of ${now.all} messages are still to come, at the end of time`);
    // To the moment of the apply: its mark, or as near as the bar is fine.
    const area = await page.locator(".scrub").boundingBox();
    let before = now;
    for (let at = 0.95; at > 0.02 && before.coming === 0; at -= 0.01) {
      await page.mouse.click(area.x + area.width * at, area.y + area.height / 2);
      await sleep(250);
      before = await look().catch(() => now);
    }
    check(before.coming > 0 && before.y < now.y, `before: ${JSON.stringify(before)}, at the end: ${JSON.stringify(now)}`);
    await shot(page, "playhead-dark");
  });
  await test("the stage: no console error", async () => check(page.errors.length === 0, page.errors.join("\n")));
  await page.context().close();
}

await walk.end();
