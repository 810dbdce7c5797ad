//! A mapped body: a value together with its text, which is made once, for its hash, for the store and for the request.

use std::{ops::Deref, sync::OnceLock};

use serde_json::Value;

use crate::canonical;

/// A body that a record is mapped to. As a value it takes several times the memory of its text.
#[derive(Clone, Debug)]
pub struct Body {
    text: Box<str>,
    value: OnceLock<Value>,
}

impl Body {
    /// Reads a body from the text that was stored of it.
    ///
    /// # Errors
    /// When it is no JSON.
    pub fn read(text: String) -> serde_json::Result<Self> {
        let value: Value = serde_json::from_str(&text)?;
        Ok(Self { text: text.into(), value: OnceLock::from(value) })
    }

    /// Its text: JSON without spaces, members sorted by name.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What [`canonical::hash`] says of it.
    pub fn hash(&self) -> String {
        canonical::hash_text(&self.text)
    }

    /// Whether it is an object without a member of this name.
    pub fn lacks(&self, name: &str) -> bool {
        // Where the name stands nowhere in an object's text it need not be read again.
        let stands = |text: &str| text.contains(&*canonical::json(&name));
        self.text.starts_with('{') && (!stands(&self.text) || self.get(name).is_none())
    }

    /// Leaves no more of it than its text. Whoever asks for the value then makes it read again.
    pub fn forget_value(&mut self) {
        self.value = OnceLock::new();
    }

    /// The value alone.
    pub fn into_value(mut self) -> Value {
        let value = self.value.take();
        value.unwrap_or_else(|| read(&self.text))
    }
}

/// What was printed or read before is JSON.
fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

impl From<Value> for Body {
    fn from(value: Value) -> Self {
        Self { text: canonical::text(&value).into(), value: OnceLock::from(value) }
    }
}

impl Deref for Body {
    type Target = Value;

    fn deref(&self) -> &Value {
        self.value.get_or_init(|| read(&self.text))
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_the_same_when_it_was_stored_and_its_hash_is_the_values() {
        let value = json!({"b": [1, {"d": "ü\"", "c": null}], "a": 0.5});
        let mut body = Body::from(value.clone());
        assert_eq!(body.text(), r#"{"a":0.5,"b":[1,{"c":null,"d":"ü\""}]}"#);
        assert_eq!((body.hash(), &*body), (canonical::hash(&value), &value));
        assert_eq!(Body::read(body.text().to_owned()).unwrap(), body);
        assert!(Body::read("{".to_owned()).is_err());
        body.forget_value();
        assert_eq!(*body, value);
        body.forget_value();
        assert_eq!(body.into_value(), value);
    }

    #[test]
    fn a_member_is_missed_only_where_it_is_none_of_the_objects_own() {
        let lacks = |value: Value, name: &str| Body::from(value).lacks(name);
        assert!(lacks(json!({}), "a") && lacks(json!({"b": {"a": 1}, "c": "a"}), "a"));
        assert!(!lacks(json!({"a": null}), "a") && !lacks(json!({"\"": 1}), "\""));
        assert!(!lacks(json!(["a"]), "b"), "no object has members to be added to");
    }
}
