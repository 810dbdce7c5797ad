//! Says why an evaluation failed, in terms of the expression: fields, types and functions. Errors of the `cel` crate
//! hold values of the record; what is said here never does.

use cel::common::ast::Expr;
use cel::{ExecutionError, IdedExpr};

use super::environment::RECORD;
use super::error::Problem;
use super::functions::FUNCTIONS;
use super::limits::{MAX_CELLS, MAX_STEPS};
use super::meter::Exhausted;
use super::operators::{ITERATE, written};
use super::syntax::children;
use crate::json::Json;

/// A chain of selections in an expression, as `record.customer.email`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selection {
    /// The variable it begins with, or `None` for the result of something else.
    root: Option<String>,
    /// The names selected, in order.
    names: Vec<String>,
}

/// The longest chains of plain selections in an expression.
pub(super) fn selections(root: &IdedExpr) -> Vec<Selection> {
    let mut found = Vec::new();
    collect(root, &mut found);
    found
}

fn collect(node: &IdedExpr, found: &mut Vec<Selection>) {
    let mut names = Vec::new();
    let mut from = node;
    while let Expr::Select(select) = &from.expr {
        // What `has()` tests may be missing.
        if !select.test {
            names.push(select.field.clone());
        }
        from = &select.operand;
    }
    if !names.is_empty() {
        names.reverse();
        let root = match &from.expr {
            Expr::Ident(name) => Some(name.clone()),
            _ => None,
        };
        found.push(Selection { root, names });
    }
    for child in children(from) {
        collect(child, found);
    }
}

impl Selection {
    /// `record.customer`, up to and without the name at `index`.
    fn before(&self, index: usize) -> String {
        let root = self.root.as_deref().unwrap_or("…");
        self.names[..index].iter().fold(root.to_owned(), |text, name| text + "." + name)
    }

    /// The chain with optional selections from the name at `index` on.
    fn optional_from(&self, index: usize) -> String {
        self.names[index..].iter().fold(self.before(index), |text, name| text + ".?" + name)
    }

    /// The name at which the chain leaves the record, and what is there instead of an object that has it.
    fn broken_at<'r, 'a>(&self, record: &'r Json<'a>) -> Option<(usize, &'r Json<'a>)> {
        if self.root.as_deref() != Some(RECORD) {
            return None;
        }
        let mut value = record;
        for (index, name) in self.names.iter().enumerate() {
            let inner = if let Json::Object(members) = value { members.get(name) } else { None };
            match inner {
                Some(inner) => value = inner,
                None => return Some((index, value)),
            }
        }
        None
    }
}

/// What the evaluation ran out of.
pub(super) fn exhausted(what: Exhausted) -> Problem {
    match what {
        Exhausted::Steps => Problem::new(
            format!("the evaluation takes more than {MAX_STEPS} steps"),
            "iterate fewer or shorter lists inside one another",
        ),
        Exhausted::Cells => Problem::new(
            format!("the evaluation makes more than {MAX_CELLS} values"),
            "map fewer or shorter lists and texts",
        ),
    }
}

/// Why the evaluation of an expression with these selections failed on this record.
pub(super) fn explain(error: &ExecutionError, selections: &[Selection], record: &Json) -> Problem {
    match error {
        ExecutionError::NoSuchKey(name) => missing(name, selections, record),
        ExecutionError::NoSuchOverload(overload) => {
            let types: Vec<String> = overload.argument_types().iter().map(|name| readable(name)).collect();
            no_overload(overload.function(), &types, selections, record)
        }
        ExecutionError::UnexpectedType { got, want } => unexpected(&readable(got), &readable(want)),
        ExecutionError::FunctionError { function, message } => function_failed(function, message),
        ExecutionError::IndexOutOfBounds(_) => Problem::new(
            "a list has no element at the position that is read",
            "write `list[?0]` to leave it out, or test `size(list)` first",
        ),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            Problem::new("division by zero", "test the divisor with `== 0` first")
        }
        ExecutionError::Overflow(operator, ..) => Problem::new(
            format!("`{operator}` of integers or times leaves their range"),
            "calculate with `decimal(...)`",
        ),
        ExecutionError::DuplicateKey(_) => Problem::new("a map gets the same key twice", "make the keys different"),
        ExecutionError::UnsupportedKeyType(value) => Problem::new(
            format!("a value of type {} is no key of a map", value.type_of()),
            "write keys as texts: `{string(key): value}`",
        ),
        ExecutionError::ValuesNotComparable(a, b) => unordered(&a.type_of().to_string(), &b.type_of().to_string()),
        ExecutionError::UndeclaredReference(_)
        | ExecutionError::InvalidArgumentCount { .. }
        | ExecutionError::MissingArgumentOrTarget => {
            Problem::new("a function or variable does not exist in this way", "check its name and arguments")
        }
        _ => Problem::new("the expression cannot be evaluated on this record", "check the types of what it reads"),
    }
}

