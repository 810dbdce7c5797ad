//! What happens to every vendor request, in this order: concurrency limit, faults that delay or replace, rate limit,
//! credentials, the vendor itself, faults that act after the commit, counting, sending.
//!
//! Vendors share all of it; nothing here knows one of them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode, header, request::Parts};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::fault::{Moment, Probe};
use crate::instance::{Instance, Instances};
use crate::line::Line;
use crate::message::{Call, Effect, RefusedRows, Reply, parse_query};
use crate::tokens::Identity;
use crate::transmit::{Late, Outcome, malformed, plain_error, send};
use crate::vendor::{Finish, Refusal, Versions};
use crate::wire::{Fault, LogEntry, RowEffect, Settings};

const MAX_BODY: usize = 16 << 20;

/// What the server's handlers share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) instances: Arc<Instances>,
    pub(crate) stopping: watch::Receiver<bool>,
}

/// Answers one request to a vendor's path.
pub(crate) async fn dispatch(app: App, line: Line, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Some((instance, path)) = resolve(&app, parts.uri.path()) else {
        return plain_error(StatusCode::NOT_FOUND, "no such vendor; paths are /{vendor}/{instance}/…");
    };
    let (_seat, under_way) = instance.enter();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return plain_error(StatusCode::PAYLOAD_TOO_LARGE, "the body is above 16 MiB or broke off");
    };
    let call = read(&instance, &parts, path, body);
    let exchange = Exchange::new(&instance, &call, under_way);
    let outcome = exchange.run().await;
    send(outcome, &call, app, line).await
}

fn resolve(app: &App, path: &str) -> Option<(Arc<Instance>, String)> {
    let mut segments = path.strip_prefix('/')?.splitn(3, '/');
    let (vendor, name) = (segments.next()?, segments.next()?);
    let instance = app.instances.get(vendor, name)?;
    Some((instance, format!("/{}", segments.next().unwrap_or_default())))
}

fn read(instance: &Instance, parts: &Parts, path: String, body: Bytes) -> Call {
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let prefix = parts.uri.path().strip_suffix(&path).unwrap_or_default();
    let raw_query = parts.uri.query().unwrap_or_default().to_owned();
    Call {
        method: parts.method.clone(),
        base: format!("http://{host}{prefix}"),
        query: parse_query(&raw_query),
        raw_query,
        path,
        headers: parts.headers.clone(),
        body,
        now: instance.now(),
        request_id: instance.request_id(),
        refused_rows: None,
    }
}

/// One request on its way through.
struct Exchange<'a> {
    instance: &'a Arc<Instance>,
    call: &'a Call,
    target: String,
    settings: Arc<Settings>,
    under_way: u64,
    versions: Option<Versions>,
}

impl<'a> Exchange<'a> {
    fn new(instance: &'a Arc<Instance>, call: &'a Call, under_way: u64) -> Self {
        let settings = instance.settings();
        let versions = instance.vendor.versions(call, &settings);
        Self { instance, call, target: call.target(), settings, under_way, versions }
    }

