//! The store as the loops see it: what can be asked of it, and the promises behind each answer. Which database keeps them is decided below
//! (`sqlite`); what a loop decides is decided in the loops.
//!
//! The promises every implementation keeps:
//! - an answer to a change comes after the change is durable, and a change is made whole or not at all;
//! - records of one key are handed out one at a time and in the order they came;
//! - a claim ends when its guard is dropped, or with the process; a send that was begun under it and not accounted for leaves its intent in
//!   doubt.

mod alerts;
mod backlog;
mod call;
mod call_book;
mod change;
mod claim;
mod error;
mod event;
pub mod sqlite;
mod twin;

use std::sync::Arc;

use crosstie_engine::{
    delivery::{OpenIntent, Postponement},
    window::PollState,
};
use futures::future::BoxFuture;
use jiff::Timestamp;

pub use alerts::{AlertChange, AlertStanding, Alerts, LetterDigest, WaitingMessage};
pub use backlog::{Backlog, MOST_DEAD_LETTERS};
pub use call::{CallGap, CallGapWhy, CallPage, CallQuery, LoggedCall, MadeCall};
pub use call_book::{CallBook, CallsToStore};
pub use change::{
    Burial, DeadLetter, Figures, Incoming, NewIntent, Opened, ParentKey, ReadAgain, Replay, Replayed, Scope, ScopeId,
    Settlement, Shown, SweptPart, Taken, TakenPage, Tally, Tidied, Verdict,
};
pub use claim::{Claim, ClaimGuard, Claimed, Claims};
pub use error::StoreError;
pub use event::{EventFate, LoggedEvent, TakenEvent, TakenEvents};
pub use twin::{PairScopes, TwinChange, TwinFacts, TwinQuestion, TwinRow, TwinWord};

/// What a store answers, sooner or later.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// A store, shared by the loops.
pub type SharedStore = Arc<dyn Store>;

/// Where cursors, queue, intents, ledger, dead letters and counters are kept.
pub trait Store: Send + Sync {
    /// The store's own id, made once: a UUID.
    fn id(&self) -> &str;

    /// Makes a scope known, if it is not yet, and says where reading it stands. Records held in it become due: a changed plan may say what is
    /// to become of them. Where something in it is later than `now`, the clock was set back, and what waits begins to wait anew.
    fn open_scope(&self, scope: Scope, now: Timestamp) -> Answer<'_, Opened>;

    /// Takes a page: its records and the new state of reading, together. Records that are known already are dropped.
    fn take_page(&self, page: TakenPage) -> Answer<'_, Taken>;

    /// Compares a part of what the destination has with the list that was read: of each record that is not on it, word is taken. Gives the state of
    /// reading after that, which is stored with it.
    fn sweep(&self, part: SweptPart) -> Answer<'_, (Taken, PollState)>;

    /// Takes the events of a webhook with what they bring, together: an event that came before is not taken again, and of the others those
    /// records are dropped that are known already. Says what became of each.
    fn take_events(&self, events: TakenEvents) -> Answer<'_, Vec<EventFate>>;

    /// Events of the log with a number below `before`, newest first, at most `limit`.
    fn events(&self, before: i64, limit: usize) -> Answer<'_, Vec<LoggedEvent>>;

    /// Stores the calls that wait in the store's book, if nothing else takes them along.
    fn write_calls(&self) -> Answer<'_, ()>;

    /// Calls of the log, newest first: a part of those that are asked for.
    fn calls(&self, ask: CallQuery) -> Answer<'_, CallPage>;

    /// How much lies in a scope.
    fn backlog(&self, scope: ScopeId, now: Timestamp) -> Answer<'_, Backlog>;

    /// Hands out records that are due, of different keys, longest due first: up to `limit`, and the whole of a batch that one of them belongs
    /// to. Records of a batch follow each other, in the order in which they were sent. While as many dead letters lie in the scope as may,
    /// only records with an open intent are handed out: what became of them is to be found out while it can be told.
    fn claim(&self, scope: ScopeId, limit: usize, now: Timestamp) -> Answer<'_, Claim>;

    /// Stores what is about to be written. There must be no open intent for the key.
    fn open_intent(&self, intent: NewIntent) -> Answer<'_, OpenIntent>;

