//! PromQL against a small database, configuration and relabelling, as tables.

use std::rc::Rc;

use super::config::{self, apply};
use super::eval::{Value, instant, range};
use super::labels::Labels;
use super::parse::parse;
use super::show_number;
use super::tsdb::{Tsdb, stale};

fn labels(text: &str) -> Labels {
    let (name, rest) = text.split_once('{').unwrap_or((text, "}"));
    let pairs = rest.trim_end_matches('}').split(',').filter_map(|p| p.split_once('='));
    let own = pairs.map(|(n, v)| (Rc::from(n), Rc::from(v)));
    Labels::new(own.chain([(Rc::from("__name__"), Rc::from(name))]))
}

/// Ten minutes at one sample in 15 s: `steady` grows by 1.5 a scrape, `reset` falls once, `h_bucket` is a histogram.
fn db() -> Tsdb {
    let mut db = Tsdb::default();
    for n in 0..=40i64 {
        let at = n * 15_000;
        db.append(&labels("steady{job=a,instance=x}"), at, n as f64 * 1.5);
        db.append(&labels("steady{job=a,instance=y}"), at, n as f64 * 3.0);
        db.append(&labels("reset{job=b}"), at, if n < 20 { n as f64 } else { (n - 20) as f64 });
        for (le, share) in [("0.1", 50.0), ("0.5", 90.0), ("+Inf", 100.0)] {
            db.append(&labels(&format!("h_bucket{{job=a,le={le}}}")), at, share * n as f64);
        }
    }
    db.append(&labels("up{job=a,instance=x}"), 600_000, 1.0);
    db.append(&labels("up{job=b,instance=z}"), 600_000, 0.0);
    db.append(&labels("info{instance=x,version=7}"), 600_000, 1.0);
    db.append(&labels("gone"), 590_000, 5.0);
    db.append(&labels("gone"), 595_000, stale());
    db
}

fn ask(query: &str) -> String {
    ask_of(&db(), query)
}

fn ask_of(db: &Tsdb, query: &str) -> String {
    let expr = match parse(query) {
        Ok(expr) => expr,
        Err(e) => return e,
    };
    match instant(&expr, db, 600_000) {
        Ok((Value::Scalar(n), _)) => show_number(n),
        Ok((Value::Text(text), _)) => text.to_string(),
        Ok((Value::Vector(samples), _)) => {
            samples.iter().map(|s| format!("{} {}", s.labels.show(), show_number(s.value))).collect::<Vec<_>>().join("; ")
        }
        Ok((Value::Matrix(series), _)) => {
            series.iter().map(|(l, p)| format!("{} {} points", l.show(), p.len())).collect::<Vec<_>>().join("; ")
        }
        Err(e) => e,
    }
}

