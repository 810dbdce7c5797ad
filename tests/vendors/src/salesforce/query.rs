//! Salesforce's queries: the part of SOQL that integrations need (one object, conditions on times and texts joined by AND, an order by one
//! field), in pages of `Sforce-Query-Options: batchSize`, at least 200, with `nextRecordsUrl`.

use std::fmt::Write as _;
use std::sync::Mutex;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::{JSON, error, layout, not_found};
use crate::dialect;
use crate::instance::hold;
use crate::message::{Call, Reply};
use crate::store::{State, micros};

/// A query as it stands behind `q=`.
struct Query<'a> {
    fields: Vec<&'a str>,
    object: &'a str,
    conditions: Vec<[&'a str; 3]>,
}

impl<'a> Query<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let rest = text.trim().strip_prefix("SELECT ")?;
        let (fields, rest) = rest.split_once(" FROM ")?;
        let (rest, _order) = rest.split_once(" ORDER BY ").unwrap_or((rest, ""));
        let (object, conditions) = rest.split_once(" WHERE ").unwrap_or((rest, ""));
        let conditions = conditions.split(" AND ").filter(|part| !part.is_empty()).map(|condition| {
            let mut words = condition.trim().splitn(3, ' ');
            Some([words.next()?, words.next()?, words.next()?])
        });
        let fields = fields.split(',').map(str::trim).collect();
        Some(Self { fields, object: object.trim(), conditions: conditions.collect::<Option<_>>()? })
    }

    fn holds(&self, record: &Value) -> Option<bool> {
        let mut all = true;
        for [name, operator, wanted] in &self.conditions {
            let value = own(record, name);
            let order = match wanted.strip_prefix('\'') {
                Some(text) => value.as_str().unwrap_or_default().cmp(text.strip_suffix('\'')?),
                None => micros(value)?.cmp(&micros(&Value::from(*wanted))?),
            };
            all = all
                && match *operator {
                    "=" => order.is_eq(),
                    ">" => order.is_gt(),
                    ">=" => order.is_ge(),
                    "<" => order.is_lt(),
                    "<=" => order.is_le(),
                    _ => return None,
                };
        }
        Some(all)
    }
}

/// A field's value; `SystemModstamp` is the time of the last change.
fn own<'a>(record: &'a Value, name: &str) -> &'a Value {
    &record[if name == "SystemModstamp" { "LastModifiedDate" } else { name }]
}

/// `GET …/query?q=…`, `GET …/queryAll?q=…`, and their next pages `GET …/query/{locator}`.
pub(super) fn query(version: &str, locator: Option<&str>, call: &Call, state: &Mutex<State>) -> Reply {
    let Some((text, start)) = (match locator {
        None => call.param("q").map(|text| (text.to_owned(), 0)),
        Some(locator) => opened(locator),
    }) else {
        return error(StatusCode::BAD_REQUEST, "INVALID_QUERY_LOCATOR", "invalid query locator");
    };
    let malformed = |message: &str| error(StatusCode::BAD_REQUEST, "MALFORMED_QUERY", message);
    let Some(query) = Query::parse(&text) else { return malformed("unexpected token") };
    if layout(query.object).is_none() {
        let message = format!("sObject type '{}' is not supported.", query.object);
        return error(StatusCode::BAD_REQUEST, "INVALID_TYPE", &message);
    }
    let records = {
        let mut state = hold(state);
        let Some(collection) = state.collection(query.object) else { return not_found() };
        dialect::changed(collection, None, None)
    };
    let mut found = Vec::new();
    for record in records {
        match query.holds(&record) {
            Some(true) => found.push(record),
            Some(false) => {}
            None => return malformed("a condition cannot be used"),
        }
    }
    let batch = call.header("sforce-query-options").and_then(|text| text.strip_prefix("batchSize=")?.parse().ok());
    let page = dialect::page(found, start, batch.unwrap_or(2_000).clamp(200, 2_000));
    let shown = |record: Value| {
        let mut fields = Map::new();
        let url = format!(
            "/services/data/v{version}/sobjects/{}/{}",
            query.object,
            record["Id"].as_str().unwrap_or_default()
        );
        fields.insert("attributes".to_owned(), json!({"type": query.object, "url": url}));
        for name in &query.fields {
            let value = if *name == "IsDeleted" { json!(false) } else { own(&record, name).clone() };
            fields.insert((*name).to_owned(), value);
        }
        Value::Object(fields)
    };
    let mut body = json!({"totalSize": page.total, "done": page.next.is_none()});
    body["records"] = page.items.into_iter().map(shown).collect();
    if let Some(next) = page.next {
        let hex = text.bytes().fold(String::new(), |mut hex, byte| {
            let _infallible = write!(hex, "{byte:02x}");
            hex
        });
        let prefix = call.base.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap_or_default();
        body["nextRecordsUrl"] = json!(format!("{prefix}/services/data/v{version}/query/{hex}-{next}"));
    }
    Reply::json(StatusCode::OK, JSON, &body)
}

/// The query and the place that a locator stands for.
fn opened(locator: &str) -> Option<(String, usize)> {
    let (hex, start) = locator.split_once('-')?;
    let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok());
    Some((String::from_utf8(bytes.collect::<Option<_>>()?).ok()?, start.parse().ok()?))
}
