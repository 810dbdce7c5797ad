//! The server's side of the control API for records: seeding, reading and changing them.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Json;
use serde_json::{Value, json};

use super::routes::{Answer, Problem, Target, Window, bad, find, not_found, parse};
use crate::dispatch::App;
use crate::instance::Instance;
use crate::merge::merge;
use crate::store::{self, Collection, Layout, Record, RecordId};
use crate::wire::{MAX_SEED, MAX_SEEDED_LINES, RecordsPage, SeedRequest, Seeded};

const SEED_CHUNK: u64 = 1_000;

pub(super) async fn seed(State(app): State<App>, Path((vendor, name)): Target, body: Bytes) -> Answer<Seeded> {
    let request: SeedRequest = parse(&body)?;
    if request.count > MAX_SEED {
        return Err(bad(format!("count is at most {MAX_SEED}")));
    }
    if request.lines.is_some_and(|lines| lines > MAX_SEEDED_LINES) {
        return Err(bad(format!("lines is at most {MAX_SEEDED_LINES}")));
    }
    let instance = find(&app, &vendor, &name)?;
    let filled = tokio::task::spawn_blocking(move || fill(&instance, &request)).await;
    filled.map_err(|error| Problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?.map(Json)
}

fn fill(instance: &Instance, request: &SeedRequest) -> Result<Seeded, Problem> {
    let settings = instance.settings();
    let generate = |index: u64| {
        let offset =
            jiff::SignedDuration::from_millis(i64::try_from(index).unwrap_or(0) * i64::from(request.step_millis));
        let at = request.start_time.checked_add(offset).map_err(|error| bad(error.to_string()))?;
        let id = request.start_id.saturating_add(index);
        let value = instance.vendor.generate(request, &settings, id, at);
        value.map(|value| (id, value)).ok_or_else(|| not_found("resource to seed"))
    };
    for start in (0..request.count).step_by(usize::try_from(SEED_CHUNK).unwrap_or(1)) {
        let chunk = (start..(start + SEED_CHUNK).min(request.count)).map(generate).collect::<Result<Vec<_>, _>>()?;
        let mut state = instance.state();
        let collection = state.collection(&request.resource).ok_or_else(|| not_found("resource"))?;
        let field = collection.layout().id_field;
        for (id, value) in chunk {
            // Where ids are no numbers, the record says its own.
            let id = value[field].as_str().map_or(RecordId::Number(id), RecordId::parse);
            collection.put(&id, value).map_err(|conflict| bad(conflict.to_string()))?;
        }
    }
    Ok(Seeded { seeded: request.count })
}

pub(super) async fn list(
    State(app): State<App>,
    Path((vendor, name, resource)): Path<(String, String, String)>,
    Query(window): Query<Window>,
) -> Answer<RecordsPage> {
    let instance = find(&app, &vendor, &name)?;
    let (records, total) = {
        let mut state = instance.state();
        let collection = state.collection(&resource).ok_or_else(|| not_found("resource"))?;
        let page = collection.iter().skip(window.offset).take(window.limit());
        (page.map(|(_, record)| record.clone()).collect::<Vec<_>>(), collection.len())
    };
    Ok(Json(RecordsPage { items: records.iter().map(Record::value).collect(), total }))
}

pub(super) type RecordTarget = Path<(String, String, String, String)>;

fn resolve(collection: &Collection, id: &str) -> Option<RecordId> {
    match id.strip_prefix("eid:") {
        Some(external) => collection.by_external(external).cloned(),
        None => Some(RecordId::parse(id)),
    }
}

pub(super) async fn read(State(app): State<App>, Path((vendor, name, resource, id)): RecordTarget) -> Answer<Value> {
    let instance = find(&app, &vendor, &name)?;
    let mut state = instance.state();
    let collection = state.collection(&resource).ok_or_else(|| not_found("resource"))?;
    let record = resolve(collection, &id).and_then(|id| collection.get(&id).cloned());
    record.map(|record| Json(record.value())).ok_or_else(|| not_found("record"))
}

pub(super) async fn write(
    State(app): State<App>,
    Path((vendor, name, resource, id)): RecordTarget,
    body: Bytes,
) -> Answer<Value> {
    let value: Value = parse(&body)?;
    if !value.is_object() {
        return Err(bad("a record is an object"));
    }
    let instance = find(&app, &vendor, &name)?;
    let now = instance.vendor.format_time(instance.now(), &instance.settings());
    let mut state = instance.state();
    let collection = state.collection(&resource).ok_or_else(|| not_found("resource"))?;
    let id = resolve(collection, &id).ok_or_else(|| not_found("record"))?;
    put(collection, &id, value, |layout, value| {
        for name in [layout.created_field, layout.updated_field].into_iter().flatten() {
            if store::field(value, name).is_none() {
                store::set_field(value, name, now.clone());
            }
        }
    })
}

pub(super) async fn change(
    State(app): State<App>,
    Path((vendor, name, resource, id)): RecordTarget,
    body: Bytes,
) -> Answer<Value> {
    let change: Value = parse(&body)?;
    let instance = find(&app, &vendor, &name)?;
    let now = instance.vendor.format_time(instance.now(), &instance.settings());
    let mut state = instance.state();
    let collection = state.collection(&resource).ok_or_else(|| not_found("resource"))?;
    let id = resolve(collection, &id).ok_or_else(|| not_found("record"))?;
    let value = collection.get(&id).ok_or_else(|| not_found("record"))?.value();
    put(collection, &id, value, |layout, value| {
        let own_time = layout.updated_field.filter(|name| store::field(&change, name).is_none());
        merge(value, change);
        if let Some(name) = own_time {
            store::set_field(value, name, now);
        }
    })
}

fn put(
    collection: &mut Collection,
    id: &RecordId,
    mut value: Value,
    complete: impl FnOnce(Layout, &mut Value),
) -> Answer<Value> {
    complete(collection.layout(), &mut value);
    collection.put(id, value).map_err(|conflict| Problem(StatusCode::CONFLICT, conflict.to_string()))?;
    Ok(Json(collection.get(id).map(Record::value).unwrap_or_default()))
}

pub(super) async fn remove(State(app): State<App>, Path((vendor, name, resource, id)): RecordTarget) -> Answer<Value> {
    let instance = find(&app, &vendor, &name)?;
    let mut state = instance.state();
    let collection = state.collection(&resource).ok_or_else(|| not_found("resource"))?;
    let id = resolve(collection, &id).ok_or_else(|| not_found("record"))?;
    collection.remove(&id).map(|_| Json(json!({}))).ok_or_else(|| not_found("record"))
}
