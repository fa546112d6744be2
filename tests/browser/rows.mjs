// A visitor's way through what docs/rows.md lists, with a picture of each: the cloud, machines that are no nodes yet, policies that nobody
// enforces, a control plane of three, a lost node, workloads of every sort, storage, quotas, a drained node.
// usage: node rows.mjs DIST [--shots DIR] [--only cloud|machine|policy|ha|lost|workloads|storage]
import { apply, begin, booted, check, inspect, lens, SERVED, sleep } from "./harness.mjs";

const walk = await begin();
const { test, open, shot } = walk;

const speed = (page, label) => page.getByLabel("Speed").selectOption({ label });
const labelled = (page, id, pattern, ms = 240_000) =>
  page.waitForFunction(([id, source]) => new RegExp(source).test(document.querySelector(`[data-box="${id}"]`)?.getAttribute("aria-label") ?? ""), [id, pattern], { timeout: ms });
const running = (page, name, n) => page.waitForFunction(
  ([name, n]) => [...document.querySelectorAll(`[data-box^="pod/default/${name}"]`)].filter((b) => /Running/.test(b.getAttribute("aria-label"))).length >= n, [name, n], { timeout: 240_000 });
const tab = (page, name) => page.locator("aside.inspector").getByRole("tab", { name }).click();
async function type(page, line) {
  await page.locator(".term").first().click();
  await page.keyboard.insertText(line);
  await page.keyboard.press("Enter");
}
const close = async (page) => {
  await page.locator('aside.inspector button[aria-label="Close"]').click({ timeout: 5_000 }).catch(() => {});
  await sleep(400);
};
async function start(path = "", theme = "dark") {
  const page = await open(1440, 900, theme, path);
  await booted(page);
  await speed(page, "10×");
  return page;
}
/** A machine without power, and the API doesn't call its node Ready any more. */
const OFF_AND_KNOWN = "switched off(?! · still Ready)";
const clean = (page) => check(page.errors.length === 0, page.errors.join("\n"));

if (walk.wants("cloud")) {
  for (const theme of ["dark", "light"]) {
    await test(`${theme}: the cloud is a box outside, and its controller calls it`, async () => {
      const page = await start("?config=cloud", theme);
      await apply(page, SERVED.replace("spec:\n", "spec:\n  type: LoadBalancer\n"));
      await running(page, "web-", 3);
      await labelled(page, "cloud", "3 machines, 1 load balancer");
      await shot(page, `cloud-architecture-${theme}`);
      await lens(page, "Components");
      check(await page.locator('[data-edge="cloud-controller-manager>cloud"]').count() === 1, "nobody calls the cloud");
      await shot(page, `cloud-components-${theme}`);
      await lens(page, "Control plane");
      await page.locator('[data-box="cloud/balancer/172.18.255.1"]').waitFor({ state: "attached" });
      await shot(page, `cloud-control-plane-${theme}`);
      await lens(page, "Service network");
      await type(page, "curl -s http://172.18.255.1 | grep title");
      await sleep(3_000);
      await shot(page, `cloud-service-network-${theme}`);
      await lens(page, "Control plane");
      await inspect(page, "cloud");
      await sleep(700);
      await shot(page, `cloud-inspector-${theme}`);
      await close(page);
      if (theme === "dark") {
        for (const [width, height, size] of [[600, 400, "embed"], [360, 800, "phone"]]) {
          await page.setViewportSize({ width, height });
          for (const [title, name] of [["Architecture", "architecture"], ["Components", "components"], ["Control plane", "control-plane"]]) {
            await lens(page, title);
            const picture = page.locator("nav.nav").getByRole("button", { name: "Picture" });
            if (await picture.isVisible()) await picture.click();
            await sleep(500);
            await shot(page, `cloud-${name}-${size}`);
          }
        }
      }
      clean(page);
      await page.context().close();
    });
  }
}

if (walk.wants("machine")) {
  await test("a blank machine is no node, and joins", async () => {
    const page = await start();
    await page.getByRole("button", { name: "+ machine" }).click();
    await labelled(page, "node/node-3", "blank, waits");
    await inspect(page, "node/node-3");
    await sleep(600);
    await shot(page, "machine-blank-dark");
    await page.locator("aside.inspector").getByRole("button", { name: "kubeadm join" }).click();
    await labelled(page, "node/node-3", "Node node-3: Ready");
    await sleep(600);
    await shot(page, "machine-joined-dark");
    clean(page);
    await page.context().close();
  });
}

if (walk.wants("policy")) {
  await test("a policy that nobody enforces says so where it is seen", async () => {
    const page = await start();
    await apply(page, `${SERVED}---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: closed}\nspec:\n  podSelector: {matchLabels: {app: MyApp}}\n`);
    await running(page, "web-", 3);
    await lens(page, "Service network");
    await labelled(page, "networkpolicy/default/closed", "flannel does not enforce it");
    await page.getByRole("button", { name: "Inspector" }).first().click().catch(() => {});
    await shot(page, "policy-not-enforced-dark");
    await inspect(page, "networkpolicy/default/closed");
    await tab(page, "Events");
    await sleep(600);
    await shot(page, "policy-events-dark");
    await page.setViewportSize({ width: 360, height: 800 });
    await close(page);
    await shot(page, "policy-not-enforced-phone");
    clean(page);
    await page.context().close();
  });
}

