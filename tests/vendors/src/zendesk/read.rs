//! Zendesk's reads: lists by cursor, the incremental export, single records, and users by external id.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{bad, not_found};
use crate::dialect::{self, json};
use crate::message::{Call, Reply};
use crate::store::{RecordId, State, set_field};

/// `GET /api/v2/{resource}`: by id, up to 100 a page, by cursor; `external_id` chooses.
pub(super) fn list(resource: &str, call: &Call, state: &mut State) -> Reply {
    let size = call.param("page[size]").map_or(Some(100), |text| text.parse::<usize>().ok());
    let after = call.param("page[after]").map_or(Some(0), |text| text.parse::<usize>().ok());
    let (Some(size), Some(after)) = (size.filter(|size| (1..=100).contains(size)), after) else {
        return bad("InvalidPaginationParameter", "page[size] must be 1 to 100, page[after] a cursor");
    };
    let Some(collection) = state.collection(resource) else { return not_found() };
    let wanted = call.param("external_id");
    let is_wanted = |record: &Value| wanted.is_none_or(|wanted| record["external_id"] == wanted);
    let found: Vec<Value> = dialect::all(collection).into_iter().filter(is_wanted).collect();
    let page = dialect::page(found, after, size);
    // The link stays on the last page; `has_more` says that it leads nowhere.
    let cursor = (after + page.items.len()).to_string();
    let next = format!("{}{}?page%5Bsize%5D={size}&page%5Bafter%5D={cursor}", call.base, call.path);
    let body = json!({
        resource: page.items, "meta": {"has_more": page.next.is_some(), "after_cursor": cursor},
        "links": {"next": next, "prev": null},
    });
    json(StatusCode::OK, &body)
}

/// `GET /api/v2/incremental/tickets/cursor`: what the system changed since a time, oldest change first, deleted tickets too.
pub(super) fn export(call: &Call, state: &mut State) -> Reply {
    let per_page = call.param("per_page").map_or(Some(1_000), |text| text.parse::<usize>().ok());
    let Some(size) = per_page.filter(|size| (1..=1_000).contains(size)) else {
        return bad("InvalidValue", "per_page must be 1 to 1000");
    };
    let (since, after) = match (call.param("cursor"), call.param("start_time")) {
        (Some(cursor), _) => {
            match cursor.split_once('-').map(|(since, after)| (since.parse::<i64>(), after.parse::<usize>())) {
                Some((Ok(since), Ok(after))) => (since, after),
                Some(_) | None => return bad("InvalidValue", "the cursor is not one of this export"),
            }
        }
        (None, Some(start)) => match start.parse::<i64>() {
            Ok(start) if start <= call.now.as_second() - 60 => (start, 0),
            Ok(_) => return bad("StartTimeTooRecent", "start_time must be more than a minute ago"),
            Err(_) => return bad("InvalidValue", "start_time must be seconds since 1970"),
        },
        (None, None) => return bad("InvalidValue", "start_time or cursor is needed"),
    };
    let Some(collection) = state.collection("tickets") else { return not_found() };
    let stamped = |mut ticket: Value| {
        let changed = ticket["updated_at"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        set_field(&mut ticket, "generated_timestamp", json!(changed.map_or(0, jiff::Timestamp::as_second)));
        ticket
    };
    let changed = dialect::changed(collection, Some(since.saturating_mul(1_000_000)), None);
    let page = dialect::page(changed.into_iter().map(stamped).collect(), after, size);
    let cursor = format!("{since}-{}", after + page.items.len());
    let after_url = format!("{}{}?cursor={cursor}&per_page={size}", call.base, call.path);
    let body = json!({
        "tickets": page.items, "after_cursor": cursor, "after_url": after_url, "before_cursor": null,
        "before_url": null, "end_of_stream": page.next.is_none(),
    });
    json(StatusCode::OK, &body)
}

/// `GET /api/v2/{resource}/{id}`.
pub(super) fn one(resource: &str, name: &str, id: &str, state: &mut State) -> Reply {
    let found = state.collection(resource).and_then(|collection| collection.get(&RecordId::parse(id)));
    found.map_or_else(not_found, |record| json(StatusCode::OK, &json!({name: record.value()})))
}

/// `GET /api/v2/users/search?external_id=X`.
pub(super) fn search_users(call: &Call, state: &mut State) -> Reply {
    let Some(external) = call.param("external_id") else {
        return bad("InvalidValue", "query or external_id is needed");
    };
    let Some(collection) = state.collection("users") else { return not_found() };
    let found = collection.by_external(external).and_then(|id| collection.get(id)).map(crate::store::Record::value);
    let users: Vec<Value> = found.into_iter().collect();
    json(StatusCode::OK, &json!({"count": users.len(), "users": users, "next_page": null, "previous_page": null}))
}
