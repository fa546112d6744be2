//! The line editor: completion, history, paste, and texts that aren't plain.

use crate::driver::Desk;

#[test]
fn completion_history_and_tabs() {
    let mut desk = Desk::boot("demo");
    desk.shown(1);
    desk.keys(1, "kubectl get nod\t");
    desk.advance(base::Duration::from_secs(1));
    desk.keys(1, "-o name\r");
    desk.wait_for(1, "node/cp-1", 10);
    assert!(desk.wait_for_prompt(1, 5));
    desk.shown(1);
    desk.keys(1, "k describe node cp\t");
    desk.advance(base::Duration::from_secs(1));
    desk.keys(1, "| head -1\r");
    desk.wait_for(1, "Name:               cp-1", 10);
    assert!(desk.wait_for_prompt(1, 5));
    desk.shown(1);
    desk.keys(1, "kubectl roll\t");
    desk.advance(base::Duration::from_secs(1));
    desk.keys(1, "\t\t");
    desk.wait_for(1, "restart", 5);
    desk.keys(1, "\u{3}");
    assert!(desk.wait_for_prompt(1, 5));

    desk.line("echo first");
    desk.line("echo second");
    desk.shown(1);
    desk.keys(1, "\u{1b}[A\u{1b}[A\r");
    desk.wait_for(1, "first", 5);
    assert!(desk.wait_for_prompt(1, 5));
    desk.shown(1);
    desk.keys(1, "\u{12}sec\r");
    desk.wait_for(1, "\nsecond", 5);
    desk.check(&[("history | tail -4", &["echo first"])]);

    // Tabs have their own shells and one disk.
    desk.open(2);
    desk.keys(2, "cd /tmp; X=two; echo $X > /tmp/f; pwd\r");
    desk.wait_for(2, "/tmp", 5);
    desk.check(&[("pwd; echo [$X] $(cat /tmp/f)", &["/root", "[] two"])]);
}

/// What the Tab key makes of a command that names a namespace, a container, another kind's object.
#[test]
fn completion_goes_by_the_flags() {
    let mut desk = Desk::boot("demo");
    desk.check(&[("kubectl run two --image=nginx", &["created"]), ("touch core.txt", &[])]);
    for (typed, completed) in [
        ("kubectl -n kube-system logs kube-sch\t", "logs kube-scheduler-cp-1 "),
        ("kubectl logs -n kube-system kube-sch\t", "logs -n kube-system kube-scheduler-cp-1 "),
        ("kubectl get -n kube-system pods etc\t", "pods etcd-cp-1 "),
        ("kubectl logs two -c \t", "-c two "),
        ("kubectl logs -n kube-system deploy/core\t", "deploy/coredns "),
        ("kubectl taint nodes node-2\t", "nodes node-2 "),
        ("kubectl taint no\t", "taint nodes "),
        ("kubectl top node node-1\t", "node node-1 "),
        ("kubectl apply -f core\t", "-f core.txt "),
        ("kubectl config use-context kub\t", "use-context kubernetes-admin@kubernetes "),
    ] {
        desk.shown(1);
        desk.keys(1, typed);
        desk.advance(base::Duration::from_secs(1));
        let shown = desk.shown(1);
        assert!(shown.contains(completed), "{typed:?}: {shown:?}");
        desk.keys(1, "\u{3}");
        assert!(desk.wait_for_prompt(1, 5));
    }
    // No pod is called so, and a file is not meant.
    desk.shown(1);
    desk.keys(1, "kubectl describe pod core\t");
    desk.advance(base::Duration::from_secs(1));
    assert!(!desk.shown(1).contains("core.txt"));
    desk.keys(1, "\u{3}");
}

/// What is pasted between the markers of bracketed paste is one text: no line of it runs by itself.
#[test]
fn a_paste_waits_for_the_enter_key() {
    let mut desk = Desk::boot("demo");
    desk.shown(1);
    desk.keys(1, "\u{1b}[200~echo one\necho two\n\u{1b}[201~");
    desk.advance(base::Duration::from_secs(1));
    let shown = desk.shown(1);
    assert!(!shown.contains("\none\r") && !shown.contains("\ntwo\r"), "nothing has run: {shown:?}");
    desk.keys(1, "\r");
    desk.wait_for(1, "two\r", 5);
    assert!(desk.wait_for_prompt(1, 5));
    let yaml = "\u{1b}[200~cat <<'EOF' | kubectl apply -f -\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: pasted\nEOF\n\u{1b}[201~\r";
    desk.keys(1, yaml);
    desk.wait_for(1, "configmap/pasted created", 20);
}

/// Right-to-left text, wide characters and markup are text.
#[test]
fn text_is_text() {
    let mut desk = Desk::boot("demo");
    desk.check(&[
        ("echo שלום مرحبا 日本語 é😀", &["שלום مرحبا 日本語 é😀"]),
        ("echo '<b>x</b> & <script>'", &["<b>x</b> & <script>"]),
        ("kubectl create cm rtl --from-literal=k='مرحبا <i>'", &["configmap/rtl created"]),
        ("kubectl get cm rtl -o jsonpath='{.data.k}'; echo", &["مرحبا <i>"]),
        ("kubectl create cm '<b>x</b>'", &["a lowercase RFC 1123 subdomain must consist of", "Invalid value: \"<b>x</b>\""]),
        ("kubectl get pods '<img src=x>'", &["Error from server (NotFound): pods \"<img src=x>\" not found"]),
        ("kubectl label cm rtl a='<x>'", &["error: invalid label value: \"a=<x>\": a valid label must be"]),
    ]);
}
