//! What is done with a claimed record: which step comes next, and what an answer means for record, intent and ledger. What failures count is in
//! `failing`.

#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{Facts, Failures, Fault, Found, Intent, OpenIntent, Rule, Sent, Setback, Step, Weather};
use crate::{
    body::Body,
    mapping::EvaluationError,
    plan::{Method, OnUnknownOutcome, Outcome, RetryPolicy},
    retry,
};

/// How far behind others a record comes, at most, that failed more often than they, in milliseconds.
const MOST_BEHIND: u32 = 10_000;
/// How long a held record is left alone before it is asked again whether something can tell by now.
const HELD_FOR: Duration = Duration::from_mins(1);

/// What is wrong where a look-up finds another record.
pub(super) const STRANGER: &str = "another record stands at the destination where this one was looked up, so nothing is written over it: \
                                   check the look-up of the operation and the field that identifies the record";
/// What is wrong where it finds more than one.
pub(super) const SEVERAL: &str = "several records at the destination answer to this one's key, so it cannot be told which one it is: merge \
                                  them there, or identify records by a field that is unique";

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
    /// It waits for another flow's record, at most until this time; that is no attempt.
    AwaitParent(Timestamp),
    /// It goes to the dead letters, with how it failed. An open intent is closed.
    Bury(Failures),
}

/// What is wanted of a record at the destination, with the mapped body.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// That it be there like this.
    Write(Value),
    /// That it be there like this, if it is there at all.
    Update(Value),
    /// Nothing.
    Leave,
    /// That it be gone, if it is there. The body names it; empty where it is named otherwise.
    Delete(Value),
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
    /// The destination does not have it, and only what it has is written: nothing is known to be there any more, and the next state is tried.
    Missing,
    /// The destination no longer has it, or never had: a tombstone stays, so that an older state does not bring it back.
    Deleted,
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
    /// It was part of a batch in doubt since this time, and is an intent of its own from now on.
    Apart(Timestamp),
}

