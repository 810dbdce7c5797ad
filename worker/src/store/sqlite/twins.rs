//! What the database keeps of pairs of records. What becomes of a pair is decided by whoever carries a record of it; here it is stored with what
//! becomes of that record, or not at all.

use crosstie_engine::{canonical, delivery::Settled, pair::Memory, plan::Direction};
use rusqlite::Row;

use super::{
    intake::take_one,
    intents::json,
    rows::{add, document, execute, first},
    writer::Session,
};
use crate::store::{
    Incoming, PairScopes, ScopeId, Settlement, StoreError, TwinChange, TwinFacts, TwinQuestion, TwinRow, TwinWord,
};

const FORWARD: &str = "Forward";
const REVERSE: &str = "Reverse";

fn name(direction: Direction) -> &'static str {
    match direction {
        Direction::Forward => FORWARD,
        Direction::Reverse => REVERSE,
    }
}

fn named(name: &str) -> Result<Direction, StoreError> {
    match name {
        FORWARD => Ok(Direction::Forward),
        REVERSE => Ok(Direction::Reverse),
        _ => Err(StoreError::Unreadable { what: "direction" }),
    }
}

/// See [`Store::twin`](crate::store::Store::twin).
pub fn facts(session: &Session, asked: &TwinQuestion) -> Result<TwinFacts, StoreError> {
    let (direction, back) = (asked.direction, asked.direction.back());
    let row = row(session, asked.scopes, direction, &asked.key)?;
    let twin = row.as_ref().and_then(|row| row.key(back));
    let mut busy = false;
    for key in twin.into_iter().chain(asked.named.as_deref()) {
        busy = busy || is_written(session, asked.scopes.of(back), key)?;
    }
    let named = match &asked.named {
        Some(key) => self::row(session, asked.scopes, back, key)?,
        None => None,
    };
    let writing = writing(session, asked.record)?;
    Ok(TwinFacts { row, named, writing, busy })
}

struct Stored {
    id: i64,
    keys: (Option<String>, Option<String>),
    gone: Option<String>,
    memory: String,
}

impl Stored {
    fn read(row: &Row) -> rusqlite::Result<Self> {
        Ok(Self { id: row.get(0)?, keys: (row.get(1)?, row.get(2)?), gone: row.get(3)?, memory: row.get(4)? })
    }

    fn row(self) -> Result<TwinRow, StoreError> {
        let Self { id, keys: (forward, reverse), gone, memory } = self;
        let gone = gone.as_deref().map(named).transpose()?;
        Ok(TwinRow { id: Some(id), forward, reverse, gone, memory: document(&memory, "memory of a pair")? })
    }
}

/// The pair of a record that the flow of a direction reads.
fn row(session: &Session, scopes: PairScopes, of: Direction, key: &str) -> Result<Option<TwinRow>, StoreError> {
    let sql = match of {
        Direction::Forward => {
            "SELECT id, forward, reverse, gone, memory FROM twin WHERE forward_scope = ?1 AND forward = ?3 AND reverse_scope = ?2"
        }
        Direction::Reverse => {
            "SELECT id, forward, reverse, gone, memory FROM twin WHERE reverse_scope = ?2 AND reverse = ?3 AND forward_scope = ?1"
        }
    };
    first(session, sql, (scopes.forward.0, scopes.reverse.0, key), Stored::read)?.map(Stored::row).transpose()
}

fn is_written(session: &Session, scope: ScopeId, key: &str) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM queue JOIN outgoing ON record = id WHERE scope = ?1 AND key = ?2 LIMIT 1";
    Ok(first(session, sql, (scope.0, key), |_| Ok(()))?.is_some())
}

/// What becomes of a pair by the write that is under way for a record.
fn writing(session: &Session, record: i64) -> Result<Option<TwinChange>, StoreError> {
    let sql = "SELECT document FROM twin_writing JOIN outgoing USING (record) WHERE record = ?1";
    let found = first(session, sql, [record], |row| row.get::<_, String>(0))?;
    found.map(|text| document(&text, "change of a pair")).transpose()
}

/// A write begins: what becomes of the pair by it.
pub fn begin(session: &Session, record: i64, change: &TwinChange) -> Result<(), StoreError> {
    let insert = "INSERT OR REPLACE INTO twin_writing (record, document) VALUES (?1, ?2)";
    execute(session, insert, (record, json(change, "change of a pair")?)).map(|_| ())
}

