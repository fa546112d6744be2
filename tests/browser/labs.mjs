// Labs in headless Chromium: three are done by hand, one is broken, one comes from somebody else; sizes, themes, keyboard.
// usage: node labs.mjs DIST [--shots DIR] [--only PART]
import { createServer } from "node:http";
import { begin, check, sleep } from "./harness.mjs";

const { site, wants, test, open, shot, end } = await begin();

const phase = (page, text) => page.locator("section.lab > footer", { hasText: text }).waitFor({ timeout: 120_000 });
const held = (page, n) => page.waitForFunction((n) => document.querySelectorAll(".checks li.holds").length >= n, n, { timeout: 60_000 });
async function lab(page) {
  await page.locator("section.lab .checks li").first().waitFor({ timeout: 120_000 });
}
async function type(page, line) {
  await page.locator(".term").first().click();
  await page.keyboard.type(`${line}\n`);
}

if (wants("cluster")) {
  const page = await open(1440, 900, "dark", "?lab=cluster");
  await test("a lab boots a cluster of its own and shows what it wants", async () => {
    await lab(page);
    check((await page.locator("section.lab h2").innerText()).startsWith("1. "), "no first step");
    await shot(page, "lab-dark");
  });
  await test("a command of the text is typed by a click, and the check holds", async () => {
    await page.locator(".run-block .btn").first().click();
    await held(page, 1);
  });
  await test("a wrong answer is answered, a right one passes the step", async () => {
    const answer = async (text) => {
      await page.locator(".typed input").first().fill(text);
      await page.locator(".typed button").first().click();
    };
    await answer("node-1");
    await page.locator(".checks small", { hasText: "worker" }).waitFor({ timeout: 10_000 });
    await answer("cp-1");
    await phase(page, "Next step");
    await shot(page, "lab-passed-dark");
  });
  await test("a step is solved by a click, and its progress outlives a reload", async () => {
    await page.getByRole("button", { name: "Next step" }).click();
    await page.getByRole("button", { name: "Solve this step" }).click();
    await phase(page, "Next step");
    await page.reload();
    await lab(page);
    await page.waitForFunction(() => document.querySelector("section.lab h2")?.textContent.startsWith("3. "), null, { timeout: 120_000 });
  });
  await test("another way gets its message, and a reset begins the step again", async () => {
    await type(page, "kubectl run hello --image=nginx:1.27");
    await page.locator(".lab-wrong").waitFor({ timeout: 60_000 });
    await shot(page, "lab-wrong-dark");
    await page.getByRole("button", { name: "Reset this step" }).click();
    await page.waitForFunction(() => !document.querySelector(".lab-wrong"), null, { timeout: 30_000 });
    await type(page, "kubectl create deployment hello --image=nginx:1.27; kubectl expose deployment hello --port=80");
    await phase(page, "Next lab");
    check(page.errors.length === 0, page.errors.join("\n"));
  });
  await page.context().close();
}

if (wants("service")) {
  const page = await open(1440, 900, "light", "?lab=service");
  await test("what the goal lacks is listed, a manifest of the text is applied by a click", async () => {
    await lab(page);
    await page.locator(".ghosts li", { hasText: "my-service" }).waitFor({ timeout: 30_000 });
    await shot(page, "lab-light");
    await page.locator(".run-block .btn", { hasText: "Apply" }).first().click();
    await phase(page, "Next step");
    check(page.errors.length === 0, page.errors.join("\n"));
  });
  await page.context().close();
}

/** A box of the picture whose id begins so and whose words have this. */
const told = (page, id, words) => page.waitForFunction(
  ([id, words]) => [...document.querySelectorAll(`[data-box^="${id}"]`)].some((b) => b.getAttribute("aria-label")?.includes(words)), [id, words], { timeout: 60_000 });
const gone = (page, selector) => page.waitForFunction((selector) => !document.querySelector(selector), selector, { timeout: 60_000 });

