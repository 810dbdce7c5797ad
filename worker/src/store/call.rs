//! Calls to vendors: what the log keeps of each, and how it is asked. Types only.

use jiff::Timestamp;

/// A call that was made, without what it carried.
#[derive(Clone, PartialEq, Eq)]
pub struct MadeCall {
    /// When it was sent.
    pub at: Timestamp,
    /// Name of the Connector it went to.
    pub system: String,
    /// What it was for.
    pub purpose: String,
    /// Name of the stream or operation.
    pub name: String,
    /// The HTTP method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The vendor's status; none when no answer came.
    pub status: Option<u16>,
    /// What it came to, as a word.
    pub outcome: String,
    /// Whether what was asked was not done and should have been.
    pub failed: bool,
    /// From sending it to the end of the answer.
    pub milliseconds: u64,
    /// The vendor's id of the request.
    pub request_id: Option<String>,
    /// Name of the flow it was made for.
    pub flow: Option<String>,
    /// Key of the record it was made for; none for several.
    pub key: Option<String>,
    /// Which attempt of that record it belongs to, from 1 on.
    pub attempt: Option<u32>,
    /// How many records it wrote, where they are several.
    pub records: Option<u32>,
}

impl std::fmt::Debug for MadeCall {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Path and key can be personal data, and Debug output ends up in logs.
        formatter
            .debug_struct("MadeCall")
            .field("system", &self.system)
            .field("name", &self.name)
            .field("status", &self.status)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

/// A call in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedCall {
    /// Its number; calls that ended later have higher ones.
    pub number: i64,
    /// It.
    pub call: MadeCall,
}

/// Which calls are asked for. All of it has to be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallQuery {
    /// With a number below this.
    pub before: i64,
    /// At most so many.
    pub limit: usize,
    /// Made for this flow.
    pub flow: Option<String>,
    /// To this Connector.
    pub system: Option<String>,
    /// Only those that failed.
    pub failed: bool,
    /// Lowest and highest status; 0 is no answer.
    pub statuses: (u16, u16),
    /// Sent at this time or later.
    pub since: Option<Timestamp>,
}

impl Default for CallQuery {
    /// Everything.
    fn default() -> Self {
        Self {
            before: i64::MAX,
            limit: usize::MAX,
            flow: None,
            system: None,
            failed: false,
            statuses: (0, u16::MAX),
            since: None,
        }
    }
}

/// A part of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallPage {
    /// Calls that were asked for, newest first.
    pub calls: Vec<LoggedCall>,
    /// Below which number there may be more; none when there is not.
    pub next: Option<i64>,
    /// What is missing.
    pub gaps: Vec<CallGap>,
}

/// Calls that are not in the log although their days are not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallGap {
    /// Why.
    pub why: CallGapWhy,
    /// How many.
    pub calls: u64,
    /// When the last of them was sent.
    pub until: Timestamp,
}

/// Why calls are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallGapWhy {
    /// There were more than are kept.
    TooMany,
    /// The store did not take them in time.
    NotStored,
}
