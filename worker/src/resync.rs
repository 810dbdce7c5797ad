//! Reading flows again because a person asked for it: after a mapping was corrected, or the destination lost something. What was settled comes
//! in once more and is compared with the ledger, so that only what differs is written.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use crosstie_crds::resync::{Answer, Ask, Begun};
use crosstie_engine::window::AgainFrom;
use futures::future::join_all;
use tokio::sync::{Notify, oneshot};

use crate::{board::Board, lane::Lane};

/// Where a flow's intake hears that it is to begin again.
#[derive(Debug, Default)]
pub struct Again {
    asked: Mutex<Option<Asked>>,
    wake: Notify,
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
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Asked { from, answer });
        self.wake.notify_one();
        answered.await.unwrap_or_else(|_| {
            Err("somebody else asked for it meanwhile, or another plan came to work: ask once more".to_owned())
        })
    }

    /// Waits until somebody asks. Nothing is lost when waiting is given up.
    pub async fn asked(&self) -> Asked {
        loop {
            if let Some(asked) = self.asked.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return asked;
            }
            self.wake.notified().await;
        }
    }
}

impl Asked {
    /// Says what became of it.
    pub fn answer(self, became: Result<(), String>) {
        // Whoever asked may be gone; the flow is read again all the same.
        let _gone = self.answer.send(became);
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
