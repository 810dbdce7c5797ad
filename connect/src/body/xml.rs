//! A body as XML: members are elements, lists are elements of one name one after the other, `@name` is an attribute, `#text` the text beside
//! attributes, null an empty element.

use serde_json::Value;

/// Encodes a body as a document with this root element.
pub fn encode(root: &str, body: &Value) -> Result<String, String> {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    element(&mut out, root, body)?;
    Ok(out)
}

fn element(out: &mut String, name: &str, value: &Value) -> Result<(), String> {
    check_name(name)?;
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| match item {
            Value::Array(_) => Err(format!("`{name}` is a list of lists, which XML has no way to write")),
            item => element(out, name, item),
        }),
        Value::Object(members) => {
            out.push('<');
            out.push_str(name);
            for (member, value) in members {
                if let Some(attribute) = member.strip_prefix('@') {
                    check_name(attribute)?;
                    out.extend([" ", attribute, "=\""]);
                    escape(out, &scalar(member, value)?, member)?;
                    out.push('"');
                }
            }
            out.push('>');
            for (member, value) in members.iter().filter(|(member, _)| !member.starts_with('@')) {
                if member == "#text" {
                    escape(out, &scalar(member, value)?, member)?;
                } else {
                    element(out, member, value)?;
                }
            }
            close(out, name);
            Ok(())
        }
        value => {
            out.extend(["<", name, ">"]);
            escape(out, &scalar(name, value)?, name)?;
            close(out, name);
            Ok(())
        }
    }
}

fn close(out: &mut String, name: &str) {
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

fn scalar(name: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Array(_) | Value::Object(_) => Err(format!("`{name}` is neither text nor a number")),
    }
}

/// Names as XML 1.0 has them, without the colon, which stands for namespaces, at the ends.
fn check_name(name: &str) -> Result<(), String> {
    let starts = |letter: char| letter.is_alphabetic() || letter == '_';
    let good = name.starts_with(starts)
        && !name.ends_with(':')
        && name.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.' | ':'));
    if good { Ok(()) } else { Err(format!("`{name}` is no name of an element or attribute")) }
}

fn escape(out: &mut String, text: &str, name: &str) -> Result<(), String> {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // Written out, because parsers make spaces of them in attributes and drop carriage returns.
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\u{0}'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => {
                return Err(format!("`{name}` holds a control character, which XML 1.0 has no way to write"));
            }
            letter => out.push(letter),
        }
    }
    Ok(())
}
