//! The operators that compiled expressions call in place of the `cel` crate's own: they know decimals, treat views and
//! built-in values alike, and count on the meter. Also the two markers a compiled expression is instrumented with. What
//! is rewritten to what is decided in `instrument`.
#![expect(clippy::needless_pass_by_value, reason = "the `cel` crate passes a function its arguments by value")]

use std::cmp::Ordering;

use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelInt, CelList, CelMap, CelOptional, CelString, CelUInt, DYN_TYPE, Kind,
};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};

use super::compare;
use super::decimal::{self, Arithmetic};
use super::limits::{MAX_ITERATED, MAX_TEXT_BYTES};
use super::meter;

pub(super) const ADD: &str = "@add";
pub(super) const SUBTRACT: &str = "@subtract";
pub(super) const MULTIPLY: &str = "@multiply";
pub(super) const DIVIDE: &str = "@divide";
pub(super) const REMAINDER: &str = "@remainder";
pub(super) const EQUAL: &str = "@equal";
pub(super) const NOT_EQUAL: &str = "@not_equal";
pub(super) const LESS: &str = "@less";
pub(super) const LESS_OR_EQUAL: &str = "@less_or_equal";
pub(super) const GREATER: &str = "@greater";
pub(super) const GREATER_OR_EQUAL: &str = "@greater_or_equal";
pub(super) const CONTAINED: &str = "@contained";
/// `@iterate(range, steps)`: the range of a comprehension whose body takes that many steps.
pub(super) const ITERATE: &str = "@iterate";
/// `@use(variable)`: a use of a comprehension's variable.
pub(super) const USE: &str = "@use";

type Arguments<'b, 'v> = Vec<CowVal<'b, 'v>>;
type Outcome<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

/// Declares the operators.
pub(super) fn declare(environment: &mut Env) -> Result<(), DeclarationError> {
    let mut two = |name: &str, operator: cel::common::functions::Function| {
        environment.add_overload(name, name, vec![DYN_TYPE, DYN_TYPE], operator)
    };
    two(ADD, add)?;
    two(SUBTRACT, subtract)?;
    two(MULTIPLY, multiply)?;
    two(DIVIDE, divide)?;
    two(REMAINDER, remainder)?;
    two(EQUAL, equal)?;
    two(NOT_EQUAL, not_equal)?;
    two(LESS, |arguments| ordered(LESS, arguments, Ordering::is_lt))?;
    two(LESS_OR_EQUAL, |arguments| ordered(LESS_OR_EQUAL, arguments, Ordering::is_le))?;
    two(GREATER, |arguments| ordered(GREATER, arguments, Ordering::is_gt))?;
    two(GREATER_OR_EQUAL, |arguments| ordered(GREATER_OR_EQUAL, arguments, Ordering::is_ge))?;
    two(CONTAINED, contained)?;
    two(ITERATE, iterate)?;
    environment.add_overload(USE, USE, vec![DYN_TYPE], use_variable)
}

/// The operator as it is written, for messages.
pub(super) fn written(function: &str) -> &str {
    match function {
        ADD => "+",
        SUBTRACT => "-",
        MULTIPLY => "*",
        DIVIDE => "/",
        REMAINDER => "%",
        EQUAL => "==",
        NOT_EQUAL => "!=",
        LESS | "_<_" => "<",
        LESS_OR_EQUAL | "_<=_" => "<=",
        GREATER | "_>_" => ">",
        GREATER_OR_EQUAL | "_>=_" => ">=",
        CONTAINED | "@in" => "in",
        "_&&_" => "&&",
        "_||_" => "||",
        "_?_:_" => "?:",
        "!_" => "!",
        "-_" => "-",
        "_[_]" | "_[?_]" => "[]",
        "_._" | "_?._" => ".",
        other => other,
    }
}

fn no_overload(operator: &str, arguments: &[CowVal<'_, '_>]) -> ExecutionError {
    let types = arguments.iter().map(|argument| argument.get_type().name().to_owned()).collect();
    ExecutionError::no_such_overload(operator, types)
}

