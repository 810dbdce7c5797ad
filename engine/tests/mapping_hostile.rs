//! Whatever stands in a spec or a record, compiling and evaluating end with an answer or an error.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests end them, loudly")]

use std::collections::BTreeMap;

use crosstie_engine::mapping::limits::{MAX_OUTPUT_BYTES, MAX_SOURCE_BYTES};
use crosstie_engine::mapping::{EvaluationError, Expression, Mapping, MappingSource, NoResolve};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Compiles and evaluates on a small stack, and checks what must hold of every answer. Panics inside the CEL library are
/// caught by the engine and said; none is expected.
fn survive(source: &str, record: &Value) {
    std::thread::scope(|scope| {
        let run = || {
            let expression = match Expression::compile("field", source) {
                Ok(expression) => expression,
                Err(problems) => {
                    let inside = problems.iter().find(|problem| problem.problem.contains("inside the CEL library"));
                    return assert_eq!(inside, None, "{source}");
                }
            };
            let first = expression.evaluate(record, &NoResolve);
            assert_eq!(first, expression.evaluate(record, &NoResolve), "evaluation is deterministic: {source}");
            match first {
                Ok(value) => assert!(value.map_or(0, |value| value.to_string().len()) <= MAX_OUTPUT_BYTES),
                Err(EvaluationError::Failed { problem, remedy, .. }) => {
                    assert!(!problem.contains("inside the CEL library"), "{source}: {problem}");
                    assert!(!remedy.is_empty());
                }
                Err(EvaluationError::NeedsLookups { .. } | EvaluationError::AwaitsReferences { .. }) => {
                    panic!("nothing is unknown: {source}")
                }
            }
        };
        std::thread::Builder::new().stack_size(256 * 1024).spawn_scoped(scope, run).unwrap().join().unwrap();
    });
}

