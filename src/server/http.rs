//! One connection: HTTP/1.1 requests to the cluster's thread, answers and streams back.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::task::{Context, Poll};

use apimachinery::status::Status;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::encode::{self, Head};
use crate::machine::{FromCluster, HttpRequest, ToCluster};
use crate::websocket::{self, Message};

/// `--max-request-body-bytes` of upstream's generic server.
const MAX_BODY: usize = 3 * 1024 * 1024;

/// The way to the cluster, shared by all connections.
#[derive(Clone)]
pub struct Gate {
    pub to_cluster: Sender<ToCluster>,
    pub next: Arc<AtomicU64>,
}

/// Tells the cluster that a call is over, however it ended.
struct Guard {
    gate: Gate,
    id: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.gate.to_cluster.send(ToCluster::Close { id: self.id });
    }
}

/// The body of an answer: whole, or in chunks as they come.
pub enum Answer {
    Whole(Option<Bytes>),
    Stream(UnboundedReceiver<FromCluster>, #[allow(dead_code, reason = "it is for its drop")] Box<dyn Send + Sync>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Answer::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Answer::Stream(receiver, _) => match receiver.poll_recv(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(FromCluster::Chunk(bytes))) => Poll::Ready(Some(Ok(Frame::data(bytes.into())))),
                Poll::Ready(_) => Poll::Ready(None),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Answer::Whole(None))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Answer::Whole(bytes) => hyper::body::SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Answer::Stream(..) => hyper::body::SizeHint::default(),
        }
    }
}

fn respond(head: Head, body: Answer) -> Response<Answer> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(head.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in head.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value.as_bytes())) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

fn refuse(status: &Status) -> Response<Answer> {
    let head = Head { code: status.code, headers: vec![("Content-Type", "application/json".into())] };
    respond(head, Answer::Whole(Some(encode::status_body(status).into())))
}

/// Answers one request.
///
/// # Errors
/// None: what goes wrong is an answer.
pub async fn handle(
    request: Request<Incoming>,
    gate: Gate,
    certificate: Option<crate::der::Holder>,
) -> Result<Response<Answer>, Infallible> {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(refuse(&Status::bad_request("the body of the request ended early")));
    };
    let body = body.to_bytes();
    if body.len() > MAX_BODY {
        let text = format!("Request entity too large: limit is {MAX_BODY}");
        return Ok(refuse(&Status::new(413, "RequestEntityTooLarge", text)));
    }
    let headers: Vec<(String, String)> =
        parts.headers.iter().map(|(k, v)| (k.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned())).collect();
    let find = |name: &str| headers.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone());
    let upgrade = find("upgrade").is_some_and(|u| u.eq_ignore_ascii_case("websocket"));
    let (key, offered) = (find("sec-websocket-key"), find("sec-websocket-protocol").unwrap_or_default());
    let protocol = websocket::choose_protocol(&offered);
    if upgrade && protocol.is_none() {
        let text = format!("websockets by another protocol than {} (offered: {offered})", websocket::PROTOCOLS.join(" or "));
        return Ok(refuse(&Status::not_implemented(text)));
    }
    let on_upgrade = parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
    let target = parts.uri.path_and_query().map_or_else(|| "/".to_string(), |p| p.as_str().to_string());
    let request = HttpRequest { method: parts.method.to_string(), target, headers, body: body.to_vec(), certificate };

    let id = gate.next.fetch_add(1, Ordering::Relaxed);
    let (reply, mut answers) = unbounded_channel();
    let guard = Guard { gate: gate.clone(), id };
    let _ = gate.to_cluster.send(ToCluster::Request { id, request, reply });
    match answers.recv().await {
        Some(FromCluster::Answer(head, body)) => Ok(respond(head, Answer::Whole((!body.is_empty()).then(|| body.into())))),
        Some(FromCluster::Start(mut head)) if head.code == 101 => {
            let (Some(on_upgrade), Some(key), Some(protocol)) = (on_upgrade, key, protocol) else {
                return Ok(refuse(&Status::bad_request("the request is no handshake of a websocket")));
            };
            head.headers.push(("Upgrade", "websocket".into()));
            head.headers.push(("Connection", "Upgrade".into()));
            head.headers.push(("Sec-WebSocket-Accept", websocket::accept_key(&key)));
            head.headers.push(("Sec-WebSocket-Protocol", protocol.into()));
            tokio::spawn(async move {
                if let Ok(io) = on_upgrade.await {
                    frames(TokioIo::new(io), guard, answers).await;
                }
            });
            Ok(respond(head, Answer::Whole(None)))
        }
        Some(FromCluster::Start(head)) => Ok(respond(head, Answer::Stream(answers, Box::new(guard)))),
        _ => Ok(refuse(&Status::service_unavailable("the cluster ended the connection"))),
    }
}

/// Passes frames both ways until one side ends.
async fn frames(io: TokioIo<hyper::upgrade::Upgraded>, guard: Guard, mut answers: UnboundedReceiver<FromCluster>) {
    let (mut reader, mut writer) = tokio::io::split(io);
    let (pings, mut pinged) = unbounded_channel::<Vec<u8>>();
    let (gate, id) = (guard.gate.clone(), guard.id);
    let incoming = tokio::spawn(async move {
        while let Ok(message) = websocket::read(&mut reader).await {
            match message {
                Message::Binary(bytes) => {
                    let Some((&channel, data)) = bytes.split_first() else { continue };
                    let _ = gate.to_cluster.send(ToCluster::Frame { id, channel, data: data.to_vec() });
                }
                Message::Ping(data) => {
                    let _ = pings.send(data);
                }
                Message::Close => break,
            }
        }
        // Dropping `pings` tells the writer.
    });
    loop {
        tokio::select! {
            ping = pinged.recv() => match ping {
                Some(data) if websocket::write(&mut writer, websocket::PONG, &[&data]).await.is_ok() => {}
                _ => break,
            },
            message = answers.recv() => match message {
                Some(FromCluster::Frame(channel, data)) => {
                    if websocket::write(&mut writer, websocket::BINARY, &[&[channel], &data]).await.is_err() {
                        break;
                    }
                }
                _ => {
                    let normal = 1000u16.to_be_bytes();
                    let _ = websocket::write(&mut writer, websocket::CLOSE, &[&normal]).await;
                    break;
                }
            },
        }
    }
    incoming.abort();
    drop(guard);
}
