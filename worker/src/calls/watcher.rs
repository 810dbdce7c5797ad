//! Watches calls: counts them, and notes what of each the log keeps. Bodies, headers and queries never come here; a path and a key can name a person.

use std::sync::Arc;

use crosstie_connect::{CacheUse, CallRecord, Clock, JudgedCall, Observer};
use jiff::SignedDuration;

use super::Caller;
use crate::{
    metrics::Metrics,
    store::{CallBook, MadeCall},
};

/// Longest path and longest key that are noted, in characters.
const LONGEST: usize = 512;

/// Watches calls.
pub struct Watcher {
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Where calls wait until they are stored.
    pub book: Arc<CallBook>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

impl Observer for Watcher {
    fn called(&self, record: &CallRecord<'_>) {
        self.metrics.called(record);
    }

    fn judged(&self, call: &JudgedCall<'_>) {
        if self.book.is_kept() {
            self.book.note(self.made(call, Caller::present()));
        }
    }

    fn cached(&self, name: &str, cache_use: CacheUse) {
        self.metrics.cached(name, cache_use);
    }
}

impl Watcher {
    fn made(&self, call: &JudgedCall<'_>, caller: Caller) -> MadeCall {
        let now = self.clock.now();
        let duration = SignedDuration::try_from(call.duration).unwrap_or(SignedDuration::ZERO);
        MadeCall {
            at: now.checked_sub(duration).unwrap_or(now),
            system: call.connector.to_owned(),
            purpose: call.purpose.as_str().to_owned(),
            name: call.name.to_owned(),
            method: call.method.as_str().to_owned(),
            path: shortened(call.path),
            status: call.status,
            outcome: call.judgement.as_str().to_owned(),
            failed: call.judgement.is_failure(),
            milliseconds: u64::try_from(call.duration.as_millis()).unwrap_or(u64::MAX),
            request_id: call.request_id.map(str::to_owned),
            flow: caller.flow,
            key: caller.key.as_deref().map(shortened),
            attempt: caller.attempt,
            records: caller.records,
        }
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_cut_between_characters() {
        assert_eq!(shortened("/orders/7"), "/orders/7");
        let cut = shortened(&"ü".repeat(2000));
        assert!(cut.chars().count() == LONGEST + 1 && cut.ends_with('…'));
    }
}
