//! Nothing a mapping says and nothing a record holds takes unbounded time, memory or stack.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests end them, loudly")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crosstie_engine::mapping::limits::{
    MAX_FIELDS, MAX_ITERATED, MAX_NESTING, MAX_OPERATORS, MAX_OUTPUT_BYTES, MAX_SOURCE_BYTES, MAX_WANTED,
};
use crosstie_engine::mapping::{EvaluationError, Expression, Looked, Mapping, MappingSource, NoResolve, Resolve};
use serde_json::{Value, json};

fn run(source: &str, record: &Value) -> Result<Option<Value>, String> {
    let expression = Expression::compile("field", source).unwrap_or_else(|problems| panic!("{source}: {problems:?}"));
    expression.evaluate(record, &NoResolve).map_err(|error| error.to_string())
}

/// The problem of the only way in which `source` is refused.
fn refused(source: &str) -> String {
    Expression::compile("field", source).expect_err("should be refused")[0].to_string()
}

/// Runs on a thread with the smallest stack that a worker could have.
fn on_small_stack<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(256 * 1024).spawn_scoped(scope, run).unwrap();
        thread.join().unwrap()
    })
}

#[test]
fn sources_and_maps_beyond_the_limits_are_refused_with_the_limit() {
    let text = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
    assert!(Expression::compile("field", &text(MAX_SOURCE_BYTES)).is_ok());
    assert!(refused(&text(MAX_SOURCE_BYTES + 1)).contains("4097 bytes, and 4096 are the most"));

    let map =
        |fields: usize| (0..fields).map(|field| (format!("f{field}"), "1".to_owned())).collect::<BTreeMap<_, _>>();
    assert!(Mapping::compile(&MappingSource { when: None, map: &map(MAX_FIELDS) }).is_ok());
    let problems = Mapping::compile(&MappingSource { when: None, map: &map(MAX_FIELDS + 1) }).unwrap_err();
    assert!(problems[0].to_string().contains("257 fields, and 256 are the most"), "{problems:?}");
}

#[test]
fn the_deepest_sources_run_on_a_small_stack() {
    let nested = |open: &str, close: &str| format!("{}record.a{}", open.repeat(MAX_NESTING), close.repeat(MAX_NESTING));
    let chained = |link: &str, first: &str| format!("{first}{}", link.repeat(MAX_OPERATORS));
    let sources = [
        nested("(", ")"),
        nested("[", "]"),
        nested("{\"a\": ", "}"),
        nested("string(", ")"),
        nested("-(", ")"),
        nested("true ? 1 : (", ")"),
        chained(" + 1", "record.a"),
        chained("[0]", "record"),
        chained(".?a", "record"),
        chained(".map(x, x)", "[1]"),
        chained(".optMap(x, x)", "record.?a"),
        "true ? 1 : ".repeat(MAX_OPERATORS) + "1",
        "-".repeat(MAX_OPERATORS) + "record.a",
        "!".repeat(MAX_OPERATORS) + "true",
        ["record.a == 1"; 200].join(" || "),
        "record.a||".repeat(400) + "true",
        format!("{}1{}", "[1].map(x, (((((((((".repeat(3), ")))))))))".repeat(3) + ")))"),
    ];
    for source in sources {
        on_small_stack(|| match Expression::compile("field", &source) {
            Ok(expression) => drop(expression.evaluate(&json!({"a": 1}), &NoResolve)),
            Err(problems) => {
                assert!(problems[0].problem.contains("operators depend on each other"), "{source}: {problems:?}");
            }
        });
    }
}

#[test]
fn deeper_sources_are_refused_before_they_are_parsed() {
    for deep in [
        "(".repeat(4000),
        "[".repeat(4000),
        "{1:".repeat(1300),
        "!".repeat(4000),
        "-".repeat(4000),
        "1+".repeat(2000) + "1",
        "true?1:".repeat(500) + "1",
        "record".to_owned() + &".a".repeat(2000),
        "record".to_owned() + &"[0]".repeat(1300),
        "record".to_owned() + &".a()".repeat(1000),
        "[1].map(x,".repeat(400),
        "1 in ".repeat(800),
        "record.a||".repeat(409) + "true" + &"||1".repeat(200),
        "1 + , ".repeat(600),
        "1e5r\"\\\"".to_owned() + &"(".repeat(4000) + "\"",
    ] {
        let started = Instant::now();
        on_small_stack(|| refused(&deep));
        assert!(started.elapsed() < Duration::from_secs(2), "{}", &deep[..20]);
    }
}

#[test]
fn comprehensions_nest_three_deep() {
    assert!(Expression::compile("field", "record.a.map(a, a.map(b, b.map(c, c)))").is_ok());
    assert!(Expression::compile("field", "record.a.map(a, a).map(b, b).map(c, c).map(d, d)").is_ok());
    assert!(refused("record.a.map(a, a.map(b, b.map(c, c.map(d, d))))").contains("nest more than 3 deep"));
    assert!(
        refused("record.a.all(a, a.exists(b, b.filter(c, c.exists_one(d, d)) == []))")
            .contains("nest more than 3 deep")
    );
}

