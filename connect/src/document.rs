//! From a response's bytes to a JSON value, whatever the response is written in. Pure, and bounded: what is packed is unpacked no further than
//! to the size that a response may have, and what holds more values than there is room for is not read at all.

mod room;
mod rows;

use std::{borrow::Cow, error::Error, io::Read};

use crosstie_engine::{json::Json, mapping::Part, plan::Format};
use flate2::bufread::MultiGzDecoder;
use serde_json::Value;

use crate::{
    failure::{CallFailure, FailureKind},
    response,
    transport::LARGEST_BODY,
    xml,
};

pub use room::{MOST as MOST_MEMORY, of_xml as memory_of_xml};

/// Largest response, in bytes, when it is unpacked.
pub const LARGEST: usize = LARGEST_BODY;

/// How deep lists and objects of JSON may be nested; the library reads no deeper.
const DEEPEST: usize = 127;

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

    /// The failure of a call whose answer it is.
    pub fn failure(self, answer: &str) -> CallFailure {
        match self {
            Self::TooLarge | Self::TooMany => {
                let detail =
                    format!("{answer} holds more values than are read: let the Connector ask for less at a time");
                CallFailure::new(FailureKind::BodyTooLarge, detail)
            }
            Self::Malformed { problem, source } => {
                CallFailure::new(FailureKind::Malformed, format!("{answer} cannot be read: {problem}")).because(source)
            }
        }
    }
}

/// Reads a response.
pub fn read(format: &Format, body: &[u8]) -> Result<Value, Unreadable> {
    look(format, body, |document: &Json| document.to_value())
}

/// Reads JSON that is no page of records. Half as much fits, because it takes twice the memory.
pub fn value(text: &[u8]) -> Result<Value, Unreadable> {
    if room::of_json(text) > room::MOST / 2 {
        return Err(Unreadable::TooMany);
    }
    serde_json::from_slice(text).map_err(|error| no_json("it is no JSON", &error))
}

/// Whether a JSON text surely has nothing at a pointer, because the name of its first member does not stand in it.
pub fn surely_lacks(text: &[u8], pointer: &str) -> bool {
    let Some(first) = pointer.split('/').nth(1) else { return false };
    let plain = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    // A number may be a place in a list; escaped letters may spell the name.
    if !plain || first.bytes().all(|byte| byte.is_ascii_digit()) || text.first() != Some(&b'{') {
        return false;
    }
    let name = format!("\"{first}\"");
    memchr::memmem::find(text, name.as_bytes()).is_none() && memchr::memmem::find(text, b"\\u").is_none()
}

/// Reads as much of JSON as is wanted, and passes the rest over.
pub fn part<'a>(text: &'a [u8], wanted: &Part) -> Result<Json<'a>, Unreadable> {
    if room::of_json(text) > room::MOST {
        return Err(Unreadable::TooMany);
    }
    let text = std::str::from_utf8(text).map_err(|error| Unreadable::malformed("it is no JSON", error))?;
    wanted.parse(text).map_err(|error| no_json("it is no JSON", &error))
}

/// Looks at what a response holds, which is not copied for it where it is JSON.
pub fn look<T>(format: &Format, body: &[u8], look: impl FnOnce(&Json) -> T) -> Result<T, Unreadable> {
    let body = unpacked(body)?;
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&body);
    Ok(match format {
        Format::Json if room::of_json(body) > room::MOST => return Err(Unreadable::TooMany),
        Format::Json => look(&json(body, "it is no JSON")?),
        Format::JsonLines => look(&lines(body)?),
        Format::Csv { delimiter, columns } => rows::look(body, *delimiter, columns, look)?,
        Format::Xml => look(&Json::from(&xml::read(body)?)),
    })
}

fn json<'a>(text: &'a [u8], problem: &str) -> Result<Json<'a>, Unreadable> {
    let text = std::str::from_utf8(text).map_err(|error| Unreadable::malformed(problem, error))?;
    Json::read(text).map_err(|error| no_json(problem, &error))
}

fn no_json(problem: &str, error: &serde_json::Error) -> Unreadable {
    // The library has no other word for it.
    if error.to_string().starts_with("recursion limit") {
        let problem = format!("its lists and objects are nested deeper than {DEEPEST}");
        return Unreadable::malformed(problem, response::without_content(error));
    }
    Unreadable::malformed(problem, response::without_content(error))
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
    if room::of_lines(body) > room::MOST {
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

#[cfg(test)]
mod tests;
