//! A vendor's calendar of versions, as its preset has it: when each is deprecated and when it ends, without any header.

use std::cmp::Ordering;

use jiff::{Span, Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{Notice, Source};

/// The longest time a version may be supported, in months; what a preset says beyond it is a mistake.
const LONGEST_SUPPORT: u32 = 1200;

/// How a vendor names its versions and how long each lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Versions {
    /// How they are named.
    pub scheme: Scheme,
    /// Months from a version's release until the vendor calls it deprecated. Only for schemes with dates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_months: Option<u32>,
    /// Months from a version's release until it is not served any more. Only for schemes with dates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support_months: Option<u32>,
    /// What the vendor has announced of single versions; it wins over the months.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub list: Vec<Announced>,
}

/// How versions are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scheme {
    /// By the first month of the quarter they came out in: `2026-07`.
    Quarterly,
    /// By the month they came out in: `2026-09`.
    Monthly,
    /// By the day they came out on: `2026-07-15`. What follows a dot is a name: `2026-09-30.endive`.
    Daily,
    /// By numbers: `67.0`, `v3`. When they came out is not in the name.
    Numbered,
}

/// What a vendor has announced of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Announced {
    /// The version.
    pub version: String,
    /// Whether it holds for every older one as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub and_older: bool,
    /// The day it is deprecated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated_at: Option<Date>,
    /// The day it is not served any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sunset_at: Option<Date>,
}

impl Versions {
    /// What the calendar says of a version; none when it says nothing, also because the version is none of this scheme.
    pub fn notice(&self, version: &str) -> Option<Notice> {
        let announced = self.list.iter().filter(|entry| entry.is_about(version)).min_by_key(|entry| entry.sunset_at);
        let (deprecated, sunset) = match announced {
            Some(entry) => (entry.deprecated_at, entry.sunset_at),
            None => {
                let released = self.scheme.released(version)?;
                let after = |months: Option<u32>| released.checked_add(months_span(months?)?).ok();
                (after(self.current_months), after(self.support_months))
            }
        };
        let (deprecated_at, sunset_at) = (deprecated.and_then(midnight), sunset.and_then(midnight));
        (deprecated_at.is_some() || sunset_at.is_some()).then_some(Notice {
            source: Source::VersionCalendar,
            deprecated_at,
            sunset_at,
            link: None,
        })
    }
}

impl Scheme {
    /// The day a version came out on, where its name says so.
    fn released(self, version: &str) -> Option<Date> {
        match self {
            Self::Quarterly => month(version).filter(|date| date.month() % 3 == 1),
            Self::Monthly => month(version),
            Self::Daily => {
                let day = version.split_once('.').map_or(version, |(day, _)| day);
                (day.len() == 10).then(|| day.parse().ok()).flatten()
            }
            Self::Numbered => None,
        }
    }
}

impl Announced {
    fn is_about(&self, version: &str) -> bool {
        self.version == version
            || match compare(version, &self.version) {
                Some(Ordering::Less) => self.and_older,
                Some(Ordering::Equal) => true,
                Some(Ordering::Greater) | None => false,
            }
    }
}

fn month(version: &str) -> Option<Date> {
    (version.len() == 7).then(|| format!("{version}-01").parse().ok()).flatten()
}

fn months_span(months: u32) -> Option<Span> {
    (months <= LONGEST_SUPPORT).then(|| Span::new().try_months(i64::from(months)).ok()).flatten()
}

fn midnight(day: Date) -> Option<Timestamp> {
    TimeZone::UTC.to_zoned(day.to_datetime(jiff::civil::Time::midnight())).ok().map(|zoned| zoned.timestamp())
}

