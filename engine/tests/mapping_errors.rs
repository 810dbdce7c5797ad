//! What is said when something is wrong: before a record is seen, and when one does not fit.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests end them, loudly")]

use std::collections::BTreeMap;

use crosstie_engine::mapping::{EvaluationError, Expression, Mapping, MappingSource, NoResolve, Position};
use serde_json::{Value, json};

fn record() -> Value {
    json!({
        "id": 7,
        "price": 10,
        "weight": 2.5,
        "whole": 3.0,
        "big": 18_446_744_073_709_551_615_u64,
        "beyond": 9_007_199_254_740_993_i64,
        "name": "Åsa",
        "flag": true,
        "nothing": null,
        "tags": ["a", "b"],
        "numbers": [1, 2.5, 3],
        "matrix": [[1, 2], [3]],
        "address": {"zip": "117 33", "geo": {"lat": 59.3}},
        "items": [{"sku": "x", "n": 1}, {"sku": "y", "n": 2, "parts": [{"id": 1}, {"id": 2}]}],
        "first-name": "secret-value"
    })
}

fn evaluate(source: &str) -> Result<Option<Value>, EvaluationError> {
    let expression = Expression::compile("field", source).unwrap_or_else(|problems| panic!("{source}: {problems:?}"));
    expression.evaluate(&record(), &NoResolve)
}

#[track_caller]
fn fails(source: &str, expected: &str) {
    match evaluate(source) {
        Err(error @ EvaluationError::Failed { .. }) => {
            assert_eq!(error.to_string(), format!("field: {expected}"), "{source}");
        }
        other => panic!("{source}: {other:?}"),
    }
}

#[track_caller]
fn refused(source: &str, expected: &[&str]) {
    let problems = Expression::compile("field", source).expect_err(source);
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(texts, expected, "{source}");
}

#[test]
fn a_missing_field_is_named_with_a_way_to_leave_it_out() {
    fails("record.customer.email", "record has no field `customer`; write `record.?customer.?email` to leave it out");
    fails("record.address.city", "`record.address` has no field `city`; write `record.address.?city` to leave it out");
    fails(
        "record.address.geo.lon",
        "`record.address.geo` has no field `lon`; write `record.address.geo.?lon` to leave it out",
    );
    fails(
        "record.nothing.a.b",
        "`record.nothing` is null and has no field `a`; write `record.nothing.?a.?b` to leave it out",
    );
    fails(
        "record.name.first",
        "`record.name` is string and has no field `first`; write `record.name.?first` to leave it out",
    );
    fails("record.items.map(i, i.parts)", "`i` has no field `parts`; write `i.?parts` to leave it out");
    fails("record.items[0].nope", "a value has no field `nope`; write `.?nope` in place of `.nope` to leave it out");
    fails("record[record.name]", "a map has no entry with the key that is read; write `map[?key]` to leave it out");
    fails(
        "record.tags[2]",
        "a list has no element at the position that is read; write `list[?0]` to leave it out, or test `size(list)` first",
    );
}

#[test]
fn failures_name_types_and_remedies() {
    fails("lower(record.id)", "`lower` does not take (int); call it as `lower(this string) string`");
    fails("record.nothing.lower()", "`lower` does not take (null); call it as `lower(this string) string`");
    fails(
        "lower(record.?name)",
        "`lower` does not take (optional); take the value out of the optional with `.orValue(...)`, or map over it with `.optMap(x, ...)`",
    );
    fails(
        "record.?name == \"Åsa\"",
        "`==` does not take (optional, string); take the value out of the optional with `.orValue(...)`, or map over it with `.optMap(x, ...)`",
    );
    fails(
        "record.nothing.map(x, x)",
        "a value of type null cannot be iterated; test for null first: `list == null ? [] : list.map(x, ...)`",
    );
    fails("record.?items.map(x, x)", "a value of type optional cannot be iterated; write `.orValue([])` behind it");
    fails("record.name.map(x, x)", "a value of type string cannot be iterated; iterate a list or a map");
    fails(
        "record.name > 1",
        "`>` does not take (string, int); convert the operands, for example with `string(...)` or `decimal(...)`, or test for null first",
    );
    fails(
        "record.name ? 1 : 2",
        "a condition is string, not true or false; compare it with something, or take a value out of an optional with `.orValue(false)`",
    );
    fails(
        "!record.name",
        "`!` does not take (string); convert the operands, for example with `string(...)` or `decimal(...)`, or test for null first",
    );
    fails("1 / (record.id - 7)", "division by zero; test the divisor with `== 0` first");
    fails(
        "9223372036854775807 + record.id",
        "`add` of integers or times leaves their range; calculate with `decimal(...)`",
    );
    fails(
        "record.?missing.value()",
        "`value()` is called on an optional that is absent; use `.orValue(...)`, or test `.hasValue()`",
    );
    fails("split(record.name, \"\")", "`split`: the separator is empty; give at least one character");
}

