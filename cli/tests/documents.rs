//! The examples in the documents: what people copy has to be what `lint` accepts.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{path::PathBuf, process::Command};

/// The YAML blocks of a page.
fn examples(page: &str) -> Vec<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = text.split("```yaml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn lint_has_nothing_to_say_of_the_examples_of_connectors() {
    let examples = examples("connectors.md");
    assert!(examples.len() >= 10, "an example went");
    let folder = tempfile::tempdir().unwrap();
    for (number, example) in examples.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{number}.yaml")), example).unwrap();
    }
    let output =
        Command::new(env!("CARGO_BIN_EXE_kubectl-crosstie")).arg("lint").arg("-f").arg(folder.path()).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{printed}");
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
fn lint_has_nothing_to_say_of_any_example() {
    let examples = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let folders: Vec<PathBuf> = std::fs::read_dir(examples).unwrap().map(|entry| entry.unwrap().path()).collect();
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
    let examples = examples("add-a-vendor.md");
    assert_eq!(examples.len(), 2, "an example came or went");
    for example in examples {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("connector.yaml");
        std::fs::write(&file, example).unwrap();
        let output =
            Command::new(env!("CARGO_BIN_EXE_kubectl-crosstie")).arg("lint").arg("-f").arg(file).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "connector/parcels: ok\n");
    }
}
