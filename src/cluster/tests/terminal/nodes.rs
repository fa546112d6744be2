//! `ssh`, `crictl`, `etcdctl`: what is under kube-apiserver, from the laptop, from a node, and from etcd's own container.

use crate::driver::Desk;

/// The flags that everybody copies from the documentation.
const CERTS: &str = "--endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt \
                     --cert=/etc/kubernetes/pki/etcd/server.crt --key=/etc/kubernetes/pki/etcd/server.key";

#[test]
fn ssh_runs_commands_and_shells() {
    let mut desk = Desk::boot("demo");
    desk.check(&[
        ("ssh node-1 hostname", &["node-1"]),
        ("ssh node-1 'exit 3'; echo code $?", &["code 3"]),
        ("ssh node-1 cat /nosuch; echo code $?", &["cat: can't open '/nosuch': No such file or directory", "code 1"]),
        ("echo hello | ssh node-1 'tr a-z A-Z'", &["HELLO"]),
        ("seq 20000 | ssh node-1 cat | tail -1", &["20000"]),
        ("seq 3 | while read n; do ssh -n node-1 echo got $n; done", &["got 1", "got 2", "got 3"]),
        ("ssh node-1 yes | head -2; echo over", &["y\ny\nover"]),
        ("ssh -o StrictHostKeyChecking=no root@node-2 uname -n", &["node-2"]),
        ("ssh nowhere ls; echo code $?", &["ssh: Could not resolve hostname nowhere: Name or service not known", "code 255"]),
        ("ssh -L 80:x:80 node-1", &["ssh: option -L is not in this bottle"]),
        ("ssh node-1 < /dev/null; echo code $?", &["Pseudo-terminal will not be allocated", "code 0"]),
        ("ssh -t node-1 tty", &["/dev/", "Connection to node-1 closed."]),
    ]);
    desk.keys(1, "ssh node-1\r");
    desk.wait_for(1, "root@node-1:~# ", 10);
    desk.shown(1);
    desk.keys(1, "while true; do :; done\r");
    desk.advance(base::Duration::from_secs(2));
    desk.keys(1, "\u{3}");
    desk.wait_for(1, "root@node-1:~# ", 10);
    desk.keys(1, "exit 4\r");
    desk.wait_for(1, "Connection to node-1 closed.", 10);
    assert!(desk.wait_for_prompt(1, 5));
    desk.check(&[("echo code $?", &["code 4"])]);
}

/// A command whose output nobody reads waits; it doesn't fill the laptop's memory.
#[test]
fn ssh_output_waits_for_its_reader() {
    let mut desk = Desk::boot("demo");
    desk.keys(1, "ssh node-1 yes | (sleep 30; wc -c > /dev/null) &\r");
    desk.advance(base::Duration::from_secs(5));
    let steps = |desk: &Desk| desk.cluster.machine("node-1").map_or(0, |m| m.own_machine().used_steps());
    let before = steps(&desk);
    desk.advance(base::Duration::from_secs(10));
    assert!(steps(&desk) - before < 2_000, "{} steps while nobody read", steps(&desk) - before);
}

