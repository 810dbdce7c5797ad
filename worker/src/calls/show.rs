//! The log of calls, to look at. Served on a loopback address as `crosstie_crds::calls` says.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::get,
};
use crosstie_crds::{
    calls::{Call, Calls, Gap, Why},
    letters::MOST,
};
use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    board::Board,
    store::{CallBook, CallGap, CallGapWhy, CallQuery, LoggedCall},
};

/// What questions are answered from.
#[derive(Clone)]
struct Log {
    board: Arc<Board>,
    book: Arc<CallBook>,
}

/// The router that the dead letters' address has this on too.
pub fn router(board: Arc<Board>, book: Arc<CallBook>) -> Router {
    Router::new().route("/calls", get(calls)).with_state(Log { board, book })
}

#[derive(Deserialize)]
struct Asked {
    before: Option<i64>,
    limit: Option<usize>,
    flow: Option<String>,
    system: Option<String>,
    #[serde(default)]
    failed: bool,
    lowest: Option<u16>,
    highest: Option<u16>,
    since: Option<Timestamp>,
}

async fn calls(State(log): State<Log>, Query(asked): Query<Asked>) -> Result<Json<Calls>, (StatusCode, String)> {
    let failed = |error: String| (StatusCode::SERVICE_UNAVAILABLE, error);
    let store = log.board.posted().store.clone();
    let store = store.ok_or_else(|| failed(log.board.unready().unwrap_or_default()))?;
    if log.book.has_waited(std::time::Duration::ZERO) {
        // Whoever asks what was just done is to see it. A store that is full can still be read.
        let _later = store.write_calls().await;
    }
    let page = store.calls(query(asked)).await.map_err(|error| failed(error.to_string()))?;
    Ok(Json(Calls {
        calls: page.calls.into_iter().map(shown).collect(),
        next: page.next,
        days: log.book.days(),
        gaps: page.gaps.into_iter().map(gap).collect(),
    }))
}

fn query(asked: Asked) -> CallQuery {
    let all = CallQuery::default();
    let (lowest, highest) = all.statuses;
    CallQuery {
        before: asked.before.unwrap_or(all.before),
        limit: asked.limit.unwrap_or(MOST).clamp(1, MOST),
        flow: asked.flow,
        system: asked.system,
        failed: asked.failed,
        statuses: (asked.lowest.unwrap_or(lowest), asked.highest.unwrap_or(highest)),
        since: asked.since,
    }
}

fn shown(LoggedCall { number, call }: LoggedCall) -> Call {
    Call {
        number,
        time: call.at,
        system: call.system,
        purpose: call.purpose,
        name: call.name,
        method: call.method,
        path: call.path,
        status: call.status,
        outcome: call.outcome,
        failed: call.failed,
        milliseconds: call.milliseconds,
        request_id: call.request_id,
        flow: call.flow,
        key: call.key,
        attempt: call.attempt,
        records: call.records,
    }
}

fn gap(CallGap { why, calls, until }: CallGap) -> Gap {
    let why = match why {
        CallGapWhy::TooMany => Why::TooMany,
        CallGapWhy::NotStored => Why::NotStored,
    };
    Gap { why, calls, until }
}
