//! GraphQL documents: one query, its fields and their arguments. Pure. Fragments, directives and aliases are not needed here and refused.

use serde_json::{Map, Value, json};

/// One field with what is asked of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) arguments: Map<String, Value>,
    pub(super) fields: Vec<Field>,
}

/// Reads a document; variables are put in their places.
///
/// # Errors
/// A sentence that says where it ends to be understood.
pub(super) fn parse(text: &str, variables: &Value) -> Result<Vec<Field>, String> {
    let mut reader = Reader { tokens: tokens(text)?, at: 0, variables };
    if reader.take("query") {
        if reader.peek().is_some_and(|token| !matches!(token, "{" | "(")) {
            reader.next()?;
        }
        if reader.take("(") {
            while !reader.take(")") {
                reader.next()?;
            }
        }
    }
    let fields = reader.selection()?;
    if reader.at < reader.tokens.len() { Err("there is more than one operation".to_owned()) } else { Ok(fields) }
}

/// Names, numbers, texts with their quotes, and marks.
fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => {
                let mut escaped = false;
                let end = rest[1..].find(|character| {
                    let ends = character == '"' && !escaped;
                    escaped = character == '\\' && !escaped;
                    ends
                });
                end.ok_or("a text is not closed")? + 2
            }
            _ if first.is_whitespace() || first == ',' => {
                rest = &rest[first.len_utf8()..];
                continue;
            }
            _ if first.is_alphanumeric() || matches!(first, '_' | '$' | '-') => {
                let word = |character: char| character.is_alphanumeric() || matches!(character, '_' | '.');
                let start = first.len_utf8();
                rest[start..].find(|character| !word(character)).map_or(rest.len(), |end| end + start)
            }
            _ => first.len_utf8(),
        };
        tokens.push(rest[..length].to_owned());
        rest = &rest[length..];
    }
    Ok(tokens)
}

struct Reader<'a> {
    tokens: Vec<String>,
    at: usize,
    variables: &'a Value,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    fn next(&mut self) -> Result<String, String> {
        let token = self.tokens.get(self.at).cloned().ok_or("the document ends too early")?;
        self.at += 1;
        Ok(token)
    }

    fn take(&mut self, token: &str) -> bool {
        let there = self.peek() == Some(token);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        let found = self.next()?;
        if found == token { Ok(()) } else { Err(format!("{token} is expected, not {found}")) }
    }

    fn selection(&mut self) -> Result<Vec<Field>, String> {
        self.expect("{")?;
        let mut fields = Vec::new();
        while !self.take("}") {
            let name = self.next()?;
            if !name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
                return Err(format!("a field is expected, not {name}"));
            }
            let mut arguments = Map::new();
            if self.take("(") {
                while !self.take(")") {
                    let argument = self.next()?;
                    self.expect(":")?;
                    if let Some(value) = self.value()? {
                        arguments.insert(argument, value);
                    }
                }
            }
            let inner = if self.peek() == Some("{") { self.selection()? } else { Vec::new() };
            fields.push(Field { name, arguments, fields: inner });
        }
        if fields.is_empty() { Err("a selection is empty".to_owned()) } else { Ok(fields) }
    }

    /// A value; none for a variable that was not given.
    fn value(&mut self) -> Result<Option<Value>, String> {
        let token = self.next()?;
        if let Some(variable) = token.strip_prefix('$') {
            return Ok(self.variables.get(variable).cloned());
        }
        if token.starts_with('"') {
            return serde_json::from_str(&token).map(Some).map_err(|error| error.to_string());
        }
        Ok(Some(match token.as_str() {
            "true" => json!(true),
            "false" => json!(false),
            "null" => Value::Null,
            _ => token.parse::<i64>().map_or_else(|_| json!(token), |number| json!(number)),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_arguments_and_variables_are_read() {
        let text = "query Orders($n: Int!, $after: String) { orders(first: $n, after: $after, sortKey: UPDATED_AT, query: \"a \\\"b\\\"\") { nodes { id } } }";
        let fields = parse(text, &json!({"n": 2})).unwrap();
        assert_eq!(
            Value::Object(fields[0].arguments.clone()),
            json!({"first": 2, "sortKey": "UPDATED_AT", "query": "a \"b\""})
        );
        assert_eq!(fields[0].fields[0].fields[0].name, "id");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in ["", "{", "{}", "{ a(b) }", "{ a { } }", "query { ...F }", "{ a } { b }", "{ a(b: \"x) }"] {
            assert!(parse(text, &json!({})).is_err(), "{text}");
        }
    }
}
