//! A shop's order becomes an ERP's sales order: the design's example map, and what operations teams add to it.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests end them, loudly")]

use std::collections::{BTreeMap, BTreeSet};

use crosstie_engine::mapping::{
    EvaluationError, Looked, Lookup, Mapping, MappingSource, NoResolve, Reference, Resolve,
};
use serde_json::{Value, json};

fn mapping(when: Option<&str>, fields: &[(&str, &str)]) -> Mapping {
    let map: BTreeMap<String, String> =
        fields.iter().map(|(path, source)| ((*path).into(), (*source).into())).collect();
    Mapping::compile(&MappingSource { when, map: &map }).unwrap()
}

/// The map of the design's example.
const EXAMPLE: &[(&str, &str)] = &[
    ("externalId", "string(record.id)"),
    ("tranDate", r#"formatTime(parseTime(record.created_at), "%Y-%m-%d", "America/New_York")"#),
    ("entity.email", "record.?customer.?email"),
    ("item.items", r#"record.line_items.map(i, {"sku": i.sku, "quantity": i.quantity, "rate": decimal(i.price)})"#),
];

fn order() -> Value {
    json!({
        "id": 5_678_901_234_567_u64,
        "name": "#1042",
        "created_at": "2026-07-01T02:15:00+00:00",
        "updated_at": "2026-07-01T02:16:30+00:00",
        "cancelled_at": null,
        "currency": "EUR",
        "presentment_currency": "JPY",
        "total_price": "118.70",
        "total_tax": "18.95",
        "customer": {"id": 1001, "email": "Åsa@Example.com", "tags": "b2b, wholesale"},
        "shipping_address": {
            "name": "Åsa Öberg", "address1": "Längholmsgatan 12", "zip": "117 33", "city": "Stockholm", "country_code": "SE"
        },
        "line_items": [
            {"id": 1, "sku": "TEE-M", "quantity": 2, "price": "19.90", "gift_card": false, "tax_lines": [{"rate": 0.25, "price": "7.96"}]},
            {"id": 2, "sku": "GIFT", "quantity": 1, "price": "50.00", "gift_card": true, "tax_lines": []},
            {"id": 3, "sku": null, "quantity": 1, "price": "28.90", "gift_card": false, "tax_lines": [{"rate": 0.25, "price": "5.78"}]}
        ],
        "fulfillments": [],
        "note": "Ring twice"
    })
}

#[test]
fn the_example_of_the_design_maps_an_order() {
    let body = mapping(Some("record.cancelled_at == null"), EXAMPLE).apply(&order(), &NoResolve).unwrap();
    assert_eq!(
        body,
        json!({
            "externalId": "5678901234567",
            "tranDate": "2026-06-30",
            "entity": {"email": "Åsa@Example.com"},
            "item": {"items": [
                {"sku": "TEE-M", "quantity": 2, "rate": 19.9},
                {"sku": "GIFT", "quantity": 1, "rate": 50},
                {"sku": null, "quantity": 1, "rate": 28.9}
            ]}
        })
    );
}

#[test]
fn an_order_without_a_customer_has_no_entity() {
    let mapping = mapping(None, EXAMPLE);
    let mut order = order();
    for customer in [json!(null), json!({}), json!("guest")] {
        order["customer"] = customer;
        assert_eq!(mapping.apply(&order, &NoResolve).unwrap().get("entity"), None);
    }
    order.as_object_mut().unwrap().remove("customer");
    assert_eq!(mapping.apply(&order, &NoResolve).unwrap().get("entity"), None);
    order["customer"] = json!({"email": null});
    assert_eq!(mapping.apply(&order, &NoResolve).unwrap()["entity"], json!({"email": null}), "null writes null");
}

#[test]
fn a_cancelled_order_is_not_selected() {
    let mapping = mapping(Some("record.cancelled_at == null"), EXAMPLE);
    let mut order = order();
    assert!(mapping.selects(&order, &NoResolve).unwrap());
    order["cancelled_at"] = json!("2026-07-02T00:00:00Z");
    assert!(!mapping.selects(&order, &NoResolve).unwrap());
}

#[test]
fn edge_cases_of_orders_map_as_their_teams_expect() {
    let mapping = mapping(
        None,
        &[
            ("isB2B", r#"record.customer.tags.split(",").map(t, t.trim()).exists(t, t == "b2b")"#),
            ("total", r"minorUnits(record.total_price, record.currency)"),
            ("taxes", r"string(round(sum(record.line_items.map(i, sum(i.tax_lines.map(t, decimal(t.price))))), 2))"),
            ("goods", r#"record.line_items.filter(i, !i.gift_card).map(i, i.?sku.orValue("none"))"#),
            ("giftCards", r"string(sum(record.line_items.map(i, i.gift_card, decimal(i.price) * i.quantity)))"),
            ("shipped", "size(record.fulfillments) > 0"),
            (r"custom\.fields.note", r"has(record.note) ? truncate(record.note, 4) : null"),
            ("shipTo", "record.shipping_address"),
            ("addressHash", r#"sha256([record.shipping_address.zip, record.shipping_address.city].join("|").lower())"#),
            ("refund", r"record.?refunds.optMap(r, sum(r.map(x, decimal(x.amount))))"),
        ],
    );
    let body = mapping.apply(&order(), &NoResolve).unwrap();
    assert_eq!(
        body,
        json!({
            "isB2B": true,
            "total": 11870,
            "taxes": "13.74",
            "goods": ["TEE-M", null],
            "giftCards": "50.00",
            "shipped": false,
            "custom.fields": {"note": "Ring"},
            "shipTo": order()["shipping_address"],
            "addressHash": "e438f0024f49a698c700a1ac082f9c7ce9bcf35972996f756ac3d4a00078eb1e",
        })
    );
}

#[test]
fn five_hundred_lines_are_mapped() {
    let mut order = order();
    let line = order["line_items"][0].clone();
    order["line_items"] = Value::Array(vec![line; 500]);
    let body = mapping(None, EXAMPLE).apply(&order, &NoResolve).unwrap();
    assert_eq!(body["item"]["items"].as_array().unwrap().len(), 500);
}

#[test]
fn equal_records_give_equal_bytes_whatever_the_order_of_their_fields() {
    let mapping = mapping(
        None,
        &[
            ("to", "record.address"),
            ("keys", "record.address.map(k, k)"),
            ("made", r#"{"b": 1, "a": {"d": 1, "c": 2}}"#),
        ],
    );
    let one: Value = serde_json::from_str(r#"{"address": {"zip": 1, "city": {"b": 1, "a": 2}}}"#).unwrap();
    let two: Value = serde_json::from_str(r#"{"address": {"city": {"a": 2, "b": 1}, "zip": 1}}"#).unwrap();
    let bytes = |record| mapping.apply(record, &NoResolve).unwrap().to_string();
    assert_eq!(bytes(&one), bytes(&two));
    assert_eq!(
        bytes(&one),
        r#"{"keys":["city","zip"],"made":{"a":{"c":2,"d":1},"b":1},"to":{"city":{"a":2,"b":1},"zip":1}}"#
    );
}

#[test]
fn what_a_mapping_reads_and_asks_is_known_before_it_runs() {
    let mapping = mapping(
        Some("record.cancelled_at == null && !(\"test\" in record.tags)"),
        &[
            ("id", "string(record.id)"),
            ("email", "record.?customer.?email"),
            (
                "lines",
                r#"record.line_items.filter(i, !i.gift_card).map(i, {"sku": i.sku, "name": lookup("products", i.product_id).title})"#,
            ),
            ("entity", r#"xref("customers", record.customer.id)"#),
            ("count", "size(record.fulfillments)"),
            ("extra", r"record.attributes[record.kind]"),
            ("first", r#"record.?refunds[0].?amount.orValue("0")"#),
            ("sum", r#"record.line_items.map(i, {"p": i.price}).map(x, x.p)"#),
            ("slash", r#"record["a/b~c"]"#),
        ],
    );
    let expected = [
        "/a~1b~0c",
        "/attributes/*",
        "/cancelled_at",
        "/customer/email",
        "/customer/id",
        "/fulfillments",
        "/id",
        "/kind",
        "/line_items/*/gift_card",
        "/line_items/*/price",
        "/line_items/*/product_id",
        "/line_items/*/sku",
        "/refunds/*/amount",
        "/tags",
    ];
    assert_eq!(mapping.reads(), expected.map(String::from).into());
    assert_eq!(mapping.lookups(), BTreeSet::from(["products".to_owned()]));
    assert_eq!(mapping.xrefs(), BTreeSet::from(["customers".to_owned()]));
    assert_eq!(mapping.reads_by_field()["map[email]"], BTreeSet::from(["/customer/email".to_owned()]));
}

struct Products(BTreeMap<String, Looked>);

impl Resolve for Products {
    fn xref(&self, _flow: &str, _key: &str) -> Option<Value> {
        None
    }

    fn lookup(&self, _stream: &str, key: &str) -> Looked {
        self.0.get(key).cloned().unwrap_or(Looked::Unknown)
    }
}

#[test]
fn look_ups_are_asked_for_together_and_then_answered() {
    let mapping = mapping(
        Some(r#"lookup("shops", "main").open.orValue(true)"#),
        &[
            ("first", r#"lookup("products", record.line_items[0].id).title.value()"#),
            ("titles", r#"record.line_items.map(i, lookup("products", i.id).title.orValue("?"))"#),
        ],
    );
    let wanted = |key: &str| Lookup { stream: "products".into(), key: key.into() };
    let nothing = Products(BTreeMap::new());
    let error = mapping.apply(&order(), &nothing).unwrap_err();
    assert_eq!(error, EvaluationError::NeedsLookups { wanted: vec![wanted("1"), wanted("2"), wanted("3")] });
    assert!(!format!("{error} {error:?}").contains("\"2\""), "keys are values of the record");
    assert!(matches!(mapping.selects(&order(), &nothing), Err(EvaluationError::NeedsLookups { .. })));

    let title = |title: &str| Looked::Found(json!({"title": title}));
    let all = Products([("1".into(), title("Tee")), ("2".into(), title("Gift")), ("3".into(), Looked::Absent)].into());
    let body = mapping.apply(&order(), &all).unwrap();
    assert_eq!(body, json!({"first": "Tee", "titles": ["Tee", "Gift", "?"]}));
}

/// Knows one customer, and that the others come.
struct Customers;

impl Resolve for Customers {
    fn xref(&self, flow: &str, key: &str) -> Option<Value> {
        (flow == "customers" && key == "1").then(|| json!("C-1"))
    }

    fn awaits(&self, flow: &str, _key: &str) -> bool {
        flow == "customers"
    }

    fn lookup(&self, _stream: &str, _key: &str) -> Looked {
        Looked::Absent
    }
}

#[test]
fn what_comes_to_nothing_without_a_cross_reference_waits_for_it() {
    let awaited = |key: &str| {
        Err(EvaluationError::AwaitsReferences { wanted: vec![Reference { flow: "customers".into(), key: key.into() }] })
    };
    let apply = |fields: &[(&str, &str)]| mapping(None, fields).apply(&json!({"customer": 2}), &Customers);
    assert_eq!(apply(&[("entity", "xref('customers', 1)")]), Ok(json!({"entity": "C-1"})));
    for source in [
        "xref('customers', record.customer)",
        "xref('customers', record.customer).value()",
        "{'id': xref('customers', record.customer).value()}",
        "'customer ' + xref('customers', record.customer).value()",
    ] {
        assert_eq!(apply(&[("entity", source), ("id", "'7'")]), awaited("2"), "{source}");
    }
    let error = apply(&[("entity", "xref('customers', record.customer)")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "waits until flow `customers` has brought the record to the destination that `xref` asks for"
    );
    assert!(!format!("{error:?}").contains('2'), "keys are values of the record");
}

#[test]
fn what_says_what_to_do_without_a_cross_reference_does_not_wait() {
    let apply = |fields: &[(&str, &str)]| mapping(None, fields).apply(&json!({"customer": 2}), &Customers);
    for (source, value) in [
        ("xref('customers', record.customer).orValue('none')", json!({"entity": "none"})),
        ("xref('customers', record.customer).orValue(null)", json!({"entity": null})),
        ("{?'id': xref('customers', record.customer)}", json!({"entity": {}})),
        ("xref('customers', record.?nobody)", json!({})),
        ("xref('customers', null)", json!({})),
        ("xref('others', 2)", json!({})),
    ] {
        assert_eq!(apply(&[("entity", source)]), Ok(value), "{source}");
    }
    let failed = apply(&[("entity", "xref('customers', 2)"), ("rate", "decimal('x')")]).unwrap_err();
    assert!(matches!(failed, EvaluationError::Failed { .. }), "what is wrong does not get better by waiting: {failed}");
    let when = mapping(Some("xref('customers', record.customer).value() == 'C-2'"), &[("a", "1")]);
    assert!(matches!(when.selects(&json!({"customer": 2}), &Customers), Err(EvaluationError::AwaitsReferences { .. })));
}
