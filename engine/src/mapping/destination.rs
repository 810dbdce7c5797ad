//! Destination paths: where in the destination's body a mapped field goes. Parsing, conflicts and placing; no CEL.

use std::fmt;

use serde_json::{Map, Value};

use super::error::{MappingProblem, Problem};
use super::limits::{MAX_PATH_BYTES, MAX_PATH_SEGMENTS};

/// A path into the destination's body, as the names of nested objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    segments: Vec<String>,
}

impl Destination {
    /// The path that a text says; none where it says none.
    pub fn of(path: &str) -> Option<Self> {
        Self::parse(path).ok()
    }

    /// The path that the text of a field of a spec says.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn named(field: &str, path: &str) -> Result<Self, MappingProblem> {
        Self::parse(path).map_err(|problem| problem.within(field))
    }

    /// Parses `entity.email`. `\.` is a dot inside a name and `\\` a backslash.
    pub(super) fn parse(path: &str) -> Result<Self, Problem> {
        if path.len() > MAX_PATH_BYTES {
            return Err(Problem::new(
                format!("the destination path has {} bytes, and {MAX_PATH_BYTES} are the most", path.len()),
                "shorten it, or map the object around it as a whole",
            ));
        }
        let mut segments = vec![String::new()];
        let mut characters = path.chars();
        while let Some(character) = characters.next() {
            let last = segments.len() - 1;
            match character {
                '.' => segments.push(String::new()),
                '\\' => match characters.next() {
                    Some(escaped @ ('.' | '\\')) => segments[last].push(escaped),
                    Some(_) | None => return Err(bad_escape()),
                },
                other => segments[last].push(other),
            }
        }
        if segments.iter().any(String::is_empty) {
            return Err(Problem::new(
                "the destination path has an empty name",
                "give every name between dots at least one character; a dot inside a name is written `\\.`",
            ));
        }
        if segments.len() > MAX_PATH_SEGMENTS {
            return Err(Problem::new(
                format!("the destination path nests {} names, and {MAX_PATH_SEGMENTS} are the most", segments.len()),
                "map an object higher up as a whole",
            ));
        }
        Ok(Destination { segments })
    }

    /// Whether both cannot be set in one body: they are equal, or one is inside the other.
    pub fn conflicts_with(&self, other: &Destination) -> bool {
        self.segments.iter().zip(&other.segments).all(|(a, b)| a == b)
    }

    /// Whether it is the other one, or around it.
    pub fn covers(&self, other: &Destination) -> bool {
        other.segments.starts_with(&self.segments)
    }

    /// What is at this path in `body`; none where nothing is.
    pub fn within<'b>(&self, body: &'b Value) -> Option<&'b Value> {
        self.segments.iter().try_fold(body, |value, name| value.get(name))
    }

    /// Takes what is at this path out of `body`, with the objects around it that nothing is left of.
    pub fn take_out(&self, body: &mut Map<String, Value>) {
        take_out(body, &self.segments);
    }

    /// The name of the field itself, without the objects around it.
    pub(super) fn last_name(&self) -> &str {
        self.segments.last().map_or("", String::as_str)
    }

    /// Sets the value at this path in `body`, making the objects around it. Paths that do not conflict never meet
    /// anything but objects on the way.
    pub fn place(&self, body: &mut Map<String, Value>, value: Value) {
        let Some((name, around)) = self.segments.split_last() else {
            return;
        };
        let mut object = body;
        for segment in around {
            let inner = object.entry(segment.as_str()).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(inner) = inner else {
                return;
            };
            object = inner;
        }
        object.insert(name.clone(), value);
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments.iter().enumerate() {
            if index > 0 {
                formatter.write_str(".")?;
            }
            formatter.write_str(&segment.replace('\\', "\\\\").replace('.', "\\."))?;
        }
        Ok(())
    }
}

fn take_out(object: &mut Map<String, Value>, segments: &[String]) {
    match segments {
        [] => {}
        [name] => drop(object.remove(name)),
        [name, within @ ..] => {
            let Some(Value::Object(inner)) = object.get_mut(name) else { return };
            let was_empty = inner.is_empty();
            take_out(inner, within);
            if inner.is_empty() && !was_empty {
                object.remove(name);
            }
        }
    }
}

fn bad_escape() -> Problem {
    Problem::new(
        "the destination path has a backslash that escapes nothing",
        "write `\\.` for a dot inside a name and `\\\\` for a backslash",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> Destination {
        Destination::parse(text).unwrap()
    }

    #[test]
    fn dots_nest_and_escapes_do_not() {
        assert_eq!(path("a.b").segments, ["a", "b"]);
        assert_eq!(path(r"a\.b.c").segments, ["a.b", "c"]);
        assert_eq!(path(r"a\\.b").segments, [r"a\", "b"]);
    }

    #[test]
    fn a_path_prints_as_it_was_written() {
        for text in ["a", "a.b", r"a\.b.c", r"a\\b\.c.d"] {
            assert_eq!(path(text).to_string(), text);
        }
    }

    #[test]
    fn empty_names_and_stray_backslashes_are_refused() {
        for text in ["", ".", "a.", ".a", "a..b", r"a\", r"a\b"] {
            assert!(Destination::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn paths_beyond_the_limits_are_refused() {
        assert!(Destination::parse(&"a".repeat(MAX_PATH_BYTES)).is_ok());
        assert!(Destination::parse(&"a".repeat(MAX_PATH_BYTES + 1)).is_err());
        assert!(Destination::parse(&vec!["a"; MAX_PATH_SEGMENTS].join(".")).is_ok());
        assert!(Destination::parse(&vec!["a"; MAX_PATH_SEGMENTS + 1].join(".")).is_err());
    }

    #[test]
    fn a_path_conflicts_with_itself_and_what_is_inside_it() {
        assert!(path("a").conflicts_with(&path("a")));
        assert!(path("a").conflicts_with(&path("a.b")));
        assert!(path("a.b.c").conflicts_with(&path("a.b")));
        assert!(!path("a.b").conflicts_with(&path("a.c")));
        assert!(!path(r"a\.b").conflicts_with(&path("a.b")));
        assert!(!path("ab").conflicts_with(&path("a")));
    }

    #[test]
    fn values_are_placed_beside_each_other() {
        let mut body = Map::new();
        path("a.b").place(&mut body, json!(1));
        path("a.c.d").place(&mut body, json!(null));
        path("e").place(&mut body, json!("x"));
        assert_eq!(Value::Object(body), json!({"a": {"b": 1, "c": {"d": null}}, "e": "x"}));
    }
}
