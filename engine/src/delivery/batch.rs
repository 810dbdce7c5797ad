//! Several records in one call: which of them may share one, what is done next with a batch that is open, and what an answer means for each of
//! its records. A batch of one is no batch: it is decided in `judge`.
//!
//! A batch is one intent and has one key, which tells only of all its records together: it is sent whole or not at all. Where the key cannot
//! tell, the batch is taken apart, and each record is in doubt by itself.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    Change, Facts, Failures, Fault, Intent, IntentChange, Judge, OpenIntent, Postponement, Rule, Setback, Settled,
    Step, Weather,
    failing::{others_passed, would_blame},
    judge::unsent,
    spares_system,
};
use crate::{plan::OnUnknownOutcome, retry::Tally};

/// What a send of a batch came to.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchSent {
    /// The vendor said of each record what came of it; as many rows as records, in their order.
    Answered(Vec<Row>),
    /// Refused as a whole: surely none was applied, and of a single record it says nothing.
    Refused(Fault),
    /// It never left, or was turned away before it was looked at: surely none was applied.
    NotSent(Setback),
    /// Each of them may or may not have been applied.
    Unknown(Setback),
}

/// What a batch came to for one record.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// The vendor applied it.
    Applied {
        /// The record's identifier over there, if it said.
        identifier: Option<String>,
    },
    /// Refused for the record's own fault: surely not applied.
    Refused(Fault),
}

/// The next step with an open batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextBatch {
    /// Send all of it with its key.
    Send,
    /// Nothing before this time.
    Wait(Timestamp),
    /// Its key can tell nothing, so that each record has to be resolved by itself.
    TakeApart,
}

/// With how many records, of so many that a call takes, a record may share a call, itself counted. Those of a batch that failed as a whole may
/// share one with ever fewer, down to none.
pub fn shares_with(failures: &Failures, batch_size: u32) -> u32 {
    failures.most_together.map_or(batch_size, |most| most.min(batch_size)).max(1)
}

/// How many records a call takes at most. One that finds out whether the system is well again carries one alone, so that fewer are in doubt when
/// it is not.
pub fn call_size(batch_size: u32, probes: bool) -> u32 {
    if probes { 1 } else { batch_size }
}

/// How many records, from the first on, go into one call.
pub fn together<'a>(waiting: impl Iterator<Item = &'a Failures>, batch_size: u32) -> usize {
    let (mut together, mut most) = (0, batch_size.max(1));
    for (before, failures) in (0..).zip(waiting) {
        most = most.min(shares_with(failures, batch_size));
        if before >= most {
            break;
        }
        together += 1;
    }
    together
}

/// Whether a setback is nothing to the system: it counts against the batch. See [`spares_system`].
pub fn batch_spares_system<'a>(
    mut failures: impl Iterator<Item = &'a Failures>,
    (overloaded, retry_after): (bool, Option<Duration>),
    before: Tally,
) -> bool {
    failures.any(|failures| spares_system(failures, overloaded, retry_after, before))
}

