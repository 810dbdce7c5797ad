//! What is done with a claimed record: which step comes next, and what an answer means for record, intent and ledger. Pure: the loop carries
//! it out, and tests drive it against a store without any vendor. What failures count is in `failing`.

mod failing;

#[cfg(test)]
mod tests;

use std::time::Duration;

use crosstie_connect::{CallFailure, LookedUp, Written};
use crosstie_engine::{
    canonical,
    delivery::{self, Standing, Step},
    mapping::EvaluationError,
    plan::{Identifier, OnUnknownOutcome, Outcome, RetryPolicy},
    retry,
};
use jiff::Timestamp;
use serde_json::Value;

use crate::store::{Burial, Claimed, Failures, IntentChange, OpenIntent, Postponement, Settled, Settlement};

pub use failing::{Weather, would_blame};

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
    /// Hash of the plan.
    pub plan_hash: String,
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
#[derive(Clone, Debug)]
pub enum Change {
    /// It is done.
    Settle(Settlement),
    /// It waits on.
    Postpone(Postponement),
    /// It goes to the dead letters.
    Bury(Burial),
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
    pub fn next(&self, claimed: &Claimed) -> Next {
        let failures = &claimed.failures;
        let Some(open) = &claimed.intent else {
            // What failed its last time and turned out not to be applied has no attempt left.
            return if self.exhausted(failures) { Next::GiveUp } else { self.after(failures.retry_at, Next::Evaluate) };
        };
        let spent = open.refused || self.exhausted(failures);
        match self.step(open, spent) {
            Step::Send if spent => Next::GiveUp,
            Step::Send => self.after(failures.retry_at, Next::Send),
            Step::LookUp(time) => self.after(Some(time), Next::LookUp),
            Step::Hold => Next::Hold,
        }
    }

    fn exhausted(&self, failures: &Failures) -> bool {
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
    fn step(&self, open: &OpenIntent, spent: bool) -> Step {
        let outcome = &open.operation.outcome;
        let without_key = Outcome { idempotency: None, lookup: outcome.lookup.clone() };
        let outcome = if spent { &without_key } else { outcome };
        delivery::step(&open.intent, outcome, self.terms.on_unknown, self.now, self.terms.longest_flight)
    }

    /// Compares a record with the ledger: something is done with it already, or nothing, when it is to be mapped.
    pub fn compared(&self, claimed: &Claimed) -> Option<Change> {
        match delivery::standing(&claimed.seen, claimed.ledger.as_ref()) {
            // A state of the same version was read later than what was settled, so it is what the source shows now.
            Standing::News | Standing::Ambiguous => None,
            Standing::Superseded => Some(self.settled(claimed, Settled::Superseded)),
            Standing::NotComparable => {
                let cause = "the record's version changed from a time to a counter or the reverse, so it cannot be told which state is \
                             newer: point the stream's `version` at one field that keeps its kind";
                Some(self.fail(claimed, cause))
            }
        }
    }

    /// Decides by a mapping's result; none is a record that `when` leaves out.
    pub fn mapped(&self, claimed: &Claimed, body: Result<Option<Value>, EvaluationError>) -> Mapped {
        match body {
            Ok(None) => Mapped::Done(self.settled(claimed, Settled::LeftOut)),
            Ok(Some(body)) => {
                let body_hash = canonical::hash(&body);
                if delivery::needs_write(&body_hash, claimed.ledger.as_ref()) {
                    Mapped::Write(body, body_hash)
                } else {
                    Mapped::Done(self.settled(claimed, Settled::Unchanged { body_hash }))
                }
            }
            Err(error) => Mapped::Done(self.fail(claimed, &mapping_cause(&error))),
        }
    }

    /// Decides by what a send came to. `weather` matters for the system's failures only.
    pub fn sent(&self, claimed: &Claimed, open: &OpenIntent, written: &Written, weather: Weather) -> Change {
        match written {
            Written::Applied { identifier, request_id: _ } => self.settled(
                claimed,
                Settled::Delivered { body_hash: open.body_hash.clone(), identifier: identifier.clone() },
            ),
            // The refusal says nothing of the send in doubt: the intent stays, to be looked up.
            Written::Refused { fault } if open.intent.in_doubt_since.is_some() => self.refused_in_doubt(claimed, fault),
            Written::Refused { fault } => self.refused(claimed, fault),
            Written::NotSent { failure } => self.setback(claimed, open, failure, None, weather),
            Written::Unknown { failure } => self.setback(claimed, open, failure, Some(self.now), weather),
        }
    }

    /// Decides by what a look-up found.
    pub fn looked_up(&self, claimed: &Claimed, open: &OpenIntent, found: &LookedUp) -> Resolved {
        match found {
            LookedUp::Present { body } if delivery::shows_applied(open.operation.method, &open.body, body) => {
                let how = Settled::Delivered { body_hash: open.body_hash.clone(), identifier: identifier(open, body) };
                Resolved::Done(self.settled(claimed, how))
            }
            LookedUp::Present { .. } | LookedUp::Absent => Resolved::NotApplied,
            LookedUp::Stranger { .. } => {
                let cause = "another record stands at the destination where this one was looked up, so nothing is written over it: check \
                             the look-up of the operation and the field that identifies the record";
                Resolved::Done(self.unresolved(claimed, cause))
            }
            LookedUp::Several => {
                let cause = "several records at the destination answer to this one's key, so it cannot be told which one it is: merge them \
                             there, or identify records by a field that is unique";
                Resolved::Done(self.unresolved(claimed, cause))
            }
        }
    }

    /// A look-up that failed: the intent waits for the system.
    pub fn not_looked_up(&self, claimed: &Claimed, failure: &CallFailure) -> Change {
        postponed(claimed, self.now, self.noted(claimed, failure), IntentChange::Keep)
    }

    /// The record waits, unchanged.
    #[expect(clippy::unused_self, reason = "one of the judge's answers, like the others")]
    pub fn waits(&self, claimed: &Claimed, until: Timestamp) -> Change {
        postponed(claimed, until, claimed.failures.clone(), IntentChange::Keep)
    }

    /// The record is held: nothing can tell.
    pub fn held(&self, claimed: &Claimed) -> Change {
        let due = self.now.checked_add(HELD_FOR).unwrap_or(Timestamp::MAX);
        postponed(claimed, due, claimed.failures.clone(), IntentChange::Hold)
    }

    /// Every attempt is used up.
    pub fn given_up(&self, claimed: &Claimed) -> Change {
        self.buried(claimed, claimed.failures.clone())
    }

    fn settled(&self, claimed: &Claimed, how: Settled) -> Change {
        let (key, seen) = (claimed.key.clone(), claimed.seen.clone());
        Change::Settle(Settlement { record: claimed.id, scope: claimed.scope, key, seen, how, now: self.now })
    }

    fn buried(&self, claimed: &Claimed, failures: Failures) -> Change {
        Change::Bury(Burial { record: claimed.id, failures, plan_hash: self.terms.plan_hash.clone(), now: self.now })
    }
}

fn postponed(claimed: &Claimed, due: Timestamp, failures: Failures, intent: IntentChange) -> Change {
    Change::Postpone(Postponement { record: claimed.id, due, failures, by_system: false, intent })
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