#[test]
fn queries_come_to_what_prometheus_says() {
    for (query, expected) in [
        ("1 + 2 * 3 ^ 2", "19"),
        ("-2 ^ 2", "-4"),
        ("(1 + 2) * 3 % 5", "4"),
        ("1 < bool 2", "1"),
        ("steady", "steady{instance=\"x\", job=\"a\"} 60; steady{instance=\"y\", job=\"a\"} 120"),
        ("steady{instance!=\"x\"}", "steady{instance=\"y\", job=\"a\"} 120"),
        ("steady{instance=~\"x|z\"}", "steady{instance=\"x\", job=\"a\"} 60"),
        ("steady offset 5m", "steady{instance=\"x\", job=\"a\"} 30; steady{instance=\"y\", job=\"a\"} 60"),
        ("rate(steady[5m])", "{instance=\"x\", job=\"a\"} 0.1; {instance=\"y\", job=\"a\"} 0.2"),
        ("increase(steady{instance=\"x\"}[1m])", "{instance=\"x\", job=\"a\"} 6"),
        ("irate(steady{instance=\"y\"}[1m])", "{instance=\"y\", job=\"a\"} 0.2"),
        ("resets(reset[10m])", "{job=\"b\"} 1"),
        ("sum(steady)", "{} 180"),
        ("sum by (instance) (rate(steady[5m]))", "{instance=\"x\"} 0.1; {instance=\"y\"} 0.2"),
        ("avg without (instance) (steady)", "{job=\"a\"} 90"),
        ("max(steady) - min(steady)", "{} 60"),
        ("count(steady)", "{} 2"),
        ("topk(1, steady)", "steady{instance=\"y\", job=\"a\"} 120"),
        ("steady > 100", "steady{instance=\"y\", job=\"a\"} 120"),
        ("steady > bool 100", "{instance=\"x\", job=\"a\"} 0; {instance=\"y\", job=\"a\"} 1"),
        ("100 * steady / steady", "{instance=\"x\", job=\"a\"} 100; {instance=\"y\", job=\"a\"} 100"),
        ("steady / on (instance) up", "{instance=\"x\"} 60"),
        ("steady * on (instance) group_left (version) info", "{instance=\"x\", job=\"a\", version=\"7\"} 60"),
        ("up == 0", "up{instance=\"z\", job=\"b\"} 0"),
        ("up and on (job) steady", "up{instance=\"x\", job=\"a\"} 1"),
        ("up unless on (job) steady", "up{instance=\"z\", job=\"b\"} 0"),
        ("histogram_quantile(0.9, rate(h_bucket[5m]))", "{job=\"a\"} 0.5"),
        ("histogram_quantile(0.5, sum by (le) (rate(h_bucket[5m])))", "{} 0.1"),
        ("absent(nothing{job=\"q\"})", "{job=\"q\"} 1"),
        ("gone", ""),
        ("scalar(sum(steady)) / 2", "90"),
        ("time()", "600"),
        ("vector(3)", "{} 3"),
        ("avg_over_time(reset[1m])", "{job=\"b\"} 18.5"),
        ("clamp_max(steady, 100)", "{instance=\"x\", job=\"a\"} 60; {instance=\"y\", job=\"a\"} 100"),
        ("steady[1m]", "steady{instance=\"x\", job=\"a\"} 4 points; steady{instance=\"y\", job=\"a\"} 4 points"),
        ("label_replace(up{job=\"a\"}, \"i\", \"$1!\", \"instance\", \"(.*)\")", "up{i=\"x!\", instance=\"x\", job=\"a\"} 1"),
        ("{__name__=~\"up|info\", instance=\"x\"}", "info{instance=\"x\", version=\"7\"} 1; up{instance=\"x\", job=\"a\"} 1"),
        ("quantile(0.5, steady)", "{} 90"),
        ("\"text\"", "text"),
    ] {
        assert_eq!(ask(query), expected, "{query}");
    }
}

