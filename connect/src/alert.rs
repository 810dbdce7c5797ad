//! Getting an alert to whoever is to be told: by a post to Slack, by mail, by a signed request. What is told and when is the engine's to decide,
//! and what is done about a message that was not accepted the worker's; here it is sent once.

mod mail;
mod request;

use crosstie_engine::{
    alert::Message,
    plan::{Alert, AlertWay, Operation},
    rate,
};
use serde_json::json;

use self::{mail::Mailer, request::Hook};
use crate::{
    client::VendorClient,
    credentials::CredentialStore,
    failure::{BuildError, CallFailure, FailureKind},
    outcome::{Outgoing, Written},
    surroundings::Surroundings,
};

/// Of how many parts of an account's allowance alerts get one: they are few, and have to get through beside the records.
const PARTS: u32 = 10;

/// Takes messages to one channel.
#[derive(Debug)]
pub struct Messenger {
    credentials: CredentialStore,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Slack { client: VendorClient, operation: Box<Operation>, channel: String },
    Email(Box<Mailer>),
    Webhook(Hook),
}

impl Messenger {
    /// Whoever takes messages to a channel of a plan.
    ///
    /// # Errors
    /// [`BuildError`] when its system is not one that can be called.
    pub fn new(alert: &Alert, credentials: CredentialStore, surroundings: &Surroundings) -> Result<Self, BuildError> {
        let system = &alert.system;
        let share = rate::share(&system.allowance, PARTS);
        let client = || VendorClient::surrounded(system, credentials.clone(), share, surroundings);
        let way = match &alert.way {
            AlertWay::Slack { operation, channel } => {
                Way::Slack { client: client()?, operation: operation.clone(), channel: channel.clone() }
            }
            AlertWay::Email { from, to, encrypted } => {
                let mailer = Mailer::new(system, credentials.clone(), surroundings, (from, to), *encrypted)?;
                Way::Email(Box::new(mailer))
            }
            AlertWay::Webhook { path, signing_secret } => {
                Way::Webhook(Hook::new(client()?, system, path, signing_secret.clone()))
            }
        };
        Ok(Self { credentials, way })
    }

    /// The credentials in use.
    pub fn credentials(&self) -> &CredentialStore {
        &self.credentials
    }

    /// Sends a message, once. It was accepted if this says so; if not, it may have been all the same.
    ///
    /// # Errors
    /// [`CallFailure`].
    pub async fn send(&self, message: &Message) -> Result<(), CallFailure> {
        match &self.way {
            Way::Slack { client, operation, channel } => {
                let body = json!({"channel": channel, "text": message.slack()});
                let outgoing = Outgoing { body: &body.into(), identifier: None, idempotency_key: Some(&message.id) };
                accepted(client.write(operation, outgoing).await)
            }
            Way::Email(mailer) => mailer.send(message).await,
            Way::Webhook(hook) => hook.send(message).await,
        }
    }
}

/// Whether a post was accepted. What is refused for its own fault was not: an alert is nothing that may be set aside.
fn accepted(written: Written) -> Result<(), CallFailure> {
    match written {
        Written::Applied { .. } => Ok(()),
        Written::Refused { fault } | Written::Ignored { fault } => {
            let failure = CallFailure::new(FailureKind::Refused, fault.detail);
            Err(match fault.status {
                Some(status) => failure.answered(status, fault.request_id),
                None => failure,
            })
        }
        Written::Missing => Err(CallFailure::new(FailureKind::Refused, "there is nothing to write the message to")),
        Written::NotSent { failure } | Written::Unknown { failure } => Err(failure),
    }
}
