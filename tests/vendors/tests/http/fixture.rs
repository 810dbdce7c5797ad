//! A running simulator with one instance, ready to be called.

use crosstie_vendors::Simulator;
use crosstie_vendors::control::Client;
use crosstie_vendors::wire::SeedRequest;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

/// The token that every fixture accepts.
pub(crate) const TOKEN: &str = "token-one";

/// One instance of one vendor.
pub(crate) struct Fixture {
    pub(crate) simulator: Simulator,
    pub(crate) control: Client,
    pub(crate) http: reqwest::Client,
    header: &'static str,
    prefix: &'static str,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// Reads an answer; an empty body is null.
    pub(crate) async fn read(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
        Self { status, headers, body }
    }

    /// A header's value; empty when there is no such header.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The `o:errorCode` of a NetSuite error.
    pub(crate) fn code(&self) -> &str {
        self.body["o:errorDetails"][0]["o:errorCode"].as_str().unwrap_or_default()
    }
}

impl Fixture {
    /// A Shopify shop.
    pub(crate) async fn shopify() -> Self {
        Self::new("shopify", "X-Shopify-Access-Token", "").await
    }

    /// A NetSuite account.
    pub(crate) async fn netsuite() -> Self {
        Self::new("netsuite", "Authorization", "Bearer ").await
    }

    /// A Salesforce org.
    pub(crate) async fn salesforce() -> Self {
        Self::new("salesforce", "Authorization", "Bearer ").await
    }

    /// An account of a vendor that takes bearer tokens.
    pub(crate) async fn bearer(vendor: &str) -> Self {
        Self::new(vendor, "Authorization", "Bearer ").await
    }

    /// A Klaviyo account.
    pub(crate) async fn klaviyo() -> Self {
        Self::new("klaviyo", "Authorization", "Klaviyo-API-Key ").await
    }

    async fn new(vendor: &str, header: &'static str, prefix: &'static str) -> Self {
        let simulator = Simulator::start().await.unwrap();
        let control = simulator.control(vendor, "main").unwrap();
        control.set_tokens(&[TOKEN]).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { simulator, control, http, header, prefix }
    }

    /// A request with this token.
    pub(crate) fn request_as(&self, token: &str, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.control.base_url()) };
        self.http.request(method, url).header(self.header, format!("{}{token}", self.prefix))
    }

    /// A request with the accepted token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_as(TOKEN, method, path)
    }

    /// Sends a GET.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::read(self.request(Method::GET, path).send().await.unwrap()).await
    }

    /// Sends a body.
    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value) -> Answer {
        Answer::read(self.request(method, path).json(body).send().await.unwrap()).await
    }

    /// Upserts a small sales order.
    pub(crate) async fn upsert(&self, external: &str, memo: &str) -> Answer {
        let body = json!({"entity": {"id": "5"}, "memo": memo});
        self.send(Method::PUT, &format!("/services/rest/record/v1/salesOrder/eid:{external}"), &body).await
    }

    /// Seeds records one second apart.
    pub(crate) async fn seed(&self, resource: &str, count: u64) {
        let request = SeedRequest {
            resource: resource.to_owned(),
            count,
            start_id: 1,
            start_time: "2026-07-01T00:00:00Z".parse().unwrap(),
            step_millis: 1_000,
            seed: 1,
            lines: None,
        };
        assert_eq!(self.control.seed(&request).await.unwrap(), count);
    }
}
