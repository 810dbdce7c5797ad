//! What a source's whole list holds, and what is known and not on it: keys are marked page by page, and once the list was read to its end, the
//! ledger is compared with the marks, a part at a time.

use crosstie_engine::{
    delivery,
    window::{PollState, Sweep},
};

use super::{
    intake::{TakenOne, backlog, take_one},
    rows::{all, execute},
    writer::Session,
};
use crate::store::{Incoming, ScopeId, StoreError, SweptPart, Taken};

/// Marks the key of a record that is on the list.
pub fn mark(session: &Session, scope: ScopeId, record: &Incoming, round: i64) -> Result<(), StoreError> {
    let (Incoming::Record { key, .. } | Incoming::Word { key, .. } | Incoming::Faulty { key, .. }) = record;
    let mark = "INSERT INTO listed (scope, key, round) VALUES (?1, ?2, ?3) ON CONFLICT (scope, key) DO UPDATE SET round = excluded.round";
    execute(session, mark, (scope.0, key, round)).map(|_| ())
}

/// See [`Store::sweep`](crate::store::Store::sweep).
pub fn sweep(session: &mut Session, part: &SweptPart) -> Result<(Taken, PollState), StoreError> {
    let (scope, now) = (part.scope, part.now.as_microsecond());
    let mut taken = Taken::default();
    let mut poll = part.poll.clone();
    if let Some(Sweep { round, after }) = poll.sweep.take() {
        let known = "SELECT l.key, l.present AND coalesce(s.round, 0) <> ?3 FROM ledger l LEFT JOIN listed s ON s.scope = l.scope AND s.key = l.key \
                     WHERE l.scope = ?1 AND l.key > ?2 ORDER BY l.key LIMIT ?4";
        let known: Vec<(String, bool)> =
            all(session, known, (scope.0, &after, round, part.limit), |row| Ok((row.get(0)?, row.get(1)?)))?;
        for (key, _) in known.iter().filter(|(_, is_gone)| *is_gone) {
            let (word, hash) = delivery::unlisted(&part.key, key);
            let word = Incoming::Word { key: key.clone(), hash, payload: word.to_string() };
            match take_one(session, scope, &word, false, now)? {
                TakenOne::Kept => taken.kept += 1,
                TakenOne::Known => taken.known += 1,
                TakenOne::Buried => taken.buried += 1,
            }
        }
        let last = known.last().map(|(key, _)| key.clone());
        // Marks of earlier lists say nothing any more.
        let old = "DELETE FROM listed WHERE scope = ?1 AND key > ?2 AND (?3 IS NULL OR key <= ?3) AND round <> ?4";
        execute(session, old, (scope.0, &after, &last, round))?;
        poll.sweep = last.map(|after| Sweep { round, after });
    }
    let text = serde_json::to_string(&poll).map_err(|_| StoreError::Unreadable { what: "state of reading" })?;
    execute(session, "UPDATE scope SET poll = ?2 WHERE id = ?1", (scope.0, text))?;
    taken.backlog = backlog(session, scope, part.now)?;
    Ok((taken, poll))
}
