//! What is done with a claimed record: which step comes next, and what an answer means for record, intent and ledger. What failures count is in
//! `failing`.

#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{Facts, Failures, Fault, Found, Intent, OpenIntent, Sent, Setback, Standing, Step, Weather};
use crate::{
    canonical,
    mapping::EvaluationError,
    plan::{Identifier, OnUnknownOutcome, Outcome, RetryPolicy},
    retry,
};

/// How long a held record is left alone before it is asked again whether something can tell by now.
const HELD_FOR: Duration = Duration::from_mins(1);

/// What a flow's plan says about failures.
#[derive(Clone, Debug)]
pub struct Terms {
    /// When a failing record is tried again, and how often.
    pub retry: RetryPolicy,
    /// What to do when nothing can tell whether a write was applied.
    pub on_unknown: OnUnknownOutcome,
    /// The longest a call can be under way.
    pub longest_flight: Duration,
}

/// Decides under a plan's terms, at a moment, with a bit of chance.
#[derive(Clone, Copy, Debug)]
pub struct Judge<'a> {
    /// The plan's terms.
    pub terms: &'a Terms,
    /// The present.
    pub now: Timestamp,
    /// In 0..1; spreads retries.
    pub chance: f64,
}

/// The next step with a claimed record.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Compare it with the ledger and map it.
    Evaluate,
    /// Send the open intent's body with its key.
    Send,
    /// Look the open intent up.
    LookUp,
    /// Nothing before this time.
    Wait(Timestamp),
    /// Nothing can tell whether the open intent was applied.
    Hold,
    /// Every attempt is used up.
    GiveUp,
}

/// What becomes of a claimed record.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is done.
    Settle(Settled),
    /// It waits on.
    Postpone(Postponement),
    /// It goes to the dead letters, with how it failed. An open intent is closed.
    Bury(Failures),
}

/// How a record was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It was written.
    Delivered {
        /// Hash of the whole mapped body.
        body_hash: String,
        /// The identifier the destination gave it, if it said.
        identifier: Option<String>,
    },
    /// The destination has it already.
    Unchanged {
        /// Hash of the whole mapped body.
        body_hash: String,
    },
    /// `when` leaves it out.
    LeftOut,
    /// A newer state was settled before; the ledger stays.
    Superseded,
}

/// How a claimed record waits on.
#[derive(Clone, Debug, PartialEq)]
pub struct Postponement {
    /// When it may be handed out again.
    pub due: Timestamp,
    /// How it failed so far.
    pub failures: Failures,
    /// Whether it waits only because the system failed it: the system's circuit then decides when it is due.
    pub by_system: bool,
    /// What happens to its intent.
    pub intent: IntentChange,
}

/// What happens to a record's open intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntentChange {
    /// It stays as it is, or there is none.
    Keep,
    /// Every send was refused or never left.
    Close,
    /// A send's outcome became unknown at this time.
    Doubt(Timestamp),
    /// It was in doubt, and a further send was refused.
    Refused,
    /// Nothing can tell; it is held and counted as such.
    Hold,
}

/// What mapping came to.
#[derive(Debug)]
pub enum Mapped {
    /// This body is to be written; its hash.
    Write(Value, String),
    /// The record is done with, or failed.
    Done(Change),
}

/// What a look-up means.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and never kept")]
pub enum Resolved {
    /// The intent was not applied: close it and decide anew.
    NotApplied,
    /// This becomes of the record.
    Done(Change),
}

