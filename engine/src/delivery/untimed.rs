//! Deletions that a vendor tells of without saying when they happened. The time at which word of one came stands in for it, so a record that was
//! restored before the word came would be deleted again. So the source is asked for the record before that, where it can show a single one.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{Change, Facts, Judge};
use crate::{json::put, version::Version};

/// Where a deletion says that nothing said its time.
const MARK: &str = "/crosstieUntimed";
/// How long after word came a source may still show what it deleted, because it answers from a copy that lags behind.
const STILL_SHOWN: Duration = Duration::from_mins(1);
/// How long it is left alone meanwhile.
const SOURCE_LAG: Duration = Duration::from_secs(5);

/// Marks a deletion whose time nothing said.
pub fn mark_untimed(deletion: &mut Value) {
    put(deletion, MARK, Value::Bool(true));
}

/// Whether a payload is such a deletion.
pub fn is_untimed(payload: &str) -> bool {
    // Few are, and a text is searched sooner than parsed.
    payload.contains(MARK.trim_start_matches('/'))
        && serde_json::from_str::<Value>(payload).is_ok_and(|record| record.pointer(MARK) == Some(&Value::Bool(true)))
}

impl Judge<'_> {
    /// Decides about a record that its source shows although word of its deletion came: it waits while that may be a late copy. None is that it was
    /// restored, and what is shown counts.
    pub fn shown_after_all(&self, facts: &Facts) -> Option<Change> {
        let Version::Time(told) = facts.seen.version else { return None };
        let believed = told.checked_add(STILL_SHOWN).unwrap_or(Timestamp::MAX);
        // A time that is far ahead is of a clock that was set back.
        let lags = self.now < believed && told <= self.now;
        lags.then(|| self.waits(facts, self.now.checked_add(SOURCE_LAG).unwrap_or(Timestamp::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deletion_without_a_time_is_told_from_records() {
        let mut deletion = json!({"id": 7});
        assert!(!is_untimed(&deletion.to_string()));
        mark_untimed(&mut deletion);
        assert!(is_untimed(&deletion.to_string()));
        assert!(!is_untimed(r#"{"id": 7, "note": "crosstieUntimed"}"#));
        assert!(!is_untimed("crosstieUntimed"));
    }
}
