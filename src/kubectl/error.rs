//! What goes wrong, and the exact words for it. Models `kubectl/pkg/cmd/util/helpers.go` (`checkErr`, `StandardErrorMessage`).

use std::rc::Rc;

use apimachinery::{Gvr, Response, ResponseBody, Value, Verb};

/// A `Status` that the server answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ApiStatus {
    pub code: i64,
    pub reason: String,
    pub message: String,
    pub details: Value,
}

/// An error that ends a command or is reported for one object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Error {
    Status(ApiStatus),
    /// `error: …`
    Plain(String),
    /// As it is, without a prefix.
    Raw(String),
    /// `Error in configuration: …`
    Configuration(String),
    /// Server and reason.
    Unreachable(Rc<str>, Rc<str>),
    /// A mistake on the command line: text and command path.
    Usage(String, String),
    Many(Vec<Error>),
    /// As it is, with this exit status.
    Exit(String, i32),
}

const GENERIC_NOT_FOUND: &str = "the server could not find the requested resource";
const GENERIC_UNAVAILABLE: &str = "the server is currently unable to handle the request";

impl ApiStatus {
    /// The Status in an error answer, or the one that client-go makes up if the body has none.
    pub fn of(response: &Response) -> ApiStatus {
        let code = i64::from(response.code);
        match &response.body {
            ResponseBody::Object(o) if o.kind() == "Status" => ApiStatus {
                code: o.int_at(&["code"]).unwrap_or(code),
                reason: o.str_at(&["reason"]).unwrap_or("").into(),
                message: o.str_at(&["message"]).unwrap_or("").into(),
                details: o.get("details").cloned().unwrap_or_default(),
            },
            body => {
                let text = if let ResponseBody::Text(_, text) = body { text } else { "" };
                ApiStatus::generic(code, text)
            }
        }
    }

    fn generic(code: i64, text: &str) -> ApiStatus {
        let (reason, message) = match code {
            400 => ("BadRequest", "the server rejected our request for an unknown reason"),
            401 => ("Unauthorized", "the server has asked for the client to provide credentials"),
            403 => ("Forbidden", text.trim_end()),
            404 => ("NotFound", GENERIC_NOT_FOUND),
            405 => ("MethodNotAllowed", "the server does not allow this method on the requested resource"),
            409 => ("Conflict", "the server reported a conflict"),
            410 => ("Gone", "the server no longer has the requested resource"),
            415 => ("UnsupportedMediaType", text.trim_end()),
            422 => ("Invalid", "the server rejected our request due to an error in our request"),
            429 => ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
            503 => ("ServiceUnavailable", GENERIC_UNAVAILABLE),
            504 => (
                "Timeout",
                "the server was unable to return a response in the time allotted, but may still be processing the request",
            ),
            500.. => ("InternalError", text.trim_end()),
            _ => ("", text.trim_end()),
        };
        let mut message = message.to_string();
        if code == 500 {
            message = format!("an error on the server ({:?}) has prevented the request from succeeding", text.trim_end());
        }
        ApiStatus { code, reason: reason.into(), message, details: Value::Null }
    }

    /// client-go adds what was asked to a bare "not found": `(get widgets.example.com)`.
    pub fn name_request(&mut self, verb: Verb, gvr: Gvr, name: &str) {
        let bare = [GENERIC_NOT_FOUND, GENERIC_UNAVAILABLE].contains(&self.message.as_str()) && !gvr.resource.is_empty();
        if !bare || self.details.str_at(&["name"]).is_some() {
            return;
        }
        let verb = verb.method().to_lowercase();
        let name = if name.is_empty() { String::new() } else { format!(" {name}") };
        self.message = format!("{} ({verb} {}{name})", self.message, gvr.group_resource());
    }

    pub fn is_not_found(&self) -> bool {
        self.reason == "NotFound" || (self.reason.is_empty() && self.code == 404)
    }

    /// `Error from server (NotFound): …`
    fn standard(&self) -> String {
        match self.reason.as_str() {
            "Unauthorized" => format!("error: You must be logged in to the server ({})", self.message),
            "" | "Unknown" if self.reason.is_empty() => format!("Error from server: {}", self.message),
            reason => format!("Error from server ({reason}): {}", self.message),
        }
    }

