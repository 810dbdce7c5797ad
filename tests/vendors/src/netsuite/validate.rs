//! What NetSuite checks in a body before it writes. Pure.

use jiff::civil::Date;
use serde_json::{Map, Value};

/// Record types that are transactions.
pub(super) const TRANSACTIONS: &[&str] = &[
    "cashRefund",
    "cashSale",
    "creditMemo",
    "customerDeposit",
    "customerPayment",
    "customerRefund",
    "estimate",
    "invoice",
    "itemFulfillment",
    "journalEntry",
    "purchaseOrder",
    "returnAuthorization",
    "salesOrder",
    "vendorBill",
];

/// Transactions that may be made without an entity.
const WITHOUT_ENTITY: &[&str] =
    &["customerDeposit", "customerPayment", "customerRefund", "itemFulfillment", "journalEntry"];
const DATES: &[&str] = &["tranDate", "shipDate", "dueDate", "startDate", "endDate"];
const AMOUNTS: &[&str] =
    &["total", "subtotal", "taxTotal", "discountTotal", "discountRate", "shippingCost", "handlingCost", "exchangeRate"];
const LINE_AMOUNTS: &[&str] = &["quantity", "rate", "amount", "taxRate1", "grossAmt", "taxAmount"];

/// What is wrong with a body, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Invalid {
    /// A path like `item.items[2].rate`.
    pub(super) path: String,
    /// What would be right.
    pub(super) detail: String,
}

/// Checks a body; `creating` also asks for what a new record must have.
pub(super) fn check(kind: &str, body: &Map<String, Value>, creating: bool) -> Result<(), Invalid> {
    if !TRANSACTIONS.contains(&kind) {
        return Ok(());
    }
    check_entity(kind, body, creating)?;
    for field in DATES {
        match body.get(*field) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if is_date(text) => {}
            Some(other) => {
                return invalid((*field).to_owned(), format!("{other} is not a date in the form YYYY-MM-DD"));
            }
        }
    }
    for field in AMOUNTS {
        check_number(body.get(*field), || (*field).to_owned())?;
    }
    match body.get("item") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Object(sublist)) => check_lines(sublist),
        Some(_) => invalid("item".to_owned(), "a sublist is an object with a list named items".to_owned()),
    }
}

fn check_entity(kind: &str, body: &Map<String, Value>, creating: bool) -> Result<(), Invalid> {
    if WITHOUT_ENTITY.contains(&kind) {
        return Ok(());
    }
    let present = match body.get("entity") {
        None => !creating,
        Some(Value::Object(reference)) => reference.values().any(|value| !value.is_null()),
        Some(Value::String(id)) => !id.is_empty(),
        Some(Value::Number(_)) => true,
        Some(Value::Null | Value::Bool(_) | Value::Array(_)) => false,
    };
    if present {
        Ok(())
    } else {
        invalid("entity".to_owned(), "Please enter value(s) for: entity (the customer)".to_owned())
    }
}

fn check_lines(sublist: &Map<String, Value>) -> Result<(), Invalid> {
    let lines = match sublist.get("items") {
        None => return Ok(()),
        Some(Value::Array(lines)) => lines,
        Some(_) => return invalid("item.items".to_owned(), "items must be a list".to_owned()),
    };
    for (position, line) in lines.iter().enumerate() {
        let Value::Object(line) = line else {
            return invalid(format!("item.items[{position}]"), "a line must be an object".to_owned());
        };
        for field in LINE_AMOUNTS {
            check_number(line.get(*field), || format!("item.items[{position}].{field}"))?;
        }
    }
    Ok(())
}

fn check_number(value: Option<&Value>, path: impl Fn() -> String) -> Result<(), Invalid> {
    match value {
        None | Some(Value::Null | Value::Number(_)) => Ok(()),
        Some(other) => invalid(path(), format!("{other} is not a number; send 12.5, not \"12.5\"")),
    }
}

fn invalid(path: String, detail: String) -> Result<(), Invalid> {
    Err(Invalid { path, detail })
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<Date>().is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problem_of(body: Value, creating: bool) -> Option<String> {
        let Value::Object(body) = body else { panic!("a body is an object") };
        check("salesOrder", &body, creating).err().map(|invalid| invalid.path)
    }

    #[test]
    fn a_complete_order_is_valid() {
        let order = json!({
            "entity": {"id": "5"}, "tranDate": "2026-07-01", "shippingCost": 4.5,
            "item": {"items": [{"quantity": 1, "rate": 12.5}, {"quantity": 0.5}]},
        });
        assert_eq!(problem_of(order, true), None);
    }

    #[test]
    fn a_new_order_needs_an_entity_and_an_update_does_not() {
        assert_eq!(problem_of(json!({}), true).as_deref(), Some("entity"));
        assert_eq!(problem_of(json!({"entity": {"id": null}}), true).as_deref(), Some("entity"));
        assert_eq!(problem_of(json!({}), false), None);
    }

    #[test]
    fn a_date_must_be_a_plain_iso_date() {
        for date in ["07/01/2026", "2026-07-01T00:00:00Z", "2026-02-30", "20260701"] {
            assert_eq!(problem_of(json!({"tranDate": date}), false).as_deref(), Some("tranDate"), "{date}");
        }
    }

    #[test]
    fn an_amount_in_a_text_is_refused_with_its_path() {
        let order = json!({"item": {"items": [{"rate": 1}, {"rate": "12.50"}]}});
        assert_eq!(problem_of(order, false).as_deref(), Some("item.items[1].rate"));
        assert_eq!(problem_of(json!({"total": "1.00"}), false).as_deref(), Some("total"));
    }
}
