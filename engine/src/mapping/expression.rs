//! One compiled expression: compiling it within the limits, and running it on a record.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::{Context, Env, IdedExpr, ParseErrors};
use serde_json::Value;

use super::environment::environment;
use super::error::{EvaluationError, MappingProblem, Position, Problem};
use super::explain::{Selection, exhausted, explain, selections};
use super::functions::Pattern;
use super::guard::{Measure, measure};
use super::input::Record;
use super::output::Output;
use super::scope::{Resolve, Scope, Wanted};
use super::{check, instrument, meter, nulls, reads, syntax};
use crate::json::Json;

/// Stack that the parser can take, in bytes: for each bracket, for each operator, and at all. Measured in a debug build,
/// whose frames are many times those of a release build, and rounded up. Pages that are not touched cost nothing.
const PARSER_STACK: [usize; 3] = [320 * 1024, 80 * 1024, 512 * 1024];

/// Levels of brackets at which the parser stops by itself.
const PARSER_NESTING: usize = 97;

/// Stack that the interpreter can take for each level of nodes, in bytes, and at all. A debug build was measured at half
/// of this; with what a release build is given, usual expressions run on a thread's own stack.
const INTERPRETER_STACK: [usize; 2] = [if cfg!(debug_assertions) { 80 * 1024 } else { 32 * 1024 }, 128 * 1024];

/// One compiled CEL expression over `record`.
pub struct Expression {
    field: String,
    program: IdedExpr,
    environment: Arc<Env>,
    patterns: Vec<Pattern>,
    selections: Vec<Selection>,
    reads: BTreeSet<String>,
    iterates: BTreeSet<String>,
    xrefs: BTreeSet<String>,
    lookups: BTreeSet<String>,
    lets_null_pass: bool,
    stack: usize,
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Expression").field("field", &self.field).finish_non_exhaustive()
    }
}

impl Expression {
    /// Compiles `source`, which stands in the field `field` of a spec: problems and errors name it.
    pub fn compile(field: &str, source: &str) -> Result<Self, Vec<MappingProblem>> {
        compile(field, source).map_err(|problems| problems.into_iter().map(|problem| problem.within(field)).collect())
    }

