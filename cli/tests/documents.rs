//! The examples in the documents: what people copy has to be what `lint` accepts.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A file of the project.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The YAML blocks of a page.
fn examples(page: &str) -> Vec<String> {
    let text = fs::read_to_string(file(page)).unwrap();
    let blocks = text.split("```yaml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// What `lint` prints of some documents; panics unless it has nothing to say.
fn linted(documents: &[String]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (number, document) in documents.iter().enumerate() {
        fs::write(folder.path().join(format!("{number}.yaml")), document).unwrap();
    }
    let output =
        Command::new(env!("CARGO_BIN_EXE_kubectl-crosstie")).arg("lint").arg("-f").arg(folder.path()).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{printed}");
    printed
}

#[test]
fn every_page_with_examples_is_tried() {
    let pages = fs::read_dir(file("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = pages.chain([file("README.md"), file("CONTRIBUTING.md")]).filter(|path| path.is_file());
    let with_examples = pages.filter(|path| fs::read_to_string(path).unwrap().contains("```yaml"));
    let mut names: Vec<String> =
        with_examples.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    let tried = [
        "README.md",
        "add-a-vendor.md",
        "alerts.md",
        "connectors.md",
        "credentials.md",
        "ownership.md",
        "rotation.md",
        "two-way.md",
        "vendors.md",
        "webhooks.md",
        "write-modes.md",
    ];
    assert_eq!(names, tried, "each has a test here");
}

#[test]
fn lint_has_nothing_to_say_of_the_first_page() {
    let [integration] = examples("README.md").try_into().unwrap();
    assert!(integration.contains(", namespace: shop"), "{integration}");
    // Beside the example's Connectors, which have no namespace.
    let integration = integration.replace(", namespace: shop", "");
    let connectors = fs::read_to_string(file("examples/orders/connectors.yaml")).unwrap();
    assert!(linted(&[integration, connectors]).contains("integration/orders: ok"));
}

#[test]
fn lint_has_nothing_to_say_of_the_ways_to_name_a_secret() {
    let ways = examples("docs/credentials.md");
    assert!(ways.len() >= 2, "an example went");
    for way in ways {
        assert!(way.starts_with("credentials:\n"), "{way}");
        let spec = way.replace('\n', "\n  ");
        // Where tokens are got with a client's secret, it goes to that vendor's host only.
        let (preset, base_url) = if way.contains("oauth2:") {
            ("HubSpot", "https://api.hubapi.com")
        } else {
            ("Shopify", "https://acme.myshopify.com")
        };
        let connector = format!(
            "apiVersion: crosstie.dev/v1alpha1\nkind: Connector\nmetadata: {{name: shop}}\nspec:\n  preset: {preset}\n  \
             baseURL: {base_url}\n  {spec}"
        );
        assert_eq!(linted(&[connector]), "connector/shop: ok\n");
    }
}

#[test]
fn lint_has_nothing_to_say_of_how_old_credentials_may_become() {
    let [policy] = examples("docs/rotation.md").try_into().unwrap();
    assert!(policy.starts_with("spec:\n  rotation: "), "{policy}");
    let connector = format!(
        "apiVersion: crosstie.dev/v1alpha1\nkind: Connector\nmetadata: {{name: shop}}\n{policy}  preset: Shopify\n  \
         baseURL: https://acme.myshopify.com\n  credentials: {{secretRef: {{name: shop}}}}\n"
    );
    assert_eq!(linted(&[connector]), "connector/shop: ok\n");
}

#[test]
fn lint_has_nothing_to_say_of_the_examples_of_connectors() {
    let examples = examples("docs/connectors.md");
    assert!(examples.len() >= 10, "an example went");
    let printed = linted(&examples);
    for object in [
        "connector/ledger",
        "connector/depot",
        "connector/till",
        "connector/storefront",
        "connector/backoffice",
        "connector/warehouse",
        "connector/rooms",
        "connector/tickets",
        "connector/salesforce",
        "integration/sales",
        "connector/chat",
        "connector/desk",
        "connector/messages",
    ] {
        assert!(printed.contains(&format!("{object}: ok")), "{object}: {printed}");
    }
}

#[test]
fn lint_has_nothing_to_say_of_the_example_of_a_sandbox() {
    assert_eq!(linted(&examples("docs/vendors.md")), "connector/ledger-sandbox: ok\n");
}

#[test]
fn lint_has_nothing_to_say_of_the_example_of_ownership() {
    let printed = linted(&examples("docs/ownership.md"));
    for object in ["connector/shopify", "connector/netsuite", "integration/orders"] {
        assert!(printed.contains(&format!("{object}: ok")), "{object}: {printed}");
    }
}

#[test]
fn lint_has_nothing_to_say_of_the_examples_of_write_modes() {
    let printed = linted(&examples("docs/write-modes.md"));
    for object in ["connector/warehouse", "connector/pim", "integration/stock"] {
        assert!(printed.contains(&format!("{object}: ok")), "{object}: {printed}");
    }
}

#[test]
fn lint_has_nothing_to_say_of_the_example_of_a_pair() {
    let printed = linted(&examples("docs/two-way.md"));
    for object in ["connector/hubspot", "connector/salesforce", "integration/contacts"] {
        assert!(printed.contains(&format!("{object}: ok")), "{object}: {printed}");
    }
}

#[test]
fn lint_has_nothing_to_say_of_the_examples_of_webhooks() {
    let printed = linted(&examples("docs/webhooks.md"));
    for object in ["connector/shop", "connector/desk", "connector/depot", "integration/orders"] {
        assert!(printed.contains(&format!("{object}: ok")), "{object}: {printed}");
    }
}

#[test]
fn lint_has_nothing_to_say_of_the_examples_of_alerts() {
    let mut examples = examples("docs/alerts.md");
    assert_eq!(examples.len(), 2, "an example came or went");
    examples.push(fs::read_to_string(file("examples/orders/connectors.yaml")).unwrap());
    let printed = linted(&examples);
    for object in ["integration/orders", "connector/chat", "connector/mail", "connector/pager"] {
        assert!(printed.contains(&format!("{object}: ok")), "{object}: {printed}");
    }
}

#[test]
fn the_message_that_is_documented_is_one() {
    let text = fs::read_to_string(file("docs/alerts.md")).unwrap();
    let json = text.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let message: crosstie_engine::alert::Message = serde_json::from_str(json).unwrap();
    let again = serde_json::to_value(&message).unwrap();
    assert_eq!(
        again,
        serde_json::from_str::<serde_json::Value>(json).unwrap(),
        "a field is missing, or there is none like it"
    );
    assert!(message.text().contains("1000 times"), "{}", message.text());
}

#[test]
fn lint_has_nothing_to_say_of_any_example() {
    let folders: Vec<PathBuf> = fs::read_dir(file("examples")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let folders: Vec<&PathBuf> = folders.iter().filter(|folder| folder.join("connectors.yaml").exists()).collect();
    assert!(folders.len() >= 2, "{folders:?}");
    for folder in folders {
        let output =
            Command::new(env!("CARGO_BIN_EXE_kubectl-crosstie")).arg("lint").arg("-f").arg(folder).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && printed.contains("integration/"), "{}: {printed}", folder.display());
    }
}

#[test]
fn lint_has_nothing_to_say_of_a_vendor_that_is_added() {
    let examples = examples("docs/add-a-vendor.md");
    assert_eq!(examples.len(), 2, "an example came or went");
    for example in examples {
        assert_eq!(linted(&[example]), "connector/parcels: ok\n");
    }
}