/// What mapping came to.
#[derive(Debug)]
pub enum Mapped {
    /// This body is to be written; its hash.
    Write(Body, String),
    /// The record is to be deleted; what names it, and its hash.
    Delete(Body, String),
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
        let Some(open) = facts.intent.as_ref().filter(|_| Rule::OpenIntentFirst.holds()) else {
            // What failed its last time and turned out not to be applied has no attempt left.
            return if self.exhausted(failures) { Next::GiveUp } else { self.after(failures.retry_at, Next::Evaluate) };
        };
        let spent = open.refused || self.exhausted(failures);
        match self.step_of(open, &open.intent, spent) {
            Step::Send if spent => Next::GiveUp,
            Step::Send => self.after(failures.retry_at, Next::Send),
            Step::LookUp(time) => self.after(Some(time), Next::LookUp),
            // A DELETE can be repeated (RFC 9110, 9.2.2), once none that was sent before can still arrive.
            Step::Hold if open.deletes && open.operation.method == Method::Delete && !spent => {
                let arrived =
                    open.intent.in_doubt_since.and_then(|since| since.checked_add(self.terms.longest_flight).ok());
                self.after(arrived.max(failures.retry_at), Next::Send)
            }
            Step::Hold => Next::Hold,
        }
    }

    pub(super) fn exhausted(&self, failures: &Failures) -> bool {
        retry::exhausted(&self.terms.retry, failures.attempts) && Rule::RetriesEnd.holds()
    }

    fn after(&self, time: Option<Timestamp>, next: Next) -> Next {
        match time {
            Some(time) if self.now < time => Next::Wait(time),
            Some(_) | None => next,
        }
    }

    /// The step of a record by itself. What was part of a batch has a key that says nothing of it.
    pub(super) fn step_of(&self, open: &OpenIntent, intent: &Intent, spent: bool) -> Step {
        let without_key = spent || (open.apart && Rule::KeyApartTellsNothing.holds());
        self.step(intent, &open.operation.outcome, without_key)
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

    /// Decides by what is wanted of a record.
    pub fn mapped(&self, facts: &Facts, wanted: Result<Wanted, EvaluationError>) -> Mapped {
        let there = facts.ledger.as_ref().is_some_and(|ledger| ledger.present);
        match wanted {
            Ok(Wanted::Leave) => Mapped::Done(Change::Settle(Settled::LeftOut)),
            Ok(Wanted::Update(_)) if !there && Rule::OnlyWhatIsThereIsUpdated.holds() => {
                Mapped::Done(Change::Settle(Settled::LeftOut))
            }
            Ok(Wanted::Delete(_)) if !there && Rule::OnlyWhatIsThereIsDeleted.holds() => {
                Mapped::Done(Change::Settle(Settled::Deleted))
            }
            Ok(Wanted::Delete(body)) => {
                let body = Body::from(body);
                let hash = body.hash();
                Mapped::Delete(body, hash)
            }
            Ok(Wanted::Write(body) | Wanted::Update(body)) => {
                let body = Body::from(body);
                let body_hash = body.hash();
                if super::needs_write(&body_hash, facts.ledger.as_ref()) {
                    Mapped::Write(body, body_hash)
                } else {
                    Mapped::Done(Change::Settle(Settled::Unchanged { body_hash }))
                }
            }
            Err(error) => Mapped::Done(self.failed(facts, Fault::of(error.to_string()))),
        }
    }

    /// Decides by what a send came to. `weather` matters for the system's failures only.
    pub fn sent(&self, facts: &Facts, open: &OpenIntent, sent: Sent, weather: Weather) -> Change {
        match sent {
            Sent::Applied { identifier: _ } if open.deletes => Change::Settle(Settled::Deleted),
            Sent::Applied { identifier } => {
                Change::Settle(Settled::Delivered { body_hash: open.body_hash.clone(), identifier })
            }
            Sent::Ignored(_) if open.intent.in_doubt_since.is_none() => Change::Settle(Settled::LeftOut),
            Sent::Refused(fault) | Sent::Ignored(fault)
                if open.intent.in_doubt_since.is_some() && Rule::RefusalLeavesDoubt.holds() =>
            {
                self.refused_in_doubt(facts, fault)
            }
            Sent::Refused(fault) | Sent::Ignored(fault) => self.failed(facts, fault),
            Sent::Missing => self.missing(facts, open),
            Sent::NotSent(setback) => self.set_back(facts, open, setback, None, weather),
            Sent::Unknown(setback) => {
                let earlier = open.intent.in_doubt_since.filter(|_| !Rule::DoubtIsRenewed.holds());
                self.set_back(facts, open, setback, Some(earlier.unwrap_or(self.now)), weather)
            }
        }
    }

    /// The destination does not have the record. Where an earlier send is in doubt, a look-up tells once it has settled; without one nothing can
    /// have made the record.
    fn missing(&self, facts: &Facts, open: &OpenIntent) -> Change {
        if open.intent.in_doubt_since.is_some() && open.operation.outcome.lookup.is_some() {
            return self.waiting(self.now, facts.failures.clone(), IntentChange::Refused);
        }
        Change::Settle(Settled::Missing)
    }

    /// Decides by what a look-up found.
    pub fn looked_up(&self, facts: &Facts, open: &OpenIntent, found: &Found) -> Resolved {
        match found {
            Found::Absent if open.deletes => Resolved::Done(Change::Settle(Settled::Deleted)),
            Found::Present(_) if open.deletes => Resolved::NotApplied,
            Found::Present(body) if open.is_shown_by(body) => {
                let how =
                    Settled::Delivered { body_hash: open.body_hash.clone(), identifier: open.identifier_in(body) };
                Resolved::Done(Change::Settle(how))
            }
            Found::Present(_) | Found::Absent => Resolved::NotApplied,
            Found::Stranger | Found::Several if !Rule::StrangersAreFaults.holds() => Resolved::NotApplied,
            Found::Stranger => Resolved::Done(self.unresolved(facts, STRANGER)),
            Found::Several => Resolved::Done(self.unresolved(facts, SEVERAL)),
        }
    }

    /// A look-up that failed: the intent waits for the system, until a time.
    pub fn not_looked_up(&self, facts: &Facts, setback: Setback, until: Timestamp) -> Change {
        self.waiting(until, self.counted(facts, setback.fault, 0), IntentChange::Keep)
    }

    /// The record waits, unchanged, for the circuit of what has to be called for it: until a time, or until the circuit closes. What failed more
    /// often comes a little later than what waits for the same time, so that each probe is another key's.
    pub fn waits_for_circuit(&self, facts: &Facts, until: Timestamp) -> Change {
        let failures = facts.failures.clone();
        let behind = if Rule::ProbesChangeKeys.holds() { failures.unjudged.min(MOST_BEHIND) } else { 0 };
        let due = until.checked_add(Duration::from_millis(behind.into())).unwrap_or(Timestamp::MAX);
        Change::Postpone(Postponement { due, failures, by_system: true, intent: unsent(facts.intent.as_ref()) })
    }

    /// The record waits, unchanged.
    pub fn waits(&self, facts: &Facts, until: Timestamp) -> Change {
        self.waiting(until, facts.failures.clone(), IntentChange::Keep)
    }

    /// The record waits until a time, which counts as no attempt, and it is said why.
    pub fn waits_because(&self, facts: &Facts, until: Timestamp, why: &str) -> Change {
        self.waiting(until, self.counted(facts, Fault::of(why), 0), IntentChange::Keep)
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
    pub fn given_up(&self, facts: &Facts) -> Change {
        Change::Bury(facts.failures.clone())
    }
}

/// What becomes of an intent of which surely nothing was sent while it waits for the system: one that rests on a look is decided anew, because the
/// record may go meanwhile.
pub(super) fn unsent(open: Option<&OpenIntent>) -> IntentChange {
    let anew = open.is_some_and(|open| open.operation.is_looked_up_first() && open.intent.in_doubt_since.is_none());
    if anew { IntentChange::Close } else { IntentChange::Keep }
}
