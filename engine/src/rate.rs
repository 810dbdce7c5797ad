//! How an account's allowance is split among those who use it: equal shares, none below one request and one connection. The shares document is
//! what the operator publishes and the worker keeps to.

use serde::{Deserialize, Serialize};

use crate::{canonical, plan::Allowance};

/// A worker's shares of the two accounts it uses. Not part of the plan: it changes whenever others come and go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shares {
    /// Share of the source's account.
    pub source: Allowance,
    /// Share of the destination's account.
    pub destination: Allowance,
}

impl Shares {
    /// Hash that tells these shares from others, 16 hexadecimal digits.
    pub fn hash(&self) -> String {
        canonical::short_hash(self)
    }

    /// The document as it is published.
    pub fn to_json(&self) -> String {
        canonical::json(self)
    }
}

/// One of `users` equal shares of an allowance. Where there are more users than requests in a span, spans are made longer, so that the sum never
/// exceeds the allowance; a connection each is the least, so more users than connections exceed `concurrency`, which vendors answer with 429.
#[must_use]
pub fn share(whole: &Allowance, users: u32) -> Allowance {
    let users = users.max(1);
    let (requests, per_seconds) = if whole.requests >= users {
        (whole.requests / users, whole.per_seconds)
    } else {
        (1, whole.per_seconds.saturating_mul(users.div_ceil(whole.requests.max(1))))
    };
    Allowance { requests, per_seconds, concurrency: (whole.concurrency / users).max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_sum_up_to_more_requests_than_the_allowance() {
        for requests in 1..50 {
            for users in 1..60 {
                let whole = Allowance { requests, per_seconds: 10, concurrency: 4 };
                let one = share(&whole, users);
                let ours = u64::from(one.requests) * u64::from(users) * u64::from(whole.per_seconds);
                assert!(ours <= u64::from(requests) * u64::from(one.per_seconds), "{requests} {users} {one:?}");
                assert!(one.requests >= 1 && one.concurrency >= 1);
            }
        }
    }
}
