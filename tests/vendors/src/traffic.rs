//! What an instance received: counts by route and a bounded log. No records and no credentials.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::wire::{LogEntry, LogPage, RequestCount, Stats};

const LOG_CAPACITY: usize = 50_000;
const LOG_PAGE: usize = 10_000;

/// Counts and log of one instance.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    requests: HashMap<(String, String, u16), u64>,
    faults: BTreeMap<&'static str, u64>,
    requested_version: Option<String>,
    served_version: Option<String>,
    log: VecDeque<LogEntry>,
    sequence: u64,
}

impl Traffic {
    /// Counts a request whose answer is decided; the entry gets the next sequence number.
    pub(crate) fn enter(&mut self, route: &str, entry: LogEntry) {
        let key = (entry.method.clone(), route.to_owned(), entry.status);
        *self.requests.entry(key).or_default() += 1;
        self.sequence += 1;
        if self.log.len() == LOG_CAPACITY {
            self.log.pop_front();
        }
        self.log.push_back(LogEntry { sequence: self.sequence, ..entry });
    }

    /// Counts an applied fault.
    pub(crate) fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    /// Remembers the versions of a versioned request.
    pub(crate) fn versions(&mut self, requested: &str, served: &str) {
        replace(&mut self.requested_version, requested);
        replace(&mut self.served_version, served);
    }

    /// The counts. What is kept elsewhere (concurrency, writes) is left at its default.
    pub(crate) fn stats(&self) -> Stats {
        let mut requests: Vec<RequestCount> = self
            .requests
            .iter()
            .map(|((method, route, status), count)| RequestCount {
                method: method.clone(),
                route: route.clone(),
                status: *status,
                count: *count,
            })
            .collect();
        requests.sort_by(|a, b| (&a.route, &a.method, a.status).cmp(&(&b.route, &b.method, b.status)));
        Stats {
            total_requests: requests.iter().map(|entry| entry.count).sum(),
            requests,
            last_requested_version: self.requested_version.clone(),
            last_served_version: self.served_version.clone(),
            faults: self.faults.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect(),
            ..Stats::default()
        }
    }

    /// Log entries after `since`.
    pub(crate) fn log(&self, since: u64) -> LogPage {
        let oldest = self.log.front().map_or(self.sequence + 1, |entry| entry.sequence);
        let skip = usize::try_from((since + 1).saturating_sub(oldest)).unwrap_or(usize::MAX);
        LogPage {
            entries: self.log.iter().skip(skip).take(LOG_PAGE).cloned().collect(),
            oldest_kept: oldest,
            newest: self.sequence,
        }
    }

    /// Forgets counts and log; the sequence goes on.
    pub(crate) fn reset(&mut self) {
        *self = Self { sequence: self.sequence, ..Self::default() };
    }
}

fn replace(slot: &mut Option<String>, value: &str) {
    if slot.as_deref() != Some(value) {
        *slot = Some(value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn entry(status: u16) -> LogEntry {
        LogEntry {
            sequence: 0,
            time: Timestamp::UNIX_EPOCH,
            method: "GET".to_owned(),
            path: "/a".to_owned(),
            status,
            idempotency_key: None,
            request_id: String::new(),
            token_fingerprint: None,
            fault: None,
            key: None,
            rows: Vec::new(),
            effect: None,
            commit: None,
            name: None,
        }
    }

    #[test]
    fn requests_are_counted_by_method_route_and_status() {
        let mut traffic = Traffic::default();
        for status in [200, 200, 404] {
            traffic.enter("/a", entry(status));
        }
        let stats = traffic.stats();
        assert_eq!(stats.total_requests, 3);
        assert_eq!((stats.with_status(200), stats.with_status(404)), (2, 1));
    }

    #[test]
    fn the_log_is_bounded_and_says_what_was_dropped() {
        let mut traffic = Traffic::default();
        for _ in 0..LOG_CAPACITY + 5 {
            traffic.enter("/a", entry(200));
        }
        let page = traffic.log(0);
        assert_eq!((page.oldest_kept, page.entries.len()), (6, LOG_PAGE));
        let last = traffic.log(page.newest - 1);
        assert_eq!(last.entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [page.newest]);
        assert!(traffic.log(page.newest).entries.is_empty());
    }
}
