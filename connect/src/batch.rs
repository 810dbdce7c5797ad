//! Making one request of several records, and judging what came of each. Pure.

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use crosstie_engine::{
    inlay,
    plan::{Batch, BatchResults, FailedRows, Operation, ResultKey, names_a_record},
};
use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeMap},
};
use serde_json::{Map, Value};
use url::Url;

use crate::{
    body,
    call::{Answer, BodyFailure, Call, Reached, Reply, Setback},
    classify,
    document::{self, Unreadable},
    failure::{CallFailure, FailureKind},
    outcome::{RecordFault, Row, WrittenBatch},
    response,
    target::{self, Filling},
    write::{self, not_called},
};

/// The request of a batch.
pub fn call(
    base: &Url,
    operation: &Operation,
    batch: &Batch,
    bodies: &[&Value],
    idempotency_key: Option<&str>,
) -> Result<Call, CallFailure> {
    let headers = write::headers(operation, idempotency_key)?;
    let items = items(operation, batch, bodies)?;
    let bodies: Vec<&Value> = items.iter().map(AsRef::as_ref).collect();
    let body = serde_json::to_vec(&Request { batch, bodies: &bodies })
        .map_err(|error| not_called(operation, "the records do not fit into the request").because(error))?;
    Ok(write::request(operation, batch.method, target::batch(base, batch), headers, Some(Bytes::from(body))))
}

/// The items of the list. Only where constant members name something of a record, or the body has a place within its item, are they made anew.
fn items<'a>(operation: &Operation, batch: &Batch, bodies: &[&'a Value]) -> Result<Vec<Cow<'a, Value>>, CallFailure> {
    let names = inlay::names(&Value::Object(batch.record_fields.clone()), &names_a_record);
    if names.is_empty() && batch.record_wrap.is_empty() {
        return Ok(bodies.iter().map(|body| Cow::Borrowed(*body)).collect());
    }
    let item = |body: &Value| {
        let filled = body::filled(&batch.record_fields, Filling { body, identifier: None, since: None });
        let filled = filled.map_err(|unfilled| not_called(operation, &unfilled.to_string()))?;
        Ok(Cow::Owned(body::among(filled, &batch.record_wrap, body.clone())))
    };
    bodies.iter().map(|body| item(body)).collect()
}

/// The request's body: the list of records, with the constant members around it.
struct Request<'a> {
    batch: &'a Batch,
    bodies: &'a [&'a Value],
}

impl<'a> Request<'a> {
    fn list(&self) -> List<'a> {
        List { constants: &self.batch.record_fields, bodies: self.bodies }
    }
}

impl Serialize for Request<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(place) = self.batch.records.strip_prefix('/') else {
            return if self.batch.records.is_empty() {
                self.list().serialize(serializer)
            } else {
                Err(S::Error::custom("the place of the records is no JSON pointer"))
            };
        };
        let (name, place) = first(place);
        let mut object = serializer.serialize_map(Some(self.batch.fields.len() + 1))?;
        for (name, value) in &self.batch.fields {
            object.serialize_entry(name, value)?;
        }
        object.serialize_entry(&name, &Nested { place, list: self.list() })?;
        object.end()
    }
}

/// The list of records at the end of what is left of a pointer.
struct Nested<'a> {
    place: Option<&'a str>,
    list: List<'a>,
}

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(place) = self.place else { return self.list.serialize(serializer) };
        let (name, place) = first(place);
        let mut object = serializer.serialize_map(Some(1))?;
        object.serialize_entry(&name, &Self { place, list: self.list })?;
        object.end()
    }
}

/// The records, each with the constant members that it does not have itself.
#[derive(Clone, Copy)]
struct List<'a> {
    constants: &'a Map<String, Value>,
    bodies: &'a [&'a Value],
}

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let constants = self.constants;
        serializer.collect_seq(self.bodies.iter().map(|body| Item { constants, body }))
    }
}

struct Item<'a> {
    constants: &'a Map<String, Value>,
    body: &'a Value,
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.body {
            Value::Object(fields) if !self.constants.is_empty() => {
                let constants = self.constants.iter().filter(|(name, _)| !fields.contains_key(*name));
                serializer.collect_map(constants.chain(fields))
            }
            body => body.serialize(serializer),
        }
    }
}

/// The first name of a pointer without its leading slash, and what is left behind it.
fn first(pointer: &str) -> (String, Option<&str>) {
    let (name, rest) = pointer.split_once('/').map_or((pointer, None), |(name, rest)| (name, Some(rest)));
    (name.replace("~1", "/").replace("~0", "~"), rest)
}

/// Judges what batches come to.
pub struct Judge<'a> {
    pub host: &'a str,
    pub request_id_header: Option<&'a str>,
    pub operation: &'a Operation,
    pub batch: &'a Batch,
    /// The bodies that were sent.
    pub bodies: &'a [&'a Value],
}

