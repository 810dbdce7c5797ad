//! What failures count, whom they are blamed on, and how long a record then waits.

use std::time::Duration;

use crosstie_connect::{CallFailure, FailureKind, RecordFault};
use crosstie_engine::{
    delivery::Step,
    retry::{self, Tally},
};
use jiff::Timestamp;

use super::{Change, Judge, postponed};
use crate::store::{Claimed, Failures, IntentChange, OpenIntent, Postponement};

/// What the operation's gate says around a failure.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// The tally before this failure is counted.
    pub before: Tally,
    /// The tally after it was counted.
    pub after: Tally,
    /// Whether the circuit is open after it.
    pub open: bool,
}

/// Whether a send that came to this failure counts against the record.
pub fn would_blame(claimed: &Claimed, failure: &CallFailure, before: Tally) -> bool {
    blameable(failure) && claimed.failures.tally.is_some_and(|then| before.blames_record(&then))
}

/// Whether a failure could be the record's own: the vendor answered, and its answer was 429 or 5xx.
fn blameable(failure: &CallFailure) -> bool {
    match failure.kind {
        FailureKind::ServerError => true,
        // Without a status it is our own throttle.
        FailureKind::RateLimited => failure.status.is_some(),
        FailureKind::Unreachable
        | FailureKind::TimedOut
        | FailureKind::CredentialsRejected
        | FailureKind::Refused
        | FailureKind::PageExpired
        | FailureKind::Malformed
        | FailureKind::EgressRefused
        | FailureKind::BodyTooLarge => false,
    }
}

impl Judge<'_> {
    /// A failure by the record's own fault, after which no intent is left open.
    pub(super) fn fail(&self, claimed: &Claimed, cause: &str) -> Change {
        self.failed(claimed, &Fault::of(cause))
    }

    pub(super) fn refused(&self, claimed: &Claimed, fault: &RecordFault) -> Change {
        self.failed(claimed, &Fault::from(fault))
    }

    fn failed(&self, claimed: &Claimed, fault: &Fault) -> Change {
        let mut failures = self.counted(claimed, fault, 1);
        if self.exhausted(&failures) {
            return self.buried(claimed, failures);
        }
        let due = self.later(failures.attempts, None);
        failures.retry_at = Some(due);
        postponed(claimed, due, failures, IntentChange::Close)
    }

    pub(super) fn refused_in_doubt(&self, claimed: &Claimed, fault: &RecordFault) -> Change {
        let mut failures = self.counted(claimed, &Fault::from(fault), 1);
        failures.retry_at = Some(self.later(failures.attempts, None));
        postponed(claimed, self.now, failures, IntentChange::Refused)
    }

    /// A record fault found by a look-up: the intent stays open until the attempts are used up and a person decides.
    pub(super) fn unresolved(&self, claimed: &Claimed, cause: &str) -> Change {
        let mut failures = self.counted(claimed, &Fault::of(cause), 1);
        if self.exhausted(&failures) {
            return self.buried(claimed, failures);
        }
        let due = self.later(failures.attempts, None);
        failures.retry_at = Some(due);
        postponed(claimed, due, failures, IntentChange::Keep)
    }

    /// A failure of the system; `doubt` is set when the send may have been applied all the same.
    pub(super) fn setback(
        &self,
        claimed: &Claimed,
        open: &OpenIntent,
        failure: &CallFailure,
        doubt: Option<Timestamp>,
        weather: Weather,
    ) -> Change {
        let blamed = would_blame(claimed, failure, weather.before);
        let mut failures = self.counted(claimed, &Fault::from(failure), attempts(&claimed.failures, blamed));
        failures.unjudged = failures.unjudged.saturating_add(u32::from(!blamed));
        failures.tally = Some(weather.after);
        let in_doubt = doubt.or(open.intent.in_doubt_since);
        if in_doubt.is_none() && blamed && self.exhausted(&failures) {
            return self.buried(claimed, failures);
        }
        // While the circuit is open it decides when to send; a record then only has to be due.
        let waits = blamed || (blameable(failure) && !weather.open);
        failures.retry_at = waits.then(|| self.later(failures.attempts.max(1), failure.retry_after));
        let due = match in_doubt {
            Some(since) => self.due_in_doubt(open, since, &failures),
            None => failures.retry_at.unwrap_or(self.now),
        };
        let (by_system, intent) = (waits && !blamed, doubt.map_or(IntentChange::Keep, IntentChange::Doubt));
        Change::Postpone(Postponement { record: claimed.id, due, failures, by_system, intent })
    }

    fn due_in_doubt(&self, open: &OpenIntent, since: Timestamp, failures: &Failures) -> Timestamp {
        let mut open = open.clone();
        open.intent.in_doubt_since = Some(since);
        match self.step(&open, open.refused || self.exhausted(failures)) {
            Step::Send => failures.retry_at.unwrap_or(self.now),
            Step::LookUp(time) => time,
            Step::Hold => self.now,
        }
    }

    /// When to try again, after so many attempts.
    fn later(&self, attempts: u32, at_least: Option<Duration>) -> Timestamp {
        let wait = retry::jittered(retry::backoff(&self.terms.retry, attempts), self.chance);
        self.now.checked_add(wait.max(at_least.unwrap_or_default())).unwrap_or(Timestamp::MAX)
    }

    /// The failures with what was wrong this time, without counting it.
    pub(super) fn noted(&self, claimed: &Claimed, failure: &CallFailure) -> Failures {
        self.counted(claimed, &Fault::from(failure), 0)
    }

    fn counted(&self, claimed: &Claimed, fault: &Fault, attempts: u32) -> Failures {
        let failures = &claimed.failures;
        let mut request_ids: Vec<String> = failures.request_ids.iter().chain(&fault.request_id).cloned().collect();
        let surplus = request_ids.len().saturating_sub(Failures::MOST_REQUEST_IDS);
        request_ids.drain(..surplus);
        Failures {
            attempts: failures.attempts.saturating_add(attempts),
            first_failed_at: failures.first_failed_at.or(Some(self.now)),
            cause: fault.cause.clone(),
            status: fault.status,
            excerpt: fault.excerpt.clone(),
            request_ids,
            ..failures.clone()
        }
    }
}

/// By how many attempts a setback counts. One that came before could not be judged when it came; that this one counts shows what it was.
fn attempts(failures: &Failures, blamed: bool) -> u32 {
    match (blamed, failures.attempts, failures.unjudged) {
        (false, ..) => 0,
        (true, 0, 1) => 2,
        (true, ..) => 1,
    }
}

/// What was wrong, as it is kept with the record.
struct Fault {
    cause: String,
    status: Option<u16>,
    request_id: Option<String>,
    excerpt: Option<String>,
}

impl Fault {
    fn of(cause: &str) -> Self {
        Self { cause: cause.to_owned(), status: None, request_id: None, excerpt: None }
    }
}

impl From<&RecordFault> for Fault {
    fn from(fault: &RecordFault) -> Self {
        let excerpt = (!fault.excerpt.is_empty()).then(|| fault.excerpt.clone());
        Self { cause: fault.detail.clone(), status: fault.status, request_id: fault.request_id.clone(), excerpt }
    }
}

impl From<&CallFailure> for Fault {
    fn from(failure: &CallFailure) -> Self {
        Self {
            cause: failure.detail.clone(),
            status: failure.status,
            request_id: failure.request_id.clone(),
            excerpt: None,
        }
    }
}
