//! Every documented function does what its documentation says, and fails as it says.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests end them, loudly")]

use crosstie_engine::mapping::{EvaluationError, Expression, FUNCTIONS, Looked, NoResolve, Resolve};
use serde_json::{Value, json};

struct Known;

impl Resolve for Known {
    fn xref(&self, flow: &str, key: &str) -> Option<Value> {
        (flow == "customers" && key == "1001").then(|| json!("C-17"))
    }

    fn lookup(&self, stream: &str, key: &str) -> Looked {
        match (stream, key) {
            ("locations", "7") => Looked::Found(json!({"id": 7, "name": "Berlin"})),
            _ => Looked::Absent,
        }
    }
}

fn value(source: &str) -> Value {
    let expression = Expression::compile("example", source).unwrap_or_else(|problems| panic!("{source}: {problems:?}"));
    expression.evaluate(&json!({}), &Known).unwrap_or_else(|error| panic!("{source}: {error}")).unwrap()
}

fn failure(source: &str) -> String {
    let expression = Expression::compile("example", source).unwrap_or_else(|problems| panic!("{source}: {problems:?}"));
    match expression.evaluate(&json!({}), &NoResolve) {
        Err(error @ EvaluationError::Failed { .. }) => error.to_string(),
        other => panic!("{source}: {other:?}"),
    }
}

#[test]
fn every_documented_example_yields_what_is_documented() {
    for function in FUNCTIONS {
        let result: Value = serde_json::from_str(function.result).unwrap();
        assert_eq!(value(function.example), result, "{}", function.example);
        assert!(function.example.contains(function.name), "{}", function.name);
        assert!(function.signature.starts_with(function.name), "{}", function.name);
    }
}

