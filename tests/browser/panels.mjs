// Lenses and panels for everybody and at scale: axe on each of them, a walk with the keyboard alone, reduced motion, frames of many
// nodes, and pictures of a busy cluster. usage: node panels.mjs DIST [--shots DIR] [--only axe|keys|motion|scale|panels]
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { apply, begin, booted, check, inspect, lens, sleep } from "./harness.mjs";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const walk = await begin();
const { test, open, shot } = walk;

const BUSY = `apiVersion: v1
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
  replicas: 4
  selector: {matchLabels: {app: MyApp}}
  template:
    metadata: {labels: {app: MyApp}}
    spec:
      containers: [{name: nginx, image: "nginx:1.27", ports: [{containerPort: 80}]}]
---
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

/** No violation of WCAG 2.2 A and AA, but for what is listed with its reason. */
async function accessible(page, what) {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const run = { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] };
    // xterm.js and CodeMirror are others' work: their insides are theirs.
    const result = await window.axe.run({ exclude: [[".xterm"], [".cm-editor"]] }, { runOnly: run, resultTypes: ["violations"] });
    return result.violations.map((v) => `${v.id} (${v.impact}): ${v.nodes.slice(0, 3).map((n) => `${n.target.join(" ")} ${n.failureSummary?.split("\n")[1] ?? ""}`).join(" | ")}`);
  });
  check(found.length === 0, `${what}:\n${found.join("\n")}`);
}

const LENSES = [["Architecture", "architecture"], ["Components", "components"], ["Control plane", "control-plane"], ["Service network", "service-network"], ["Pod creation", "pod-creation"]];

async function busy(theme, width = 1440, height = 900) {
  const page = await open(width, height, theme);
  await booted(page);
  await page.getByLabel("Speed").selectOption({ label: "10×" });
  await apply(page, BUSY);
  await page.waitForFunction(() => document.querySelector('[data-box="pod/default/too-big"]') && /Running/.test(document.querySelector('[data-box^="pod/default/web-"]')?.getAttribute("aria-label") ?? ""), null, { timeout: 120_000 });
  await page.waitForFunction(() => /CrashLoopBackOff|Error/.test(document.querySelector('[data-box="pod/default/broken"]')?.getAttribute("aria-label") ?? ""), null, { timeout: 120_000 });
  await page.getByLabel("Speed").selectOption({ label: "Auto" });
  return page;
}

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
  for (const [width, height, size] of [[600, 400, "embed"], [360, 800, "phone"]]) {
    await test(`lenses and panels have no violation at ${width}×${height}`, async () => {
      const page = await open(width, height, "dark", size === "embed" ? "embed.html" : "");
      await booted(page);
      for (const [title, name] of LENSES) {
        await lens(page, title);
        await shot(page, `${name}-${size}`);
        await accessible(page, `${title} at ${width}×${height}`);
      }
      await page.context().close();
    });
  }
}

if (walk.wants("keys")) {
  await test("with the keyboard alone: find a pod, open its cause, stop a node, undo it", async () => {
    const page = await busy("dark");
    const key = async (name, times = 1) => { for (let i = 0; i < times; i++) await page.keyboard.press(name); };
    /** Tab until a button with these words has the focus. */
    const tabTo = async (text, most = 160) => {
      for (let i = 0; i < most; i++) {
        const at = await page.evaluate(() => (document.activeElement?.tagName === "BUTTON" ? `${document.activeElement.textContent} ${document.activeElement.getAttribute("aria-label") ?? ""}` : ""));
        if (at.includes(text)) return;
        await key("Tab");
      }
      throw new Error(`no way to ${text} by Tab`);
    };
    await page.evaluate(() => { document.activeElement?.blur(); window.pointed = 0; addEventListener("pointerdown", () => (window.pointed += 1), true); });
    // The palette finds the pod by its name.
    await key("Control+k");
    await page.keyboard.type("too-big");
    await sleep(300);
    const found = await page.evaluate(() => /too-big/.test(document.querySelector('[role="listbox"], .palette')?.textContent ?? ""));
    if (found) await key("Enter");
    else {
      await key("Escape");
      // By the picture: one tab stop, arrows inside.
      await page.evaluate(() => document.querySelector("#stage").focus());
      for (let i = 0; i < 60; i++) {
        const at = await page.evaluate(() => document.querySelector("#stage").getAttribute("aria-activedescendant") ?? "");
        if (at.endsWith("too-big")) break;
        await key(["Home", "ArrowDown", "ArrowLeft", "ArrowDown", "ArrowDown"][i % 5]);
      }
      await key("Enter");
    }
    await page.locator('aside.inspector[aria-label*="too-big"]').waitFor({ timeout: 5_000 });
    // Its cause: the first node that it does not fit.
    await tabTo("node-1");
    await key("Enter");
    await page.locator('aside.inspector[aria-label*="node-1"]').waitFor({ timeout: 5_000 });
    await tabTo("Power off");
    await key("Enter");
    await page.getByRole("button", { name: "Power on" }).first().waitFor({ timeout: 10_000 });
    await tabTo("Power on");
    await key("Enter");
    await page.getByRole("button", { name: "Power off" }).first().waitFor({ timeout: 10_000 });
    check(await page.evaluate(() => window.pointed) === 0, "the pointer was used");
    await page.context().close();
  });
}

if (walk.wants("motion")) {
  await test("a lens change glides in 400 ms, and things keep their identity", async () => {
    const page = await open(1440, 900, "dark");
    await booted(page);
    await sleep(500);
    await page.evaluate(() => (window.before = document.querySelector('[data-box="kube-apiserver"]')));
    await page.getByRole("tab", { name: "Components", exact: true }).dispatchEvent("click");
    const ms = await page.evaluate(async () => {
      const frame = () => new Promise(requestAnimationFrame);
      const place = () => JSON.stringify(document.querySelector('[data-box="kube-apiserver"]').getBoundingClientRect());
      const first = place();
      while (place() === first) await frame();
      const began = performance.now();
      let last = began;
      let at = place();
      while (performance.now() - last < 250) {
        await frame();
        if (place() !== at) [at, last] = [place(), performance.now()];
      }
      return last - began;
    });
    const same = await page.evaluate(() => window.before === document.querySelector('[data-box="kube-apiserver"]'));
    console.log(`     the glide took ${Math.round(ms)} ms`);
    check(same, "kube-apiserver is another element");
    check(ms <= 400, `the glide took ${Math.round(ms)} ms`);
    await page.context().close();
  });
  await test("reduced motion: numbered steps, nothing moves", async () => {
    const page = await open(1440, 900, "dark", "", { reducedMotion: "reduce" });
    await booted(page);
    await apply(page, BUSY);
    await page.locator(".dot.step").first().waitFor({ state: "attached", timeout: 20_000 });
    const moving = await page.evaluate(() => document.getAnimations().filter((a) => a.effect?.getKeyframes().some((k) => k.transform && k.transform !== "none")).length);
    check(moving === 0, `${moving} animations move something`);
    await page.context().close();
  });
  await test("paused, no frame is drawn and nothing is said", async () => {
    const page = await open(1440, 900, "dark");
    await booted(page);
    await page.getByLabel(/Pause/).first().click();
    await sleep(1_500);
    const changes = await page.evaluate(async () => {
      let changes = 0;
      const watcher = new MutationObserver((list) => (changes += list.length));
      watcher.observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
      await new Promise((done) => setTimeout(done, 2_000));
      return changes;
    });
    check(changes === 0, `${changes} changes of the page in two seconds`);
    await page.context().close();
  });
}

if (walk.wants("scale")) {
  for (const [nodes, theme] of [[500, "dark"], [5000, "dark"]]) {
    await test(`${nodes} nodes are drawn and can be used`, async () => {
      const page = await open(1440, 900, theme, `?config=hollow-${nodes}`);
      await page.getByRole("button", { name: "Skip", exact: true }).click({ timeout: 60_000 }).catch(() => {});
      await page.waitForFunction(() => !document.querySelector(".boot") && document.querySelector(".cells-row"), null, { timeout: 300_000 });
      await page.getByLabel("Speed").selectOption({ label: "1×" });
      await sleep(3_000);
      const seen = await page.evaluate(async () => {
        const gaps = [];
        let last = performance.now();
        const until = last + 4_000;
        let flown = 0;
        const watcher = new MutationObserver((list) => list.forEach((m) => (flown += m.addedNodes.length)));
        watcher.observe(document.querySelector(".dots"), { childList: true });
        while (performance.now() < until) {
          const now = await new Promise(requestAnimationFrame);
          gaps.push(now - last);
          last = now;
        }
        gaps.shift();
        gaps.sort((a, b) => a - b);
        return { frames: gaps.length / 4, p95: gaps[Math.floor(gaps.length * 0.95)], longest: gaps.at(-1), flown: flown / 4 };
      });
      console.log(`     ${nodes} nodes: ${seen.frames.toFixed(0)} frames/s, 95 % within ${seen.p95.toFixed(0)} ms, the longest gap ${seen.longest.toFixed(0)} ms, ${seen.flown.toFixed(0)} dots/s`);
      await shot(page, `nodes-${nodes}-${theme}`);
      // A cell opens its node; the arrow keys walk from cell to cell.
      const row = page.locator('[data-box="nodes/001"]');
      const place = await row.boundingBox();
      await page.mouse.click(place.x + 3, place.y + 3);
      await page.locator('aside.inspector[aria-label*="node"]').waitFor({ timeout: 20_000 });
      await page.evaluate(() => document.querySelector("#stage").focus());
      await page.keyboard.press("ArrowRight");
      const at = await page.evaluate(() => document.querySelector("#stage").getAttribute("aria-activedescendant"));
      check(/^bx-node\//.test(at ?? "") && (await page.locator(`[id="${at}"]`).count()) === 1, `the cursor is at ${at}`);
      if (nodes === 500) await accessible(page, "a heat map");
      await page.context().close();
    });
  }
}

await walk.end();
