//! The HTTP API: `/api/v1/…`, health, and Prometheus' own metrics. Models `web/api/v1/api.go`.
//!
//! Left out by name (501): rules, alerts, metadata, exemplars, administration, remote write and read; the web interface is the
//! page's panel.

use std::fmt::Write;
use std::rc::Rc;

use apimachinery::json;
use base::{Set, TextSet, Time};

use super::eval::{self, Value};
use super::labels::{Labels, Matcher};
use super::{Prometheus, parse, show_number};
use crate::http::Incoming;

/// Code, content type, body, and what it cost in samples.
pub type Reply = (u16, &'static str, String, usize);

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

fn failure(code: u16, kind: &str, text: &str) -> Reply {
    let mut body = format!("{{\"status\":\"error\",\"errorType\":\"{kind}\",\"error\":");
    json::write_str(text, &mut body);
    body.push('}');
    (code, JSON, body, 0)
}

fn success(data: String, cost: usize) -> Reply {
    (200, JSON, format!("{{\"status\":\"success\",\"data\":{data}}}"), cost)
}

fn bad(parameter: &str, text: &str) -> Reply {
    failure(400, "bad_data", &format!("invalid parameter {parameter:?}: {text}"))
}

impl Prometheus {
    pub(super) fn serve(&self, request: &Incoming, now: Time) -> Reply {
        if !matches!(request.method.as_str(), "GET" | "POST" | "HEAD") {
            return (405, TEXT, "Method Not Allowed\n".into(), 0);
        }
        let path = request.path.trim_end_matches('/');
        if let Some(rest) = path.strip_prefix("/api/v1/") {
            return self.api(rest, request, now);
        }
        match path {
            "/-/healthy" => (200, TEXT, "Prometheus Server is Healthy.\n".into(), 0),
            "/-/ready" => (200, TEXT, "Prometheus Server is Ready.\n".into(), 0),
            "/metrics" => (200, TEXT, self.own_metrics(), 0),
            "" | "/graph" | "/query" => {
                (200, TEXT, "Prometheus answers at /api/v1/query; its panel is in Kubottle's page.\n".into(), 0)
            }
            _ => (404, TEXT, "404 page not found\n".into(), 0),
        }
    }

    fn api(&self, path: &str, request: &Incoming, now: Time) -> Reply {
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            ["query"] => self.query(request, now),
            ["query_range"] => self.query_range(request),
            ["targets"] => success(self.targets(), 0),
            ["labels"] => self.names(request, |labels, found| {
                labels.iter().for_each(|(n, _)| {
                    found.insert(n.clone());
                });
            }),
            ["label", name, "values"] => self.names(request, |labels, found| {
                if let Some(value) = labels.get(name) {
                    found.insert(value.clone());
                }
            }),
            ["series"] => self.series(request),
            ["status", "buildinfo"] => {
                success("{\"version\":\"3.5.0\",\"revision\":\"kubottle\",\"goVersion\":\"go1.26.8\"}".into(), 0)
            }
            ["rules" | "alerts" | "metadata" | "query_exemplars" | "write" | "read" | "admin", ..] => {
                failure(501, "not_implemented", &format!("/api/v1/{path} is not in this bottle"))
            }
            _ => failure(404, "not_found", "no such endpoint"),
        }
    }

    fn query(&self, request: &Incoming, now: Time) -> Reply {
        let at = match request.parameter("time") {
            None => now.0.div_euclid(1000),
            Some(text) => match moment(text) {
                Some(at) => at,
                None => return bad("time", &format!("cannot parse {text:?} to a valid timestamp")),
            },
        };
        let expr = match parse::parse(request.parameter("query").unwrap_or("")) {
            Ok(expr) => expr,
            Err(text) => return bad("query", &text),
        };
        match eval::instant(&expr, &self.db, at) {
            Ok((value, cost)) => success(show(&value, at), cost),
            Err(text) => failure(422, "execution", &text),
        }
    }

    fn query_range(&self, request: &Incoming) -> Reply {
        let time = |name: &str| {
            let text = request.parameter(name).unwrap_or("");
            moment(text).ok_or_else(|| bad(name, &format!("cannot parse {text:?} to a valid timestamp")))
        };
        let (start, end) = match (time("start"), time("end")) {
            (Ok(start), Ok(end)) => (start, end),
            (Err(reply), _) | (_, Err(reply)) => return reply,
        };
        if end < start {
            return bad("end", "end timestamp must not be before start time");
        }
        let text = request.parameter("step").unwrap_or("");
        let step = text.parse::<f64>().ok().filter(|s| s.is_finite() && *s < 1e9).map(|s| (s * 1000.0) as i64);
        let step = step.or_else(|| crate::metrics_server::duration(text).map(|d| d.as_micros() / 1000));
        let Some(step) = step else { return bad("step", &format!("cannot parse {text:?} to a valid duration")) };
        if step <= 0 {
            return bad("step", "zero or negative query resolution step widths are not accepted. Try a positive integer");
        }
        let expr = match parse::parse(request.parameter("query").unwrap_or("")) {
            Ok(expr) => expr,
            Err(text) => return bad("query", &text),
        };
        match eval::range(&expr, &self.db, (start, end, step)) {
            Ok((series, cost)) => success(show(&Value::Matrix(series), end), cost),
            Err(text) if text.starts_with("exceeded maximum") || text.starts_with("invalid expression type") => {
                failure(400, "bad_data", &text)
            }
            Err(text) => failure(422, "execution", &text),
        }
    }

    /// The selectors of `match[]`; none: everything.
    fn selectors(request: &Incoming) -> Result<Vec<Vec<Matcher>>, Reply> {
        let mut all = Vec::new();
        for text in request.parameters("match[]") {
            match parse::parse(text) {
                Ok(super::ast::Expr::Selector(s)) => all.push(s.matchers),
                Ok(_) => return Err(bad("match[]", "parse error: expected a vector selector")),
                Err(text) => return Err(bad("match[]", &text)),
            }
        }
        Ok(all)
    }

    fn names(&self, request: &Incoming, take: impl Fn(&Labels, &mut TextSet<Rc<str>>)) -> Reply {
        let selectors = match Self::selectors(request) {
            Ok(selectors) => selectors,
            Err(reply) => return reply,
        };
        let mut found = TextSet::new();
        match selectors.is_empty() {
            true => self.db.labels().for_each(|l| take(l, &mut found)),
            false => selectors.iter().for_each(|s| self.db.select(s).for_each(|(l, _)| take(l, &mut found))),
        }
        let mut data = String::from("[");
        for (i, name) in found.iter().enumerate() {
            data.push_str(if i > 0 { "," } else { "" });
            json::write_str(name, &mut data);
        }
        success(data + "]", self.db.len())
    }

    fn series(&self, request: &Incoming) -> Reply {
        let selectors = match Self::selectors(request) {
            Ok(selectors) if selectors.is_empty() => return failure(400, "bad_data", "no match[] parameter provided"),
            Ok(selectors) => selectors,
            Err(reply) => return reply,
        };
        let mut found: Set<Labels> = Set::new();
        for selector in &selectors {
            found.extend(self.db.select(selector).map(|(l, _)| l.clone()));
        }
        let all: Vec<String> = found.iter().map(show_labels).collect();
        success(format!("[{}]", all.join(",")), self.db.len())
    }

    fn targets(&self) -> String {
        let mut active = Vec::new();
        for ((job, labels), target) in self.scraper.targets.iter() {
            let discovered = Labels::new(target.discovered.iter().cloned());
            let health = match target.healthy {
                None => "unknown",
                Some(true) => "up",
                Some(false) => "down",
            };
            let mut text =
                format!("{{\"discoveredLabels\":{},\"labels\":{},\"scrapePool\":", show_labels(&discovered), show_labels(labels));
            json::write_str(job, &mut text);
            text.push_str(",\"scrapeUrl\":");
            json::write_str(&target.url(), &mut text);
            text.push_str(",\"globalUrl\":");
            json::write_str(&target.url(), &mut text);
            text.push_str(",\"lastError\":");
            json::write_str(&target.error, &mut text);
            let _ = write!(
                text,
                ",\"lastScrape\":\"{}\",\"lastScrapeDuration\":{},\"health\":\"{health}\"}}",
                target.last.unwrap_or(Time::EPOCH).rfc3339_nano(),
                target.took.as_secs_f64()
            );
            active.push(text);
        }
        let dropped: Vec<String> = self.scraper.dropped.iter().map(|(job, n)| format!("{}:{n}", quoted(job))).collect();
        format!(
            "{{\"activeTargets\":[{}],\"droppedTargets\":[],\"droppedTargetCounts\":{{{}}}}}",
            active.join(","),
            dropped.join(",")
        )
    }

    fn own_metrics(&self) -> String {
        format!(
            "# HELP prometheus_build_info A metric with a constant '1' value.\n# TYPE prometheus_build_info gauge\nprometheus_build_info{{version=\"3.5.0\"}} 1\n\
             # HELP prometheus_tsdb_head_series Total number of series in the head block.\n# TYPE prometheus_tsdb_head_series gauge\nprometheus_tsdb_head_series {}\n\
             # HELP prometheus_tsdb_head_samples_appended_total Total number of appended samples.\n# TYPE prometheus_tsdb_head_samples_appended_total counter\nprometheus_tsdb_head_samples_appended_total{{type=\"float\"}} {}\n\
             # HELP prometheus_target_scrape_pool_targets Current number of targets in this scrape pool.\n# TYPE prometheus_target_scrape_pool_targets gauge\nprometheus_target_scrape_pool_targets {}\n",
            self.db.len(),
            self.db.appended,
            self.scraper.targets.iter().count()
        )
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    json::write_str(text, &mut out);
    out
}

fn show_labels(labels: &Labels) -> String {
    let all: Vec<String> = labels.iter().map(|(n, v)| format!("{}:{}", quoted(n), quoted(v))).collect();
    format!("{{{}}}", all.join(","))
}

/// Seconds since 1970 (with a fraction) or RFC 3339, in milliseconds.
fn moment(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds.abs() < 1e12).then_some((seconds * 1000.0).round() as i64);
    }
    Time::parse(text).map(|t| t.0.div_euclid(1000))
}

