//! How much lies in a scope, and how much may.

/// How much lies in a scope and takes up room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Records that are due, or are claimed.
    pub due: u64,
    /// Records that wait, or are claimed.
    pub depth: u64,
    /// Dead letters; counted up to [`MOST_DEAD_LETTERS`].
    pub dead_letters: u64,
}

/// Dead letters of a scope beyond which nothing of it is delivered: none may be lost, and nobody reads that many.
pub const MOST_DEAD_LETTERS: u64 = 10_000;