impl Judge<'_> {
    /// What a batch came to.
    pub fn judge(&self, outcome: Result<Reply, Setback>) -> WrittenBatch {
        match outcome {
            Ok(Reply::Success(answer)) => {
                let rows = match &self.batch.results {
                    Some(results) => self.rows(results, &answer),
                    None => Ok(self.bodies.iter().map(|_| Row::Applied { identifier: None }).collect()),
                };
                let request_id = self.request_id(&answer);
                match rows {
                    Ok(rows) => WrittenBatch::Answered { rows, request_id },
                    Err(failure) => {
                        WrittenBatch::Unknown { failure: failure.answered(answer.status.as_u16(), request_id) }
                    }
                }
            }
            // Records that need nothing done are found one by one.
            Ok(Reply::Refusal(answer) | Reply::Ignored(answer)) => {
                let request_id = self.request_id(&answer);
                let fault =
                    write::fault(self.host, self.operation, "it refuses the batch as a whole", request_id, &answer);
                WrittenBatch::Refused { fault }
            }
            Ok(Reply::Redirect(answer)) => {
                let request_id = self.request_id(&answer);
                let failure = classify::refused(self.host, &self.operation.name, answer.status, request_id);
                failed(failure, write::redirected(&answer))
            }
            Err(Setback { failure, reached }) => failed(failure, reached),
        }
    }

    fn request_id(&self, answer: &Answer) -> Option<String> {
        response::header(&answer.headers, self.request_id_header)
    }

    /// The result of every record. Where that cannot be told of one, it is told of none: the answer is not what the Connector says.
    fn rows(&self, results: &BatchResults, answer: &Answer) -> Result<Vec<Row>, CallFailure> {
        let body = answer.body.as_ref().map_err(|failure| {
            let kind = match failure {
                BodyFailure::TooLarge { .. } => FailureKind::BodyTooLarge,
                BodyFailure::TimedOut(_) => FailureKind::TimedOut,
                BodyFailure::Lost(_) => FailureKind::Unreachable,
            };
            self.unclear(kind, &failure.to_string())
        })?;
        let document = document::value(body).map_err(|unreadable| match unreadable {
            Unreadable::TooLarge | Unreadable::TooMany => {
                self.unclear(FailureKind::BodyTooLarge, "it holds more values than are read")
            }
            Unreadable::Malformed { problem, source } => self.malformed(&problem).because(source),
        })?;
        let list = document.pointer(&results.records).and_then(Value::as_array);
        let list =
            list.ok_or_else(|| self.malformed(&format!("there is no list of results at `{}`", results.records)))?;
        if let Some(key) = &results.key {
            return self.rows_by_key(results, key, list, &document, answer);
        }
        let records = self.bodies.len();
        if list.len() != records {
            return Err(self.malformed(&format!("it has {} results for {records} records", list.len())));
        }
        list.iter().map(|result| self.row(results, result, answer)).collect()
    }

    /// The results by the keys in them. A key that two records have, that no record has, or that has two results, is told of none.
    fn rows_by_key(
        &self,
        results: &BatchResults,
        key: &ResultKey,
        list: &[Value],
        document: &Value,
        answer: &Answer,
    ) -> Result<Vec<Row>, CallFailure> {
        let mut rows: BTreeMap<String, Row> = BTreeMap::new();
        let mut add = |key: Option<String>, row: Row| match key.map(|key| rows.insert(key, row)) {
            Some(None) => Ok(()),
            Some(Some(_)) => Err(self.malformed("two results have the same key")),
            None => Err(self.malformed("a result has no key")),
        };
        for result in list {
            let row = match &results.succeeded {
                Some(_) => self.row(results, result, answer)?,
                None => self.applied(results, result),
            };
            add(result.pointer(&key.pointer).and_then(response::key_text), row)?;
        }
        if let Some(failed) = &results.failed {
            let nothing = Vec::new();
            for result in document.pointer(&failed.records).and_then(Value::as_array).unwrap_or(&nothing) {
                for key in self.keys(failed, result)? {
                    add(Some(key), self.refused(results, result, self.status_of(failed, result)?, answer))?;
                }
            }
        }
        let told = self.bodies.iter().map(|body| {
            let key = body.get(&key.field).and_then(response::key_text);
            key.and_then(|key| rows.remove(&key)).ok_or_else(|| self.malformed("a record has no result of its own"))
        });
        let told = told.collect::<Result<Vec<Row>, CallFailure>>()?;
        if rows.is_empty() { Ok(told) } else { Err(self.malformed("there is a result for a record that was not sent")) }
    }

    fn keys(&self, failed: &FailedRows, result: &Value) -> Result<Vec<String>, CallFailure> {
        let keys: Vec<String> = match result.pointer(&failed.key) {
            Some(Value::Array(keys)) => keys.iter().filter_map(response::key_text).collect(),
            Some(key) => response::key_text(key).into_iter().collect(),
            None => Vec::new(),
        };
        if keys.is_empty() { Err(self.malformed("a record that was refused has no key")) } else { Ok(keys) }
    }

    /// The status of a record that was refused; an error where it does not say whether the record was applied.
    fn status_of(&self, failed: &FailedRows, result: &Value) -> Result<Option<u16>, CallFailure> {
        let status = failed.status.as_ref().and_then(|pointer| result.pointer(pointer)).and_then(response::key_text);
        match status.and_then(|status| status.parse().ok()) {
            Some(status @ (408 | 500..=599)) => Err(self.unclear_row(status)),
            status => Ok(status),
        }
    }

    fn unclear_row(&self, status: u16) -> CallFailure {
        let problem = format!("a record's result has status {status}, which does not say whether it was applied");
        self.unclear(FailureKind::ServerError, &problem)
    }

    fn row(&self, results: &BatchResults, result: &Value, answer: &Answer) -> Result<Row, CallFailure> {
        let place = results.succeeded.as_deref().unwrap_or_default();
        let (applied, status) = match result.pointer(place) {
            Some(Value::Bool(applied)) => (*applied, None),
            Some(Value::Number(number)) => match number.as_u64().and_then(|status| u16::try_from(status).ok()) {
                Some(status @ 200..=299) => (true, Some(status)),
                // What lies behind a gateway was asked, and nobody knows what it did.
                Some(status @ (408 | 500..=599)) => return Err(self.unclear_row(status)),
                Some(status) => (false, Some(status)),
                None => return Err(self.unsaid(results)),
            },
            Some(Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_)) | None => {
                return Err(self.unsaid(results));
            }
        };
        Ok(if applied { self.applied(results, result) } else { self.refused(results, result, status, answer) })
    }

    #[expect(clippy::unused_self, reason = "one of the judge's answers, like the others")]
    fn applied(&self, results: &BatchResults, result: &Value) -> Row {
        let identifier = results.identifier.as_ref().and_then(|pointer| result.pointer(pointer));
        Row::Applied { identifier: identifier.and_then(response::key_text) }
    }

    fn refused(&self, results: &BatchResults, result: &Value, status: Option<u16>, answer: &Answer) -> Row {
        let error = results.error.as_ref().and_then(|pointer| result.pointer(pointer)).unwrap_or(result);
        Row::Refused {
            fault: RecordFault {
                status,
                request_id: self.request_id(answer),
                detail: format!(
                    "`{}` answered to `{}` that it refuses the record as it is mapped, among others in one call",
                    self.host, self.operation.name
                ),
                excerpt: response::excerpt(&Bytes::from(error.to_string())),
                code: response::error_code_in(result).or_else(|| response::error_code_in(error)),
            },
        }
    }

    fn unsaid(&self, results: &BatchResults) -> CallFailure {
        self.malformed(&format!(
            "a result has neither true, false nor a status at `{}`",
            results.succeeded.as_deref().unwrap_or_default()
        ))
    }

    fn malformed(&self, problem: &str) -> CallFailure {
        self.unclear(FailureKind::Malformed, problem)
    }

    fn unclear(&self, kind: FailureKind, problem: &str) -> CallFailure {
        let detail = format!(
            "`{}` answered to the batch of `{}`, but {problem}: check `batch` of the operation in the Connector",
            self.host, self.operation.name
        );
        CallFailure::new(kind, detail)
    }
}

