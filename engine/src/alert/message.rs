//! A message as it is stored until a channel takes it, and as a webhook gets it (`docs/alerts.md`). Bounded, and without any record's values.

use crosstie_crds::condition::Reason;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Cause, Wrong, text};
use crate::{canonical, plan::ObjectName};

/// Most items of a message.
const MOST_ITEMS: usize = 8;
/// Most request ids of an item.
const MOST_REQUEST_IDS: usize = 5;
/// Longest request id, in characters.
const LONGEST_REQUEST_ID: usize = 128;
/// Longest sentence of an item, in characters.
const LONGEST_SENTENCE: usize = 512;

/// What a message says of its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// It began.
    Began,
    /// There is more of it.
    Grew,
    /// It is as it was.
    Lasts,
    /// It is over.
    Resolved,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Tells it from any other; the same however often it is sent.
    pub id: String,
    /// What it says of the cause.
    pub kind: Kind,
    /// When it was decided to tell this.
    pub at: Timestamp,
    /// The Integration.
    pub integration: ObjectName,
    /// Name of the channel.
    pub alert: String,
    /// What it is about.
    pub cause: Cause,
    /// What it is about in one line.
    pub title: String,
    /// Since when it is, or was, wrong.
    pub since: Timestamp,
    /// When it was last seen to be wrong; only of what is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// What is wrong, one a flow and reason. Of what is over, nothing.
    pub items: Vec<Item>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: usize,
    /// Commands to look closer with.
    pub commands: Vec<String>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// Why, in the word that conditions show.
    pub reason: Reason,
    /// The flow; absent when all are concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<String>,
    /// What failed, on what, and what to do.
    pub message: String,
    /// Since when, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// How often; 0 where nothing is counted.
    pub count: u64,
    /// Some of the vendor's request ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request_ids: Vec<String>,
}

/// What a message is about.
pub(super) struct Subject<'a> {
    /// The Integration.
    pub(super) integration: &'a ObjectName,
    /// The channel.
    pub(super) alert: &'a str,
    /// The cause.
    pub(super) cause: Cause,
}

impl Message {
    pub(super) fn wrong(subject: &Subject, kind: Kind, since: Timestamp, wrong: &[Wrong], now: Timestamp) -> Self {
        let count = wrong.iter().map(|wrong| wrong.count).fold(0, u64::saturating_add);
        let title = text::title(subject.integration, subject.cause, kind, count);
        let items = wrong.iter().take(MOST_ITEMS).map(item).collect();
        let omitted = wrong.len().saturating_sub(MOST_ITEMS);
        let commands = text::commands(subject.integration, subject.cause);
        Self { title, since, items, omitted, commands, ..Self::empty(subject, kind, now) }
    }

    pub(super) fn over(subject: &Subject, (since, until): (Timestamp, Timestamp), now: Timestamp) -> Self {
        let title = text::title(subject.integration, subject.cause, Kind::Resolved, 0);
        Self { title, since, until: Some(until), ..Self::empty(subject, Kind::Resolved, now) }
    }

    fn empty(subject: &Subject, kind: Kind, now: Timestamp) -> Self {
        let at = now.to_string();
        let ObjectName { namespace, name } = subject.integration;
        let parts = [namespace, name, subject.alert, subject.cause.as_str(), &at].map(str::as_bytes);
        let mut id = canonical::hash_parts(&parts);
        id.truncate(32);
        Self {
            id,
            kind,
            at: now,
            integration: subject.integration.clone(),
            alert: subject.alert.to_owned(),
            cause: subject.cause,
            title: String::new(),
            since: now,
            until: None,
            items: Vec::new(),
            omitted: 0,
            commands: Vec::new(),
        }
    }

    /// The message as plain text, without its title.
    pub fn text(&self) -> String {
        text::body(self)
    }

    /// The message as Slack shows it.
    pub fn slack(&self) -> String {
        text::slack(self)
    }
}

fn item(wrong: &Wrong) -> Item {
    let ids = wrong.request_ids.iter().take(MOST_REQUEST_IDS).map(|id| id.chars().take(LONGEST_REQUEST_ID).collect());
    Item {
        reason: wrong.reason,
        flow: wrong.flow.clone(),
        message: wrong.message.chars().take(LONGEST_SENTENCE).collect(),
        since: wrong.since,
        count: wrong.count,
        request_ids: ids.collect(),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
