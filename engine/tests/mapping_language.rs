//! The language: what CEL yields on records' JSON and how values become JSON.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests end them, loudly")]

use std::collections::BTreeMap;

use crosstie_engine::mapping::{EvaluationError, Expression, Mapping, MappingSource, NoResolve};
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
fn yields(source: &str, expected: Value) {
    assert_eq!(evaluate(source).unwrap_or_else(|error| panic!("{source}: {error}")), Some(expected), "{source}");
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

#[test]
fn json_values_pass_through_as_they_are() {
    for (source, value) in [
        ("record.id", json!(7)),
        ("record.weight", json!(2.5)),
        ("record.whole", json!(3.0)),
        ("record.big", json!(18_446_744_073_709_551_615_u64)),
        ("record.beyond", json!(9_007_199_254_740_993_i64)),
        ("record.name", json!("Åsa")),
        ("record.nothing", json!(null)),
        ("record.tags", json!(["a", "b"])),
        ("record.address", json!({"geo": {"lat": 59.3}, "zip": "117 33"})),
        ("record[\"first-name\"]", json!("secret-value")),
        ("record.`first-name`", json!("secret-value")),
        ("record.matrix[1][0]", json!(3)),
        ("record", record()),
    ] {
        yields(source, value);
    }
}

#[test]
fn json_numbers_are_ints_and_doubles_that_compare_as_numbers() {
    for source in [
        "record.price == 10 && record.price == 10.0 && record.whole == 3",
        "record.weight > 2 && record.weight < 3u",
        "type(record.price) == int && type(record.weight) == double && type(record.big) == uint",
        "record.numbers == [1.0, 2.5, 3u]",
        "[1.0, 2.5, 3u] == record.numbers",
        "[[1, 2], [3]] == record.matrix && record.matrix == [[1, 2], [3]]",
        "{\"lat\": 59.3} == record.address.geo && record.address.geo == {\"lat\": 59.3}",
        "record.address.geo != {\"lat\": 1} && record.tags != [\"a\"]",
        "3 in record.numbers && !(4 in record.numbers) && [3] in record.matrix",
        "\"zip\" in record.address && !(\"city\" in record.address)",
        "record.nothing == null && record.id != null",
    ] {
        yields(source, json!(true));
    }
}

#[test]
fn arithmetic_mixes_ints_and_doubles_as_json_does() {
    yields("record.price * record.weight", json!(25.0));
    yields("record.weight + 1", json!(3.5));
    yields("record.price / 4", json!(2));
    yields("record.price % 3 - -1", json!(2));
    yields("\"a\" + record.name", json!("aÅsa"));
    yields("record.tags + [\"c\"] + record.matrix[1]", json!(["a", "b", "c", 3]));
    fails(
        "record.beyond + 0.5",
        "`+` does not take (int, double); convert the operands, for example with `string(...)` or `decimal(...)`, or test for null first",
    );
}

#[test]
fn macros_work_on_lists_and_maps_of_the_record() {
    yields("record.items.map(i, i.sku)", json!(["x", "y"]));
    yields("record.items.map(i, i.n > 1, i.sku)", json!(["y"]));
    yields("record.items.filter(i, has(i.parts)).map(i, i.parts.map(p, p.id))", json!([[1, 2]]));
    yields("record.items.all(i, i.n > 0) && record.items.exists(i, i.n == 2)", json!(true));
    yields("record.items.exists_one(i, i.sku == \"x\")", json!(true));
    yields("record.address.map(k, k)", json!(["geo", "zip"]));
    yields("record.address.exists(k, k == \"zip\" && record.address[k] == \"117 33\")", json!(true));
    yields("{\"b\": 1, \"a\": 2}.map(k, k)", json!(["a", "b"]));
    yields("has(record.address.zip) && !has(record.address.city) && !has(record.missing)", json!(true));
    yields("record.matrix.map(row, row.map(x, x * 10))", json!([[10, 20], [30]]));
    yields("size(record.items) + record.tags.size() + size(record.address) + size(record.name)", json!(2 + 2 + 2 + 3));
    yields("record.tags.map(t, t + t).filter(t, t != \"aa\")", json!(["bb"]));
    yields("record.tags.map(record, record)", json!(["a", "b"]));
}

#[test]
fn absent_optionals_leave_out_and_present_ones_are_unwrapped() {
    assert_eq!(evaluate("record.?missing").unwrap(), None);
    assert_eq!(evaluate("record.?nothing.?deeper").unwrap(), None);
    assert_eq!(evaluate("optional.none()").unwrap(), None);
    yields("record.?name", json!("Åsa"));
    yields("record.?nothing", json!(null));
    yields("optional.of(optional.of(1))", json!(1));
    yields("record.?address.zip", json!("117 33"));
    yields("record.?missing.orValue(\"none\")", json!("none"));
    yields("record.?missing.or(record.?name).value()", json!("Åsa"));
    yields("record.?items[?1].?parts[?0].?id", json!(1));
    yields("record.?items.optMap(i, size(i))", json!(2));
    yields("record.?tags.optMap(t, t.map(x, upper(x)))", json!(["A", "B"]));
    yields("[1, record.?missing, record.?id]", json!([1, 7]));
    yields(
        "{\"a\": record.?missing, \"b\": {\"c\": record.?id, \"d\": [optional.none()]}}",
        json!({"b": {"c": 7, "d": []}}),
    );
    yields("[?record.?missing, ?record.?id]", json!([7]));
    yields("{?\"a\": record.?missing, ?\"b\": record.?id}", json!({"b": 7}));
    yields("optional.ofNonZeroValue(\"\").orValue(\"empty\")", json!("empty"));
    yields("[optional.ofNonZeroValue(record.tags), optional.ofNonZeroValue([])]", json!([["a", "b"]]));
}

#[test]
fn values_that_json_lacks_have_a_form() {
    yields("timestamp(\"2026-07-01T10:00:00.500+02:00\")", json!("2026-07-01T08:00:00.5Z"));
    yields("timestamp(\"2026-07-01T10:00:00Z\") + duration(\"90m\")", json!("2026-07-01T11:30:00Z"));
    yields("[duration(\"90m\"), duration(\"-1.5s\"), duration(\"0s\")]", json!(["5400s", "-1.5s", "0s"]));
    yields("b\"\\xff\\x00\"", json!("/wA="));
    fails(
        "1.0 / 0.0",
        "the number is infinite or not a number, which JSON cannot hold; test for it, for example that a divisor is not 0",
    );
    fails(
        "[double(\"NaN\")]",
        "the number is infinite or not a number, which JSON cannot hold; test for it, for example that a divisor is not 0",
    );
    fails("{1: 2}", "a map has a key of type int; write keys as texts: `{string(key): value}`");
    fails("type(1)", "a value of type type is no JSON; map a text, number, boolean, list, map or null");
}

#[test]
fn an_empty_mapping_selects_all_and_makes_an_empty_body() {
    let mapping = Mapping::compile(&MappingSource { when: None, map: &BTreeMap::new() }).unwrap();
    assert!(mapping.selects(&record(), &NoResolve).unwrap());
    assert_eq!(mapping.apply(&record(), &NoResolve).unwrap(), json!({}));
}

#[test]
fn a_mapping_is_shared_by_threads() {
    let map = BTreeMap::from([("id".to_owned(), "string(record.id)".to_owned())]);
    let mapping = Mapping::compile(&MappingSource { when: None, map: &map }).unwrap();
    std::thread::scope(|scope| {
        for id in 0..4 {
            let mapping = &mapping;
            scope.spawn(move || {
                assert_eq!(mapping.apply(&json!({"id": id}), &NoResolve).unwrap()["id"], id.to_string());
            });
        }
    });
}

#[test]
fn a_record_may_be_any_json() {
    for (record, source, expected) in [
        (json!([1, 2]), "record[1]", json!(2)),
        (json!("a"), "record + \"b\"", json!("ab")),
        (json!(null), "record == null", json!(true)),
    ] {
        let expression = Expression::compile("field", source).unwrap();
        assert_eq!(expression.evaluate(&record, &NoResolve).unwrap(), Some(expected));
    }
}
