//! What an expression sees while it runs: the record, the compiled patterns, and the doors to what other systems
//! answered. No functions.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use cel::ExecutionError;
use cel::common::traits::Indexer;
use cel::common::types::{CelInt, CelList, CelNull, CelOptional, CelString, CelUInt, Type};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use serde_json::Value;

use super::compare;
use super::environment::{LOOKUP, RECORD, XREF};
use super::error::{Lookup, Reference};
use super::functions::Pattern;
use super::limits::MAX_WANTED;
use super::record::{owned, view};
use crate::json::Json;

/// What a look-up is known to answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Looked {
    /// The record with that key.
    Found(Value),
    /// There is no record with that key.
    Absent,
    /// Not read yet: the evaluation ends with
    /// [`EvaluationError::NeedsLookups`](super::EvaluationError::NeedsLookups).
    Unknown,
}

/// What a mapping asks about other records. Answers must not change within one evaluation.
///
/// It is `Sync` because CEL values are, and the answers are reached through one.
pub trait Resolve: Sync {
    /// The id that the other system gave the record with `key` in `flow`, if it is known.
    fn xref(&self, flow: &str, key: &str) -> Option<Value>;

    /// Whether a cross-reference that is not known is waited for: what comes to nothing without it then ends the evaluation with
    /// [`EvaluationError::AwaitsReferences`](super::EvaluationError::AwaitsReferences).
    fn awaits(&self, _flow: &str, _key: &str) -> bool {
        false
    }

    /// The record with `key` in `stream`.
    fn lookup(&self, stream: &str, key: &str) -> Looked;
}

/// Knows nothing: every cross-reference is unknown and every look-up finds nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoResolve;

impl Resolve for NoResolve {
    fn xref(&self, _flow: &str, _key: &str) -> Option<Value> {
        None
    }

    fn lookup(&self, _stream: &str, _key: &str) -> Looked {
        Looked::Absent
    }
}

/// What one evaluation asks for and is not known.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    lookups: Mutex<Vec<Lookup>>,
    references: Mutex<Vec<Reference>>,
}