/// Integers and doubles may be mixed: JSON writes the same field as `10` in one record and as `10.5` in the next. CEL
/// itself refuses the mix, so no expression that CEL defines changes its meaning.
fn promoted(a: &dyn Val, b: &dyn Val) -> Option<(CelDouble, CelDouble)> {
    match (a.get_type().kind(), b.get_type().kind()) {
        (Kind::Double, Kind::Int | Kind::UInt) | (Kind::Int | Kind::UInt, Kind::Double) => {
            Some((exact_double(a)?.into(), exact_double(b)?.into()))
        }
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "integers beyond the exact range are refused in the same expression")]
fn exact_double(value: &dyn Val) -> Option<f64> {
    const EXACT: u64 = 1 << 53;
    if let Some(int) = value.downcast_ref::<CelInt>() {
        return (int.inner().unsigned_abs() <= EXACT).then_some(*int.inner() as f64);
    }
    if let Some(unsigned) = value.downcast_ref::<CelUInt>() {
        return (*unsigned.inner() <= EXACT).then_some(*unsigned.inner() as f64);
    }
    value.downcast_ref::<CelDouble>().map(|double| *double.inner())
}

fn calculate<'b, 'v>(operator: &str, arithmetic: Arithmetic, arguments: &[CowVal<'b, 'v>]) -> Outcome<'b, 'v> {
    let [a, b] = arguments else {
        return Err(no_overload(operator, arguments));
    };
    let (a, b) = (a.as_ref(), b.as_ref());
    if let Some(result) = decimal::combine(arithmetic, a, b) {
        return result.map(CowVal::owned);
    }
    let result = match promoted(a, b) {
        Some((a, b)) => apply(arithmetic, &a, &b),
        None => apply(arithmetic, a, b),
    };
    match result {
        Some(Ok(value)) => Ok(CowVal::Owned(value)),
        Some(Err(ExecutionError::UnsupportedBinaryOperator(..))) | None => Err(no_overload(operator, arguments)),
        Some(Err(error)) => Err(error),
    }
}

fn apply<'v>(
    arithmetic: Arithmetic,
    a: &(dyn Val + 'v),
    b: &(dyn Val + 'v),
) -> Option<Result<Box<dyn Val + 'v>, ExecutionError>> {
    let result = match arithmetic {
        Arithmetic::Add => a.as_adder()?.add(b),
        Arithmetic::Subtract => a.as_subtractor()?.sub(b),
        Arithmetic::Multiply => a.as_multiplier()?.mul(b),
        Arithmetic::Divide => a.as_divider()?.div(b),
        Arithmetic::Remainder => a.as_modder()?.modulo(b),
    };
    Some(result.map(CowVal::into_owned))
}

fn add<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let [a, b] = arguments.as_slice() else {
        return Err(no_overload(ADD, &arguments));
    };
    match (a.get_type().kind(), b.get_type().kind()) {
        (Kind::List, Kind::List) => concatenate(a.as_ref(), b.as_ref()),
        (Kind::String, Kind::String) | (Kind::Bytes, Kind::Bytes) => {
            let length = text_length(a.as_ref()) + text_length(b.as_ref());
            if length > MAX_TEXT_BYTES {
                return Err(ExecutionError::function_error("+", too_long()));
            }
            meter::cells(1 + compare::text_cells(length))?;
            calculate(ADD, Arithmetic::Add, &arguments)
        }
        _ => calculate(ADD, Arithmetic::Add, &arguments),
    }
}

/// What to say when text gets too long.
pub(super) fn too_long() -> String {
    format!("the text gets longer than {MAX_TEXT_BYTES} bytes; shorten it with `truncate`")
}

fn text_length(value: &dyn Val) -> usize {
    let text = value.downcast_ref::<CelString>().map(|text| text.inner().len());
    text.or_else(|| value.downcast_ref::<CelBytes>().map(|bytes| bytes.inner().len())).unwrap_or(0)
}

fn concatenate<'b, 'v>(a: &(dyn Val + 'v), b: &(dyn Val + 'v)) -> Outcome<'b, 'v> {
    let mut items: Vec<Box<dyn Val + 'v>> = Vec::new();
    for list in [a, b] {
        compare::for_each(list, |item| {
            meter::cells(compare::weight(item))?;
            items.push(item.clone_as_boxed());
            Ok(())
        })?;
    }
    Ok(CowVal::owned(CelList::from(items)))
}

