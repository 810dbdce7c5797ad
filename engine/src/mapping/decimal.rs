//! The `decimal` type: exact decimal numbers for money. Arithmetic, comparison and conversion; no JSON.

use std::any::Any;
use std::cmp::Ordering;

use cel::ExecutionError;
use cel::common::traits::{Negator, Zeroer};
use cel::common::types::{CelDouble, CelInt, CelUInt, Type};
use cel::common::value::{StaticVal, Val};
use rust_decimal::Decimal;

/// The CEL type of decimals.
pub(super) static DECIMAL_TYPE: Type = Type::new_unspecified_type("decimal");

/// A decimal number of up to 28 digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct DecimalValue(pub(super) Decimal);

impl std::fmt::Debug for DecimalValue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("decimal")
    }
}

impl Val for DecimalValue {
    fn get_type(&self) -> &Type {
        &DECIMAL_TYPE
    }

    fn cel_type() -> &'static Type {
        &DECIMAL_TYPE
    }

    fn as_negator<'b, 'v>(&'b self) -> Option<&'b (dyn Negator + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_zeroer(&self) -> Option<&dyn Zeroer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        compare(self, other) == Compared::Ordered(Ordering::Equal)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for DecimalValue {}

impl Negator for DecimalValue {
    fn negate<'v>(&self) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Ok(Box::new(DecimalValue(-self.0)))
    }
}

impl Zeroer for DecimalValue {
    fn is_zero_value(&self) -> bool {
        self.0.is_zero()
    }
}

/// The arithmetic that decimals know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// Why a number has no exact decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoDecimal {
    /// The value is no number at all.
    NotANumber,
    /// Too large, or more than 28 digits.
    DoesNotFit,
}

/// The decimal, integer or double `value` as a decimal. A double counts as its shortest decimal form: `0.1` is one
/// tenth.
pub(super) fn of_number(value: &dyn Val) -> Result<Decimal, NoDecimal> {
    if let Some(decimal) = value.downcast_ref::<DecimalValue>() {
        return Ok(decimal.0);
    }
    if let Some(int) = value.downcast_ref::<CelInt>() {
        return Ok(Decimal::from(*int.inner()));
    }
    if let Some(unsigned) = value.downcast_ref::<CelUInt>() {
        return Ok(Decimal::from(*unsigned.inner()));
    }
    match value.downcast_ref::<CelDouble>() {
        Some(double) => parse(&double.inner().to_string()).ok_or(NoDecimal::DoesNotFit),
        None => Err(NoDecimal::NotANumber),
    }
}

/// The decimal that `text` denotes exactly, as `12.50` or `1.25e1`.
pub(super) fn parse(text: &str) -> Option<Decimal> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let well_formed = match mantissa.split_once('.') {
        Some((whole, fraction)) => plain(whole) && plain(fraction),
        None => plain(mantissa),
    };
    if !well_formed {
        return None;
    }
    match exponent {
        None => Decimal::from_str_exact(text).ok(),
        Some(exponent) if plain(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)) => {
            Decimal::from_scientific(text).ok()
        }
        Some(_) => None,
    }
}

/// How two values compare as decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compared {
    /// Neither is a decimal.
    Others,
    /// At least one is a decimal, and the other is nothing it compares with.
    Unordered,
    /// At least one is a decimal, and both are numbers.
    Ordered(Ordering),
}

/// How two values compare if at least one is a decimal.
pub(super) fn compare(a: &dyn Val, b: &dyn Val) -> Compared {
    if a.downcast_ref::<DecimalValue>().is_none() && b.downcast_ref::<DecimalValue>().is_none() {
        return Compared::Others;
    }
    let ordering = match (of_number(a), of_number(b)) {
        (Ok(a), Ok(b)) => Some(a.cmp(&b)),
        // A finite double that is no decimal is beyond the range of all decimals, or nearer to zero than any but zero.
        (Ok(a), Err(NoDecimal::DoesNotFit)) => beyond(a, b),
        (Err(NoDecimal::DoesNotFit), Ok(b)) => beyond(b, a).map(Ordering::reverse),
        _ => None,
    };
    ordering.map_or(Compared::Unordered, Compared::Ordered)
}

