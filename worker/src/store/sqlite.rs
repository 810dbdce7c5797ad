//! The store in one SQLite database on a volume of the worker's own. One thread owns it (`writer`); this file only says which part answers
//! what. The folder is locked for as long as the store is open.

mod alerts;
mod calls;
mod care;
mod delivery;
mod ends;
mod events;
mod intake;
mod intents;
mod listed;
mod lock;
mod rows;
mod schema;
mod twins;
mod writer;

#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc, time::Duration};

use crosstie_engine::{
    delivery::{Intent, OpenIntent, Postponement},
    window::PollState,
};
use jiff::Timestamp;
use uuid::Uuid;

use self::{
    intents::Remembered,
    lock::FolderLock,
    writer::{Session, Writer},
};
use super::{
    AlertChange, Alerts, Answer, Backlog, Burial, CallBook, CallPage, CallQuery, CallsToStore, Claim, DeadLetter,
    EventFate, Figures, LetterDigest, LoggedEvent, NewIntent, Opened, ParentKey, Replay, Replayed, Scope, ScopeId,
    Settlement, Store, StoreError, SweptPart, Taken, TakenEvents, TakenPage, Tidied, TwinFacts, TwinQuestion, Verdict,
};

/// Name of the database below the state folder.
pub const DATABASE_FILE: &str = "store.db";

/// In how many parts calls that wait are stored at the end, at most.
const MOST_LAST_WRITES: u32 = 4;

/// The store in an SQLite database.
pub struct SqliteStore {
    id: String,
    writer: Writer,
    calls: Arc<CallBook>,
}

impl SqliteStore {
    /// Locks the folder, makes it and the database if they are not there, and resumes: every open intent is in doubt from `now` on.
    /// `fresh_id` becomes the id of a store that is new. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// [`StoreError`], for a folder that is locked, on a network file system or not writable, and a database that is damaged or too new.
    pub fn open(folder: &Path, fresh_id: Uuid, now: Timestamp) -> Result<Self, StoreError> {
        Self::open_logging(folder, fresh_id, now, Arc::default())
    }

    /// The same, with a book of calls that are stored along with whatever is stored next.
    ///
    /// # Errors
    /// As of [`open`](Self::open).
    pub fn open_logging(
        folder: &Path,
        fresh_id: Uuid,
        now: Timestamp,
        calls: Arc<CallBook>,
    ) -> Result<Self, StoreError> {
        let lock = FolderLock::take(folder)?;
        let (connection, id) = schema::open(&folder.join(DATABASE_FILE), schema::STEPS, fresh_id, now)?;
        let session = Session {
            connection,
            store_id: id.clone(),
            claims: Arc::default(),
            commits: 0,
            counts: Vec::new(),
            remembered: Remembered::default(),
            calls: Arc::clone(&calls),
            writing: CallsToStore::default(),
            damage: None,
            #[cfg(test)]
            strikes: std::cell::Cell::default(),
        };
        let failed = |source| StoreError::Folder { path: folder.to_owned(), source: Arc::new(source) };
        let writer = Writer::start(session, lock).map_err(failed)?;
        Ok(Self { id, writer, calls })
    }
}

/// What was just stored, as it will be read.
fn opened(new: NewIntent, intent: Intent, size: u32) -> OpenIntent {
    let NewIntent { operation, body, body_hash, seen, deletes, .. } = new;
    OpenIntent { intent, operation, body, body_hash, seen, deletes, refused: false, size, apart: false }
}

impl Store for SqliteStore {
    fn id(&self) -> &str {
        &self.id
    }

