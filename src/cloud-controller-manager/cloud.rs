//! The cloud's API, as requests and answers: machines, load balancers, routes. The other side is `src/cluster/cloud.rs`.

use std::rc::Rc;

use apimachinery::{Body, Request, Response, ResponseBody, Value, json, value};

type Text = Rc<str>;

/// What a machine is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Running,
    /// Without power.
    Stopped,
}

/// A machine as the cloud knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// `i-0a1b2c3d4e5f60718`
    pub id: Text,
    pub name: Text,
    /// `b1.4x8`
    pub kind: Text,
    pub zone: Text,
    pub region: Text,
    pub ip: Text,
    pub state: State,
}

impl Machine {
    /// `kubottle://zone/id`
    pub fn provider_id(&self) -> String {
        format!("kubottle://{}/{}", self.zone, self.id)
    }

    pub fn to_value(&self) -> Value {
        let state = match self.state {
            State::Running => "running",
            State::Stopped => "stopped",
        };
        value!({
            "id": (&self.id), "name": (&self.name), "type": (&self.kind), "zone": (&self.zone), "region": (&self.region),
            "ip": (&self.ip), "state": state
        })
    }

    pub fn from_value(v: &Value) -> Option<Machine> {
        let text = |name: &str| v.str_at(&[name]).map(Text::from);
        Some(Machine {
            id: text("id")?,
            name: text("name")?,
            kind: text("type")?,
            zone: text("zone")?,
            region: text("region")?,
            ip: text("ip")?,
            state: if v.str_at(&["state"]) == Some("running") { State::Running } else { State::Stopped },
        })
    }
}

/// `GET PATH`
pub(crate) fn get(path: &str) -> Request {
    Request::get_path(path)
}

/// `PUT PATH`: makes it so.
pub(crate) fn put(path: &str, body: &Value) -> Request {
    with_method("PUT", path, body)
}

pub(crate) fn delete(path: &str) -> Request {
    with_method("DELETE", path, &Value::map())
}

/// The cloud is no kube-apiserver: it has methods and JSON, no verbs and kinds.
fn with_method(method: &str, path: &str, body: &Value) -> Request {
    let mut request = Request::get_path(path);
    request.options.query.push(("method".into(), method.into()));
    request.body = Body::Bytes("application/json".into(), json::to_string(body).as_bytes().into());
    request
}

/// The JSON of an answer. `Err`: what went wrong, in the cloud's words.
pub(crate) fn read(response: &Response) -> Result<Value, Text> {
    let text = match &response.body {
        ResponseBody::Text(_, text) => text.clone(),
        _ => "".into(),
    };
    match response.code {
        200 => json::parse(text.as_bytes()).map_err(|_| "unreadable answer of the cloud".into()),
        _ => Err(text),
    }
}
