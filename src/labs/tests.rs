//! Reading labs: what is understood, what is refused and where; and one played against a small cluster.

use std::rc::Rc;

use apimachinery::yaml;
use expect_test::{Expect, expect};
use protocol::{Block, LabPhase};

use crate::{Deed, Lab, Player, Test, prove, read, translation, wanted};

fn files(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(path, text)| ((*path).to_string(), (*text).to_string())).collect()
}

fn lab(yaml: &str) -> Result<Lab, String> {
    let steps = yaml::parse(yaml).map_or(1, |d| d.value.get("steps").map_or(1, |s| s.items().len()));
    let text: String = (0..steps.max(1)).map(|i| format!("## Step {i}\n\nDo it.\n\n")).collect();
    read("test", &files(&[("lab.yaml", yaml), ("lab.md", &text)]), "en").map_err(|m| m.to_string())
}

fn mistakes(yaml: &str, expected: Expect) {
    expected.assert_eq(&lab(yaml).map(|_| "fine".to_string()).unwrap_or_else(|e| e));
}

#[test]
fn mistakes_have_lines() {
    mistakes(
        "title: A\nminutes: many\nfoo: 1\nsteps:\n- checks:\n  - want: x\n    get: pods\n    where: .status phase\n    colour: red\n  wrong:\n  - get: nosuch\n    say: y\n",
        expect![[r#"
            lab.yaml:2: minutes: must be a number from 0 to 600
            lab.yaml:3: foo: unknown field "foo" (there are title, minutes, cluster, speed, setup, steps, row, lens, summary, tour)
            lab.yaml:8: steps[0].checks[0].where: unknown operator "phase" (there are = != >= <= > < contains like exists missing)
            lab.yaml:9: steps[0].checks[0].colour: unknown field "colour" (there are get, namespace, selector, where, count, want, fail)
            lab.yaml:11: steps[0].wrong[0].get: there is no resource "nosuch""#]],
    );
    // What follows from a mistake is not one more, and a key that is there twice has its line.
    mistakes(
        "title: A\nsteps:\n- checks:\n  - want: x\n    get: nosuch\ntitle: B\n",
        expect![[r#"
            lab.yaml:5: steps[0].checks[0].get: there is no resource "nosuch"
            lab.yaml:6: key "title" already set in map"#]],
    );
    mistakes(
        "steps: []\n",
        expect![[r#"
            lab.yaml:1: title: is missing
            lab.yaml:1: steps: a lab has at least one step"#]],
    );
}

#[test]
fn deeds_are_one_an_item() {
    for (deed, why) in [
        ("{run: ls, apply: x}", "can't be together"),
        ("{wait: soon}", "must be a time"),
        ("{wait: 2000m}", "must be a time"),
        ("{cut: [a]}", "must be two names"),
        ("{until: {run: ls}}", "until waits for"),
        ("{explode: now}", "unknown field"),
        ("run", "must be a map"),
    ] {
        let text = format!("title: A\nsetup: [{deed}]\nsteps:\n- checks: [{{want: x, get: pods}}]\n");
        let error = lab(&text).map(|_| ()).unwrap_err();
        assert!(error.contains(why), "{deed}: {error}");
    }
}

#[test]
fn hostile_labs_are_refused() {
    let steps = format!("title: A\nsteps: [{}]\n", "{checks: [{want: x, get: pods}]},".repeat(500));
    assert!(lab(&steps).unwrap_err().contains("at most 40 are allowed"));
    let large = "x".repeat(300 << 10);
    assert!(read("x", &files(&[("lab.yaml", &large)]), "en").unwrap_err().to_string().contains("larger than 256 KiB"));
    let many: Vec<_> = (0..300).map(|i| (format!("f{i}"), String::new())).collect();
    assert!(read("x", &many, "en").is_err());
    assert!(
        lab("title: A\ncluster: {workers: 4000}\nsteps:\n- checks: [{want: x, get: pods}]\n")
            .unwrap_err()
            .contains("at most 500 nodes")
    );
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n";
    assert!(lab(bomb).is_err());
    for text in ["", "[]", "x", "\u{0}", "- - - -", "title: {a: b}", "steps: {a: 1}", "steps: [1, [2], null]"] {
        assert!(lab(text).is_err(), "{text:?}");
    }
    assert!(read("x", &files(&[]), "en").unwrap_err().to_string().contains("there is no lab.yaml"));
}

#[test]
fn the_text_of_the_readers_language_is_taken() {
    let yaml = "title: Pods\nsteps:\n- checks: [{want: x, get: pods}]\n";
    let list = files(&[("lab.yaml", yaml), ("lab.md", "## One\n"), ("lab.de.md", "# Hülsen\n## Eins\n")]);
    let (german, english) = (read("x", &list, "de-DE").unwrap(), read("x", &list, "fr").unwrap());
    assert_eq!((german.title.as_str(), german.steps[0].title.as_str()), ("Hülsen", "Eins"));
    assert_eq!((english.title.as_str(), english.steps[0].title.as_str()), ("Pods", "One"));
    assert_eq!(wanted(&list[..1], "de"), ["lab.md", "lab.de.md"]);
}

const MESSAGES: &str = r#"
title: Pods
steps:
- checks:
  - {want: A pod web runs, get: pod/web, fail: "There is no pod `web` ({count})."}
  - ask: Who made it?
    options: [kubectl, the kubelet]
    answer: the kubelet
    replies: {kubectl: It only asked.}
  wrong: [{say: That is a Job., get: jobs, try: [{run: kubectl create job x --image=y}]}]
  hints: ["Try `kubectl run web --image=nginx`"]
  solution: [{answer: the kubelet}]
"#;

const GERMAN: &str = r#"---
A pod web runs: Ein Pod web läuft
There is no pod `web` ({count}).: Es gibt keinen Pod `web` ({count}).
Who made it?: Wer hat ihn gestartet?
the kubelet: das Kubelet
It only asked.: Es hat nur darum gebeten.
That is a Job.: Das ist ein Job.
Try `kubectl run web --image=nginx`: Versuche `kubectl run web --image=nginx`
---
# Hülsen

## Eins

Frage `kubectl get pods`{{exec}}, dann:

```
kubectl run web --image=nginx
```{{exec}}
"#;

fn in_german(german: &str) -> Vec<(String, String)> {
    let text = "## One\n\nAsk `kubectl get pods`{{exec}}, then:\n\n```\nkubectl run web --image=nginx\n```{{exec}}\n";
    files(&[("lab.yaml", MESSAGES), ("lab.md", text), ("lab.de.md", german)])
}

#[test]
fn what_lab_yaml_says_is_translated() {
    let list = in_german(GERMAN);
    let lab = read("x", &list, "DE-at").unwrap();
    assert_eq!((lab.language.as_str(), lab.languages.as_slice()), ("de", &["en".to_string(), "de".to_string()][..]));
    let step = &lab.steps[0];
    assert_eq!(
        (step.checks[0].want.as_str(), step.checks[0].fail.as_str()),
        ("Ein Pod web läuft", "Es gibt keinen Pod `web` ({count}).")
    );
    let Test::Question(question) = &step.checks[1].test else { panic!("no question: {:?}", step.checks[1]) };
    assert_eq!((question.options.join(", "), question.answers.join(", ")), ("kubectl, das Kubelet".into(), "das Kubelet".into()));
    assert_eq!(question.replies, [("kubectl".to_string(), "Es hat nur darum gebeten.".to_string())]);
    assert_eq!(step.wrong[0].say, "Das ist ein Job.");
    let Deed::Answer { text, .. } = &step.solution[0] else { panic!("no answer: {:?}", step.solution) };
    assert_eq!(text, "das Kubelet", "the solution gives the answer that is right in this language");
    assert_eq!(read("x", &list, "fr").unwrap().steps[0].checks[0].want, "A pod web runs");
    assert_eq!(translation::check("x", &list).to_string(), "");
    // Without a map the messages stay as they are, and that is no mistake.
    let plain = in_german(GERMAN.splitn(3, "---\n").nth(2).unwrap());
    assert_eq!(translation::check("x", &plain).to_string(), "");
    assert_eq!(read("x", &plain, "de").unwrap().steps[0].checks[0].want, "A pod web runs");
}

#[test]
fn a_number_is_translated_wherever_it_stands() {
    let yaml = "title: A\nsteps:\n- checks:\n  - {ask: How many?, answers: [4, four]}\n  solution: [{answer: \"4\"}]\n";
    let german = "---\nHow many?: Wie viele?\n\"4\": vier\nfour: '4'\n---\n## Eins\n";
    let list = files(&[("lab.yaml", yaml), ("lab.md", "## One\n"), ("lab.de.md", german)]);
    let lab = read("x", &list, "de").unwrap();
    let Test::Question(question) = &lab.steps[0].checks[0].test else { panic!("no question") };
    let Deed::Answer { text, .. } = &lab.steps[0].solution[0] else { panic!("no answer") };
    assert_eq!((question.answers.join(" "), text.as_str()), ("vier 4".into(), "vier"));
}

#[test]
fn a_translation_that_does_not_fit_is_told_by_name() {
    let cases = [
        ("## Eins", "## Eins\n## Zwei\n## Drei", "lab.de.md:14: has 3 sections"),
        (
            "kubectl run web --image=nginx\n",
            "kubectl run web --image=httpd\n",
            "lab.de.md:12: step 1 (Eins): \"kubectl run web --image=nginx{{exec}}\" of lab.md is missing",
        ),
        ("`{{exec}}, dann", "`, dann", "\"kubectl get pods{{exec}}\" of lab.md is missing"),
        ("# Hülsen\n", "# Hülsen\n\n`ls`{{copy}}\n", "the introduction: \"ls{{copy}}\" is not in lab.md"),
        ("Who made it?:", "Who was it?:", "lab.de.md:4: no step of lab.yaml has the text \"Who was it?\""),
        ("Who made it?: Wer hat ihn gestartet?\n", "", "the text \"Who made it?\" is not translated"),
        ("keinen Pod `web` ({count})", "keinen Pod `web`", "the translation has \"web\" where lab.yaml has \"web, {count}\""),
        ("Versuche `kubectl run web", "Versuche `kubectl run x", "where lab.yaml has \"kubectl run web --image=nginx\""),
        ("the kubelet: das Kubelet\n", "the kubelet: [x]\n", "lab.de.md:5: \"the kubelet\": must be one text"),
        ("the kubelet: das", "the kubelet: kubectl: das", "lab.de.md:5: "),
        ("the kubelet: das Kubelet", "the kubelet: kubectl", "two options are called \"kubectl\""),
    ];
    for (old, new, expected) in cases {
        assert!(GERMAN.contains(old), "{old}");
        let told = translation::check("x", &in_german(&GERMAN.replace(old, new))).to_string();
        assert!(told.contains(expected), "{new:?}: {told}");
    }
    let swapped = |a: &str, b: &str| files(&[("lab.yaml", MESSAGES), ("lab.md", a), ("lab.de.md", b)]);
    let (one, two) = ("```\none\n```\n", "```\ntwo\n```\n");
    let told = translation::check("x", &swapped(&format!("## A\n{one}{two}"), &format!("## B\n{two}{one}"))).to_string();
    assert_eq!(told, "lab.de.md:1: step 1 (B): its code stands in another order than in lab.md");
}

#[test]
fn a_lab_goes_on_in_another_language() {
    let list = in_german(GERMAN);
    let lab = |language: &str| Rc::new(read("x", &list, language).unwrap());
    let bottle = prove::booted(&lab("en").config);
    let mut player = Player::resumed(lab("en"), 0, &bottle);
    let mut at = bottle.clone();
    player.answer(1, "The kubelet");
    player.advance(&mut at);
    assert!(player.state().checks[1].holds);
    assert!(player.translate(lab("de")));
    player.advance(&mut at);
    let checks = player.state().checks;
    assert_eq!((checks[1].want.as_str(), checks[1].holds), ("Wer hat ihn gestartet?", true));
    assert_eq!(checks[0].message, "Es gibt keinen Pod `web` (0).");
    let other = self::lab("title: A\nsteps:\n- checks: [{want: x, get: pods}]\n").unwrap();
    assert!(!player.translate(Rc::new(other)), "a lab of another shape is another lab");
}

const INDEX: &str = r#"{
  "title": "Pods", "description": "x",
  "details": {
    "intro": {"text": "intro.md", "background": "setup.sh"},
    "steps": [{"title": "Make one", "text": "step1/text.md", "verify": "step1/verify.sh"}, {"text": "step2.md"}],
    "finish": {"text": "finish.md"},
    "assets": {"host01": [{"file": "pod.yaml", "target": "~/"}]}
  },
  "backend": {"imageid": "kubernetes-kubeadm-1node"}
}"#;

fn scenario() -> Vec<(String, String)> {
    files(&[
        ("index.json", INDEX),
        ("intro.md", "Hello."),
        ("setup.sh", "#!/bin/bash\nkubectl create namespace prepared\nhelm repo add x y\n"),
        ("step1/text.md", "Run `kubectl run web --image=nginx`{{exec}}\n\n<script>alert(1)</script>"),
        ("step1/verify.sh", "#!/bin/bash\nkubectl get pod web"),
        ("step2.md", "Read {{TRAFFIC_HOST1_80}}."),
        ("finish.md", "Bye."),
        ("assets/pod.yaml", "kind: Pod"),
    ])
}

#[test]
fn scenarios_of_killercoda_are_imported() {
    let mut list = scenario();
    assert_eq!(
        wanted(&list[..1], ""),
        ["assets/pod.yaml", "finish.md", "intro.md", "setup.sh", "step1/text.md", "step1/verify.sh", "step2.md"]
    );
    let lab = read("pods", &list, "en").unwrap();
    assert_eq!((lab.title.as_str(), lab.steps.len(), lab.config.nodes.len(), lab.setup.len()), ("Pods", 2, 2, 2));
    assert_eq!(
        lab.warnings,
        [
            "step 2: addresses of Killercoda ({{TRAFFIC_…}}) lead nowhere here",
            "the script setup.sh uses helm, which the bottle's laptop doesn't have"
        ]
    );
    assert!(!format!("{:?}", lab.steps[0].blocks).contains('<'));
    list.retain(|(p, _)| p != "step2.md");
    assert!(read("pods", &list, "en").unwrap_err().to_string().contains("step2.md"));
    for bad in ["{", "[]", "{\"details\":{\"steps\":[{\"text\":\"../../etc/passwd\"}]}}", "{\"details\":{\"steps\":{}}}"] {
        assert!(read("x", &files(&[("index.json", bad)]), "en").is_err(), "{bad}");
    }
}

#[test]
fn a_scenario_is_played() {
    let lab = Rc::new(read("pods", &scenario(), "en").unwrap());
    let (mut bottle, mut player) = (prove::booted(&lab.config), Player::new(lab, 0));
    prove::play(&mut bottle, &mut player, 60);
    assert_eq!(player.state().phase, LabPhase::Playing, "{}", player.state().note);
    let check = &player.state().checks[0];
    assert!(!check.holds && check.message.contains("pods \"web\" not found"), "{check:?}");
    run(&mut bottle, "kubectl run web --image=nginx");
    prove::play(&mut bottle, &mut player, 5);
    assert_eq!(player.state().phase, LabPhase::Passed);
    player.next();
    prove::play(&mut bottle, &mut player, 5);
    player.answer(0, "yes");
    prove::play(&mut bottle, &mut player, 5);
    assert_eq!(player.state().phase, LabPhase::Finished);
}

fn run(bottle: &mut cluster::Bottle, command: &str) {
    let argv = ["sh", "-c", command].map(Into::into).to_vec();
    let message = cri_api::host::HostMessage::RunJob { job: 1, argv, stdin: (*b"").into() };
    bottle.input(cluster::Input::Laptop(message.into()));
}

const WEB: &str = "
title: Web
cluster: {base: recorded}
setup:
- run: kubectl create namespace other
steps:
- goal: |
    kind: Deployment
    apiVersion: apps/v1
    metadata: {name: web}
    spec: {replicas: 2}
  checks:
  - {want: as meant, goal: true, fail: missing}
  - {want: asked, asked: list deployments, fail: nobody asked}
  wrong:
  - {say: a bare pod, get: pod/web, try: [{run: kubectl run web --image=nginx}]}
  hints: [think, think harder]
  solution:
  - run: kubectl create deployment web --image=nginx --replicas=2
  - run: kubectl get deployments
- checks:
  - {ask: 'How many?', get: deployment/web, path: .spec.replicas, replies: {'3': too many}}
  solution:
  - answer: '*'
";

#[test]
fn a_lab_is_played_reset_and_solved() {
    let lab = Rc::new(lab(WEB).unwrap());
    let booted = prove::booted(&lab.config);
    assert_eq!(prove::prove(&lab, &booted), Vec::<String>::new());
    let (mut bottle, mut player) = (booted.clone(), Player::new(lab.clone(), 0));
    prove::play(&mut bottle, &mut player, 30);
    let ghosts = player.state().ghosts;
    assert_eq!((ghosts.len(), ghosts[0].name.as_str(), ghosts[0].lacks.len()), (1, "web", 0));
    assert!(player.hint() && player.hint() && !player.hint());
    assert_eq!(player.state().hints.len(), 2);
    assert!(matches!(player.state().hints[0][0], Block::Paragraph(_)));

    run(&mut bottle, "kubectl run web --image=nginx; kubectl create deployment web --image=nginx");
    prove::play(&mut bottle, &mut player, 3);
    let state = player.state();
    assert_eq!(state.wrong.as_deref(), Some("a bare pod"));
    assert_eq!(state.ghosts[0].lacks, ["spec.replicas is 1, not 2"]);
    assert_eq!(state.checks[1].message, "nobody asked");

    assert!(player.reset(&mut bottle));
    prove::play(&mut bottle, &mut player, 3);
    let state = player.state();
    assert_eq!((state.wrong, state.ghosts[0].lacks.len(), bottle.branches().len()), (None, 0, 2));

    player.solve();
    prove::play(&mut bottle, &mut player, 20);
    assert_eq!(player.state().phase, LabPhase::Passed);
    player.next();
    prove::play(&mut bottle, &mut player, 3);
    player.answer(0, "3");
    prove::play(&mut bottle, &mut player, 1);
    assert_eq!(player.state().checks[0].message, "too many");
    player.answer(0, " 2 ");
    prove::play(&mut bottle, &mut player, 1);
    assert_eq!(player.state().phase, LabPhase::Finished);

    // Who comes back goes on at the second step: the first is solved behind the curtain.
    let (mut bottle, mut player) = (booted, Player::new(lab, 1));
    prove::play(&mut bottle, &mut player, 30);
    assert_eq!((player.state().phase, player.state().step), (LabPhase::Playing, 1));
}

#[test]
fn a_setup_that_fails_is_said() {
    let text = WEB.replace("kubectl create namespace other", "kubectl get nosuch");
    let lab = Rc::new(lab(&text).unwrap());
    let problems = prove::prove(&lab, &prove::booted(&lab.config));
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("could not be prepared: kubectl get nosuch: exit 1"), "{problems:?}");
}
