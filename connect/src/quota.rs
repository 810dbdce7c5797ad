//! What a vendor's headers say of the quota that is left: its own, where the Connector names them, or the dialects that many use. Pure. What cannot be
//! read is not there.

use std::time::Duration;

use crosstie_engine::plan::{RateHeaders, WaitFormat};
use http::HeaderMap;
use jiff::Timestamp;

use crate::signals;

/// Numbers larger than this are times and no waits: more seconds than thirty years have.
const EPOCH_FROM: u64 = 1_000_000_000;
/// And from this on they are times in milliseconds.
const EPOCH_MILLISECONDS_FROM: u64 = 100_000_000_000;

/// What is left of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How much there is in all.
    pub limit: Option<u64>,
    /// How much is left.
    pub remaining: u64,
    /// When all of it is there again.
    pub resets_in: Option<Duration>,
}

/// The quota in an answer's headers; none when they say nothing. `present` is asked only where a header holds a time.
pub fn read(headers: &HeaderMap, own: Option<&RateHeaders>, present: &dyn Fn() -> Timestamp) -> Option<Quota> {
    own.and_then(|own| configured(headers, own, present))
        .or_else(|| structured(headers))
        .or_else(|| in_three(headers, ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"], present))
        .or_else(|| in_three(headers, ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"], present))
        .or_else(|| in_three(headers, ["x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset"], present))
        .or_else(|| used(headers, "x-shopify-shop-api-call-limit"))
}

fn configured(headers: &HeaderMap, own: &RateHeaders, present: &dyn Fn() -> Timestamp) -> Option<Quota> {
    let resets_in = own.reset.as_ref().and_then(|reset| {
        let text = headers.get(&reset.header)?.to_str().ok()?;
        signals::wait(text, reset.format, present())
    });
    let of_used = own.used.as_ref().and_then(|name| used(headers, name));
    let of_remaining = own.remaining.as_ref().and_then(|name| number(headers, name)).map(|remaining| Quota {
        limit: own.limit.as_ref().and_then(|name| number(headers, name)),
        remaining,
        resets_in: None,
    });
    of_used.or(of_remaining).map(|quota| Quota { resets_in, ..quota })
}

/// Three headers, one for each number. A reset that is too large for a wait is a time.
fn in_three(headers: &HeaderMap, names: [&str; 3], present: &dyn Fn() -> Timestamp) -> Option<Quota> {
    let [limit, remaining, reset] = names;
    let remaining = number(headers, remaining)?;
    let reset = headers.get(reset).and_then(|value| value.to_str().ok());
    let resets_in = reset.and_then(|text| {
        let format = match text.trim().split('.').next()?.parse::<u64>() {
            Ok(EPOCH_MILLISECONDS_FROM..) => WaitFormat::EpochMilliseconds,
            Ok(EPOCH_FROM..) => WaitFormat::EpochSeconds,
            Ok(_) => WaitFormat::Seconds,
            Err(_) => WaitFormat::HttpDate,
        };
        signals::wait(text, format, present())
    });
    Some(Quota { limit: number(headers, limit), remaining, resets_in })
}

/// `RateLimit` of the IETF's drafts, with its policies one beside the other, as in `"burst";r=3;t=1, "day";r=900;t=3600`, or in its older form
/// `limit=10, remaining=3, reset=1`. Of several the one with the least left counts.
fn structured(headers: &HeaderMap) -> Option<Quota> {
    let text = headers.get("ratelimit")?.to_str().ok()?;
    let named = |text: &str, separator: char, name: &str| {
        let pairs = text.split(separator).filter_map(|part| part.trim().split_once('='));
        pairs.filter(|(found, _)| found.trim() == name).find_map(|(_, value)| value.trim().parse::<u64>().ok())
    };
    let seconds = |seconds: Option<u64>| seconds.map(Duration::from_secs);
    if let Some(remaining) = named(text, ',', "remaining") {
        let resets_in = seconds(named(text, ',', "reset"));
        return Some(Quota { limit: named(text, ',', "limit"), remaining, resets_in });
    }
    let policies = text.split(',').filter_map(|item| {
        let remaining = named(item, ';', "r")?;
        Some(Quota { limit: None, remaining, resets_in: seconds(named(item, ';', "t")) })
    });
    policies.min_by_key(|quota| quota.remaining)
}

/// How much is used of how much, as in `32/40` or `api-usage=18/5000`.
fn used(headers: &HeaderMap, name: &str) -> Option<Quota> {
    let text = headers.get(name)?.to_str().ok()?;
    let (used, limit) = text.split_once('/')?;
    let used =
        used.rsplit(|letter: char| !letter.is_ascii_digit() && letter != ' ').next()?.trim().parse::<u64>().ok()?;
    let limit = limit.trim().split(|letter: char| !letter.is_ascii_digit()).next()?.parse::<u64>().ok()?;
    (limit > 0).then_some(Quota { limit: Some(limit), remaining: limit.saturating_sub(used), resets_in: None })
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    // Some send the windows after the number, as in `100, 100;w=60`.
    text.split([',', ';']).next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn quota(pairs: &[(&'static str, &str)]) -> Option<(Option<u64>, u64, Option<u64>)> {
        let quota = read(&headers(pairs), None, &|| "2027-03-01T12:00:00Z".parse().unwrap())?;
        Some((quota.limit, quota.remaining, quota.resets_in.map(|wait| wait.as_secs())))
    }

    #[test]
    fn every_dialect_is_read() {
        for (pairs, expected) in [
            (&[("ratelimit", "\"default\";r=50;t=30")][..], (None, 50, Some(30))),
            (&[("ratelimit", "\"burst\";r=3;t=1, \"day\";r=900;t=3600")], (None, 3, Some(1))),
            (&[("ratelimit", "limit=10, remaining=3, reset=7")], (Some(10), 3, Some(7))),
            (
                &[("ratelimit-limit", "100, 100;w=60"), ("ratelimit-remaining", "9"), ("ratelimit-reset", "12")],
                (Some(100), 9, Some(12)),
            ),
            (
                &[("x-ratelimit-limit", "700"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1803902430")],
                (Some(700), 0, Some(30)),
            ),
            (&[("x-ratelimit-remaining", "5"), ("x-ratelimit-reset", "1803902430000")], (None, 5, Some(30))),
            (&[("x-rate-limit-remaining", "5"), ("x-rate-limit-reset", "2.5")], (None, 5, Some(3))),
            (
                &[("x-ratelimit-remaining", "5"), ("x-ratelimit-reset", "Mon, 01 Mar 2027 12:00:09 GMT")],
                (None, 5, Some(9)),
            ),
            (&[("x-shopify-shop-api-call-limit", "32/40")], (Some(40), 8, None)),
        ] {
            assert_eq!(quota(pairs), Some(expected), "{pairs:?}");
        }
    }

    #[test]
    fn garbage_is_not_there() {
        for pairs in [
            &[][..],
            &[("ratelimit", "")],
            &[("ratelimit", "\"default\";r=-1")],
            &[("ratelimit", "r")],
            &[("x-ratelimit-remaining", "many"), ("x-ratelimit-reset", "soon")],
            &[("x-ratelimit-remaining", "-1")],
            &[("x-ratelimit-limit", "10")],
            &[("x-shopify-shop-api-call-limit", "40")],
            &[("x-shopify-shop-api-call-limit", "a/b")],
            &[("x-shopify-shop-api-call-limit", "1/0")],
            &[("x-shopify-shop-api-call-limit", "99999999999999999999999/1")],
        ] {
            assert_eq!(quota(pairs), None, "{pairs:?}");
        }
        assert_eq!(quota(&[("x-ratelimit-remaining", "5"), ("x-ratelimit-reset", "soon")]), Some((None, 5, None)));
    }

    #[test]
    fn a_connectors_own_headers_come_first() {
        let own: RateHeaders = serde_json::from_value(serde_json::json!({
            "used": "Sforce-Limit-Info", "reset": {"header": "X-Reset-Ms", "format": "Milliseconds"},
        }))
        .unwrap();
        let pairs =
            [("sforce-limit-info", "api-usage=18/5000"), ("x-reset-ms", "1500"), ("x-ratelimit-remaining", "1")];
        let expected = Quota { limit: Some(5000), remaining: 4982, resets_in: Some(Duration::from_millis(1500)) };
        assert_eq!(read(&headers(&pairs), Some(&own), &|| Timestamp::UNIX_EPOCH), Some(expected));
    }
}
