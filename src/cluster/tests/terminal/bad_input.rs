//! Texts that nobody should send: each is refused in upstream's words where upstream has some, and the cluster is as before.

use crate::driver::Desk;

use cri_api::host::HostMessage;

fn file(desk: &mut Desk, name: &str, text: impl AsRef<[u8]>) {
    desk.host(HostMessage::WriteFile { path: format!("/root/{name}").into(), data: text.as_ref().into() });
    desk.advance(base::Duration::from_millis(10));
}

/// What is there, by revision: a refused text leaves it alone.
fn objects(desk: &mut Desk) -> String {
    desk.line("kubectl get cm,pods,deploy,svc -o jsonpath='{range .items[*]}{.kind}/{.metadata.name}/{.metadata.resourceVersion} {end}'; echo")
}

/// Applies files and says which answer lacks what.
fn refused(rows: &[(&str, Vec<u8>, &[&str])]) {
    let mut desk = Desk::boot("demo");
    let before = objects(&mut desk);
    let mut wrong = String::new();
    for (name, text, wanted) in rows {
        file(&mut desk, name, text);
        let (got, code) = desk.run(&format!("kubectl apply -f {name}"), 60);
        for piece in wanted.iter().filter(|piece| !got.contains(**piece)) {
            wrong.push_str(&format!("\n--- {name}\n  no {piece:?} in:\n{}\n", got.chars().take(800).collect::<String>()));
        }
        if code != Some(1) {
            wrong.push_str(&format!("\n--- {name}: code {code:?}\n"));
        }
        if got.len() > 20_000 {
            wrong.push_str(&format!("\n--- {name}: {} bytes of answer\n", got.len()));
        }
        let kept: usize = desk.run(&format!("wc -c < {name}"), 10).0.trim().parse().unwrap_or(0);
        assert_eq!(kept, text.len(), "{name} is kept as it was");
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(objects(&mut desk), before);
}

#[test]
fn manifests_that_make_no_sense() {
    let deployment =
        |spec: &str| format!("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n{spec}").into_bytes();
    let sane = "  selector: {matchLabels: {a: b}}\n  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: nginx}]}}\n";
    refused(&[
        (
            "colon.yaml",
            b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x: y\n".to_vec(),
            &[
                "error: error parsing colon.yaml: error converting YAML to JSON: yaml: line 4: mapping values are not allowed in this context",
            ],
        ),
        (
            "tab.yaml",
            b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n\tname: x\n".to_vec(),
            &["yaml: line 4: found character that cannot start any token"],
        ),
        (
            "open.yaml",
            b"apiVersion: v1\nkind: \"ConfigMap\nmetadata: {}\n".to_vec(),
            &["yaml: line ", "found unexpected end of stream"],
        ),
        (
            "kindless.yaml",
            b"apiVersion: v1\nmetadata:\n  name: x\n".to_vec(),
            &["error: error validating \"kindless.yaml\": error validating data: kind not set"],
        ),
        ("version.yaml", b"kind: ConfigMap\nmetadata:\n  name: x\n".to_vec(), &["apiVersion not set"]),
        (
            "kind.yaml",
            b"apiVersion: v1\nkind: Nosuch\nmetadata:\n  name: x\n".to_vec(),
            &[
                "error: resource mapping not found for name: \"x\" namespace: \"\" from \"kind.yaml\": no matches for kind \"Nosuch\" in version \"v1\"",
                "ensure CRDs are installed first",
            ],
        ),
        ("field.yaml", deployment(&format!("  replica: 2\n{sane}")), &["strict decoding error: unknown field \"spec.replica\""]),
        (
            "type.yaml",
            deployment(&format!("  replicas: many\n{sane}")),
            &[
                "Error from server (BadRequest)",
                "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
            ],
        ),
        ("list.yaml", b"- a\n- b\n".to_vec(), &["invalid object to validate"]),
        ("scalar.yaml", b"just words\n".to_vec(), &["invalid object to validate"]),
        ("empty.yaml", b"".to_vec(), &["error: no objects passed to apply"]),
        (
            "name.yaml",
            b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: <b>x</b>\n".to_vec(),
            &["Invalid value: \"<b>x</b>\"", "a lowercase RFC 1123 subdomain"],
        ),
        (
            "json.json",
            b"{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": [1, }}".to_vec(),
            &["error: error parsing json.json"],
        ),
    ]);
}

