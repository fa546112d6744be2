//! kubectl as people know it, typed.

use crate::driver::Desk;

/// From an empty namespace to a service and back.
#[test]
fn the_life_of_a_deployment() {
    let mut desk = Desk::boot("demo");
    desk.check(&[
        ("k version", &["Server Version: v1.37.2"]),
        ("kubectl create deployment web --image=nginx:1.27 --replicas=2 --port=80", &["deployment.apps/web created"]),
        ("kubectl rollout status deployment/web", &["successfully rolled out"]),
        ("kubectl get deploy", &["NAME   READY   UP-TO-DATE   AVAILABLE   AGE", "web    2/2"]),
        ("kubectl get pods -o wide -l app=web", &["READY   STATUS    RESTARTS", "NOMINATED NODE"]),
        ("kubectl get deploy web -o yaml | grep -A1 replicas: | head -2", &["replicas: 2"]),
        ("kubectl get deploy web -o json | jq .spec.replicas", &["2"]),
        ("kubectl get deploy web -o jsonpath='{.spec.replicas}{\"\\n\"}'", &["2"]),
        ("kubectl get deploy web -o go-template='{{.spec.replicas}}{{\"\\n\"}}'", &["2"]),
        ("kubectl get deploy -o name", &["deployment.apps/web"]),
        ("kubectl get deploy -o custom-columns=N:.metadata.name,R:.spec.replicas", &["N     R\nweb   2"]),
        ("kubectl get pods --no-headers | wc -l", &["2"]),
        ("kubectl expose deployment web --port=80 --type=NodePort", &["service/web exposed"]),
        ("kubectl get svc,endpointslices", &["service/web", "NodePort", "endpointslice.discovery.k8s.io/web-"]),
        ("kubectl scale deployment web --replicas=3", &["deployment.apps/web scaled"]),
        ("kubectl set image deployment/web nginx=nginx:1.28", &["deployment.apps/web image updated"]),
        ("kubectl rollout status deployment/web", &["successfully rolled out"]),
        ("kubectl rollout history deployment/web", &["REVISION  CHANGE-CAUSE", "1", "2"]),
        ("kubectl rollout undo deployment/web", &["deployment.apps/web rolled back"]),
        ("kubectl rollout restart deployment/web", &["deployment.apps/web restarted"]),
        ("kubectl rollout status deployment/web --timeout=60s", &["successfully rolled out"]),
        ("kubectl set env deployment/web A=1", &["deployment.apps/web env updated"]),
        ("kubectl set resources deployment/web --limits=cpu=200m", &["deployment.apps/web resource requirements updated"]),
        ("kubectl label deployment web tier=front", &["deployment.apps/web labeled"]),
        ("kubectl annotate deployment web note=hello", &["deployment.apps/web annotated"]),
        ("kubectl describe deployment web | head -12", &["Name:                   web", "tier=front", "note: hello"]),
        ("kubectl patch deployment web -p '{\"spec\":{\"replicas\":1}}'", &["deployment.apps/web patched"]),
        ("kubectl wait --for=condition=Available deployment/web --timeout=60s", &["deployment.apps/web condition met"]),
        ("kubectl get events --field-selector involvedObject.name=web | head -3", &["LAST SEEN   TYPE", "ScalingReplicaSet"]),
        ("kubectl events --for deployment/web | head -2", &["LAST SEEN"]),
        ("kubectl top pods", &["error: Metrics API not available"]),
        ("kubectl top nodes", &["error: Metrics API not available"]),
        ("kubectl delete deployment web", &["deployment.apps \"web\" deleted"]),
        ("kubectl delete svc web", &["service \"web\" deleted"]),
        ("kubectl get pods --wait=false 2>&1 | head -1", &["unknown flag: --wait"]),
        ("kubectl get deploy", &["No resources found in default namespace."]),
    ]);
}

