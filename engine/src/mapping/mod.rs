//! The field mapping: CEL expressions over a source record that make a destination's body, a condition or a key. What
//! lives here compiles and evaluates within hard limits; it reads no clock, no file and no network, and the same record
//! always gives the same body. What other records answer comes in through [`Resolve`].
//!
//! An expression passes through: `guard` (how deep is it), the `cel` crate's parser, `check` (names, calls, literals),
//! `reads` (what it reads), `instrument` (our operators, doors and the meter), and runs in a `scope` on a `meter` until
//! `output` makes JSON of its value or `explain` says why there is none.

mod check;
mod compare;
mod decimal;
mod destination;
mod environment;
mod error;
mod explain;
mod expression;
mod functions;
mod guard;
mod input;
mod instrument;
pub mod limits;
mod meter;
mod nulls;
mod operators;
mod output;
mod part;
mod reads;
mod record;
mod scope;
mod syntax;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

pub use destination::Destination as FieldPath;
pub use error::{EvaluationError, Lookup, MappingProblem, Position, Reference};
pub use expression::Expression;
pub use functions::{FUNCTIONS, FunctionDoc};
pub use input::Record;
pub use part::Part;
pub use scope::{Looked, NoResolve, Resolve};

use destination::Destination;
use error::Problem;
use limits::MAX_FIELDS;
use output::Output;
use scope::Wanted;

/// A mapping as the API gives it.
#[derive(Debug, Clone, Copy)]
pub struct MappingSource<'a> {
    /// The condition a record must meet, if there is one.
    pub when: Option<&'a str>,
    /// Destination paths and the expressions that fill them.
    pub map: &'a BTreeMap<String, String>,
}

/// A compiled mapping. Compile it once, and apply it to any number of records from any number of threads.
#[derive(Debug)]
pub struct Mapping {
    when: Option<Expression>,
    fields: Vec<(Destination, Expression)>,
}

impl Mapping {
    /// Compiles a mapping, or names everything that is wrong with it.
    pub fn compile(source: &MappingSource<'_>) -> Result<Self, Vec<MappingProblem>> {
        let mut problems = Vec::new();
        if source.map.len() > MAX_FIELDS {
            let problem = Problem::new(
                format!("the map has {} fields, and {MAX_FIELDS} are the most", source.map.len()),
                "map objects as a whole: `{\"a\": record.a, \"b\": record.b}`",
            );
            return Err(vec![problem.within("map")]);
        }
        let when = source.when.and_then(|when| keep(Expression::compile("when", when), &mut problems));
        let mut fields: Vec<(Destination, Expression)> = Vec::with_capacity(source.map.len());
        let mut paths: Vec<Destination> = Vec::with_capacity(source.map.len());
        for (path, expression) in source.map {
            let field = format!("map[{path}]");
            let destination = Destination::parse(path).map_err(|problem| vec![problem.within(&field)]);
            let destination = keep(destination, &mut problems);
            if let Some(destination) = &destination {
                let conflicts = paths.iter().filter(|other| destination.conflicts_with(other));
                problems.extend(conflicts.map(|other| conflict(&field, destination, other)));
                paths.push(destination.clone());
            }
            let expression = keep(Expression::compile(&field, expression), &mut problems);
            fields.extend(destination.zip(expression));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        // The paths came sorted by their text, in which a dot is a character like others.
        fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Mapping { when, fields })
    }