#[test]
fn failures_never_tell_a_value_of_the_record() {
    for source in [
        "int(record.`first-name`)",
        "double(record.`first-name`)",
        "timestamp(record.`first-name`)",
        "duration(record.`first-name`)",
        "parseTime(record.`first-name`)",
        "decimal(record.`first-name`)",
        "minorUnits(1, record.`first-name`)",
        "uuid5(record.`first-name`, \"a\")",
        "formatTime(fromEpochMillis(0), record.`first-name` + \"%!\", \"UTC\")",
        "formatTime(fromEpochMillis(0), \"%Y\", record.`first-name`)",
        "timestamp(0).getHours(record.`first-name`)",
        "record.`first-name` - 1",
        "record.`first-name` < 1",
        "-record.`first-name`",
        "record[record.`first-name`]",
        "record.tags[record.`first-name`]",
        "{\"a\": 1}[record.`first-name`]",
        "{record.`first-name`: 1, record.`first-name`: 2}",
        "record.`first-name`.nope",
        "record.`first-name`.map(x, x)",
        "record.`first-name` && true",
        "bool(record.`first-name`)",
        "xref(\"flow\", [record.`first-name`])",
        "sum([record.`first-name`])",
    ] {
        let error = evaluate(source).expect_err(source);
        assert!(!format!("{error} {error:?}").contains("secret-value"), "{source}: {error:?}");
    }
}

#[test]
fn conditions_and_texts_must_be_what_they_are_used_as() {
    let condition = |source| Expression::compile("when", source).unwrap().evaluate_condition(&record(), &NoResolve);
    assert!(condition("record.flag").unwrap());
    assert!(!condition("record.id > 7").unwrap());
    assert_eq!(
        condition("record.name").unwrap_err().to_string(),
        "when: yields a text, not true or false; compare it with something, or write `.orValue(false)` behind it"
    );
    assert!(condition("record.?missing").unwrap_err().to_string().contains("an absent optional"));

    let text = |source| Expression::compile("dependsOn.key", source).unwrap().evaluate_text(&record(), &NoResolve);
    assert_eq!(text("string(record.id)").unwrap().as_deref(), Some("7"));
    assert_eq!(text("record.id").unwrap().as_deref(), Some("7"));
    assert_eq!(text("record.flag").unwrap().as_deref(), Some("true"));
    assert_eq!(text("record.?missing").unwrap(), None);
    assert_eq!(text("record.nothing").unwrap(), None);
    assert!(text("record.weight").unwrap_err().to_string().contains("yields a number, not a text"));
    assert!(text("record.tags").unwrap_err().to_string().contains("yields a list"));
}