#[test]
fn wrong_queries_are_refused_in_prometheus_words() {
    for (query, expected) in [
        ("", "unknown position: parse error: no expression found in input"),
        ("sum(", "1:5: parse error: unexpected end of input"),
        ("up{", "1:4: parse error: unexpected end of input in label matching, expected identifier or \"}\""),
        ("rate(up)", "1:1: parse error: expected type range vector in call to function \"rate\", got instant vector"),
        ("nosuch(up)", "1:1: parse error: unknown function with name \"nosuch\""),
        ("predict_linear(up[5m], 1)", "1:1: parse error: function \"predict_linear\" is not in this bottle"),
        ("up[5m:1m]", "1:3: parse error: subqueries are not in this bottle"),
        ("up @ 5", "1:4: parse error: the @ modifier is not in this bottle"),
        ("{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ("1 == 2", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
        ("up{a=~\"(\"}", "1:5: parse error: error parsing regexp"),
        ("up[5x]", "1:4: parse error: bad number or duration syntax: \"5x\""),
        ("up $", "1:4: parse error: unexpected character: '$'"),
        ("5m[1m]", "1:3: parse error: ranges only allowed for vector selectors"),
        ("rate(steady[5m]", "1:16: parse error: unexpected end of input in function call"),
        ("up and 1", "1:4: parse error: set operator \"and\" not allowed in binary scalar expression"),
    ] {
        let got = ask(query);
        assert!(got.starts_with(expected), "{query}: {got}");
    }
    let many = ask("steady / on (job) steady");
    assert!(many.contains("many-to-many matching not allowed"), "{many}");
    let grouped = ask("steady / on (job) up{job=\"a\"}");
    assert_eq!(grouped, "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)");
}

#[test]
fn nothing_that_can_be_typed_panics() {
    let pieces = [
        "up",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        "5m",
        "1e",
        "0x",
        "\"",
        "'",
        "\\",
        "offset",
        "by",
        "sum",
        "rate",
        ",",
        "=~",
        "^",
        "-",
        "é",
        "😀",
        "9999999999999999999999999999y",
        ".",
        "1.",
        ":",
        "@",
        "inf",
        "#",
        "\n",
        "topk",
        "histogram_quantile",
        "0x8000000000000000",
    ];
    let (seed, db) = (base::Seed(7), db());
    for n in 0..5_000u64 {
        let length = seed.below(n * 16, 9);
        let text: String = (0..length).map(|i| pieces[seed.below(n * 16 + i + 1, pieces.len() as u64) as usize]).collect();
        let _ = ask_of(&db, &text);
    }
    let deep = "(".repeat(5000);
    assert!(parse(&deep).is_err());
    assert!(parse(&("1".to_string() + &"+1".repeat(5000))).is_err());
    let minus = "-".repeat(5000) + "1";
    assert!(parse(&minus).is_err());
}

#[test]
fn ranges_have_a_point_a_step_and_bounds() {
    let (series, _) = range(&parse("rate(steady{instance=\"x\"}[1m])").unwrap(), &db(), (300_000, 600_000, 60_000)).unwrap();
    assert_eq!(series.len(), 1);
    assert_eq!(series[0].1.len(), 6);
    let err = range(&parse("up").unwrap(), &db(), (0, 20_000_000, 1)).unwrap_err();
    assert!(err.starts_with("exceeded maximum resolution of 11,000 points"));
    let heavy = range(&parse("steady[10m]").unwrap(), &db(), (0, 600_000, 1000));
    assert!(heavy.is_err());
}

#[test]
fn a_configuration_is_read_and_the_rest_refused_by_name() {
    let text = "global:\n  scrape_interval: 15s\nscrape_configs:\n- job_name: pods\n  kubernetes_sd_configs:\n  - role: pod\n  relabel_configs:\n  - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape]\n    action: keep\n    regex: true\n  - source_labels: [__address__, __meta_kubernetes_pod_annotation_prometheus_io_port]\n    action: replace\n    regex: ([^:]+)(?::\\d+)?;(\\d+)\n    replacement: $1:$2\n    target_label: __address__\n  - action: labelmap\n    regex: __meta_kubernetes_pod_label_(.+)\n";
    let config = config::parse(text).unwrap();
    let pair = |n: &str, v: &str| (Rc::<str>::from(n), Rc::<str>::from(v));
    let raw = vec![
        pair("__address__", "10.0.0.1:80"),
        pair("__meta_kubernetes_pod_annotation_prometheus_io_scrape", "true"),
        pair("__meta_kubernetes_pod_annotation_prometheus_io_port", "9100"),
        pair("__meta_kubernetes_pod_label_app", "web"),
    ];
    let after = Labels::new(apply(&config.jobs[0].relabel, raw.clone()).unwrap());
    assert_eq!((after.value("__address__"), after.value("app")), ("10.0.0.1:9100", "web"));
    assert!(apply(&config.jobs[0].relabel, raw[..1].to_vec()).is_none());
    for (text, expected) in [
        ("alerting: {}", "alerting is not in this bottle"),
        ("nonsense: 1", "yaml: unmarshal errors: field nonsense not found in type config.plain"),
        ("scrape_configs: [{job_name: a, dns_sd_configs: []}]", "dns_sd_configs is not in this bottle"),
        ("scrape_configs: [{job_name: a, kubernetes_sd_configs: [{role: x}]}]", "unknown Kubernetes SD role \"x\""),
        ("scrape_configs: [{job_name: a}, {job_name: a}]", "found multiple scrape configs with job name \"a\""),
        ("global: {scrape_interval: 5x}", "not a valid duration string: \"5x\""),
        ("scrape_configs: [{job_name: a, relabel_configs: [{action: hashmod}]}]", "relabel action hashmod is not in this bottle"),
    ] {
        assert_eq!(config::parse(text).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn the_database_is_bounded() {
    let mut db = Tsdb::default();
    for n in 0..super::tsdb::MOST_SERIES + 10 {
        db.append(&labels(&format!("m{{n={n}}}")), 0, 1.0);
    }
    assert_eq!((db.len(), db.refused), (super::tsdb::MOST_SERIES, 10));
    for at in 0..1000 {
        db.append(&labels("m{n=1}"), at, 1.0);
    }
    db.append(&labels("m{n=1}"), 5, 1.0); // late
    let all = db.select(&[]).find(|(l, _)| l.value("n") == "1").unwrap().1.len();
    assert_eq!(all, super::tsdb::MOST_PER_SERIES);
    db.forget(500);
    assert_eq!(db.len(), 1);
}