#[test]
fn crictl_shows_the_runtime() {
    let mut desk = Desk::boot("demo");
    desk.line("kubectl run box --image=busybox:1.36 --restart=Never --overrides='{\"spec\":{\"nodeName\":\"node-1\"}}' -- sh -c 'echo started; sleep 3600'");
    desk.line("kubectl wait --for=condition=Ready pod/box --timeout=60s");
    desk.check(&[
        ("ssh cp-1 crictl ps", &["CONTAINER", "ATTEMPT", "kube-apiserver-cp-1", "etcd-cp-1", "kube-system"]),
        ("ssh cp-1 crictl ps --name etcd -q | wc -c", &["65"]),
        ("ssh cp-1 crictl pods --namespace kube-system", &["POD ID", "RUNTIME", "kube-scheduler-cp-1", "Ready"]),
        ("ssh cp-1 crictl images", &["IMAGE", "IMAGE ID", "registry.k8s.io/etcd"]),
        ("ssh cp-1 'crictl logs --tail 2 $(crictl ps -q --name kube-apiserver)'; echo code $?", &["code 0"]),
        (
            "ssh node-1 'crictl inspect $(crictl ps -q --name box)' | jq -r '.status.state, .status.metadata.name'",
            &["CONTAINER_RUNNING\nbox"],
        ),
        ("ssh node-1 'crictl inspectp $(crictl pods -q --name box)' | jq -r .status.network.ip", &["10.244."]),
        ("ssh node-1 'crictl exec $(crictl ps -q --name box) hostname'", &["box"]),
        ("ssh node-1 'echo hi | crictl exec -i $(crictl ps -q --name box) cat'", &["hi"]),
        (
            "ssh node-1 'crictl exec $(crictl ps -q --name box) sh -c \"exit 3\"'; echo code $?",
            &["command terminated with exit code 3", "code 1"],
        ),
        ("ssh node-1 'crictl logs $(crictl ps -q --name box)'", &["started"]),
        ("ssh node-1 crictl inspect nosuch", &["code = NotFound"]),
        ("ssh node-1 crictl stats", &["FATA[0000] crictl stats is not in this bottle"]),
        ("ssh node-1 crictl rm x", &["FATA[0000] crictl rm is not in this bottle"]),
        ("crictl ps", &["bash: crictl: command not found"]),
    ]);
    desk.keys(1, "ssh node-1\r");
    desk.wait_for(1, "root@node-1:~# ", 10);
    desk.keys(1, "crictl exec -it $(crictl ps -q --name box) sh\r");
    desk.wait_for(1, "/ # ", 10);
    desk.keys(1, "echo inside-$(hostname); exit\r");
    desk.wait_for(1, "inside-box", 10);
    desk.wait_for(1, "root@node-1:~# ", 10);
    desk.keys(1, "exit\r");
    assert!(desk.wait_for_prompt(1, 5));
}

#[test]
fn etcdctl_from_everywhere() {
    let mut desk = Desk::boot("demo");
    let inside = format!("kubectl -n kube-system exec etcd-cp-1 -- etcdctl {CERTS}");
    let with_certs = format!("ssh cp-1 ETCDCTL_API=3 etcdctl {CERTS}");
    for command in [&inside, &with_certs, "ssh cp-1 etcdctl", "etcdctl"] {
        for (rest, wanted) in [
            (
                "get /registry/namespaces --prefix --keys-only",
                &["/registry/namespaces/default", "/registry/namespaces/kube-system"][..],
            ),
            ("get --prefix --keys-only /registry/services/specs", &["/registry/services/specs/default/kubernetes"]),
            ("member list -w table", &["|        ID        | STATUS  | NAME |", "started", "cp-1"]),
            ("endpoint status -w table", &["ENDPOINT", "RAFT TERM", "true"]),
            ("endpoint health", &["is healthy: successfully committed proposal: took = "]),
        ] {
            desk.check(&[(&format!("{command} {rest}"), wanted)]);
        }
    }
    desk.check(&[
        ("kubectl -n kube-system exec etcd-cp-1 -- sh", &["exec: \"sh\": executable file not found in $PATH"]),
        (
            "kubectl -n kube-system exec kube-apiserver-cp-1 -- /bin/ls",
            &["exec: \"/bin/ls\": stat /bin/ls: no such file or directory"],
        ),
    ]);
    desk.keys(1, "ssh cp-1 etcdctl watch --prefix /registry/configmaps/default\r");
    desk.advance(base::Duration::from_secs(1));
    desk.open(2);
    desk.keys(2, "kubectl create cm seen --from-literal=a=b\r");
    desk.wait_for(1, "PUT\r\n/registry/configmaps/default/seen\r\n", 10);
    desk.keys(1, "\u{3}");
    assert!(desk.wait_for_prompt(1, 5));
}
