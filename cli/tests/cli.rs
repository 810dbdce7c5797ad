//! The command line as a person meets it: what it prints and how it exits.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/orders").join(name)
}

fn crosstie(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kubectl-crosstie")).args(arguments).output().unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap() + &String::from_utf8(output.stderr.clone()).unwrap()
}

/// The example's files with one text replaced, in a folder of their own.
fn changed(find: &str, replace: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["connectors.yaml", "integration.yaml"] {
        let text = std::fs::read_to_string(example(name)).unwrap();
        std::fs::write(folder.path().join(name), text.replace(find, replace)).unwrap();
    }
    folder
}

#[test]
fn lint_has_nothing_to_say_of_the_example() {
    let output = crosstie(&["lint", "-f", example("").to_str().unwrap()]);
    assert!(output.status.success(), "{}", printed(&output));
    assert_eq!(printed(&output), "connector/netsuite: ok\nconnector/shopify: ok\nintegration/orders: ok\n");
}

#[test]
fn lint_says_where_a_broken_expression_is_and_fails() {
    let folder = changed("otherRefNum: record.name", "otherRefNum: record.name +");
    let output = crosstie(&["lint", "-f", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        printed(&output).contains("integration/orders: PlanInvalid: spec.flows[orders].map[otherRefNum]"),
        "{}",
        printed(&output)
    );
}

#[test]
fn lint_notes_a_host_without_the_proxies_before_it_and_does_not_fail_for_it() {
    for (proxies, noted) in [("", true), (", trustedProxies: [10.0.0.0/8]", false)] {
        let receiver = format!("  receiver: {{host: hooks.example.com{proxies}}}\n  flows:\n");
        let folder = changed("  flows:\n", &receiver);
        let output = crosstie(&["lint", "-f", folder.path().to_str().unwrap()]);
        assert!(output.status.success(), "{}", printed(&output));
        let note = "integration/orders: note: spec.receiver.trustedProxies: ";
        assert_eq!(printed(&output).contains(note), noted, "{}", printed(&output));
    }
}

#[test]
fn lint_notes_that_null_passes_an_or_value_and_does_not_fail_for_it() {
    let folder = changed("otherRefNum: record.name", "otherRefNum: record.?name.orValue('none')");
    let output = crosstie(&["lint", "-f", folder.path().to_str().unwrap()]);
    assert!(output.status.success(), "{}", printed(&output));
    let note = "integration/orders: note: spec.flows[orders].map[otherRefNum]: `orValue` stands in for what is absent, not for what is null";
    assert!(printed(&output).contains(note), "{}", printed(&output));
}

#[test]
fn lint_says_what_only_a_whole_integration_shows() {
    for (find, replace, expected) in [
        (
            "  - name: orders\n",
            "  - name: orders\n    dependsOn: {flow: customers, key: record.id}\n",
            "no flow `customers`",
        ),
        (
            "      operation: upsertSalesOrder",
            "      operation: upsertSalesOrder\n      batchSize: 5",
            "writes records one by one",
        ),
        (
            "      operation: upsertSalesOrder",
            "      operation: upsertSalesOrder\n      deleteOperation: drop",
            "no operation `drop`",
        ),
        ("otherRefNum: record.name", "otherRefNum: 'lookup(\"shops\", record.id)'", "no stream `shops`"),
    ] {
        let folder = changed(find, replace);
        let output = crosstie(&["lint", "-f", folder.path().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{replace}: {}", printed(&output));
        assert!(printed(&output).contains(expected), "{replace}: {}", printed(&output));
    }
}

#[test]
fn lint_names_a_connector_that_the_files_do_not_hold() {
    let output = crosstie(&["lint", "-f", example("integration.yaml").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(printed(&output).contains("there is no Connector shopify in these files"), "{}", printed(&output));
}

#[test]
fn files_that_hold_nothing_of_ours_are_an_error_and_no_success() {
    let output = crosstie(&["lint", "-f", example("namespace.yaml").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{}", printed(&output));
}

#[test]
fn a_folder_that_only_changes_others_says_how_to_build_it_and_what_is_built_comes_by_standard_input() {
    let overlay = example("../orders-and-refunds");
    let output = crosstie(&["lint", "-f", overlay.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{}", printed(&output));
    let built = format!("kubectl kustomize {} | kubectl crosstie", overlay.display());
    assert!(printed(&output).contains(&built), "{}", printed(&output));
    let files = ["connectors.yaml", "integration.yaml"].map(|name| std::fs::read_to_string(example(name)).unwrap());
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-crosstie"))
        .args(["lint", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(files.join("\n---\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(printed(&output), "connector/netsuite: ok\nconnector/shopify: ok\nintegration/orders: ok\n");
}

fn mapped(record: &str) -> Output {
    let integration = example("integration.yaml");
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-crosstie"))
        .args(["map", "-f", integration.to_str().unwrap(), "--record", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(record.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn map_prints_what_would_be_written() {
    let record = r##"{"id": 7, "name": "#7", "created_at": "2026-07-01T02:00:00Z", "cancelled_at": null, "currency": "USD",
        "line_items": [{"sku": "a", "quantity": 2, "price": "19.90"}]}"##;
    let output = mapped(record);
    let body: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", printed(&output)));
    let expected = serde_json::json!({
        "externalId": "7", "entity": {"email": "guest@example.com"}, "otherRefNum": "#7", "tranDate": "2026-06-30", "currency": "USD", "shippingAddress": null,
        "item": {"items": [{"sku": "a", "quantity": 2, "rate": 19.9}]},
    });
    assert_eq!(body, expected);
}

#[test]
fn map_says_that_a_record_is_left_out() {
    let output = mapped(r#"{"cancelled_at": "2026-07-01T02:00:00Z"}"#);
    assert_eq!(printed(&output), "left out: `when` is false for this record\n");
}

#[test]
fn connector_show_names_the_presets_when_there_is_none_of_that_name() {
    let output = crosstie(&["connector", "show", "Shopfy"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(printed(&output).contains("there is no preset `Shopfy`; there are "), "{}", printed(&output));
    assert!(crosstie(&["connector", "show", "shopify"]).status.success(), "whatever its letters' case");
}

#[test]
fn connector_show_prints_a_preset_that_is_read_again_and_its_summary_what_a_person_needs_first() {
    let output = crosstie(&["connector", "show", "Shopify"]);
    let text = printed(&output);
    assert!(text.contains("X-Shopify-Access-Token") && text.contains("# Shopify Admin API"), "{text}");
    let again: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(again["name"], "Shopify");
    let summary = printed(&crosstie(&["connector", "show", "Shopify", "--summary"]));
    assert!(summary.contains("credentials   a JSON object with token"), "{summary}");
    let summary = printed(&crosstie(&["connector", "show", "Stripe", "--summary"]));
    assert!(summary.contains("sandbox       a sandbox, by a key of its own, 25 requests in 1 s"), "{summary}");
}

#[test]
fn connector_list_is_a_table_for_people_and_json_for_programs() {
    let table = printed(&crosstie(&["connector", "list"]));
    assert!(table.starts_with("PRESET") && table.contains("\nShopify "), "{table}");
    let list: serde_json::Value = serde_json::from_slice(&crosstie(&["connector", "list", "--json"]).stdout).unwrap();
    assert!(list.as_array().unwrap().iter().any(|preset| preset["name"] == "Shopify"), "{list}");
}

#[test]
fn test_finds_every_unusual_order_of_the_example_as_expected() {
    let output = crosstie(&["test", "-f", example("").to_str().unwrap()]);
    assert!(output.status.success(), "{}", printed(&output));
    assert!(printed(&output).ends_with("\n16 cases: 16 as expected, 0 not\n"), "{}", printed(&output));
}

#[test]
fn test_shows_each_field_that_differs_and_fails() {
    let folder = changed("otherRefNum: record.name", "otherRefNum: string(record.id)");
    std::fs::copy(example("fixtures/unusual-orders.yaml"), folder.path().join("fixtures.yaml")).unwrap();
    let output = crosstie(&["test", "-f", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", printed(&output));
    for expected in ["otherRefNum: expected \"#2001\", got \"2001\"", "15 cases: 2 as expected, 13 not"] {
        assert!(printed(&output).contains(expected), "{expected}: {}", printed(&output));
    }
}

#[test]
fn test_refuses_files_without_fixtures_and_fixtures_it_cannot_place() {
    let folder = changed("", "");
    let output = crosstie(&["test", "-f", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{}", printed(&output));
    assert!(printed(&output).contains("no fixtures"), "{}", printed(&output));
    for (fixture, expected) in [
        ("fixture: a\nflow: refunds\nrecord: {}\nexpect: leftOut\n", "there is no flow refunds"),
        ("fixture: a\nintegration: other\nrecord: {}\nexpect: leftOut\n", "no Integration other"),
        ("fixture: a\nrecord: {}\n", "missing field `expect`"),
        ("record: {}\nexpect: leftOut\n", "missing field `fixture`"),
        ("fixture: a\nrecord: {}\nexpected: leftOut\nexpect: leftOut\n", "unknown field `expected`"),
    ] {
        std::fs::write(folder.path().join("fixtures.yaml"), fixture).unwrap();
        let output = crosstie(&["test", "-f", folder.path().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2), "{fixture}: {}", printed(&output));
        assert!(printed(&output).contains(expected), "{fixture}: {}", printed(&output));
    }
}
