//! Which request asks for a page. Pure. What a window and the pages before it bring goes into parameters, or into the names that stand in the
//! stream's path, query and body.

use std::collections::BTreeMap;

use bytes::Bytes;
use crosstie_engine::{
    plan::{CursorPages, Pagination, ReadMethod, Stream, page_names},
    template,
    window::{Bounds, CursorValue, Position, numbered_page},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use jiff::Timestamp;
use percent_encoding::utf8_percent_encode;
use serde_json::{Map, Number, Value};
use url::Url;

use crate::{
    failure::{CallFailure, FailureKind},
    target,
    write::FRAMING,
};

/// A request for a page.
#[derive(Debug)]
pub struct Ask {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
}

/// The request for a page. The window's bounds go with every page, but for those that the vendor gives the whole URL of.
pub fn page(base: &Url, stream: &Stream, bounds: Option<&Bounds>, position: &Position) -> Result<Ask, CallFailure> {
    paged(base, stream, position, Filling::of(stream, bounds))
}

fn paged<'a>(
    base: &Url,
    stream: &'a Stream,
    position: &'a Position,
    mut filling: Filling<'a>,
) -> Result<Ask, CallFailure> {
    let mut paging = BTreeMap::new();
    match (position, &stream.pagination) {
        (Position::First | Position::Offset(_), Pagination::Offset { param, limit_param, limit }) => {
            paging.insert(param.as_str(), offset(position).to_string());
            paging.insert(limit_param.as_str(), limit.to_string());
        }
        (Position::First | Position::Offset(_), Pagination::Page { param, first, size_param, size, in_records }) => {
            let (number, size) = numbered_page(offset(position), *size);
            let numbered = number.saturating_add(u64::from(*first));
            let place = if *in_records { number.saturating_mul(u64::from(size)) } else { numbered };
            paging.insert(param.as_str(), place.to_string());
            paging.insert(size_param.as_str(), size.to_string());
        }
        (
            Position::First,
            Pagination::None
            | Pagination::LinkHeader
            | Pagination::Cursor(_)
            | Pagination::NextUrl { .. }
            | Pagination::DeltaLink { .. },
        ) => {}
        (Position::Cursor(cursor), Pagination::Cursor(CursorPages { param, .. })) => {
            filling.cursor = Some(cursor);
            paging.extend(param.as_deref().map(|param| (param, cursor.clone())));
        }
        (Position::Url(url), Pagination::LinkHeader | Pagination::NextUrl { .. } | Pagination::DeltaLink { .. }) => {
            let url = Url::parse(url).map_err(|error| expired(stream).because(error))?;
            return asked(stream, url, &filling);
        }
        (Position::Offset(_) | Position::Cursor(_) | Position::Url(_), _) => return Err(expired(stream)),
    }
    let url = url(base, stream, &filling, paging)?;
    asked(stream, url, &filling)
}

/// The request for a page of the children of a parent.
pub fn page_of(
    base: &Url,
    stream: &Stream,
    parent: &Value,
    key: &str,
    position: &Position,
) -> Result<Ask, CallFailure> {
    let mut values = BTreeMap::new();
    for name in stream.parent_names() {
        let field = name.strip_prefix(page_names::PARENT).unwrap_or(name);
        let value =
            if name == page_names::PARENT_KEY { Some(key.to_owned()) } else { target::field_text(parent, field) };
        let problem =
            || not_called(stream, &format!("its parent has no text or number `{field}`, which its request names"));
        values.insert(name, value.ok_or_else(problem)?);
    }
    paged(base, stream, position, Filling { parent: values, ..Filling::of(stream, None) })
}

/// The request for a page that costs the vendor little: an empty window, one record a page.
pub fn smallest_page(base: &Url, stream: &Stream, now: Timestamp) -> Result<Ask, CallFailure> {
    let now = Some(CursorValue::Time(now));
    let mut filling = Filling::of(stream, Some(&Bounds { from: now, until: now }));
    filling.size = filling.size.map(|_| 1);
    let one = || "1".to_owned();
    let paging = match &stream.pagination {
        Pagination::Offset { param, limit_param, .. } => vec![(param.as_str(), "0".to_owned()), (limit_param, one())],
        Pagination::Page { param, first, size_param, in_records, .. } => {
            let first = if *in_records { 0 } else { *first };
            vec![(param.as_str(), first.to_string()), (size_param, one())]
        }
        Pagination::None
        | Pagination::LinkHeader
        | Pagination::Cursor(_)
        | Pagination::NextUrl { .. }
        | Pagination::DeltaLink { .. } => Vec::new(),
    };
    let url = url(base, stream, &filling, paging.into_iter().collect())?;
    asked(stream, url, &filling)
}

