//! From a response's bytes to a JSON value, whatever the response is written in. Pure, and bounded: what is packed is unpacked no further than
//! to the size that a response may have.

use std::{borrow::Cow, error::Error, io::Read};

use crosstie_engine::{json::Json, plan::Format};
use flate2::bufread::MultiGzDecoder;
use serde_json::{Map, Value};

use crate::{response, transport::LARGEST_BODY, xml};

/// Largest response, in bytes, when it is unpacked.
pub const LARGEST: usize = LARGEST_BODY;

/// Values in a response, at most: each takes some 150 bytes, however few bytes there are of it, and a worker has 128 MiB.
const MOST_VALUES: usize = 400_000;

/// What gzip begins with (RFC 1952), and no text does.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Mark that some systems put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a response cannot be read. Nothing of what stands there is repeated.
#[derive(Debug)]
pub enum Unreadable {
    /// Unpacked, it is larger than is read.
    TooLarge,
    /// It holds more values than there is room for.
    TooMany,
    /// It is not what the Connector says it is.
    Malformed { problem: String, source: Box<dyn Error + Send + Sync> },
}

impl Unreadable {
    pub fn malformed(problem: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Malformed { problem: problem.into(), source: source.into() }
    }
}

/// Reads a response.
pub fn read(format: &Format, body: &[u8]) -> Result<Value, Unreadable> {
    look(format, body, |document: &Json| document.to_value())
}

/// Looks at what a response holds, which is not copied for it where it is JSON.
pub fn look<T>(format: &Format, body: &[u8], look: impl FnOnce(&Json) -> T) -> Result<T, Unreadable> {
    let body = unpacked(body)?;
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&body);
    Ok(match format {
        Format::Json => look(&json(body, "it is no JSON")?),
        Format::JsonLines => look(&lines(body)?),
        Format::Csv { delimiter, columns } => look(&Json::from(&rows(body, *delimiter, columns)?)),
        Format::Xml => look(&Json::from(&xml::read(body)?)),
    })
}

fn json<'a>(text: &'a [u8], problem: &str) -> Result<Json<'a>, Unreadable> {
    if values_of_json(text) > MOST_VALUES {
        return Err(Unreadable::TooMany);
    }
    let text = std::str::from_utf8(text).map_err(|error| Unreadable::malformed(problem, error))?;
    Json::read(text).map_err(|error| Unreadable::malformed(problem, response::without_content(&error)))
}

/// How many values a text has, at most: one more than there are bytes outside of quotes that separate or open.
fn values(text: &[u8], separates: impl Fn(u8) -> bool, escapes: Option<u8>) -> usize {
    // Nearly every text has few enough even if quotes are not looked at, which is so much faster that it costs nothing.
    let most = text.iter().filter(|byte| separates(**byte)).count() + 1;
    if most <= MOST_VALUES {
        return most;
    }
    let (mut values, mut within, mut escaped) = (1_usize, false, false);
    for byte in text {
        if escaped {
            escaped = false;
        } else if within && escapes == Some(*byte) {
            escaped = true;
        } else if *byte == b'"' {
            within = !within;
        } else if !within && separates(*byte) {
            values += 1;
        }
    }
    values
}

/// How many values a JSON text has, at most.
fn values_of_json(text: &[u8]) -> usize {
    values(text, |byte| matches!(byte, b',' | b'[' | b'{'), Some(b'\\'))
}

fn unpacked(body: &[u8]) -> Result<Cow<'_, [u8]>, Unreadable> {
    if !body.starts_with(&GZIP) {
        return Ok(Cow::Borrowed(body));
    }
    let mut whole = Vec::new();
    // One byte more than may be, so that what is too large is told from what is just large enough.
    let limit = u64::try_from(LARGEST).unwrap_or(u64::MAX).saturating_add(1);
    let read = MultiGzDecoder::new(body).take(limit).read_to_end(&mut whole);
    read.map_err(|error| Unreadable::malformed("it is packed by gzip and damaged", error))?;
    if whole.len() > LARGEST { Err(Unreadable::TooLarge) } else { Ok(Cow::Owned(whole)) }
}

fn lines(body: &[u8]) -> Result<Json<'_>, Unreadable> {
    if values_of_json(body) > MOST_VALUES {
        return Err(Unreadable::TooMany);
    }
    let mut values = Vec::new();
    for (number, line) in body.split(|byte| *byte == b'\n').enumerate() {
        if !line.trim_ascii().is_empty() {
            values.push(json(line, &format!("line {} is no JSON", number + 1))?);
        }
    }
    Ok(Json::List(values))
}