    /// Whether the record meets the condition. Without one, every record does.
    pub fn selects<'r>(&self, record: impl Into<Record<'r>>, resolve: &dyn Resolve) -> Result<bool, EvaluationError> {
        match &self.when {
            Some(when) => when.evaluate_condition(record, resolve),
            None => Ok(true),
        }
    }

    /// The destination's body for a record: an object, sorted by name at every level. The condition is not asked.
    pub fn apply<'r>(&self, record: impl Into<Record<'r>>, resolve: &dyn Resolve) -> Result<Value, EvaluationError> {
        let record = record.into();
        let _running = meter::start();
        let wanted = Wanted::default();
        let mut output = Output::default();
        let mut body = Map::new();
        let mut failed = None;
        let mut awaited = Vec::new();
        for (destination, expression) in &self.fields {
            let result = output.name(destination.last_name());
            match result.and_then(|()| expression.run(record.json(), resolve, &wanted, &mut output)) {
                Ok(Some(value)) => {
                    // It does without what it asked for.
                    wanted.take_references();
                    destination.place(&mut body, value);
                }
                Ok(None) => awaited.append(&mut wanted.take_references()),
                Err(problem) => {
                    let mut missed = wanted.take_references();
                    if missed.is_empty() {
                        failed = failed.or_else(|| Some(expression.failed(problem)));
                    }
                    awaited.append(&mut missed);
                }
            }
            // Once look-ups are missing, the other fields are evaluated too, to learn what they need.
            if failed.is_some() && wanted.is_empty() {
                break;
            }
        }
        if !wanted.is_empty() {
            return Err(EvaluationError::NeedsLookups { wanted: wanted.into_lookups() });
        }
        match failed {
            // What is wrong with the record is no better once the others are there.
            Some(error) => Err(error),
            None if awaited.is_empty() => Ok(Value::Object(body)),
            None => Err(EvaluationError::AwaitsReferences { wanted: awaited }),
        }
    }

    /// What each field is by itself, by its path as it is written in the map: nothing for an absent optional. A field that comes to nothing on this
    /// record, or waits for another, is left out.
    ///
    /// # Errors
    /// Only with the records that have to be looked up first.
    pub fn each<'r>(
        &self,
        record: impl Into<Record<'r>>,
        resolve: &dyn Resolve,
    ) -> Result<BTreeMap<String, Option<Value>>, EvaluationError> {
        let record = record.into();
        let _running = meter::start();
        let wanted = Wanted::default();
        let mut values = BTreeMap::new();
        for (destination, expression) in &self.fields {
            let result = expression.run(record.json(), resolve, &wanted, &mut Output::default());
            let awaits = !wanted.take_references().is_empty();
            match result {
                Ok(Some(value)) => drop(values.insert(destination.to_string(), Some(value))),
                Ok(None) if !awaits => drop(values.insert(destination.to_string(), None)),
                Ok(None) | Err(_) => {}
            }
        }
        if wanted.is_empty() {
            Ok(values)
        } else {
            Err(EvaluationError::NeedsLookups { wanted: wanted.into_lookups() })
        }
    }

    /// Its fields' paths.
    pub fn paths(&self) -> impl Iterator<Item = &FieldPath> {
        self.fields.iter().map(|(destination, _)| destination)
    }

    /// The JSON pointers of what the condition and the fields read of a record; see [`Expression::reads`].
    pub fn reads(&self) -> BTreeSet<String> {
        self.expressions().flat_map(Expression::reads).cloned().collect()
    }

    /// The same, of each field by itself: the field, as in [`MappingProblem::field`], and what it reads.
    pub fn reads_by_field(&self) -> BTreeMap<String, BTreeSet<String>> {
        self.expressions().map(|expression| (expression.field().to_owned(), expression.reads().clone())).collect()
    }

    /// The flows whose cross-references the mapping asks for.
    pub fn xrefs(&self) -> BTreeSet<String> {
        self.expressions().flat_map(Expression::xrefs).cloned().collect()
    }

    /// The streams the mapping looks records up in.
    pub fn lookups(&self) -> BTreeSet<String> {
        self.expressions().flat_map(Expression::lookups).cloned().collect()
    }

    /// Its expressions: the condition, and the fields'.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.when.iter().chain(self.fields.iter().map(|(_, expression)| expression))
    }
}

/// The value, or `None` and its problems among the others.
fn keep<T>(result: Result<T, Vec<MappingProblem>>, problems: &mut Vec<MappingProblem>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(others) => {
            problems.extend(others);
            None
        }
    }
}

fn conflict(field: &str, destination: &Destination, other: &Destination) -> MappingProblem {
    let problem = if destination == other {
        Problem::new("the destination is mapped twice", "remove one of the two")
    } else {
        Problem::new(
            format!("the destination conflicts with `{other}`: one is inside the other"),
            "map the object as a whole, or each of its fields",
        )
    };
    problem.within(field)
}