/// A record of a flow with a pair is done: what becomes of its pair. Says whether that is counted as the record's own outcome. Its intent is still
/// there, if it had one.
pub fn settled(session: &mut Session, done: &Settlement) -> Result<bool, StoreError> {
    let sent = first(session, "SELECT 1 FROM outgoing WHERE record = ?1", [done.record], |_| Ok(()))?.is_some();
    let (applied, identifier) = match &done.how {
        Settled::Delivered { identifier, .. } => (true, identifier.clone()),
        Settled::Deleted => (true, None),
        Settled::Unchanged { .. } | Settled::LeftOut | Settled::Missing | Settled::Superseded => (false, None),
    };
    let change = match (sent, applied) {
        (false, _) => done.twin.clone(),
        (true, true) => writing(session, done.record)?,
        // What was sent took no effect.
        (true, false) => None,
    };
    execute(session, "DELETE FROM twin_writing WHERE record = ?1", [done.record])?;
    let Some(mut change) = change else { return Ok(false) };
    let (direction, back) = (change.direction, change.direction.back());
    if change.row.key(back).is_none() {
        change.row.set_key(back, identifier);
    }
    store(session, change.scopes, &change.row)?;
    if change.row.gone == Some(direction)
        && let Some(twin) = change.row.key(back)
    {
        let delete = "UPDATE ledger SET present = 0, body_hash = NULL, identifier = NULL WHERE scope = ?1 AND key = ?2";
        execute(session, delete, (change.scopes.of(back).0, twin))?;
    }
    if let Some(TwinWord { key, payload }) = change.word {
        let hash = canonical::short_hash(&(done.record, &payload));
        let word = Incoming::Word { key, hash, payload };
        take_one(session, change.scopes.of(back), &word, false, done.now.as_microsecond())?;
    }
    let Some(overruled) = change.overruled else { return Ok(false) };
    add(session, change.scopes.of(overruled).0, "superseded", 1, done.now.as_microsecond());
    Ok(!sent && overruled == direction)
}

/// A record is given up. If a write of it may have taken effect, what it would have made of the twin is no change that a person made; of the
/// record itself nothing is carried.
pub fn given_up(session: &Session, record: i64) -> Result<(), StoreError> {
    let Some(mut change) = writing(session, record)? else { return Ok(()) };
    let doubt = "SELECT 1 FROM outgoing WHERE record = ?1 AND in_doubt_since IS NOT NULL";
    if first(session, doubt, [record], |_| Ok(()))?.is_some() && change.row.gone.is_none() {
        let own = match change.row.key(change.direction) {
            Some(key) => row(session, change.scopes, change.direction, key)?.map(|row| row.memory),
            None => None,
        };
        let own: Memory = own.unwrap_or_default();
        *change.row.memory.of_mut(change.direction) = own.of(change.direction).clone();
        store(session, change.scopes, &change.row)?;
    }
    execute(session, "DELETE FROM twin_writing WHERE record = ?1", [record]).map(|_| ())
}

/// Stores a pair. Whatever else is stored of one of its records is no pair any more.
fn store(session: &Session, scopes: PairScopes, row: &TwinRow) -> Result<(), StoreError> {
    let (forward, reverse) = (scopes.forward.0, scopes.reverse.0);
    let others = "DELETE FROM twin WHERE id IS NOT ?1 AND ((forward_scope = ?2 AND forward = ?3) OR (reverse_scope = ?4 AND reverse = ?5))";
    execute(session, others, (row.id, forward, &row.forward, reverse, &row.reverse))?;
    let insert = "INSERT OR REPLACE INTO twin (id, forward_scope, forward, reverse_scope, reverse, gone, memory) \
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let memory = json(&row.memory, "memory of a pair")?;
    execute(session, insert, (row.id, forward, &row.forward, reverse, &row.reverse, row.gone.map(name), memory))
        .map(|_| ())
}

/// What the other end calls a record, by the pair it belongs to.
pub fn identifier(session: &Session, scope: ScopeId, key: &str) -> Result<Option<String>, StoreError> {
    let sql = "SELECT reverse FROM twin WHERE forward_scope = ?1 AND forward = ?2 AND gone IS NULL \
               UNION ALL SELECT forward FROM twin WHERE reverse_scope = ?1 AND reverse = ?2 AND gone IS NULL";
    Ok(first(session, sql, (scope.0, key), |row| row.get(0))?.flatten())
}
