//! From what the vendor's client says to what the protocol decides by. The one place where the two meet.

use crosstie_connect::{self as connect, CallFailure, FailureKind, LookedUp, RecordFault, Written, WrittenBatch};
use crosstie_engine::delivery::{BatchSent, Fault, Found, Row, Sent, Setback};

/// What a write came to.
pub fn sent(written: Written) -> Sent {
    match written {
        Written::Applied { identifier, request_id: _ } => Sent::Applied { identifier },
        Written::Refused { fault } => Sent::Refused(refusal(fault)),
        Written::Ignored { fault } => Sent::Ignored(refusal(fault)),
        Written::Missing => Sent::Missing,
        Written::NotSent { failure } => Sent::NotSent(setback(failure)),
        Written::Unknown { failure } => Sent::Unknown(setback(failure)),
    }
}

/// What a write of several records came to.
pub fn batch_sent(written: WrittenBatch) -> BatchSent {
    match written {
        WrittenBatch::Answered { rows, request_id: _ } => BatchSent::Answered(rows.into_iter().map(row).collect()),
        WrittenBatch::Refused { fault } => BatchSent::Refused(refusal(fault)),
        WrittenBatch::NotSent { failure } => BatchSent::NotSent(setback(failure)),
        WrittenBatch::Unknown { failure } => BatchSent::Unknown(setback(failure)),
    }
}

fn row(row: connect::Row) -> Row {
    match row {
        connect::Row::Applied { identifier } => Row::Applied { identifier },
        connect::Row::Refused { fault } => Row::Refused(refusal(fault)),
    }
}

/// What a look-up found.
pub fn found(found: LookedUp) -> Found {
    match found {
        LookedUp::Present { body } => Found::Present(body),
        LookedUp::Absent => Found::Absent,
        LookedUp::Stranger { found: _ } => Found::Stranger,
        LookedUp::Several => Found::Several,
    }
}

/// A failed call.
pub fn setback(failure: CallFailure) -> Setback {
    let overloaded = overloaded(&failure);
    let CallFailure { kind: _, status, request_id, retry_after, detail, source: _ } = failure;
    Setback { fault: Fault { cause: detail, status, request_id, excerpt: None }, retry_after, overloaded }
}

fn refusal(fault: RecordFault) -> Fault {
    let RecordFault { status, request_id, detail, excerpt, code: _ } = fault;
    Fault { cause: detail, status, request_id, excerpt: (!excerpt.is_empty()).then_some(excerpt) }
}

/// Whether the vendor itself answered 429 or 5xx, or what its rules take for that.
pub fn overloaded(failure: &CallFailure) -> bool {
    match failure.kind {
        FailureKind::ServerError => true,
        // Without a status it is our own throttle.
        FailureKind::RateLimited => failure.status.is_some(),
        FailureKind::Unreachable
        | FailureKind::TimedOut
        | FailureKind::CredentialsRejected
        | FailureKind::Refused
        | FailureKind::PageExpired
        | FailureKind::Malformed
        | FailureKind::EgressRefused
        | FailureKind::BodyTooLarge
        | FailureKind::Unsupported => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_vendors_own_429_or_5xx_could_be_the_records_doing() {
        let limited = || CallFailure::new(FailureKind::RateLimited, "slow");
        assert!(setback(limited().answered(429, None)).overloaded);
        assert!(!setback(limited()).overloaded, "our own throttle");
        assert!(setback(CallFailure::new(FailureKind::ServerError, "down").answered(503, None)).overloaded);
        assert!(!setback(CallFailure::new(FailureKind::TimedOut, "late")).overloaded);
    }
}
