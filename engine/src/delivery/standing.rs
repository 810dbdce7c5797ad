//! Whether a claimed record is still news, compared with what was settled for its key before.

use std::cmp::Ordering;

use super::{LedgerEntry, Rule, Seen};

/// What a claimed record is, compared with what was settled before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// News: map it and compare bodies.
    News,
    /// The same version with another content. It was read after what was settled, so it is what the source shows now.
    Ambiguous,
    /// A newer state was settled already.
    Superseded,
    /// The source changed how it orders states: a time became a counter, or the reverse. A fault of the record.
    NotComparable,
}

/// Compares a claimed record with the ledger.
pub fn standing(seen: &Seen, ledger: Option<&LedgerEntry>) -> Standing {
    let Some(ledger) = ledger else { return Standing::News };
    match seen.version.compare(&ledger.version) {
        None => Standing::NotComparable,
        Some(Ordering::Less) if Rule::OlderIsSuperseded.holds() => Standing::Superseded,
        Some(Ordering::Equal) if seen.hash != ledger.source_hash => Standing::Ambiguous,
        Some(Ordering::Less | Ordering::Equal | Ordering::Greater) => Standing::News,
    }
}

/// Whether a mapped body needs a write: not when the destination is believed to have it. An echo stops here.
pub fn needs_write(body_hash: &str, ledger: Option<&LedgerEntry>) -> bool {
    ledger.and_then(|entry| entry.body_hash.as_deref()) != Some(body_hash) || !Rule::SameBodyIsNotWritten.holds()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Version;

    fn seen(counter: i64, hash: &str) -> Seen {
        Seen { version: Version::Counter(counter), hash: hash.into() }
    }

    fn entry(counter: i64, hash: &str, body: &str) -> LedgerEntry {
        LedgerEntry {
            version: Version::Counter(counter),
            source_hash: hash.into(),
            body_hash: Some(body.into()),
            present: true,
            identifier: None,
        }
    }

    #[test]
    fn an_older_state_never_overwrites_a_newer_one() {
        let ledger = entry(5, "a", "b");
        assert_eq!(standing(&seen(4, "x"), Some(&ledger)), Standing::Superseded);
        assert_eq!(standing(&seen(5, "a"), Some(&ledger)), Standing::News);
        assert_eq!(standing(&seen(5, "x"), Some(&ledger)), Standing::Ambiguous);
        assert_eq!(standing(&seen(6, "x"), Some(&ledger)), Standing::News);
        assert_eq!(standing(&seen(6, "x"), None), Standing::News);
    }

    #[test]
    fn the_same_body_is_not_written_again() {
        assert!(!needs_write("b", Some(&entry(1, "a", "b"))));
        assert!(needs_write("c", Some(&entry(1, "a", "b"))));
        assert!(needs_write("b", None));
        assert!(needs_write("b", Some(&LedgerEntry { body_hash: None, ..entry(1, "a", "b") })), "left out before");
    }
}
