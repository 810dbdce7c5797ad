//! `connector list` and `connector show`: what is known of each vendor.

use std::{collections::BTreeSet, process::ExitCode};

use anyhow::{Context as _, Result};
use crosstie_engine::preset::{self, Preset};
use serde_json::Value;

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Print JSON in place of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// Name of the preset, for example Shopify
    preset: String,
    /// Print what is known in short in place of the whole preset
    #[arg(long)]
    summary: bool,
}

pub(crate) fn list(arguments: &List) -> Result<ExitCode> {
    let presets: Vec<&Preset> = preset::names().into_iter().filter_map(preset::find).collect();
    if arguments.json {
        println!(
            "{}",
            serde_json::to_string_pretty(&presets.iter().map(|preset| bare(preset)).collect::<Result<Vec<_>>>()?)?
        );
        return Ok(ExitCode::SUCCESS);
    }
    let rows = presets.iter().map(|preset| {
        let version = preset.api_version.clone().unwrap_or_else(|| "-".to_owned());
        [
            preset.name.clone(),
            version,
            end(preset),
            names(preset.streams.iter().map(|stream| &stream.name)),
            operations(preset),
        ]
    });
    table([["PRESET", "VERSION", "ENDS", "READS", "WRITES"].map(str::to_owned)].into_iter().chain(rows).collect());
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn show(arguments: &Show) -> Result<ExitCode> {
    let known = || format!("there is no preset `{}`; there are {}", arguments.preset, preset::names().join(", "));
    let found = preset::names().into_iter().find(|name| name.eq_ignore_ascii_case(&arguments.preset));
    let preset = found.and_then(preset::find).with_context(known)?;
    if !arguments.summary {
        print!("{}", preset::source(&preset.name).with_context(known)?);
        return Ok(ExitCode::SUCCESS);
    }
    let keys: Vec<String> = credential_keys(preset)?.into_iter().collect();
    println!("preset        {}", preset.name);
    println!("version       {}, ends {}", preset.api_version.as_deref().unwrap_or("none"), end(preset));
    println!(
        "credentials   a JSON object with {}",
        if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") }
    );
    println!("sandbox       {}", sandbox(preset));
    println!("reads         {}", names(preset.streams.iter().map(|stream| &stream.name)));
    println!("writes        {}", operations(preset));
    Ok(ExitCode::SUCCESS)
}

/// What there is to try things in, and what is different there.
fn sandbox(preset: &Preset) -> String {
    let Some(sandbox) = &preset.sandbox else { return "none".to_owned() };
    let hosts = if sandbox.hosts.is_empty() { String::new() } else { format!(", at {}", sandbox.hosts.join(" or ")) };
    let rate = sandbox.rate_limit.as_ref().and_then(|rate| Some((rate.requests?, rate.per_seconds?)));
    let rate = rate.map(|(requests, seconds)| format!(", {requests} requests in {seconds} s")).unwrap_or_default();
    format!("{}{hosts}{rate}", sandbox.name)
}

/// A preset without the members that it does not have.
fn bare(preset: &Preset) -> Result<Value> {
    let mut value = serde_json::to_value(preset)?;
    if let Some(members) = value.as_object_mut() {
        members.retain(|_, member| !member.is_null() && member.as_array().is_none_or(|list| !list.is_empty()));
    }
    Ok(value)
}

/// When the preset's version ends, by its calendar.
fn end(preset: &Preset) -> String {
    let notice = preset::calendar(Some(&preset.name), preset.api_version.as_deref());
    let sunset = notice.and_then(|notice| notice.sunset_at);
    sunset.map_or_else(|| "-".to_owned(), |at| at.strftime("%Y-%m-%d").to_string())
}

/// Names in braces in what is sent to authenticate, each once.
fn credential_keys(preset: &Preset) -> Result<BTreeSet<String>> {
    let mut keys = BTreeSet::new();
    collect(&serde_json::to_value(&preset.auth)?, &mut keys);
    Ok(keys)
}

fn collect(value: &Value, keys: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let names = text.split('{').skip(1).filter_map(|part| part.split_once('}'));
            keys.extend(names.map(|(name, _)| name.to_owned()));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, keys)),
        Value::Object(members) => members.values().for_each(|member| collect(member, keys)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn operations(preset: &Preset) -> String {
    names(preset.operations.iter().map(|operation| &operation.name))
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(", ") }
}

/// Prints rows with columns as wide as their longest text; the last one runs on.
fn table<const N: usize>(rows: Vec<[String; N]>) {
    let widths: Vec<usize> =
        (0..N).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    for row in rows {
        let padded = row.iter().zip(&widths).map(|(text, width)| format!("{text:width$}"));
        println!("{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    }
}