impl Judge<'_> {
    /// Decides the next step with an open batch, by all its records.
    pub fn next_batch<'f>(&self, open: &OpenIntent, records: impl Iterator<Item = &'f Facts>) -> NextBatch {
        match self.step(&open.intent, &open.operation.outcome, open.refused) {
            Step::Send => match records.filter_map(|facts| facts.failures.retry_at).max() {
                Some(time) if self.now < time => NextBatch::Wait(time),
                Some(_) | None => NextBatch::Send,
            },
            Step::LookUp(_) | Step::Hold => NextBatch::TakeApart,
        }
    }

    /// The records of a batch are in doubt by themselves from now on.
    pub fn taken_apart(&self, facts: &Facts, open: &OpenIntent) -> Change {
        let since = open.intent.in_doubt_since.unwrap_or(self.now);
        self.apart(open, since, facts.failures.clone())
    }

    /// What the answer to a batch means for each of its records, in their order. `weather` matters for the system's failures only.
    pub fn batch_sent(&self, records: &[(&Facts, &OpenIntent)], sent: BatchSent, weather: Weather) -> Vec<Change> {
        match sent {
            BatchSent::Answered(rows) => {
                let both = records.iter().zip(rows);
                both.map(|((facts, open), row)| self.row(facts, open, row)).collect()
            }
            BatchSent::Refused(fault) => {
                let most = half(records.len());
                records.iter().map(|(facts, open)| self.refused_whole(facts, open, fault.clone(), most)).collect()
            }
            BatchSent::NotSent(setback) => self.batch_set_back(records, &setback, None, weather),
            BatchSent::Unknown(setback) => self.batch_set_back(records, &setback, Some(self.now), weather),
        }
    }

    fn row(&self, facts: &Facts, open: &OpenIntent, row: Row) -> Change {
        match (row, doubt_of(open)) {
            (Row::Applied { identifier }, _) => {
                Change::Settle(Settled::Delivered { body_hash: open.body_hash.clone(), identifier })
            }
            (Row::Refused(fault), Some(since)) => {
                let mut failures = self.counted(facts, fault, 1);
                failures.retry_at = Some(self.later(failures.attempts, None));
                self.apart(open, since, failures)
            }
            (Row::Refused(fault), None) => self.failed(facts, fault),
        }
    }

    /// Nobody knows whose fault it is, so that it counts against none; the next ones are smaller, until one is refused alone.
    fn refused_whole(&self, facts: &Facts, open: &OpenIntent, fault: Fault, most: u32) -> Change {
        if !Rule::OnlyAloneCounts.holds() {
            return self.failed(facts, fault);
        }
        let mut failures = self.counted(facts, fault, 0);
        if Rule::RefusedWholeIsSplit.holds() {
            made_smaller(&mut failures, most);
        }
        match doubt_of(open) {
            Some(since) => self.apart(open, since, failures),
            None => {
                let (due, intent) = (self.now, IntentChange::Close);
                Change::Postpone(Postponement { due, failures, by_system: false, intent })
            }
        }
    }

    fn batch_set_back(
        &self,
        records: &[(&Facts, &OpenIntent)],
        setback: &Setback,
        doubt: Option<Timestamp>,
        weather: Weather,
    ) -> Vec<Change> {
        let blamed = records.iter().any(|(facts, _)| would_blame(&facts.failures, setback.overloaded, weather.before));
        let passed = records.iter().any(|(facts, _)| others_passed(&facts.failures, weather.before));
        // Whoever is to blame: where all that there is to send shares its call, nothing else can pass.
        let worn = records.iter().any(|(facts, _)| facts.failures.unjudged >= self.terms.retry.retries);
        let splits = worn && Rule::WornIsSplit.holds();
        let most = half(records.len());
        let each = records.iter().map(|(facts, open)| {
            let mut failures = self.counted(facts, setback.fault.clone(), 0);
            failures.unjudged = failures.unjudged.saturating_add(1);
            failures.tally = Some(weather.after);
            // While the circuit is open it decides when to send; a batch then only has to be due.
            let waits = blamed || (!weather.open && (setback.overloaded || passed));
            failures.retry_at = waits.then(|| self.later(failures.unjudged, setback.retry_after));
            let due = failures.retry_at.unwrap_or(self.now);
            let by_system = waits && !blamed;
            match doubt.or(open.intent.in_doubt_since) {
                Some(since) if splits && self.can_be_taken_apart(open) => {
                    made_smaller(&mut failures, most);
                    self.apart(open, since, failures)
                }
                Some(_) | None => {
                    let intent = doubt.map_or_else(|| unsent(Some(open)), IntentChange::Doubt);
                    Change::Postpone(Postponement { due, failures, by_system, intent })
                }
            }
        });
        each.collect()
    }

    /// Whether the records of a batch in doubt can do by themselves: something else than the batch's key can tell, or nothing needs to.
    fn can_be_taken_apart(&self, open: &OpenIntent) -> bool {
        let resends = match self.terms.on_unknown {
            OnUnknownOutcome::Resend => true,
            OnUnknownOutcome::Hold => false,
        };
        open.operation.outcome.lookup.is_some() || resends
    }

    /// A record of a batch in doubt since that time is in doubt by itself.
    fn apart(&self, open: &OpenIntent, since: Timestamp, failures: Failures) -> Change {
        let intent = Intent { in_doubt_since: Some(since), ..open.intent.clone() };
        let due = match self.step(&intent, &open.operation.outcome, Rule::KeyApartTellsNothing.holds()) {
            Step::Send => failures.retry_at.unwrap_or(self.now),
            Step::LookUp(time) => time,
            Step::Hold => self.now,
        };
        Change::Postpone(Postponement { due, failures, by_system: false, intent: IntentChange::Apart(since) })
    }
}

/// A refusal says nothing of an earlier send in doubt.
fn doubt_of(open: &OpenIntent) -> Option<Timestamp> {
    open.intent.in_doubt_since.filter(|_| Rule::RefusalLeavesDoubt.holds())
}

/// What the batches were that a record failed with says nothing of smaller ones.
fn made_smaller(failures: &mut Failures, most: u32) {
    (failures.most_together, failures.unjudged) = (Some(most), 0);
}

fn half(records: usize) -> u32 {
    u32::try_from(records / 2).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests;