/// Tokens that expressions are made of, weighted towards what nests, repeats and fails; separated by white space.
const TOKENS: &str = r#"
( ) [ ] { } , . : ? + - * / % ! && || == != < <= > >= in // record x y @result @iterate true null
0 1 -1 9223372036854775807 1.5 1e308 0x1f 2u "" "a" 'b' b'\xff' r"\" ''' " `a` .?a [?0] .a [0]
.map(x, .filter(x, .all(x, .exists(x, .exists_one(x, .optMap(x, .optFlatMap(x, has( has(record.a)
size( string( int( double( bytes( timestamp( duration( type( dyn( optional.of( optional.none() .orValue( .value()
.hasValue() .or( .contains( .matches("a*") matches( decimal( round( sum( minorUnits( "EUR" fromMinorUnits(
parseTime( formatTime( "%Y" "UTC" fromEpochMillis( split( join( replace( truncate( base64( md5( uuid5("dns",
xref("f", lookup("s", .getHours("UTC") google.protobuf.Timestamp Message{a: é for
"#;

/// Operands of all kinds, separated by `~`.
const OPERANDS: &str = r#"record ~ record.a ~ record.list ~ record.map ~ record.text ~ record.null ~ record.?missing
~ record.?list ~ x ~ 1 ~ -7 ~ 2.5 ~ 3u ~ "" ~ "text" ~ "2026-07-01" ~ b"ab" ~ true ~ null ~ [] ~ {} ~ decimal("1.50")
~ timestamp(0) ~ duration("1h") ~ optional.none() ~ int ~ 9223372036854775807 ~ (-9223372036854775807 - 1) ~ 1e308
~ double("NaN") ~ "EUR""#;

/// Operators and functions of one operand `#`, separated by `~`.
const UNARY: &str = r#"-(#) ~ !(#) ~ size(#) ~ string(#) ~ int(#) ~ uint(#) ~ double(#) ~ bool(#) ~ bytes(#) ~ type(#)
~ dyn(#) ~ timestamp(#) ~ duration(#) ~ decimal(#) ~ sum(#) ~ lower(#) ~ upper(#) ~ trim(#) ~ parseTime(#)
~ fromEpochMillis(#) ~ base64(#) ~ md5(#) ~ sha256(#) ~ optional.of(#) ~ optional.ofNonZeroValue(#) ~ (#).value()
~ (#).hasValue() ~ (#).a ~ (#).?a ~ has((#).a) ~ (#).getFullYear() ~ (#).getMilliseconds()
~ (#).matches("^[a-z]*$") ~ xref("f", #) ~ lookup("s", #) ~ [#, #] ~ {"a": #} ~ {?"a": #} ~ [?#] ~ (#).map(x, x)
~ (#).filter(x, x == x) ~ (#).map(x, (#)) ~ (#).all(x, x != #) ~ (#).exists(x, x == #) ~ (#).exists_one(x, x == #)
~ (#).optMap(x, x) ~ (#).optFlatMap(x, optional.of(x))"#;

/// Operators and functions of two operands `#` and `@`, separated by `~`.
const BINARY: &str = r#"(#) + (@) ~ (#) - (@) ~ (#) * (@) ~ (#) / (@) ~ (#) % (@) ~ (#) == (@) ~ (#) != (@) ~ (#) < (@)
~ (#) <= (@) ~ (#) > (@) ~ (#) >= (@) ~ (#) in (@) ~ (#) && (@) ~ (#) || (@) ~ (#)[@] ~ (#)[?@] ~ true ? (#) : (@)
~ (#) ? (@) : (#) ~ {#: @} ~ (#).orValue(@) ~ (#).or(@) ~ (#).contains(@) ~ (#).startsWith(@) ~ (#).endsWith(@)
~ round(#, @) ~ truncate(#, @) ~ split(#, @) ~ join(#, @) ~ minorUnits(#, @) ~ fromMinorUnits(#, @) ~ uuid5(#, @)
~ replace(#, @, @) ~ formatTime(#, @, "UTC") ~ formatTime(#, "%Y", @) ~ (#).getHours(@) ~ (#).map(x, x + @)
~ (#).map(x, [x, @])"#;

fn token() -> impl Strategy<Value = String> {
    let tokens: Vec<&str> = TOKENS.split_whitespace().chain([" ", "\n", "\0"]).collect();
    prop_oneof![
        9 => prop::sample::select(tokens).prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|int| int.to_string()),
        1 => any::<f64>().prop_map(|double| double.to_string()),
        1 => "[ -~]{0,8}".prop_map(|text| format!("{text:?}")),
    ]
}

/// Expressions that parse, of all operators and functions on all kinds of operands.
fn expression() -> impl Strategy<Value = String> {
    let one_of = |list: &'static str| prop::sample::select(list.split('~').map(str::trim).collect::<Vec<_>>());
    let leaf = one_of(OPERANDS).prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            (one_of(UNARY), inner.clone()).prop_map(|(shape, operand)| shape.replace('#', &operand)),
            // No operand holds an `@`, so that the second can be put in first.
            (one_of(BINARY), inner.clone(), inner)
                .prop_map(|(shape, first, second)| shape.replace('@', &second).replace('#', &first)),
        ]
    })
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec(("[a-e]{1,2}", inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn record() -> Value {
    json!({"a": {"a": [1, 2, {"a": 1}]}, "list": [1, 2.5, "x", null, [1], {"a": 2}], "map": {"a": 1, "b": [2]}, "text": "some text", "null": null})
}

#[test]
fn what_the_parser_passes_over_hides_no_brackets() {
    for hidden in ["=//", "\0//", "é//", "='", "a &\"", "|//"] {
        survive(&format!("{hidden}{}1{}", "[".repeat(30), "]".repeat(30)), &record());
        survive(&format!("{hidden}{}", "{".repeat(30)), &record());
    }
    for hidden in ['\0', '\u{10ffff}'] {
        for (open, close) in [("[", "]"), ("f(", ")"), ("{1:", "}")] {
            survive(&format!("{open}r\"\"\"{hidden}\",{}\"\"\"{close}", open.repeat(90)), &record());
            survive(&format!("{open}br'''{hidden}'+{}1{}'''{close}", open.repeat(90), close.repeat(90)), &record());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_survived(source in ".{0,200}") {
        survive(&source, &record());
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        survive(&String::from_utf8_lossy(&bytes), &record());
    }

    #[test]
    fn any_tokens_are_survived(tokens in prop::collection::vec(token(), 0..60)) {
        survive(&tokens.concat(), &record());
    }

    #[test]
    fn repeated_tokens_are_survived(tokens in prop::collection::vec(token(), 1..4), end in token()) {
        let part = tokens.concat();
        let times = MAX_SOURCE_BYTES / part.len().max(1);
        for times in [times, 31, 15] {
            survive(&(part.repeat(times) + &end), &record());
            survive(&("record".to_owned() + &part.repeat(times)), &record());
        }
    }

    #[test]
    fn any_expression_is_survived(source in expression()) {
        survive(&source, &record());
        survive(&format!("record.list.map(x, {source})"), &record());
    }

    #[test]
    fn any_record_is_survived(source in expression(), record in json_value()) {
        survive(&source, &record);
    }

    #[test]
    fn any_record_passes_through_unchanged(record in json_value()) {
        let map = BTreeMap::from([("all".to_owned(), "record".to_owned())]);
        let mapping = Mapping::compile(&MappingSource { when: None, map: &map }).unwrap();
        prop_assert_eq!(&mapping.apply(&record, &NoResolve).unwrap()["all"], &record);
    }

    #[test]
    fn any_record_equals_itself(record in json_value()) {
        for source in ["record == record", "[record] == [record]", "record in [record]", "[record].map(x, x) == [record]", "!(record != record)"] {
            let expression = Expression::compile("field", source).unwrap();
            prop_assert_eq!(expression.evaluate(&record, &NoResolve).unwrap(), Some(json!(true)), "{}", source);
        }
    }

    #[test]
    fn decimals_survive_the_way_to_text_and_back(int in any::<i64>(), places in 0..18_u32) {
        let expression = Expression::compile("field", "string(decimal(record.text))").unwrap();
        let text = rust_decimal::Decimal::new(int, places).to_string();
        prop_assert_eq!(expression.evaluate(&json!({"text": text}), &NoResolve).unwrap(), Some(json!(text)));
    }

    #[test]
    fn any_destination_path_is_survived(paths in prop::collection::btree_set(r"[a-c.\\]{0,6}", 0..6)) {
        let map: BTreeMap<String, String> = paths.into_iter().map(|path| (path, "record.id".to_owned())).collect();
        if let Ok(mapping) = Mapping::compile(&MappingSource { when: None, map: &map }) {
            let body = mapping.apply(&json!({"id": 1}), &NoResolve).unwrap();
            prop_assert_eq!(leaves(&body), map.len(), "every field is set");
        }
    }
}

fn leaves(value: &Value) -> usize {
    value.as_object().map_or(1, |object| object.values().map(leaves).sum())
}
