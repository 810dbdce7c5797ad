//! Carrying records of a flow with a pair: who may carry which of two twins now, what changed of a record, and what of that is written to its
//! twin. Both are read as they stand before anything is decided, and what is a change is decided in the engine (`pair`). Reading the twin is in
//! `twin`.

use std::{collections::BTreeSet, sync::Arc};

use crosstie_engine::{
    canonical,
    delivery::{Change, Compared, Fetching, Settled, Wish, is_deleted},
    json::Json,
    mapping::NoResolve,
    pair::{self, Answer, Effect, Image, Memory, News},
    plan::Direction,
};
use jiff::SignedDuration;
use serde_json::Value;

use super::{
    decide::{Decided, Sending},
    evaluate::{remains, selects},
    twin::Other,
    want::{Seeker, Stop, asked, done, taken},
};
use crate::{
    lane::Lane,
    pairs::{Paired, TwinHold},
    store::{Claimed, StoreError, TwinChange, TwinFacts, TwinQuestion, TwinRow, TwinWord},
};

/// How long a record waits while its twin is under way.
const BUSY: SignedDuration = SignedDuration::from_secs(1);

/// Why a record waits that both ends go on changing.
const DISAGREEING: &str = "both ends go on changing the same fields of it after each write to it, so that it waits longer each time, up to an hour: if \
                           nobody edits it there, leave one of the two maps without the fields that the worker's log names";

/// A record of a pair that nobody else carries, nor its twin.
pub struct Held {
    hold: TwinHold,
    row: Option<TwinRow>,
    /// What the other end calls the record, if it has it.
    pub identifier: Option<String>,
}

/// Takes a record of a pair, and its twin where it is known. None while the twin is under way.
pub async fn hold(lane: &Lane, paired: &Paired, claimed: &Claimed) -> Result<Option<Held>, StoreError> {
    let Some(mut hold) = paired.take(&claimed.key) else { return Ok(None) };
    let facts = known(lane, paired, claimed, None).await?;
    let back = paired.direction.back();
    let is_sent = claimed.facts.intent.is_some();
    if facts.busy && !is_sent {
        return Ok(None);
    }
    let sent_to = facts.writing.filter(|_| is_sent).map(|change| change.row);
    let identifier = sent_to.as_ref().or(facts.row.as_ref()).and_then(|row| row.key(back)).map(str::to_owned);
    if let Some(twin) = &identifier
        && !hold.take_twin(paired, twin)
    {
        return Ok(None);
    }
    Ok(Some(Held { hold, row: facts.row, identifier }))
}

/// When a record is looked at again whose twin is under way.
pub fn busy(lane: &Lane, claimed: &Claimed) -> Change {
    lane.judge().waits(&claimed.facts, lane.now().checked_add(BUSY).unwrap_or(jiff::Timestamp::MAX))
}

async fn known(
    lane: &Lane,
    paired: &Paired,
    claimed: &Claimed,
    named: Option<String>,
) -> Result<TwinFacts, StoreError> {
    let (scopes, direction, record, key) = (paired.scopes, paired.direction, claimed.id, claimed.key.clone());
    lane.store_trouble.looked(lane.store.twin(TwinQuestion { scopes, direction, record, key, named }).await)
}

/// Finds out what is to be done about a record of a pair.
pub async fn decided(
    lane: &Lane,
    paired: &Paired,
    claimed: &mut Claimed,
    held: &mut Held,
    probes: bool,
) -> Result<Decided, Stop> {
    claimed.twin = None;
    let payload = Arc::clone(&claimed.payload);
    let read = lane.part.parse(&payload).map_err(|_| StoreError::Unreadable { what: "record" })?;
    let fetching = if is_deleted(&lane.flow, &read) { Fetching::Impossible } else { Fetching::Possible };
    if let Compared::Done(change) = lane.judge().compared(&claimed.facts, fetching) {
        return Err(done(change));
    }
    if fetching == Fetching::Impossible {
        return Pairing { lane, paired, claimed, held }.gone(&read).await;
    }
    let shown = asked(lane, claimed, probes).await?;
    let is_gone = held.row.as_ref().is_some_and(|row| row.gone.is_some());
    if shown.is_none() && is_gone {
        return Ok(Decided::Done(Change::Settle(Settled::Deleted)));
    }
    let Some(shown) = taken(lane, claimed, shown)? else { return Err(done(busy(lane, claimed))) };
    Pairing { lane, paired, claimed, held }.standing(&shown).await
}