impl Wanted {
    /// Whether no look-up is missing.
    pub(super) fn is_empty(&self) -> bool {
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(super) fn into_lookups(self) -> Vec<Lookup> {
        self.lookups.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cross-references that were missed since this was last asked.
    pub(super) fn take_references(&self) -> Vec<Reference> {
        std::mem::take(&mut *self.references.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Notes something once, and not more than an evaluation may ask for.
fn note<T: PartialEq>(list: &Mutex<Vec<T>>, missing: T) {
    let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
    if list.len() < MAX_WANTED && !list.contains(&missing) {
        list.push(missing);
    }
}

/// The variables of one evaluation.
pub(super) struct Scope<'r> {
    record: Box<dyn Val + 'r>,
    xref: Door<'r>,
    lookup: Door<'r>,
    patterns: &'r [Pattern],
}

impl<'r> Scope<'r> {
    pub(super) fn new(
        record: &'r Json<'r>,
        resolve: &'r dyn Resolve,
        wanted: &'r Wanted,
        patterns: &'r [Pattern],
    ) -> Self {
        let door = |question| Door { question, resolve, wanted };
        Scope { record: view(record), xref: door(Question::Xref), lookup: door(Question::Lookup), patterns }
    }
}

/// The name of the variable that holds the pattern at `index`. No expression can spell it.
pub(super) fn pattern_variable(index: usize) -> String {
    format!("@pattern{index}")
}

/// The name of the variable that answers what `function` asks. No expression can spell it.
pub(super) fn door_variable(function: &str) -> Option<&'static str> {
    match function {
        XREF => Some("@xref"),
        LOOKUP => Some("@lookup"),
        _ => None,
    }
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        match variable {
            RECORD => Some(CowVal::Borrowed(self.record.as_ref())),
            "@xref" => Some(CowVal::Borrowed(&self.xref)),
            "@lookup" => Some(CowVal::Borrowed(&self.lookup)),
            other => {
                let index: usize = other.strip_prefix("@pattern")?.parse().ok()?;
                self.patterns.get(index).map(|pattern| CowVal::Borrowed(pattern as &dyn Val))
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Question {
    Xref,
    Lookup,
}

/// Answers `xref` and `lookup`: the call `xref(flow, key)` is compiled to the index `@xref[[flow, key]]`, because a
/// function of the `cel` crate cannot reach what an evaluation borrows, and a value can.
#[derive(Clone)]
struct Door<'r> {
    question: Question,
    resolve: &'r dyn Resolve,
    wanted: &'r Wanted,
}

static DOOR_TYPE: Type = Type::new_unspecified_type("@door");

impl fmt::Debug for Door<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.question.fmt(formatter)
    }
}

impl Val for Door<'_> {
    fn get_type(&self) -> &Type {
        &DOOR_TYPE
    }

    fn cel_type() -> &'static Type {
        &DOOR_TYPE
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }
}

impl Indexer for Door<'_> {
    fn get<'b, 'v>(&'b self, question: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let name = match self.question {
            Question::Xref => XREF,
            Question::Lookup => LOOKUP,
        };
        let Some([place, key]) = question.downcast_ref::<CelList>().map(CelList::inner) else {
            return Err(bad_key(name, question));
        };
        let Some(place) = place.downcast_ref::<CelString>() else {
            return Err(bad_key(name, place.as_ref()));
        };
        let Some(key) = read_key(name, key.as_ref())? else {
            return Ok(CowVal::owned(CelOptional::none()));
        };
        match self.answer(place.inner(), key) {
            Some(value) => Ok(CowVal::owned(CelOptional::of(owned(value)?))),
            None => Ok(CowVal::owned(CelOptional::none())),
        }
    }

    fn steal<'v>(self: Box<Self>, question: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(question).map(CowVal::into_owned)
    }
}

impl Door<'_> {
    /// The answer. One that is not known yet is noted and passes for absent, so that one evaluation finds as many of
    /// the look-ups it needs as it can; what it yields is thrown away.
    fn answer(&self, place: &str, key: String) -> Option<Value> {
        match self.question {
            Question::Xref => {
                let known = self.resolve.xref(place, &key);
                if known.is_none() && self.resolve.awaits(place, &key) {
                    note(&self.wanted.references, Reference { flow: place.to_owned(), key });
                }
                known
            }
            Question::Lookup => match self.resolve.lookup(place, &key) {
                Looked::Found(value) => Some(value),
                Looked::Absent => None,
                Looked::Unknown => {
                    let stream = place.to_owned();
                    note(&self.wanted.lookups, Lookup { stream, key });
                    None
                }
            },
        }
    }
}

/// The key as text, or `None` if it is absent or null.
fn read_key(function: &str, key: &dyn Val) -> Result<Option<String>, ExecutionError> {
    let Some(key) = compare::present(key) else {
        return Ok(None);
    };
    if let Some(text) = key.downcast_ref::<CelString>() {
        return Ok(Some(text.inner().to_owned()));
    }
    if let Some(int) = key.downcast_ref::<CelInt>() {
        return Ok(Some(int.inner().to_string()));
    }
    if let Some(unsigned) = key.downcast_ref::<CelUInt>() {
        return Ok(Some(unsigned.inner().to_string()));
    }
    if key.downcast_ref::<CelNull>().is_some() {
        return Ok(None);
    }
    Err(bad_key(function, key))
}

/// Not an error of types: an index reports those as its own.
fn bad_key(function: &str, key: &dyn Val) -> ExecutionError {
    let kind = key.get_type().name();
    ExecutionError::function_error(
        function,
        format!("the key is of type {kind}; give a text or an integer, for example `string(...)`"),
    )
}
