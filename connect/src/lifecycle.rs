//! Word of a version's end, as answers carry it: the headers `Deprecation` (RFC 9745 and what came before it), `Sunset` (RFC 8594), `Warning: 299`,
//! links, a header of the vendor's own; and the refusal of a version that is gone. What is kept is times, a version and an address, each bounded,
//! and never the vendor's own words. Reading is pure; what was heard of each stream and operation is kept in [`Heard`].

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use crosstie_engine::lifecycle::{Notice, Observed, Source};
use http::{HeaderMap, StatusCode};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use tokio::time::Instant;
use url::Url;

use crate::{clock, link, observe::Purpose, response};

/// Longest header that is read, in bytes.
const LONGEST_HEADER: usize = 2048;
/// Most values of one header that are read.
const MOST_VALUES: usize = 8;
/// Longest address that is kept, in bytes.
const LONGEST_LINK: usize = 256;
/// Longest version that is kept, in bytes.
const LONGEST_VERSION: usize = 63;
/// Largest error that is looked through for a code, in bytes.
const LARGEST_ERROR: usize = 64 * 1024;
/// Most streams and operations that are kept apart; a plan has 32 flows at the most.
const MOST_NAMES: usize = 256;
/// How long a vendor has to be silent before what it said is taken back.
const SILENCE: Duration = Duration::from_mins(2);
/// Earliest and latest time that is believed, in seconds since 1970: the years 2000 and 2200.
const BELIEVABLE: std::ops::Range<i64> = 946_684_800..7_258_118_400;
/// Words of a warning that speak of a version's end.
const WORDS: [&str; 6] = ["deprecat", "sunset", "retire", "end of life", "end-of-life", "no longer supported"];
/// Codes by which vendors refuse a version, in lower case and without separators.
const CODES: [&str; 4] = ["unsupportedapiversion", "apiversionunsupported", "unsupportedversion", "invalidapiversion"];

/// What is to be known of a system to read its answers.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    /// The header with the version that was served.
    pub served_version: Option<String>,
    /// The header that is there while something is deprecated.
    pub deprecated_reason: Option<String>,
}

/// An answer, as far as it is read here.
pub struct Answered<'a> {
    pub purpose: Purpose,
    pub status: StatusCode,
    pub headers: &'a HeaderMap,
    pub body: Option<&'a Bytes>,
}

impl Headers {
    /// What an answer says. None when it says nothing and cannot take back what an earlier one said: only success shows that the vendor itself answered
    /// and had its chance to say it.
    pub fn read(&self, answered: &Answered<'_>) -> Option<Observed> {
        let observed = Observed {
            served: response::header(answered.headers, self.served_version.as_deref()).filter(|text| is_version(text)),
            unsupported: refuses_the_version(answered),
            notice: self.notice(answered.headers),
        };
        (answered.status.is_success() || observed.unsupported || observed.notice.is_some()).then_some(observed)
    }

    fn notice(&self, headers: &HeaderMap) -> Option<Notice> {
        let link = || {
            ["deprecation", "sunset", "successor-version"]
                .iter()
                .find_map(|relation| address(&link::target(headers, relation)?))
        };
        let notice = |source, deprecated_at, sunset_at| Notice { source, deprecated_at, sunset_at, link: link() };
        let sunset = values(headers, "sunset").find_map(time).map(|at| notice(Source::SunsetHeader, None, Some(at)));
        let linked = link::target(headers, "deprecation").or_else(|| link::target(headers, "sunset"));
        let deprecation = match values(headers, "deprecation").find(|text| !is_no(text)) {
            Some(text) => Some(notice(Source::DeprecationHeader, time(text), None)),
            None => linked.map(|_| notice(Source::DeprecationHeader, None, None)),
        };
        let reason = self.deprecated_reason.as_deref().and_then(|name| values(headers, name).next());
        let own =
            reason.map(|text| Notice { link: address(text).or_else(link), ..notice(Source::VendorHeader, None, None) });
        let warned =
            values(headers, "warning").any(warns_of_the_end).then(|| notice(Source::WarningHeader, None, None));
        [sunset, deprecation, own, warned].into_iter().flatten().reduce(Notice::and)
    }
}

/// Values of a header that can be read, a few at the most.
fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let texts = headers.get_all(name).iter().take(MOST_VALUES).filter_map(|value| value.to_str().ok());
    texts.map(str::trim).filter(|text| !text.is_empty() && text.len() <= LONGEST_HEADER)
}

/// A time as it is found in the wild: `@epoch` (RFC 9745), an HTTP-date (RFC 8594), RFC 3339, a day, or bare seconds since 1970.
fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim_matches('"');
    let epoch = |text: &str| Timestamp::from_second(text.parse().ok()?).ok();
    let day = |text: &str| Some(text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
    let time = match text.strip_prefix('@') {
        Some(seconds) => epoch(seconds),
        None => clock::http_date(text).or_else(|| text.parse().ok()).or_else(|| day(text)).or_else(|| epoch(text)),
    };
    time.filter(|time| BELIEVABLE.contains(&time.as_second())).map(clock::whole_seconds)
}

