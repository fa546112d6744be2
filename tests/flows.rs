//! Who asks what of whom: what the bottle's trace shows of an operation, against the audit log of a real cluster
//! (tests/golden/flows). The same clients send the same requests, and what follows from what comes after it.
//!
//! Not compared: fetches of controllers' tokens, conflicts (409) and their retries, and what goes on whether something is done or not
//! (but for the idle minute and the boot of a node).

#[path = "flows/judge.rs"]
mod judge;
#[path = "flows/operate.rs"]
mod operate;
#[path = "flows/order.rs"]
mod order;
#[path = "flows/request.rs"]
mod request;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use base::Duration;
use cluster::Input;
use judge::Known;
use operate::Operator;
use request::{Asked, Normaliser};
use sim::MsgId;

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: nginx
        image: nginx:1.25
        ports: [{containerPort: 80}]
";
const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80}]
";
const JOB: &str = "
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: once, image: busybox, command: [sh, -c, 'echo done; sleep 0.5']}
";
const INIT: &str = "
apiVersion: v1
kind: Pod
metadata: {name: app}
spec:
  initContainers:
  - name: wait-database
    image: busybox
    command: [sh, -c, 'until ls /db/dir; do sleep 5; done']
  containers:
  - {name: app, image: nginx}
";

/// Recorded operations in the order in which they were made: flow, commands, and the seconds that are looked at.
const OPERATIONS: &[(&str, &[&str], i64)] = &[
    // The node has the images.
    ("", &["kubectl run a --image=nginx", "kubectl run b --image=busybox --restart=Never -- true"], 15),
    ("", &["kubectl delete pod a b"], 15),
    ("run-pod", &["kubectl run solo --image=nginx"], 10),
    ("delete-pod", &["kubectl delete pod solo"], 10),
    ("apply-deployment", &["kubectl apply -f web.yaml"], 12),
    ("apply-service", &["kubectl apply -f service.yaml"], 10),
    ("scale-up", &["kubectl scale deployment web --replicas=5"], 10),
    ("rolling-update", &["kubectl apply -f web-2.yaml"], 25),
    ("", &["kubectl scale deployment web --replicas=1"], 15),
    ("delete-deployment", &["kubectl delete deployment web", "kubectl delete service web"], 10),
    ("job", &["kubectl create -f job.yaml"], 12),
    ("", &["kubectl delete job once"], 10),
    ("init-container", &["kubectl apply -f app.yaml", "sleep 8", "kubectl exec app -c wait-database -- mkdir -p /db/dir"], 20),
];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/flows").join(name)
}

fn recording(flow: &str) -> Vec<Asked> {
    request::read(&std::fs::read_to_string(golden(&format!("{flow}.jsonl"))).unwrap()).1
}

/// How much is compared of what goes on whether something is done or not.
#[derive(Clone, Copy, PartialEq)]
enum Chatter {
    None,
    /// Leases, and what kube-apiserver asks itself.
    Heartbeats,
    /// Also what controllers look up every thirty seconds.
    All,
}

/// What a recording and a trace are compared without.
fn is_aside(asked: &Asked, chatter: Chatter) -> bool {
    let token = asked.who == "kube-controller-manager" && asked.uri.contains("/namespaces/kube-system/serviceaccounts/");
    // Reconnected watches come when they come.
    let again = asked.verb == "watch" && asked.uri.contains("resourceVersion=RV");
    let loopback = asked.uri.starts_with("/openapi/v3")
        || asked.uri.ends_with("/endpoints/kubernetes")
        || asked.uri.ends_with("/endpointslices/kubernetes");
    let discovery = matches!(&*asked.uri, "/api" | "/apis") && asked.who.contains('(');
    let heartbeat = asked.who == "kube-apiserver" && loopback || asked.uri.contains("/leases");
    token || again || asked.code == 409 || (heartbeat && chatter == Chatter::None) || (discovery && chatter != Chatter::All)
}

/// Recorded requests have no message.
fn tidy(asked: Vec<(MsgId, Asked)>, chatter: Chatter) -> (Vec<MsgId>, Vec<Asked>) {
    let mut normaliser = Normaliser::default();
    let tidied = asked.into_iter().map(|(id, a)| (id, Asked { uri: normaliser.apply(&a.uri), ..a }));
    tidied.filter(|(_, a)| !is_aside(a, chatter)).unzip()
}

/// Everything that is judged at the end.
#[derive(Default)]
struct Verdict {
    report: String,
    differences: Vec<String>,
    disorder: Vec<String>,
}

