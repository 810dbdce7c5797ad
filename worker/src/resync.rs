//! Reading flows again because a person asked for it: after a mapping was corrected, or the destination lost something. What was settled comes
//! in once more and is compared with the ledger, so that only what differs is written.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use crosstie_crds::resync::{Answer, Ask, Begun};
use crosstie_engine::{
    plan::{StartFrom, Stream},
    window::{AgainFrom, CursorValue, NotFromATime, PollState},
};
use futures::future::join_all;
use tokio::sync::{Notify, oneshot};

use crate::{board::Board, lane::Lane};

/// Where a flow's intake hears that it is to begin again.
#[derive(Debug, Default)]
pub struct Again {
    line: Mutex<Line>,
    wake: Notify,
}

/// Who asked last, and whether anybody still answers.
#[derive(Debug, Default)]
struct Line {
    asked: Option<Asked>,
    closed: bool,
}

/// That somebody asked, and waits for the answer.
#[derive(Debug)]
pub struct Asked {
    /// From where on.
    pub from: AgainFrom,
    answer: oneshot::Sender<Result<(), String>>,
}

impl Again {
    /// Asks, and waits until it is stored. An error says in words why the flow is not read again.
    async fn ask(&self, from: AgainFrom) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        {
            let mut line = self.line();
            // Where nobody answers any more, the one who would have is let go of here.
            line.asked = (!line.closed).then_some(Asked { from, answer });
        }
        self.wake.notify_one();
        answered.await.unwrap_or_else(|_| {
            Err("somebody else asked for it meanwhile, or another plan came to work: ask once more".to_owned())
        })
    }

    /// Waits until somebody asks. Nothing is lost when waiting is given up.
    pub async fn asked(&self) -> Asked {
        loop {
            if let Some(asked) = self.line().asked.take() {
                return asked;
            }
            self.wake.notified().await;
        }
    }

    /// Nobody reads the flow any more: whoever waits is told so, and whoever asks later.
    pub fn close(&self) {
        *self.line() = Line { asked: None, closed: true };
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    /// Says what became of it.
    pub fn answer(self, became: Result<(), String>) {
        // Whoever asked may be gone; the flow is read again all the same.
        let _gone = self.answer.send(became);
    }
}

/// The state of reading from which a stream is read again: from where somebody asked for it, but never behind what was not read yet.
pub fn again(poll: &PollState, stream: &Stream, asked: AgainFrom, start: StartFrom) -> Result<PollState, NotFromATime> {
    let again = PollState::again(stream, asked)?;
    let AgainFrom::Time(time) = asked else { return Ok(again) };
    let reached = match (&poll.open, poll.cursor, start) {
        (Some(window), _, _) => window.bounds.from,
        (None, Some(cursor), _) => Some(cursor),
        (None, None, StartFrom::Time(start)) => Some(start.into()),
        // Nothing was to be read of the past.
        (None, None, StartFrom::Now) => return Ok(again),
        (None, None, StartFrom::Beginning) => None,
    };
    match reached {
        None => PollState::again(stream, AgainFrom::Beginning),
        Some(reached) if reached < CursorValue::Time(time) => {
            let from = if let StartFrom::Time(start) = start { Some(start.into()) } else { None };
            Ok(PollState { begins: poll.begins.or(from), cursor: Some(reached), ..again })
        }
        Some(_) => Ok(again),
    }
}

/// The router that the dead letters' address has this on too.
pub(crate) fn router(board: Arc<Board>) -> Router {
    Router::new().route("/resync", post(resync)).with_state(board)
}

