//! What can be wrong with a mapping, before and while it runs. Messages name fields, functions, types and limits, never
//! a record's values: they end in status, logs and dead letters.

use std::fmt;

/// Where something stands in an expression's source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}, column {}", self.line, self.column)
    }
}

/// One thing that keeps a mapping from compiling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}{}: {problem}; {remedy}", At(*.position))]
pub struct MappingProblem {
    /// The field that holds the expression: `when`, `map[entity.email]`, or what an [`Expression`](super::Expression)
    /// was compiled as.
    pub field: String,
    /// Where in the expression, if the problem has a place.
    pub position: Option<Position>,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

struct At(Option<Position>);

impl fmt::Display for At {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(position) => write!(formatter, " ({position})"),
            None => Ok(()),
        }
    }
}

/// A problem inside one expression, before it is known which field holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) position: Option<Position>,
    pub(super) what: String,
    pub(super) remedy: String,
}

impl Problem {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Problem { position: None, what: what.into(), remedy: remedy.into() }
    }

    pub(super) fn at(mut self, position: Option<Position>) -> Self {
        self.position = position;
        self
    }

    pub(super) fn within(self, field: &str) -> MappingProblem {
        MappingProblem { field: field.to_owned(), position: self.position, problem: self.what, remedy: self.remedy }
    }
}

/// One record of another stream that an evaluation needs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lookup {
    /// The stream to read from.
    pub stream: String,
    /// The key of the record in that stream. It comes from the mapped record.
    pub key: String,
}

impl fmt::Debug for Lookup {
    /// Leaves the key out: it is a record's value.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Lookup").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// One record of another flow whose cross-reference an evaluation cannot do without.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// The flow.
    pub flow: String,
    /// The key of the record in that flow. It comes from the mapped record.
    pub key: String,
}

impl fmt::Debug for Reference {
    /// Leaves the key out: it is a record's value.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reference").field("flow", &self.flow).finish_non_exhaustive()
    }
}

/// Why a record could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// Nothing is wrong: [`Resolve::lookup`](super::Resolve::lookup) did not know these yet. Read them and evaluate
    /// again.
    #[error("needs {} look-ups that have not been read yet; read them and evaluate again", .wanted.len())]
    NeedsLookups {
        /// What to read, each once, in the order it was asked for; at most
        /// [`MAX_WANTED`](super::limits::MAX_WANTED).
        wanted: Vec<Lookup>,
    },
    /// Nothing is wrong: these records of other flows are not at the destination yet, and something comes to nothing without what it calls them.
    /// Evaluate again once they are.
    #[error("waits until flow `{}` has brought the record to the destination that `xref` asks for", flow_of(.wanted))]
    AwaitsReferences {
        /// What is waited for, in the order it was asked for; at least one.
        wanted: Vec<Reference>,
    },
    /// The record does not fit the mapping, or the evaluation went over a limit. The same record fails again until it
    /// or the mapping changes.
    #[error("{field}: {problem}; {remedy}")]
    Failed {
        /// The field whose expression failed, as in [`MappingProblem::field`].
        field: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
}

fn flow_of(wanted: &[Reference]) -> &str {
    wanted.first().map_or("", |reference| &reference.flow)
}
