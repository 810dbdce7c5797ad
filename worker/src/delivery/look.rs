//! Looking at what the destination has: past the gate of an operation's look-ups, whether it is asked what became of a write or what stands
//! there before one.

use crosstie_engine::{
    body::Body,
    circuit::Admission,
    delivery::{Carried, Change, Facts, Found},
    plan::{LookUp, Operation},
};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    answers::{found, setback},
    passage::Passage,
};
use crate::{gates::again, lane::Lane, store::Claimed};

/// A look at one record.
pub struct Look<'a> {
    pub operation: &'a Operation,
    pub lookup: &'a LookUp,
    pub body: &'a Value,
    /// When the write was decided that it is about.
    pub decided: Timestamp,
    pub deletes: bool,
}

impl Look<'_> {
    /// What is found; or what becomes of the record meanwhile, because the destination does not say.
    pub async fn take(&self, lane: &Lane, facts: &Facts, passage: &mut Passage<'_>) -> Result<Found, Box<Change>> {
        let gate = &lane.gates.of(self.deletes).look_up;
        if let Some(until) = passage.held_back(gate) {
            return Err(Box::new(lane.judge().waits_for_circuit(facts, until)));
        }
        match lane.destination.look_up(self.operation, self.lookup, self.body, self.decided).await {
            Ok(looked_up) => {
                passage.well(gate).await;
                Ok(found(looked_up))
            }
            Err(failure) => {
                lane.metrics.call_failed(&lane.flow.name, failure.kind);
                passage.unwell(gate, &self.operation.name, &failure).await;
                let until = match gate.outlook(lane.now()) {
                    Admission::Wait(until) => until,
                    Admission::Pass | Admission::Probe => None,
                };
                let due = again(until, lane.now());
                Err(Box::new(lane.judge().not_looked_up(facts, setback(failure), due)))
            }
        }
    }
}

/// What of a mapped body is to be written; or what becomes of the record, because that cannot be told now.
pub async fn carried(lane: &Lane, claimed: &Claimed, body: Body) -> Result<Body, Box<Change>> {
    let (operation, facts) = (&lane.operation, &claimed.facts);
    let carried = match Carried::of(operation, lane.flow.writes_once, facts.ledger.as_ref()) {
        Carried::LookUpFirst => {
            let Some(lookup) = &operation.outcome.lookup else { return Ok(operation.ownership.rest(&body).into()) };
            let look = Look { operation, lookup, body: &body, decided: lane.now(), deletes: false };
            let found = Box::pin(look.take(lane, facts, &mut Passage::new(lane, None))).await?;
            lane.judge().found_first(operation, facts, &found)?
        }
        known => known,
    };
    Ok(match carried {
        Carried::Whole => body,
        Carried::Rest | Carried::LookUpFirst => operation.ownership.rest(&body).into(),
    })
}