fn failed(failure: CallFailure, reached: Reached) -> WrittenBatch {
    match reached {
        Reached::Never => WrittenBatch::NotSent { failure },
        Reached::Perhaps => WrittenBatch::Unknown { failure },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sent(records: &str, fields: &Value, bodies: &[&Value]) -> Value {
        let batch: Batch = serde_json::from_value(json!({
            "maxRecords": 2, "method": "POST", "path": "/batch", "query": {}, "records": records, "fields": fields,
            "results": null,
        }))
        .unwrap();
        serde_json::to_value(Request { batch: &batch, bodies }).unwrap()
    }

    #[test]
    fn each_record_has_the_constant_members_that_it_does_not_have_itself() {
        let batch: Batch = serde_json::from_value(json!({
            "maxRecords": 2, "method": "POST", "path": "/batch", "query": {}, "records": "", "fields": {},
            "recordFields": {"attributes": {"type": "Account"}}, "results": null,
        }))
        .unwrap();
        let (a, b) = (json!({"a": 1}), json!({"attributes": {"type": "Contact"}}));
        let sent = serde_json::to_value(Request { batch: &batch, bodies: &[&a, &b] }).unwrap();
        let expected = json!([{"attributes": {"type": "Account"}, "a": 1}, {"attributes": {"type": "Contact"}}]);
        assert_eq!(sent, expected);
    }

    #[test]
    fn the_records_go_where_the_pointer_says_among_the_constant_members() {
        let (a, b) = (json!({"a": 1}), json!({"b": 2}));
        let bodies = [&a, &b];
        assert_eq!(sent("", &json!({}), &bodies), json!([{"a": 1}, {"b": 2}]));
        let whole = sent("/records", &json!({"allOrNone": false}), &bodies);
        assert_eq!(whole, json!({"allOrNone": false, "records": [{"a": 1}, {"b": 2}]}));
        let nested = sent("/data/a~1b/items", &json!({"mode": [1]}), &bodies);
        assert_eq!(nested, json!({"data": {"a/b": {"items": [{"a": 1}, {"b": 2}]}}, "mode": [1]}));
    }
}
