//! The twin of a record, at the other end: read as it stands, and evaluated in the terms of the flow that carries it back.

use std::sync::Arc;

use crosstie_engine::{
    delivery::{Seen, is_deleted},
    json::{Json, put},
    pair::Image,
};
use serde_json::Value;

use super::{
    evaluate::{each, selects},
    look_ups::{Unanswered, fetch},
    want::{Seeker, Stop, done},
};
use crate::{
    intake::records::seen,
    lane::Lane,
    pairs::Paired,
    store::{Claimed, StoreError, TwinWord},
};

/// The flow that carries records back, as the one sees it that writes to them.
pub struct Other<'a> {
    lane: &'a Lane,
    back: Arc<Lane>,
    /// Pointer to where its records have what is written to them.
    pub place: &'a str,
}

impl<'a> Other<'a> {
    /// The other flow of a lane. Both end together.
    pub fn of(lane: &'a Lane, paired: &'a Paired) -> Result<Self, StoreError> {
        let (back, place) = paired.other().ok_or(StoreError::Closed)?;
        Ok(Self { lane, back, place })
    }

    /// A twin as it stands; none where its system says that it is deleted.
    pub async fn fetched(&self, claimed: &Claimed, key: &str) -> Result<Option<Value>, Stop> {
        let shown = self.shown(claimed, key).await?;
        let Some(shown) = shown else {
            let problem = format!(
                "its twin at Connector {} is not found there by its key: either it was deleted, or the `one` of the stream `{}` leads to another \
                 place",
                self.lane.destination_name, self.back.flow.stream.name
            );
            return Err(done(self.lane.judge().faulty(&claimed.facts, problem)));
        };
        Ok(Some(shown).filter(|shown| !self.is_deleted(shown)))
    }

    /// The same, where it may be gone.
    pub async fn fetched_or_none(&self, claimed: &Claimed, key: &str) -> Result<Option<Value>, Stop> {
        Ok(self.shown(claimed, key).await?.filter(|shown| !self.is_deleted(shown)))
    }

    fn is_deleted(&self, shown: &Value) -> bool {
        is_deleted(&self.back.flow, &Json::from(shown))
    }

    async fn shown(&self, claimed: &Claimed, key: &str) -> Result<Option<Value>, Stop> {
        fetch(&self.back, key).await.map_err(|unanswered| {
            done(match unanswered {
                Unanswered::Wait(until) => self.lane.judge().waits(&claimed.facts, until),
                Unanswered::Refused(problem) => self.lane.judge().faulty(&claimed.facts, problem),
            })
        })
    }

    /// A state of the twin in the terms of its own flow, as far as these can be told.
    pub async fn image(&self, claimed: &Claimed, state: &Value) -> Result<Image, Stop> {
        let evaluated = each(&self.back, &Json::from(state)).await;
        let values = Seeker { lane: self.lane, claimed }.known(evaluated)?;
        Ok(Image::each(&values).without(self.back.paired.as_ref().map_or(&[][..], |paired| &paired.named_by[..])))
    }

    /// A state of the twin, by its stream's order.
    pub fn seen(&self, claimed: &Claimed, state: &Value) -> Result<Seen, Stop> {
        let seen = seen(state, &self.back.flow.stream);
        seen.map_err(|problem| done(self.lane.judge().faulty(&claimed.facts, problem)))
    }

    /// Word of the twin of this key for its own flow.
    pub fn word(&self, key: &str) -> TwinWord {
        let mut record = Value::Null;
        put(&mut record, &self.back.flow.stream.key, Value::String(key.to_owned()));
        TwinWord { key: key.to_owned(), payload: record.to_string() }
    }

    /// Whether its own flow would carry what changed of the twin.
    pub async fn takes_part(&self, claimed: &Claimed, state: &Value) -> Result<bool, Stop> {
        Seeker { lane: self.lane, claimed }.known(selects(&self.back, &Json::from(state)).await)
    }
}
