//! The source's webhooks: how the plan receives them, and how one is sent until it is acknowledged.

use std::{
    net::TcpListener,
    thread::sleep,
    time::{Duration, Instant},
};

use crosstie_engine::{
    plan::{Brings, EventRoute, Place, Receiver, TokenPlace, Verification, WebhookToken},
    template::Template,
};
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::runtime::Runtime;

const PATH: &str = "/default/orders";
const SECRET: &str = "x-secret";
const EVENT: &str = "x-event";
/// How long a receiver may need until it takes an event: as it starts, nobody listens.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long is waited before one is sent again.
const AGAIN: Duration = Duration::from_millis(5);

/// How they are received: a secret text proves where they come from.
pub fn receiver() -> Receiver {
    Receiver {
        path: PATH.into(),
        origin: None,
        verification: Verification::Token(WebhookToken {
            at: TokenPlace::Header(SECRET.into()),
            value: Template::parse("{token}").unwrap(),
        }),
        refusal_status: 401,
        events: None,
        event_id: Some(Place::Header(EVENT.into())),
        topic: None,
        challenge: None,
        subscription: None,
        limit: None,
        trusted_proxies: Vec::new(),
        max_body_bytes: 16_384,
        audit_days: 7,
    }
}

/// Every event brings a record, or only names one.
pub fn route(words: bool) -> EventRoute {
    let brings = if words { Brings::Key("/id".into()) } else { Brings::Record(String::new()) };
    EventRoute { wanted: vec!["*".into()], topics: vec!["*".into()], brings }
}

/// Sends them to a port of this machine.
pub struct Events {
    port: u16,
    client: Client,
    sent: u64,
}

impl Events {
    pub fn new() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { port, client: Client::builder().timeout(PATIENCE).build().unwrap(), sent: 0 }
    }

    /// Where the process has to listen.
    pub fn listen(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Sends one, again and again as a vendor would, until it is acknowledged; and once more after it.
    pub fn send(&mut self, record: &Value, runtime: &Runtime) {
        self.sent += 1;
        let deadline = Instant::now() + PATIENCE;
        let mut acknowledged = 0;
        while acknowledged < 2 {
            let request = self
                .client
                .post(format!("http://{}{PATH}", self.listen()))
                .header(SECRET, "t")
                .header(EVENT, self.sent.to_string())
                .body(record.to_string());
            match runtime.block_on(async { request.send().await }) {
                Ok(answer) if answer.status().is_success() => acknowledged += 1,
                // A store that is busy answers so; one that starts does not answer.
                Ok(answer) if answer.status() != StatusCode::SERVICE_UNAVAILABLE => panic!("refused: {answer:?}"),
                _ if Instant::now() > deadline => panic!("an event is never acknowledged"),
                _ => sleep(AGAIN),
            }
        }
    }
}
