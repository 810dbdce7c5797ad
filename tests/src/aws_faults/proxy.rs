//! The proxy: takes a request, lets a rule strike it or passes it on as it came, and counts it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{get, put},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{CONTROL, Call, Fault, Rule};

/// How many calls are remembered.
const MOST_CALLS: usize = 200_000;
/// Headers that are about one connection, or that the client writes itself.
const OWN_HEADERS: [header::HeaderName; 4] =
    [header::CONNECTION, header::CONTENT_LENGTH, header::HOST, header::TRANSFER_ENCODING];

#[derive(Clone)]
struct Proxy {
    emulator: String,
    http: reqwest::Client,
    book: Arc<Mutex<Book>>,
}

#[derive(Default)]
struct Book {
    /// By the test that set them.
    rules: BTreeMap<String, Vec<Rule>>,
    calls: Vec<Call>,
}

/// Serves until the listener fails.
///
/// # Errors
/// When it does.
pub async fn serve(listener: TcpListener, emulator: &str) -> Result<()> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let proxy = Proxy { emulator: emulator.trim_end_matches('/').to_owned(), http, book: Arc::default() };
    let router = Router::new()
        .route(&format!("{CONTROL}/rules/{{owner}}"), put(set))
        .route(&format!("{CONTROL}/calls"), get(calls))
        .fallback(pass)
        .with_state(proxy);
    axum::serve(listener, router).await.context("the proxy before the emulator stopped")
}

async fn set(State(proxy): State<Proxy>, Path(owner): Path<String>, Json(rules): Json<Vec<Rule>>) {
    proxy.book().rules.insert(owner, rules);
}

async fn calls(State(proxy): State<Proxy>) -> Json<Vec<Call>> {
    Json(proxy.book().calls.clone())
}