fn rows(body: &[u8], delimiter: char, columns: &[String]) -> Result<Value, Unreadable> {
    let problem = |error: csv::Error| {
        let line = error.position().map(|position| format!(" in line {}", position.line())).unwrap_or_default();
        // What the error says itself may repeat what stands there.
        Unreadable::malformed(format!("it is no CSV{line}"), cause(error.kind()))
    };
    let delimiter = u8::try_from(delimiter).unwrap_or(b',');
    if values(body, |byte| byte == delimiter || byte == b'\n', None) > MOST_VALUES {
        return Err(Unreadable::TooMany);
    }
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).has_headers(columns.is_empty()).from_reader(body);
    let columns =
        if columns.is_empty() { reader.headers().map_err(problem)?.clone() } else { columns.iter().collect() };
    let twice = columns.iter().enumerate().any(|(at, name)| columns.iter().take(at).any(|other| other == name));
    if twice {
        return Err(Unreadable::malformed(
            "two of its columns have the same name",
            "a record would have one of them only",
        ));
    }
    let mut rows = Vec::new();
    for row in reader.records() {
        let row = row.map_err(problem)?;
        if row.len() != columns.len() {
            let line = row.position().map_or(0, csv::Position::line);
            let lengths = format!("{} values for {} columns", row.len(), columns.len());
            return Err(Unreadable::malformed(
                format!("line {line} has not as many values as there are columns"),
                lengths,
            ));
        }
        let members = columns.iter().zip(&row).map(|(name, value)| (name.to_owned(), Value::from(value)));
        rows.push(Value::Object(members.collect::<Map<_, _>>()));
    }
    Ok(Value::Array(rows))
}

fn cause(kind: &csv::ErrorKind) -> &'static str {
    match kind {
        csv::ErrorKind::Utf8 { .. } => "a value is no UTF-8",
        csv::ErrorKind::UnequalLengths { .. } => "a row has not as many values as the first one",
        _ => "a row cannot be read",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use serde_json::json;

    use super::*;

    fn csv(delimiter: char, columns: &[&str]) -> Format {
        Format::Csv { delimiter, columns: columns.iter().map(ToString::to_string).collect() }
    }

    fn problem(format: &Format, body: &[u8]) -> String {
        match read(format, body).unwrap_err() {
            Unreadable::Malformed { problem, source } => {
                let told = format!("{problem}: {source}");
                assert!(!told.contains("jane"), "{told}");
                told
            }
            Unreadable::TooLarge | Unreadable::TooMany => panic!("too large"),
        }
    }

    fn packed(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn values_are_counted_where_they_are_and_not_within_texts() {
        let text = [b"[\"", &b",\\\"[{".repeat(MOST_VALUES)[..], b"\"]"].concat();
        assert!(values_of_json(&text) < 5);
        assert!(values_of_json(&b"0,".repeat(MOST_VALUES)) >= MOST_VALUES);
        assert!(matches!(read(&Format::JsonLines, &b"[]\n".repeat(MOST_VALUES + 1)), Err(Unreadable::TooMany)));
    }

    #[test]
    fn lines_of_json_are_a_list() {
        let read = read(&Format::JsonLines, b"{\"id\": 1}\r\n\n{\"id\": 2}\n").unwrap();
        assert_eq!(read, json!([{"id": 1}, {"id": 2}]));
        assert!(problem(&Format::JsonLines, b"{\"id\": 1}\n{\"id\": \"jane").contains("line 2 is no JSON"));
    }

    #[test]
    fn rows_of_csv_are_objects_of_texts() {
        let body = b"\xef\xbb\xbfid,name\r\n1,\"a, \"\"b\"\"\nc\"\n2,\n";
        let expected = json!([{"id": "1", "name": "a, \"b\"\nc"}, {"id": "2", "name": ""}]);
        assert_eq!(read(&csv(',', &[]), body).unwrap(), expected);
        assert_eq!(read(&csv(';', &["a", "b"]), b"1;2").unwrap(), json!([{"a": "1", "b": "2"}]));
        assert_eq!(read(&csv(',', &[]), b"id,name\n").unwrap(), json!([]));
    }

    #[test]
    fn csv_that_is_cut_off_or_no_text_is_not_taken() {
        assert!(problem(&csv(',', &[]), b"id,name\n1,jane\n2").contains("line 3"));
        assert!(problem(&csv(',', &["a", "b"]), b"jane\n").contains("not as many values as there are columns"));
        assert!(problem(&csv(',', &[]), b"id,name\n1,jane\xff\n").contains("no UTF-8"));
        assert!(problem(&csv(',', &[]), b"id,id\n1,2\n").contains("same name"));
    }

    #[test]
    fn what_gzip_packed_is_unpacked_whatever_it_is_called() {
        assert_eq!(read(&Format::Json, &packed(b"{\"id\": 1}")).unwrap(), json!({"id": 1}));
        let two = [packed(b"[1,"), packed(b"2]")].concat();
        assert_eq!(read(&Format::Json, &two).unwrap(), json!([1, 2]));
        let whole = packed(b"[\"jane\", 2]");
        assert!(problem(&Format::Json, &whole[..whole.len() - 6]).contains("damaged"));
    }

    #[test]
    fn a_body_that_unpacks_to_more_than_is_read_is_given_up_at_the_limit() {
        let bomb = packed(&vec![b' '; LARGEST + 1]);
        assert!(bomb.len() < LARGEST / 100);
        assert!(matches!(read(&Format::Json, &bomb), Err(Unreadable::TooLarge)));
        let mut largest = vec![b' '; LARGEST];
        largest[0] = b'7';
        assert_eq!(read(&Format::Json, &packed(&largest)).unwrap(), json!(7));
    }

    #[test]
    fn text_that_is_no_utf_8_is_not_taken() {
        assert!(problem(&Format::Json, b"{\"name\": \"jane\xff\"}").contains("no JSON"));
        assert!(problem(&Format::JsonLines, b"{\"name\": \"jane\xff\"}").contains("line 1 is no JSON"));
    }
}
