//! What becomes of a request once it is decided: an answer, half an answer, silence, or a closed connection.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use serde_json::json;

use crate::dispatch::App;
use crate::line::Line;
use crate::message::{Call, Reply};

const HANG: Duration = Duration::from_mins(2);
const NOT_JSON: &[u8] = b"<html><body>upstream answered {\"partial\": tr";

/// What becomes of a request.
pub(crate) enum Outcome {
    /// This is sent.
    Answer(Reply),
    /// This is sent, and the connection closed in the middle of its body.
    Truncate(Reply),
    /// The connection is closed.
    Drop,
    /// Nothing is sent until the client gives up.
    Hang,
    /// Nothing is sent until the client gives up; then the request is applied.
    Late(Late),
}

/// Work that is done a while after this is dropped.
pub(crate) struct Late {
    after: Duration,
    work: Option<Box<dyn FnOnce() + Send>>,
}

impl Late {
    /// Work to be done so long after the drop.
    pub(crate) fn new(after: Duration, work: impl FnOnce() + Send + 'static) -> Self {
        Self { after, work: Some(Box::new(work)) }
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        let (after, work) = (self.after, self.work.take());
        // Without a runtime the simulator itself has ended.
        if let (Some(work), Ok(runtime)) = (work, tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                tokio::time::sleep(after).await;
                work();
            });
        }
    }
}

/// The same answer with a body that is not JSON.
pub(crate) fn malformed(mut reply: Reply) -> Reply {
    if reply.status == StatusCode::NO_CONTENT {
        reply.status = StatusCode::OK;
    }
    reply.body = Bytes::from_static(NOT_JSON);
    reply
}

/// Carries out an outcome.
pub(crate) async fn send(outcome: Outcome, call: &Call, app: App, line: Line) -> Response<Body> {
    match outcome {
        Outcome::Answer(reply) => response(reply, call),
        Outcome::Truncate(reply) => truncated(reply, call),
        Outcome::Drop => {
            line.cut();
            Response::default()
        }
        Outcome::Hang => hang(app, line).await,
        Outcome::Late(_until_dropped) => hang(app, line).await,
    }
}

async fn hang(mut app: App, line: Line) -> Response<Body> {
    // When the client closes its side, hyper drops this future, and with it the request's seat.
    tokio::select! {
        () = tokio::time::sleep(HANG) => {}
        _ = app.stopping.wait_for(|stopping| *stopping) => {}
    }
    line.cut();
    Response::default()
}

fn response(reply: Reply, call: &Call) -> Response<Body> {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = reply.status;
    let date = call.now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let headers = reply.headers.iter().map(|(name, value)| (name.as_ref(), value.as_str()));
    for (name, value) in headers.chain([("Date", date.as_str())]) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// Promises the whole body and breaks off after half of it. A body too short to be halved breaks off before its end.
fn truncated(mut reply: Reply, call: &Call) -> Response<Body> {
    if reply.body.is_empty() {
        reply.status = StatusCode::OK;
        reply.body = Bytes::from_static(b"{}");
    }
    let half = reply.body.slice(..reply.body.len() / 2);
    let whole = reply.body.len();
    let mut response = response(reply, call);
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(whole));
    let broken = stream::once(async {
        // Gives the connection one turn to send the first half.
        tokio::task::yield_now().await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted))
    });
    *response.body_mut() = Body::from_stream(stream::iter([Ok(half)]).chain(broken));
    response
}

/// An answer of the simulator itself, not of a vendor.
pub(crate) fn plain_error(status: StatusCode, message: &str) -> Response<Body> {
    let reply = Reply::json(status, "application/json", &json!({"error": message}));
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
