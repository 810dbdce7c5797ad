//! `connector import`: a Connector to begin with, from a vendor's OpenAPI document.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use crosstie_crds::Connector;
use crosstie_engine::compile::{self, Finding, Settings};
use serde_json::{Value, json};

use super::{
    openapi::Document,
    scaffold::{self, Choice, Scaffold},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The vendor's OpenAPI document, version 3, as JSON or YAML
    file: PathBuf,
    /// Name of the Connector; made from the document's title when left out
    #[arg(long)]
    name: Option<String>,
    /// Address of your account, where it is not the document's first server
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Take only paths that begin so, for example /v1/customers; may be given several times
    #[arg(long = "path", value_name = "PATH")]
    paths: Vec<String>,
    /// Secret in AWS Secrets Manager that will hold the credentials; default/NAME when left out
    #[arg(long, value_name = "SECRET")]
    secret: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let text =
        fs::read_to_string(&arguments.file).with_context(|| format!("cannot read {}", arguments.file.display()))?;
    let document = Document::parse(&text).with_context(|| format!("in {}", arguments.file.display()))?;
    print!("{}", manifest(&document, arguments)?);
    Ok(ExitCode::SUCCESS)
}

fn manifest(document: &Document, arguments: &Arguments) -> Result<String> {
    let name = arguments.name.clone().unwrap_or_else(|| slug(document.title()));
    let secret = arguments.secret.clone().unwrap_or_else(|| format!("default/{name}"));
    let choice = Choice { base_url: arguments.base_url.as_deref(), paths: &arguments.paths, secret: &secret };
    let Scaffold { mut spec, mut notes } = scaffold::scaffold(document, &choice);
    if spec.get("streams").is_none() && spec.get("operations").is_none() {
        bail!("nothing in the document can be read or written as records: no list with a key, no JSON body");
    }
    let dropped = keep_what_compiles(&name, &mut spec)?;
    notes.extend(dropped.iter().map(|finding| format!("left out: {finding}")));
    let object = object(&name, &spec);
    let version = document.version().map(|version| format!(" {version}")).unwrap_or_default();
    let mut lines = vec![
        format!("# Scaffolded from the OpenAPI document of {}{}.", line(document.title()), line(&version)),
        "# Everything here is a guess by the names that most vendors use: keep what you need, and read each stream once with".to_owned(),
        "# `kubectl crosstie connector check -f FILE --stream NAME` before you trust it.".to_owned(),
    ];
    lines.extend(notes.iter().map(|note| format!("# - {}", line(note))));
    Ok(format!("{}\n{}", lines.join("\n"), serde_saphyr::to_string(&object)?))
}

/// Leaves out streams and operations that do not compile. Gives why.
fn keep_what_compiles(name: &str, spec: &mut Value) -> Result<Vec<Finding>> {
    let mut dropped = Vec::new();
    // Each round drops at least one; what is left after so many is no matter of a single stream or operation.
    for _ in 0..2 * scaffold::MOST {
        let connector: Connector =
            serde_json::from_value(object(name, spec)).context("the scaffold is no Connector")?;
        let findings = compile::connector(&connector, &Settings::default()).findings;
        let Some(finding) = findings.into_iter().next() else { return Ok(dropped) };
        let removed = ["streams", "operations"].iter().any(|kind| remove(spec, kind, &finding.path));
        if !removed {
            bail!("the scaffold does not compile: {finding}");
        }
        dropped.push(finding);
    }
    Ok(dropped)
}

/// Removes the stream or operation that a finding's path is about.
fn remove(spec: &mut Value, kind: &str, path: &str) -> bool {
    let named = path.strip_prefix(&format!("spec.{kind}[")).and_then(|rest| rest.split_once(']')).map(|(name, _)| name);
    let (Some(named), Some(list)) = (named, spec[kind].as_array_mut()) else { return false };
    let before = list.len();
    list.retain(|item| item["name"] != named);
    list.len() < before
}

fn object(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector", "metadata": {"name": name}, "spec": spec})
}

/// A name as Kubernetes takes it.
fn slug(title: &str) -> String {
    let mut name = String::new();
    for letter in title.chars().map(|letter| letter.to_ascii_lowercase()) {
        if letter.is_ascii_alphanumeric() {
            name.push(letter);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let name: String = name.chars().take(52).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "vendor".to_owned() } else { name.to_owned() }
}

/// A text on one line, so that it stays a comment.
fn line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_becomes_a_name() {
        for (title, name) in [
            ("Swagger Petstore - OpenAPI 3.0", "swagger-petstore-openapi-3-0"),
            ("Ünïque API", "n-que-api"),
            ("!!", "vendor"),
        ] {
            assert_eq!(slug(title), name);
        }
        assert!(slug(&"a ".repeat(100)).len() <= 52);
    }

    #[test]
    fn a_title_cannot_break_out_of_its_comment() {
        assert_eq!(line("a\nkind: Secret"), "a kind: Secret");
    }
}
