//! What webhooks bring: events with what they bring to the flows, in one transaction, and the log of them.

use jiff::Timestamp;

use super::{
    intake::take_one,
    rows::{all, count, execute, time},
    writer::Session,
};
use crate::store::{EventFate, LoggedEvent, StoreError, TakenEvent, TakenEvents};

/// See [`Store::take_events`](crate::store::Store::take_events).
pub fn take(session: &mut Session, taken: &TakenEvents) -> Result<Vec<EventFate>, StoreError> {
    taken.events.iter().map(|event| take_event(session, taken, event)).collect()
}

fn take_event(session: &mut Session, taken: &TakenEvents, event: &TakenEvent) -> Result<EventFate, StoreError> {
    let now = taken.now.as_microsecond();
    // Mostly each flow that it brings something to has not seen that yet. One statement finds out whether the event is known and keeps it.
    let brings = as_column(event.brings.len());
    let insert = "INSERT INTO event (source, mark, event_id, topic, hash, received_at, keep_until, flows, news) \
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8) ON CONFLICT (source, mark) WHERE mark IS NOT NULL DO NOTHING";
    let keep_until = taken.keep_until.as_microsecond();
    let TakenEvent { id, mark, topic, hash, .. } = event;
    if execute(session, insert, (&taken.source, mark, id, topic, hash, now, keep_until, brings))? == 0 {
        execute(
            session,
            "UPDATE event SET repeats = repeats + 1 WHERE source = ?1 AND mark = ?2",
            (&taken.source, mark),
        )?;
        return Ok(EventFate::Repeated);
    }
    let number = session.connection.last_insert_rowid();
    let mut fates = Vec::with_capacity(event.brings.len());
    for (scope, incoming) in &event.brings {
        fates.push((*scope, take_one(session, *scope, incoming, false, now)?.is_news()));
    }
    let news = as_column(fates.iter().filter(|(_, news)| *news).count());
    if news != brings {
        execute(session, "UPDATE event SET news = ?2 WHERE id = ?1", (number, news))?;
    }
    Ok(EventFate::Taken(fates))
}

fn as_column(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// See [`Store::events`](crate::store::Store::events).
pub fn events(session: &Session, before: i64, limit: usize) -> Result<Vec<LoggedEvent>, StoreError> {
    let sql = "SELECT id, source, event_id, topic, hash, received_at, repeats, flows, news FROM event WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
    let rows = all(session, sql, (before, as_column(limit)), |row| {
        let counts: [i64; 3] = [row.get(6)?, row.get(7)?, row.get(8)?];
        Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?), row.get::<_, i64>(5)?, counts))
    })?;
    let event = |(number, (source, id, topic, hash), received_at, [repeats, flows, news]): (_, _, i64, [i64; 3])| {
        Ok(LoggedEvent {
            number,
            source,
            id,
            topic,
            hash,
            received_at: time(received_at)?,
            repeats: count(repeats),
            flows: count(flows),
            news: count(news),
        })
    };
    rows.into_iter().map(event).collect()
}

/// Removes events that need not be kept any longer; says how many.
pub fn forget(session: &Session, now: Timestamp) -> Result<usize, StoreError> {
    execute(session, "DELETE FROM event WHERE keep_until < ?1", [now.as_microsecond()])
}
