//! Intake: reads a flow's stream window by window and page by page, and puts what is new into the store together with how far it came. How
//! windows move is the engine's; what a page's records are is in `records` (pure).

mod family;
pub mod records;
mod sweep;

use std::{sync::Arc, time::Duration};

use crosstie_connect::{CallFailure, FailureKind, Page};
use crosstie_engine::{
    circuit::Admission,
    json::Json,
    plan::{Cursor, Stream},
    schedule,
    window::{CursorValue, PageSeen, PollState},
};
use jiff::Timestamp;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub use self::records::incoming;
use self::{family::Family, sweep::last_key};
use crate::{
    calls::Caller,
    lane::Lane,
    resync::{Again, Asked, again},
    store::{Backlog, Incoming, MOST_DEAD_LETTERS, Opened, StoreError, TakenPage},
    trouble,
    waiting::{capped, until},
};

/// Records of a flow that are due beyond which nothing more is read.
const MOST_DUE: u64 = 4_000;
/// Records waiting in a flow's queue beyond which nothing more is read, due or not: what they wait for may be among what was not read yet, so
/// they leave room for more.
const MOST_WAITING: u64 = 50_000;
/// How often a full queue is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Longest wait before a window is begun again whose pages keep being forgotten by the vendor.
const LONGEST_RESTART: Duration = Duration::from_mins(1);

/// Reads a flow's stream at its times until it is told to stop. A page under way is given up; the next start reads it again.
pub async fn run(lane: Arc<Lane>, opened: Opened, stop: CancellationToken) {
    Caller::flow(&lane).makes(reading(lane, opened, stop)).await;
}

async fn reading(lane: Arc<Lane>, opened: Opened, stop: CancellationToken) {
    let Opened { poll, last_run, .. } = opened;
    let _closing = Closing(&lane.again);
    let mut reader = Reader {
        lane: &lane,
        poll,
        last_run,
        backlog: Backlog::default(),
        restarts: 0,
        repeats: false,
        family: None,
        listed: None,
    };
    loop {
        let asked = tokio::select! {
            () = stop.cancelled() => return,
            asked = lane.again.asked() => asked,
            () = reader.run() => return,
        };
        reader.begin_again(asked).await;
    }
}

/// Tells those who ask for reading again that nobody reads any more, however that came.
struct Closing<'a>(&'a Again);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

struct Reader<'a> {
    lane: &'a Lane,
    poll: PollState,
    last_run: Option<Timestamp>,
    backlog: Backlog,
    /// How often the vendor forgot a page of the open window.
    restarts: u32,
    /// The pages of the open window came again and again: that the vendor answers does not mean that it can be read.
    repeats: bool,
    /// The page of parents whose children are being read, where the stream has a parent.
    family: Option<Family>,
    /// A record that the list holds which is being read, where a whole list tells what is gone.
    listed: Option<String>,
}

/// What reading a page came to nothing for.
enum Obstacle {
    Call(CallFailure),
    Store,
}

impl From<CallFailure> for Obstacle {
    fn from(failure: CallFailure) -> Self {
        Self::Call(failure)
    }
}

impl From<StoreError> for Obstacle {
    fn from(_: StoreError) -> Self {
        // Noted where it happened.
        Self::Store
    }
}