if (walk.wants("ha")) {
  await test("of three control planes one loses its power", async () => {
    const page = await start("?config=ha");
    await shot(page, "ha-architecture-dark");
    await lens(page, "Components");
    await shot(page, "ha-components-dark");
    await lens(page, "Control plane");
    await page.waitForFunction(() => [...document.querySelectorAll('[data-box^="check/"]')].every((t) => !/trying|not tried/.test(t.getAttribute("aria-label"))), null, { timeout: 240_000 });
    await shot(page, "ha-control-plane-dark");
    await inspect(page, "node/cp-1");
    await page.locator("aside.inspector").getByRole("button", { name: "Power off" }).click();
    await labelled(page, "node/cp-1", OFF_AND_KNOWN);
    await sleep(600);
    await shot(page, "ha-one-lost-dark");
    clean(page);
    await page.context().close();
  });
}

if (walk.wants("lost")) {
  await test("a node is lost: Unknown, then its pods go", async () => {
    const page = await start();
    await apply(page, SERVED);
    await running(page, "web-", 3);
    await inspect(page, "node/node-1");
    await page.locator("aside.inspector").getByRole("button", { name: "Power off" }).click();
    await labelled(page, "node/node-1", OFF_AND_KNOWN);
    await tab(page, "Why?");
    await page.locator("aside.inspector").getByText("Unknown").first().waitFor({ timeout: 60_000 });
    await sleep(800);
    await shot(page, "node-lost-dark");
    await speed(page, "100×");
    await page.waitForFunction(() => [...document.querySelectorAll('[data-box^="pod/default/web-"]')].some((b) => /Terminating/.test(b.getAttribute("aria-label"))), null, { timeout: 240_000 });
    await speed(page, "1×");
    await sleep(600);
    await shot(page, "node-lost-evicted-dark");
    await lens(page, "Control plane");
    await shot(page, "node-lost-control-plane-dark");
    clean(page);
    await page.context().close();
  });
}

const WORKLOADS = `apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 3
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: db, image: "redis:7"}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers: [{name: agent, image: "busybox:1.36", command: [sleep, 1d]}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: count}
spec:
  completions: 4
  parallelism: 2
  template:
    spec:
      restartPolicy: Never
      containers: [{name: c, image: "busybox:1.36", command: [sh, -c, "sleep 8; echo done"]}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: c, image: "busybox:1.36", command: [date]}]
---
apiVersion: v1
kind: Pod
metadata: {name: awaits}
spec:
  initContainers: [{name: wait, image: "busybox:1.36", command: [sh, -c, "until ls /db/dir; do sleep 5; done"]}]
  containers: [{name: app, image: "nginx:1.27"}]
`;

if (walk.wants("workloads")) {
  await test("a StatefulSet, a DaemonSet, a Job, a CronJob and a pod that waits", async () => {
    const page = await start();
    await apply(page, WORKLOADS);
    // A node draws its first pods and counts the others: that all are there is asked of the API.
    await type(page, "kubectl rollout status statefulset db && kubectl rollout status daemonset agent && kubectl wait --for=condition=Complete job/count --timeout=5m && until kubectl get pods -o name | grep -q tick-; do sleep 2; done; echo all''=there");
    await page.waitForFunction(() => document.querySelector(".xterm-rows")?.textContent.includes("all=there"), null, { timeout: 240_000 });
    await shot(page, "workloads-dark");
    await inspect(page, "pod/default/awaits");
    await tab(page, "Why?");
    await sleep(700);
    await shot(page, "init-waits-why-dark");
    await tab(page, "Logs");
    await sleep(500);
    await shot(page, "init-waits-logs-dark");
    await inspect(page, "kube-controller-manager");
    await page.locator(".cells").getByText("statefulset", { exact: true }).click();
    await sleep(800);
    await shot(page, "loop-statefulset-dark");
    await close(page);
    await lens(page, "Pod creation");
    await shot(page, "pod-creation-workloads-dark");
    await page.locator(".dock").getByRole("tab", { name: "Objects" }).filter({ visible: true }).first().click();
    await sleep(700);
    await shot(page, "objects-workloads-dark");
    clean(page);
    await page.context().close();
  });
}

const REFUSED = `apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {storageClassName: nosuch, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: wants-data}
spec:
  containers: [{name: c, image: "nginx:1.27", volumeMounts: [{name: d, mountPath: /d}]}]
  volumes: [{name: d, persistentVolumeClaim: {claimName: data}}]
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: budget}
spec: {hard: {pods: "2"}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: over}
spec:
  replicas: 4
  selector: {matchLabels: {app: over}}
  template:
    metadata: {labels: {app: over}}
    spec:
      containers: [{name: c, image: "nginx:1.27"}]
`;

if (walk.wants("storage")) {
  await test("a claim that no class serves, and a namespace whose budget is used up", async () => {
    const page = await start();
    await apply(page, REFUSED);
    await page.locator('[data-box="pod/default/wants-data"]').waitFor({ state: "attached", timeout: 120_000 });
    await inspect(page, "pod/default/wants-data");
    await tab(page, "Why?");
    await sleep(1_500);
    await shot(page, "claim-pending-why-dark");
    await page.keyboard.press("Escape");
    await page.locator(".dock").getByRole("tab", { name: "Events" }).filter({ visible: true }).first().click();
    await sleep(900);
    await shot(page, "quota-events-dark");
    await inspect(page, "node/node-2");
    await page.locator("aside.inspector").getByRole("button", { name: "Drain" }).click();
    await labelled(page, "node/node-2", "SchedulingDisabled");
    await sleep(600);
    await shot(page, "node-drained-dark");
    clean(page);
    await page.context().close();
  });
}

await walk.end();
