//! How much memory a response takes once it is read, estimated by its text before there is a place for any of its values. Pure. Each estimate is what
//! the worst text of its kind takes, so that neither a few bytes for each of very many values nor empty ones fill a worker's 128 MiB.

/// Most that the values of a response may take, in bytes.
pub const MOST: usize = 64 * 1024 * 1024;

/// An object, which has room for several members from the first one on.
const OBJECT: usize = 500;
/// A list, likewise.
const LIST: usize = 160;
/// A member of either, with the room that is made for those to come.
pub const VALUE: usize = 128;

/// An XML element with its text: as it is read, and as a value.
const ELEMENT: usize = 500;
/// An attribute, likewise.
const ATTRIBUTE: usize = 250;
/// Attributes of one element, at most: each is compared with those before it.
const MOST_ATTRIBUTES: usize = 256;
/// Namespaces that a document declares, at most: elements repeat those of the ones around them.
const MOST_NAMESPACES: usize = 10_000;

/// What a JSON text takes, at most.
pub fn of_json(text: &[u8]) -> usize {
    // Nearly every text has room even if all were objects and quotes were not looked at, which is so much faster that it costs nothing.
    let most = OBJECT * (1 + beginnings(text));
    if most <= MOST / 2 {
        return most;
    }
    let (mut bytes, mut within, mut escaped) = (VALUE, false, false);
    for byte in text {
        match (*byte, within) {
            _ if escaped => escaped = false,
            (b'\\', true) => escaped = true,
            (b'"', _) => within = !within,
            (b'{', false) => bytes += OBJECT,
            (b'[', false) => bytes += LIST,
            (b',', false) => bytes += VALUE,
            _ => {}
        }
    }
    bytes
}

/// How many members and values begin in a text, at most. Counted in bytes as far as those can count, which takes many of them in one step.
fn beginnings(text: &[u8]) -> usize {
    let begins = |byte: &u8| u8::from(matches!(*byte, b',' | b'[' | b'{'));
    text.chunks(usize::from(u8::MAX)).map(|part| usize::from(part.iter().map(begins).sum::<u8>())).sum()
}

/// What lines of JSON take, at most.
pub fn of_lines(text: &[u8]) -> usize {
    of_json(text) + VALUE * memchr::memchr_iter(b'\n', text).count()
}

/// What an XML text takes, at most; none where it has so many attributes or namespaces in one place that they are not compared with each other.
pub fn of_xml(text: &[u8]) -> Option<usize> {
    let mut bytes = 0;
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'<', rest) {
        rest = &rest[at..];
        if let Some(behind) = behind_no_element(rest) {
            (rest, bytes) = (behind, bytes + ELEMENT);
            continue;
        }
        let (attributes, length) = tag(rest);
        if attributes > MOST_ATTRIBUTES {
            return None;
        }
        bytes += ATTRIBUTE * attributes + if rest.starts_with(b"</") { 0 } else { ELEMENT };
        rest = &rest[length..];
    }
    (memchr::memmem::find_iter(text, b"xmlns").count() <= MOST_NAMESPACES).then_some(bytes)
}

/// What stands behind a comment, a processing instruction or a section of plain text, in which nothing is an element.
fn behind_no_element(text: &[u8]) -> Option<&[u8]> {
    let pairs: [(&[u8], &[u8]); 3] = [(b"<!--", b"-->"), (b"<![CDATA[", b"]]>"), (b"<?", b"?>")];
    let (begin, end) = pairs.into_iter().find(|(begin, _)| text.starts_with(begin))?;
    let inner = &text[begin.len()..];
    Some(memchr::memmem::find(inner, end).map_or(&[], |at| &inner[at + end.len()..]))
}

/// How many attributes a tag has, and how long it is.
fn tag(text: &[u8]) -> (usize, usize) {
    let (mut attributes, mut quote) = (0, None);
    for (at, byte) in text.iter().enumerate() {
        match (quote, *byte) {
            (Some(open), byte) if open == byte => quote = None,
            (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
            (None, b'=') => attributes += 1,
            (None, b'>') => return (attributes, at + 1),
            (Some(_) | None, _) => {}
        }
    }
    (attributes, text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_texts_takes_nothing() {
        let text = [b"[\"", &b",\\\"[{".repeat(1 << 20)[..], b"\"]"].concat();
        assert!(of_json(&text) < 1000);
    }

    #[test]
    fn objects_lists_and_members_take_what_they_take_however_short_they_are() {
        for (unit, takes) in [(&b"0,"[..], VALUE), (b"[],", VALUE + LIST), (b"{},", VALUE + OBJECT), (b"[[[", 3 * LIST)]
        {
            let times = MOST / takes + 1;
            assert!(of_json(&unit.repeat(times)) > MOST, "{takes}");
            assert!(of_json(&unit.repeat(times - 1)) <= MOST + VALUE, "{takes}");
        }
        assert!(of_lines(&b"0\n".repeat(MOST / VALUE + 1)) > MOST);
    }

    #[test]
    fn elements_and_attributes_take_what_they_take_and_comments_hide_none() {
        assert_eq!(of_xml(b"<a b='>' c=\"<x y='1'>\">t<!-- <d e='1'/> --></a>"), Some(2 * ELEMENT + 2 * ATTRIBUTE));
        assert_eq!(
            of_xml(b"<!--'--><a b='1'/><![CDATA[<c d='\"]]><?p '?><e f='1'/>"),
            Some(5 * ELEMENT + 2 * ATTRIBUTE)
        );
        let attributes: Vec<String> = (0..=MOST_ATTRIBUTES).map(|number| format!(" a{number}=''")).collect();
        assert_eq!(of_xml(format!("<a{}/>", attributes.concat()).as_bytes()), None);
        assert_eq!(of_xml("<a xmlns:b=''/>".repeat(MOST_NAMESPACES + 1).as_bytes()), None);
    }
}
