// A long visit, driven without a page in a time of its own (scope.mjs): a rollout of 200 pods with a Service, kubectl in many ways, the
// shell's tools, a rolling update, a drain, all lenses, the inspector, a save, a fork. compare.mjs does it with two workers, profile.mjs to
// see what people need after their first seconds.

import { rollOut, writeDeployments } from "../../benches/browser/visit.mjs";

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
  `kubectl run big --image=nginx --overrides='{"spec":{"containers":[{"name":"big","image":"nginx","resources":{"requests":{"cpu":"99"}}}]}}'; sleep 3`,
  "kubectl create configmap a --from-literal=x=1 -o yaml; kubectl patch cm a -p '{\"data\":{\"y\":\"2\"}}'; kubectl diff -f d.yaml; kubectl apply --server-side -f d.yaml",
  "kubectl drain $(kubectl get nodes -o name | tail -1 | cut -d/ -f2) --ignore-daemonsets --force --timeout=60s; kubectl get nodes; kubectl delete deployment d-1",
];
const LIMIT_MS = 3_600_000;
const show = (lens) => ({ Show: { lens, width: 1000, height: 600, compact: false, options: { heartbeats: true, system_pods: true, reduced_motion: false } } });

export class Work {
  /** `posted(batch)` is told each batch of the worker. */
  constructor(scope, posted = () => {}) {
    Object.assign(this, { scope, last: {}, text: "", messages: 0 });
    const decoder = new TextDecoder();
    scope.onposted = (batch) => {
      posted(batch);
      this.messages += batch.messages.length;
      for (const message of batch.messages) {
        const [kind, body] = typeof message === "string" ? [message, null] : Object.entries(message)[0];
        this.last[kind] = body;
        if (kind === "TerminalOutput") this.text += decoder.decode(body.bytes, { stream: true });
      }
      if (batch.seq > 0) scope.later(16, () => globalThis.onmessage({ data: { Ack: { seq: batch.seq } } }));
    };
  }

  until(done) {
    this.scope.run(done, this.scope.now + LIMIT_MS);
  }

  ask(message, kind) {
    delete this.last[kind];
    this.scope.post(message);
    this.until(() => kind in this.last);
  }

  /** The visit, with the worker's module made and not started yet. */
  run() {
    const { scope, last } = this;
    this.until(() => "Ready" in last);
    this.ask({ Start: { protocol: 1, config: { Named: "hollow-10" }, seed: 1, epoch_us: 1767225600000000 } }, "Cluster");
    scope.post(show("Architecture"));
    scope.post({ WatchEvents: { query: { warnings_only: false, limit: 200 } } });
    scope.post({ Pace: "SkipBoot" });
    this.until(() => last.Boot?.done);
    scope.post({ Pace: { Speed: "Max" } });
    this.ask({ OpenTerminal: { tab: 1, cols: 120, rows: 40 } }, "TerminalOutput");
    for (const [i, command] of COMMANDS.entries()) {
      scope.post({ TerminalInput: { tab: 1, bytes: new TextEncoder().encode(`${command}; echo =all='done='${i}=\r`) } });
      this.until(() => this.text.includes(`=all=done=${i}=`));
    }
    scope.post({ Pace: "Pause" });
    const node = { Object: { group: "", resource: "nodes", namespace: "", name: "node-1" } };
    for (const tab of ["Why", "Overview", "Yaml", "Events"]) this.ask({ Inspect: { thing: node, tab } }, "Inspector");
    this.ask({ Inspect: { thing: { Object: { group: "", resource: "pods", namespace: "default", name: "big" } }, tab: "Why" } }, "Inspector");
    for (const lens of ["Components", "ControlPlane", "ServiceNetwork", "PodCreation"]) this.ask(show(lens), "Scene");
    scope.post({ Pace: "Play" });
    this.ask({ Apply: { id: 7, name: "x.yaml", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: q}\n---\nkind: Foo\n", dry_run: false } }, "Applied");
    this.ask("Save", "Saved");
    this.ask({ Seek: { at_us: Number(last.Clock.now_us) - 20_000_000 } }, "Clock");
    this.ask({ ResumeHere: { name: "b" } }, "Clock");
  }
}
