//! A mapped body: a value together with its text, which is made once, for its hash, for the store and for the request.

use std::ops::Deref;

use serde_json::Value;

use crate::canonical;

/// A body that a record is mapped to.
#[derive(Clone, Debug)]
pub struct Body {
    value: Value,
    text: String,
}

impl Body {
    /// Reads a body from the text that was stored of it.
    ///
    /// # Errors
    /// When it is no JSON.
    pub fn read(text: String) -> serde_json::Result<Self> {
        Ok(Self { value: serde_json::from_str(&text)?, text })
    }

    /// Its text: JSON without spaces, members sorted by name.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What [`canonical::hash`] says of it.
    pub fn hash(&self) -> String {
        canonical::hash_text(&self.text)
    }

    /// The value alone.
    pub fn into_value(self) -> Value {
        self.value
    }
}

impl From<Value> for Body {
    fn from(value: Value) -> Self {
        let text = canonical::text(&value);
        Self { value, text }
    }
}

impl Deref for Body {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_the_same_when_it_was_stored_and_its_hash_is_the_values() {
        let value = json!({"b": [1, {"d": "ü\"", "c": null}], "a": 0.5});
        let body = Body::from(value.clone());
        assert_eq!(body.text(), r#"{"a":0.5,"b":[1,{"c":null,"d":"ü\""}]}"#);
        assert_eq!((body.hash(), &*body), (canonical::hash(&value), &value));
        assert_eq!(Body::read(body.text().to_owned()).unwrap(), body);
        assert!(Body::read("{".to_owned()).is_err());
    }
}