if (wants("ghosts")) {
  const page = await open(1440, 900, "dark", "?lab=service");
  const ghost = "ghost/Service/default/my-service";
  await test("what the goal lacks is an outline in the picture, in lenses that draw its kind and in a tray of those that don't", async () => {
    await lab(page);
    await told(page, ghost, "missing: Service my-service");
    check(await page.locator(`[data-box="${ghost}"]`).evaluate((b) => b.classList.contains("st-missing")), "it is drawn as if it were there");
    await shot(page, "lab-ghost-dark");
    await page.getByRole("tab", { name: "Architecture", exact: true }).click();
    await told(page, "ghosts", "the goal still lacks: missing: Service my-service");
    await told(page, ghost, "missing: Service my-service");
    await shot(page, "lab-ghost-tray-dark");
    await page.getByRole("tab", { name: "Service network", exact: true }).click();
  });
  await test("one that is otherwise than the goal has a ring that says how", async () => {
    await type(page, "kubectl expose deployment myapp --name=my-service --port=80");
    await told(page, "service/default/my-service", "differs from the goal: spec.ports[0].targetPort is 80, not 9376");
    await gone(page, `[data-box="${ghost}"]`);
    check((await page.locator('[data-box^="service/default/my-service"] .differs').count()) >= 1, "no ring");
    await page.locator(".lab-wrong").waitFor({ timeout: 60_000 });
    await shot(page, "lab-ring-dark");
  });
  await test("and both go when the goal is met", async () => {
    await page.locator(".run-block .btn", { hasText: "Apply" }).first().click();
    await phase(page, "Next step");
    await gone(page, '.box .differs, .box.st-missing, [data-box^="ghost"]');
    check((await page.locator('[data-box^="service/default/my-service"]').count()) >= 1, "the Service is not drawn");
    check((await page.locator(".ghosts li").count()) === 0, "the panel still lists something");
    await shot(page, "lab-ghost-gone-dark");
    check(page.errors.length === 0, page.errors.join("\n"));
  });
  await page.context().close();
}

if (wants("language")) {
  const title = (page, text) => page.waitForFunction((text) => document.querySelector("section.lab h2")?.textContent === text, text, { timeout: 120_000 });
  const choice = (page) => page.getByLabel("Language of the lab's text");
  const lang = (page) => page.locator("section.lab .lab-text").getAttribute("lang");
  const page = await open(1440, 900, "dark", "?lab=cluster");
  await test("a lab is read in another language: the text changes, what was done stays", async () => {
    await lab(page);
    await title(page, "1. Master and worker nodes");
    await page.locator(".run-block .btn").first().click();
    await held(page, 1);
    const wants = () => page.locator(".checks li.holds span").first().innerText();
    const before = await wants();
    await choice(page).selectOption("Deutsch");
    await title(page, "1. Master und Worker");
    check((await lang(page)) === "de", "a screen reader would read it as English");
    await page.waitForFunction((before) => { const now = document.querySelector(".checks li.holds span")?.textContent; return now && now !== before; }, before, { timeout: 10_000 });
    check((await wants()) === "Du hast nach der Liste der Knoten gefragt", await wants());
    await shot(page, "lab-german-dark");
    await page.locator(".typed input").first().fill("cp-1");
    await page.locator(".typed button").first().click();
    await phase(page, "Next step");
    await page.getByRole("button", { name: "Next step" }).click();
    await title(page, "2. Der Cluster läuft selbst in Pods");
  });
  await test("the choice outlives a reload, and so does the progress", async () => {
    await sleep(2_500);
    await page.reload();
    await title(page, "2. Der Cluster läuft selbst in Pods");
    check((await choice(page).inputValue()) === "Deutsch" && (await lang(page)) === "de", "it is English again");
    await choice(page).selectOption("English");
    await title(page, "2. The cluster runs itself in pods");
    check((await page.locator(".lab-steps .passed").count()) === 1, "the first step is not passed any more");
    check(page.errors.length === 0, page.errors.join("\n"));
  });
  await page.context().close();
  await test("?lang=de is the reader's language; where a lab hasn't it, English", async () => {
    const german = await open(1280, 800, "light", "?lab=cluster&lang=de");
    await title(german, "1. Master und Worker");
    await german.context().close();
    const other = await open(1280, 800, "light", "?lab=cluster&lang=xx");
    await title(other, "1. Master and worker nodes");
    await other.context().close();
    const browsers = await open(1280, 800, "light", "?lab=cluster", { locale: "de-AT" });
    await title(browsers, "1. Master und Worker");
    await browsers.context().close();
  });
}