/// The headers of a stream's requests.
pub fn headers(stream: &Stream, with_body: bool) -> Result<HeaderMap, CallFailure> {
    let json = HeaderValue::from_static("application/json");
    let mut headers: HeaderMap = [(header::ACCEPT, json.clone())].into_iter().collect();
    if with_body {
        headers.insert(header::CONTENT_TYPE, json);
    }
    for (name, value) in &stream.headers {
        let pair = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
        let (name, value) = pair.filter(|(name, _)| !FRAMING.contains(name)).ok_or_else(|| {
            not_called(stream, &format!("the header `{name}` cannot be set, or not to what the Connector says"))
        })?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Where a page by position begins: the record it has to have.
pub fn offset(position: &Position) -> u64 {
    match position {
        Position::Offset(offset) => *offset,
        Position::First | Position::Url(_) | Position::Cursor(_) => 0,
    }
}

/// What the names in a stream's request stand for.
struct Filling<'a> {
    /// The lower bound, where there is one.
    from: Option<String>,
    since: String,
    until: Option<String>,
    cursor: Option<&'a str>,
    size: Option<u32>,
    /// What the names of the parent's record stand for.
    parent: BTreeMap<&'a str, String>,
}

impl<'a> Filling<'a> {
    fn of(stream: &'a Stream, bounds: Option<&Bounds>) -> Self {
        let cursor = stream.cursor.as_ref();
        let from = cursor.zip(bounds).and_then(|(cursor, bounds)| cursor.lower(bounds.from?));
        let until = cursor.zip(bounds).and_then(|(cursor, bounds)| cursor.upper(bounds.until?));
        let since = from.clone().or_else(|| Some(cursor?.earliest())).unwrap_or_default();
        let size = stream.pagination.cursor_pages().and_then(|pages| pages.size);
        Self { from, since, until, cursor: None, size, parent: BTreeMap::new() }
    }

    /// A text with its names replaced, each value escaped for where the text stands.
    fn text(&self, text: &str, escape: impl Fn(&str) -> String) -> String {
        let size = self.size.map(|size| size.to_string());
        let values = [
            (page_names::SINCE, Some(self.since.as_str())),
            (page_names::UNTIL, Some(self.until.as_deref().unwrap_or_default())),
            (page_names::CURSOR, Some(self.cursor.unwrap_or_default())),
            (page_names::PAGE_SIZE, size.as_deref()),
        ];
        let of_parent = self.parent.iter().map(|(name, value)| (*name, Some(value.as_str())));
        let escaped: Vec<(&str, Option<String>)> =
            values.into_iter().chain(of_parent).map(|(name, value)| (name, value.map(&escape))).collect();
        template::replace(text, |name| {
            let found = escaped.iter().find(|(known, _)| *known == name);
            found.and_then(|(_, value)| value.as_deref())
        })
    }

    /// Whether a text is the cursor and nothing else, and there is none.
    fn leaves_out(&self, text: &str) -> bool {
        self.cursor.is_none() && is_name(text, page_names::CURSOR)
    }

    /// A JSON value with the names in its texts replaced.
    fn json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) if self.leaves_out(text) => Value::Null,
            Value::String(text) => match self.size.filter(|_| is_name(text, page_names::PAGE_SIZE)) {
                Some(size) => Value::Number(Number::from(size)),
                None => Value::String(self.text(text, str::to_owned)),
            },
            Value::Array(items) => Value::Array(items.iter().map(|item| self.json(item)).collect()),
            Value::Object(members) => Value::Object(self.members(members)),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn members(&self, members: &Map<String, Value>) -> Map<String, Value> {
        let kept = members.iter().filter(|(_, member)| !member.as_str().is_some_and(|text| self.leaves_out(text)));
        kept.map(|(name, member)| (name.clone(), self.json(member))).collect()
    }
}

fn is_name(text: &str, name: &str) -> bool {
    text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) == Some(name)
}

fn asked(stream: &Stream, url: Url, filling: &Filling) -> Result<Ask, CallFailure> {
    let body = match &stream.body {
        None => None,
        Some(Value::String(text)) => Some(Bytes::from(filling.text(text, str::to_owned))),
        Some(body) => Some(Bytes::from(filling.json(body).to_string())),
    };
    let method = match stream.method {
        ReadMethod::Get => Method::GET,
        ReadMethod::Post => Method::POST,
    };
    Ok(Ask { method, url, headers: headers(stream, body.is_some())?, body })
}

fn url(base: &Url, stream: &Stream, filling: &Filling, paging: BTreeMap<&str, String>) -> Result<Url, CallFailure> {
    let path = filling.text(&stream.path, |value| utf8_percent_encode(value, target::SEGMENT).to_string());
    if path.split('?').next().is_some_and(|path| path.split('/').any(target::is_dot_segment)) {
        return Err(not_called(stream, "what goes into its path would lead to another path"));
    }
    let kept = stream.query.iter().filter(|(_, value)| !filling.leaves_out(value));
    let mut query: BTreeMap<&str, String> =
        kept.map(|(name, value)| (name.as_str(), filling.text(value, str::to_owned))).collect();
    if let Some(cursor) = &stream.cursor {
        query.extend(cursor.param.as_deref().zip(filling.from.clone()));
        query.extend(cursor.until_param.as_deref().zip(filling.until.clone()));
    }
    query.extend(paging);
    Ok(target::below(base, &path, &query))
}

fn expired(stream: &Stream) -> CallFailure {
    let detail = format!(
        "the page of `{}` to read next is not of the kind its pagination has now: its window starts again",
        stream.name
    );
    CallFailure::new(FailureKind::PageExpired, detail)
}

fn not_called(stream: &Stream, problem: &str) -> CallFailure {
    CallFailure::new(FailureKind::Refused, format!("`{}` was not called: {problem}", stream.name))
}

#[cfg(test)]
mod tests;