#[test]
fn functions_documented_with_this_can_be_called_behind_a_dot() {
    for (global, member) in [
        (r#"parseTime("2026-07-01")"#, r#""2026-07-01".parseTime()"#),
        (r#"formatTime(fromEpochMillis(0), "%Y", "UTC")"#, r#"fromEpochMillis(0).formatTime("%Y", "UTC")"#),
        ("round(1.25, 1)", "1.25.round(1)"),
        ("sum([1, 2])", "[1, 2].sum()"),
        (r#"lower("A")"#, r#""A".lower()"#),
        (r#"trim(" a ")"#, r#"" a ".trim()"#),
        (r#"truncate("abc", 2)"#, r#""abc".truncate(2)"#),
        (r#"split("a,b", ",")"#, r#""a,b".split(",")"#),
        (r#"join(["a"], "-")"#, r#"["a"].join("-")"#),
        (r#"replace("aXa", "X", "b")"#, r#""aXa".replace("X", "b")"#),
        (r#"matches("abc", "b")"#, r#""abc".matches("b")"#),
        (r#"base64(b"a")"#, r#"b"a".base64()"#),
        (r#"md5("a")"#, r#""a".md5()"#),
        (r#"sha256(b"a")"#, r#"b"a".sha256()"#),
    ] {
        assert_eq!(value(global), value(member), "{global}");
    }
}

#[test]
fn times_are_read_as_vendors_write_them() {
    for (written, read) in [
        ("2026-07-01T10:00:00Z", "2026-07-01T10:00:00Z"),
        ("2026-07-01T10:00:00.123456789+02:00", "2026-07-01T08:00:00.123456789Z"),
        ("2026-07-01T10:00:00.000+0000", "2026-07-01T10:00:00Z"),
        ("2026-07-01 10:00:00-04:00", "2026-07-01T14:00:00Z"),
        ("2026-07-01", "2026-07-01T00:00:00Z"),
        ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5Z"),
    ] {
        assert_eq!(value(&format!("parseTime({written:?})")), json!(read), "{written}");
    }
    for written in
        ["2026-07-01T10:00:00", "2026-07-01 10:00:00 UTC", "01.07.2026", "2026-7-1", "20260701", "", "2026-02-30"]
    {
        assert!(failure(&format!("parseTime({written:?})")).contains("RFC 3339"), "{written}");
    }
    assert!(failure("fromEpochMillis(999999999999999999)").contains("check its unit"));
    assert_eq!(value("fromEpochMillis(-500)"), json!("1969-12-31T23:59:59.5Z"));
}

#[test]
fn times_are_written_in_the_zone_asked_for_across_daylight_saving() {
    let at =
        |time: &str| value(&format!(r#"formatTime(parseTime("{time}"), "%Y-%m-%d %H:%M %Z", "America/New_York")"#));
    assert_eq!(at("2026-03-08T06:59:00Z"), json!("2026-03-08 01:59 EST"));
    assert_eq!(at("2026-03-08T07:00:00Z"), json!("2026-03-08 03:00 EDT"));
}

#[test]
fn decimals_calculate_exactly() {
    for (source, result) in [
        (r#"string(decimal("0.1") + decimal("0.2"))"#, json!("0.3")),
        (r#"string(decimal("10.00") - 1)"#, json!("9.00")),
        (r#"string(3 * decimal("19.90"))"#, json!("59.70")),
        ("string(decimal(0.1) * 0.19)", json!("0.019")),
        ("string(decimal(1) / decimal(8))", json!("0.125")),
        (r#"string(-decimal("1.5") % 1)"#, json!("-0.5")),
        (r#"decimal("1.0") == 1 && decimal("1.5") > 1 && 1.5 == decimal("1.50")"#, json!(true)),
        (r#"decimal("2") in [1, 2, 3]"#, json!(true)),
        (r#"int(decimal("-3.9"))"#, json!(-3)),
        (r#"double(decimal("0.5"))"#, json!(0.5)),
        ("type(decimal(1)) == decimal", json!(true)),
        ("sum([])", json!(0)),
        ("sum([1, 2, 3])", json!(6)),
        (r#"string(sum([decimal("19.90"), 5, 0.1]))"#, json!("25.00")),
    ] {
        assert_eq!(value(source), result, "{source}");
    }
    assert!(failure(r#"decimal("12,50")"#).contains("is no number"));
    assert!(failure("decimal(1) / 0").contains("division by zero"));
    assert!(failure(r#"decimal("7922816251426433759354395033") * 100000"#).contains("28 digits"));
    assert!(failure(r#"sum(["1"])"#).contains("element of type string"));
}

#[test]
fn rounding_is_commercial_and_keeps_places() {
    for (number, places, result) in [
        ("2.345", 2, "2.35"),
        ("-2.345", 2, "-2.35"),
        ("2.344", 2, "2.34"),
        ("2", 2, "2.00"),
        ("0.5", 0, "1"),
        ("1.005", 2, "1.01"),
    ] {
        assert_eq!(value(&format!(r#"string(round(decimal("{number}"), {places}))"#)), json!(result), "{number}");
    }
    assert_eq!(value("string(round(1.005, 2))"), json!("1.01"), "a double counts as its shortest form");
    assert!(failure("round(1.5, 29)").contains("0 to 28"));
    assert!(failure("round(1.5, -1)").contains("0 to 28"));
}

#[test]
fn minor_units_follow_the_currency() {
    assert_eq!(value(r#"minorUnits(decimal("12.5"), "EUR")"#), json!(1250));
    assert_eq!(value(r#"minorUnits(-12.5, "USD")"#), json!(-1250));
    assert_eq!(value(r#"string(fromMinorUnits(500, "JPY"))"#), json!("500"));
    assert_eq!(value(r#"string(fromMinorUnits(1234, "KWD"))"#), json!("1.234"));
    assert!(failure(r#"minorUnits("12.505", "EUR")"#).contains("`round` it first"));
    assert!(failure(r#"minorUnits("0.5", "JPY")"#).contains("0 decimal places"));
    assert!(failure(r#"minorUnits(1, lower("EUR"))"#).contains("ISO 4217"));
}

#[test]
fn decimals_become_numbers_only_if_nothing_is_lost() {
    assert_eq!(value(r#"decimal("19.90")"#), json!(19.9));
    assert_eq!(value(r#"decimal("20.00")"#), json!(20));
    assert_eq!(value(r#"{"rate": [decimal("0.07")]}"#), json!({"rate": [0.07]}));
    for source in [r#"decimal("0.1234567890123456789")"#, r#"decimal("9007199254740993")"#, "decimal(1) / 3"] {
        assert!(failure(source).contains("write `string(...)`"), "{source}");
        assert!(failure(&format!(r#"[{{"a": {source}}}]"#)).contains("write `string(...)`"), "{source}");
    }
}

#[test]
fn a_key_may_be_a_number_and_may_be_missing() {
    assert_eq!(value(r#"xref("customers", "1001").value()"#), json!("C-17"));
    assert_eq!(value(r#"lookup("locations", 7).name"#), json!("Berlin"));
    assert_eq!(value(r#"lookup("locations", 8).name.orValue("?")"#), json!("?"));
    assert_eq!(value(r#"xref("customers", null).hasValue()"#), json!(false));
    assert_eq!(value(r#"xref("customers", {}.?id).hasValue()"#), json!(false));
    assert!(failure(r#"xref("customers", 1.5)"#).contains("the key is of type double"));
}
