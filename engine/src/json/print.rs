//! JSON as text: of what was read and of values, without spaces, as `serde_json` prints it. Texts that need no escapes, which nearly all are, are
//! copied at once.

use serde::Serialize;
use serde_json::Value;

use super::Json;

/// Bytes that most texts fit in.
const USUAL_BYTES: usize = 2048;

/// In which order members are printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they were read.
    AsRead,
    /// Sorted by name, each name once.
    Sorted,
}

/// The text of JSON that was read.
pub fn text(value: &Json, order: Order) -> String {
    let mut out = Vec::with_capacity(USUAL_BYTES);
    json(value, order, &mut out);
    in_utf8(out)
}

/// The text of a value with its members sorted by name.
pub fn sorted_text(value: &Value) -> String {
    let mut out = Vec::with_capacity(USUAL_BYTES);
    sorted_value(value, &mut out);
    in_utf8(out)
}

/// What is printed is made of texts alone.
fn in_utf8(out: Vec<u8>) -> String {
    String::from_utf8(out).unwrap_or_default()
}

fn json(value: &Json, order: Order, out: &mut Vec<u8>) {
    match value {
        Json::Object(members) => {
            let mut object = List::begin(b'{', out);
            let mut each = |name: &str, value: &Json| {
                object.next();
                string(name, object.out);
                object.out.push(b':');
                json(value, order, object.out);
            };
            match order {
                Order::AsRead => members.iter().for_each(|(name, value)| each(name, value)),
                Order::Sorted => members.each_sorted(each),
            }
            object.end(b'}');
        }
        Json::List(items) => {
            let mut list = List::begin(b'[', out);
            for item in items {
                list.next();
                json(item, order, list.out);
            }
            list.end(b']');
        }
        Json::Text(text) => string(text, out),
        Json::Null => out.extend_from_slice(b"null"),
        Json::Bool(boolean) => plain(boolean, out),
        Json::Number(number) => plain(number, out),
    }
}

fn sorted_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(members) => {
            let mut object = List::begin(b'{', out);
            let mut each = |name: &String, value: &Value| {
                object.next();
                string(name, object.out);
                object.out.push(b':');
                sorted_value(value, object.out);
            };
            if members.keys().is_sorted() {
                members.iter().for_each(|(name, value)| each(name, value));
            } else {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_unstable_by_key(|(name, _)| *name);
                for (name, value) in members {
                    each(name, value);
                }
            }
            object.end(b'}');
        }
        Value::Array(items) => {
            let mut list = List::begin(b'[', out);
            for item in items {
                list.next();
                sorted_value(item, list.out);
            }
            list.end(b']');
        }
        Value::String(text) => string(text, out),
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(boolean) => plain(boolean, out),
        Value::Number(number) => plain(number, out),
    }
}

/// Something with parts between brackets.
struct List<'o> {
    out: &'o mut Vec<u8>,
    begun: bool,
}

impl<'o> List<'o> {
    fn begin(bracket: u8, out: &'o mut Vec<u8>) -> Self {
        out.push(bracket);
        Self { out, begun: false }
    }

    fn next(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            self.out.push(b',');
        }
    }

    fn end(self, bracket: u8) {
        self.out.push(bracket);
    }
}

/// A text between quotes.
fn string(text: &str, out: &mut Vec<u8>) {
    // Without a way out in between, many bytes are looked at in one step.
    let needs = |byte: u8| u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\');
    if text.bytes().fold(0, |found, byte| found | needs(byte)) > 0 {
        return plain(text, out);
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// A value without parts.
fn plain<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    // Printing it into memory cannot fail.
    let _never = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Number};

    use super::*;

    fn values() -> impl Strategy<Value = Value> {
        let texts = proptest::collection::vec(any::<char>(), 0..12).prop_map(String::from_iter);
        let hostile =
            proptest::sample::select(vec!["\"", "\\", "\u{0}", "\u{1f}", "\u{7f}", "\n", "ü", "\u{2028}", "a\"b", ""]);
        let texts = prop_oneof![texts, hostile.prop_map(str::to_owned)].boxed();
        let numbers = prop_oneof![
            any::<i64>().prop_map(Number::from),
            any::<u64>().prop_map(Number::from),
            any::<f64>().prop_filter_map("it is no JSON", Number::from_f64),
        ];
        let leaves = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            numbers.prop_map(Value::Number),
            texts.clone().prop_map(Value::String),
        ];
        leaves.prop_recursive(4, 64, 20, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                proptest::collection::vec((texts.clone(), inner), 0..24)
                    .prop_map(|members| Value::Object(Map::from_iter(members))),
            ]
        })
    }

    /// The same with its members sorted, by the library's own means.
    fn with_sorted_members(value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(with_sorted_members).collect(),
            Value::Object(members) => {
                let mut members: Vec<_> =
                    members.iter().map(|(name, value)| (name.clone(), with_sorted_members(value))).collect();
                members.sort_by(|(a, _), (b, _)| a.cmp(b));
                Value::Object(Map::from_iter(members))
            }
            other => other.clone(),
        }
    }

    #[test]
    fn a_number_is_printed_as_it_was_read_however_many_digits_it_has() {
        for number in
            ["0.30000000000000004", "2.5494379038431126e-79", "-6.3319149994905525e-204", "179.76931348623157"]
        {
            assert_eq!(text(&Json::read(number).unwrap(), Order::AsRead), number);
            assert_eq!(serde_json::from_str::<Value>(number).unwrap().to_string(), number);
        }
    }

    proptest! {
        #[test]
        fn it_is_printed_as_the_library_prints_it(value in values()) {
            let read = value.to_string();
            let read = Json::read(&read).unwrap();
            prop_assert_eq!(text(&read, Order::AsRead), serde_json::to_string(&read).unwrap());
            let sorted = with_sorted_members(&value).to_string();
            prop_assert_eq!(text(&read, Order::Sorted), &*sorted);
            prop_assert_eq!(text(&Json::from(&value), Order::Sorted), &*sorted);
            prop_assert_eq!(sorted_text(&value), sorted);
        }
    }
}
