//! Records that are handed out, with all that is known of their keys: types, and the guard that keeps a key.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crosstie_engine::delivery::Facts;
use jiff::Timestamp;

use super::{ScopeId, Shown, TwinChange};

/// Records handed out.
#[derive(Debug, Default)]
pub struct Claim {
    /// The records, each of another key.
    pub records: Vec<Claimed>,
    /// When the next one is due, if one waits for a time to come.
    pub next_due: Option<Timestamp>,
    /// Whether as many dead letters lie in the scope as may, so that others are not handed out.
    pub full: bool,
}

/// A record handed out, with everything known of its key. No other record of the key is handed out while the guard lives.
#[derive(Debug)]
pub struct Claimed {
    /// Its number in the queue; later records have higher ones.
    pub id: i64,
    /// Where it belongs.
    pub scope: ScopeId,
    /// Its key.
    pub key: String,
    /// The whole record as JSON. It is parsed by whoever maps it, because the store's one thread has other things to do. Shared, because
    /// what is read of it borrows from it.
    pub payload: Arc<str>,
    /// What its source showed, once it was asked.
    pub shown: Option<Shown>,
    /// What the protocol decides by.
    pub facts: Facts,
    /// What becomes of its pair, where that was found out.
    pub twin: Option<TwinChange>,
    /// Keeps the key.
    pub guard: ClaimGuard,
}

/// Which records of a process are claimed, and which of them had a send begun whose outcome is not stored.
#[derive(Debug, Default)]
pub struct Claims(Mutex<Records>);

#[derive(Debug, Default)]
struct Records {
    claimed: HashSet<i64>,
    sending: HashSet<i64>,
}

/// Keeps a claimed key from being handed out again until it is dropped.
#[derive(Debug)]
pub struct ClaimGuard {
    claims: Arc<Claims>,
    id: i64,
}

impl Claims {
    /// Claims a record by its number; nothing when it is claimed already.
    pub fn claim(self: &Arc<Self>, id: i64) -> Option<ClaimGuard> {
        self.records().claimed.insert(id).then(|| ClaimGuard { claims: Arc::clone(self), id })
    }

    /// Whether a record is claimed.
    pub fn is_claimed(&self, id: i64) -> bool {
        self.records().claimed.contains(&id)
    }

    /// Whether a send of the record was begun, by whoever claimed it before, and given up without a word: nobody knows what came of it.
    pub fn was_abandoned(&self, id: i64) -> bool {
        self.records().sending.contains(&id)
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClaimGuard {
    /// A send begins. Until its outcome is stored, giving the claim up leaves the record's intent in doubt.
    pub fn sending(&self) {
        self.claims.records().sending.insert(self.id);
    }

    /// What came of the record is stored.
    pub fn stored(&self) {
        self.claims.records().sending.remove(&self.id);
    }
}

impl Drop for ClaimGuard {
    fn drop(&mut self) {
        self.claims.records().claimed.remove(&self.id);
    }
}
