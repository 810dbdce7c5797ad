//! Finding out what is wanted of a claimed record at the destination: its present state, whether it takes part, what it depends on, its body.
//! What follows from each answer is decided in the engine.

use std::sync::Arc;

use crosstie_engine::{
    circuit::Admission,
    delivery::{
        Change, Compared, Fetched, Fetching, LedgerEntry, Wanted, Wish, gone, is_deleted, is_unlisted, is_untimed,
    },
    json::Json,
    mapping::EvaluationError,
    version::Version,
};
use serde_json::Value;

use super::{
    evaluate::{Evaluated, body, parent, remains, selects},
    look_ups::{Unanswered, fetch},
};
use crate::{
    gates::again,
    intake::records::seen,
    lane::Lane,
    store::{Claimed, ParentKey, Shown, StoreError},
};

/// Why it is not found out now.
pub enum Stop {
    /// The store failed.
    Store(StoreError),
    /// An expression failed on the record.
    Failed(EvaluationError),
    /// This becomes of the record.
    Done(Box<Change>),
    /// This becomes of the record, because another flow's is not at the destination.
    Await(ParentKey, Box<Change>),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Finds out what is wanted of a record. Where its source had to be asked, the claimed record's state is then the one that the source showed.
/// `probes` says that it is carried to find out whether the destination is well again.
pub async fn wanted(lane: &Lane, claimed: &mut Claimed, probes: bool) -> Result<Wanted, Stop> {
    // No more of it than is read here is parsed: `part` has to name whatever is asked of the record below.
    let payload = Arc::clone(&claimed.payload);
    let shown = match present(lane, claimed, probes).await? {
        Present::Gone(word) => return unlisted(lane, claimed, &word).await,
        Present::Shown(shown) => Some(shown),
        Present::AsRead => None,
    };
    let record = match &shown {
        Some(shown) => Json::from(shown),
        None => lane.part.parse(&payload).map_err(|_| StoreError::Unreadable { what: "record" })?,
    };
    let seeker = Seeker { lane, claimed };
    let wish = if is_deleted(&lane.flow, &record) {
        Wish::of_deleted(&lane.flow)
    } else {
        let written = seeker.claimed.facts.ledger.as_ref().is_some_and(LedgerEntry::is_written);
        Wish::of_selected(&lane.flow, seeker.known(selects(lane, &record).await)?, written)
    };
    match wish {
        Wish::Leave => Ok(Wanted::Leave),
        Wish::Write => seeker.body(&record).await.map(Wanted::Write),
        Wish::Update => seeker.body(&record).await.map(Wanted::Update),
        Wish::Delete => seeker.known(remains(lane, &record).await).map(Wanted::Delete),
    }
}

/// What is wanted of a record that its source lists no longer and does not find: of it, no more is left than the word.
async fn unlisted(lane: &Lane, claimed: &mut Claimed, word: &Value) -> Result<Wanted, Stop> {
    claimed.facts.seen = gone(&claimed.facts.seen, claimed.facts.ledger.as_ref());
    // Where the plan does not delete so any more, it stays.
    if !lane.flow.deletes_unlisted || Wish::of_deleted(&lane.flow) == Wish::Leave {
        return Ok(Wanted::Leave);
    }
    Seeker { lane, claimed }.known(remains(lane, &Json::from(word)).await).map(Wanted::Delete)
}

/// Which state of a record counts.
enum Present {
    /// The one that was read.
    AsRead,
    /// The one that its source shows now.
    Shown(Value),
    /// None: the source neither lists it, as this word says, nor finds it.
    Gone(Value),
}

/// The state that the record's source shows now, where it has to be asked.
async fn present(lane: &Lane, claimed: &mut Claimed, probes: bool) -> Result<Present, Stop> {
    if lane.flow.stream.one.is_some() && is_untimed(&claimed.payload) {
        return untimed(lane, claimed, probes).await;
    }
    let fetching = if lane.flow.stream.one.is_some() { Fetching::Possible } else { Fetching::Impossible };
    match lane.judge().compared(&claimed.facts, fetching) {
        Compared::Go => return Ok(Present::AsRead),
        Compared::Done(change) => return Err(done(change)),
        Compared::Fetch => {}
    }
    let shown = asked(lane, claimed, probes).await?;
    if shown.is_none() {
        let word = serde_json::from_str(&claimed.payload).map_err(|_| StoreError::Unreadable { what: "record" })?;
        if is_unlisted(&claimed.facts.seen, &word) {
            return Ok(Present::Gone(word));
        }
    }
    Ok(taken(lane, claimed, shown)?.map_or(Present::AsRead, Present::Shown))
}

/// The state of a record whose deletion was told without a time: the source says whether it still has it.
async fn untimed(lane: &Lane, claimed: &mut Claimed, probes: bool) -> Result<Present, Stop> {
    if let Compared::Done(change @ Change::Settle(_)) = lane.judge().compared(&claimed.facts, Fetching::Impossible) {
        return Err(done(change));
    }
    let Some(record) = asked(lane, claimed, probes).await? else {
        // Where a counter orders states, the time at which word came orders nothing.
        if claimed.facts.ledger.as_ref().is_some_and(|ledger| matches!(ledger.version, Version::Counter(_))) {
            claimed.facts.seen = gone(&claimed.facts.seen, claimed.facts.ledger.as_ref());
        }
        return Ok(Present::AsRead);
    };
    if let Some(change) = lane.judge().shown_after_all(&claimed.facts) {
        return Err(done(change));
    }
    claimed.facts.seen =
        seen(&record, &lane.flow.stream).map_err(|problem| done(lane.judge().faulty(&claimed.facts, problem)))?;
    claimed.shown = Some(Shown { seen: claimed.facts.seen.clone(), payload: record.to_string().into() });
    match lane.judge().compared(&claimed.facts, Fetching::Done) {
        Compared::Done(change) => Err(done(change)),
        Compared::Go | Compared::Fetch => Ok(Present::Shown(record)),
    }
}

/// The state that the record's source shows now; none where it does not find the record.
pub async fn asked(lane: &Lane, claimed: &Claimed, probes: bool) -> Result<Option<Value>, Stop> {
    // Nothing is asked of the source for a record whose write would wait anyway.
    if let Admission::Wait(until) = lane.gates.write.send.outlook(lane.now())
        && !probes
    {
        return Err(done(lane.judge().waits_for_circuit(&claimed.facts, again(until, lane.now()))));
    }
    Box::pin(fetch(lane, &claimed.key)).await.map_err(|unanswered| match unanswered {
        Unanswered::Wait(until) => done(lane.judge().waits(&claimed.facts, until)),
        Unanswered::Refused(problem) => done(lane.judge().faulty(&claimed.facts, problem)),
    })
}

/// Takes the state that the record's source shows in place of the one that was read.
pub fn taken(lane: &Lane, claimed: &mut Claimed, shown: Option<Value>) -> Result<Option<Value>, Stop> {
    let state = shown.as_ref().map(|record| seen(record, &lane.flow.stream)).transpose();
    let state = state.map_err(|problem| done(lane.judge().faulty(&claimed.facts, problem)))?;
    if let Fetched::Done(change) = lane.judge().fetched(&claimed.facts, state.as_ref()) {
        return Err(done(change));
    }
    if let (Some(state), Some(record)) = (state, &shown) {
        claimed.facts.seen = state.clone();
        claimed.shown = Some(Shown { seen: state, payload: record.to_string().into() });
    }
    match lane.judge().compared(&claimed.facts, Fetching::Done) {
        Compared::Done(change) => Err(done(change)),
        Compared::Go | Compared::Fetch => Ok(shown),
    }
}

/// What becomes of the record.
pub fn done(change: Change) -> Stop {
    Stop::Done(Box::new(change))
}

/// Somebody who finds out something of a claimed record.
pub struct Seeker<'a> {
    pub lane: &'a Lane,
    pub claimed: &'a Claimed,
}