fn beyond(decimal: Decimal, other: &dyn Val) -> Option<Ordering> {
    let double = *other.downcast_ref::<CelDouble>()?.inner();
    let near: f64 = decimal.to_string().parse().ok()?;
    near.partial_cmp(&double)
}

/// `a` and `b` combined if at least one is a decimal and the other a number. `None` means that this is no decimal
/// arithmetic.
pub(super) fn combine(
    arithmetic: Arithmetic,
    a: &dyn Val,
    b: &dyn Val,
) -> Option<Result<DecimalValue, ExecutionError>> {
    if a.downcast_ref::<DecimalValue>().is_none() && b.downcast_ref::<DecimalValue>().is_none() {
        return None;
    }
    let (a, b) = match (of_number(a), of_number(b)) {
        (Ok(a), Ok(b)) => (a, b),
        (Err(NoDecimal::NotANumber), _) | (_, Err(NoDecimal::NotANumber)) => return None,
        (Err(NoDecimal::DoesNotFit), _) | (_, Err(NoDecimal::DoesNotFit)) => return Some(Err(too_large())),
    };
    Some(calculate(arithmetic, a, b))
}

/// The result of one step of decimal arithmetic, to 28 digits.
pub(super) fn calculate(arithmetic: Arithmetic, a: Decimal, b: Decimal) -> Result<DecimalValue, ExecutionError> {
    let divides = matches!(arithmetic, Arithmetic::Divide | Arithmetic::Remainder);
    if divides && b.is_zero() {
        return Err(ExecutionError::function_error("decimal", "division by zero; test the divisor with `== 0` first"));
    }
    let result = match arithmetic {
        Arithmetic::Add => a.checked_add(b),
        Arithmetic::Subtract => a.checked_sub(b),
        Arithmetic::Multiply => a.checked_mul(b),
        Arithmetic::Divide => a.checked_div(b),
        Arithmetic::Remainder => a.checked_rem(b),
    };
    result.map(DecimalValue).ok_or_else(too_large)
}

fn too_large() -> ExecutionError {
    ExecutionError::function_error("decimal", "a number has more than 28 digits; round the operands first")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> DecimalValue {
        DecimalValue(parse(text).unwrap())
    }

    #[test]
    fn only_plain_numbers_parse() {
        for text in ["0", "-1", "+1.50", "12345678901234567890.12345678", "1e3", "1.5E-2"] {
            assert!(parse(text).is_some(), "{text}");
        }
        for text in ["", "-", ".5", "5.", "1_000", "1,5", " 1", "0x1", "1e", "e1", "1.2.3", "NaN", "inf", "١"] {
            assert!(parse(text).is_none(), "{text}");
        }
        assert!(parse("0.12345678901234567890123456789012").is_none(), "more digits than fit are not rounded away");
    }

    #[test]
    fn a_double_is_its_shortest_form() {
        assert_eq!(of_number(&CelDouble::from(0.1)), Ok(decimal("0.1").0));
        assert_eq!(of_number(&CelDouble::from(1e300)), Err(NoDecimal::DoesNotFit));
        assert_eq!(of_number(&CelDouble::from(f64::NAN)), Err(NoDecimal::DoesNotFit));
    }

    #[test]
    fn decimals_compare_with_all_numbers() {
        assert_eq!(compare(&decimal("1.0"), &CelInt::from(1)), Compared::Ordered(Ordering::Equal));
        assert_eq!(compare(&CelDouble::from(0.5), &decimal("0.25")), Compared::Ordered(Ordering::Greater));
        assert_eq!(compare(&decimal("1"), &CelDouble::from(1e300)), Compared::Ordered(Ordering::Less));
        assert_eq!(compare(&CelDouble::from(f64::NAN), &decimal("1")), Compared::Unordered);
        assert_eq!(compare(&CelInt::from(1), &CelInt::from(1)), Compared::Others);
    }
}