    /// The value on `record`, or `None` if it is an absent optional.
    pub fn evaluate<'r>(
        &self,
        record: impl Into<Record<'r>>,
        resolve: &dyn Resolve,
    ) -> Result<Option<Value>, EvaluationError> {
        let _running = meter::start();
        let wanted = Wanted::default();
        let result = self.run(record.into().json(), resolve, &wanted, &mut Output::default());
        self.conclude(result, wanted)
    }

    /// The value on `record` as text, or `None` if it is an absent optional or null. Integers and booleans are written
    /// out; other values are an error.
    pub fn evaluate_text<'r>(
        &self,
        record: impl Into<Record<'r>>,
        resolve: &dyn Resolve,
    ) -> Result<Option<String>, EvaluationError> {
        match self.evaluate(record, resolve)? {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Bool(boolean)) => Ok(Some(boolean.to_string())),
            Some(Value::Number(number)) if !number.is_f64() => Ok(Some(number.to_string())),
            Some(other @ (Value::Number(_) | Value::Array(_) | Value::Object(_))) => Err(self
                .failed(Problem::new(format!("yields {}, not a text", kind(&other)), "write `string(...)` around it"))),
        }
    }

    /// Whether the condition holds on `record`. Anything but true and false is an error.
    pub fn evaluate_condition<'r>(
        &self,
        record: impl Into<Record<'r>>,
        resolve: &dyn Resolve,
    ) -> Result<bool, EvaluationError> {
        match self.evaluate(record, resolve)? {
            Some(Value::Bool(boolean)) => Ok(boolean),
            other => {
                let found = other.as_ref().map_or("an absent optional", kind);
                Err(self.failed(Problem::new(
                    format!("yields {found}, not true or false"),
                    "compare it with something, or write `.orValue(false)` behind it",
                )))
            }
        }
    }

    /// The field of the spec that holds the expression.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The JSON pointers of what is read of the record, with `*` for every element of a list and every field whose name
    /// is not fixed: `/customer/email`, `/line_items/*/sku`. The empty pointer is the whole record. Where it cannot be
    /// told, more is named rather than less.
    pub fn reads(&self) -> &BTreeSet<String> {
        &self.reads
    }

    /// The same of the lists and objects that are gone through, whatever is read in them.
    pub(super) fn iterates(&self) -> &BTreeSet<String> {
        &self.iterates
    }

    /// The flows whose cross-references it asks for.
    pub fn xrefs(&self) -> &BTreeSet<String> {
        &self.xrefs
    }

    /// The streams it looks records up in.
    pub fn lookups(&self) -> &BTreeSet<String> {
        &self.lookups
    }

    /// Whether an `orValue` in it stands in for a field that is absent and takes one that is null as it is, which is seldom what was meant.
    pub fn lets_null_pass(&self) -> bool {
        self.lets_null_pass
    }

    /// Runs the expression on the meter that is running.
    pub(super) fn run(
        &self,
        record: &Json,
        resolve: &dyn Resolve,
        wanted: &Wanted,
        output: &mut Output,
    ) -> Result<Option<Value>, Problem> {
        let scope = Scope::new(record, resolve, wanted, &self.patterns);
        let mut context = Context::with_env(Arc::clone(&self.environment));
        context.set_variable_resolver(&scope);
        let run = || match cel::Value::resolve_val(&self.program, &context) {
            Ok(value) => output.json(value.as_ref()),
            Err(error) => Err(explain(&error, &self.selections, record)),
        };
        // The interpreter has panics for expressions that its parser should never make. One record must not take the
        // process down if it does.
        let result = catch_unwind(AssertUnwindSafe(|| stacker::maybe_grow(self.stack, self.stack, run)))
            .unwrap_or_else(|_| Err(internal("evaluating")));
        // An operator may have absorbed the error and gone on with less than it was to see.
        match meter::exhausted() {
            Some(what) => Err(exhausted(what)),
            None => result,
        }
    }

    fn conclude(
        &self,
        result: Result<Option<Value>, Problem>,
        wanted: Wanted,
    ) -> Result<Option<Value>, EvaluationError> {
        if !wanted.is_empty() {
            return Err(EvaluationError::NeedsLookups { wanted: wanted.into_lookups() });
        }
        let missed = wanted.take_references();
        match result {
            Ok(None) | Err(_) if !missed.is_empty() => Err(EvaluationError::AwaitsReferences { wanted: missed }),
            result => result.map_err(|problem| self.failed(problem)),
        }
    }

    pub(super) fn failed(&self, problem: Problem) -> EvaluationError {
        EvaluationError::Failed { field: self.field.clone(), problem: problem.what, remedy: problem.remedy }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn internal(doing: &str) -> Problem {
    Problem::new(
        format!("{doing} the expression failed inside the CEL library"),
        "write the expression another way, and report this",
    )
}

fn compile(field: &str, source: &str) -> Result<Expression, Vec<Problem>> {
    let Measure { brackets, operators } = measure(source).map_err(|problem| vec![problem])?;
    if source.trim().is_empty() {
        return Err(vec![Problem::new("the expression is empty", "write an expression, for example `record.id`")]);
    }
    let environment = environment().map_err(|_| vec![internal("preparing")])?;
    let [bracket, operator, base] = PARSER_STACK;
    let stack = base + brackets.min(PARSER_NESTING) * bracket + operators * operator;
    let compile = || stacker::maybe_grow(stack, stack, || parse(field, source, &environment));
    // The parser has panics for sources that its grammar should never accept.
    catch_unwind(AssertUnwindSafe(compile)).unwrap_or_else(|_| Err(vec![internal("parsing")]))
}

fn parse(field: &str, source: &str, environment: &Arc<Env>) -> Result<Expression, Vec<Problem>> {
    let parser = environment.parser().enable_ident_escape_syntax(true);
    let (mut program, info) = parser.parse_with_source_info(source).map_err(|errors| syntax_problems(&errors))?;
    let uses = check::check(&program, source, &info)?;
    let selections = selections(&program);
    let (reads, iterates) = reads::reads(&program);
    let lets_null_pass = nulls::pass(&program);
    instrument::instrument(&mut program, &uses);
    let [level, base] = INTERPRETER_STACK;
    let stack = base + syntax::levels(&program) * level;
    Ok(Expression {
        field: field.to_owned(),
        program,
        environment: Arc::clone(environment),
        patterns: uses.patterns.into_iter().map(|(_, pattern)| pattern).collect(),
        selections,
        reads,
        iterates,
        xrefs: uses.xrefs,
        lookups: uses.lookups,
        lets_null_pass,
        stack,
    })
}

/// The parser's errors, without those that only follow from the first.
fn syntax_problems(errors: &ParseErrors) -> Vec<Problem> {
    const MOST: usize = 3;
    let problem = |error: &cel::ParseError| {
        let (line, column) = error.pos;
        let position = usize::try_from(line).ok().zip(usize::try_from(column).ok());
        // What was expected is a list of all tokens.
        let message = error.msg.trim_start_matches("Syntax error: ");
        let message = message.split(" expecting ").next().unwrap_or(message).replace('\n', " ");
        Problem::new(format!("the expression cannot be read: {message}"), "correct the CEL syntax")
            .at(position.filter(|(line, _)| *line > 0).map(|(line, column)| Position { line, column }))
    };
    let problems: Vec<Problem> = errors.errors.iter().take(MOST).map(problem).collect();
    if problems.is_empty() { vec![internal("parsing")] } else { problems }
}
