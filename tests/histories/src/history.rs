//! Histories: what happens, step by step. Plain data, so that one can be printed, kept and played again.

use serde::{Deserialize, Serialize};

/// What happens, and under which circumstances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The circumstances.
    pub means: Means,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// By which means an outcome can be known, and how the systems are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent circumstance")]
pub struct Means {
    /// The vendor takes an idempotency key and remembers it for a while.
    pub key: bool,
    /// The vendor can be asked what it has.
    pub look_up: bool,
    /// What nothing can tell is sent again rather than held.
    pub resend: bool,
    /// Records and bodies carry a mark that no other state has. Without it only contents are compared, and A, B, A has two equal states.
    pub traced: bool,
    /// How many records there are; steps that name a higher one mean one of these.
    pub keys: u8,
    /// By how many seconds the source's clock is ahead of ours.
    pub skew: i8,
    /// What the source shows of its records.
    pub shows: Shows,
    /// What becomes of a record that stops matching.
    pub on_when_false: OnWhenFalse,
    /// Whether records depend on records of another flow.
    pub parents: bool,
    /// How many records one call may carry.
    #[serde(default = "one")]
    pub batch: u8,
    /// Whether such a call is answered record by record. Else it is applied whole or not at all.
    #[serde(default)]
    pub rows: bool,
    /// The source shows no lists: it sends word of each change, which only names the record. Only where single records have no version.
    #[serde(default)]
    pub words: bool,
    /// A look-up shows what was written since the write that it is about was decided, and nothing from before.
    #[serde(default)]
    pub since: bool,
    /// A record that was written is not written again, whatever its source makes of it later.
    #[serde(default)]
    pub once: bool,
    /// Whether a field of the records belongs to the destination, where people change it whenever time passes. Only where it can be looked up what is
    /// there.
    #[serde(default)]
    pub owned: bool,
}

fn one() -> u8 {
    1
}

/// What the source shows of its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shows {
    /// Lists, with a version in each record.
    Versions,
    /// Also single records, so that one can be fetched anew.
    VersionsAndSingles,
    /// Single records too, and no version: what is read is a hint.
    SinglesOnly,
}

/// What becomes of a record that stops matching.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnWhenFalse {
    /// It stays as it was written last.
    Ignore,
    /// It is deleted, if it is there.
    Delete,
    /// It is written once more, if it is there.
    Update,
}

impl Means {
    /// Whether it can always be known, or is asked for to know, what was applied. Else sending again is a person's choice.
    pub(crate) fn can_always_know(self) -> bool {
        self.look_up || !self.resend
    }

    /// Whether, in the end, dead letters are replayed only once nothing else waits. Decided by something that has no part in it.
    pub(crate) fn waits_for_what_comes(self) -> bool {
        self.skew % 2 == 0
    }
}

impl Shows {
    /// Whether single records are shown.
    pub fn singles(self) -> bool {
        match self {
            Self::Versions => false,
            Self::VersionsAndSingles | Self::SinglesOnly => true,
        }
    }

    /// Whether records have a version.
    pub fn versions(self) -> bool {
        match self {
            Self::Versions | Self::VersionsAndSingles => true,
            Self::SinglesOnly => false,
        }
    }
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// The source changes a record. It becomes visible now, with a time up to so many seconds ago.
    Change {
        /// Which record.
        key: u8,
        /// Its new content.
        content: u8,
        /// How late it is visible, in seconds.
        late: u8,
    },
    /// The source marks a record as deleted; it stays visible as such.
    Delete {
        /// Which record.
        key: u8,
    },
    /// One page is read and taken. `killed`: the process dies before the page's transaction is durable.
    Read {
        /// Whether the process dies.
        killed: bool,
    },
    /// The state that a record had so many states ago comes in once more, as a late or repeated event would bring it.
    Hint {
        /// Which record.
        key: u8,
        /// How many states ago.
        age: u8,
    },
    /// One record is handed out and carried to its end.
    Carry(Flight),
    /// One record is handed out; its call is answered later.
    Begin(Flight),
    /// The call that is longest under way is answered.
    Finish,
    /// So many seconds pass.
    Pass(u16),
    /// The process dies and starts again.
    Crash,
    /// The store is lost, and the worker starts with a new one from the beginning.
    LoseStore,
    /// Dead letters are replayed.
    Replay,
    /// From now on the vendor treats each write of this record so.
    Poison {
        /// Which record.
        key: u8,
        /// How.
        poison: Poison,
    },
    /// The vendor's health changes.
    Outage(Outage),
    /// The other flow brings a record to the destination that some depend on, or takes it away.
    Parent {
        /// Which one.
        parent: u8,
        /// Whether it is there from now on.
        there: bool,
    },
}

/// How the vendor treats each write of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Poison {
    /// Like any other.
    Cured,
    /// It answers 500.
    With500,
    /// It answers 422.
    Refused,
}

/// How the vendor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outage {
    /// Well.
    Over,
    /// Every second call is answered 503.
    Half,
    /// Every call is answered 503.
    Whole,
    /// Every call is answered 429.
    Busy,
    /// Every delete is answered 429: not again for a long time.
    DeletesBusy,
}

/// What becomes of the calls that are made for one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flight {
    /// Of a write.
    pub write: Write,
    /// Of a look-up.
    pub look: Look,
    /// Of a single read at the source.
    pub fetch: Fetch,
    /// Of whoever made them.
    pub end: End,
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Write {
    /// Applied and answered.
    Applied,
    /// Applied, and the answer is lost.
    AnswerLost,
    /// Of several records only the first is applied, where no key promises that all are; and the answer is lost.
    Partly,
    /// Applied, and answered 500.
    AppliedWith500,
    /// Given up, and applied so many seconds after it left.
    Late(u8),
    /// Given up, and never applied.
    Lost,
    /// No connection.
    NeverLeft,
    /// Refused with 422.
    Refused,
    /// Answered 500, and not applied.
    With500,
    /// Answered 429: not again for so many seconds.
    Limited(u8),
}

/// What becomes of a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Look {
    /// Shows what is there.
    Fresh,
    /// Shows what was there so many seconds ago.
    Lagging(u8),
    /// Fails.
    Fails,
    /// Shows another record in this one's place.
    Stranger,
    /// Shows several.
    Several,
}

/// What becomes of a single read at the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fetch {
    /// Shows the record as it is.
    Fresh,
    /// Shows it as it was before its last version. A source without versions shows it as it is.
    Lagging,
    /// Fails.
    Fails,
    /// Does not find it.
    Absent,
}

/// What becomes of whoever made a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// What the answer means is stored.
    Stored,
    /// The call was made, and whoever made it is gone; the process lives on.
    Abandoned,
    /// The process dies right before the call.
    KilledBefore,
    /// The process dies before what the answer means is stored.
    KilledAfter,
}

impl Flight {
    /// Nothing fails.
    pub const WELL: Self = Self { write: Write::Applied, look: Look::Fresh, fetch: Fetch::Fresh, end: End::Stored };
}