    /// An invalid object: every cause on a line of its own.
    fn invalid(&self) -> String {
        let kind = self.details.str_at(&["kind"]).unwrap_or("");
        let name = self.details.str_at(&["name"]).unwrap_or("");
        let mut causes: Vec<String> = Vec::new();
        for cause in self.details.list_at(&["causes"]) {
            let text = format!("{}: {}", cause.str_at(&["field"]).unwrap_or(""), cause.str_at(&["message"]).unwrap_or(""));
            if !causes.contains(&text) {
                causes.push(text);
            }
        }
        let mut head = "The request is invalid".to_string();
        if !kind.is_empty() || !name.is_empty() {
            head = format!("The {kind} \"{name}\" is invalid");
        } else if !self.message.is_empty() && causes.is_empty() {
            head = format!("{head}: {}", self.message);
        }
        match causes.as_slice() {
            [] => head,
            [one] => format!("{head}: {one}"),
            many => format!("{head}: \n{}", many.iter().map(|c| format!("* {c}\n")).collect::<String>()),
        }
    }
}

impl Error {
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::Status(status) if status.is_not_found())
    }
    pub fn status(&self) -> Option<&ApiStatus> {
        if let Error::Status(status) = self { Some(status) } else { None }
    }

    /// The error's own text, as Go's `Error()`.
    pub fn text(&self) -> String {
        match self {
            Error::Status(status) => status.message.clone(),
            Error::Plain(text) | Error::Raw(text) | Error::Configuration(text) | Error::Exit(text, _) => text.clone(),
            Error::Usage(text, command) => format!("{text}\nSee '{command} -h' for help and examples"),
            Error::Unreachable(_, error) => error.to_string(),
            Error::Many(errors) => match errors.as_slice() {
                [one] => one.text(),
                many => format!("[{}]", many.iter().map(Error::text).collect::<Vec<_>>().join(", ")),
            },
        }
    }

    /// `error when creating "file": …` around an error about an object from a file.
    pub fn from_source(self, verb: &str, source: &str) -> Error {
        if source.is_empty() {
            return self;
        }
        match self {
            Error::Status(mut status) => {
                status.message = format!("error when {verb} \"{source}\": {}", status.message);
                Error::Status(status)
            }
            other => Error::Plain(format!("error when {verb} \"{source}\": {}", other.text())),
        }
    }

    /// `failed to create configmap: …`: upstream wraps, and the error is no Status any more.
    pub fn wrapped(self, prefix: &str) -> Error {
        Error::Plain(format!("{prefix}: {}", self.text()))
    }

    /// What is printed to standard error, and the exit status.
    pub fn report(&self) -> (String, i32) {
        let (mut text, code) = match self {
            Error::Status(status) if status.reason == "Invalid" => (status.invalid(), 1),
            Error::Many(errors) if errors.len() == 1 => return errors[0].report(),
            Error::Many(errors) => (errors.iter().map(|e| e.line() + "\n").collect(), 1),
            Error::Configuration(text) => (format!("Error in configuration: {text}"), 1),
            Error::Raw(text) => (text.clone(), 1),
            Error::Exit(text, code) => (text.clone(), *code),
            other => (other.line(), 1),
        };
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        (text, code)
    }

    /// One of several errors.
    fn line(&self) -> String {
        match self {
            Error::Status(status) => status.standard(),
            Error::Unreachable(server, error) if error.contains("connection refused") => {
                let host = server.trim_start_matches("https://").trim_start_matches("http://");
                format!("The connection to the server {host} was refused - did you specify the right host or port?")
            }
            Error::Unreachable(_, error) => format!("Unable to connect to the server: {error}"),
            other => {
                let text = other.text();
                if text.starts_with("error: ") { text } else { format!("error: {text}") }
            }
        }
    }
}

/// One error as it is, several as an aggregate; `None` if there are none.
pub(crate) fn aggregate(mut errors: Vec<Error>) -> Option<Error> {
    match errors.len() {
        0 => None,
        1 => errors.pop(),
        _ => Some(Error::Many(errors)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    #[test]
    fn invalid_objects_list_their_causes() {
        let status = |causes: Value| ApiStatus {
            code: 422,
            reason: "Invalid".into(),
            message: "Pod \"x\" is invalid: …".into(),
            details: value!({"kind": "Pod", "name": "x", "causes": causes}),
        };
        let one = value!([{"field": "spec.a", "message": "Required value"}]);
        assert_eq!(Error::Status(status(one)).report().0, "The Pod \"x\" is invalid: spec.a: Required value\n");
        let two = value!([{"field": "a", "message": "1"}, {"field": "b", "message": "2"}, {"field": "b", "message": "2"}]);
        let error = Error::Status(status(two));
        assert_eq!(error.report().0, "The Pod \"x\" is invalid: \n* a: 1\n* b: 2\n");
        let sourced = error.from_source("creating", "f.yaml");
        let both = Error::Many(vec![sourced, Error::Plain("no".into())]);
        assert_eq!(
            both.report().0,
            "Error from server (Invalid): error when creating \"f.yaml\": Pod \"x\" is invalid: …\nerror: no\n"
        );
    }
}
