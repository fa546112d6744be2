// Does a split worker do what the whole one does? Runs one long visit (a rollout of 200 pods with a Service, kubectl in many
// ways, the shell's tools, a rolling update, a drain, all lenses, the inspector, a save, a fork) with each of two built sites and
// compares every message that the workers post, byte by byte:
//   KUBOTTLE_SPLIT=0 make build, copy dist to WHOLE, make build
//   node tools/split/compare.mjs WHOLE dist

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { rollOut, writeDeployments } from "../../benches/browser/visit.mjs";
import "./node.mjs";
import { Scope } from "./scope.mjs";

const COMMANDS = [
  writeDeployments(1, 200, true),
  rollOut(200),
  "kubectl get pods -A -o wide | sort; kubectl describe deployment d-1; kubectl describe pod -l app=d-1 | head -400; kubectl describe nodes",
  "kubectl get all,cm,secret,ev,sa -A -o yaml | awk '{n[$1]++} END {for (k in n) print k, n[k]}' | sort",
  `kubectl get pods -A -o json | sed -n 's/.*"nodeName": *"\\(.*\\)".*/\\1/p' | sort | uniq -c`,
  `kubectl get pods -A -o jsonpath='{range .items[*]}{.metadata.name} {.status.podIP}{"\\n"}{end}' | awk '{print $2, $1}' | sort`,
  "kubectl scale deployment d-1 --replicas=20; kubectl set image deployment/d-1 srv=nginx:1.28; kubectl rollout status deployment d-1; kubectl rollout history deployment d-1",
  "kubectl explain pod.spec; kubectl api-resources; kubectl auth can-i --list; kubectl get svc,ep,endpointslices -A -o yaml",
  "kubectl run t --image=busybox --restart=Never -- sh -c 'echo hi; sleep 3600'; kubectl wait --for=condition=Ready pod/t; kubectl exec t -- ls -la /; kubectl logs t",
  "kubectl create configmap a --from-literal=x=1 -o yaml; kubectl patch cm a -p '{\"data\":{\"y\":\"2\"}}'; kubectl diff -f d.yaml; kubectl apply --server-side -f d.yaml",
  "kubectl drain $(kubectl get nodes -o name | tail -1 | cut -d/ -f2) --ignore-daemonsets --force --timeout=60s; kubectl get nodes; kubectl delete deployment d-1",
];
const LIMIT_MS = 3_600_000;
const show = (lens) => ({ Show: { lens, width: 1000, height: 600, compact: false, options: { heartbeats: true, system_pods: true, reduced_motion: false } } });
// How much memory the worker has is no part of what it says.
const plain = (key, value) => (key === "memory_bytes" ? 0 : typeof value === "bigint" ? String(value) : value);

/** The whole visit with the site in `folder`; prints one line of JSON. */
async function visit(folder) {
  const scope = new Scope();
  scope.install();
  const [digest, last] = [createHash("sha256"), {}];
  let [text, messages] = ["", 0];
  const decoder = new TextDecoder();
  scope.onposted = (batch) => {
    digest.update(JSON.stringify(batch, plain));
    messages += batch.messages.length;
    for (const message of batch.messages) {
      const [kind, body] = typeof message === "string" ? [message, null] : Object.entries(message)[0];
      last[kind] = body;
      if (kind === "TerminalOutput") text += decoder.decode(body.bytes, { stream: true });
    }
    if (batch.seq > 0) scope.later(16, () => globalThis.onmessage({ data: { Ack: { seq: batch.seq } } }));
  };
  const until = (done) => scope.run(done, scope.now + LIMIT_MS);
  const ask = (message, kind) => {
    delete last[kind];
    scope.post(message);
    until(() => kind in last);
  };

  const { initSync } = await import(pathToFileURL(join(folder, "worker.js")).href);
  const wasm = initSync({ module: await readFile(join(folder, "worker_bg.wasm")) });
  until(() => last.Ready);
  ask({ Start: { protocol: 1, config: { Named: "hollow-10" }, seed: 1, epoch_us: 1767225600000000 } }, "Cluster");
  scope.post(show("Architecture"));
  scope.post({ WatchEvents: { query: { warnings_only: false, limit: 200 } } });
  scope.post({ Pace: "SkipBoot" });
  until(() => last.Boot?.done);
  scope.post({ Pace: { Speed: "Max" } });
  ask({ OpenTerminal: { tab: 1, cols: 120, rows: 40 } }, "TerminalOutput");
  for (const [i, command] of COMMANDS.entries()) {
    scope.post({ TerminalInput: { tab: 1, bytes: new TextEncoder().encode(`${command}; echo =all='done='${i}=\r`) } });
    until(() => text.includes(`=all=done=${i}=`));
  }
  scope.post({ Pace: "Pause" });
  const node = { Object: { group: "", resource: "nodes", namespace: "", name: "node-1" } };
  for (const tab of ["Why", "Overview", "Yaml", "Events"]) ask({ Inspect: { thing: node, tab } }, "Inspector");
  for (const lens of ["Components", "ControlPlane", "ServiceNetwork", "PodCreation"]) ask(show(lens), "Scene");
  scope.post({ Pace: "Play" });
  ask({ Apply: { id: 7, name: "x.yaml", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: q}\n---\nkind: Foo\n", dry_run: false } }, "Applied");
  ask("Save", "Saved");
  ask({ Seek: { at_us: Number(last.Clock.now_us) - 20_000_000 } }, "Clock");
  ask({ ResumeHere: { name: "b" } }, "Clock");
  console.log(JSON.stringify({ split: "$loaded" in wasm, messages, characters: text.length, events: Number(last.Clock.events), digest: digest.digest("hex") }));
}

if (process.argv[2] === "--visit") {
  await visit(resolve(process.argv[3]));
  process.exit(0);
}
const [whole, split] = process.argv.slice(2, 4).map((folder) => {
  const run = spawnSync(process.execPath, [fileURLToPath(import.meta.url), "--visit", folder], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  if (run.status !== 0) throw new Error(`the visit of ${folder} ended with ${run.status ?? run.signal}`);
  console.log(`${folder}: ${run.stdout.trim()}`);
  return JSON.parse(run.stdout);
});
if (whole.split || !split.split) throw new Error("usage: node tools/split/compare.mjs WHOLE SPLIT");
if (whole.digest !== split.digest) throw new Error("the two workers posted different messages");
console.log("the two workers posted the same messages");