impl Seeker<'_> {
    /// The body, once what the record depends on is at the destination.
    pub async fn body(&self, record: &Json<'_>) -> Result<Value, Stop> {
        let lane = self.lane;
        if let Some(parent) = self.known(parent(lane, record).await)? {
            let there = lane.store_trouble.looked(lane.store.is_present(parent.clone()).await)?;
            if let Some(change) = lane.judge().depends(&self.claimed.facts, there) {
                return Err(Stop::Await(parent, Box::new(change)));
            }
        }
        self.known(body(lane, record).await)
    }

    fn awaits(&self, parent: ParentKey) -> Stop {
        if parent.scope == self.claimed.scope && parent.key == self.claimed.key {
            return Stop::Failed(EvaluationError::Failed {
                field: "map".into(),
                problem: "`xref` asks for the record itself, which would wait for itself for ever".into(),
                remedy: "leave it out for a record that refers to itself, or write `.orValue(…)` behind it".into(),
            });
        }
        Stop::Await(parent, Box::new(self.lane.judge().awaits()))
    }

    /// What was evaluated, or what becomes of the record because it was not.
    pub fn known<T>(&self, evaluated: Result<Evaluated<T>, StoreError>) -> Result<T, Stop> {
        match self.lane.store_trouble.looked(evaluated)? {
            Evaluated::Done(result) => result.map_err(Stop::Failed),
            Evaluated::Await(parent) => Err(self.awaits(parent)),
            Evaluated::Wait(until) => Err(done(self.lane.judge().waits(&self.claimed.facts, until))),
        }
    }
}
