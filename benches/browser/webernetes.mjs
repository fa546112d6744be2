// The peer: the npm package `@ngrok/webernetes` doing the same in Node. Its own way of being driven: an in-process API.
//   node webernetes.mjs REPLICAS NODES      prints one JSON line
import { BaseImage, Cluster } from "@ngrok/webernetes";

const [replicas, nodes] = process.argv.slice(2).map(Number);

/** A server that listens and waits, as a container of the Deployment. */
class Server extends BaseImage {
  static imageName = "bench/srv";
  static imageVersion = "1.0";
  defaultCommand = ["server"];
  async exec(context, argv) {
    if (argv[0] !== "server") return super.exec(context, argv);
    context.listenHttp(8080, async () => ({ status: 200, statusCode: 200, body: "ok" }));
    return context.waitUntilKilled();
  }
}
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const isReady = (pod) => pod.status?.conditions?.some((c) => c.type === "Ready" && c.status === "True");

const began = performance.now();
const cluster = new Cluster({ nodes, seed: 1 });
cluster.registerImage(Server);
await cluster.init();
for (;;) {
  const { items } = await cluster.api.corev1.listNamespacedPod({ namespace: "kube-system" });
  if (items.length >= 8 && items.every(isReady)) break;
  await sleep(5);
}
const boot = performance.now() - began;
const applied = performance.now();
const container = { name: "srv", image: "bench/srv:1.0", ports: [{ containerPort: 8080 }] };
await cluster.apply([
  {
    apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "d", namespace: "default" },
    spec: { replicas, selector: { matchLabels: { app: "d" } }, template: { metadata: { labels: { app: "d" } }, spec: { containers: [container] } } },
  },
]);
let ready = 0;
while (ready < replicas && performance.now() - applied < 300_000) {
  await sleep(50);
  // While it is busy it may not answer: then the last number holds.
  const d = await cluster.api.appsv1.readNamespacedDeployment({ name: "d", namespace: "default" }).catch(() => null);
  ready = d?.status?.readyReplicas ?? ready;
}
const ms = performance.now() - applied;
console.log(JSON.stringify({ replicas, nodes, ready, bootMs: Math.round(boot), applyToReadyMs: Math.round(ms) }));
process.exit(ready === replicas ? 0 : 1);
