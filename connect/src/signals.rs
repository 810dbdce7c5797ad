//! What a vendor's headers ask of our pace. Pure readings of single headers.

use std::time::Duration;

use http::{HeaderMap, header};
use jiff::Timestamp;

use crate::clock;

/// The longest wait that is believed: beyond a day a vendor's number is more likely wrong than meant.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(24);

/// Shopify's report of how full its bucket is, as in `32/40`.
const CALL_LIMIT: &str = "x-shopify-shop-api-call-limit";

/// `Retry-After` in its two forms (RFC 9110, section 10.2.3). A date is counted from the answer's own `Date`, so that a clock that is off does
/// not matter, or else from `local`. A date that is past asks for no wait.
pub fn retry_after(headers: &HeaderMap, local: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = text.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER));
    }
    // Some vendors send fractions of a second, which the RFC does not have; they are rounded up by their own digits.
    if let Some((whole, fraction)) = text.split_once('.')
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(seconds) = whole.parse::<u64>()
    {
        return Some(Duration::from_secs(seconds.saturating_add(1)).min(LONGEST_RETRY_AFTER));
    }
    let until = clock::http_date(text)?;
    let from = clock::date(headers).unwrap_or(local);
    let wait = Duration::try_from(until.duration_since(from)).unwrap_or(Duration::ZERO);
    Some(wait.min(LONGEST_RETRY_AFTER))
}

/// By how much to stretch the spacing of requests, from how full the vendor says its bucket is; none when it says nothing.
pub fn slowness(headers: &HeaderMap) -> Option<u32> {
    let (used, limit) = headers.get(CALL_LIMIT)?.to_str().ok()?.split_once('/')?;
    let (used, limit): (u64, u64) = (used.trim().parse().ok()?, limit.trim().parse().ok()?);
    let percent = used.saturating_mul(100).checked_div(limit)?;
    Some(match percent {
        0..80 => 1,
        80..95 => 2,
        _ => 4,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn wait(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        retry_after(&headers(pairs), "2027-03-01T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        assert_eq!(wait(&[("retry-after", " 7 ")]), Some(Duration::from_secs(7)));
        assert_eq!(wait(&[("retry-after", "2.0")]), Some(Duration::from_secs(3)));
        assert_eq!(wait(&[("retry-after", "Mon, 01 Mar 2027 12:01:00 GMT")]), Some(Duration::from_mins(1)));
    }

    #[test]
    fn a_date_is_counted_from_the_vendors_own_clock() {
        let pairs = [("retry-after", "Mon, 01 Mar 2027 09:00:30 GMT"), ("date", "Mon, 01 Mar 2027 09:00:00 GMT")];
        assert_eq!(wait(&pairs), Some(Duration::from_secs(30)));
    }

    #[test]
    fn absurd_waits_are_bounded_and_nonsense_is_none() {
        assert_eq!(wait(&[("retry-after", "99999999999999999999999")]), Some(LONGEST_RETRY_AFTER));
        assert_eq!(wait(&[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")]), Some(LONGEST_RETRY_AFTER));
        assert_eq!(wait(&[("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT")]), Some(Duration::ZERO));
        for nonsense in ["", "-5", "soon", "1.", "."] {
            assert_eq!(wait(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn a_bucket_that_fills_up_slows_requests() {
        let slow = |text| slowness(&headers(&[(CALL_LIMIT, text)]));
        assert_eq!([slow("1/40"), slow("32/40"), slow("39/40"), slow("40/40")], [Some(1), Some(2), Some(4), Some(4)]);
        assert_eq!([slow("1/0"), slow("x/40"), slow("40"), slow("")], [None; 4]);
    }
}