/// The order of two versions by the numbers in them, from left to right; what is missing counts as zero. None where one has no number.
fn compare(one: &str, other: &str) -> Option<Ordering> {
    let (one, other) = (numbers(one)?, numbers(other)?);
    let length = one.len().max(other.len());
    let place = |list: &[u32], index: usize| list.get(index).copied().unwrap_or(0);
    Some(
        (0..length)
            .map(|index| place(&one, index).cmp(&place(&other, index)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal),
    )
}

fn numbers(version: &str) -> Option<Vec<u32>> {
    let digits = version.split(|letter: char| !letter.is_ascii_digit()).filter(|digits| !digits.is_empty());
    let numbers: Vec<u32> = digits.map(|digits| digits.parse().ok()).collect::<Option<_>>()?;
    (!numbers.is_empty()).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(scheme: Scheme, current: Option<u32>, support: u32) -> Versions {
        Versions { scheme, current_months: current, support_months: Some(support), list: Vec::new() }
    }

    fn days(notice: Option<Notice>) -> Option<(Option<String>, Option<String>)> {
        let day = |time: Option<Timestamp>| time.map(|time| time.to_string()[..10].to_owned());
        notice.map(|notice| (day(notice.deprecated_at), day(notice.sunset_at)))
    }

    #[expect(clippy::unnecessary_wraps, reason = "it stands beside None")]
    fn pair(deprecated: &str, sunset: &str) -> Option<(Option<String>, Option<String>)> {
        let day = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Some((day(deprecated), day(sunset)))
    }

    #[test]
    fn a_version_that_is_named_by_its_release_ends_so_many_months_later() {
        for (scheme, current, support, version, expected) in [
            (Scheme::Quarterly, None, 12, "2026-07", pair("", "2027-07-01")),
            (Scheme::Quarterly, None, 12, "2025-10", pair("", "2026-10-01")),
            (Scheme::Quarterly, None, 12, "2026-05", None),
            (Scheme::Quarterly, None, 12, "unstable", None),
            (Scheme::Quarterly, None, 12, "2026-13", None),
            (Scheme::Monthly, None, 18, "2026-09", pair("", "2028-03-01")),
            (Scheme::Daily, Some(12), 24, "2026-07-15", pair("2027-07-15", "2028-07-15")),
            (Scheme::Daily, None, 6, "2026-08-31", pair("", "2027-02-28")),
            (Scheme::Daily, None, 12, "2026-09-30.endive", pair("", "2027-09-30")),
            (Scheme::Daily, None, 12, "2026-02-30", None),
            (Scheme::Daily, None, 12, "", None),
            (Scheme::Numbered, None, 12, "67.0", None),
            (Scheme::Monthly, None, 4_000_000_000, "2026-09", None),
            (Scheme::Monthly, None, 1200, "9990-01", None),
        ] {
            assert_eq!(days(calendar(scheme, current, support).notice(version)), expected, "{scheme:?} {version}");
        }
    }

    #[test]
    fn what_was_announced_of_a_version_wins_and_may_hold_for_older_ones() {
        let announced = |version: &str, and_older, sunset: &str| Announced {
            version: version.into(),
            and_older,
            deprecated_at: None,
            sunset_at: Some(sunset.parse().unwrap()),
        };
        let list = vec![announced("40.0", true, "2027-06-01"), announced("48.0", false, "2028-06-01")];
        let versions = Versions { scheme: Scheme::Numbered, current_months: None, support_months: None, list };
        for (version, expected) in [
            ("31.0", pair("", "2027-06-01")),
            ("v40", pair("", "2027-06-01")),
            ("40.0", pair("", "2027-06-01")),
            ("41.0", None),
            ("48.0", pair("", "2028-06-01")),
            ("47.0", None),
            ("100.0", None),
            ("latest", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(days(versions.notice(version)), expected, "{version}");
        }
    }

    #[test]
    fn a_preset_that_names_something_else_is_no_calendar() {
        let parse = |text: &str| serde_saphyr::from_str::<Versions>(text);
        assert!(parse("{scheme: Quarterly, supportMonths: 12}").is_ok());
        assert!(parse("{scheme: Numbered, list: [{version: '40.0', andOlder: true, sunsetAt: 2027-06-01}]}").is_ok());
        assert!(parse("{scheme: Weekly}").is_err());
        assert!(parse("{scheme: Quarterly, months: 12}").is_err());
    }
}
