//! Events that webhooks brought: what is asked to be stored with them, and the log of them. Types only.

use jiff::Timestamp;

use super::{Incoming, ScopeId};

/// Events of one webhook, to be taken together.
#[derive(Clone, Debug)]
pub struct TakenEvents {
    /// Name of the Connector they come from.
    pub source: String,
    /// The events.
    pub events: Vec<TakenEvent>,
    /// Until when the log keeps them, and knows them again.
    pub keep_until: Timestamp,
    /// The present.
    pub now: Timestamp,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenEvent {
    /// The vendor's id.
    pub id: Option<String>,
    /// By what it is known again when it comes once more; none where that cannot be told.
    pub mark: Option<String>,
    /// What kind of thing happened.
    pub topic: String,
    /// Hash of its content.
    pub hash: String,
    /// What it brings, and to which flow.
    pub brings: Vec<(ScopeId, Incoming)>,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventFate {
    /// It came before, and is not taken again.
    Repeated,
    /// It is taken: for each flow that it brings something to, whether that was news.
    Taken(Vec<(ScopeId, bool)>),
}

/// An event in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Its number; later events have higher ones.
    pub number: i64,
    /// Name of the Connector it came from.
    pub source: String,
    /// The vendor's id.
    pub id: Option<String>,
    /// What kind of thing happened.
    pub topic: String,
    /// Hash of its content.
    pub hash: String,
    /// When it came first.
    pub received_at: Timestamp,
    /// How often it came again.
    pub repeats: u64,
    /// To how many flows it brought something; no flow asks for its topic where that is none.
    pub flows: u64,
    /// For how many of them that was news.
    pub news: u64,
}
