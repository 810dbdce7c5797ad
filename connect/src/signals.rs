//! What a vendor's headers ask of our pace. Pure readings of single headers.

use std::time::Duration;

use crosstie_engine::plan::WaitFormat;
use http::{HeaderMap, header};
use jiff::Timestamp;

use crate::clock;

/// The longest wait that is believed: beyond a day a vendor's number is more likely wrong than meant.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(24);

/// `Retry-After` in its two forms (RFC 9110, section 10.2.3), as it is asked for: bounding it is the caller's. `present` is the vendor's. A date
/// that is past asks for no wait.
pub fn retry_after(headers: &HeaderMap, present: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    wait(text, WaitFormat::Seconds, present).or_else(|| wait(text, WaitFormat::HttpDate, present))
}

/// A wait, or the time it ends at, in one of the ways vendors write it; none when it is not written so. A time that is past asks for no wait.
pub fn wait(text: &str, format: WaitFormat, present: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let until = match format {
        WaitFormat::Seconds => return whole(text).map(Duration::from_secs),
        WaitFormat::Milliseconds => return whole(text).map(Duration::from_millis),
        WaitFormat::EpochSeconds => epoch(whole(text)?, Timestamp::from_second),
        WaitFormat::EpochMilliseconds => epoch(whole(text)?, Timestamp::from_millisecond),
        WaitFormat::HttpDate => clock::http_date(text)?,
        WaitFormat::Rfc3339 => text.parse().ok()?,
    };
    Some(Duration::try_from(until.duration_since(present)).unwrap_or(Duration::ZERO))
}

/// A number that is not negative. Some vendors send fractions, which the RFC does not have; they are rounded up. Numbers too large for 64 bits are
/// as large as those can be.
fn whole(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !fraction.is_none_or(digits) {
        return None;
    }
    let number: u64 = whole.parse().unwrap_or(u64::MAX);
    Some(number.saturating_add(u64::from(fraction.is_some())))
}

fn epoch(number: u64, time: fn(i64) -> Result<Timestamp, jiff::Error>) -> Timestamp {
    i64::try_from(number).ok().and_then(|number| time(number).ok()).unwrap_or(Timestamp::MAX)
}

/// What is said of a wait that is longer than any that is kept.
pub fn beyond(asked: Duration) -> String {
    let days = asked.as_secs() / (24 * 3600);
    format!("; it asks to wait {days} days, which is more than is believed: it is asked again after one day")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn present() -> Timestamp {
        "2027-03-01T12:00:00Z".parse().unwrap()
    }

    fn asked(text: &str) -> Option<Duration> {
        retry_after(&headers(&[("retry-after", text)]), present())
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        assert_eq!(asked(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(asked("2.0"), Some(Duration::from_secs(3)));
        assert_eq!(asked("Mon, 01 Mar 2027 12:01:00 GMT"), Some(Duration::from_mins(1)));
        assert_eq!(asked("Thu, 01 Jan 1970 00:00:00 GMT"), Some(Duration::ZERO));
    }

    #[test]
    fn every_way_of_writing_a_wait_is_read() {
        use WaitFormat::{EpochMilliseconds, EpochSeconds, HttpDate, Milliseconds, Rfc3339, Seconds};
        for (format, text, seconds) in [
            (Seconds, "30", 30),
            (Seconds, "29.3", 30),
            (Milliseconds, "30000", 30),
            (EpochSeconds, "1803902430", 30),
            (EpochSeconds, "1803902399", 0),
            (EpochMilliseconds, "1803902430000", 30),
            (HttpDate, "Mon, 01 Mar 2027 12:00:30 GMT", 30),
            (Rfc3339, "2027-03-01T13:00:30+01:00", 30),
        ] {
            assert_eq!(wait(text, format, present()), Some(Duration::from_secs(seconds)), "{format:?} {text}");
            for nonsense in ["", "-5", "soon", "1.", ".", "0x10", "1e3", "\u{fffd}", "7 7"] {
                assert_eq!(wait(nonsense, format, present()), None, "{format:?} {nonsense}");
            }
            // Absurd, and no panic; what is kept of it is bounded where it is used.
            let _ = wait(&"9".repeat(4000), format, present());
        }
        assert!(wait("99999999999999999999999", EpochSeconds, present()).unwrap() > LONGEST_RETRY_AFTER);
    }

    #[test]
    fn nonsense_asks_for_no_wait() {
        for nonsense in ["", "-5", "soon", "1.", "."] {
            assert_eq!(asked(nonsense), None, "{nonsense}");
        }
        assert_eq!(retry_after(&headers(&[]), present()), None);
    }
}
