//! What calls come to: pages, writes and look-ups as the worker sees them. Types only; how an answer becomes one of them is decided in
//! `page`, `write` and `look_up`.

use crosstie_engine::{body::Body, window::Position};
use serde_json::Value;

use crate::failure::CallFailure;

/// A page of a stream: its records, or what was taken of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<R = Value> {
    /// Its records, in the vendor's order.
    pub records: Vec<R>,
    /// What the vendor says comes next. With pages by position this is the position right behind this page; the window steps back by one.
    pub next: Option<Position>,
    /// The vendor's URL that leads to what changes from now on, on a last page that has one.
    pub delta: Option<String>,
    /// The vendor's id of the request.
    pub request_id: Option<String>,
    /// The API version that was really served, where the vendor says.
    pub served_version: Option<String>,
}

/// A record to be written.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    /// It as it is mapped.
    pub body: &'a Body,
    /// What the vendor called it when it was written before, where that is known.
    pub identifier: Option<&'a str>,
    /// The key that makes sending it again safe, for the operation's header for it, where it has one.
    pub idempotency_key: Option<&'a str>,
}

/// What a write came to.
#[derive(Debug)]
pub enum Written {
    /// The vendor answered 2xx; or, to a DELETE, that the record is not there.
    Applied {
        /// The record's identifier over there; none when the operation declares none, or the answer's body was lost or unreadable.
        identifier: Option<String>,
        /// The vendor's id of the request.
        request_id: Option<String>,
    },
    /// Refused for the record's own fault: surely not applied.
    Refused {
        /// What the vendor said of it.
        fault: RecordFault,
    },
    /// The system's rules say that there is nothing to be done for it: surely not applied.
    Ignored {
        /// What the vendor said of it.
        fault: RecordFault,
    },
    /// There is no such record, and the operation writes only those that are there: none was made.
    Missing,
    /// It never left, or was turned away before it was looked at: surely not applied.
    NotSent {
        /// Why.
        failure: CallFailure,
    },
    /// It may or may not have been applied.
    Unknown {
        /// Why nobody knows.
        failure: CallFailure,
    },
}

/// What a write of several records came to.
#[derive(Debug)]
pub enum WrittenBatch {
    /// The vendor said of each record what came of it.
    Answered {
        /// As many as there were records, in their order.
        rows: Vec<Row>,
        /// The vendor's id of the request.
        request_id: Option<String>,
    },
    /// Refused whole: surely none was applied. It says nothing of a single record.
    Refused {
        /// What the vendor said.
        fault: RecordFault,
    },
    /// It never left, or was turned away before it was looked at: surely none was applied.
    NotSent {
        /// Why.
        failure: CallFailure,
    },
    /// Any of them may or may not have been applied.
    Unknown {
        /// Why nobody knows.
        failure: CallFailure,
    },
}

/// What a batch came to for one record.
#[derive(Debug)]
pub enum Row {
    /// It was applied.
    Applied {
        /// The record's identifier over there, where the result holds one.
        identifier: Option<String>,
    },
    /// Refused: surely not applied.
    Refused {
        /// What the vendor said of it.
        fault: RecordFault,
    },
}

/// What the vendor said of a record that it refused.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordFault {
    /// The vendor's status; none when the record could not even be made into a request.
    pub status: Option<u16>,
    /// The vendor's id of the request.
    pub request_id: Option<String>,
    /// A sentence for people, without values of the record.
    pub detail: String,
    /// Up to 2 KiB of the response. It may repeat values of the record: it belongs into the worker's store and nowhere else.
    pub excerpt: String,
    /// The vendor's own error code, if the response has one where vendors usually put it.
    pub code: Option<String>,
}

impl std::fmt::Debug for RecordFault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The excerpt may repeat a person's data, and Debug output ends up in logs.
        formatter
            .debug_struct("RecordFault")
            .field("status", &self.status)
            .field("request_id", &self.request_id)
            .field("detail", &self.detail)
            .field("excerpt_bytes", &self.excerpt.len())
            .field("code", &self.code)
            .finish()
    }
}

/// What a look-up found.
#[derive(Clone, Debug, PartialEq)]
pub enum LookedUp {
    /// The record.
    Present {
        /// The response, or the one member of the list in it that the key was found in.
        body: Value,
    },
    /// 404, or an empty list.
    Absent,
    /// Something else was found in its place: its key is not the one that was asked for.
    Stranger {
        /// The key that was found, if there was any.
        found: Option<String>,
    },
    /// A list of more than one: nobody can tell which one it is.
    Several,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_a_fault_does_not_show_the_excerpt() {
        let fault = RecordFault {
            status: Some(422),
            request_id: None,
            detail: "refused".into(),
            excerpt: "jane@example.com is taken".into(),
            code: None,
        };
        assert!(!format!("{fault:?}").contains("jane"));
    }
}