if (wants("keyboard")) {
  const page = await open(1280, 800, "dark", "?lab=kube-scheduler");
  await test("a step is done by keyboard alone", async () => {
    await lab(page);
    await page.locator("section.lab .run-block .btn").first().focus();
    await page.keyboard.press("Enter");
    await phase(page, "Next step");
    await page.getByRole("button", { name: "Next step" }).focus();
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.querySelector("section.lab h2")?.textContent.startsWith("2. "), null, { timeout: 60_000 });
  });
  await test("the palette lists the labs", async () => {
    await page.locator("section.lab h2").click();
    await page.keyboard.press("Control+k");
    await page.locator(".dialog.palette input:focus").waitFor({ timeout: 10_000 });
    await page.keyboard.type("labs");
    await page.keyboard.press("Enter");
    await page.locator(".dialog.labs li").first().waitFor({ timeout: 20_000 });
    const all = await page.locator(".dialog.labs li").count();
    check(all >= 30, "fewer than thirty");
    await shot(page, "labs-dark");
    // The field for a search has the focus.
    await page.keyboard.type("Quota");
    await page.waitForFunction((all) => document.querySelectorAll(".dialog.labs li").length < all / 4, all, { timeout: 5_000 });
    const found = await page.locator(".dialog.labs li").allTextContents();
    check(found.length > 0 && found.some((text) => /quota/i.test(text)), found.join("; "));
    await page.keyboard.type(" of the moon");
    await page.getByText("No lab has “Quota of the moon”").waitFor({ timeout: 5_000 });
    for (let i = 0; i < 18; i++) await page.keyboard.press("Backspace");
    await page.waitForFunction((all) => document.querySelectorAll(".dialog.labs li").length === all, all, { timeout: 5_000 });
    // Wherever the focus is: a click on the dialog's text takes it away from its buttons.
    await page.locator(".dialog.labs header p").click();
    await page.keyboard.press("Escape");
    await page.locator(".dialog.labs").waitFor({ state: "detached", timeout: 5_000 });
  });
  await page.context().close();
}

if (wants("tour")) {
  const page = await open(1440, 900, "dark", "?lab=tour");
  const caption = (n) => page.waitForFunction((n) => document.querySelector("section.lab h2")?.textContent.startsWith(`${n}. `), n, { timeout: 180_000 });
  const shown = (title) => page.waitForFunction((title) => document.querySelector('[role="tab"][aria-selected="true"]')?.textContent.trim() === title, title, { timeout: 20_000 });
  await test("a tour is turned by the keys of a presenter's remote, and the picture goes with the words", async () => {
    // A tour goes on when what it shows has been set up.
    const next = () => page.getByRole("button", { name: "Next", exact: true }).waitFor({ timeout: 60_000 });
    await caption(1);
    await page.locator("section.lab h2").click();
    await next();
    await page.keyboard.press("PageDown");
    await caption(2);
    await shown("Components");
    await next();
    await page.keyboard.press("PageDown");
    await caption(3);
    await shown("Control plane");
    await page.keyboard.press("PageUp");
    await caption(2);
    await shown("Components");
    await shot(page, "lab-tour-dark");
    await page.keyboard.press("PageDown");
    await caption(3);
    check(page.errors.length === 0, page.errors.join("\n"));
  });
  await page.context().close();
}

if (wants("address")) {
  const context = (await open(1440, 900, "dark", "empty.html")).context();
  const at = async (url) => {
    const p = await context.newPage();
    await p.goto(url);
    return p;
  };
  const step = (p, n) => p.waitForFunction((n) => document.querySelector("section.lab h2")?.textContent.startsWith(`${n}. `), n, { timeout: 180_000 });
  const query = (p) => p.evaluate(() => location.search);
  let p = null;
  await test("a lab that was chosen from the list is in the address, and a reload comes back to it", async () => {
    p = await at(site.url);
    await p.locator('[data-box="kube-apiserver"]').waitFor({ state: "attached", timeout: 120_000 });
    await p.keyboard.press("Control+k");
    await p.locator(".dialog.palette input:focus").waitFor({ timeout: 30_000 });
    await p.keyboard.type("labs");
    await p.keyboard.press("Enter");
    await p.locator(".dialog.labs li button", { hasText: "A cluster in four commands" }).click();
    await step(p, 1);
    check((await query(p)) === "?lab=cluster", await query(p));
    await p.getByRole("button", { name: "Solve this step" }).click();
    await p.getByRole("button", { name: "Next step" }).click({ timeout: 120_000 });
    await step(p, 2);
    await sleep(3_500);
    await p.reload();
    await step(p, 2);
    await lab(p);
  });
  let link = "";
  await test("a moment in the midst of a lab is shared with its step", async () => {
    await type(p, "kubectl create configmap mine --from-literal=a=b");
    await p.locator(".term .xterm-rows", { hasText: "configmap/mine created" }).first().waitFor({ timeout: 60_000 });
    await p.getByLabel("Share this moment").click();
    link = await p.getByLabel("Link to this moment").inputValue({ timeout: 60_000 });
    check(/lab=cluster/.test(link) && /&step=2/.test(link), link);
    await p.keyboard.press("Escape");
  });
  await test("who opens it sees that cluster, and the lab at that step", async () => {
    const other = await open(1440, 900, "light", "empty.html");
    const q = await other.context().newPage();
    await q.goto(link);
    await q.locator(".toast", { hasText: "of a shared cluster" }).first().waitFor({ timeout: 120_000 });
    await step(q, 2);
    await lab(q);
    await q.getByLabel(/^Play/).first().click();
    await type(q, "kubectl get configmap mine -o name");
    await q.locator(".term .xterm-rows", { hasText: "configmap/mine" }).first().waitFor({ timeout: 60_000 });
    await shot(q, "lab-shared-light");
    await other.context().close();
  });
  await test("and who leaves the lab has it no longer in the address", async () => {
    await p.getByRole("button", { name: "Leave the lab" }).click();
    check((await query(p)) === "", await query(p));
    await context.close();
  });
}