struct Pairing<'a> {
    lane: &'a Lane,
    paired: &'a Paired,
    claimed: &'a mut Claimed,
    held: &'a mut Held,
}

/// What a record is mapped to, and what of that changed.
struct Mapped {
    body: Value,
    body_hash: String,
    news: News,
    /// What was remembered before it was looked at.
    before: Memory,
}

/// What is written of a record, and what it makes of the pair.
struct Written {
    fields: BTreeSet<String>,
    effect: Effect,
    overruled: Option<Direction>,
    /// Fields of the twin that a change was left out for.
    owed: BTreeSet<String>,
}

impl Pairing<'_> {
    fn seeker(&self) -> Seeker<'_> {
        Seeker { lane: self.lane, claimed: self.claimed }
    }

    fn back(&self) -> Direction {
        self.paired.direction.back()
    }

    /// Whether the other end has the record of a pair.
    fn has_twin(&self, row: &TwinRow) -> bool {
        row.gone.is_none() && row.key(self.back()).is_some()
    }

    fn settled(&mut self, how: Settled, row: TwinRow, overruled: Option<Direction>, word: Option<TwinWord>) -> Decided {
        self.change(row, overruled, word);
        Decided::Done(Change::Settle(how))
    }

    fn change(&mut self, row: TwinRow, overruled: Option<Direction>, word: Option<TwinWord>) {
        let (scopes, direction) = (self.paired.scopes, self.paired.direction);
        if overruled.is_some() {
            let flow = &self.lane.flow.name;
            tracing::warn!(
                flow,
                "both records of a pair were changed in the same fields: what the flow in the direction Forward carries wins"
            );
        }
        self.claimed.twin = Some(TwinChange { scopes, direction, row, overruled, word });
    }

    /// A record that its source has.
    async fn standing(mut self, shown: &Value) -> Result<Decided, Stop> {
        let record = Json::from(shown);
        if is_deleted(&self.lane.flow, &record) {
            return self.gone(&record).await;
        }
        let mut row = self.linked(&record).await?;
        if row.gone == Some(self.back()) {
            // Its twin was deleted, and it was deleted for that: somebody brought it back, or it is shown late.
            return Ok(Decided::Done(Change::Settle(Settled::LeftOut)));
        }
        if row.gone.take().is_some() {
            row.set_key(self.back(), None);
        }
        let selected = self.seeker().known(selects(self.lane, &record).await)?;
        match Wish::of_selected(&self.lane.flow, selected, self.has_twin(&row)) {
            Wish::Leave => Ok(Decided::Done(Change::Settle(Settled::LeftOut))),
            Wish::Update if !self.has_twin(&row) => Ok(Decided::Done(Change::Settle(Settled::LeftOut))),
            Wish::Delete => self.gone(&record).await,
            Wish::Write | Wish::Update => self.changed(&record, row).await,
        }
    }

    /// The pair of the record: the one it is known to belong to, or the one that it says itself.
    async fn linked(&mut self, record: &Json<'_>) -> Result<TwinRow, Stop> {
        let (direction, back) = (self.paired.direction, self.back());
        let mut row = self.held.row.clone().unwrap_or_default();
        row.set_key(direction, Some(self.claimed.key.clone()));
        if row.gone.is_some() || row.key(back).is_some() {
            return Ok(row);
        }
        let Some(twin) = self.paired.key.evaluate_text(record, &NoResolve).map_err(Stop::Failed)? else {
            return Ok(row);
        };
        if !self.held.hold.take_twin(self.paired, &twin) {
            return Err(done(busy(self.lane, self.claimed)));
        }
        let facts = known(self.lane, self.paired, self.claimed, Some(twin.clone())).await?;
        if facts.busy {
            return Err(done(busy(self.lane, self.claimed)));
        }
        match facts.named {
            None => row.set_key(back, Some(twin)),
            Some(named) if named.key(direction).is_none_or(|key| key == self.claimed.key) => {
                row = named;
                row.set_key(direction, Some(self.claimed.key.clone()));
            }
            Some(_) => {
                let problem = "the record names a twin that is another record's, so it cannot be told which of the two belongs to it: correct \
                               what `pair.key` reads in one of them";
                return Err(self.faulty(problem));
            }
        }
        Ok(row)
    }

    /// Writes what changed of a record.
    async fn changed(&mut self, record: &Json<'_>, mut row: TwinRow) -> Result<Decided, Stop> {
        let (lane, direction) = (self.lane, self.paired.direction);
        let body = self.seeker().body(record).await?;
        let body_hash = canonical::hash(&body);
        let image = Image::of(&lane.mapping, &body).without(&self.paired.named_by);
        let before = row.memory.clone();
        let look = before.of(direction).look(&image, &self.claimed.facts.seen, lane.now());
        let news = before.of(direction).news(look);
        if let Some(until) = news.not_before.filter(|_| !news.fields.is_empty() && self.has_twin(&row)) {
            let (flow, fields) = (&lane.flow.name, &news.fields);
            tracing::warn!(flow, ?fields, %until, "both ends go on changing these fields of a record after each write to it: they wait");
            return Err(done(lane.judge().waits_because(&self.claimed.facts, until, DISAGREEING)));
        }
        row.memory = before.looked(direction, look);
        let mapped = Mapped { body, body_hash, news, before };
        let other = Other::of(lane, self.paired)?;
        match row.key(self.back()).map(str::to_owned) {
            None => self.made(&other, mapped, row).await,
            Some(_) if mapped.news.fields.is_empty() => {
                let how = Settled::Unchanged { body_hash: mapped.body_hash };
                Ok(self.settled(how, row, None, None))
            }
            Some(key) => match other.fetched(self.claimed, &key).await? {
                Some(twin) => self.written_over(&other, &twin, mapped, row).await,
                // It is deleted, which the flow in the direction Forward carries.
                None if direction == Direction::Reverse => {
                    let how = Settled::Unchanged { body_hash: mapped.body_hash };
                    Ok(self.settled(how, row, Some(direction), None))
                }
                None => {
                    row.set_key(self.back(), None);
                    self.made(&other, mapped, row).await
                }
            },
        }
    }

    /// Makes the record at the other end.
    async fn made(&mut self, other: &Other<'_>, mapped: Mapped, mut row: TwinRow) -> Result<Decided, Stop> {
        let Mapped { body, body_hash, news, before: _ } = mapped;
        let made = pair::overlaid(&Value::Object(serde_json::Map::new()), other.place, &body);
        let after = other.image(self.claimed, &made).await?;
        let nothing = pair::Twin { before: None, takes_part: true };
        let answer = self.answer(&news);
        row.memory = row.memory.written(self.paired.direction, nothing, &Effect { after, ..Effect::default() }, answer);
        self.held.identifier = None;
        self.change(row, None, None);
        Ok(Decided::Write(Sending::of(&self.lane.operation, body.into(), body_hash, self.claimed)))
    }

    /// Writes to the record at the other end what changed.
    async fn written_over(
        &mut self,
        other: &Other<'_>,
        twin: &Value,
        mapped: Mapped,
        mut row: TwinRow,
    ) -> Result<Decided, Stop> {
        let (shown, seen) = (other.image(self.claimed, twin).await?, other.seen(self.claimed, twin)?);
        let before = Some(mapped.before.of(self.back()).look(&shown, &seen, self.lane.now()));
        let there = pair::Twin { before, takes_part: other.takes_part(self.claimed, twin).await? };
        let written = self.against(other, twin, there, &mapped).await?;
        row.memory = row.memory.yielded(self.paired.direction, &written.owed);
        // What was owed was not seen by its own flow yet, and may never be shown to it as news.
        let word = row.key(self.back()).filter(|_| !written.owed.is_empty()).map(|key| other.word(key));
        if written.fields.is_empty() {
            let how = Settled::Unchanged { body_hash: mapped.body_hash };
            return Ok(self.settled(how, row, written.overruled, word));
        }
        row.memory = row.memory.written(self.paired.direction, there, &written.effect, self.answer(&mapped.news));
        let Mapped { body, body_hash, .. } = mapped;
        self.held.identifier = row.key(self.back()).map(str::to_owned);
        let part = pair::part(&self.lane.mapping, &body, &self.with_names(&written.fields));
        self.change(row, written.overruled, word);
        Ok(Decided::Write(Sending::of(&self.paired.update, part.into(), body_hash, self.claimed)))
    }

    /// Which of the changed fields are written to a twin that may have been changed itself: in the direction Forward all of them, the other way
    /// those that change nothing that is to come from there.
    async fn against(
        &self,
        other: &Other<'_>,
        twin: &Value,
        there: pair::Twin<'_>,
        mapped: &Mapped,
    ) -> Result<Written, Stop> {
        let (direction, memory, body) = (self.paired.direction, &mapped.before, &mapped.body);
        let mut fields = mapped.news.fields.clone();
        let after = self.after(other, twin, body, &fields).await?;
        let overruled = there.overruled(memory, direction, &after);
        let known = pair::Twin::were_known(memory, direction, &overruled);
        let (mut loser, mut owed) = (direction.back(), BTreeSet::new());
        if !overruled.is_empty() && direction == Direction::Reverse {
            loser = direction;
            for field in fields.clone() {
                let after = self.after(other, twin, body, &BTreeSet::from([field.clone()])).await?;
                let overruled = there.overruled(memory, direction, &after);
                if !overruled.is_empty() {
                    fields.remove(&field);
                    owed.extend(overruled);
                }
            }
        }
        let after = self.after(other, twin, body, &fields).await?;
        let blank = pair::overlaid(twin, other.place, &pair::blank(&self.lane.mapping, &fields));
        let effect = Effect { after, blank: other.image(self.claimed, &blank).await? };
        Ok(Written { fields, effect, overruled: known.then_some(loser), owed })
    }

    fn answer(&self, news: &News) -> Answer {
        Answer { round: news.round, at: self.lane.now() }
    }

    /// What the twin becomes, in the terms of its own flow, when these fields are written to it.
    async fn after(
        &self,
        other: &Other<'_>,
        twin: &Value,
        body: &Value,
        fields: &BTreeSet<String>,
    ) -> Result<Image, Stop> {
        let part = pair::part(&self.lane.mapping, body, &self.with_names(fields));
        other.image(self.claimed, &pair::overlaid(twin, other.place, &part)).await
    }

    /// These fields, and those that name the record.
    fn with_names(&self, fields: &BTreeSet<String>) -> BTreeSet<String> {
        fields.iter().chain(&self.paired.named_by).cloned().collect()
    }

    /// A record that is to be at the other end no longer.
    async fn gone(mut self, record: &Json<'_>) -> Result<Decided, Stop> {
        let (lane, direction) = (self.lane, self.paired.direction);
        let Some(mut row) = self.held.row.clone() else {
            return Ok(Decided::Done(Change::Settle(Settled::Deleted)));
        };
        let Some(key) = row.key(self.back()).map(str::to_owned).filter(|_| row.gone.is_none()) else {
            return Ok(Decided::Done(Change::Settle(Settled::Deleted)));
        };
        let Some(operation) = &lane.delete_operation else {
            return Ok(Decided::Done(Change::Settle(Settled::LeftOut)));
        };
        if direction == Direction::Reverse {
            let other = Other::of(lane, self.paired)?;
            let Some(twin) = other.fetched_or_none(self.claimed, &key).await? else {
                row.gone = Some(direction);
                return Ok(self.settled(Settled::Deleted, row, None, None));
            };
            let (image, seen) = (other.image(self.claimed, &twin).await?, other.seen(self.claimed, &twin)?);
            let traces = row.memory.of(self.back());
            let news = traces.news(traces.look(&image, &seen, lane.now()));
            if !news.fields.is_empty() && other.takes_part(self.claimed, &twin).await? {
                // What was changed at the other end makes the record anew.
                row.gone = Some(self.back());
                return Ok(self.settled(Settled::Deleted, row, Some(direction), None));
            }
        }
        let body = self.seeker().known(remains(lane, record).await)?;
        let body_hash = canonical::hash(&body);
        row.gone = Some(direction);
        self.held.identifier = Some(key);
        self.change(row, None, None);
        Ok(Decided::Delete(Sending::of(operation, body.into(), body_hash, self.claimed).deleting()))
    }

    fn faulty(&self, problem: &str) -> Stop {
        done(self.lane.judge().faulty(&self.claimed.facts, problem.to_owned()))
    }
}

#[cfg(test)]
mod tests;
