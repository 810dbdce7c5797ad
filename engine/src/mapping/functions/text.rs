//! Functions on text.
#![expect(clippy::needless_pass_by_value, reason = "the `cel` crate passes a function its arguments by value")]

use std::any::Any;

use cel::common::types::{CelBool, CelList, CelString, DYN_TYPE, INT_TYPE, LIST_TYPE, STRING_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{DeclarationError, Env, ExecutionError};
use regex::{Regex, RegexBuilder};

use super::super::error::Problem;
use super::super::limits::{MAX_ITERATED, MAX_PATTERN_BYTES, MAX_TEXT_BYTES};
use super::super::{compare, meter, operators};
use super::{argument, both, failure, int, made, text, wrong_type};

/// `@matches(text, pattern)`: what `matches` compiles to.
pub(in super::super) const MATCHES: &str = "@matches";

/// Bytes of text that a regular expression looks at in one step.
const MATCHED_BYTES_PER_STEP: u64 = 8;

type Arguments<'b, 'v> = Vec<CowVal<'b, 'v>>;
type Outcome<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

pub(super) fn declare(environment: &mut Env) -> Result<(), DeclarationError> {
    both(environment, "lower", &STRING_TYPE, &[], |a| made("lower", text("lower", &a, 0)?.to_lowercase()))?;
    both(environment, "upper", &STRING_TYPE, &[], |a| made("upper", text("upper", &a, 0)?.to_uppercase()))?;
    both(environment, "trim", &STRING_TYPE, &[], |a| made("trim", text("trim", &a, 0)?.trim().to_owned()))?;
    both(environment, "truncate", &STRING_TYPE, &[&INT_TYPE], truncate)?;
    both(environment, "split", &STRING_TYPE, &[&STRING_TYPE], split)?;
    both(environment, "join", &LIST_TYPE, &[&STRING_TYPE], join)?;
    both(environment, "replace", &STRING_TYPE, &[&STRING_TYPE, &STRING_TYPE], replace)?;
    environment.add_overload(MATCHES, MATCHES, vec![DYN_TYPE, PATTERN_TYPE.to_owned()], matches)
}

fn truncate<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let whole = text("truncate", &arguments, 0)?;
    let Ok(length) = usize::try_from(int("truncate", &arguments, 1)?) else {
        return Err(failure("truncate", "the length is negative; give a length of 0 or more"));
    };
    made("truncate", whole.chars().take(length).collect())
}

fn split<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let whole = text("split", &arguments, 0)?;
    let separator = text("split", &arguments, 1)?;
    if separator.is_empty() {
        return Err(failure("split", "the separator is empty; give at least one character"));
    }
    let mut parts: Vec<Box<dyn Val + 'v>> = Vec::new();
    for part in whole.split(separator) {
        if parts.len() == MAX_ITERATED {
            return Err(failure(
                "split",
                format!("there are more than {MAX_ITERATED} parts; `truncate` the text first"),
            ));
        }
        meter::cells(1 + compare::text_cells(part.len()))?;
        parts.push(Box::new(CelString::from(part.to_owned())));
    }
    Ok(CowVal::owned(CelList::from(parts)))
}

fn join<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let separator = text("join", &arguments, 1)?;
    let mut joined = String::new();
    let mut first = true;
    compare::for_each(argument("join", &arguments, 0)?, |item| {
        meter::step(1)?;
        let Some(part) = item.downcast_ref::<CelString>() else {
            let kind = item.get_type().name();
            return Err(failure(
                "join",
                format!(
                    "the list holds an element of type {kind}; convert the elements first: `list.map(x, string(x))`"
                ),
            ));
        };
        if !std::mem::take(&mut first) {
            joined.push_str(separator);
        }
        joined.push_str(part.inner());
        if joined.len() > MAX_TEXT_BYTES {
            return Err(failure("join", operators::too_long()));
        }
        Ok(())
    })?;
    made("join", joined)
}

fn replace<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let whole = text("replace", &arguments, 0)?;
    let (old, new) = (text("replace", &arguments, 1)?, text("replace", &arguments, 2)?);
    if old.is_empty() {
        return Err(failure("replace", "the text to replace is empty; give at least one character"));
    }
    // Counted before it is made: a short pattern and a long replacement multiply.
    let length = whole.len().saturating_add(whole.matches(old).count().saturating_mul(new.len()));
    if length > MAX_TEXT_BYTES {
        return Err(failure("replace", operators::too_long()));
    }
    made("replace", whole.replace(old, new))
}

static PATTERN_TYPE: Type = Type::new_unspecified_type("@pattern");

/// A compiled regular expression.
#[derive(Clone)]
pub(in super::super) struct Pattern {
    regex: Regex,
    source_bytes: usize,
}

impl Pattern {
    /// Compiles `source`, within bounds.
    pub(in super::super) fn compile(source: &str) -> Result<Self, Problem> {
        let compiled = RegexBuilder::new(source)
            .size_limit(MAX_PATTERN_BYTES)
            .dfa_size_limit(MAX_PATTERN_BYTES)
            .nest_limit(16)
            .build();
        match compiled {
            Ok(regex) => Ok(Pattern { regex, source_bytes: source.len() }),
            Err(regex::Error::CompiledTooBig(_)) => Err(Problem::new(
                format!("the pattern of `matches` compiles to more than {MAX_PATTERN_BYTES} bytes"),
                "use smaller repetitions and fewer Unicode classes, for example `[0-9]` for `\\d`",
            )),
            Err(error) => {
                // The last line says what is wrong; the ones before draw the pattern.
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                Err(Problem::new(
                    format!("the pattern of `matches` is no regular expression: {reason}"),
                    "correct the pattern; the syntax is that of RE2, without look-around and back-references",
                ))
            }
        }
    }
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Pattern").field(&self.regex.as_str()).finish()
    }
}

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        &PATTERN_TYPE
    }

    fn cel_type() -> &'static Type {
        &PATTERN_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}

fn matches<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let [whole, pattern] = arguments.as_slice() else {
        return Err(wrong_type("matches", &arguments));
    };
    let (Some(whole), Some(pattern)) = (whole.downcast_ref::<CelString>(), pattern.downcast_ref::<Pattern>()) else {
        return Err(wrong_type("matches", &arguments[..1]));
    };
    // Matching takes time in proportion to both the text and the pattern.
    let work = (whole.inner().len() as u64).saturating_mul(1 + pattern.source_bytes as u64 / 16);
    meter::step(1 + work / MATCHED_BYTES_PER_STEP)?;
    Ok(CowVal::owned(CelBool::from(pattern.regex.is_match(whole.inner()))))
}
