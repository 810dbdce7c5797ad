//! The functions of the mapping language beside the CEL standard library. Each is documented in [`FUNCTIONS`] with an
//! example that is a test. Helpers for declaring them; the functions are in the files beside this one.

mod digests;
mod documented;
mod numbers;
mod text;
mod times;

use cel::common::functions::Function;
use cel::common::types::{CelString, Type};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};

pub(super) use digests::namespace;
pub use documented::{FUNCTIONS, FunctionDoc};
pub(super) use numbers::exponent;
pub(super) use text::{MATCHES, Pattern};
pub(super) use times::{check_format, from_cel, time_zone};

use super::compare;
use super::limits::MAX_TEXT_BYTES;
use super::meter;
use super::operators::too_long;

/// Declares all functions but `xref` and `lookup`, which answer from outside the expression.
pub(super) fn declare(environment: &mut Env) -> Result<(), DeclarationError> {
    text::declare(environment)?;
    numbers::declare(environment)?;
    times::declare(environment)?;
    digests::declare(environment)
}

/// Declares `function(first, others…)`, and `first.function(others…)` too.
fn both(
    environment: &mut Env,
    name: &str,
    first: &Type,
    others: &[&Type],
    function: Function,
) -> Result<(), DeclarationError> {
    global(environment, name, &[&[first], others].concat(), function)?;
    let id = format!("{}.{}", id(name, &[first]), id(name, others));
    environment.add_member_overload(name, &id, first.to_owned(), owned(others), function)
}

/// Declares `function(arguments…)`.
fn global(environment: &mut Env, name: &str, arguments: &[&Type], function: Function) -> Result<(), DeclarationError> {
    environment.add_overload(name, &id(name, arguments), owned(arguments), function)
}

fn id(name: &str, arguments: &[&Type]) -> String {
    let types: Vec<&str> = arguments.iter().map(|argument| argument.name()).collect();
    format!("{name}({})", types.join(","))
}

fn owned(types: &[&Type]) -> Vec<Type> {
    types.iter().map(|&argument| argument.to_owned()).collect()
}

/// A failure of `function`. The message ends in what to do, and holds no value of the record.
fn failure(function: &str, message: impl Into<String>) -> ExecutionError {
    ExecutionError::FunctionError { function: function.to_owned(), message: message.into() }
}

/// The argument at `index` as text. Overloads are picked by type, so that it fails only if one is declared wrongly.
fn text<'x>(function: &str, arguments: &'x [CowVal<'_, '_>], index: usize) -> Result<&'x str, ExecutionError> {
    let argument = argument(function, arguments, index)?;
    argument.downcast_ref::<CelString>().map(CelString::inner).ok_or_else(|| wrong_type(function, arguments))
}

fn int(function: &str, arguments: &[CowVal<'_, '_>], index: usize) -> Result<i64, ExecutionError> {
    compare::int(argument(function, arguments, index)?).ok_or_else(|| wrong_type(function, arguments))
}

fn argument<'x, 'v>(
    function: &str,
    arguments: &'x [CowVal<'_, 'v>],
    index: usize,
) -> Result<&'x (dyn Val + 'v), ExecutionError> {
    match arguments.get(index) {
        Some(argument) => Ok(argument.as_ref()),
        None => Err(wrong_type(function, arguments)),
    }
}

fn wrong_type(function: &str, arguments: &[CowVal<'_, '_>]) -> ExecutionError {
    let types = arguments.iter().map(|argument| argument.get_type().name().to_owned()).collect();
    ExecutionError::no_such_overload(function, types)
}

/// Text made by `function`, counted on the meter.
fn made<'b, 'v>(function: &str, text: String) -> Result<CowVal<'b, 'v>, ExecutionError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(failure(function, too_long()));
    }
    meter::cells(1 + compare::text_cells(text.len()))?;
    Ok(CowVal::owned(CelString::from(text)))
}