async fn resync(State(board): State<Arc<Board>>, Json(ask): Json<Ask>) -> Result<Json<Answer>, (StatusCode, String)> {
    let posted = board.posted();
    let Some(crew) = &posted.crew else {
        let why = board.unready().unwrap_or_default();
        let idle = format!("nothing can be read again while the worker is not at work: {why}");
        return Err((StatusCode::SERVICE_UNAVAILABLE, idle));
    };
    let chosen = chosen(&crew.lanes, &ask.flows).map_err(|problem| (StatusCode::NOT_FOUND, problem))?;
    let from = ask.from.map_or(AgainFrom::Beginning, AgainFrom::Time);
    let begun = chosen
        .into_iter()
        .map(|lane| async move { Begun { flow: lane.flow.name.clone(), problem: lane.again.ask(from).await.err() } });
    Ok(Json(Answer { flows: join_all(begun).await }))
}

/// The lanes that are meant. Nothing is begun when a name is nobody's.
fn chosen<'a>(lanes: &'a [Arc<Lane>], names: &[String]) -> Result<Vec<&'a Arc<Lane>>, String> {
    if let Some(unknown) = names.iter().find(|name| !lanes.iter().any(|lane| lane.flow.name == **name)) {
        let known: Vec<&str> = lanes.iter().map(|lane| lane.flow.name.as_str()).collect();
        return Err(format!("there is no flow `{unknown}` at work; there are: {}", known.join(", ")));
    }
    Ok(lanes.iter().filter(|lane| names.is_empty() || names.contains(&lane.flow.name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crosstie_engine::plan::Cursor;

    #[test]
    fn what_was_not_read_yet_is_not_passed_over_by_reading_again_from_later_on() {
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        let cursor = Cursor { field: "/updated_at".into(), lookback_seconds: 60, ..Cursor::default() };
        let stream = Stream { cursor: Some(cursor), ..Stream::default() };
        let from = |poll: &PollState, asked: i64, start: StartFrom| {
            let poll = again(poll, &stream, AgainFrom::Time(at(asked)), start).unwrap();
            assert!(poll.again && poll.behind);
            poll.opened(&stream, start, at(2000)).open.unwrap().bounds.from.and_then(CursorValue::time)
        };
        let read = PollState { cursor: Some(at(1000).into()), ..PollState::default() };
        assert_eq!(from(&read, 500, StartFrom::Beginning), Some(at(500)));
        assert_eq!(from(&read, 1500, StartFrom::Beginning), Some(at(940)), "with what may have come late");
        assert_eq!(from(&PollState::default(), 1500, StartFrom::Beginning), None, "the past was not read yet");
        assert_eq!(from(&PollState::default(), 1500, StartFrom::Time(at(300))), Some(at(300)));
        let open = read.opened(&stream, StartFrom::Beginning, at(1800));
        assert_eq!(from(&open, 1500, StartFrom::Beginning), Some(at(880)), "its window was not read to its end");
        let first = PollState::default().opened(&stream, StartFrom::Beginning, at(1800));
        assert_eq!(from(&first, 1500, StartFrom::Beginning), None);
    }

    #[tokio::test]
    async fn whoever_asks_while_another_plan_comes_to_work_is_told() {
        let again = Again::default();
        let waiting = again.ask(AgainFrom::Beginning);
        let (waiting, ()) = tokio::join!(waiting, async { again.close() });
        assert!(waiting.unwrap_err().contains("ask once more"));
        assert!(again.ask(AgainFrom::Beginning).await.unwrap_err().contains("ask once more"));
    }

    #[tokio::test]
    async fn whoever_asks_first_is_told_when_another_one_asks_before_it_is_begun() {
        let again = Again::default();
        let first = again.ask(AgainFrom::Beginning);
        let second = async {
            let second = again.ask(AgainFrom::Time(jiff::Timestamp::UNIX_EPOCH));
            let reader = async {
                let asked = again.asked().await;
                assert_eq!(asked.from, AgainFrom::Time(jiff::Timestamp::UNIX_EPOCH));
                asked.answer(Ok(()));
            };
            tokio::join!(second, reader).0
        };
        let (first, second) = tokio::join!(first, second);
        assert!(first.unwrap_err().contains("ask once more"));
        second.unwrap();
    }
}
