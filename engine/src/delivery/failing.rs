//! What failures count, whom they are blamed on, and how long a record then waits.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    Change, Facts, Failures, Fault, IntentChange, Judge, OpenIntent, Postponement, Rule, Setback, Step, judge::unsent,
};
use crate::retry::{self, Tally};

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

/// Whether a setback is nothing to the system: it counts against the record, and the vendor asked nobody to wait. `overloaded` and `retry_after`
/// as in [`Setback`].
pub fn spares_system(failures: &Failures, overloaded: bool, retry_after: Option<Duration>, before: Tally) -> bool {
    let asked = retry_after.is_some_and(|wait| !wait.is_zero()) && Rule::WaitsAreKept.holds();
    would_blame(failures, overloaded, before) && !asked
}

/// Whether a send that came to a setback counts against the record.
pub(super) fn would_blame(failures: &Failures, overloaded: bool, before: Tally) -> bool {
    overloaded && Rule::PoisonCounts.holds() && (others_passed(failures, before) || !Rule::OthersMustPass.holds())
}

/// Whether other calls went well since the record's last attempt.
pub(super) fn others_passed(failures: &Failures, before: Tally) -> bool {
    failures.tally.is_some_and(|then| before.blames_record(&then))
}

impl Judge<'_> {
    /// A failure by the record's own fault, after which no intent is left open.
    pub(super) fn failed(&self, facts: &Facts, fault: Fault) -> Change {
        let mut failures = self.counted(facts, fault, 1);
        if self.exhausted(&failures) {
            return Change::Bury(failures);
        }
        let due = self.later(failures.attempts, None);
        failures.retry_at = Some(due);
        Change::Postpone(Postponement { due, failures, by_system: false, intent: IntentChange::Close })
    }

    /// What a source says of the record itself when it is asked for it: the record's own fault.
    pub fn faulty(&self, facts: &Facts, problem: String) -> Change {
        self.failed(facts, Fault::of(problem))
    }

    /// A refusal of an intent in doubt. It says nothing of the send in doubt: the intent stays, to be looked up.
    pub(super) fn refused_in_doubt(&self, facts: &Facts, fault: Fault) -> Change {
        let mut failures = self.counted(facts, fault, 1);
        failures.retry_at = Some(self.later(failures.attempts, None));
        Change::Postpone(Postponement { due: self.now, failures, by_system: false, intent: IntentChange::Refused })
    }

    /// A record fault found by a look-up: the intent stays open until the attempts are used up and a person decides.
    pub(super) fn unresolved(&self, facts: &Facts, cause: &str) -> Change {
        let mut failures = self.counted(facts, Fault::of(cause), 1);
        if self.exhausted(&failures) {
            return Change::Bury(failures);
        }
        let due = self.later(failures.attempts, None);
        failures.retry_at = Some(due);
        Change::Postpone(Postponement { due, failures, by_system: false, intent: IntentChange::Keep })
    }

    /// A failure of the system; `doubt` is set when the send may have been applied all the same.
    pub(super) fn set_back(
        &self,
        facts: &Facts,
        open: &OpenIntent,
        setback: Setback,
        doubt: Option<Timestamp>,
        weather: Weather,
    ) -> Change {
        let Setback { fault, retry_after, overloaded } = setback;
        let blamed = would_blame(&facts.failures, overloaded, weather.before);
        let mut failures = self.counted(facts, fault, attempts(&facts.failures, blamed));
        failures.unjudged = failures.unjudged.saturating_add(u32::from(!blamed));
        failures.tally = Some(weather.after);
        let in_doubt = doubt.or(open.intent.in_doubt_since);
        if in_doubt.is_none() && blamed && self.exhausted(&failures) {
            return Change::Bury(failures);
        }
        // While the circuit is open it decides when to send; a record then only has to be due. Where others pass it stays closed, and one that is
        // never answered would be sent again at once for ever.
        let unanswered = !overloaded && others_passed(&facts.failures, weather.before);
        let waits = blamed || (!weather.open && (overloaded || unanswered));
        let retry = if unanswered { self.unanswered(&failures) } else { failures.attempts.max(1) };
        failures.retry_at = waits.then(|| self.later(retry, retry_after));
        let due = match in_doubt {
            Some(since) => self.due_in_doubt(open, since, &failures),
            None => failures.retry_at.unwrap_or(self.now),
        };
        let (by_system, intent) = (waits && !blamed, doubt.map_or_else(|| unsent(Some(open)), IntentChange::Doubt));
        Change::Postpone(Postponement { due, failures, by_system, intent })
    }

    /// As which retry one waits that is never answered while others pass: nothing of it counts, so that it waits ever longer, up to as long as the
    /// policy's last retry does.
    fn unanswered(&self, failures: &Failures) -> u32 {
        failures.unjudged.saturating_sub(1).clamp(1, self.terms.retry.retries.max(1))
    }

    fn due_in_doubt(&self, open: &OpenIntent, since: Timestamp, failures: &Failures) -> Timestamp {
        let mut intent = open.intent.clone();
        intent.in_doubt_since = Some(since);
        match self.step_of(open, &intent, open.refused || self.exhausted(failures)) {
            Step::Send => failures.retry_at.unwrap_or(self.now),
            Step::LookUp(time) => time,
            Step::Hold => self.now,
        }
    }

    /// When to try again, after so many attempts.
    pub(super) fn later(&self, attempts: u32, at_least: Option<Duration>) -> Timestamp {
        let at_least = at_least.filter(|_| Rule::WaitsAreKept.holds());
        let wait = retry::jittered(retry::backoff(&self.terms.retry, attempts), self.chance);
        self.now.checked_add(wait.max(at_least.unwrap_or_default())).unwrap_or(Timestamp::MAX)
    }

    /// The failures with what was wrong this time, counted as so many attempts.
    pub(super) fn counted(&self, facts: &Facts, fault: Fault, attempts: u32) -> Failures {
        let failures = &facts.failures;
        let mut request_ids: Vec<String> = failures.request_ids.iter().cloned().chain(fault.request_id).collect();
        let surplus = request_ids.len().saturating_sub(Failures::MOST_REQUEST_IDS);
        request_ids.drain(..surplus);
        Failures {
            attempts: failures.attempts.saturating_add(attempts),
            unjudged: failures.unjudged,
            most_together: failures.most_together,
            tally: failures.tally,
            retry_at: failures.retry_at,
            first_failed_at: failures.first_failed_at.or(Some(self.now)),
            cause: fault.cause,
            status: fault.status,
            excerpt: fault.excerpt,
            request_ids,
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