#[test]
fn problems_name_place_and_remedy() {
    refused(
        "record.id +",
        &["field (line 1, column 12): the expression cannot be read: mismatched input '<EOF>'; correct the CEL syntax"],
    );
    refused(
        "'é' + 'é'\n + 'é' )",
        &["field (line 2, column 8): `)` closes nothing; remove it, or open a bracket before it"],
    );
    refused(
        "'é' + 'é'\n + 'é' 1",
        &["field (line 2, column 8): the expression cannot be read: extraneous input '1'; correct the CEL syntax"],
    );
    refused("lowr(record.name)", &["field (line 1, column 5): there is no function `lowr`; did you mean `lower`?"]);
    refused(
        "name.lower()",
        &[
            "field (line 1, column 1): there is no variable `name`; write `record.name` for a field of the record, or `\"…\"` for a text",
        ],
    );
    refused(
        "lower(\"é\",\n  x) + y",
        &[
            "field (line 1, column 6): `lower` is called with arguments it does not take; call it as `lower(this string) string`",
            "field (line 2, column 3): there is no variable `x`; write `record.x` for a field of the record, or `\"…\"` for a text",
            "field (line 2, column 8): there is no variable `y`; write `record.y` for a field of the record, or `\"…\"` for a text",
        ],
    );
    refused(
        "record.id.contains()",
        &[
            "field (line 1, column 19): `contains` is called with arguments it does not take; call it as `x.contains(…)`",
        ],
    );
    refused(
        "record.items.map(i)",
        &["field (line 1, column 17): `map` is called in a way it does not know; write `list.map(x, expression)`"],
    );
    refused(
        "record.items.map(1, 2)",
        &[
            "field (line 1, column 18): the expression cannot be read: argument must be a simple name; correct the CEL syntax",
        ],
    );
    refused("Order{id: 1}", &["field (line 1, column 6): messages cannot be made; write a map: `{\"name\": value}`"]);
    refused(
        "optional.some(1)",
        &[
            "field (line 1, column 14): there is no function `optional.some` with 1 arguments; use `optional.of(x)`, `optional.ofNonZeroValue(x)` or `optional.none()`",
        ],
    );
    refused("  ", &["field: the expression is empty; write an expression, for example `record.id`"]);
    refused(
        ".record.id",
        &[
            "field (line 1, column 2): there is no variable `.record`; write `record.record` for a field of the record, or `\"…\"` for a text",
        ],
    );
    refused(
        ".lookup(\"a\", \"b\")",
        &["field (line 1, column 8): there is no function `.lookup`; did you mean `lookup`?"],
    );
}

#[test]
fn literals_are_checked_before_any_record() {
    for (source, expected) in [
        ("record.name.matches(\"(\")", "the pattern of `matches` is no regular expression: unclosed group"),
        ("record.name.matches(record.name)", "the pattern of `matches` is no literal"),
        ("lookup(record.name, \"a\")", "the stream of `lookup` is no literal"),
        ("xref(\"\", \"a\")", "the flow of `xref` is no literal"),
        (
            "formatTime(parseTime(record.name), \"%!\", \"UTC\")",
            "`formatTime`: the format has a directive that does not exist",
        ),
        (
            "parseTime(record.name).formatTime(\"%Y\", \"Mars/Olympus\")",
            "`formatTime`: the time zone is no name of the IANA database",
        ),
        ("minorUnits(record.price, \"EURO\")", "`minorUnits`: the currency is no ISO 4217 code with minor units"),
        ("uuid5(\"web\", record.name)", "`uuid5`: the namespace is none of"),
    ] {
        let problems = Expression::compile("field", source).expect_err(source);
        assert!(problems[0].problem.starts_with(expected), "{source}: {}", problems[0]);
        assert!(problems[0].position.is_some(), "{source}");
    }
}

#[test]
fn every_problem_of_a_mapping_is_told_at_once() {
    let fields = [
        ("a", "record.a"),
        ("a.b", "record.b"),
        ("c", "nope()"),
        ("c..d", "record.d"),
        ("e", "1 +"),
        (r"f\x", "record.f"),
    ];
    let map: BTreeMap<String, String> =
        fields.iter().map(|(path, source)| ((*path).into(), (*source).into())).collect();
    let problems = Mapping::compile(&MappingSource { when: Some("x"), map: &map }).unwrap_err();
    let fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["when", "map[a.b]", "map[c]", "map[c..d]", "map[e]", r"map[f\x]"]);
    assert!(problems[1].to_string().contains("conflicts with `a`"));
    assert_eq!(problems[2].position, Some(Position { line: 1, column: 5 }));
}
