//! Alerts: whom an Integration tells when something is wrong with it, through which Connector, and how often.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::connector::LocalReference;

/// A channel that is told when something is wrong, and when it is over: exactly one of slack, email and webhook.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.slack), has(self.email), has(self.webhook)].filter(set, set).size() == 1").message("set exactly one of slack, email and webhook in each alert"))]
pub struct Alert {
    /// Name, unique in the Integration. What was said already is remembered under it. 1 to 63 characters, a DNS label.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// A channel of Slack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<SlackAlert>,

    /// E-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailAlert>,

    /// A request to a URL of your own, with what happened as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookAlert>,

    /// What is told: these causes and no others. All of them when it is left out. 1 to 6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 6))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub causes: Option<Vec<AlertCause>>,

    /// How long something has to be wrong before it is told, so that what fails together is told together, and how long it has to be well
    /// before that is told. In seconds, 1 to 3600; 60 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub group_seconds: Option<u32>,

    /// How long, at the latest, until what is still wrong is told again. What grows, or comes and goes, is told after twice as long each time,
    /// up to this. In seconds, 60 to 604800; 14400, four hours, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 604_800))]
    pub repeat_seconds: Option<u32>,
}

/// A channel of Slack.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SlackAlert {
    /// Connector of the preset Slack, or one with an operation `postMessage` like it, in the same namespace.
    pub connector_ref: LocalReference,
    /// Id of the channel, for example `C0OPERATIONS`. The bot has to be in it. 1 to 80 characters.
    #[schemars(length(min = 1, max = 80))]
    pub channel: String,
}

/// E-mail through a mail server.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EmailAlert {
    /// Connector of the mail server, in the same namespace: its baseURL is `smtp://HOST` (TLS by STARTTLS, port 587 unless named) or
    /// `smtps://HOST` (TLS from the beginning, port 465 unless named), its auth is basic or none.
    pub connector_ref: LocalReference,
    /// Address that mails come from, for example `crosstie@example.com`. 3 to 254 characters.
    #[schemars(length(min = 3, max = 254), regex(pattern = "^[^@\\s,;<>\"]+@[^@\\s,;<>\"]+$"))]
    pub from: String,
    /// Addresses that mails go to. 1 to 20, each of 3 to 254 characters.
    #[schemars(
        length(min = 1, max = 20),
        inner(length(min = 3, max = 254), regex(pattern = "^[^@\\s,;<>\"]+@[^@\\s,;<>\"]+$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub to: Vec<String>,
    /// `Required`: mails and credentials go through TLS or not at all. `None`: they go in the clear, for a relay within the cluster; only
    /// towards addresses that the operator's configuration allows, and only with `smtp://`. Required when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<EmailTls>,
}

/// Whether mails have to go through TLS. `Required` when left out.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EmailTls {
    /// Through TLS or not at all.
    #[default]
    Required,
    /// In the clear.
    None,
}

/// A request to a URL of your own.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WebhookAlert {
    /// Connector of whoever takes it, in the same namespace. Its auth is put on the request.
    pub connector_ref: LocalReference,
    /// Path below the Connector's baseURL, for example `/hooks/crosstie`. The baseURL itself when left out. At most 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/[^\\s?#]*$"))]
    pub path: Option<String>,
    /// Template of the secret that requests are signed with, by Standard Webhooks, for example `{signing_secret}`: `{key}` is replaced by that
    /// key of the Connector's credentials. Requests are not signed when it is left out. 1 to 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub signing_secret: Option<String>,
}

/// What an alert is about.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AlertCause {
    /// Records were set aside in the dead letters. Told again when more of them come, not for those that lie there.
    DeadLetters,
    /// The source or the destination fails, or asks to wait, for longer than all retries of errorPolicy take.
    SystemFailing,
    /// A vendor refuses the credentials, or the new ones after a rotation.
    CredentialsRejected,
    /// Writes whose outcome nothing can tell are held.
    OutcomeUnknown,
    /// The mapping fails on most records.
    MappingFailing,
    /// The worker cannot work: its state is lost, full or damaged, its plan or credentials cannot be used, or too much waits in a flow.
    WorkerTrouble,
}

impl Alert {
    /// Name of the Connector it goes through; none when it is none of slack, email and webhook, which the API server refuses.
    pub fn connector(&self) -> Option<&str> {
        let slack = self.slack.as_ref().map(|slack| &slack.connector_ref);
        let email = self.email.as_ref().map(|email| &email.connector_ref);
        let webhook = self.webhook.as_ref().map(|webhook| &webhook.connector_ref);
        slack.or(email).or(webhook).map(|reference| reference.name.as_str())
    }
}