fn subtract<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    calculate(SUBTRACT, Arithmetic::Subtract, &arguments)
}

fn multiply<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    calculate(MULTIPLY, Arithmetic::Multiply, &arguments)
}

fn divide<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    calculate(DIVIDE, Arithmetic::Divide, &arguments)
}

fn remainder<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    calculate(REMAINDER, Arithmetic::Remainder, &arguments)
}

/// Comparing an optional with what is in it is always false in CEL, and always a mistake in a mapping.
fn compared(operator: &str, arguments: &[CowVal<'_, '_>]) -> Result<bool, ExecutionError> {
    let [a, b] = arguments else {
        return Err(no_overload(operator, arguments));
    };
    let optional = |value: &CowVal<'_, '_>| value.downcast_ref::<CelOptional>().is_some();
    if optional(a) != optional(b) {
        return Err(no_overload(operator, arguments));
    }
    compare::equal(a.as_ref(), b.as_ref())
}

fn equal<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    compared(EQUAL, &arguments).map(truth)
}

fn not_equal<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    compared(NOT_EQUAL, &arguments).map(|equal| truth(!equal))
}

fn ordered<'b, 'v>(operator: &str, arguments: Arguments<'b, 'v>, holds: fn(Ordering) -> bool) -> Outcome<'b, 'v> {
    let [a, b] = arguments.as_slice() else {
        return Err(no_overload(operator, &arguments));
    };
    match compare::order(a.as_ref(), b.as_ref()) {
        Some(ordering) => Ok(truth(holds(ordering))),
        None => Err(no_overload(operator, &arguments)),
    }
}

fn contained<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let [value, container] = arguments.as_slice() else {
        return Err(no_overload(CONTAINED, &arguments));
    };
    if value.downcast_ref::<CelOptional>().is_some() {
        return Err(no_overload(CONTAINED, &arguments));
    }
    match compare::contains(container.as_ref(), value.as_ref())? {
        Some(found) => Ok(truth(found)),
        None => Err(no_overload(CONTAINED, &arguments)),
    }
}

fn truth<'b, 'v>(value: bool) -> CowVal<'b, 'v> {
    CowVal::owned(CelBool::from(value))
}

fn iterate<'b, 'v>(mut arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let steps = arguments.pop().and_then(|steps| compare::int(steps.as_ref())).unwrap_or(1);
    let Some(range) = arguments.pop() else {
        return Err(no_overload(ITERATE, &arguments));
    };
    let size = compare::size(range.as_ref());
    if size > MAX_ITERATED {
        let message = format!(
            "a list or map of more than {MAX_ITERATED} elements is iterated; let the source system page or filter it"
        );
        return Err(ExecutionError::function_error(ITERATE, message));
    }
    meter::step(u64::try_from(steps).unwrap_or(1).saturating_mul(size as u64))?;
    match range.get_type().kind() {
        Kind::List => {
            if range.downcast_ref::<CelList>().is_some() {
                // Each element is copied into the comprehension's variable.
                meter::cells(compare::weight(range.as_ref()))?;
            } else {
                meter::cells(size as u64)?;
            }
            Ok(range)
        }
        Kind::Map => {
            let keys = compare::sorted_keys(range.as_ref())?;
            meter::cells(2 * size as u64)?;
            Ok(CowVal::owned(CelList::from(keys)))
        }
        _ => Err(no_overload(ITERATE, &[range])),
    }
}

fn use_variable<'b, 'v>(mut arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let Some(value) = arguments.pop() else {
        return Err(no_overload(USE, &arguments));
    };
    // A use may copy the value, and what is done with it takes time in proportion to it.
    if value.is_borrowed() && (holds_others(value.as_ref()) || text_length(value.as_ref()) > 0) {
        let weight = compare::weight(value.as_ref());
        meter::step(weight)?;
        meter::cells(weight)?;
    }
    Ok(value)
}

fn holds_others(value: &dyn Val) -> bool {
    value.downcast_ref::<CelList>().is_some()
        || value.downcast_ref::<CelMap>().is_some()
        || value.downcast_ref::<CelOptional>().is_some()
}
