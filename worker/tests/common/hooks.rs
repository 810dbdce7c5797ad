//! A vendor that sends webhooks as Shopify does: the record as the body, and a keyed hash of it in a header.

use std::{net::SocketAddr, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use crosstie_engine::{
    plan::{
        Brings, EventRoute, HashAlgorithm, HeaderPart, Place, Receiver, SignatureEncoding, Trigger, Verification,
        WebhookHash,
    },
    template::Template,
};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use sha2::Sha256;

use super::Bench;

/// Where the plan says that webhooks are received.
pub const PATH: &str = "/default/orders";

/// How webhooks are received in tests.
pub fn receiver() -> Receiver {
    let template = |text: &str| Template::parse(text).unwrap();
    Receiver {
        path: PATH.into(),
        origin: None,
        verification: Verification::Hash(WebhookHash {
            algorithm: HashAlgorithm::Sha256,
            secret: template("{webhookSecret}"),
            secret_is_base64: false,
            message: template("{body}"),
            encoding: SignatureEncoding::Base64,
            signature: HeaderPart { header: "X-Shopify-Hmac-SHA256".into(), prefix: String::new(), separator: None },
            timestamp: None,
        }),
        refusal_status: 401,
        events: None,
        event_id: Some(Place::Header("X-Shopify-Webhook-Id".into())),
        topic: Some(Place::Header("X-Shopify-Topic".into())),
        challenge: None,
        subscription: None,
        limit: None,
        trusted_proxies: Vec::new(),
        max_body_bytes: 16_384,
        audit_days: 7,
    }
}

/// Events of some topics that bring something.
pub fn route(topics: &str, brings: Brings) -> EventRoute {
    EventRoute { wanted: vec!["*".into()], topics: vec![topics.into()], brings }
}

impl Bench {
    /// A bench whose flow takes webhooks, and reads the shop so often.
    pub async fn with_webhooks(every_seconds: u32) -> Self {
        let mut bench = Self::new().await;
        bench.plan.receiver = Some(receiver());
        let flow = &mut bench.plan.flows[0];
        flow.triggers = vec![Trigger::EverySeconds(every_seconds)];
        flow.events = vec![route("orders/*", Brings::Record(String::new()))];
        bench.write_plan();
        bench.write_secrets(&[("v1", "hush")]);
        bench
    }

    /// Writes the shop's credentials with a signing secret for each version, the current one first.
    pub fn write_secrets(&self, versions: &[(&str, &str)]) {
        let version = |(id, secret): &(&str, &str)| json!({"versionId": id, "values": {"token": "shop-1", "webhookSecret": secret}});
        let mut document = json!({"connector": "shop", "current": version(&versions[0])});
        if let Some(previous) = versions.get(1) {
            document["previous"] = version(previous);
        }
        self.write("credentials/source/credentials.json", &document.to_string());
    }
}

/// Sends webhooks.
#[derive(Clone)]
pub struct Hooks {
    url: String,
    secret: String,
    client: reqwest::Client,
}

impl Hooks {
    pub fn to(address: SocketAddr, secret: &str) -> Self {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
        Self { url: format!("http://{address}{PATH}"), secret: secret.into(), client }
    }

    /// The same with another secret.
    pub fn signing_with(&self, secret: &str) -> Self {
        Self { secret: secret.into(), ..self.clone() }
    }

    /// A signed webhook, not sent yet.
    pub fn signed(&self, topic: &str, id: &str, body: Vec<u8>) -> RequestBuilder {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).unwrap();
        mac.update(&body);
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        self.unsigned(topic, id, body).header("X-Shopify-Hmac-SHA256", signature)
    }

    /// One that proves nothing.
    pub fn unsigned(&self, topic: &str, id: &str, body: Vec<u8>) -> RequestBuilder {
        let post = self.client.post(&self.url).header("Content-Type", "application/json");
        post.header("X-Shopify-Topic", topic).header("X-Shopify-Webhook-Id", id).body(body)
    }

    /// Sends a signed webhook, and gives the status of the answer.
    pub async fn send(&self, topic: &str, id: &str, record: &Value) -> u16 {
        self.try_send(topic, id, record).await.unwrap().status().as_u16()
    }

    /// The same to a receiver that may not be there.
    pub async fn try_send(&self, topic: &str, id: &str, record: &Value) -> reqwest::Result<Response> {
        self.signed(topic, id, record.to_string().into_bytes()).send().await
    }

    /// A request to another path or of another method.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let url = self.url.replace(PATH, path);
        self.client.request(method.parse().unwrap(), url)
    }
}