#[test]
fn questions_about_the_api() {
    let mut desk = Desk::boot("demo");
    desk.check(&[
        ("kubectl explain pod.spec.containers.image", &["KIND:       Pod", "FIELD: image <string>"]),
        ("kubectl explain deploy --recursive | head -8", &["GROUP:      apps", "KIND:       Deployment"]),
        ("kubectl api-resources | head -3", &["NAME", "SHORTNAMES", "APIVERSION"]),
        ("kubectl api-resources --api-group=apps -o name", &["deployments.apps"]),
        ("kubectl api-versions | grep apps/v1", &["apps/v1"]),
        ("kubectl auth can-i create pods", &["yes"]),
        ("kubectl auth can-i create pods --as=system:serviceaccount:default:default", &["no"]),
        ("kubectl auth whoami", &["kubernetes-admin"]),
        ("kubectl cluster-info", &["is running at"]),
        ("kubectl config current-context", &["kubernetes-admin@kubernetes"]),
        ("kubectl get nodes", &["cp-1", "Ready", "control-plane"]),
        ("kubectl get --raw /healthz; echo", &["ok"]),
        (
            "kubectl get ns -o jsonpath='{.items[*].metadata.name}'; echo",
            &["default kube-flannel kube-node-lease kube-public kube-system"],
        ),
        ("kubectl get pods -A | grep -c kube-system", &[]),
        ("kubectl get foo", &["error: the server doesn't have a resource type \"foo\""]),
        ("kubectl get pod nope", &["Error from server (NotFound): pods \"nope\" not found"]),
        ("kubectl nosuch", &["error: unknown command \"nosuch\" for \"kubectl\""]),
        ("nosuch", &["bash: nosuch: command not found"]),
    ]);
}

/// Pipes, redirection, here-documents, variables, and the tools around kubectl.
#[test]
fn the_shell_around_kubectl() {
    let mut desk = Desk::boot("demo");
    desk.keys(1, "cat <<EOF | kubectl apply -f -\r");
    desk.keys(1, "apiVersion: v1\rkind: ConfigMap\rmetadata:\r  name: cm\rdata:\r  a: \"1\"\rEOF\r");
    desk.wait_for(1, "configmap/cm created", 20);
    assert!(desk.wait_for_prompt(1, 10));
    desk.check(&[
        ("NS=default; kubectl -n $NS get cm cm -o name", &["configmap/cm"]),
        ("kubectl get cm cm -o yaml > cm.yaml && grep -n '  a:' cm.yaml && wc -l < cm.yaml", &["  a: \"1\""]),
        ("sed -i 's/a: \"1\"/a: \"2\"/' cm.yaml; kubectl apply -f cm.yaml", &["configmap/cm configured"]),
        ("kubectl diff -f cm.yaml; echo $?", &["0"]),
        ("kubectl get cm cm -o json | jq -r '.data | to_entries[] | \"\\(.key)=\\(.value)\"'", &["a=2"]),
        ("kubectl get cm -o json | jq '[.items[].metadata.name]' -c", &["[\"cm\",\"kube-root-ca.crt\"]"]),
        ("for n in a b c; do kubectl create cm $n --from-literal=k=v; done", &["configmap/a created", "configmap/c created"]),
        (
            "kubectl get cm -o name | grep -v root | xargs kubectl delete",
            &["configmap \"a\" deleted", "configmap \"cm\" deleted"],
        ),
        ("kubectl get pod nope 2>/dev/null || echo code $?", &["code 1"]),
        ("kubectl create cm x --dry-run=client -o yaml | tee x.yaml | head -1", &["apiVersion: v1"]),
        ("test -f x.yaml && echo yes", &["yes"]),
        (
            "kubectl get nodes -o json | jq -r '.items[] | [.metadata.name, .status.nodeInfo.kubeletVersion] | @tsv'",
            &["cp-1\tv1.37.2"],
        ),
        ("alias", &["kubectl"]),
    ]);
}

