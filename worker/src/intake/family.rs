//! Intake of a stream that has a parent: page by page of the parents that changed, and for each parent the pages of its children. Where a page of
//! parents stands is moved on only when the children of every parent on it were taken; which of them were is stored with each page of
//! children.

use std::collections::VecDeque;

use crosstie_connect::{FailureKind, Page};
use crosstie_engine::{
    canonical,
    json::Json,
    plan::{Parent, Stream},
    window::{CursorValue, PageSeen, PollState, Turn},
};
use serde_json::Value;

use super::{Obstacle, Reader, records, unreadable};
use crate::store::Incoming;

/// A page of parents whose children are being read.
pub(super) struct Family {
    /// The parents whose children are still to be read, with their keys; the first one's are read next.
    parents: VecDeque<(String, Value)>,
    /// The state of reading when all are.
    after: PollState,
}

impl Reader<'_> {
    /// Reads a page of parents, or a page of the children of one, and takes it. Says whether the window is read to its end.
    pub(super) async fn read_family(&mut self, parent: &Parent, run: jiff::Timestamp) -> Result<bool, Obstacle> {
        if self.family.is_none() && self.read_parents(parent, run).await? {
            return Ok(true);
        }
        let next = self.family.as_ref().and_then(|family| {
            let following = family.parents.get(1).map(|(key, _)| key.clone());
            family.parents.front().cloned().map(|front| (front, following))
        });
        match next {
            Some(((key, record), following)) => self.read_children(&key, &record, following.as_deref(), run).await,
            None => match self.family.take() {
                Some(Family { after, .. }) => Ok(self.take(Vec::new(), after, run).await?),
                None => Ok(false),
            },
        }
    }

    /// Reads a page of parents. Says whether there is nothing to read at all.
    async fn read_parents(&mut self, parent: &Parent, run: jiff::Timestamp) -> Result<bool, Obstacle> {
        let (lane, stream) = (self.lane, &parent.stream);
        let poll = self.opened(stream).await?;
        let Some(window) = &poll.open else {
            self.well();
            return Ok(self.take(Vec::new(), poll, run).await?);
        };
        let bounds = stream.cursor.as_ref().map(|_| &window.bounds);
        let take = |record: &Json| (canonical::hash_of(record), (records::value(record, stream), record.to_value()));
        let page = lane.source.take_page(stream, bounds, &window.next, take).await?;
        let Page { records, next, delta, request_id, .. } = page;
        self.well();
        let (hashes, records): (Vec<String>, Vec<_>) = records.into_iter().unzip();
        let (values, records): (Vec<_>, Vec<Value>) = records.into_iter().unzip();
        let values: Vec<CursorValue> = values.into_iter().flatten().collect();
        let asked = request_id.clone();
        let turn = poll.turned(stream, &PageSeen { hashes: &hashes, next, values: &values, delta });
        let Some(mut after) = self.taken(turn, stream, request_id, run).await? else { return Ok(false) };
        after.child = None;
        let (parents, strangers) = with_keys(records, parent);
        if !strangers.is_empty() {
            let strangers = strangers.into_iter().map(|stranger| stranger.brought_by(asked.as_deref())).collect();
            // Set aside before anything of the page is passed over.
            self.take(strangers, poll.clone(), run).await?;
        }
        // After a restart the children of some were read already, unless the page changed.
        let read = poll.child.as_ref().and_then(|child| parents.iter().position(|(key, _)| *key == child.parent));
        self.family = Some(Family { parents: parents.into_iter().skip(read.unwrap_or_default()).collect(), after });
        self.poll = poll;
        Ok(false)
    }

    async fn read_children(
        &mut self,
        key: &str,
        record: &Value,
        following: Option<&str>,
        run: jiff::Timestamp,
    ) -> Result<bool, Obstacle> {
        let (lane, stream) = (self.lane, &self.lane.flow.stream);
        let position = self.poll.children(key).next;
        let page = lane.source.read_page_of(stream, record, key, &position).await;
        if page
            .as_ref()
            .is_err_and(|failure| failure.kind == FailureKind::Refused && matches!(failure.status, Some(404 | 410)))
        {
            // The parent may be gone since its page was read: then it is not on it when it is read again.
            self.family = None;
        }
        let Page { records, next, request_id, .. } = page?;
        self.well();
        lane.metrics.read(&lane.flow.name, records.len() as u64);
        let records = records.iter().map(|record| records::incoming(&Json::from(record), stream));
        let (hashes, incoming) = super::brought(records, request_id.as_deref());
        let seen = PageSeen { hashes: &hashes, next, values: &[], delta: None };
        let (turn, last) = self.poll.turned_child(stream, key, following, &seen);
        let Some(poll) = self.taken(turn, stream, request_id, run).await? else { return Ok(false) };
        // Not before it is stored: what the store did not take is read again.
        self.take(incoming, poll, run).await?;
        if last && let Some(family) = &mut self.family {
            family.parents.pop_front();
        }
        Ok(false)
    }

    /// The state after a page that is taken; none if reading goes on elsewhere.
    pub(super) async fn taken(
        &mut self,
        turn: Turn,
        stream: &Stream,
        request_id: Option<String>,
        run: jiff::Timestamp,
    ) -> Result<Option<PollState>, Obstacle> {
        match turn {
            Turn::Take(poll) => Ok(Some(poll)),
            Turn::StepBack(poll) => {
                tracing::info!(
                    flow = self.lane.flow.name,
                    "records moved between pages: reading goes on from an earlier page"
                );
                // Stored at once: that records moved may not be seen again after a restart.
                self.take(Vec::new(), poll, run).await?;
                Ok(None)
            }
            Turn::Repeats(poll) => {
                self.take(Vec::new(), poll, run).await?;
                self.repeats = true;
                let problem = "its pages come again and again, so that reading them would never end: the vendor does not do what the \
                               Connector says leads to the next page";
                Err(unreadable(&stream.name, problem, request_id).into())
            }
            Turn::Stuck(stuck) => Err(unreadable(&stream.name, &stuck.to_string(), request_id).into()),
        }
    }
}

/// The parents of a page with their keys, and those that have none, which nothing can be read for.
fn with_keys(records: Vec<Value>, parent: &Parent) -> (Vec<(String, Value)>, Vec<Incoming>) {
    let (mut parents, mut strangers) = (Vec::with_capacity(records.len()), Vec::new());
    for record in records {
        match records::key(&record, &parent.key) {
            Ok(key) => parents.push((key, record)),
            Err(cause) => {
                let (hash, payload) = (canonical::hash(&record), record.to_string());
                strangers.push(Incoming::Faulty { key: String::new(), hash, payload, cause, request_id: None });
            }
        }
    }
    (parents, strangers)
}