async fn pass(State(proxy): State<Proxy>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let mut call = Call::read(&headers, &body);
    let whole = call.operation != "BatchGetSecretValue";
    let fault = proxy.strikes(&call, if whole { call.names.first().map(String::as_str) } else { None });
    call.refused = matches!(fault, Some(Fault::Deny | Fault::Throttle));
    proxy.note(call.clone());
    match fault {
        Some(Fault::Deny) => return refusal(&call, "AccessDeniedException", "AccessDenied"),
        Some(Fault::Throttle) => return refusal(&call, "ThrottlingException", "Throttling"),
        Some(Fault::Delay { millis }) => tokio::time::sleep(Duration::from_millis(millis)).await,
        Some(Fault::BeginRotation) if call.operation == "RotateSecret" => return begun(&call),
        Some(Fault::LoseMessages | Fault::Aged { .. } | Fault::BeginRotation) | None => {}
    }
    // Of several secrets in one call, those that a rule names fail alone, as with AWS.
    let failing = if whole { Vec::new() } else { proxy.failing(&call) };
    if !failing.is_empty() && failing.len() == call.names.len() {
        // An empty list would mean every secret to the emulator.
        let body = Bytes::from_static(b"{}");
        return Answer { status: StatusCode::OK, headers: HeaderMap::new(), body }
            .with_errors(&failing)
            .into_response();
    }
    let body = if failing.is_empty() { body } else { without(&body, &failing) };
    let answer = match proxy.forward(method, &uri, &headers, body).await {
        Ok(answer) => proxy.aged(answer, &call),
        Err(error) => return (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
    };
    if !failing.is_empty() {
        return answer.with_errors(&failing).into_response();
    }
    if fault == Some(Fault::LoseMessages) {
        return proxy.lose(answer, &call, &headers).await.into_response();
    }
    answer.into_response()
}

impl Proxy {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, call: Call) {
        let mut book = self.book();
        if book.calls.len() < MOST_CALLS {
            book.calls.push(call);
        }
    }

    fn strikes(&self, call: &Call, name: Option<&str>) -> Option<Fault> {
        self.book().rules.values().flatten().find(|rule| rule.strikes(call, name)).map(|rule| rule.fault)
    }

    /// Secrets of a call for several that a rule strikes by name, with the code of the error.
    fn failing(&self, call: &Call) -> Vec<(String, &'static str)> {
        let code = |name: &String| match self.strikes(call, Some(name))? {
            Fault::Deny => Some("AccessDeniedException"),
            Fault::Throttle => Some("ThrottlingException"),
            Fault::Delay { .. } | Fault::LoseMessages | Fault::Aged { .. } | Fault::BeginRotation => None,
        };
        call.names.iter().filter_map(|name| Some((name.clone(), code(name)?))).collect()
    }

    async fn forward(&self, method: Method, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Result<Answer> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let headers: HeaderMap = headers
            .iter()
            .filter(|(name, _)| !OWN_HEADERS.contains(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let request = self.http.request(method, format!("{}{path}", self.emulator)).headers(headers).body(body);
        let answer = request.send().await.context("the emulator does not answer")?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        Ok(Answer { status, headers, body: answer.bytes().await? })
    }

    /// The answer with older values, where a rule makes them older.
    fn aged(&self, mut answer: Answer, call: &Call) -> Answer {
        let rules: Vec<Rule> =
            self.book().rules.values().flatten().filter(|rule| rule.version.is_some()).cloned().collect();
        if rules.is_empty() || !matches!(call.operation.as_str(), "GetSecretValue" | "BatchGetSecretValue") {
            return answer;
        }
        let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else { return answer };
        let age = |shown: &mut Value| {
            let ages = |rule: &Rule| rule.ages(call, shown["Name"].as_str(), shown["VersionId"].as_str());
            if let Some((days, made)) = rules.iter().find_map(ages).zip(shown["CreatedDate"].as_f64()) {
                shown["CreatedDate"] = json!(made - f64::from(days) * DAY);
            }
        };
        match body.get_mut("SecretValues").and_then(Value::as_array_mut) {
            Some(values) => values.iter_mut().for_each(age),
            None => age(&mut body),
        }
        answer.body = body.to_string().into();
        answer
    }

    /// Takes the messages from the answer, and from the queue.
    async fn lose(&self, mut answer: Answer, call: &Call, headers: &HeaderMap) -> Answer {
        let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else { return answer };
        let messages = body["Messages"].take();
        for message in messages.as_array().into_iter().flatten() {
            let gone = json!({"QueueUrl": call.names.first(), "ReceiptHandle": message["ReceiptHandle"]});
            let mut headers = headers.clone();
            headers.insert("x-amz-target", header::HeaderValue::from_static("AmazonSQS.DeleteMessage"));
            // The emulator checks no signature.
            drop(self.forward(Method::POST, &Uri::from_static("/"), &headers, gone.to_string().into()).await);
        }
        if let Some(body) = body.as_object_mut() {
            body.remove("Messages");
        }
        answer.body = body.to_string().into();
        answer
    }
}

/// What the emulator answered.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    /// With errors for secrets that were not asked for.
    fn with_errors(mut self, failing: &[(String, &'static str)]) -> Self {
        let Ok(mut body) = serde_json::from_slice::<Value>(&self.body) else { return self };
        let failed =
            failing.iter().map(|(name, code)| json!({"SecretId": name, "ErrorCode": code, "Message": MESSAGE}));
        let mut errors = body["Errors"].as_array().cloned().unwrap_or_default();
        errors.extend(failed);
        body["Errors"] = errors.into();
        self.body = body.to_string().into();
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        for (name, value) in &self.headers {
            if !OWN_HEADERS.contains(name) {
                response.headers_mut().insert(name.clone(), value.clone());
            }
        }
        response
    }
}

const MESSAGE: &str = "as the test wants it";
/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// A rotation that begins.
fn begun(call: &Call) -> Response {
    let body = json!({"Name": call.names.first(), "VersionId": call.version});
    ([(header::CONTENT_TYPE, "application/x-amz-json-1.1")], body.to_string()).into_response()
}

/// The body of a call for several secrets without some of them.
fn without(body: &Bytes, failing: &[(String, &'static str)]) -> Bytes {
    let Ok(mut parsed) = serde_json::from_slice::<Value>(body) else { return body.clone() };
    if let Some(list) = parsed["SecretIdList"].as_array_mut() {
        list.retain(|id| failing.iter().all(|(name, _)| id != name));
    }
    parsed.to_string().into()
}

/// An error as the service words it: STS in XML, the others in JSON.
fn refusal(call: &Call, code: &str, query_code: &str) -> Response {
    if call.service == "sts" {
        let body = format!(
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{query_code}</Code>\
             <Message>{MESSAGE}</Message></Error><RequestId>0</RequestId></ErrorResponse>"
        );
        return (StatusCode::FORBIDDEN, [(header::CONTENT_TYPE, "text/xml")], body).into_response();
    }
    let body = json!({"__type": code, "Message": MESSAGE, "message": MESSAGE});
    (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "application/x-amz-json-1.1")], body.to_string()).into_response()
}
