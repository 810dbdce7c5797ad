//! A proxy before the AWS emulator that does what the emulator does not: it denies, throttles, delays, loses, and lets time pass. Which calls are meant is said by
//! region, operation and name, over HTTP, while it runs; every call is counted. What a call is lives in `call`, the proxy itself in `proxy`. It
//! runs in a test's own process, or as the program `aws-faults` for as long as a cluster does.

mod call;
mod proxy;

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

pub use call::Call;
pub use proxy::serve;

/// Where the proxy itself is asked and told; no path of AWS' begins like this.
pub const CONTROL: &str = "/_faults";

/// What happens to calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Fault {
    /// They are refused as for lack of rights.
    Deny,
    /// They are refused because there are too many.
    Throttle,
    /// They are passed on after this time.
    Delay {
        /// In milliseconds.
        millis: u64,
    },
    /// They are passed on, and the messages that the answer brings are lost for ever.
    LoseMessages,
    /// Values of secrets that the answer shows were made so much earlier than the emulator says. Only those strike that say which version.
    Aged {
        /// In days.
        days: u32,
    },
    /// Rotations are answered as begun, and nothing is done: the emulator runs no function, so that the test has to do what it would.
    BeginRotation,
}

/// A fault, and which calls it strikes: those for which every given part holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Region that the call was signed for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Operation, for example `GetSecretValue`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Secret, role or queue that is named. Of a call that names several secrets, only this one fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Version of a secret that the answer shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What happens.
    pub fault: Fault,
}

impl Rule {
    /// A rule for every call.
    pub fn new(fault: Fault) -> Self {
        Self { region: None, operation: None, name: None, version: None, fault }
    }

    /// Only this version of a secret.
    #[must_use]
    pub fn version(self, id: &str) -> Self {
        Self { version: Some(id.to_owned()), ..self }
    }

    /// Only calls that were signed for this region.
    #[must_use]
    pub fn region(self, region: &str) -> Self {
        Self { region: Some(region.to_owned()), ..self }
    }

    /// Only this operation.
    #[must_use]
    pub fn operation(self, operation: &str) -> Self {
        Self { operation: Some(operation.to_owned()), ..self }
    }

    /// Only what is named so.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// Whether it strikes a call about this name, before it is known which version is answered.
    fn strikes(&self, call: &Call, name: Option<&str>) -> bool {
        self.version.is_none() && self.is_about(call, name)
    }

    /// How many days older it makes a version of this name that an answer shows.
    fn ages(&self, call: &Call, name: Option<&str>, version: Option<&str>) -> Option<u32> {
        match self.fault {
            Fault::Aged { days } if self.version.is_some() => {
                (self.version.as_deref() == version && self.is_about(call, name)).then_some(days)
            }
            Fault::Aged { .. }
            | Fault::Deny
            | Fault::Throttle
            | Fault::Delay { .. }
            | Fault::LoseMessages
            | Fault::BeginRotation => None,
        }
    }

    fn is_about(&self, call: &Call, name: Option<&str>) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
        is(&self.region, Some(&call.region)) && is(&self.operation, Some(&call.operation)) && is(&self.name, name)
    }
}

/// A running proxy, as one test tells it what to do: others that use the same one have rules of their own.
#[derive(Clone, Debug)]
pub struct AwsFaults {
    url: String,
    owner: String,
    http: reqwest::Client,
}

impl AwsFaults {
    /// The proxy at a URL, for a test of this name.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub fn at(url: &str, owner: &str) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        Ok(Self { url: url.to_owned(), owner: owner.to_owned(), http })
    }

    /// Starts one in this process before an emulator, on a free port of the loopback.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start(emulator: &str) -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let emulator = emulator.to_owned();
        tokio::spawn(async move { serve(listener, &emulator).await });
        Self::at(&url, "test")
    }

    /// The endpoint that is AWS to whoever is tested.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on these faults of this test strike, and no others of it. Of several rules that strike a call the first one counts.
    ///
    /// # Errors
    /// When the proxy does not answer.
    pub async fn set(&self, rules: &[Rule]) -> Result<()> {
        let request = self.http.put(format!("{}{CONTROL}/rules/{}", self.url, self.owner)).json(rules);
        request.send().await?.error_for_status().context("the proxy took no rules")?;
        Ok(())
    }

    /// From now on nothing that this test asked for is wrong.
    ///
    /// # Errors
    /// When the proxy does not answer.
    pub async fn clear(&self) -> Result<()> {
        self.set(&[]).await
    }

    /// Every call so far, in order.
    ///
    /// # Errors
    /// When the proxy does not answer.
    pub async fn calls(&self) -> Result<Vec<Call>> {
        let answer = self.http.get(format!("{}{CONTROL}/calls", self.url)).send().await?.error_for_status()?;
        Ok(answer.json().await?)
    }

    /// How many calls of an operation there were so far.
    ///
    /// # Errors
    /// When the proxy does not answer.
    pub async fn count(&self, operation: &str) -> Result<usize> {
        Ok(self.calls().await?.iter().filter(|call| call.operation == operation).count())
    }
}
