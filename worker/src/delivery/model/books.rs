//! The destination and the source's single records: hands each call to the world's vendor or source, and answers a write only when it is told
//! to.

use std::sync::Mutex;

use crosstie_connect::{CallFailure, FailureKind, LookedUp, Outgoing, RecordFault, Row, Written, WrittenBatch};
use crosstie_engine::{
    body::Body,
    plan::{LookUp, Method, Operation, Stream},
};
use crosstie_histories::{BatchAnswer, End, FetchAnswer, Flight, LookUpAnswer, Message, Shared, WriteAnswer};
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;
use tokio::{
    sync::{Notify, oneshot},
    task::{Id, id},
};

use super::ground::EPOCH;
use crate::{destination::Destination, singles::Singles};

/// A write that was received and is not answered yet.
pub struct Received {
    /// Whose it is.
    task: Id,
    /// What it will be answered.
    pub answer: Answer,
    /// Answers it.
    pub release: oneshot::Sender<()>,
}

/// What a call is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A write, or a delete.
    One { deletes: bool, answer: WriteAnswer },
    /// A write of several records.
    Batch(BatchAnswer),
}

/// The destination.
pub struct Books {
    world: Shared,
    /// What becomes of the calls of the record that is being carried.
    pub flight: Mutex<Flight>,
    /// Writes that were received and not taken up.
    waiting: Mutex<Vec<Received>>,
    /// A write was received, or would have been had the process lived.
    pub received: Notify,
}

impl Books {
    pub fn new(world: Shared) -> Self {
        Self { world, flight: Mutex::new(Flight::WELL), waiting: Mutex::default(), received: Notify::new() }
    }

    /// A write that was received of a task.
    pub fn take(&self, task: Id) -> Option<Received> {
        let mut waiting = self.waiting.lock().unwrap();
        let place = waiting.iter().position(|received| received.task == task)?;
        Some(waiting.remove(place))
    }

    /// Waits until the call is answered.
    async fn release(&self, answer: Answer) {
        let (release, released) = oneshot::channel();
        self.waiting.lock().unwrap().push(Received { task: id(), answer, release });
        self.received.notify_one();
        // Whoever drops the sender never answers.
        if released.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Destination for Books {
    fn write<'a>(&'a self, operation: &'a Operation, outgoing: Outgoing<'a>) -> BoxFuture<'a, Written> {
        Box::pin(async move {
            let flight = *self.flight.lock().unwrap();
            if flight.end == End::KilledBefore {
                self.received.notify_one();
                return std::future::pending().await;
            }
            let now = self.world.now();
            let deletes = operation.method == Method::Delete;
            let message = Message { body: Value::clone(outgoing.body), deletes };
            let answer = self.world.get().vendor.write(
                now,
                &message,
                outgoing.idempotency_key,
                flight,
                flight.end == End::Stored,
            );
            self.release(Answer::One { deletes, answer }).await;
            written(answer)
        })
    }

    fn write_batch<'a>(
        &'a self,
        _: &'a Operation,
        bodies: &'a [&'a Body],
        idempotency_key: Option<&'a str>,
    ) -> BoxFuture<'a, WrittenBatch> {
        Box::pin(async move {
            let flight = *self.flight.lock().unwrap();
            if flight.end == End::KilledBefore {
                self.received.notify_one();
                return std::future::pending().await;
            }
            let now = self.world.now();
            let message = |body: &&Body| Message { body: Value::clone(body), deletes: false };
            let messages: Vec<_> = bodies.iter().map(message).collect();
            let stored = flight.end == End::Stored;
            let answer = self.world.get().vendor.write_batch(now, &messages, idempotency_key, flight, stored);
            self.release(Answer::Batch(answer.clone())).await;
            written_batch(answer)
        })
    }

    fn look_up<'a>(
        &'a self,
        operation: &'a Operation,
        _: &'a LookUp,
        body: &'a Value,
        decided: Timestamp,
    ) -> BoxFuture<'a, Result<LookedUp, CallFailure>> {
        Box::pin(async move {
            let look = self.flight.lock().unwrap().look;
            let now = self.world.now();
            let decided = (operation.method != Method::Delete).then(|| decided.as_second() - EPOCH);
            match self.world.get().vendor.look_up(now, body, look, decided) {
                LookUpAnswer::Present(body) => Ok(LookedUp::Present { body }),
                LookUpAnswer::Absent => Ok(LookedUp::Absent),
                LookUpAnswer::Stranger => Ok(LookedUp::Stranger { found: None }),
                LookUpAnswer::Several => Ok(LookedUp::Several),
                LookUpAnswer::Failed => Err(failure(FailureKind::ServerError).answered(503, None)),
            }
        })
    }
}

impl Singles for Books {
    fn read_one<'a>(&'a self, _: &'a Stream, key: &'a str) -> BoxFuture<'a, Result<Option<Value>, CallFailure>> {
        Box::pin(async move {
            let fetch = self.flight.lock().unwrap().fetch;
            let mut world = self.world.get();
            let means = world.means;
            match world.fetch(key, fetch) {
                FetchAnswer::Shown(state) => Ok(Some(state.record(means))),
                FetchAnswer::Absent => Ok(None),
                FetchAnswer::Failed => Err(failure(FailureKind::ServerError).answered(503, None)),
            }
        })
    }
}

fn failure(kind: FailureKind) -> CallFailure {
    CallFailure::new(kind, "the system failed")
}

fn refusal() -> RecordFault {
    let (request_id, code) = (None, None);
    RecordFault { status: Some(422), request_id, detail: "refused".to_owned(), excerpt: String::new(), code }
}

fn written_batch(answer: BatchAnswer) -> WrittenBatch {
    let row = |applied| if applied { Row::Applied { identifier: None } } else { Row::Refused { fault: refusal() } };
    let whole = match answer {
        BatchAnswer::Rows(rows) => {
            return WrittenBatch::Answered { rows: rows.into_iter().map(row).collect(), request_id: None };
        }
        BatchAnswer::Whole(answer) => written(answer),
    };
    match whole {
        // A vendor does not say of several records that they are applied without saying so of each.
        Written::Applied { .. } | Written::Missing => WrittenBatch::Refused { fault: refusal() },
        Written::Refused { fault } | Written::Ignored { fault } => WrittenBatch::Refused { fault },
        Written::NotSent { failure } => WrittenBatch::NotSent { failure },
        Written::Unknown { failure } => WrittenBatch::Unknown { failure },
    }
}

fn written(answer: WriteAnswer) -> Written {
    match answer {
        WriteAnswer::Applied => Written::Applied { identifier: None, request_id: None },
        WriteAnswer::Refused => Written::Refused { fault: refusal() },
        WriteAnswer::Limited(seconds) => {
            let wait = std::time::Duration::from_secs(seconds.into());
            Written::NotSent { failure: failure(FailureKind::RateLimited).answered(429, None).after(Some(wait)) }
        }
        WriteAnswer::Failed => Written::Unknown { failure: failure(FailureKind::ServerError).answered(503, None) },
        WriteAnswer::TimedOut => Written::Unknown { failure: failure(FailureKind::TimedOut) },
        WriteAnswer::NeverLeft => Written::NotSent { failure: failure(FailureKind::Unreachable) },
    }
}
