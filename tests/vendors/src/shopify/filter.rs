//! Which records a Shopify listing shows, and in which order.

use std::ops::Bound;

use axum::http::StatusCode;
use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{CANCELLED, CLOSED, Resource, error, zone};
use crate::message::{Call, Reply};
use crate::store::{Collection, Place, Record, RecordId, Sort};
use crate::wire::Settings;

/// What a listing shows and in which order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Filters {
    order: Order,
    status: Status,
    created: Range,
    updated: Range,
    since_id: Option<u64>,
    ids: Vec<u64>,
    financial_status: Option<String>,
    fulfillment_status: Option<String>,
}

/// Both ends belong to it; microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Range {
    min: Option<i64>,
    max: Option<i64>,
}

impl Range {
    fn holds(self, value: i64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Order {
    by: By,
    descending: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum By {
    #[default]
    Id,
    Created,
    Updated,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Status {
    Open,
    Closed,
    Cancelled,
    #[default]
    Any,
}

/// Reads the filters of a listing or a count.
///
/// # Errors
/// The answer to a filter that cannot be used.
pub(super) fn filters(resource: &Resource, call: &Call, settings: &Settings) -> Result<Filters, Reply> {
    let time = |name: &str| call.param(name).map(|text| parse_time(name, text, settings)).transpose();
    let since_id = call.param("since_id").map(|text| number("since_id", text)).transpose()?;
    let ids = call.param("ids").filter(|ids| !ids.is_empty());
    let ids = ids.map_or(Ok(Vec::new()), |list| list.split(',').map(|id| number("ids", id.trim())).collect())?;
    let named = |name: &str| call.param(name).filter(|value| *value != "any").map(ToOwned::to_owned);
    let is_orders = resource.plural == "orders";
    Ok(Filters {
        // Newest first, unless the client goes through the ids.
        order: match call.param("order") {
            Some(text) => parse_order(text)?,
            None => Order { by: By::Id, descending: since_id.is_none() },
        },
        status: if is_orders { parse_status(call.param("status"))? } else { Status::Any },
        created: Range { min: time("created_at_min")?, max: time("created_at_max")? },
        updated: Range { min: time("updated_at_min")?, max: time("updated_at_max")? },
        since_id,
        ids,
        financial_status: named("financial_status").filter(|_| is_orders),
        fulfillment_status: named("fulfillment_status").filter(|_| is_orders),
    })
}

/// The answer to a parameter that cannot be used.
pub(super) fn refuse(field: &str, message: &str) -> Reply {
    error(StatusCode::BAD_REQUEST, json!({field: message}))
}

fn number(name: &str, text: &str) -> Result<u64, Reply> {
    text.parse().map_err(|_| refuse(name, &format!("{name} must be whole numbers")))
}

fn parse_order(text: &str) -> Result<Order, Reply> {
    let mut words = text.split_whitespace();
    let by = match words.next() {
        Some("id") => By::Id,
        Some("created_at") => By::Created,
        Some("updated_at") => By::Updated,
        _ => {
            return Err(refuse("order", "order must be by id, created_at or updated_at"));
        }
    };
    let descending = match words.next().map(str::to_ascii_lowercase).as_deref() {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(_) => return Err(refuse("order", "order must be asc or desc")),
    };
    Ok(Order { by, descending })
}

fn parse_status(text: Option<&str>) -> Result<Status, Reply> {
    match text {
        None | Some("open") => Ok(Status::Open),
        Some("closed") => Ok(Status::Closed),
        Some("cancelled") => Ok(Status::Cancelled),
        Some("any") => Ok(Status::Any),
        Some(_) => Err(refuse("status", "status must be open, closed, cancelled or any")),
    }
}

/// A time with an offset, or without one in the shop's zone.
fn parse_time(name: &str, text: &str, settings: &Settings) -> Result<i64, Reply> {
    let exact = text.parse::<Timestamp>().ok();
    let local = || text.parse::<DateTime>().ok()?.to_zoned(zone(settings)).ok().map(|zoned| zoned.timestamp());
    let time = exact.or_else(local);
    time.map(Timestamp::as_microsecond).ok_or_else(|| refuse(name, &format!("{name} must be an ISO 8601 time")))
}

impl Filters {
    /// Whether a record is shown.
    pub(super) fn holds(&self, id: &RecordId, record: &Record) -> bool {
        let status = match self.status {
            Status::Any => true,
            Status::Open => record.flags & (CANCELLED | CLOSED) == 0,
            Status::Closed => record.flags & CLOSED != 0,
            Status::Cancelled => record.flags & CANCELLED != 0,
        };
        status
            && self.created.holds(record.created)
            && self.updated.holds(record.updated)
            && self.since_id.is_none_or(|since| *id > RecordId::Number(since))
            && (self.ids.is_empty() || self.ids.iter().any(|wanted| *id == RecordId::Number(*wanted)))
            && self.holds_texts(record)
    }

    /// The filters that need the record parsed.
    fn holds_texts(&self, record: &Record) -> bool {
        if self.financial_status.is_none() && self.fulfillment_status.is_none() {
            return true;
        }
        let value = record.value();
        let equal = |field: &str, wanted: Option<&str>| {
            wanted.is_none_or(|wanted| value[field].as_str().unwrap_or("unfulfilled") == wanted)
        };
        equal("financial_status", self.financial_status.as_deref())
            && equal("fulfillment_status", self.fulfillment_status.as_deref())
    }

    /// The order's sorted value.
    pub(super) fn sort(&self) -> Sort {
        match self.order.by {
            By::Id => Sort::Id,
            By::Created => Sort::Created,
            By::Updated => Sort::Updated,
        }
    }

    /// The part of the sorted order that can hold what is asked for.
    pub(super) fn bounds(&self) -> (Bound<Place>, Bound<Place>) {
        let range = match self.order.by {
            By::Created => self.created,
            By::Updated => self.updated,
            By::Id => {
                let low = self.since_id.map_or(Bound::Unbounded, |id| Bound::Excluded((0, RecordId::Number(id))));
                return (low, Bound::Unbounded);
            }
        };
        let low = range.min.map_or(Bound::Unbounded, |min| Bound::Included((min, RecordId::MIN)));
        let high = range.max.map_or(Bound::Unbounded, |max| Bound::Excluded((max.saturating_add(1), RecordId::MIN)));
        (low, high)
    }

    /// Whether the order goes down.
    pub(super) fn is_descending(&self) -> bool {
        self.order.descending
    }

    /// How many records of the collection are asked for.
    pub(super) fn count(&self, collection: &Collection) -> usize {
        let found = collection.walk(self.sort(), self.bounds(), false);
        found.filter(|((_, id), record)| self.holds(id, record)).count()
    }
}