/// Streams end with Ctrl-C, and the prompt comes back.
#[test]
fn streams_and_the_editor() {
    let mut desk = Desk::boot("demo");
    desk.line("kubectl run talk --image=busybox:1.36 --restart=Never -- sh -c 'i=0; while true; do echo line $i; i=$((i+1)); sleep 1; done'");
    desk.line("kubectl wait --for=condition=Ready pod/talk --timeout=60s");
    desk.keys(1, "kubectl logs -f talk\r");
    desk.wait_for(1, "line 3", 30);
    desk.keys(1, "\u{3}");
    assert!(desk.wait_for_prompt(1, 5), "Ctrl-C ends logs -f");
    desk.check(&[("echo $?", &["130"])]);
    desk.keys(1, "kubectl get pods -w\r");
    desk.wait_for(1, "talk   1/1     Running", 10);
    desk.open(2);
    desk.keys(2, "kubectl label pod talk x=y\r");
    desk.wait_for(2, "pod/talk labeled", 10);
    desk.advance(base::Duration::from_secs(1));
    desk.keys(1, "\u{3}");
    assert!(desk.wait_for_prompt(1, 5), "Ctrl-C ends get -w");
    assert_eq!(desk.shown(1).matches("talk   1/1     Running").count(), 2, "the label is a change");

    desk.keys(1, "kubectl exec -it talk -- sh\r");
    desk.wait_for(1, "/ # ", 10);
    desk.shown(1);
    desk.keys(1, "hostname; ls /bin/busybox /bin/sh; exit 7\r");
    desk.wait_for(1, "command terminated with exit code 7", 10);
    assert!(desk.peek(1).contains("talk\r\n"));
    assert!(desk.wait_for_prompt(1, 5));

    desk.keys(1, "watch -n 1 kubectl get pods\r");
    desk.wait_for(1, "Every 1.0s: kubectl get pods", 10);
    desk.wait_for(1, "Running", 10);
    desk.keys(1, "\u{3}");
    assert!(desk.wait_for_prompt(1, 5), "Ctrl-C ends watch");

    desk.keys(1, "kubectl get pods -A -o yaml | less\r");
    desk.wait_for(1, "apiVersion: v1", 10);
    desk.keys(1, "q");
    assert!(desk.wait_for_prompt(1, 5), "q ends less");

    desk.keys(1, "kubectl edit pod talk\r");
    desk.wait_for(1, "hint: Waiting for your editor to close the file...", 5);
    desk.advance(base::Duration::from_secs(2));
    let (buffer, name, text) = desk.buffers.pop().expect("an editor has opened");
    assert!(name == "pod/talk" && text.contains("# Please edit the object below."), "{name}\n{text}");
    desk.close_buffer(buffer, Some(&text.replace("x: \"y\"", "x: z").replace("x: y", "x: z")));
    desk.wait_for(1, "pod/talk edited", 10);
    assert!(desk.wait_for_prompt(1, 5));
    desk.check(&[("kubectl get pod talk --show-labels", &["x=z"])]);
}

#[test]
fn nodes_are_maintained() {
    let mut desk = Desk::boot("demo");
    desk.check(&[
        ("kubectl create deployment web --image=nginx:1.27 --replicas=4", &["created"]),
        ("kubectl rollout status deployment/web", &["successfully rolled out"]),
        ("kubectl cordon node-1", &["node/node-1 cordoned"]),
        ("kubectl get node node-1", &["Ready,SchedulingDisabled"]),
        ("kubectl drain node-1", &["cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore)"]),
        ("kubectl drain node-1 --ignore-daemonsets --timeout=90s", &["node/node-1 drained"]),
        ("kubectl get pods -l app=web -o wide --no-headers | grep -c node-1", &["0"]),
        ("kubectl uncordon node-1", &["node/node-1 uncordoned"]),
        ("kubectl taint nodes node-1 k=v:NoSchedule", &["node/node-1 tainted"]),
        ("kubectl taint nodes node-1 k-", &["node/node-1 untainted"]),
        ("kubectl label node node-1 disk=ssd", &["node/node-1 labeled"]),
    ]);
}