#[test]
fn long_lists_are_not_iterated() {
    let record = |length: usize| json!({"list": vec![1; length], "map": (0..length).map(|n| (n.to_string(), json!(n))).collect::<serde_json::Map<_, _>>()});
    assert!(run("record.list.all(x, x == 1) && record.map.all(k, k != \"\")", &record(MAX_ITERATED)).is_ok());
    for source in ["record.list.map(x, x)", "record.map.map(x, x)", "record.list.exists(x, x == 2)"] {
        let error = run(source, &record(MAX_ITERATED + 1)).unwrap_err();
        assert!(error.contains("a list or map of more than 10000 elements is iterated"), "{error}");
    }
    assert_eq!(run("size(record.list)", &record(MAX_ITERATED + 1)), Ok(Some(json!(MAX_ITERATED + 1))));
}

#[test]
fn whatever_multiplies_runs_out_of_its_budget() {
    let record = json!({
        "list": vec![1; 9_999],
        "texts": vec!["some text"; 5_000],
        "text": "x".repeat(100_000),
        "short": "x".repeat(5_000),
        "object": (0..5_000).map(|n| (n.to_string(), json!(n))).collect::<serde_json::Map<_, _>>(),
    });
    let doubled = |first: &str, link: &str, times: usize| format!("{first}{}", link.repeat(times));
    for source in [
        "record.list.map(a, record.list.map(b, record.list.map(c, 1)))".to_owned(),
        "record.list.all(a, record.list.all(b, record.list.all(c, true)))".to_owned(),
        "record.list.exists(a, record.list.exists(b, a + b == 0) || record.list.exists(b, a - b == 1))".to_owned(),
        "record.list.map(a, record.list.filter(b, b == a))".to_owned(),
        "record.list.map(a, record.texts)".to_owned() + ".map(x, x.map(y, y))",
        "record.list.all(a, !(a in record.list.filter(x, x == 2)) && record.list == record.list)".to_owned(),
        "record.list.all(a, !(2 in record.list))".to_owned(),
        "record.list.all(a, record.object == record.object)".to_owned(),
        "record.list.map(a, sha256(record.text))".to_owned(),
        "record.list.map(a, record.text.matches(\"x*y\"))".to_owned(),
        "record.list.map(a, upper(record.text))".to_owned(),
        "record.list.map(a, record.text + \"y\")".to_owned(),
        "record.list.map(a, size(record.text))".to_owned(),
        "record.list.map(a, sum(record.list))".to_owned(),
        "record.list.map(a, record.texts.join(\"\"))".to_owned(),
        "[record.text.lower()].map(t, record.list.map(a, md5(t)))".to_owned(),
        "[{\"t\": record.text.lower()}].map(m, record.list.map(a, size(m.t)))".to_owned(),
        "[record.list.map(x, x)].map(l, record.list.map(a, l))".to_owned(),
        "[record.list.map(x, x)].map(l, record.list.map(a, size(l + l)))".to_owned(),
        "record.list.map(a, split(record.short, \"x\"))".to_owned(),
        "record.?text.optMap(t, record.list.map(a, size(t + t)))".to_owned(),
        doubled("[\"0123456789\"]", ".map(x, x + x)", 40),
        doubled("[[1]]", ".map(x, x + x)", 40),
        doubled("[[1]]", ".map(x, [x, x])", 40),
        doubled("[1]", ".map(x, {\"a\": x, \"b\": x})", 40),
        doubled("[\"ab\"]", ".map(x, x.replace(\"a\", \"aa\").replace(\"b\", \"aab\"))", 20),
        doubled("[\"ab\"]", ".map(x, [x, x].join(x))", 20),
        doubled("[[1]]", ".map(x, x.filter(y, true) + x)", 20),
        doubled("[optional.of([1])]", ".map(x, optional.of([x, x]))", 20),
    ] {
        let started = Instant::now();
        let result = run(&source, &record);
        let took = started.elapsed();
        let error = result.map(|value| value.map(|value| value.to_string().len())).unwrap_err();
        let limited =
            ["steps", "values", "longer than", "elements is iterated"].iter().any(|limit| error.contains(limit));
        assert!(limited, "{error}: {source}");
        assert!(took < Duration::from_secs(20), "{source} took {took:?}");
        println!("{took:>10.1?}  {source:.90}  {error:.70}");
    }
}

#[test]
fn an_exhausted_budget_is_not_absorbed() {
    let record = json!({"list": vec![1; 9_999]});
    let endless = "record.list.map(a, record.list.map(b, record.list.map(c, 1)))";
    for source in [
        format!("{endless} == [] || true"),
        format!("!({endless} == [] && false)"),
        "[1, 2].exists(x, x == 2 || record.list.map(a, record.list.filter(b, a != b)) == [])".to_owned(),
        format!("{endless}[?0].?a.orValue(1)"),
    ] {
        let error = run(&source, &record).unwrap_err();
        assert!(error.contains("more than 2000000 steps"), "{source}: {error}");
    }
}