/// Texts that grow when they are read, or that no machine should read.
#[test]
fn manifests_that_explode() {
    let mut laughs = String::from("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: laughs\na: &a [x,x,x,x,x,x,x,x,x,x]\n");
    for (i, letter) in "bcdefghijk".chars().enumerate() {
        let last = (b'a' + i as u8) as char;
        laughs += &format!("{letter}: &{letter} [{}]\n", vec![format!("*{last}"); 10].join(","));
    }
    let nested =
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: deep\ndata: {}{}\n", "[".repeat(10_000), "]".repeat(10_000));
    let maps: String = (0..10_000).map(|i| format!("{}a:\n", " ".repeat(i % 5000))).collect();
    let json = format!("{}{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let binary: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let big = format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: big\ndata:\n  a: \"{}\"\n", "x".repeat(10 << 20));
    let medium = format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: medium\ndata:\n  a: \"{}\"\n", "x".repeat(3 << 19));
    let anchor = "apiVersion: v1\nkind: ConfigMap\nmetadata: &m\n  name: loop\n  labels: *m\n";
    refused(&[
        ("laughs.yaml", laughs.into_bytes(), &["yaml: document contains excessive aliasing"]),
        ("nested.yaml", nested.into_bytes(), &["exceeded max depth of"]),
        ("maps.yaml", maps.into_bytes(), &["error: error parsing maps.yaml: error converting YAML to JSON: yaml: "]),
        ("deep.json", json.into_bytes(), &["error: error parsing deep.json"]),
        (
            "binary.yaml",
            binary,
            &["error: error parsing binary.yaml: error converting YAML to JSON: yaml: control characters are not allowed"],
        ),
        ("utf16.yaml", "\u{feff}apiVersion: v1\n".encode_utf16().flat_map(u16::to_be_bytes).collect(), &["error: "]),
        ("big.yaml", big.into_bytes(), &["The ConfigMap \"big\" is invalid", "Too long: may not be more than 1048576 bytes"]),
        ("medium.yaml", medium.into_bytes(), &["Too long: may not be more than 1048576 bytes"]),
        ("loop.yaml", anchor.as_bytes().to_vec(), &["error: error parsing loop.yaml: error converting YAML to JSON: yaml: "]),
    ]);
}

/// Ten thousand documents in one text.
#[test]
fn ten_thousand_documents() {
    let mut desk = Desk::boot("demo");
    let one = |i: usize| format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cm-{i}\ndata:\n  a: \"{i}\"\n");
    file(&mut desk, "many.yaml", (0..10_000).map(one).collect::<String>());
    let (out, code) = desk.run("kubectl create --dry-run=client -f many.yaml | wc -l; kubectl get cm --no-headers | wc -l", 120);
    assert_eq!((out.replace(' ', "").as_str(), code), ("10000\n1\n", Some(0)));
    // One that is wrong among many: the others are there, and the wrong one is named.
    let mut some: String = (0..200).map(one).collect();
    some += "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: Wrong\n";
    file(&mut desk, "some.yaml", some);
    let (out, code) = desk.run("kubectl apply -f some.yaml | grep -c created; kubectl get cm -o name | wc -l", 240);
    assert!(out.contains("The ConfigMap \"Wrong\" is invalid") && code == Some(0), "{out}");
    assert!(out.contains("200\n") && out.contains("201\n"), "{out}");
}

/// Ten megabytes pasted into the terminal: the line is cut, nothing hangs, the prompt comes back.
#[test]
fn a_paste_of_ten_megabytes() {
    let mut desk = Desk::boot("demo");
    let text = format!("echo {}", "abcdefghi ".repeat(1 << 20));
    let steps = |desk: &Desk| desk.cluster.machine("laptop").map_or(0, |m| m.own_machine().used_steps());
    let before = steps(&desk);
    desk.keys(1, "\u{1b}[200~");
    for chunk in text.as_bytes().chunks(256 * 1024) {
        desk.keys(1, std::str::from_utf8(chunk).expect("ASCII"));
    }
    desk.keys(1, "\u{1b}[201~");
    desk.advance(base::Duration::from_secs(2));
    let shown = desk.shown(1).len();
    desk.keys(1, "\u{3}");
    assert!(desk.wait_for_prompt(1, 30));
    assert!(shown < 64 << 20, "{shown} bytes of echo");
    assert!(steps(&desk) - before < 5_000_000, "{} steps", steps(&desk) - before);
    desk.check(&[("echo alive", &["alive"])]);
    // And as input of a command.
    let (out, code) = desk.run_with("wc -c; kubectl get nodes -o name | wc -l", text.as_bytes(), 60);
    assert_eq!((out.replace(' ', "").as_str(), code), (format!("{}\n3\n", text.len()).as_str(), Some(0)));
}
