//! What is to be done about a claimed record that has no open intent: the mapping is asked, and the engine with what it said.

use std::sync::Arc;

use crosstie_engine::{
    delivery::{Change, Mapped, Settled},
    plan::Operation,
};
use serde_json::Value;

use super::{
    look::carried,
    want::{Stop, wanted},
};
use crate::{
    lane::Lane,
    store::{Claimed, NewIntent, ParentKey, StoreError},
};

/// What is to be done about a record.
pub enum Decided {
    /// This becomes of it.
    Done(Change),
    /// This becomes of it, because another flow's record is not at the destination.
    Await(ParentKey, Change),
    /// It is to be written.
    Write(Sending),
    /// It is to be deleted.
    Delete(Sending),
}

/// What is to be sent of a record.
pub struct Sending {
    operation: Arc<Operation>,
    body: Value,
    body_hash: String,
    deletes: bool,
}

/// Finds out what is to be done about a record. `probes` says that it is carried to find out whether the destination is well again.
pub async fn decided(lane: &Lane, claimed: &mut Claimed, probes: bool) -> Result<Decided, StoreError> {
    let wanted = match wanted(lane, claimed, probes).await {
        Ok(wanted) => Ok(wanted),
        Err(Stop::Failed(error)) => Err(error),
        Err(Stop::Done(change)) => return Ok(Decided::Done(*change)),
        Err(Stop::Store(error)) => return Err(error),
        Err(Stop::Await(parent, change)) => return Ok(Decided::Await(parent, *change)),
    };
    lane.facts.mapped(wanted.as_ref().err().map(ToString::to_string));
    Ok(match lane.judge().mapped(&claimed.facts, wanted) {
        Mapped::Done(change) => Decided::Done(change),
        Mapped::Write(body, body_hash) => match carried(lane, claimed, body).await {
            Ok(body) => {
                Decided::Write(Sending { operation: Arc::clone(&lane.operation), body, body_hash, deletes: false })
            }
            Err(change) => Decided::Done(*change),
        },
        Mapped::Delete(body, body_hash) => match &lane.delete_operation {
            Some(operation) => {
                Decided::Delete(Sending { operation: Arc::clone(operation), body, body_hash, deletes: true })
            }
            // Nothing wants a delete of a flow without the means; a write must never stand in for one.
            None => Decided::Done(Change::Settle(Settled::LeftOut)),
        },
    })
}

impl Sending {
    /// The intent to store before it is sent.
    pub fn intent(self, lane: &Lane, claimed: &Claimed) -> NewIntent {
        let Self { operation, body, body_hash, deletes } = self;
        NewIntent {
            record: claimed.id,
            shown: claimed.shown.clone(),
            scope: claimed.scope,
            flow: lane.flow.name.clone(),
            key: claimed.key.clone(),
            operation,
            body,
            body_hash,
            seen: claimed.facts.seen.clone(),
            deletes,
            now: lane.now(),
        }
    }
}