    async fn run(&self) -> Outcome {
        let limit = self.settings.concurrency_limit.map_or(u64::MAX, |limit| limit as u64);
        if self.under_way > limit {
            let reply = self.instance.vendor.refuse(Refusal::TooConcurrent);
            return self.conclude(reply, 1, &self.identity(), None);
        }
        let slow = self.strike(Moment::Before);
        if let Some(Fault::Slow { millis }) = slow {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
        if let Some(fault) = self.strike(Moment::Instead) {
            let reply = self.instead(&fault);
            return self.conclude(reply, 1, &self.identity(), Some(&fault));
        }
        self.handle(slow.as_ref())
    }

    fn handle(&self, slow: Option<&Fault>) -> Outcome {
        let vendor = self.instance.vendor;
        let admission = self.instance.admit(&self.settings);
        let identity = self.identity();
        if !admission.admitted {
            let reply = vendor.refuse(Refusal::TooFast { retry_after_seconds: None });
            return self.conclude(reply, admission.used, &identity, slow);
        }
        if let Some(reply) = self.instance.oauth2().answer(self.call, &mut self.instance.tokens()) {
            let after = if reply.status.is_success() { self.strike(Moment::After) } else { None };
            return self.conclude(reply, admission.used, &identity, after.as_ref().or(slow));
        }
        if !identity.accepted {
            return self.conclude(vendor.refuse(Refusal::Unauthorized), admission.used, &identity, slow);
        }
        let applying = self.strike(Moment::Applying);
        let reply = match &applying {
            Some(Fault::CommitAfterTimeout { millis }) => return Outcome::Late(self.late(*millis)),
            Some(Fault::RefuseRows { percent, containing, seed }) => {
                let rows = RefusedRows { percent: *percent, containing: containing.clone(), seed: *seed };
                let call = Call { refused_rows: Some(rows), ..self.call.clone() };
                vendor.answer(&call, &self.settings, self.instance.state_lock())
            }
            Some(_) | None => vendor.answer(self.call, &self.settings, self.instance.state_lock()),
        };
        let after = if reply.status.is_success() { self.strike(Moment::After) } else { None };
        self.conclude(reply, admission.used, &identity, after.as_ref().or(applying.as_ref()).or(slow))
    }

    /// The request, to be applied after the client has given up.
    fn late(&self, millis: u64) -> Late {
        let (instance, call, under_way) = (Arc::clone(self.instance), self.call.clone(), self.under_way);
        let apply = move || {
            let exchange = Exchange::new(&instance, &call, under_way);
            let reply = instance.vendor.answer(&call, &exchange.settings, instance.state_lock());
            let fault = Fault::CommitAfterTimeout { millis };
            exchange.log(0, &exchange.identity(), Some(fault.kind()), reply.effects);
        };
        Late::new(Duration::from_millis(millis), apply)
    }

    fn identity(&self) -> Identity {
        self.instance.vendor.identify(self.call, &mut self.instance.tokens())
    }

    fn strike(&self, moment: Moment) -> Option<Fault> {
        let probe = Probe { method: self.call.method.as_str(), path: &self.target, body: &self.call.body };
        let fault = self.instance.faults().strike(moment, probe)?;
        self.instance.traffic().fault(fault.kind());
        Some(fault)
    }

    /// The answer of a fault that takes the vendor's place; an empty one for those that send nothing.
    fn instead(&self, fault: &Fault) -> Reply {
        match fault {
            Fault::Status { code, headers, body } => {
                let mut reply = Reply::with_body(status(*code), "application/json", fault_body(body));
                if body.is_null() {
                    reply.headers.clear();
                }
                let given = headers.iter().map(|(name, value)| (name.clone().into(), value.clone()));
                reply.headers.extend(given);
                reply
            }
            Fault::RateLimited { retry_after_seconds } => {
                self.instance.vendor.refuse(Refusal::TooFast { retry_after_seconds: *retry_after_seconds })
            }
            Fault::DropConnection {}
            | Fault::Slow { .. }
            | Fault::CommitAfterTimeout { .. }
            | Fault::RefuseRows { .. }
            | Fault::TimeoutAfterCommit {}
            | Fault::ErrorAfterCommit { .. }
            | Fault::MalformedBody {}
            | Fault::TruncatedBody {} => Reply::empty(StatusCode::OK),
        }
    }

    /// Finishes the answer, counts and logs the request, and says what is to be sent.
    fn conclude(&self, reply: Reply, bucket_used: u32, identity: &Identity, fault: Option<&Fault>) -> Outcome {
        let effects = reply.effects.clone();
        let finish = |mut reply: Reply| {
            let versions = self.versions.as_ref();
            let settings = &self.settings;
            let finish = Finish { settings, versions, bucket_used };
            reply = self.instance.vendor.finish(reply, self.call, finish);
            let extra = settings.extra_headers.iter();
            reply.headers.extend(extra.map(|(name, value)| (name.clone().into(), value.clone())));
            reply
        };
        let outcome = match fault {
            Some(Fault::DropConnection {}) => Outcome::Drop,
            Some(Fault::TimeoutAfterCommit {}) => Outcome::Hang,
            Some(Fault::TruncatedBody {}) => Outcome::Truncate(finish(reply)),
            Some(Fault::ErrorAfterCommit { code }) => {
                let body = json!({"error": "the server failed after it had done its work"});
                Outcome::Answer(finish(Reply::json(status(*code), "application/json", &body)))
            }
            Some(Fault::MalformedBody {}) => Outcome::Answer(malformed(finish(reply))),
            Some(
                Fault::Slow { .. }
                | Fault::Status { .. }
                | Fault::RateLimited { .. }
                | Fault::CommitAfterTimeout { .. }
                | Fault::RefuseRows { .. },
            )
            | None => Outcome::Answer(finish(reply)),
        };
        let status = match &outcome {
            Outcome::Answer(reply) | Outcome::Truncate(reply) => reply.status.as_u16(),
            Outcome::Drop | Outcome::Hang | Outcome::Late(_) => 0,
        };
        self.log(status, identity, fault.map(Fault::kind), effects);
        outcome
    }

    fn log(&self, status: u16, identity: &Identity, fault: Option<&str>, mut effects: Vec<Effect>) {
        let call = self.call;
        let route = self.instance.vendor.route(call);
        let effect = if effects.len() == 1 { effects.pop() } else { None };
        let row = |Effect { key, kind, commit, name }| RowEffect { key, effect: kind, commit, name };
        let entry = LogEntry {
            sequence: 0,
            time: call.now,
            method: call.method.to_string(),
            path: self.target.clone(),
            status,
            idempotency_key: self.instance.vendor.idempotency_key(call).map(ToOwned::to_owned),
            request_id: call.request_id.clone(),
            token_fingerprint: identity.fingerprint.clone(),
            fault: fault.map(ToOwned::to_owned),
            rows: effects.into_iter().map(row).collect(),
            commit: effect.as_ref().map(|effect| effect.commit),
            effect: effect.as_ref().map(|effect| effect.kind),
            name: effect.as_ref().and_then(|effect| effect.name.clone()),
            key: effect.map(|effect| effect.key),
        };
        let mut traffic = self.instance.traffic();
        if let Some(versions) = &self.versions {
            traffic.versions(&versions.requested, &versions.served);
        }
        traffic.enter(&route, entry);
    }
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn fault_body(body: &Value) -> String {
    match body {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