for (const [name, width, height, theme] of [["lab-embed-dark", 600, 400, "dark"], ["lab-phone-light", 360, 800, "light"]]) {
  if (!wants("sizes")) continue;
  await test(`a lab fits ${width}×${height}`, async () => {
    const page = await open(width, height, theme, "?lab=cluster");
    await lab(page);
    await shot(page, name);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    check(overflow <= 0, `the page is ${overflow} px too wide`);
    const footer = await page.locator("section.lab > footer").boundingBox();
    check(footer && footer.y + footer.height <= height, "the way on is below the page");
    await page.locator(".nav .lab").click();
    check(!(await page.locator("section.lab").first().isVisible()), "the sheet does not close");
    check(page.errors.length === 0, page.errors.join("\n"));
    await page.context().close();
  });
}

if (wants("hostile")) {
  // Another origin, with a lab that would like to be a script.
  const files = {
    "/evil/lab.yaml": "title: <img src=x onerror=alert(1)>\nsteps:\n- checks: [{want: '<b>x</b>', get: pods, fail: '<script>alert(1)</script>'}]\n",
    "/evil/lab.md": "# x\n<script>window.evil = 1</script>\n\n[click](javascript:alert(1)) ![i](https://example.com/x.png)\n\n## <iframe src=https://example.com>One</iframe>\n\n```\nkubectl get pods\n```{{exec}}\n",
    "/broken/lab.yaml": "title: A\nsteps: 3\nfoo: bar\n",
    "/broken/lab.md": "x",
    "/scenario/index.json": JSON.stringify({ title: "From elsewhere", details: { steps: [{ title: "One", text: "s1.md", verify: "v1.sh" }] }, backend: { imageid: "ubuntu" } }),
    "/scenario/s1.md": "Run `kubectl create namespace made`{{exec}}",
    "/scenario/v1.sh": "#!/bin/bash\nkubectl get namespace made",
  };
  const other = createServer((request, response) => {
    const text = files[request.url];
    response.writeHead(text === undefined ? 404 : 200, { "Access-Control-Allow-Origin": "*", "Content-Type": "text/plain" });
    response.end(text ?? "");
  });
  await new Promise((done) => other.listen(0, "127.0.0.1", done));
  const base = `http://127.0.0.1:${other.address().port}`;
  const at = (folder) => open(1280, 800, "dark", `?lab=${encodeURIComponent(`${base}/${folder}`)}`, { bypassCSP: true });
  await test("a hostile lab is text and nothing else", async () => {
    const page = await at("evil");
    await lab(page);
    const found = await page.evaluate(() => ({
      evil: window.evil,
      tags: document.querySelectorAll("section.lab script, .lab img, .lab iframe, .lab b b").length,
      links: [...document.querySelectorAll("section.lab a")].map((a) => a.href),
    }));
    check(found.evil === undefined && found.tags === 0 && found.links.length === 0, JSON.stringify(found));
    await page.context().close();
  });
  await test("a broken lab says where", async () => {
    const page = await at("broken");
    await page.locator("section.lab pre", { hasText: "lab.yaml:2" }).waitFor({ timeout: 60_000 });
    await shot(page, "lab-broken-dark");
    await page.context().close();
  });
  await test("a lab that is not there says so, and the page lives", async () => {
    const page = await open(1280, 800, "dark", "?lab=nosuch");
    await page.locator("section.lab pre", { hasText: "nosuch" }).waitFor({ timeout: 60_000 });
    await page.getByRole("button", { name: "Leave the lab" }).click();
    check((await page.locator("section.lab").count()) === 0, "it does not go");
    await page.context().close();
  });
  await test("a scenario of Killercoda's form opens and checks itself", async () => {
    const page = await at("scenario");
    await lab(page);
    await page.locator(".lab-warning", { hasText: "ubuntu" }).waitFor({ timeout: 10_000 });
    await sleep(500);
    await page.locator(".run-code").first().click();
    await phase(page, "Next lab");
    await page.context().close();
  });
  other.close();
}
await end();
