//! Small stand-ins: `pause`, and the long-running stub of images whose program is not in the bottle.

use cri_api::machine::Sys;
use cri_api::{Disposition, Poll, Program, ProgramTable, Signal};

/// Runs until it is told to end.
#[derive(Clone)]
struct Idle {
    /// What it says at its start.
    says: Option<&'static str>,
    started: bool,
}

impl Program for Idle {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started {
            self.started = true;
            for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
                sys.on_signal(signal, Disposition::Catch);
            }
            if let Some(text) = self.says {
                let name = sys.var("KUBOTTLE_IMAGE").unwrap_or_else(|| "this image".into());
                let _ = sys.write(1, text.replace("IMAGE", &name).as_bytes());
            }
        }
        match sys.take_signal() {
            Some(_) => Poll::Exit(0),
            None => Poll::Pending,
        }
    }
}

const STUB: &str = "The program of IMAGE is not in this bottle: this is a stand-in that only keeps the container running.\n";

/// A database that opens its port and speaks no protocol.
#[derive(Clone)]
struct Database {
    started: bool,
    kind: &'static str,
}

impl Program for Database {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started {
            self.started = true;
            let (port, variables): (u16, &[&str]) = match self.kind {
                "postgres" => (5432, &["POSTGRES_PASSWORD", "POSTGRES_HOST_AUTH_METHOD"]),
                "mysqld" => (3306, &["MYSQL_ROOT_PASSWORD", "MYSQL_ALLOW_EMPTY_PASSWORD", "MYSQL_RANDOM_ROOT_PASSWORD"]),
                _ => (6379, &[]),
            };
            if !variables.is_empty() && variables.iter().all(|v| sys.var(v).is_none_or(|v| v.is_empty())) {
                let text = match self.kind {
                    "postgres" => {
                        "Error: Database is uninitialized and superuser password is not specified.\n       You must specify POSTGRES_PASSWORD to a non-empty value for the\n       superuser.\n"
                    }
                    _ => {
                        "[ERROR] [Entrypoint]: Database is uninitialized and password option is not specified\n    You need to specify one of MYSQL_ROOT_PASSWORD, MYSQL_ALLOW_EMPTY_PASSWORD, MYSQL_RANDOM_ROOT_PASSWORD\n"
                    }
                };
                let _ = sys.write(2, text.as_bytes());
                return Poll::Exit(1);
            }
            for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
                sys.on_signal(signal, Disposition::Catch);
            }
            if sys.listen(None, port).is_err() {
                return Poll::Exit(1);
            }
            // What the real one would hold without data.
            sys.reserve_memory(match self.kind {
                "postgres" => 40 << 20,
                "mysqld" => 350 << 20,
                _ => 8 << 20,
            });
            let text = format!(
                "{} stand-in: listens on port {port} and accepts connections, but speaks no protocol in this bottle\nReady to accept connections\n",
                self.kind
            );
            let _ = sys.write(1, text.as_bytes());
        }
        match sys.take_signal() {
            Some(_) => Poll::Exit(0),
            None => Poll::Pending,
        }
    }
}

pub(super) fn register(table: &mut ProgramTable) {
    table.add("pause", |_| Box::new(Idle { says: None, started: false }));
    table.add("stub", |_| Box::new(Idle { says: Some(STUB), started: false }));
    table.add("postgres", |_| Box::new(Database { started: false, kind: "postgres" }));
    table.add("mysqld", |_| Box::new(Database { started: false, kind: "mysqld" }));
    table.add("redis-server", |_| Box::new(Database { started: false, kind: "redis-server" }));
}
