//! From XML to a JSON value. Pure. Document types, and with them entities of a document's own, are refused; so is what is nested or branched
//! beyond reason.

use roxmltree::{Document, Node, ParsingOptions};
use serde_json::{Map, Value, map::Entry};

use crate::document::{MOST_MEMORY, Unreadable, memory_of_xml};

/// Elements and texts of a document, at most; what they and their attributes take in memory is bounded beside it.
const MOST_NODES: u32 = 400_000;

/// How deep elements may be nested.
const DEEPEST: usize = 100;

/// Reads a document: an object with its root element.
pub fn read(body: &[u8]) -> Result<Value, Unreadable> {
    let malformed = |why: &'static str| Unreadable::malformed("it is no XML", why);
    let text = std::str::from_utf8(body).map_err(|_| malformed("it is no UTF-8"))?;
    if memory_of_xml(body).is_none_or(|bytes| bytes > MOST_MEMORY) {
        return Err(Unreadable::TooMany);
    }
    let options = ParsingOptions { nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|error| {
        let position = error.pos();
        Unreadable::malformed(
            "it is no XML",
            format!("line {} column {}: {}", position.row, position.col, cause(&error)),
        )
    })?;
    let root = document.root_element();
    let value = element(root, DEEPEST).ok_or_else(|| malformed("its elements are nested too deep"))?;
    Ok(Value::Object(Map::from_iter([(root.tag_name().name().to_owned(), value)])))
}

/// What is wrong, without what stands there.
fn cause(error: &roxmltree::Error) -> &'static str {
    match error {
        roxmltree::Error::DtdDetected => "document types are not read",
        roxmltree::Error::NodesLimitReached => "it has too many elements",
        _ => "it is not well-formed",
    }
}

/// An element as a value; none if it is nested deeper than is left.
fn element(node: Node, left: usize) -> Option<Value> {
    let left = left.checked_sub(1)?;
    let mut members = Map::new();
    for attribute in node.attributes() {
        let name = attribute.name();
        if name == "nil" || (name == "null" && attribute.namespace().is_some()) {
            if matches!(attribute.value(), "true" | "1") {
                return Some(Value::Null);
            }
            continue;
        }
        members.insert(format!("@{name}"), Value::from(attribute.value()));
    }
    let mut text = String::new();
    for child in node.children() {
        if child.is_element() {
            put(&mut members, child.tag_name().name(), element(child, left)?);
        } else if child.is_text() {
            text.push_str(child.text().unwrap_or_default());
        }
    }
    if members.is_empty() {
        return Some(Value::String(text));
    }
    if !text.trim().is_empty() {
        members.insert("#text".to_owned(), Value::String(text));
    }
    Some(Value::Object(members))
}

/// Children of the same name become a list.
fn put(members: &mut Map<String, Value>, name: &str, value: Value) {
    match members.entry(name) {
        Entry::Vacant(place) => {
            place.insert(value);
        }
        Entry::Occupied(mut place) => match place.get_mut() {
            Value::Array(list) => list.push(value),
            first => *first = Value::Array(vec![first.take(), value]),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problem(body: &str) -> String {
        match read(body.as_bytes()).unwrap_err() {
            Unreadable::Malformed { problem, source } => format!("{problem}: {source}"),
            Unreadable::TooLarge | Unreadable::TooMany => panic!("too large"),
        }
    }

    #[test]
    fn elements_are_objects_of_children_and_attributes() {
        let body = r#"<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom" xmlns:d="urn:d" xmlns:m="urn:m">
            <entry m:etag="W/1"><d:Id>1</d:Id><d:Note m:null="true"/><d:Name>a &amp; <![CDATA[<b>]]></d:Name></entry>
            <entry><d:Id>2</d:Id><d:Lines><l>x</l><l>y</l></d:Lines><e/></entry></feed>"#;
        let first = json!({"@etag": "W/1", "Id": "1", "Note": null, "Name": "a & <b>"});
        let second = json!({"Id": "2", "Lines": {"l": ["x", "y"]}, "e": ""});
        assert_eq!(read(body.as_bytes()).unwrap(), json!({"feed": {"entry": [first, second]}}));
        assert_eq!(read(b"<a b='1'>t</a>").unwrap(), json!({"a": {"@b": "1", "#text": "t"}}));
    }

    #[test]
    fn entities_of_a_documents_own_are_refused_and_nothing_is_fetched() {
        for body in [
            r#"<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>"#,
            r#"<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;">]><a>&y;</a>"#,
        ] {
            assert!(problem(body).contains("document types are not read"), "{body}");
        }
    }

    #[test]
    fn what_is_broken_nested_or_branched_beyond_reason_is_not_taken() {
        assert!(problem("<a>jane</b>").contains("line 1") && !problem("<a>jane</b>").contains("jane"));
        assert!(problem("<a><b>jane").contains("not well-formed"));
        let deep = "<a>".repeat(200) + &"</a>".repeat(200);
        assert!(problem(&deep).contains("too deep"));
        let wide = format!("<a>{}</a>", "<b/>".repeat(MOST_NODES as usize));
        let attributes: Vec<String> = (0..100_000).map(|number| format!(" a{number}=''")).collect();
        for body in [wide, format!("<a{}/>", attributes.concat())] {
            assert!(matches!(read(body.as_bytes()), Err(Unreadable::TooMany)));
        }
        assert!(matches!(read(b"<a>\xff</a>"), Err(Unreadable::Malformed { .. })));
    }
}