#[test]
fn all_fields_share_one_budget() {
    let fields = |count: usize| {
        (0..count)
            .map(|field| (format!("f{field}"), "size(record.list.map(x, string(x) + string(x)))".to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    let apply = |count: usize| {
        let map = fields(count);
        Mapping::compile(&MappingSource { when: None, map: &map })
            .unwrap()
            .apply(&json!({"list": vec![1; 5_000]}), &NoResolve)
    };
    assert!(apply(5).is_ok());
    let error = apply(200).unwrap_err().to_string();
    assert!(error.starts_with("map[f"), "{error}");
    assert!(error.contains("more than"), "{error}");
}

#[test]
fn bodies_have_a_largest_size() {
    let record = |length: usize| json!({"text": "x".repeat(length)});
    assert!(run("record.text", &record(MAX_OUTPUT_BYTES - 2)).is_ok());
    assert!(run("record.text", &record(MAX_OUTPUT_BYTES)).unwrap_err().contains("larger than 1048576 bytes"));
    let escaped = json!({"text": "\n".repeat(MAX_OUTPUT_BYTES / 2)});
    assert!(run("record.text", &escaped).unwrap_err().contains("larger than"), "escapes count");
    assert!(run("[record, record, record]", &record(MAX_OUTPUT_BYTES / 2)).unwrap_err().contains("larger than"));

    let map = BTreeMap::from(["a", "b"].map(|name| (name.to_owned(), "record.text".to_owned())));
    let mapping = Mapping::compile(&MappingSource { when: None, map: &map }).unwrap();
    assert!(mapping.apply(&record(MAX_OUTPUT_BYTES / 2 - 20), &NoResolve).is_ok());
    assert!(mapping.apply(&record(MAX_OUTPUT_BYTES / 2), &NoResolve).is_err());
}

#[test]
fn no_body_is_larger_than_it_was_counted() {
    let record = json!({"a": ["\u{1}\"\\\n", null, true, 1, -2.5e-300, u64::MAX], "ä": {"b\n": {}}, "c": []});
    let map: BTreeMap<String, String> =
        (0..MAX_FIELDS).map(|field| (format!("f{field}"), "record".to_owned())).collect();
    let mapping = Mapping::compile(&MappingSource { when: None, map: &map }).unwrap();
    let mut grown = record;
    // Grows the record until the body is refused; the last that was not must be within the limit.
    let mut largest = 0;
    loop {
        match mapping.apply(&grown, &NoResolve) {
            Ok(body) => largest = body.to_string().len(),
            Err(_) => break,
        }
        let more = grown["a"].as_array().unwrap().clone();
        grown["a"].as_array_mut().unwrap().extend(more);
    }
    assert!(largest > MAX_OUTPUT_BYTES / 4 && largest <= MAX_OUTPUT_BYTES, "{largest}");
}

#[test]
fn patterns_are_bounded() {
    for pattern in ["(\\\\w{1,500}){1,500}", "((a{100}){100}){100}", "x{10000000}"] {
        assert!(
            refused(&format!("matches(record.a, \"{pattern}\")")).contains("compiles to more than 262144 bytes"),
            "{pattern}"
        );
    }
    assert!(
        refused(&format!("matches(record.a, \"{}{}\")", "(".repeat(100), ")".repeat(100)))
            .contains("no regular expression")
    );
    let started = Instant::now();
    let record = json!({"a": "a".repeat(100_000)});
    assert_eq!(run("record.a.matches(\"(a*)*(a|aa)*b\")", &record), Ok(Some(json!(false))));
    assert!(started.elapsed() < Duration::from_secs(5));
}

struct Unknown;

impl Resolve for Unknown {
    fn xref(&self, _flow: &str, _key: &str) -> Option<Value> {
        None
    }

    fn lookup(&self, _stream: &str, _key: &str) -> Looked {
        Looked::Unknown
    }
}

#[test]
fn one_evaluation_asks_for_a_bounded_number_of_look_ups() {
    let expression = Expression::compile("field", "record.map(x, lookup(\"products\", x))").unwrap();
    let record = Value::from((0..1_000).collect::<Vec<i64>>());
    match expression.evaluate(&record, &Unknown) {
        Err(EvaluationError::NeedsLookups { wanted }) => assert_eq!(wanted.len(), MAX_WANTED),
        other => panic!("{other:?}"),
    }
}

struct Huge;

impl Resolve for Huge {
    fn xref(&self, _flow: &str, _key: &str) -> Option<Value> {
        Some(json!(vec![0; 1_000]))
    }

    fn lookup(&self, _stream: &str, _key: &str) -> Looked {
        Looked::Found(json!({"text": "x".repeat(100_000)}))
    }
}

#[test]
fn answers_from_outside_are_counted_too() {
    for source in ["record.map(x, xref(\"flow\", x))", "record.map(x, lookup(\"stream\", x).text)"] {
        let expression = Expression::compile("field", source).unwrap();
        let error = expression.evaluate(&Value::from(vec![1; 9_999]), &Huge).unwrap_err();
        assert!(error.to_string().contains("more than 1000000 values"), "{source}: {error}");
    }
}
