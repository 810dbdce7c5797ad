//! The part of a record that expressions read, and parsing a record's text no further than that. On that part every expression says what it says
//! of the whole record: what it holds of an object or a list is all of it, or what is read of it by name.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::Number;

use super::Expression;
use crate::json::{Json, Name, scalars};

/// What is read of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// All of it.
    whole: bool,
    /// Its members are gone through, or taken by names that only a record tells: of an object, all of it.
    any: bool,
    /// Members that are read by name, and what of them.
    members: BTreeMap<String, Part>,
    /// What is read of each element of a list.
    element: Option<Box<Part>>,
}

impl Part {
    /// What expressions read.
    pub fn of<'e>(expressions: impl IntoIterator<Item = &'e Expression>) -> Self {
        let mut part = Self::default();
        for expression in expressions {
            expression.reads().iter().for_each(|pointer| part.add(pointer));
            expression.iterates().iter().for_each(|pointer| part.at(pointer).any = true);
        }
        part
    }

    /// Adds what is at a JSON pointer, in which `*` stands for every element.
    pub fn add(&mut self, pointer: &str) {
        self.at(pointer).whole = true;
    }

    fn at(&mut self, pointer: &str) -> &mut Self {
        pointer.split('/').skip(1).fold(self, |part, token| {
            if token == "*" {
                part.any = true;
                return part.element.get_or_insert_default();
            }
            part.members.entry(token.replace("~1", "/").replace("~0", "~")).or_default()
        })
    }

    /// Parses a record of which only this part is wanted. The rest only has to be JSON.
    ///
    /// # Errors
    /// When it is no JSON.
    pub fn parse<'a>(&self, text: &'a str) -> serde_json::Result<Json<'a>> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = self.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }
}

impl<'de> DeserializeSeed<'de> for &Part {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        if self.whole { Json::deserialize(deserializer) } else { deserializer.deserialize_any(self) }
    }
}

impl<'de> Visitor<'de> for &Part {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("JSON")
    }

    scalars!();

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let everything = Part { whole: true, ..Part::default() };
        // A list of which something is read by name fails the expression that does so, and its message may speak of all of it.
        let element = self.element.as_deref().filter(|_| self.members.is_empty()).unwrap_or(&everything);
        let mut kept = Vec::new();
        while let Some(item) = items.next_element_seed(element)? {
            kept.push(item);
        }
        Ok(Json::List(kept))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json<'de>, A::Error> {
        let mut kept = Vec::with_capacity(if self.any { 0 } else { self.members.len() });
        while let Some(name) = members.next_key_seed(Name)? {
            match self.members.get(name.as_ref()) {
                _ if self.any => kept.push((name, members.next_value()?)),
                Some(part) => kept.push((name, members.next_value_seed(part)?)),
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Json::Object(kept.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::mapping::NoResolve;

    fn record() -> Value {
        json!({
            "id": 7, "none": null, "text": "a\"b", "share": 0.5, "debt": -3, "kind": "b", "a/b": {"~": [1]}, "unread": {"deep": [1, {"x": "y"}]},
            "customer": {"email": "e", "name": {"first": "n"}},
            "lines": [{"sku": "s", "price": "1.0", "tax": {"rate": 1}}, {"sku": "t", "price": null}, {}, 4],
            "extra": {"a": 1, "b": 2}, "empty": [],
        })
    }

    fn part_of(expression: &str) -> (Expression, Value) {
        let expression = Expression::compile("field", expression).unwrap();
        let part = Part::of([&expression]).parse(&record().to_string()).unwrap().to_value();
        (expression, part)
    }

    #[test]
    fn nothing_else_is_kept() {
        let (_, part) = part_of(r#"[record.customer.email, record["a/b"]["~"], record.none, record.share]"#);
        assert_eq!(part, json!({"none": null, "share": 0.5, "a/b": {"~": [1]}, "customer": {"email": "e"}}));
        let (_, part) = part_of("record.lines.map(line, line.sku)");
        assert_eq!(part, json!({"lines": [{"sku": "s"}, {"sku": "t"}, {}, 4]}));
    }

    #[test]
    fn every_expression_says_the_same_of_it_as_of_the_whole() {
        let expressions = [
            "record.id + record.debt",
            "record.text + record.customer.name.first",
            "record.?missing.?email.orValue(\"guest\")",
            "has(record.customer.phone) || has(record.customer.email)",
            "record.missing",
            "record.customer.missing.deeper",
            "record.lines.sku",
            "record.lines[1].sku",
            "record.lines[9].sku",
            "record.lines.filter(line, line.sku == \"s\").map(line, line)",
            "record.lines.map(line, line.sku)",
            "record.lines.map(line, 1)",
            "size(record.lines) + size(record.empty)",
            "record.extra[record.kind]",
            "record.extra.map(name, record.extra[name])",
            "record.extra.map(name, record.extra.a)",
            "record.map(name, record.id)",
            "record.map(name, name)",
            "record.lines.map(line, record.extra.map(name, line))",
            "record.lines.exists(line, has(line.sku) && line.sku == \"t\")",
            "\"a\" in record.extra && \"id\" in record",
            "record.customer == {\"email\": \"e\"}",
            "record",
        ];
        for text in expressions {
            let (expression, part) = part_of(text);
            let of_part = expression.evaluate(&part, &NoResolve).map_err(|error| error.to_string());
            let of_whole = expression.evaluate(&record(), &NoResolve).map_err(|error| error.to_string());
            assert_eq!(of_part, of_whole, "{text}: {part}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused_wherever_that_is() {
        let (expression, _) = part_of("record.id");
        let part = Part::of([&expression]);
        for text in ["", "{\"id\": 1", "{\"other\": [1,}", "{\"id\": 1} 2"] {
            assert!(part.parse(text).is_err(), "{text}");
        }
        assert_eq!(part.parse("[1]").unwrap().to_value(), json!([1]));
        assert_eq!(
            part.parse(r#"{"id": 1, "i\u0064": 2}"#).unwrap().to_value(),
            json!({"id": 2}),
            "the last of a name"
        );
    }
}