/// `false`, as some write to say that nothing is deprecated.
fn is_no(text: &str) -> bool {
    ["false", "?0", "0", "no", "none"].iter().any(|no| text.eq_ignore_ascii_case(no))
}

/// Whether a `Warning` has the code 299 and speaks of a version's end. Its words are not kept.
fn warns_of_the_end(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.starts_with("299") && WORDS.iter().any(|word| text.contains(word))
}

/// An address that may be shown to people: https, without user, query and fragment, in which secrets could come back to light.
fn address(text: &str) -> Option<String> {
    if text.len() > LONGEST_HEADER {
        return None;
    }
    let mut url = Url::parse(text.trim()).ok().filter(|url| url.scheme() == "https")?;
    let anonymous = url.username().is_empty() && url.password().is_none();
    url.set_query(None);
    url.set_fragment(None);
    let shown = String::from(url);
    (anonymous && shown.len() <= LONGEST_LINK).then_some(shown)
}

fn is_version(text: &str) -> bool {
    text.len() <= LONGEST_VERSION && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Whether a refusal is about the version: the vendor says so by a code of its own, or a stream is gone for good. A record or a page that is gone
/// is answered with 410 as well, so that alone says something of a stream's time only, which is read by its first page.
fn refuses_the_version(answered: &Answered<'_>) -> bool {
    if !answered.status.is_client_error() {
        return false;
    }
    let gone = answered.status == StatusCode::GONE && answered.purpose == Purpose::ReadTime;
    gone || answered
        .body
        .filter(|body| body.len() <= LARGEST_ERROR)
        .and_then(response::error_code)
        .is_some_and(|code| is_version_code(&code))
}

fn is_version_code(code: &str) -> bool {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    CODES.contains(&plain.as_str())
}

/// What was heard of each stream and operation of a system, by what was asked of it. A vendor that stops saying something has taken it back, but not
/// before it has been silent for a while: answers that change their mind from one to the next count as the worst of them.
#[derive(Debug, Default)]
pub struct Heard {
    requested: Option<String>,
    entries: Mutex<BTreeMap<(Purpose, String), Entry>>,
}

#[derive(Debug)]
struct Entry {
    observed: Observed,
    /// When an answer last said all of it.
    said: Instant,
}

impl Heard {
    /// Nothing heard yet of a system that is asked for this version.
    pub fn new(requested: Option<String>) -> Self {
        Self { requested, entries: Mutex::default() }
    }

    /// Takes note of what an answer said.
    pub fn note(&self, purpose: Purpose, name: &str, observed: Observed) {
        let mut entries = self.lock();
        let (key, now) = (key(purpose, name), Instant::now());
        let Some(entry) = entries.get_mut(&key) else {
            if entries.len() < MOST_NAMES {
                entries.insert(key, Entry { observed, said: now });
            }
            return;
        };
        if entry.observed == observed {
            entry.said = now;
            return;
        }
        let worst = Observed::worst([entry.observed.clone(), observed.clone()], self.requested.as_deref());
        if worst == observed || entry.said + SILENCE <= now {
            *entry = Entry { observed, said: now };
        } else {
            entry.observed = worst;
        }
    }

    /// Takes note that a stream is gone for good.
    pub fn gone(&self, stream: &str) {
        self.refused(Purpose::ReadPage, stream);
    }

    /// Takes note that a request was refused because the version is not served any more.
    pub fn refused(&self, purpose: Purpose, name: &str) {
        let known = self.lock().get(&key(purpose, name)).map(|entry| entry.observed.clone());
        self.note(purpose, name, Observed { unsupported: true, ..known.unwrap_or_default() });
    }

    /// What these streams, and whatever else of these names, say all together; others are forgotten. None while nothing was heard of any; and good news
    /// only when every stream was heard, so that a worker that has just started does not take back what the one before it said.
    pub fn of(&self, streams: &[String], others: &[String]) -> Option<Observed> {
        let mut entries = self.lock();
        entries.retain(|(_, name), _| streams.contains(name) || others.contains(name));
        let worst = Observed::worst(entries.values().map(|entry| entry.observed.clone()), self.requested.as_deref());
        let bad = worst.unsupported || worst.notice.is_some();
        let all = streams.iter().all(|stream| entries.contains_key(&key(Purpose::ReadPage, stream)));
        (!entries.is_empty() && (bad || all)).then_some(worst)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Purpose, String), Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The vendor's time is read by a stream's first page.
fn key(purpose: Purpose, name: &str) -> (Purpose, String) {
    let purpose = if purpose == Purpose::ReadTime { Purpose::ReadPage } else { purpose };
    (purpose, name.to_owned())
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
