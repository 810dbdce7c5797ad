//! CSV (RFC 4180) as a list of objects of texts. Pure. Names of columns are not copied for each row.

use std::{borrow::Cow, collections::HashSet};

use crosstie_engine::json::Json;

use super::{LARGEST, Unreadable, room};

/// Looks at the rows of a text, which are objects by the columns' names.
pub fn look<T>(
    body: &[u8],
    delimiter: char,
    columns: &[String],
    look: impl FnOnce(&Json) -> T,
) -> Result<T, Unreadable> {
    let problem = |error: csv::Error| {
        let line = error.position().map(|position| format!(" in line {}", position.line())).unwrap_or_default();
        // What the error says itself may repeat what stands there.
        Unreadable::malformed(format!("it is no CSV{line}"), cause(error.kind()))
    };
    let delimiter = u8::try_from(delimiter).unwrap_or(b',');
    check(body, delimiter)?;
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).has_headers(columns.is_empty()).from_reader(body);
    let columns =
        if columns.is_empty() { reader.headers().map_err(problem)?.clone() } else { columns.iter().collect() };
    let mut known = HashSet::new();
    if !columns.iter().all(|name| known.insert(name)) {
        return Err(Unreadable::malformed(
            "two of its columns have the same name",
            "a record would have one of them only",
        ));
    }
    let names: usize = columns.iter().map(str::len).sum();
    let mut written = body.len();
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
        // Written out, each record has all the names in it.
        written = written.saturating_add(names);
        if written > LARGEST {
            return Err(Unreadable::TooLarge);
        }
        let members = columns.iter().zip(&row);
        let members = members.map(|(name, value)| (Cow::Borrowed(name), Json::Text(Cow::Owned(value.to_owned()))));
        rows.push(Json::Object(members.collect()));
    }
    Ok(look(&Json::List(rows)))
}

/// Where a text is, between one byte and the next.
#[derive(Clone, Copy)]
enum At {
    /// Before a value.
    Start,
    /// In a value without quotes.
    Plain,
    /// In a value with quotes.
    Quoted,
    /// Behind a quote in one: at its end, unless another quote follows.
    Closed,
}

/// Checks that every quote is closed, with nothing behind it, and that there is room for every value. Otherwise whatever stands behind a quote would
/// be part of its value, also whole rows, and their records would be missing without a word.
fn check(body: &[u8], delimiter: u8) -> Result<(), Unreadable> {
    let quotes = |problem: String| Unreadable::malformed(problem, "records would be lost in it");
    let (mut at, mut line, mut opened, mut bytes) = (At::Start, 1_usize, 1_usize, 0_usize);
    for byte in body {
        at = match (at, *byte) {
            (At::Start, b'"') => {
                opened = line;
                At::Quoted
            }
            (At::Quoted, b'"') => At::Closed,
            (At::Closed, b'"') | (At::Quoted, _) => At::Quoted,
            (At::Start | At::Plain | At::Closed, byte) if byte == delimiter || matches!(byte, b'\n' | b'\r') => {
                // A row takes as much as another value.
                bytes += if byte == b'\n' { 2 * room::VALUE } else { room::VALUE };
                At::Start
            }
            (At::Closed, _) => {
                return Err(quotes(format!(
                    "the value whose quote opens in line {opened} goes on behind its closing quote"
                )));
            }
            (At::Start | At::Plain, _) => At::Plain,
        };
        line += usize::from(*byte == b'\n');
    }
    match at {
        At::Quoted => Err(quotes(format!("the quote that opens in line {opened} is not closed"))),
        At::Start | At::Plain | At::Closed if bytes > room::MOST => Err(Unreadable::TooMany),
        At::Start | At::Plain | At::Closed => Ok(()),
    }
}

fn cause(kind: &csv::ErrorKind) -> &'static str {
    match kind {
        csv::ErrorKind::Utf8 { .. } => "a value is no UTF-8",
        csv::ErrorKind::UnequalLengths { .. } => "a row has not as many values as the first one",
        _ => "a row cannot be read",
    }
}
