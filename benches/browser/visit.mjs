// A visit without a page: drives the worker by the messages of `src/protocol`, as the page does. Runs in a browser and in Node.

const ESCAPES = /\x1b\[[0-9;?]*[A-Za-z]/g;
const MARK = "=all=done=";

/** One worker with its cluster. `port` has `post(message)`; what the worker posts comes to `take(batch)`. */
export class Visit {
  constructor(post) {
    this.post = post;
    this.waiting = [];
    this.text = "";
    this.stats = {};
    this.decoder = new TextDecoder();
  }

  /** A batch of the worker: what it says is looked at, and it gets its credit back. */
  take(batch) {
    for (const message of batch.messages) this.look(message);
    if (batch.seq > 0) this.post({ Ack: { seq: batch.seq } });
  }

  look(message) {
    const [kind, body] = typeof message === "string" ? [message, null] : Object.entries(message)[0];
    if (kind === "TerminalOutput") this.text = (this.text + this.decoder.decode(body.bytes).replace(ESCAPES, "")).slice(-4000);
    if (kind === "Stats") this.stats = body;
    this.waiting = this.waiting.filter((w) => !w.wants(kind, body) || w.done(body));
  }

  /** The next message for which `wants(kind, body)` is true. */
  next(wants, minutes = 10) {
    return new Promise((done, fail) => {
      const limit = setTimeout(() => fail(new Error(`nothing came for ${minutes} minutes; the terminal says: ${this.text.slice(-300)}`)), minutes * 60_000);
      this.waiting.push({ wants, done: (body) => (clearTimeout(limit), done(body)) });
    });
  }

  /** Boots a cluster as fast as possible; ms from the order to Ready. */
  async boot(config) {
    const began = performance.now();
    const ready = this.next((kind, body) => kind === "Boot" && body.done);
    this.post({ Start: { protocol: 1, config, seed: 1, epoch_us: 1767225600000000, resume: undefined } });
    this.post({ Pace: "SkipBoot" });
    await ready;
    const ms = performance.now() - began;
    this.post({ Pace: { Speed: "Max" } });
    const prompt = this.next((kind) => kind === "TerminalOutput");
    this.post({ OpenTerminal: { tab: 1, cols: 120, rows: 40 } });
    await prompt;
    return ms;
  }

  type(text) {
    this.post({ TerminalInput: { tab: 1, bytes: new TextEncoder().encode(text) } });
  }

  /** Types a command; ms from the last key to its end. */
  async run(command, minutes = 10) {
    const done = this.next((kind) => kind === "TerminalOutput" && this.text.includes(MARK), minutes);
    this.text = "";
    const began = performance.now();
    this.type(`${command}; echo =all='done='$?\r`);
    await done;
    const ms = performance.now() - began;
    const code = /=all=done=(\d+)/.exec(this.text + " ")?.[1];
    if (code !== "0" && code !== undefined) throw new Error(`${command.slice(0, 80)} ended with ${code}: ${this.text.slice(-400)}`);
    return ms;
  }
}

/** A file on the laptop with `deployments` Deployments of `replicas` each, with a Service each if asked for. */
export function writeDeployments(deployments, replicas, services) {
  const service = services
    ? `echo "---"; echo "{apiVersion: v1, kind: Service, metadata: {name: d-$i}, spec: {selector: {app: d-$i}, ports: [{port: 80}]}}"; `
    : "";
  return (
    `for i in $(seq ${deployments}); do echo "---"; echo "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d-$i}, spec: {replicas: ${replicas}, ` +
    `selector: {matchLabels: {app: d-$i}}, template: {metadata: {labels: {app: d-$i}}, spec: {containers: [{name: srv, image: 'nginx:1.27', ports: [{containerPort: 80}]}]}}}}"; ${service}` +
    `done > d.yaml`
  );
}

/** Applies that file and waits until all replicas are Ready. */
export const rollOut = (replicas) =>
  `kubectl apply -f d.yaml > /dev/null && kubectl wait --for=jsonpath='{.status.readyReplicas}'=${replicas} deployment --all --timeout=2h > /dev/null`;

export const writeConfigMaps = (n) =>
  `for i in $(seq ${n}); do echo "---"; echo "{apiVersion: v1, kind: ConfigMap, metadata: {name: cm-$i}, data: {key: value-$i}}"; done > cm-${n}.yaml`;
