use crosstie_engine::mapping::{Expression, NoResolve};
use serde_json::json;
#[test]
fn one() {
    let source = std::fs::read_to_string(std::env::var("F").unwrap()).unwrap();
    let record = json!({"a": {"a": [1, 2, {"a": 1}]}, "list": [1, 2.5, "x", null, [1], {"a": 2}], "map": {"a": 1, "b": [2]}, "text": "some text", "null": null});
    let k: usize = std::env::var("S").unwrap().parse().unwrap();
    std::thread::Builder::new().stack_size(k * 1024).spawn(move || {
        eprintln!("compiling");
        let e = Expression::compile("field", &source);
        eprintln!("compiled {}", e.is_ok());
        if let Ok(e) = e { for _ in 0..2 { eprintln!("{:?}", e.evaluate(&record, &NoResolve)); } }
    }).unwrap().join().unwrap();
}
