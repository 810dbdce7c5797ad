//! Calls to the vendor: what is written, and what is answered. Types only.

use serde_json::Value;

/// What a write is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteAnswer {
    /// 200.
    Applied,
    /// 422.
    Refused,
    /// 429, with the seconds to wait; surely not applied.
    Limited(u8),
    /// 500 or 503: applied or not.
    Failed,
    /// Nothing, within the time a call may take: applied or not.
    TimedOut,
    /// There was no connection: surely not applied.
    NeverLeft,
}

/// What a write of several records is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchAnswer {
    /// 200, and of each record whether it was applied; else it was refused.
    Rows(Vec<bool>),
    /// This, as a whole; never that it was applied.
    Whole(WriteAnswer),
}

/// What a look-up is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookUpAnswer {
    /// This is there.
    Present(Value),
    /// Nothing is.
    Absent,
    /// Another record is.
    Stranger,
    /// Several are.
    Several,
    /// 503.
    Failed,
}

/// What is written: a body, or that what it names be gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The body.
    pub body: Value,
    /// Whether it deletes.
    pub deletes: bool,
}
