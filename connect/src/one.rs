//! What the answer to a single read holds. Pure. It is believed only if it shows the very key that was asked for.

use bytes::Bytes;
use crosstie_engine::plan::{ReadOne, Stream};
use serde_json::Value;

use crate::{
    document::{self, Unreadable},
    failure::{CallFailure, FailureKind},
    response,
};

/// A value as the only one in objects that a pointer leads through.
fn enclosed(value: Value, pointer: &str) -> Value {
    let names = pointer.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~"));
    names
        .collect::<Vec<String>>()
        .into_iter()
        .rev()
        .fold(value, |inner, name| Value::Object([(name, inner)].into_iter().collect()))
}

/// The record of a key in a response.
pub fn record(stream: &Stream, one: &ReadOne, key: &str, body: &Bytes) -> Result<Value, CallFailure> {
    let malformed = |problem: &str| {
        let detail = format!(
            "the answer to a single record of `{}` is not what the Connector says: {problem}; check the stream's `one`",
            stream.name
        );
        CallFailure::new(FailureKind::Malformed, detail)
    };
    let mut document = document::read(&stream.format, body).map_err(|unreadable| match unreadable {
        Unreadable::TooLarge | Unreadable::TooMany => malformed("it is larger than a record can be"),
        Unreadable::Malformed { problem, source } => malformed(&problem).because(source),
    })?;
    let record = document.pointer_mut(&one.record).map(Value::take);
    let record =
        record.filter(Value::is_object).ok_or_else(|| malformed(&format!("there is no record at `{}`", one.record)))?;
    let record = enclosed(record, &one.into);
    match record.pointer(&stream.key).and_then(response::key_text) {
        Some(found) if found == key => Ok(record),
        // Not for every key: a vendor that searches where it should read may find another one's.
        Some(_) => Err(another(stream)),
        None => Err(malformed(&format!("the record has no key at `{}`", stream.key))),
    }
}

/// The fault of the key that was asked for.
fn another(stream: &Stream) -> CallFailure {
    let detail = format!(
        "the answer to a single record of `{}` shows another record, by its key at `{}`: check that the key is one of that stream, and the \
         stream's `one`",
        stream.name, stream.key
    );
    CallFailure::new(FailureKind::Refused, detail)
}
