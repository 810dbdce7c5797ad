//! What the answer to a single read holds. Pure. It is believed only if it shows the very key that was asked for.

use bytes::Bytes;
use crosstie_engine::plan::{ReadOne, Stream};
use serde_json::Value;

use crate::{
    failure::{CallFailure, FailureKind},
    response,
};

/// The record of a key in a response.
pub fn record(stream: &Stream, one: &ReadOne, key: &str, body: &Bytes) -> Result<Value, CallFailure> {
    let malformed = |problem: &str| {
        let detail = format!(
            "the answer to a single record of `{}` is not what the Connector says: {problem}; check the stream's `one`",
            stream.name
        );
        CallFailure::new(FailureKind::Malformed, detail)
    };
    let mut document: Value = serde_json::from_slice(body)
        .map_err(|error| malformed("it is no JSON").because(response::without_content(&error)))?;
    let record = document.pointer_mut(&one.record).map(Value::take);
    let record =
        record.filter(Value::is_object).ok_or_else(|| malformed(&format!("there is no record at `{}`", one.record)))?;
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