impl Reader<'_> {
    /// Begins again where a person said. What was under way of a page is given up; it is among what is read then, or comes with the next window.
    async fn begin_again(&mut self, asked: Asked) {
        let lane = self.lane;
        let stream = &lane.flow.stream;
        let windows = stream.parent.as_ref().map_or(stream, |parent| &parent.stream);
        // Nobody knows any more what a probe that was under way would have shown, nor how far a page of parents came.
        lane.gates.pages.undecided(lane.now());
        (self.family, self.restarts, self.repeats) = (None, 0, false);
        let began = match again(&self.poll, windows, asked.from, lane.flow.start_from) {
            Err(problem) => Err(problem.to_string()),
            Ok(poll) => {
                let run = self.last_run.unwrap_or_else(|| lane.now());
                self.last_run = Some(run);
                self.take(Vec::new(), poll, run).await.map(|_| ()).map_err(|error| error.to_string())
            }
        };
        if began.is_ok() {
            tracing::info!(flow = lane.flow.name, from = ?asked.from, "the stream is read again, because a person asked for it");
        }
        asked.answer(began);
    }

    async fn run(&mut self) {
        loop {
            // A window that a stop left open is read on at once, and so is the next one of a long past.
            let mut run =
                self.last_run.filter(|_| self.poll.open.is_some() || self.poll.behind || self.poll.sweep.is_some());
            while run.is_none() {
                run = self.wait_for_trigger().await;
            }
            let run = run.unwrap_or_else(|| self.lane.now());
            self.last_run = Some(run);
            self.lane.metrics.polled(&self.lane.flow.name);
            while !self.advance(run).await {}
        }
    }

    /// Waits for the flow's next time; gives it when it is there, and nothing when the clock has to be looked at again.
    async fn wait_for_trigger(&self) -> Option<Timestamp> {
        let now = self.lane.now();
        // A run that is yet to come was by a clock that was set back since: it says nothing of when the next one is due.
        let last = self.last_run.filter(|last| *last <= now);
        let next = schedule::next(&self.lane.flow.triggers, last, now);
        self.lane.facts.set_next_run(next);
        if next <= now {
            return Some(now);
        }
        sleep(capped(until(next, now))).await;
        None
    }

    /// Reads one page, or waits out what is in the way. Says whether the window is read to its end.
    async fn advance(&mut self, run: Timestamp) -> bool {
        self.wait_for_room().await;
        if self.poll.sweep.is_some() {
            return self.sweep().await;
        }
        let gate = &self.lane.gates.pages;
        match gate.admit(self.lane.now()) {
            Admission::Pass | Admission::Probe => {}
            Admission::Wait(time) => {
                let changed = gate.changed();
                let longest = time.map_or(LOOK_AGAIN, |time| until(time, self.lane.now()));
                tokio::select! {
                    () = sleep(capped(longest)) => {}
                    () = changed => {}
                }
                return false;
            }
        }
        match self.read(run).await {
            Ok(finished) => finished,
            Err(Obstacle::Store) => {
                gate.undecided(self.lane.now());
                sleep(trouble::PAUSE).await;
                false
            }
            Err(Obstacle::Call(failure)) if failure.kind == FailureKind::PageExpired => {
                self.restart(&failure).await;
                false
            }
            Err(Obstacle::Call(failure)) => {
                self.failed(&failure).await;
                false
            }
        }
    }

    async fn wait_for_room(&mut self) {
        let lane = self.lane;
        while is_full(&self.backlog) {
            lane.facts.waits_for_room(Some(lane.now()));
            sleep(LOOK_AGAIN).await;
            let backlog = lane.store.backlog(lane.scope, lane.now()).await;
            self.backlog = lane.store_trouble.looked(backlog).unwrap_or(self.backlog);
        }
        lane.facts.waits_for_room(None);
    }

    /// Reads a page and takes it. Says whether the window is read to its end.
    async fn read(&mut self, run: Timestamp) -> Result<bool, Obstacle> {
        let (lane, stream) = (self.lane, &self.lane.flow.stream);
        if let Some(parent) = &stream.parent {
            return self.read_family(parent, run).await;
        }
        let poll = self.opened(stream).await?;
        let Some(window) = &poll.open else {
            self.well();
            return Ok(self.take(Vec::new(), poll, run).await?);
        };
        let bounds = stream.cursor.as_ref().map(|_| &window.bounds);
        let take = |record: &Json| records::taken(record, stream);
        let page = lane.source.take_page(stream, bounds, &window.next, take).await?;
        let Page { records, next, delta, request_id, .. } = page;
        self.well();
        lane.metrics.read(&lane.flow.name, records.len() as u64);
        let values: Vec<CursorValue> = records.iter().filter_map(|record| record.value).collect();
        let records = records.into_iter().map(|record| (record.hash, record.incoming));
        let (hashes, incoming) = brought(records, request_id.as_deref());
        let turn = poll.turned(stream, &PageSeen { hashes: &hashes, next, values: &values, delta });
        match self.taken(turn, stream, request_id, run).await? {
            Some(poll) => Ok(self.take(incoming, poll, run).await?),
            None => Ok(false),
        }
    }

    /// The state with a window open, where there is something to look for.
    async fn opened(&self, stream: &Stream) -> Result<PollState, Obstacle> {
        if self.poll.open.is_some() {
            return Ok(self.poll.clone());
        }
        // Windows of counters have no end that the source's time would be needed for.
        let source_now = if stream.cursor.as_ref().is_some_and(Cursor::counts) {
            self.lane.now()
        } else {
            self.lane.source.source_time(stream).await?
        };
        let opened = self.poll.opened(stream, self.lane.flow.start_from, source_now);
        Ok(if self.lane.flow.deletes_unlisted { opened.marking(self.lane.now()) } else { opened })
    }

    /// The source answered as it should. While its pages come again and again that is not so, however well each of them looks.
    fn well(&self) {
        if self.repeats {
            self.lane.gates.pages.undecided(self.lane.now());
        } else {
            self.lane.gates.pages.well();
        }
    }

    async fn take(&mut self, records: Vec<Incoming>, poll: PollState, run: Timestamp) -> Result<bool, StoreError> {
        let (lane, now) = (self.lane, self.lane.now());
        let finished = poll.open.is_none();
        let synced = (finished && !poll.behind).then_some(now);
        let (again, round) = (self.poll.again, poll.round());
        if round.is_some() {
            self.listed = last_key(&records).or(self.listed.take());
        }
        let page = TakenPage { scope: lane.scope, records, poll: poll.clone(), again, round, run, synced, now };
        let taken = lane.store_trouble.changed(lane.store.take_page(page).await)?;
        self.poll = poll;
        self.backlog = taken.backlog;
        if finished {
            (self.restarts, self.repeats) = (0, false);
        }
        if taken.kept > 0 {
            lane.wake.notify_one();
        }
        if taken.buried > 0 {
            tracing::warn!(
                flow = lane.flow.name,
                records = taken.buried,
                "records without key or version went to the dead letters"
            );
        }
        lane.metrics.taken(&lane.flow.name, taken);
        Ok(finished && self.poll.sweep.is_none())
    }

    async fn failed(&self, failure: &CallFailure) {
        let lane = self.lane;
        lane.metrics.call_failed(&lane.flow.name, failure.kind);
        let (weather, opened) = lane.gates.pages.unwell(failure, lane.now());
        if opened {
            let (kind, detail) = (failure.kind.as_str(), &failure.detail);
            let request_id = failure.request_id.as_deref();
            tracing::warn!(
                flow = lane.flow.name,
                kind,
                detail,
                request_id,
                "the source cannot be read: it is tried again"
            );
        }
        if !weather.open {
            sleep(trouble::PAUSE).await;
        }
    }

    /// The vendor forgot the page: the window starts again, after a wait that grows with each time.
    async fn restart(&mut self, failure: &CallFailure) {
        let lane = self.lane;
        tracing::info!(flow = lane.flow.name, detail = failure.detail, "the window starts again from its first page");
        lane.gates.pages.undecided(lane.now());
        let wait = Duration::from_secs(2_u64.saturating_pow(self.restarts)) / 2;
        self.restarts = self.restarts.saturating_add(1);
        (self.poll, self.family) = (self.poll.restarted(), None);
        sleep(wait.min(LONGEST_RESTART)).await;
    }
}

/// The hashes of a page's records, and what the store takes of them.
fn brought(
    records: impl Iterator<Item = (String, Incoming)>,
    request_id: Option<&str>,
) -> (Vec<String>, Vec<Incoming>) {
    records.map(|(hash, incoming)| (hash, incoming.brought_by(request_id))).unzip()
}

/// Pages that came as they should, and that nothing can be done with.
fn unreadable(stream: &str, problem: &str, request_id: Option<String>) -> CallFailure {
    let detail = format!("`{stream}` cannot be read: {problem}; check the stream's `pagination`");
    CallFailure { request_id, ..CallFailure::new(FailureKind::Malformed, detail) }
}

/// Whether so much waits that nothing more is read.
fn is_full(backlog: &Backlog) -> bool {
    backlog.due > MOST_DUE || backlog.depth > MOST_WAITING || backlog.dead_letters >= MOST_DEAD_LETTERS
}
