//! Shopify's pages, by position in the order (value, id).
//!
//! A `page_info` holds the filters and the last place of the page before, so a page costs O(log n + page) and never
//! skips a record because others were inserted or moved.

use std::ops::Bound;
use std::sync::Arc;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Resource;
use super::filter::{Filters, filters, refuse};
use crate::message::{Call, Reply};
use crate::store::{Collection, Place, RecordId};
use crate::wire::Settings;

/// What a `page_info` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct PageInfo {
    resource: String,
    filters: Filters,
    value: i64,
    id: String,
    previous: bool,
}

/// One page as it was asked for.
#[derive(Debug)]
pub(super) struct Listing {
    filters: Filters,
    from: Option<Place>,
    previous: bool,
    limit: usize,
    fields: Option<Vec<String>>,
}

/// The records of one page.
#[derive(Debug)]
pub(super) struct Page {
    records: Vec<(Place, Arc<str>)>,
    has_next: bool,
    has_previous: bool,
}

/// Reads the query of a listing.
///
/// # Errors
/// The answer to a query that cannot be used.
pub(super) fn parse(resource: &Resource, call: &Call, settings: &Settings) -> Result<Listing, Reply> {
    let limit = match call.param("limit") {
        None => settings.page_size_default,
        Some(text) => match text.parse::<usize>() {
            Ok(limit) if limit > 0 => limit.min(settings.page_size_max),
            _ => return Err(refuse("limit", "limit must be a number above 0")),
        },
    };
    let fields = call.param("fields").map(|list| list.split(',').map(|field| field.trim().to_owned()).collect());
    match call.param("page_info") {
        None => {
            let filters = filters(resource, call, settings)?;
            Ok(Listing { filters, from: None, previous: false, limit, fields })
        }
        Some(token) => {
            if let Some((name, _)) =
                call.query.iter().find(|(name, _)| !matches!(name.as_str(), "page_info" | "limit" | "fields"))
            {
                let message = format!(
                    "{name} cannot be passed when page_info is present. \
                     See https://shopify.dev/api/usage/pagination-rest for more information."
                );
                return Err(refuse(name, &message));
            }
            let info = decode(token).filter(|info| info.resource == resource.plural);
            let info = info.ok_or_else(|| refuse("page_info", "Invalid value."))?;
            let from = Some((info.value, RecordId::parse(&info.id)));
            Ok(Listing { filters: info.filters, from, previous: info.previous, limit, fields })
        }
    }
}

impl Listing {
    /// Finds the page's records.
    pub(super) fn find(&self, collection: &Collection) -> Page {
        let (mut low, mut high) = self.filters.bounds();
        let backwards = self.filters.is_descending() != self.previous;
        match &self.from {
            Some(place) if backwards => high = Bound::Excluded(place.clone()),
            Some(place) => low = Bound::Excluded(place.clone()),
            None => {}
        }
        let mut records: Vec<(Place, Arc<str>)> = collection
            .walk(self.filters.sort(), (low, high), backwards)
            .filter(|((_, id), record)| self.filters.holds(id, record))
            .take(self.limit + 1)
            .map(|(place, record)| (place, Arc::clone(&record.text)))
            .collect();
        let more = records.len() > self.limit;
        records.truncate(self.limit);
        if self.previous {
            records.reverse();
        }
        let (has_next, has_previous) = if self.previous { (true, more) } else { (more, self.from.is_some()) };
        Page { records, has_next, has_previous }
    }

    /// The answer with this page.
    pub(super) fn reply(&self, resource: &Resource, call: &Call, page: &Page) -> Reply {
        let size = page.records.iter().map(|(_, text)| text.len() + 1).sum::<usize>();
        let mut body = String::with_capacity(size + 32);
        body.push_str("{\"");
        body.push_str(resource.plural);
        body.push_str("\":[");
        for (position, (_, text)) in page.records.iter().enumerate() {
            if position > 0 {
                body.push(',');
            }
            match &self.fields {
                None => body.push_str(text),
                Some(fields) => body.push_str(&select(text, fields).to_string()),
            }
        }
        body.push_str("]}");
        let reply = Reply::with_body(StatusCode::OK, super::JSON, body);
        let first = page.records.first().filter(|_| page.has_previous).map(|(place, _)| (place, true));
        let last = page.records.last().filter(|_| page.has_next).map(|(place, _)| (place, false));
        let links: Vec<String> = [first, last]
            .into_iter()
            .flatten()
            .map(|(place, previous)| self.link(resource, call, place, previous))
            .collect();
        if links.is_empty() { reply } else { reply.header("Link", links.join(", ")) }
    }

    fn link(&self, resource: &Resource, call: &Call, place: &Place, previous: bool) -> String {
        let info = PageInfo {
            resource: resource.plural.to_owned(),
            filters: self.filters.clone(),
            value: place.0,
            id: place.1.to_string(),
            previous,
        };
        let fields = self.fields.as_ref().map(|fields| format!("&fields={}", fields.join(","))).unwrap_or_default();
        let relation = if previous { "previous" } else { "next" };
        let (base, path, limit, token) = (&call.base, &call.path, self.limit, encode(&info));
        format!("<{base}{path}?limit={limit}{fields}&page_info={token}>; rel=\"{relation}\"")
    }
}

/// A record with only these fields.
pub(super) fn select(text: &str, fields: &[String]) -> Value {
    let mut value: Value = serde_json::from_str(text).unwrap_or_default();
    if let Value::Object(all) = &mut value {
        all.retain(|name, _| fields.iter().any(|field| field == name));
    }
    value
}

fn encode(info: &PageInfo) -> String {
    URL_SAFE_NO_PAD.encode(json!(info).to_string())
}

fn decode(token: &str) -> Option<PageInfo> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()
}
