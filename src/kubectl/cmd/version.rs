//! `kubectl version`.

use apimachinery::{Request, Value, value};

use crate::ctx::{Ctx, Next, Res, Stop, done, fail};
use crate::docs;
use crate::printers::go;

const KUSTOMIZE: &str = "v5.8.1";

/// As Go's struct declares its fields.
const ORDER: &[&str] = &[
    "clientVersion",
    "kustomizeVersion",
    "serverVersion",
    "major",
    "minor",
    "emulationMajor",
    "emulationMinor",
    "minCompatibilityMajor",
    "minCompatibilityMinor",
    "gitVersion",
    "gitCommit",
    "gitTreeState",
    "buildDate",
    "goVersion",
    "compiler",
    "platform",
];

fn client() -> Value {
    value!({
        "major": "1", "minor": "37", "gitVersion": "v1.37.2", "gitTreeState": "clean", "goVersion": "none", "compiler": "rustc",
        "platform": "linux/amd64"
    })
}

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let flags = ctx.flags.clone();
    let format = flags.str("output");
    if !matches!(format, "" | "yaml" | "json") {
        return fail("--output must be 'yaml' or 'json'");
    }
    let (mut server, mut failure) = (None, None);
    if !flags.bool("client") {
        match ctx.call(Request::get_path("/version")) {
            Ok(version) => server = Some(version),
            Err(Stop::Err(error)) => failure = Some(error),
            Err(stop) => return Err(stop),
        }
    }
    if format.is_empty() {
        ctx.println("Client Version: v1.37.2");
        ctx.println(format!("Kustomize Version: {KUSTOMIZE}"));
        if let Some(server) = &server {
            ctx.println(format!("Server Version: {}", server.str_at(&["gitVersion"]).unwrap_or("")));
        }
    } else {
        let mut all = value!({"clientVersion": (client()), "kustomizeVersion": KUSTOMIZE});
        if let Some(server) = &server {
            all.set_at(&["serverVersion"], server);
        }
        match format {
            "yaml" => ctx.print(docs::to_yaml(&all)),
            _ => ctx.print(go::ordered_json(&all, ORDER) + "\n"),
        }
    }
    match failure {
        Some(error) => Err(Stop::Err(error)),
        None => done(),
    }
}
