//! CEL values as JSON: what a destination is sent. Objects are sorted by name, so that equal bodies have equal bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelDuration, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelTimestamp,
    CelUInt,
};
use cel::common::value::Val;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Map, Number, Value};

use super::compare;
use super::decimal::DecimalValue;
use super::error::Problem;
use super::functions::from_cel;
use super::limits::MAX_OUTPUT_BYTES;
use super::record::json_of;

/// Counts what has been put out so far, in bytes of JSON.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: usize,
}

impl Output {
    /// The JSON of `value`, or `None` if it is an absent optional.
    pub(super) fn json(&mut self, value: &dyn Val) -> Result<Option<Value>, Problem> {
        let Some(value) = compare::present(value) else {
            return Ok(None);
        };
        if let Some(list) = value.downcast_ref::<CelList>() {
            return self.list(list).map(Some);
        }
        if let Some(map) = value.downcast_ref::<CelMap>() {
            return self.map(map).map(Some);
        }
        match json_of(value) {
            Some(json) => self.count_json(&json).map(|()| Some(json)),
            None => self.scalar(value).map(Some),
        }
    }

    /// Counts the name of a field.
    pub(super) fn name(&mut self, name: &str) -> Result<(), Problem> {
        self.count(text_bytes(name) + 2)
    }

    fn count(&mut self, bytes: usize) -> Result<(), Problem> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > MAX_OUTPUT_BYTES {
            return Err(Problem::new(
                format!("the body gets larger than {MAX_OUTPUT_BYTES} bytes"),
                "map fewer or shorter values",
            ));
        }
        Ok(())
    }

    fn list(&mut self, list: &CelList<'_>) -> Result<Value, Problem> {
        let mut items = Vec::with_capacity(list.inner().len());
        self.count(2)?;
        for item in list.inner() {
            if let Some(item) = self.json(item.as_ref())? {
                self.count(1)?;
                items.push(item);
            }
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self, map: &CelMap<'_>) -> Result<Value, Problem> {
        let mut entries = Vec::with_capacity(map.inner().len());
        for (key, value) in map.inner() {
            match key {
                CelMapKey::String(name) => entries.push((name.inner(), value)),
                CelMapKey::Bool(_) | CelMapKey::Int(_) | CelMapKey::UInt(_) => {
                    return Err(Problem::new(
                        format!("a map has a key of type {}", key.inner().get_type().name()),
                        "write keys as texts: `{string(key): value}`",
                    ));
                }
            }
        }
        entries.sort_unstable_by_key(|(name, _)| *name);
        let mut object = Map::with_capacity(entries.len());
        self.count(2)?;
        for (name, value) in entries {
            if let Some(value) = self.json(value.as_ref())? {
                self.name(name)?;
                object.insert(name.to_owned(), value);
            }
        }
        Ok(Value::Object(object))
    }

    /// Counts a copy of a part of the record.
    fn count_json(&mut self, json: &Value) -> Result<(), Problem> {
        match json {
            Value::Array(items) => {
                self.count(2 + items.len())?;
                items.iter().try_for_each(|item| self.count_json(item))
            }
            Value::Object(fields) => {
                self.count(2)?;
                fields.iter().try_for_each(|(name, value)| {
                    self.name(name)?;
                    self.count_json(value)
                })
            }
            Value::String(text) => self.count(text_bytes(text)),
            Value::Null | Value::Bool(_) | Value::Number(_) => self.count(8),
        }
    }

    fn text(&mut self, text: String) -> Result<Value, Problem> {
        self.count(text_bytes(&text))?;
        Ok(Value::String(text))
    }

    fn scalar(&mut self, value: &dyn Val) -> Result<Value, Problem> {
        if let Some(text) = value.downcast_ref::<CelString>() {
            return self.text(text.inner().to_owned());
        }
        self.count(8)?;
        if value.downcast_ref::<CelNull>().is_some() {
            return Ok(Value::Null);
        }
        if let Some(boolean) = value.downcast_ref::<CelBool>() {
            return Ok(Value::Bool(*boolean.inner()));
        }
        if let Some(int) = value.downcast_ref::<CelInt>() {
            return Ok(Value::from(*int.inner()));
        }
        if let Some(unsigned) = value.downcast_ref::<CelUInt>() {
            return Ok(Value::from(*unsigned.inner()));
        }
        if let Some(double) = value.downcast_ref::<CelDouble>() {
            return Number::from_f64(*double.inner()).map(Value::Number).ok_or_else(no_number);
        }
        if let Some(decimal) = value.downcast_ref::<DecimalValue>() {
            return decimal_number(decimal.0);
        }
        if let Some(bytes) = value.downcast_ref::<CelBytes>() {
            return self.text(STANDARD.encode(bytes.inner()));
        }
        if let Some(time) = value.downcast_ref::<CelTimestamp>().and_then(from_cel) {
            return self.text(time.to_string());
        }
        if let Some(duration) = value.downcast_ref::<CelDuration>() {
            return self.text(seconds(duration));
        }
        Err(Problem::new(
            format!("a value of type {} is no JSON", value.get_type().name()),
            "map a text, number, boolean, list, map or null",
        ))
    }
}

/// The bytes of the JSON string: quotes, text and the escapes it needs.
fn text_bytes(text: &str) -> usize {
    let escapes = text.bytes().fold(0, |sum, byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => sum + 1,
        0..0x20 => sum + 5,
        _ => sum,
    });
    2 + text.len() + escapes
}

fn no_number() -> Problem {
    Problem::new(
        "the number is infinite or not a number, which JSON cannot hold",
        "test for it, for example that a divisor is not 0",
    )
}

/// A decimal as a JSON number, if whoever reads the number as a double gets the same decimal.
fn decimal_number(decimal: Decimal) -> Result<Value, Problem> {
    let inexact = || {
        Problem::new(
            "the decimal has more digits than a JSON number is read with",
            "write `string(...)` around it, or `round` it",
        )
    };
    let double: f64 = decimal.to_string().parse().map_err(|_| inexact())?;
    if super::decimal::parse(&double.to_string()) != Some(decimal) {
        return Err(inexact());
    }
    // Whole amounts are written without a fraction: fields that hold integers refuse `3.0`, and no field refuses `3`.
    match decimal.is_integer().then(|| decimal.to_i64()).flatten() {
        Some(int) => Ok(Value::from(int)),
        None => Number::from_f64(double).map(Value::Number).ok_or_else(no_number),
    }
}

/// A duration as Protocol Buffers' JSON has it: seconds with an `s`.
fn seconds(duration: &CelDuration) -> String {
    let duration = duration.inner();
    let (whole, fraction) = (duration.num_seconds(), duration.subsec_nanos());
    let sign = if whole < 0 || fraction < 0 { "-" } else { "" };
    let text = format!("{sign}{}.{:09}", whole.unsigned_abs(), fraction.unsigned_abs());
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}
