//! What is to be done about a claimed record that has no open intent: the mapping is asked, and the engine with what it said.

use std::sync::Arc;

use crosstie_engine::{
    body::Body,
    delivery::{Change, Mapped, Settled},
    plan::Operation,
};

use super::{
    look::carried,
    pair::{self, Held},
    want::{Stop, wanted},
};
use crate::{
    lane::Lane,
    store::{Claimed, NewIntent, ParentKey, StoreError, TwinChange},
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
    body: Body,
    body_hash: String,
    deletes: bool,
    twin: Option<TwinChange>,
}

/// Finds out what is to be done about a record. `probes` says that it is carried to find out whether the destination is well again.
/// `held` is there where the record has a pair.
pub async fn decided(
    lane: &Lane,
    claimed: &mut Claimed,
    held: Option<&mut Held>,
    probes: bool,
) -> Result<Decided, StoreError> {
    if let Some(paired) = &lane.paired {
        let Some(held) = held else { return Ok(Decided::Done(pair::busy(lane, claimed))) };
        // What pairs need would make room in every record's task.
        let decided = Box::pin(pair::decided(lane, paired, claimed, held, probes)).await;
        return match decided {
            Ok(decided) => {
                lane.facts.mappings.ended(None);
                Ok(decided)
            }
            Err(Stop::Failed(error)) => {
                lane.facts.mappings.ended(Some(error.to_string()));
                Ok(Decided::Done(lane.judge().faulty(&claimed.facts, error.to_string())))
            }
            Err(Stop::Done(change)) => Ok(Decided::Done(*change)),
            Err(Stop::Store(error)) => Err(error),
            Err(Stop::Await(parent, change)) => Ok(Decided::Await(parent, *change)),
        };
    }
    let wanted = match wanted(lane, claimed, probes).await {
        Ok(wanted) => Ok(wanted),
        Err(Stop::Failed(error)) => Err(error),
        Err(Stop::Done(change)) => return Ok(Decided::Done(*change)),
        Err(Stop::Store(error)) => return Err(error),
        Err(Stop::Await(parent, change)) => return Ok(Decided::Await(parent, *change)),
    };
    lane.facts.mappings.ended(wanted.as_ref().err().map(ToString::to_string));
    Ok(match lane.judge().mapped(&claimed.facts, wanted) {
        Mapped::Done(change) => Decided::Done(change),
        Mapped::Write(body, body_hash) => match carried(lane, claimed, body).await {
            Ok(body) => Decided::Write(Sending::of(&lane.operation, body, body_hash, claimed)),
            Err(change) => Decided::Done(*change),
        },
        Mapped::Delete(body, body_hash) => match &lane.delete_operation {
            Some(operation) => Decided::Delete(Sending::of(operation, body, body_hash, claimed).deleting()),
            // Nothing wants a delete of a flow without the means; a write must never stand in for one.
            None => Decided::Done(Change::Settle(Settled::LeftOut)),
        },
    })
}

impl Sending {
    /// A body of a record, with the hash of all that it is mapped to.
    pub fn of(operation: &Arc<Operation>, body: Body, body_hash: String, claimed: &Claimed) -> Self {
        Self { operation: Arc::clone(operation), body, body_hash, deletes: false, twin: claimed.twin.clone() }
    }

    /// The same, by which the record is deleted.
    #[must_use]
    pub fn deleting(self) -> Self {
        Self { deletes: true, ..self }
    }

    /// The intent to store before it is sent.
    pub fn intent(self, lane: &Lane, claimed: &Claimed) -> NewIntent {
        let Self { operation, body, body_hash, deletes, twin } = self;
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
            twin,
            now: lane.now(),
        }
    }
}