    /// Stores what is about to be written by one call, as one intent of these records, in the order of their numbers. There must be no open
    /// intent for any of their keys.
    fn open_batch(&self, records: Vec<NewIntent>) -> Answer<'_, Vec<OpenIntent>>;

    /// Closes the intent of a record, by its number, as not applied; the record stays claimed.
    fn close_intent(&self, record: i64) -> Answer<'_, ()>;

    /// What becomes of several claimed records, together.
    fn conclude(&self, verdicts: Vec<Verdict>) -> Answer<'_, ()>;

    /// A claimed record is done: it leaves the queue, ledger and intent with it, and the key's next record is due.
    fn settle(&self, settlement: Settlement) -> Answer<'_, ()>;

    /// A claimed record, by its number, waits on at the head of its key.
    fn postpone(&self, record: i64, postponement: Postponement) -> Answer<'_, ()>;

    /// A claimed record waits, at the head of its key, until another flow's record is at the destination, or until a time.
    fn await_parent(&self, record: i64, parent: ParentKey, due: Timestamp) -> Answer<'_, ()>;

    /// A claimed record goes to the dead letters, and the key's next record is due.
    fn bury(&self, burial: Burial) -> Answer<'_, ()>;

    /// Makes every record due that waits only because the system failed it: the system's circuit decides from here on.
    fn hasten(&self, scope: ScopeId, now: Timestamp) -> Answer<'_, ()>;

    /// What is known of the pair of a claimed record.
    fn twin(&self, question: TwinQuestion) -> Answer<'_, TwinFacts>;

    /// The identifier the destination gave a record.
    fn identifier(&self, scope: ScopeId, key: String) -> Answer<'_, Option<String>>;

    /// Whether the destination has a record, as far as the ledger knows.
    fn is_present(&self, parent: ParentKey) -> Answer<'_, bool>;

    /// Counts of each scope, in the order asked for.
    fn figures(&self, scopes: Vec<ScopeId>, now: Timestamp) -> Answer<'_, Vec<Figures>>;

    /// Every other scope in which records wait, and how many: no flow of the plan at work takes them on.
    fn left_behind(&self, at_work: Vec<ScopeId>) -> Answer<'_, Vec<(Scope, u64)>>;

    /// Dead letters with an id above `after`, oldest first, at most `limit`, without their payloads.
    fn dead_letters(&self, after: i64, limit: usize) -> Answer<'_, Vec<DeadLetter>>;

    /// A dead letter, whole; none when it is gone.
    fn dead_letter(&self, id: i64) -> Answer<'_, Option<DeadLetter>>;

    /// Puts dead letters at the end of their keys' queues, but those before which a state that is no older is to be looked at: these stay. Says what
    /// became of each.
    fn replay(&self, letters: Vec<Replay>, now: Timestamp) -> Answer<'_, Vec<Replayed>>;

    /// Removes dead letters for good. Says which of the ids there were.
    fn discard(&self, ids: Vec<i64>) -> Answer<'_, Vec<i64>>;

    /// Everything that is remembered of alerts, and what waits to be accepted.
    fn alerts(&self) -> Answer<'_, Alerts>;

    /// What was decided of alerts, together. Says the number of each message, where there is one.
    fn change_alerts(&self, changes: Vec<AlertChange>) -> Answer<'_, Vec<Option<i64>>>;

    /// A message, by its number, was accepted by its channel.
    fn alert_accepted(&self, number: i64) -> Answer<'_, ()>;

    /// Removes everything of channels that are not among these.
    fn forget_channels(&self, kept: Vec<String>) -> Answer<'_, ()>;

    /// How records of a scope ended last, oldest first and `most` at most, as far as can be told: why those failed that failed under a plan and lie in
    /// the dead letters, and none for each that arrived since the first of them. Nothing, when `enough` arrived after all of them.
    fn last_ends(&self, scope: ScopeId, plan_hash: String, most: usize, enough: u64)
    -> Answer<'_, Vec<Option<String>>>;

    /// The dead letters of each scope in short, in the order asked for.
    fn letter_digests(&self, scopes: Vec<ScopeId>) -> Answer<'_, Vec<LetterDigest>>;

    /// Removes what is too old, and folds the log into the database.
    fn tidy(&self, now: Timestamp) -> Answer<'_, Tidied>;

    /// Finishes what was asked, folds the log into the database and releases the lock. Whatever is asked afterwards is refused.
    fn close(&self) -> Answer<'_, ()>;
}
