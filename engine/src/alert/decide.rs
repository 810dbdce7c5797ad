//! When something is told: after it lasted, again when it grows or stays, and once more when it is over. Never one message a record.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Cause, Kind, Message, Wrong, message::Subject};
use crate::{
    plan::{Alert, ObjectName, RetryPolicy},
    retry,
};

/// What a channel is told by.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The Integration.
    pub integration: &'a ObjectName,
    /// The channel.
    pub alert: &'a Alert,
    /// What happens to records that fail; a system has to fail for longer than that.
    pub retry: &'a RetryPolicy,
}

/// What is remembered of a cause, for one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Since when it is wrong; none while it is not.
    pub wrong_since: Option<Timestamp>,
    /// When it was seen to be wrong last.
    pub seen: Timestamp,
    /// Whether it was told that something is wrong, and not yet that it is over.
    pub open: bool,
    /// What was told last, whether it is over or not.
    pub said: Option<Said>,
}

impl Standing {
    /// The same, where nothing happened later than now: a clock that was set back must not keep anything from being told until it has caught up.
    fn by(&self, now: Timestamp) -> Self {
        let said = self.said.clone().map(|said| Said { at: said.at.min(now), ..said });
        Self {
            wrong_since: self.wrong_since.map(|since| since.min(now)),
            seen: self.seen.min(now),
            open: self.open,
            said,
        }
    }
}

/// What was told of a cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    /// When it was told last.
    pub at: Timestamp,
    /// How often within short, come and gone or not.
    pub times: u32,
    /// What was wrong then, and the newest of each.
    pub newest: BTreeMap<String, i64>,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What to remember; none to forget the cause.
    pub standing: Option<Standing>,
    /// What to tell.
    pub message: Option<Message>,
}

impl Decision {
    /// Whether it has to be stored: that something is still seen to be wrong need not be.
    pub fn is_news(&self, before: Option<&Standing>) -> bool {
        let lasting = |standing: Option<&Standing>| {
            standing.map(|standing| (standing.wrong_since, standing.open, standing.said.clone()))
        };
        self.message.is_some() || lasting(self.standing.as_ref()) != lasting(before)
    }
}

/// What to tell a channel of a cause, and what to remember. `wrong` is everything of that cause; `waits` says whether a message about it was not
/// accepted yet: then what is only more of the same waits too.
pub fn decide(
    terms: &Terms<'_>,
    cause: Cause,
    before: Option<&Standing>,
    wrong: &[Wrong],
    waits: bool,
    now: Timestamp,
) -> Decision {
    let before = before.map(|before| before.by(now));
    let before = before.as_ref();
    if wrong.is_empty() {
        return before.map_or(Decision { standing: None, message: None }, |before| ended(terms, cause, before, now));
    }
    let known = wrong.iter().filter_map(|wrong| wrong.since).chain(before.and_then(|before| before.wrong_since)).min();
    let since = known.unwrap_or(now).min(now);
    let (open, said) = before.map(|before| (before.open, before.said.clone())).unwrap_or_default();
    let mut standing = Standing { wrong_since: Some(since), seen: now, open, said };
    let Some(kind) = kind(terms, cause, &standing, wrong, waits, now) else {
        return Decision { standing: Some(standing), message: None };
    };
    // What was quiet for long begins anew, so that what comes then is told as soon as the first time.
    let lately = standing.said.as_ref().filter(|said| now < forgotten_at(terms, said));
    let times = lately.map_or(0, |said| said.times).saturating_add(1);
    let told = standing.said.take().filter(|_| standing.open);
    let mut newest = told.map(|said| said.newest).unwrap_or_default();
    newest.extend(wrong.iter().map(|wrong| (wrong.key(), wrong.newest)));
    standing.open = true;
    standing.said = Some(Said { at: now, times, newest });
    let subject = Subject { integration: terms.integration, alert: &terms.alert.name, cause };
    Decision { standing: Some(standing), message: Some(Message::wrong(&subject, kind, since, wrong, now)) }
}

/// Which kind of message is due.
fn kind(
    terms: &Terms<'_>,
    cause: Cause,
    standing: &Standing,
    wrong: &[Wrong],
    waits: bool,
    now: Timestamp,
) -> Option<Kind> {
    let said = standing.said.as_ref();
    if said.is_some_and(|said| now < quiet_until(terms, said)) {
        return None;
    }
    let said = match said {
        Some(said) if standing.open => said,
        Some(_) | None => {
            let since = standing.wrong_since.unwrap_or(now);
            return (now >= after(since, patience(terms, cause))).then_some(Kind::Began);
        }
    };
    if waits {
        return None;
    }
    let more = |wrong: &Wrong| said.newest.get(&wrong.key()).is_none_or(|newest| wrong.newest > *newest);
    if wrong.iter().any(more) {
        return Some(Kind::Grew);
    }
    // Letters lie there until a person comes; saying so again and again is noise.
    let repeated = cause != Cause::DeadLetters && now >= after(said.at, seconds(terms.alert.repeat_seconds));
    repeated.then_some(Kind::Lasts)
}

/// Nothing of the cause is wrong, or at least not seen to be.
fn ended(terms: &Terms<'_>, cause: Cause, before: &Standing, now: Timestamp) -> Decision {
    let mut standing = before.clone();
    if let Some(since) = standing.wrong_since {
        if now < after(standing.seen, seconds(terms.alert.group_seconds)) {
            return Decision { standing: Some(standing), message: None };
        }
        standing.wrong_since = None;
        let was_open = std::mem::take(&mut standing.open);
        let subject = Subject { integration: terms.integration, alert: &terms.alert.name, cause };
        let message = was_open.then(|| Message::over(&subject, (since, before.seen), now));
        let standing = standing.said.is_some().then_some(standing);
        return Decision { standing, message };
    }
    let forgotten = standing.said.as_ref().is_none_or(|said| now >= forgotten_at(terms, said));
    Decision { standing: (!forgotten).then_some(standing), message: None }
}

/// How long something has to last before it is told.
fn patience(terms: &Terms<'_>, cause: Cause) -> Duration {
    let group = seconds(terms.alert.group_seconds);
    match cause {
        Cause::SystemFailing => group.max(retry::patience(terms.retry)),
        Cause::DeadLetters
        | Cause::CredentialsRejected
        | Cause::OutcomeUnknown
        | Cause::MappingFailing
        | Cause::WorkerTrouble => group,
    }
}

/// Until when no more is told of a cause: twice as long after each time.
fn quiet_until(terms: &Terms<'_>, said: &Said) -> Timestamp {
    let doubled = 2_u32.saturating_pow(said.times.saturating_sub(1));
    after(said.at, seconds(terms.alert.group_seconds).saturating_mul(doubled).min(longest_quiet(terms)))
}

fn longest_quiet(terms: &Terms<'_>) -> Duration {
    seconds(terms.alert.repeat_seconds)
}

/// When what was told does not keep the next one waiting any more. Later than it can, or what comes and goes would begin anew each time.
fn forgotten_at(terms: &Terms<'_>, said: &Said) -> Timestamp {
    after(said.at, longest_quiet(terms).saturating_mul(2))
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}

fn after(time: Timestamp, wait: Duration) -> Timestamp {
    time.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
