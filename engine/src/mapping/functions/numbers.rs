//! Functions on numbers and money.
#![expect(clippy::needless_pass_by_value, reason = "the `cel` crate passes a function its arguments by value")]

use cel::common::types::{
    CelDouble, CelInt, CelString, DOUBLE_TYPE, INT_TYPE, LIST_TYPE, STRING_TYPE, Type, UINT_TYPE,
};
use cel::common::value::CowVal;
use cel::{DeclarationError, Env, ExecutionError};
use iso_currency::Currency;
use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};

use super::super::decimal::{self, Arithmetic, DECIMAL_TYPE, DecimalValue};
use super::super::{compare, meter};
use super::{argument, both, failure, global, int, text, wrong_type};

/// Most decimal places a decimal can have.
const MAX_PLACES: i64 = 28;

type Arguments<'b, 'v> = Vec<CowVal<'b, 'v>>;
type Outcome<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

pub(super) fn declare(environment: &mut Env) -> Result<(), DeclarationError> {
    let numbers: [&Type; 4] = [&DECIMAL_TYPE, &INT_TYPE, &UINT_TYPE, &DOUBLE_TYPE];
    environment.add_type(DECIMAL_TYPE.to_owned())?;
    global(environment, "decimal", &[&STRING_TYPE], to_decimal)?;
    global(environment, "minorUnits", &[&STRING_TYPE, &STRING_TYPE], minor_units)?;
    for number in numbers {
        global(environment, "decimal", &[number], to_decimal)?;
        global(environment, "minorUnits", &[number, &STRING_TYPE], minor_units)?;
        both(environment, "round", number, &[&INT_TYPE], round)?;
    }
    global(environment, "fromMinorUnits", &[&INT_TYPE, &STRING_TYPE], from_minor_units)?;
    both(environment, "sum", &LIST_TYPE, &[], sum)?;
    global(environment, "string", &[&DECIMAL_TYPE], |a| {
        Ok(CowVal::owned(CelString::from(number("string", &a, 0)?.to_string())))
    })?;
    global(environment, "int", &[&DECIMAL_TYPE], to_int)?;
    global(environment, "double", &[&DECIMAL_TYPE], to_double)
}

/// The decimal, number or text at `index` as a decimal.
fn number(function: &str, arguments: &[CowVal<'_, '_>], index: usize) -> Result<Decimal, ExecutionError> {
    let value = argument(function, arguments, index)?;
    if let Some(text) = value.downcast_ref::<CelString>() {
        return decimal::parse(text.inner()).ok_or_else(|| {
            failure(
                function,
                "the text is no number of up to 28 digits as `-1234.50`; take out separators and symbols with `replace`",
            )
        });
    }
    decimal::of_number(value).map_err(|reason| match reason {
        decimal::NoDecimal::NotANumber => wrong_type(function, arguments),
        decimal::NoDecimal::DoesNotFit => {
            failure(function, "the number has no decimal of up to 28 digits; leave it a double")
        }
    })
}

fn to_decimal<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    Ok(CowVal::owned(DecimalValue(number("decimal", &arguments, 0)?)))
}

fn to_int<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    match number("int", &arguments, 0)?.trunc().to_i64() {
        Some(int) => Ok(CowVal::owned(CelInt::from(int))),
        None => Err(failure("int", "the decimal is out of the range of integers; keep it a decimal")),
    }
}

fn to_double<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    match number("double", &arguments, 0)?.to_string().parse::<f64>() {
        Ok(double) => Ok(CowVal::owned(CelDouble::from(double))),
        Err(_) => Err(failure("double", "the decimal has no double; keep it a decimal")),
    }
}

/// Commercial rounding: halves away from zero, with as many places as asked for.
fn round<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let number = number("round", &arguments, 0)?;
    let places = int("round", &arguments, 1)?;
    let Some(places) = u32::try_from(places).ok().filter(|_| places <= MAX_PLACES) else {
        return Err(failure("round", format!("the number of places must be from 0 to {MAX_PLACES}; correct it")));
    };
    let mut rounded = number.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
    // Adds zeros, where they fit, so that `string(round(x, 2))` always has two places.
    rounded.rescale(places);
    Ok(CowVal::owned(DecimalValue(rounded)))
}

/// The decimal places of a currency's amounts.
pub(in super::super) fn exponent(function: &str, currency: &str) -> Result<u32, ExecutionError> {
    match Currency::from_code(currency).and_then(Currency::exponent) {
        Some(exponent) => Ok(u32::from(exponent)),
        None => Err(failure(
            function,
            "the currency is no ISO 4217 code with minor units; write it in capitals, as \"EUR\"",
        )),
    }
}

fn minor_units<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let amount = number("minorUnits", &arguments, 0)?;
    let exponent = exponent("minorUnits", text("minorUnits", &arguments, 1)?)?;
    let units = amount.checked_mul(Decimal::from(10_u64.pow(exponent)));
    match units {
        Some(units) if !units.is_integer() => Err(failure(
            "minorUnits",
            format!("the amount has more than the {exponent} decimal places of its currency; `round` it first"),
        )),
        Some(units) => match units.to_i64() {
            Some(units) => Ok(CowVal::owned(CelInt::from(units))),
            None => Err(failure("minorUnits", "the amount is too large; check its unit")),
        },
        None => Err(failure("minorUnits", "the amount is too large; check its unit")),
    }
}

fn from_minor_units<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let units = int("fromMinorUnits", &arguments, 0)?;
    let exponent = exponent("fromMinorUnits", text("fromMinorUnits", &arguments, 1)?)?;
    Ok(CowVal::owned(DecimalValue(Decimal::new(units, exponent))))
}

/// Integers add up to an integer; everything else adds up exactly, to a decimal.
fn sum<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let mut whole: Option<i64> = Some(0);
    let mut exact = DecimalValue(Decimal::ZERO);
    let mut only_integers = true;
    compare::for_each(argument("sum", &arguments, 0)?, |item| {
        meter::step(1)?;
        let int = compare::int(item);
        only_integers &= int.is_some();
        whole = whole.and_then(|sum| sum.checked_add(int.unwrap_or(0)));
        let addend = decimal::of_number(item).map_err(|_| {
            let kind = item.get_type().name();
            failure(
                "sum",
                format!(
                    "the list holds an element of type {kind}; convert the elements first: `list.map(x, decimal(x))`"
                ),
            )
        })?;
        exact = decimal::calculate(Arithmetic::Add, exact.0, addend)?;
        Ok(())
    })?;
    match (only_integers, whole) {
        (true, Some(sum)) => Ok(CowVal::owned(CelInt::from(sum))),
        (true, None) | (false, _) => Ok(CowVal::owned(exact)),
    }
}
