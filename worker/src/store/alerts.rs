//! What is asked of a store about alerts and what it answers: types only.

use crosstie_engine::alert::{Cause, Message, Standing};
use jiff::Timestamp;

/// What is remembered of a cause, for one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertStanding {
    /// Name of the channel.
    pub channel: String,
    /// The cause.
    pub cause: Cause,
    /// What is remembered.
    pub standing: Standing,
}

/// Everything about alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alerts {
    /// What is remembered.
    pub standings: Vec<AlertStanding>,
    /// Messages that were not accepted yet, oldest first.
    pub waiting: Vec<WaitingMessage>,
}

/// A message that was not accepted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingMessage {
    /// Its number.
    pub number: i64,
    /// It.
    pub message: Message,
}

/// What was decided of a cause, for one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertChange {
    /// Name of the channel.
    pub channel: String,
    /// The cause.
    pub cause: Cause,
    /// What is to be remembered; none to forget it.
    pub standing: Option<Standing>,
    /// What is to be sent.
    pub message: Option<Message>,
}

/// Dead letters of one scope, in short.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterDigest {
    /// How many there are.
    pub count: u64,
    /// The highest of their numbers; rises with each that is added.
    pub newest: i64,
    /// When the oldest was set aside.
    pub since: Option<Timestamp>,
    /// Why most of the newest were.
    pub cause: Option<String>,
    /// Request ids of the newest.
    pub request_ids: Vec<String>,
}
