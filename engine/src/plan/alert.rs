//! Whom to tell when something is wrong, and how they are reached.

use serde::{Deserialize, Serialize};

use super::{Operation, System};
use crate::{alert::Cause, template::Template};

/// A channel that is told when something is wrong, and when it is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// Name, unique in the plan.
    pub name: String,
    /// System that it goes through.
    pub system: System,
    /// How.
    pub way: AlertWay,
    /// What is told.
    pub causes: Vec<Cause>,
    /// How long something has to be wrong before it is told, and well before that is; at least 1.
    pub group_seconds: u32,
    /// How long, at the latest, until what is still wrong is told again; at least as long.
    pub repeat_seconds: u32,
}

/// How a channel is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AlertWay {
    /// By an operation that posts to a channel.
    Slack {
        /// The operation; its body has `channel` and `text`.
        operation: Box<Operation>,
        /// Id of the channel.
        channel: String,
    },
    /// By mail.
    Email {
        /// Address that mails come from.
        from: String,
        /// Addresses that they go to; at least one.
        to: Vec<String>,
        /// Whether they have to go through TLS.
        encrypted: bool,
    },
    /// By a request with the message as JSON.
    Webhook {
        /// Path below the system's base URL.
        path: String,
        /// Template of the secret that it is signed with, if it is; names keys of the credentials.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[serde(rename = "signingSecret")]
        signing_secret: Option<Template>,
    },
}

impl Alert {
    /// Keys of the credentials that are needed.
    pub fn credential_keys(&self) -> Vec<&str> {
        let mut keys = self.system.credential_keys();
        match &self.way {
            AlertWay::Webhook { signing_secret: Some(secret), .. } => keys.extend(secret.names()),
            AlertWay::Webhook { signing_secret: None, .. } | AlertWay::Slack { .. } | AlertWay::Email { .. } => {}
        }
        keys
    }
}
