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

/// Which part of an account a share is, in 0..1.
#[must_use]
pub fn weight(whole: &Allowance, share: &Allowance) -> f64 {
    let rate = |allowance: &Allowance| f64::from(allowance.requests) / f64::from(allowance.per_seconds.max(1));
    (rate(share) / rate(whole).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0)
}

/// A part of an allowance, at least one request in a longer span and one connection. Rounded down, so that parts never sum up to more.
#[must_use]
pub fn part(whole: &Allowance, weight: f64) -> Allowance {
    let weight = if weight.is_finite() { weight.clamp(1e-6, 1.0) } else { 1.0 };
    // A weight of a quarter may come out of a division a little below it.
    let ours = f64::from(whole.requests) * weight + 1e-9;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and what was a u32")]
    let (requests, per_seconds) = if ours >= 1.0 {
        (ours as u32, whole.per_seconds)
    } else {
        (1, (f64::from(whole.per_seconds) / ours).ceil().min(f64::from(u32::MAX)) as u32)
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no more than what was a u32")]
    let concurrency = ((f64::from(whole.concurrency) * weight + 1e-9) as u32).max(1);
    Allowance { requests, per_seconds, concurrency }
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

    #[test]
    fn a_part_of_an_endpoint_is_as_large_as_the_share_of_the_whole() {
        let whole = Allowance { requests: 40, per_seconds: 20, concurrency: 4 };
        let endpoint = Allowance { requests: 2, per_seconds: 60, concurrency: 8 };
        let part = |users: u32| part(&endpoint, weight(&whole, &share(&whole, users)));
        assert_eq!(part(1), endpoint);
        assert_eq!(part(2), Allowance { requests: 1, per_seconds: 60, concurrency: 4 });
        assert_eq!(part(4), Allowance { requests: 1, per_seconds: 120, concurrency: 2 });
        for absurd in [f64::NAN, -1.0, 0.0, 9.0] {
            assert!(super::part(&endpoint, absurd).requests >= 1);
        }
    }
}