/// CEL's name of a type as users write it.
fn readable(name: &str) -> String {
    match name {
        "null_type" => "null",
        "optional_type" => "optional",
        "google.protobuf.Timestamp" => "timestamp",
        "google.protobuf.Duration" => "duration",
        other => other,
    }
    .to_owned()
}

/// No field or key of that name. The name is only said if the expression spells it: others come from the record.
fn missing(name: &str, selections: &[Selection], record: &Json) -> Problem {
    let broken = selections.iter().find_map(|selection| {
        let (index, _) = selection.broken_at(record)?;
        (selection.names[index] == name).then_some((selection, index))
    });
    let elsewhere = || {
        let other = |selection: &&Selection| selection.root.as_deref() != Some(RECORD);
        selections.iter().filter(other).find_map(|selection| {
            let index = selection.names.iter().position(|candidate| candidate == name)?;
            Some((selection, index))
        })
    };
    match broken.or_else(elsewhere) {
        Some((Selection { root: None, .. }, _)) => Problem::new(
            format!("a value has no field `{name}`"),
            format!("write `.?{name}` in place of `.{name}` to leave it out"),
        ),
        Some((selection, index)) => Problem::new(
            format!("{} has no field `{name}`", subject(selection, index)),
            format!("write `{}` to leave it out", selection.optional_from(index)),
        ),
        None => Problem::new("a map has no entry with the key that is read", "write `map[?key]` to leave it out"),
    }
}

fn subject(selection: &Selection, index: usize) -> String {
    let before = selection.before(index);
    if before == RECORD { before } else { format!("`{before}`") }
}

fn no_overload(function: &str, types: &[String], selections: &[Selection], record: &Json) -> Problem {
    let listed = types.join(", ");
    let field = matches!(function, "_[_]") && types.last().is_some_and(|name| name == "string");
    if field || matches!(function, "_._" | "_?._") {
        return not_an_object(types, selections, record);
    }
    if function == ITERATE {
        return not_a_list(types.first().map_or("nothing", String::as_str));
    }
    let optional = types.iter().any(|name| name == "optional");
    let remedy = match FUNCTIONS.iter().find(|documented| documented.name == function) {
        _ if optional => {
            "take the value out of the optional with `.orValue(...)`, or map over it with `.optMap(x, ...)`".to_owned()
        }
        Some(documented) => format!("call it as `{}`", documented.signature),
        None => {
            "convert the operands, for example with `string(...)` or `decimal(...)`, or test for null first".to_owned()
        }
    };
    Problem::new(format!("`{}` does not take ({listed})", written(function)), remedy)
}

fn not_an_object(types: &[String], selections: &[Selection], record: &Json) -> Problem {
    let broken = selections.iter().find_map(|selection| {
        let (index, value) = selection.broken_at(record)?;
        (!matches!(value, Json::Object(_))).then_some((selection, index))
    });
    let kind = types.first().map_or("no object", String::as_str);
    match broken {
        Some((selection, index)) => Problem::new(
            format!("{} is {kind} and has no field `{}`", subject(selection, index), selection.names[index]),
            format!("write `{}` to leave it out", selection.optional_from(index)),
        ),
        None => Problem::new(
            format!("a value of type {kind} has no fields"),
            "write `.?` in place of the dot to leave out what is missing",
        ),
    }
}

fn not_a_list(kind: &str) -> Problem {
    let remedy = match kind {
        "optional" => "write `.orValue([])` behind it",
        "null" => "test for null first: `list == null ? [] : list.map(x, ...)`",
        _ => "iterate a list or a map",
    };
    Problem::new(format!("a value of type {kind} cannot be iterated"), remedy)
}

fn unexpected(got: &str, want: &str) -> Problem {
    match want {
        "bool" => Problem::new(
            format!("a condition is {got}, not true or false"),
            "compare it with something, or take a value out of an optional with `.orValue(false)`",
        ),
        "iterable" => not_a_list(got),
        _ => Problem::new(format!("a value is of type {got} where {want} is needed"), "convert it first"),
    }
}

fn unordered(a: &str, b: &str) -> Problem {
    Problem::new(format!("{a} and {b} have no order"), "compare values of one type")
}

fn function_failed(function: &str, message: &str) -> Problem {
    if function == ITERATE || function == "+" || function == "decimal" || is_ours(function) {
        let (problem, remedy) = message.split_once("; ").unwrap_or((message, "check its arguments"));
        let subject = if function == ITERATE { String::new() } else { format!("`{function}`: ") };
        return Problem::new(format!("{subject}{problem}"), remedy);
    }
    if function == "value" {
        return Problem::new(
            "`value()` is called on an optional that is absent",
            "use `.orValue(...)`, or test `.hasValue()`",
        );
    }
    // The standard library's messages quote what they were given.
    Problem::new(
        format!("`{function}` cannot convert or use the value it is given"),
        "test the value first, or convert it another way",
    )
}

fn is_ours(function: &str) -> bool {
    // These overload functions of the standard library, whose own messages must not be passed on.
    FUNCTIONS.iter().any(|documented| documented.name == function)
}