impl Verdict {
    fn flow(&mut self, flow: &str, recorded: Vec<Asked>, operator: &Operator, mark: MsgId, chatter: Chatter) {
        let (_, recorded) = tidy(recorded.into_iter().map(|a| (MsgId(0), a)).collect(), chatter);
        let (ids, ours) = tidy(operator.asked_since(mark), chatter);
        let mut details = String::new();
        let (figures, differences) = judge::compare(&recorded, &ours, &mut details);
        let line = format!("{flow}: {} equal, {} missing, {} extra", figures.equal, figures.missing, figures.extra);
        println!("{line}");
        let _ = writeln!(self.report, "{line}\n{details}");
        self.differences.extend(differences.into_iter().map(|d| format!("{flow}: {d}")));
        for constraint in order::parse(&std::fs::read_to_string(golden("causes.txt")).unwrap()) {
            if !constraint.is_for(flow) {
                continue;
            }
            if constraint.holds(&recorded) == Some(false) {
                self.disorder.push(format!("{flow}, as recorded: {}", constraint.text));
            }
            if constraint.holds(&ours) == Some(false) {
                self.disorder.push(format!("{flow}: {}", constraint.text));
            }
            for effect in constraint.without_cause(&ours, |cause, effect| operator.led_to(ids[cause], ids[effect])) {
                self.disorder.push(format!(
                    "{flow}: the trace does not show that {} led to it: {}",
                    constraint.text,
                    ours[effect].key()
                ));
            }
        }
        for a in &ours {
            let _ = writeln!(self.report, "  {:>9.1} {} {}", a.ms, a.key(), a.code);
        }
    }
}

#[test]
fn flows() {
    let mut verdict = Verdict::default();
    let mut operator = Operator::without_node();
    let mark = operator.mark();
    operator.bottle.input(Input::AddNode);
    operator.run_for(Duration::from_secs(25));
    let first = |flow: &str, seconds: f64| recording(flow).into_iter().filter(|a| a.ms < seconds * 1000.0).collect::<Vec<_>>();
    verdict.flow("boot-node", first("boot-node", 25.0), &operator, mark, Chatter::Heartbeats);

    operator.run_for(Duration::from_secs(60));
    let mark = operator.mark();
    operator.run_for(Duration::from_secs(60));
    verdict.flow("idle-minute", first("idle-minute", 60.0), &operator, mark, Chatter::All);
    let watches = operator.open_watches();

    let web_2 = WEB.replace("1.25", "1.27");
    for (name, text) in
        [("web.yaml", WEB), ("web-2.yaml", &web_2), ("service.yaml", SERVICE), ("job.yaml", JOB), ("app.yaml", INIT)]
    {
        operator.write_file(name, text);
    }
    for (flow, commands, seconds) in OPERATIONS {
        let mark = operator.mark();
        let began = operator.now();
        commands.iter().for_each(|c| operator.command(&format!("cd /root; {c}")));
        let rest = began + Duration::from_secs(*seconds);
        operator.run_for(Duration::from_secs(1).max(rest.since(operator.now())));
        if !flow.is_empty() {
            verdict.flow(flow, recording(flow), &operator, mark, Chatter::None);
        }
    }
    verdict.open_watches(watches);
    verdict.pronounce();
}

impl Verdict {
    /// The watches of the quiet cluster, whether they began with a list or not.
    fn open_watches(&mut self, ours: Vec<Asked>) {
        let begun = |asked: Vec<Asked>| -> Vec<Asked> {
            let again = "resourceVersion=RV";
            let first = "resourceVersionMatch=NotOlderThan&sendInitialEvents=true";
            let mut normaliser = Normaliser::default();
            asked
                .into_iter()
                .map(|a| Asked { verb: "watch".into(), uri: normaliser.apply(&a.uri).replace(again, first), ..a })
                .collect()
        };
        let mut details = String::new();
        let times = |asked: Asked, n: usize| std::iter::repeat_n(asked, n);
        let text = std::fs::read_to_string(golden("open-watches.jsonl")).unwrap();
        let open = text.lines().skip(1).map(|l| l.rsplit(": ").next().unwrap().trim_end_matches('}').parse::<usize>().unwrap());
        let recorded = recording("open-watches").into_iter().zip(open).flat_map(|(a, n)| times(a, n)).collect();
        let (figures, differences) = judge::compare(&begun(recorded), &begun(ours), &mut details);
        let line = format!("open-watches: {} equal, {} missing, {} extra", figures.equal, figures.missing, figures.extra);
        println!("{line}");
        let _ = writeln!(self.report, "{line}\n{details}");
        self.differences.extend(differences.into_iter().map(|d| format!("open-watches: {d}")));
    }

    fn pronounce(self) {
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("flows.log");
        std::fs::write(&log, self.report).unwrap();
        let path = golden("known-differences.txt");
        let known = Known::parse(&std::fs::read_to_string(&path).unwrap_or_default());
        assert!(self.disorder.is_empty(), "an effect before its cause:\n{}\n(see {})", self.disorder.join("\n"), log.display());
        if std::env::var("UPDATE_EXPECT").is_ok_and(|v| v == "1") {
            std::fs::write(&path, known.rewritten(&self.differences)).unwrap();
            return;
        }
        let judgement = known.judge(&self.differences);
        assert!(judgement.is_empty(), "{}\n(the whole report: {})", judgement.join("\n"), log.display());
    }
}
