//! Command lines as people type them.

use super::*;

fn read(line: &str) -> Result<Flags, String> {
    let words: Vec<String> = line.split(' ').map(String::from).collect();
    match parse(&words) {
        Ok(Parsed::Run(flags)) => Ok(flags),
        Ok(Parsed::Help(command)) => Err(format!("help {}", command.path)),
        Err(error) => Err(error.report().0),
    }
}

#[test]
fn flags_are_read_as_pflag_reads_them() {
    let f = read("-n kube-system get po,svc -oyaml --show-labels -l app=a -f x,y -f z --chunk-size=7 -- extra").unwrap();
    assert_eq!((f.command, f.str("namespace"), f.str("output")), ("get", "kube-system", "yaml"));
    assert!(f.bool("show-labels") && !f.bool("watch") && f.bool("server-print"));
    assert_eq!((f.list("filename"), f.int("chunk-size"), f.dash), (vec!["x".into(), "y".into(), "z".into()], Some(7), Some(1)));
    assert_eq!(f.args, ["po,svc", "extra"]);
    let f = read("exec -it box -- sh -c x").unwrap();
    assert!(f.bool("stdin") && f.bool("tty"));
    assert_eq!((f.args.len(), f.dash), (4, Some(1)));
    assert_eq!(read("create cm x --dry-run").unwrap().str("dry-run"), "unchanged");
    assert_eq!(read("create -f x").unwrap().command, "create");
    assert_eq!(read("delete pod x --cascade=orphan --timeout 10s").unwrap().duration("timeout").as_secs(), 10);
}

#[test]
fn mistakes_are_named_as_upstream_names_them() {
    for (line, text) in [
        ("get pods --nonsense", "error: unknown flag: --nonsense\nSee 'kubectl get --help' for usage.\n"),
        ("get pods -o", "error: flag needs an argument: 'o' in -o\nSee 'kubectl get --help' for usage.\n"),
        ("gett pods", "error: unknown command \"gett\" for \"kubectl\"\n\nDid you mean this?\n\tset\n\tget\n"),
        ("scale deployment web", "error: required flag(s) \"replicas\" not set\n"),
        ("create secret db", "error: unknown command \"db\"\nSee 'kubectl create secret -h' for help and examples\n"),
        (
            "scale x --replicas=two",
            "error: invalid argument \"two\" for \"--replicas\" flag: strconv.ParseInt: parsing \"two\": invalid syntax\nSee 'kubectl scale --help' for usage.\n",
        ),
        ("rollout", "help rollout"),
        ("get pods -h", "help get"),
    ] {
        assert_eq!(read(line).unwrap_err(), text, "{line}");
    }
}
