//! A body as a form (`application/x-www-form-urlencoded`), nested by brackets: `address[city]=…`, `items[0][price]=…`. Null and empty lists and
//! objects are empty texts, which is how the systems that take forms clear a field.

use serde_json::Value;
use url::form_urlencoded::Serializer;

/// Encodes a body; its members are the form's fields.
pub fn encode(body: &Value) -> Result<String, String> {
    let Value::Object(members) = body else { return Err("it is no object, and a form has fields".into()) };
    let mut form = Serializer::new(String::new());
    for (name, value) in members {
        add(&mut form, name, value);
    }
    Ok(form.finish())
}

fn add(form: &mut Serializer<'_, String>, name: &str, value: &Value) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                add(form, &format!("{name}[{index}]"), item);
            }
        }
        Value::Object(members) if !members.is_empty() => {
            for (member, value) in members {
                add(form, &format!("{name}[{member}]"), value);
            }
        }
        Value::Null | Value::Array(_) | Value::Object(_) => {
            form.append_pair(name, "");
        }
        Value::String(text) => {
            form.append_pair(name, text);
        }
        Value::Bool(_) | Value::Number(_) => {
            form.append_pair(name, &value.to_string());
        }
    }
}