    fn open_scope(&self, scope: Scope, now: Timestamp) -> Answer<'_, Opened> {
        Box::pin(self.writer.change(move |session| intake::open_scope(session, &scope, now)))
    }

    fn take_page(&self, page: TakenPage) -> Answer<'_, Taken> {
        Box::pin(self.writer.change(move |session| intake::take_page(session, &page)))
    }

    fn sweep(&self, part: SweptPart) -> Answer<'_, (Taken, PollState)> {
        Box::pin(self.writer.change(move |session| listed::sweep(session, &part)))
    }

    fn take_events(&self, events: TakenEvents) -> Answer<'_, Vec<EventFate>> {
        Box::pin(self.writer.change(move |session| events::take(session, &events)))
    }

    fn events(&self, before: i64, limit: usize) -> Answer<'_, Vec<LoggedEvent>> {
        Box::pin(self.writer.look(move |session| events::events(session, before, limit)))
    }

    fn write_calls(&self) -> Answer<'_, ()> {
        // Whatever is committed takes the calls along that wait.
        Box::pin(self.writer.change(|_| Ok(())))
    }

    fn calls(&self, ask: CallQuery) -> Answer<'_, CallPage> {
        Box::pin(self.writer.look(move |session| calls::calls(session, &ask)))
    }

    fn backlog(&self, scope: ScopeId, now: Timestamp) -> Answer<'_, Backlog> {
        Box::pin(self.writer.look(move |session| intake::backlog(session, scope, now)))
    }

    fn claim(&self, scope: ScopeId, limit: usize, now: Timestamp) -> Answer<'_, Claim> {
        Box::pin(self.writer.look(move |session| delivery::claim(session, scope, limit, now)))
    }

    fn open_intent(&self, intent: NewIntent) -> Answer<'_, OpenIntent> {
        Box::pin(async move {
            let new = Arc::new(intent);
            let asked = Arc::clone(&new);
            let intent = self.writer.change(move |session| intents::open(session, &asked)).await?;
            Ok(opened(Arc::unwrap_or_clone(new), intent, 1))
        })
    }

    fn open_batch(&self, records: Vec<NewIntent>) -> Answer<'_, Vec<OpenIntent>> {
        Box::pin(async move {
            let new = Arc::new(records);
            let asked = Arc::clone(&new);
            let intents = self.writer.change(move |session| intents::open_batch(session, &asked)).await?;
            let size = u32::try_from(intents.len()).unwrap_or(u32::MAX);
            let records = Arc::unwrap_or_clone(new).into_iter().zip(intents);
            Ok(records.map(|(new, intent)| opened(new, intent, size)).collect())
        })
    }

    fn close_intent(&self, record: i64) -> Answer<'_, ()> {
        Box::pin(self.writer.change(move |session| intents::close(session, record).map(|_| ())))
    }

    fn conclude(&self, verdicts: Vec<Verdict>) -> Answer<'_, ()> {
        Box::pin(self.writer.change(move |session| delivery::conclude(session, &verdicts)))
    }

    fn settle(&self, settlement: Settlement) -> Answer<'_, ()> {
        Box::pin(self.writer.change(move |session| delivery::settle(session, &settlement)))
    }

    fn postpone(&self, record: i64, postponement: Postponement) -> Answer<'_, ()> {
        Box::pin(self.writer.change(move |session| delivery::postpone(session, record, &postponement)))
    }

    fn await_parent(&self, record: i64, parent: ParentKey, due: Timestamp) -> Answer<'_, ()> {
        Box::pin(self.writer.change(move |session| delivery::await_parent(session, record, &parent, due)))
    }

    fn is_present(&self, parent: ParentKey) -> Answer<'_, bool> {
        Box::pin(self.writer.look(move |session| delivery::is_present(session, &parent)))
    }

    fn bury(&self, burial: Burial) -> Answer<'_, ()> {
        Box::pin(self.writer.change(move |session| delivery::bury(session, &burial)))
    }

    fn hasten(&self, scope: ScopeId, now: Timestamp) -> Answer<'_, ()> {
        Box::pin(self.writer.change(move |session| delivery::hasten(session, scope, now)))
    }

    fn twin(&self, question: TwinQuestion) -> Answer<'_, TwinFacts> {
        Box::pin(self.writer.look(move |session| twins::facts(session, &question)))
    }

    fn identifier(&self, scope: ScopeId, key: String) -> Answer<'_, Option<String>> {
        Box::pin(self.writer.look(move |session| delivery::identifier(session, scope, &key)))
    }

    fn figures(&self, scopes: Vec<ScopeId>, now: Timestamp) -> Answer<'_, Vec<Figures>> {
        Box::pin(self.writer.look(move |session| care::figures(session, &scopes, now)))
    }

    fn left_behind(&self, at_work: Vec<ScopeId>) -> Answer<'_, Vec<(Scope, u64)>> {
        Box::pin(self.writer.look(move |session| care::left_behind(session, &at_work)))
    }

    fn dead_letters(&self, after: i64, limit: usize) -> Answer<'_, Vec<DeadLetter>> {
        Box::pin(self.writer.look(move |session| care::dead_letters(session, after, limit)))
    }

    fn dead_letter(&self, id: i64) -> Answer<'_, Option<DeadLetter>> {
        Box::pin(self.writer.look(move |session| care::dead_letter(session, id)))
    }

    fn replay(&self, letters: Vec<Replay>, now: Timestamp) -> Answer<'_, Vec<Replayed>> {
        Box::pin(self.writer.change(move |session| care::replay(session, &letters, now)))
    }

    fn discard(&self, ids: Vec<i64>) -> Answer<'_, Vec<i64>> {
        Box::pin(self.writer.change(move |session| care::discard(session, &ids)))
    }

    fn alerts(&self) -> Answer<'_, Alerts> {
        Box::pin(self.writer.look(|session| alerts::alerts(session)))
    }

    fn change_alerts(&self, changes: Vec<AlertChange>) -> Answer<'_, Vec<Option<i64>>> {
        Box::pin(self.writer.change(move |session| alerts::change(session, &changes)))
    }

    fn alert_accepted(&self, number: i64) -> Answer<'_, ()> {
        Box::pin(self.writer.change(move |session| alerts::accepted(session, number)))
    }

    fn forget_channels(&self, kept: Vec<String>) -> Answer<'_, ()> {
        Box::pin(self.writer.change(move |session| alerts::forget_channels(session, &kept)))
    }

    fn last_ends(
        &self,
        scope: ScopeId,
        plan_hash: String,
        most: usize,
        enough: u64,
    ) -> Answer<'_, Vec<Option<String>>> {
        Box::pin(self.writer.look(move |session| ends::last(session, scope, &plan_hash, (most, enough))))
    }

    fn letter_digests(&self, scopes: Vec<ScopeId>) -> Answer<'_, Vec<LetterDigest>> {
        Box::pin(self.writer.look(move |session| alerts::digests(session, &scopes)))
    }

    fn tidy(&self, now: Timestamp) -> Answer<'_, Tidied> {
        Box::pin(async move {
            let tidied = self.writer.change(move |session| care::tidy(session, now)).await?;
            // A part at a time, so that nothing else waits long.
            while self.writer.change(move |session| calls::forget(session, now)).await? >= calls::SLICE {}
            self.writer.look(|session| care::fold(session)).await?;
            Ok(tidied)
        })
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            // Each takes a part along; what the store does not take then is lost with the process.
            for _ in 0..MOST_LAST_WRITES {
                if !self.calls.has_waited(Duration::ZERO) || self.write_calls().await.is_err() {
                    break;
                }
            }
            self.writer.close().await
        })
    }
}
