//! Making one request of several records, and judging what came of each. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;
use crosstie_engine::{
    body::Body,
    inlay,
    plan::{Batch, BatchResults, FailedRows, Operation, ResultKey, names_a_record},
};
use serde::Serialize;
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

/// Bytes that are made room for at first.
const USUAL_BYTES: usize = 16 * 1024;

/// The request of a batch.
pub fn call(
    base: &Url,
    operation: &Operation,
    batch: &Batch,
    bodies: &[&Body],
    idempotency_key: Option<&str>,
) -> Result<Call, CallFailure> {
    let headers = write::headers(operation, idempotency_key)?;
    let items = items(operation, batch, bodies)?;
    let body = request(batch, items.iter().map(AsRef::as_ref)).map_err(|problem| not_called(operation, problem))?;
    Ok(write::request(operation, batch.method, target::batch(base, batch), headers, Some(Bytes::from(body))))
}

/// The items of the list. Only where constant members name something of a record, or the body has a place within its item, are they made anew.
fn items<'a>(operation: &Operation, batch: &Batch, bodies: &[&'a Body]) -> Result<Vec<Item<'a>>, CallFailure> {
    let names = inlay::names(&Value::Object(batch.record_fields.clone()), &names_a_record);
    if names.is_empty() && batch.record_wrap.is_empty() {
        return Ok(bodies.iter().map(|body| Item::AsMapped(body)).collect());
    }
    let item = |body: &Body| {
        let filled = body::filled(&batch.record_fields, Filling { body, identifier: None, since: None });
        let filled = filled.map_err(|unfilled| not_called(operation, &unfilled.to_string()))?;
        Ok(Item::Made(body::among(filled, &batch.record_wrap, Value::clone(body)).into()))
    };
    bodies.iter().map(|body| item(body)).collect()
}

/// A record's item of the list.
enum Item<'a> {
    AsMapped(&'a Body),
    Made(Body),
}

impl AsRef<Body> for Item<'_> {
    fn as_ref(&self) -> &Body {
        match self {
            Self::AsMapped(body) => body,
            Self::Made(body) => body,
        }
    }
}

/// The request's body: the list of records at its place, with the constant members around it.
fn request<'b>(batch: &Batch, bodies: impl Iterator<Item = &'b Body>) -> Result<Vec<u8>, &'static str> {
    let place = match batch.records.strip_prefix('/') {
        Some(place) => place.split('/').map(|name| name.replace("~1", "/").replace("~0", "~")).collect(),
        None if batch.records.is_empty() => Vec::new(),
        None => return Err("the place of the records is no JSON pointer"),
    };
    let mut out = Vec::with_capacity(USUAL_BYTES);
    for (depth, name) in place.iter().enumerate() {
        out.push(b'{');
        if depth == 0 {
            batch.fields.iter().for_each(|member| print_member(member, &mut out));
        }
        print(name, &mut out);
        out.push(b':');
    }
    out.push(b'[');
    for (index, body) in bodies.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        print_item(&batch.record_fields, body, &mut out);
    }
    out.push(b']');
    out.extend(place.iter().map(|_| b'}'));
    Ok(out)
}

/// A record with the constant members that it does not have itself, which come first.
fn print_item(constants: &Map<String, Value>, body: &Body, out: &mut Vec<u8>) {
    let missing: Vec<_> = constants.iter().filter(|(name, _)| body.lacks(name)).collect();
    let own = body.text().strip_prefix('{').filter(|_| !missing.is_empty());
    let Some(own) = own else { return out.extend_from_slice(body.text().as_bytes()) };
    out.push(b'{');
    for member in missing {
        print_member(member, out);
    }
    if own == "}" {
        // Nothing comes behind the last one's comma.
        out.pop();
    }
    out.extend_from_slice(own.as_bytes());
}

/// A member with the comma behind it.
fn print_member((name, value): (&String, &Value), out: &mut Vec<u8>) {
    print(name, out);
    out.push(b':');
    print(value, out);
    out.push(b',');
}

fn print<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    // Printing texts and values into memory cannot fail.
    let _never = serde_json::to_writer(out, value);
}

/// Judges what batches come to.
pub struct Judge<'a> {
    pub host: &'a str,
    pub request_id_header: Option<&'a str>,
    pub operation: &'a Operation,
    pub batch: &'a Batch,
    /// The bodies that were sent.
    pub bodies: &'a [&'a Body],
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

    fn sent(records: &str, fields: &Value, bodies: &[Value]) -> Value {
        let batch: Batch = serde_json::from_value(json!({
            "maxRecords": 2, "method": "POST", "path": "/batch", "query": {}, "records": records, "fields": fields,
            "results": null,
        }))
        .unwrap();
        asked(&batch, bodies)
    }

    fn asked(batch: &Batch, bodies: &[Value]) -> Value {
        let bodies: Vec<Body> = bodies.iter().cloned().map(Body::from).collect();
        serde_json::from_slice(&request(batch, bodies.iter()).unwrap()).unwrap()
    }

    #[test]
    fn each_record_has_the_constant_members_that_it_does_not_have_itself() {
        let batch: Batch = serde_json::from_value(json!({
            "maxRecords": 2, "method": "POST", "path": "/batch", "query": {}, "records": "", "fields": {},
            "recordFields": {"attributes": {"type": "Account"}}, "results": null,
        }))
        .unwrap();
        let bodies = [json!({"a": 1}), json!({"attributes": {"type": "Contact"}}), json!({}), json!([1])];
        let attributes = json!({"type": "Account"});
        let expected = json!([{"attributes": attributes, "a": 1}, {"attributes": {"type": "Contact"}}, {"attributes": attributes}, [1]]);
        assert_eq!(asked(&batch, &bodies), expected);
    }

    #[test]
    fn the_records_go_where_the_pointer_says_among_the_constant_members() {
        let bodies = [json!({"a": 1}), json!({"b": 2})];
        assert_eq!(sent("", &json!({}), &bodies), json!([{"a": 1}, {"b": 2}]));
        assert_eq!(sent("/records", &json!({"a": 1}), &[]), json!({"a": 1, "records": []}));
        assert_eq!(sent("", &json!({}), &[json!({})]), json!([{}]));
        let whole = sent("/records", &json!({"allOrNone": false}), &bodies);
        assert_eq!(whole, json!({"allOrNone": false, "records": [{"a": 1}, {"b": 2}]}));
        let nested = sent("/data/a~1b/items", &json!({"mode": [1]}), &bodies);
        assert_eq!(nested, json!({"data": {"a/b": {"items": [{"a": 1}, {"b": 2}]}}, "mode": [1]}));
    }
}
