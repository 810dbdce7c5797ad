//! What a page holds: its records, and what comes next. Pure.

use bytes::Bytes;
use crosstie_engine::{
    json::Json,
    plan::{CursorPages, Format, Pagination, Stream},
    window::{Position, numbered_page},
};
use http::{HeaderMap, header};
use serde_json::Value;
use url::Url;

use crate::{
    ask,
    document::{self, Unreadable},
    egress::Rules,
    failure::{CallFailure, FailureKind},
    guard, link, response, select,
};

/// A page that came, with where it came from.
pub struct Arrived<'a> {
    pub stream: &'a Stream,
    /// The page's position as it was asked for.
    pub position: &'a Position,
    /// The URL that answered; relative links start from it.
    pub url: &'a Url,
    pub headers: &'a HeaderMap,
    pub body: &'a Bytes,
}

/// What a page holds: its records as they are taken.
#[derive(Debug, PartialEq)]
pub struct Opened<R> {
    pub records: Vec<R>,
    pub next: Option<Position>,
    /// The vendor's URL that leads to what changes from now on.
    pub delta: Option<String>,
}

impl Arrived<'_> {
    /// Its records, of each what `take` makes of it, and what comes next.
    pub fn open<R>(&self, rules: &Rules, take: impl FnMut(&Json) -> R) -> Result<Opened<R>, CallFailure> {
        // 204, and servers that answer so without saying it.
        if self.body.is_empty() {
            return self.opened(rules, None, take);
        }
        document::look(&self.stream.format, self.body, |document| self.opened(rules, Some(document), take))
            .unwrap_or_else(|unreadable| Err(self.unreadable(unreadable)))
    }

    fn opened<R>(
        &self,
        rules: &Rules,
        document: Option<&Json>,
        take: impl FnMut(&Json) -> R,
    ) -> Result<Opened<R>, CallFailure> {
        let at = |pointer: &str| document.and_then(|document| document.pointer(pointer)).map(Json::to_value);
        let pointed = |pointer: &str| at(pointer).unwrap_or_default();
        let mut delta = None;
        let next = match &self.stream.pagination {
            Pagination::None | Pagination::Offset { .. } | Pagination::Page { .. } => None,
            Pagination::LinkHeader => {
                link::next(self.headers).map(|target| self.next_url(rules, &target)).transpose()?
            }
            Pagination::NextUrl { pointer } => self.linked(rules, pointer, &pointed(pointer))?,
            Pagination::DeltaLink { next, delta: pointer } => {
                let next = self.linked(rules, next, &pointed(next))?;
                if next.is_none() {
                    delta = self.linked(rules, pointer, &pointed(pointer))?;
                }
                next
            }
            Pagination::Cursor(pages) => match &pages.pointer {
                Some(pointer) => self.cursor(pointer, &pointed(pointer))?,
                None => None,
            },
        };
        let pages = self.stream.pagination.cursor_pages();
        let more = match pages.and_then(|pages| pages.has_more.as_ref()) {
            Some(pointer) => Some(self.has_more(pointer, document)?),
            None => None,
        };
        let records = document.map_or(Ok(Vec::new()), |document| self.records(document))?;
        let next = match &self.stream.pagination {
            Pagination::Offset { .. } => {
                next_offset(ask::offset(self.position), ask::offset(self.position), records.len())
            }
            Pagination::Page { size, .. } => self.next_numbered(*size, records.len())?,
            Pagination::Cursor(pages) => self.behind(pages, more, next, records.last().copied())?,
            Pagination::None | Pagination::LinkHeader | Pagination::NextUrl { .. } | Pagination::DeltaLink { .. } => {
                next
            }
        };
        let next = self.without_circles(records.is_empty(), next)?;
        let delta = delta.and_then(|position| match position {
            Position::Url(url) => Some(url),
            Position::First | Position::Cursor(_) | Position::Offset(_) => None,
        });
        Ok(Opened { records: records.into_iter().map(take).collect(), next, delta })
    }

    fn unreadable(&self, unreadable: Unreadable) -> CallFailure {
        let too_large = |problem: &str| {
            CallFailure::new(FailureKind::BodyTooLarge, format!("a page of `{}` {problem}", self.stream.name))
        };
        match unreadable {
            Unreadable::TooLarge => {
                too_large("is larger than 32 MiB when it is unpacked: ask for fewer records a page")
            }
            Unreadable::TooMany => too_large("has more values than are read: ask for fewer records a page"),
            Unreadable::Malformed { problem, source } => {
                let kind = self.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
                let html = kind.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"));
                let hint = ", but an HTML page, perhaps one to log in: check baseURL, path and credentials";
                self.malformed(&format!("{problem}{}", if html { hint } else { "" })).because(source)
            }
        }
    }

    fn records<'d, 'a>(&self, document: &'d Json<'a>) -> Result<Vec<&'d Json<'a>>, CallFailure> {
        let pointer = &self.stream.records;
        let records = match &self.stream.format {
            Format::Xml => select::elements(document, pointer),
            Format::Json | Format::JsonLines | Format::Csv { .. } => select::list(document, pointer),
        };
        records.ok_or_else(|| self.malformed(&format!("there is no list of records at `{pointer}`")))
    }

    /// Where a URL in the body leads; nowhere if there is none.
    fn linked(&self, rules: &Rules, pointer: &str, value: &Value) -> Result<Option<Position>, CallFailure> {
        match value {
            Value::String(target) if !target.is_empty() => self.next_url(rules, target).map(Some),
            Value::Null | Value::Bool(false) | Value::String(_) => Ok(None),
            Value::Bool(true) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                Err(self.malformed(&format!("what is at `{pointer}` is no URL of a next page")))
            }
        }
    }

    fn cursor(&self, pointer: &str, value: &Value) -> Result<Option<Position>, CallFailure> {
        match value {
            Value::Null | Value::Bool(false) => Ok(None),
            Value::String(text) if text.is_empty() => Ok(None),
            value => match response::key_text(value) {
                Some(cursor) => Ok(Some(Position::Cursor(cursor))),
                None => Err(self.malformed(&format!("what is at `{pointer}` is no cursor"))),
            },
        }
    }

    /// The position behind a numbered page.
    fn next_numbered(&self, size: u32, records: usize) -> Result<Option<Position>, CallFailure> {
        let position = ask::offset(self.position);
        let (number, size) = numbered_page(position, size);
        let next = next_offset(position, number.saturating_mul(u64::from(size)), records);
        if next.is_none() && records as u64 == u64::from(size) {
            return Err(self.malformed("no size makes a page that leads on from there: ask for fewer records a window"));
        }
        Ok(next)
    }

    /// Whether the vendor says that there are more pages. If it says nothing where it should, nobody knows.
    fn has_more(&self, pointer: &str, document: Option<&Json>) -> Result<bool, CallFailure> {
        match document.map(|document| document.pointer(pointer)) {
            None | Some(Some(Json::Null)) => Ok(false),
            Some(Some(Json::Bool(more))) => Ok(*more),
            Some(Some(Json::Number(_) | Json::Text(_) | Json::List(_) | Json::Object(_)) | None) => {
                Err(self.malformed(&format!("there is neither true nor false at `{pointer}`")))
            }
        }
    }

    /// The page behind a cursor, which is `next` or in the last record.
    fn behind(
        &self,
        pages: &CursorPages,
        more: Option<bool>,
        next: Option<Position>,
        last: Option<&Json>,
    ) -> Result<Option<Position>, CallFailure> {
        if more == Some(false) {
            return Ok(None);
        }
        let next = match (&pages.last_record, last) {
            (None, _) => next,
            (Some(_), None) => None,
            (Some(pointer), Some(last)) => {
                let cursor = last.pointer(pointer).map(Json::to_value).as_ref().and_then(response::key_text);
                let problem = || self.malformed(&format!("its last record has no text or number at `{pointer}`"));
                Some(Position::Cursor(cursor.ok_or_else(problem)?))
            }
        };
        if more == Some(true) && next.is_none() {
            return Err(self.malformed("it says that there are more pages, and nothing leads to the next one"));
        }
        Ok(next)
    }

    fn next_url(&self, rules: &Rules, target: &str) -> Result<Position, CallFailure> {
        let url = self.url.join(target).map_err(|error| self.malformed("its next page has no URL").because(error))?;
        rules.admit(&url).map_err(|refusal| guard::refused(&self.stream.name, refusal))?;
        Ok(Position::Url(url.into()))
    }

    /// A page that is its own next page would be read for ever. Without records it is the end, as some vendors mark it.
    fn without_circles(&self, is_empty: bool, next: Option<Position>) -> Result<Option<Position>, CallFailure> {
        let circle = match &next {
            Some(Position::Url(url)) => *url == self.url.as_str(),
            Some(cursor @ Position::Cursor(_)) => cursor == self.position,
            Some(Position::First | Position::Offset(_)) | None => false,
        };
        match (circle, is_empty) {
            (true, true) => Ok(None),
            (true, false) => Err(self.malformed("it names itself as the next page")),
            (false, _) => Ok(next),
        }
    }

    fn malformed(&self, problem: &str) -> CallFailure {
        let detail = format!("a page of `{}` cannot be read: {problem}", self.stream.name);
        CallFailure::new(FailureKind::Malformed, detail)
    }
}

/// Where a page by position was asked for the record at `position` and began at `start`: the position behind it. A page may hold fewer records
/// than were asked for, because vendors cap that, so a short page is not the end. The end is a page with nothing behind that record.
fn next_offset(position: u64, start: u64, records: usize) -> Option<Position> {
    let end = start.saturating_add(u64::try_from(records).unwrap_or(u64::MAX));
    (end > position.saturating_add(1)).then_some(Position::Offset(end))
}

#[cfg(test)]
mod tests;