fn point(at: i64, value: f64) -> String {
    let seconds = match at.rem_euclid(1000) {
        0 => (at / 1000).to_string(),
        _ => format!("{}", at as f64 / 1000.0),
    };
    format!("[{seconds},\"{}\"]", show_number(value))
}

fn show(value: &Value, at: i64) -> String {
    match value {
        Value::Scalar(n) => format!("{{\"resultType\":\"scalar\",\"result\":{}}}", point(at, *n)),
        Value::Text(text) => format!("{{\"resultType\":\"string\",\"result\":[{},{}]}}", at / 1000, quoted(text)),
        Value::Vector(samples) => {
            let one = |s: &eval::Sample| format!("{{\"metric\":{},\"value\":{}}}", show_labels(&s.labels), point(at, s.value));
            let all: Vec<String> = samples.iter().map(one).collect();
            format!("{{\"resultType\":\"vector\",\"result\":[{}]}}", all.join(","))
        }
        Value::Matrix(series) => {
            let one = |(labels, points): &(Labels, Vec<super::tsdb::Point>)| {
                let points: Vec<String> = points.iter().map(|(at, v)| point(*at, *v)).collect();
                format!("{{\"metric\":{},\"values\":[{}]}}", show_labels(labels), points.join(","))
            };
            let all: Vec<String> = series.iter().map(one).collect();
            format!("{{\"resultType\":\"matrix\",\"result\":[{}]}}", all.join(","))
        }
    }
}
