//! What the fixtures' orders come to was worked out by hand, with the arithmetic beside each, and stands in `total_line_items_price`. Here the lines
//! are added up that the mapping of `examples/orders` makes: what is expected of single lines and what is expected of their sum check each other.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;

use crosstie_engine::{
    fixture::{self, Expect, Fixture},
    mapping::{Mapping, MappingSource, NoResolve},
};
use serde_json::Value;

fn read(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/orders");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// A decimal number in thousandths; it has no more digits.
fn thousandths(text: &str) -> i64 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    assert!(part.len() <= 3, "{text} has more than three digits behind the point");
    whole.parse::<i64>().unwrap() * 1000 + format!("{part:0<3}").parse::<i64>().unwrap()
}

/// What the lines of a sales order come to.
fn amount(body: &Value) -> i64 {
    let lines = body["item"]["items"].as_array().unwrap();
    lines.iter().map(|line| line["quantity"].as_i64().unwrap() * thousandths(&line["rate"].to_string())).sum()
}

#[test]
fn every_unusual_order_comes_to_what_was_worked_out_by_hand() {
    let integration: Value = serde_saphyr::from_str(&read("integration.yaml")).unwrap();
    let flow = &integration["spec"]["flows"][0];
    let map = flow["map"].as_object().unwrap().iter();
    let map = map.map(|(field, expression)| (field.clone(), expression.as_str().unwrap().to_owned())).collect();
    let mapping = Mapping::compile(&MappingSource { when: flow["when"].as_str(), map: &map }).unwrap();
    let files = ["fixtures/unusual-orders.yaml", "fixtures/500-lines.yaml"];
    let fixtures: Vec<Fixture> = files.into_iter().flat_map(|name| fixture::read(&read(name)).unwrap()).collect();
    let mut compared = 0;
    for Fixture { name, record, expect, .. } in &fixtures {
        match (expect, record["total_line_items_price"].as_str()) {
            (Expect::Body(_), Some(worked_out)) => {
                let body = mapping.apply(record, &NoResolve).unwrap();
                assert_eq!(amount(&body), thousandths(worked_out), "{name}");
                compared += 1;
            }
            (Expect::Body(_), None) => panic!("{name}: nobody worked out what it comes to"),
            (Expect::LeftOut | Expect::Error(_), worked_out) => assert_eq!(worked_out, None, "{name} is not written"),
        }
    }
    assert_eq!((compared, fixtures.len()), (14, 16));
}

#[test]
fn numbers_are_read_as_they_are_written() {
    let read = ["0.37", "11.275", "93100.74", "9", "12.5", "0.00"].map(thousandths);
    assert_eq!(read, [370, 11_275, 93_100_740, 9_000, 12_500, 0]);
}