impl Judge<'_> {
    /// Decides the next step with a claimed record.
    pub fn next(&self, facts: &Facts) -> Next {
        let failures = &facts.failures;
        let Some(open) = &facts.intent else {
            // What failed its last time and turned out not to be applied has no attempt left.
            return if self.exhausted(failures) { Next::GiveUp } else { self.after(failures.retry_at, Next::Evaluate) };
        };
        let spent = open.refused || self.exhausted(failures);
        match self.step(&open.intent, &open.operation.outcome, spent) {
            Step::Send if spent => Next::GiveUp,
            Step::Send => self.after(failures.retry_at, Next::Send),
            Step::LookUp(time) => self.after(Some(time), Next::LookUp),
            Step::Hold => Next::Hold,
        }
    }

    pub(super) fn exhausted(&self, failures: &Failures) -> bool {
        retry::exhausted(&self.terms.retry, failures.attempts)
    }

    fn after(&self, time: Option<Timestamp>, next: Next) -> Next {
        match time {
            Some(time) if self.now < time => Next::Wait(time),
            Some(_) | None => next,
        }
    }

    /// The protocol's step. An intent in doubt whose resend was refused, or whose attempts are used up, is not sent again: only a look-up can
    /// tell.
    pub(super) fn step(&self, intent: &Intent, outcome: &Outcome, spent: bool) -> Step {
        let without_key;
        let outcome = if spent {
            without_key = Outcome { idempotency: None, lookup: outcome.lookup.clone() };
            &without_key
        } else {
            outcome
        };
        super::step(intent, outcome, self.terms.on_unknown, self.now, self.terms.longest_flight)
    }

    /// Compares a record with the ledger: something is done with it already, or nothing, when it is to be mapped.
    pub fn compared(&self, facts: &Facts) -> Option<Change> {
        match super::standing(&facts.seen, facts.ledger.as_ref()) {
            // A state of the same version was read later than what was settled, so it is what the source shows now.
            Standing::News | Standing::Ambiguous => None,
            Standing::Superseded => Some(Change::Settle(Settled::Superseded)),
            Standing::NotComparable => {
                let cause = "the record's version changed from a time to a counter or the reverse, so it cannot be told which state is \
                             newer: point the stream's `version` at one field that keeps its kind";
                Some(self.failed(facts, Fault::of(cause)))
            }
        }
    }

    /// Decides by a mapping's result; none is a record that `when` leaves out.
    pub fn mapped(&self, facts: &Facts, body: Result<Option<Value>, EvaluationError>) -> Mapped {
        match body {
            Ok(None) => Mapped::Done(Change::Settle(Settled::LeftOut)),
            Ok(Some(body)) => {
                let body_hash = canonical::hash(&body);
                if super::needs_write(&body_hash, facts.ledger.as_ref()) {
                    Mapped::Write(body, body_hash)
                } else {
                    Mapped::Done(Change::Settle(Settled::Unchanged { body_hash }))
                }
            }
            Err(error) => Mapped::Done(self.failed(facts, Fault::of(mapping_cause(&error)))),
        }
    }

    /// Decides by what a send came to. `weather` matters for the system's failures only.
    pub fn sent(&self, facts: &Facts, open: &OpenIntent, sent: Sent, weather: Weather) -> Change {
        match sent {
            Sent::Applied { identifier } => {
                Change::Settle(Settled::Delivered { body_hash: open.body_hash.clone(), identifier })
            }
            Sent::Refused(fault) if open.intent.in_doubt_since.is_some() => self.refused_in_doubt(facts, fault),
            Sent::Refused(fault) => self.failed(facts, fault),
            Sent::NotSent(setback) => self.set_back(facts, open, setback, None, weather),
            Sent::Unknown(setback) => self.set_back(facts, open, setback, Some(self.now), weather),
        }
    }

    /// Decides by what a look-up found.
    pub fn looked_up(&self, facts: &Facts, open: &OpenIntent, found: &Found) -> Resolved {
        match found {
            Found::Present(body) if super::shows_applied(open.operation.method, &open.body, body) => {
                let how = Settled::Delivered { body_hash: open.body_hash.clone(), identifier: identifier(open, body) };
                Resolved::Done(Change::Settle(how))
            }
            Found::Present(_) | Found::Absent => Resolved::NotApplied,
            Found::Stranger => {
                let cause = "another record stands at the destination where this one was looked up, so nothing is written over it: check \
                             the look-up of the operation and the field that identifies the record";
                Resolved::Done(self.unresolved(facts, cause))
            }
            Found::Several => {
                let cause = "several records at the destination answer to this one's key, so it cannot be told which one it is: merge them \
                             there, or identify records by a field that is unique";
                Resolved::Done(self.unresolved(facts, cause))
            }
        }
    }

    /// A look-up that failed: the intent waits for the system.
    pub fn not_looked_up(&self, facts: &Facts, setback: Setback) -> Change {
        self.waiting(self.now, self.counted(facts, setback.fault, 0), IntentChange::Keep)
    }

    /// The record waits, unchanged.
    pub fn waits(&self, facts: &Facts, until: Timestamp) -> Change {
        self.waiting(until, facts.failures.clone(), IntentChange::Keep)
    }

    /// The record is held: nothing can tell.
    pub fn held(&self, facts: &Facts) -> Change {
        let due = self.now.checked_add(HELD_FOR).unwrap_or(Timestamp::MAX);
        self.waiting(due, facts.failures.clone(), IntentChange::Hold)
    }

    #[expect(clippy::unused_self, reason = "one of the judge's answers, like the others")]
    fn waiting(&self, due: Timestamp, failures: Failures, intent: IntentChange) -> Change {
        Change::Postpone(Postponement { due, failures, by_system: false, intent })
    }

    /// Every attempt is used up.
    #[expect(clippy::unused_self, reason = "one of the judge's answers, like the others")]
    pub fn given_up(&self, facts: &Facts) -> Change {
        Change::Bury(facts.failures.clone())
    }
}

fn mapping_cause(error: &EvaluationError) -> String {
    match error {
        EvaluationError::Failed { .. } => error.to_string(),
        EvaluationError::NeedsLookups { wanted } => {
            let stream = wanted.first().map_or("", |lookup| lookup.stream.as_str());
            format!(
                "the mapping looks records of `{stream}` up, which this version cannot read one by one: refer with `xref` to what another \
                 flow wrote, or leave the field out"
            )
        }
    }
}

fn identifier(open: &OpenIntent, found: &Value) -> Option<String> {
    match open.operation.identifier.as_ref()? {
        Identifier::Pointer(pointer) => match found.pointer(pointer)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        },
        // A look-up's response has no such header; what an earlier write gave is kept.
        Identifier::Header(_) => None,
    }
}
