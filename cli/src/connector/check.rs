//! `connector check`: one call to the vendor from here, without a cluster, and in plain words what came of it. Where what is stored is what tokens
//! are got with, one call for a token before it.

use std::{
    collections::BTreeMap,
    error::Error,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use crosstie_connect::{
    CallFailure, CallRecord, CredentialStore, FailureKind, LookedUp, Observer, Surroundings, VendorClient,
};
use crosstie_crds::{Connector, names};
use crosstie_engine::{
    compile::{self, Offered, Settings},
    credentials::{CredentialVersion, CredentialsDocument},
    grant::{ACCESS_TOKEN, OF_THE_GRANT},
    lifecycle::Observed,
    preset,
    proxy::Proxy,
    window::{Bounds, Position},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{stored, token};
use crate::files::{Files, Manifests};

/// From this difference on, clocks count as different.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(30);
/// Key that is looked up where there is no stream to read: one that no record has.
const NOBODYS_KEY: &str = "crosstie-connector-check";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    files: Files,
    /// The Connector's name; not needed when the files hold one only
    name: Option<String>,
    /// Stream to read the first page of; the first one when left out
    #[arg(long)]
    stream: Option<String>,
    #[command(flatten)]
    credentials: stored::Given,
    /// Private address ranges that may be called, in CIDR notation, as the operator's configuration would allow them
    #[arg(long = "allow-cidr", value_name = "CIDR")]
    allow_cidrs: Vec<String>,
    /// Proxy to call by https through, for example http://proxy.example.com:3128
    #[arg(long, env = names::ENV_PROXY, value_name = "URL", default_value = "", hide_default_value = true)]
    proxy: String,
    /// Hosts and address ranges to call past the proxy, separated by commas
    #[arg(long, env = names::ENV_NO_PROXY, value_name = "HOSTS", default_value = "", hide_default_value = true)]
    no_proxy: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let manifests = arguments.files.read()?;
    let connector = choose(&manifests, arguments.name.as_deref())?;
    let settings = Settings { allow_cidrs: arguments.allow_cidrs.clone() };
    let offered = compile::offered(connector, &settings);
    let Some(offered) = offered.value else {
        for finding in &offered.findings {
            println!("{}: {finding}", finding.reason);
        }
        return Ok(ExitCode::FAILURE);
    };
    let asked = Asked::choose(&offered, arguments.stream.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let good = runtime.block_on(check(arguments, connector, &offered, &asked))?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Gets a token where one is needed, asks the vendor, and prints what came of both. Says whether all is well.
async fn check(arguments: &Arguments, connector: &Connector, offered: &Offered, asked: &Asked<'_>) -> Result<bool> {
    let (mut values, origin) = arguments.credentials.read(connector).await?;
    let proxy = Proxy::parse(&arguments.proxy, &arguments.no_proxy)?;
    let surroundings = Surroundings { proxy, ..Surroundings::default() };
    // An access token that is passed in the place of what tokens are got with is used as it is.
    let is_a_token = values.contains_key(ACCESS_TOKEN) && !OF_THE_GRANT.iter().any(|key| values.contains_key(*key));
    if let Some(grant) = offered.system.grant.as_ref().filter(|_| !is_a_token) {
        let stored = arguments.credentials.for_grant(connector, grant, values).await?;
        match token::get(&offered.system, grant, stored, &surroundings).await? {
            Ok(token) => {
                println!("token         {}", token.said);
                values = token.values;
            }
            Err(refused) => {
                print_failure("token", &refused.failure);
                if let Some(said) = token::of_the_refresh_token(refused.remains) {
                    println!("              {said}");
                }
                println!("credentials   from {origin}; the vendor was not asked");
                return Ok(false);
            }
        }
    }
    Ok(call(offered, asked, values, origin, surroundings).await?.print(connector, offered))
}

fn choose<'a>(manifests: &'a Manifests, name: Option<&str>) -> Result<&'a Connector> {
    let mut found = manifests.connectors.iter().filter(|((_, found), _)| name.is_none_or(|name| found == name));
    let (_, first) = found.next().context("the files hold no such Connector")?;
    if found.next().is_some() {
        bail!("the files hold several Connectors: name one");
    }
    Ok(first)
}

/// What is asked of the vendor.
enum Asked<'a> {
    Page(&'a crosstie_engine::plan::Stream),
    LookUp(&'a crosstie_engine::plan::Operation, &'a crosstie_engine::plan::LookUp),
}

impl<'a> Asked<'a> {
    /// The stream that was named or the first; else a look-up that needs nothing but the key.
    fn choose(offered: &'a Offered, stream: Option<&str>) -> Result<Self> {
        if let Some(name) = stream {
            let found = offered.streams.iter().find(|stream| stream.name == name);
            let found = found.with_context(|| format!("the Connector has no stream {name}"))?;
            if let Some(parent) = &found.parent {
                bail!("stream {name} is read for each record of {}: check that one", parent.stream.name);
            }
            return Ok(Self::Page(found));
        }
        if let Some(stream) = offered.streams.iter().find(|stream| stream.parent.is_none()) {
            return Ok(Self::Page(stream));
        }
        let looked_up =
            offered.operations.iter().find_map(|operation| Some((operation, operation.outcome.lookup.as_ref()?)));
        let (operation, lookup) = looked_up.context(
            "the Connector has neither a stream nor a look-up: there is nothing that can be asked without writing",
        )?;
        Ok(Self::LookUp(operation, lookup))
    }

    fn name(&self) -> &str {
        match self {
            Self::Page(stream) => &stream.name,
            Self::LookUp(operation, _) => &operation.name,
        }
    }
}

/// What came of the call.
struct Answered {
    origin: String,
    lacking: Vec<String>,
    what: String,
    outcome: Result<String, CallFailure>,
    notes: Notes,
    heard: Option<Observed>,
    took: Duration,
}

/// What was seen of the requests.
#[derive(Clone, Debug, Default)]
struct Notes {
    requests: usize,
    request_id: Option<String>,
    clock: Option<SignedDuration>,
}

#[derive(Default)]
struct Watcher(Mutex<Notes>);

impl Observer for Watcher {
    fn called(&self, record: &CallRecord<'_>) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes.requests += 1;
        notes.request_id = record.request_id.map(str::to_owned);
        let date = record.headers.and_then(|headers| headers.get("date")?.to_str().ok());
        let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        notes.clock = date.map(|date| Timestamp::now().duration_since(date.timestamp()));
    }
}

async fn call(
    offered: &Offered,
    asked: &Asked<'_>,
    values: BTreeMap<String, String>,
    origin: String,
    surroundings: Surroundings,
) -> Result<Answered> {
    let system = &offered.system;
    let lacking = system.authentication.keys().into_iter().filter(|key| !values.contains_key(*key)).map(str::to_owned);
    let lacking: Vec<String> = lacking.collect();
    let watcher = Arc::new(Watcher::default());
    let surroundings = Surroundings { observer: Arc::<Watcher>::clone(&watcher), ..surroundings };
    let current = CredentialVersion { version_id: "check".into(), values };
    let document = CredentialsDocument { connector: system.connector.clone(), current, previous: None };
    let client = VendorClient::surrounded(system, CredentialStore::new(&document), system.allowance, &surroundings)?;
    let begun = std::time::Instant::now();
    let outcome = ask(&client, asked).await;
    let took = begun.elapsed();
    let heard = client
        .heard(&[asked.name().to_owned()], &[asked.name().to_owned()])
        .or_else(|| client.heard(&[], &[asked.name().to_owned()]));
    let notes = watcher.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let what = match asked {
        Asked::Page(stream) => format!("the first page of {}", stream.name),
        Asked::LookUp(operation, _) => format!("the look-up of {} for a record that does not exist", operation.name),
    };
    Ok(Answered { origin, lacking, what, outcome, notes, heard, took })
}

/// One request, and in words what it gave.
async fn ask(client: &VendorClient, asked: &Asked<'_>) -> Result<String, CallFailure> {
    match asked {
        Asked::Page(stream) => {
            let until = Timestamp::now();
            let from = until.checked_sub(SignedDuration::from_hours(24)).ok();
            let bounds = Bounds { from: from.map(Into::into), until: Some(until.into()) };
            // A counter has no place for a time.
            let bounds = stream.cursor.as_ref().is_some_and(|cursor| !cursor.counts()).then_some(bounds);
            let page = client.read_page(stream, bounds.as_ref(), &Position::First).await?;
            let span = if bounds.is_some() { " of the last 24 hours" } else { "" };
            let more = if page.next.is_some() { ", and there are more pages" } else { "" };
            Ok(format!("{} records{span} on the page{more}{}", page.records.len(), missing(stream, &page.records)))
        }
        Asked::LookUp(operation, lookup) => {
            let body = nested(&lookup.key_field, NOBODYS_KEY);
            match client.look_up(operation, lookup, &body, Timestamp::now()).await? {
                LookedUp::Absent => Ok("the system says that there is none, as it should".to_owned()),
                LookedUp::Present { .. } | LookedUp::Stranger { .. } | LookedUp::Several => {
                    Ok("the system has an answer for a key that nobody uses: the look-up may not be of one record"
                        .to_owned())
                }
            }
        }
    }
}

/// A body that has a text at a path of names, joined by dots.
fn nested(path: &str, text: &str) -> Value {
    path.rsplit('.').fold(json!(text), |value, name| if name == "0" { json!([value]) } else { json!({name: value}) })
}

/// Pointers that the first record does not have.
fn missing(stream: &crosstie_engine::plan::Stream, records: &[Value]) -> String {
    let Some(record) = records.first() else { return String::new() };
    let wanted = [("key", Some(&stream.key)), ("version", stream.version.as_ref())];
    let lacking = wanted.into_iter().filter_map(|(name, pointer)| Some((name, pointer?)));
    let lacking = lacking.filter(|(_, pointer)| record.pointer(pointer).is_none_or(Value::is_null));
    let said: Vec<String> = lacking
        .map(|(name, pointer)| format!("; but the first has nothing at {pointer}, which `{name}` points to"))
        .collect();
    said.concat()
}

impl Answered {
    /// Prints it. Says whether all is well.
    fn print(&self, connector: &Connector, offered: &Offered) -> bool {
        let host = offered.system.base_url.host_str().unwrap_or_default();
        let id = self.notes.request_id.as_ref().map(|id| format!(", request {id}")).unwrap_or_default();
        println!(
            "asked         {host} for {} ({} ms, {} requests{id})",
            self.what,
            self.took.as_millis(),
            self.notes.requests
        );
        let mut good = self.outcome.is_ok();
        match &self.outcome {
            Ok(said) => println!("answer        {said}"),
            Err(failure) => print_failure("answer", failure),
        }
        good &= self.lacking.is_empty();
        let credentials = match (&self.outcome, self.lacking.is_empty()) {
            (_, false) => {
                format!("from {}, which lacks {}: add it to the JSON object", self.origin, self.lacking.join(" and "))
            }
            (Ok(_), true) => format!("accepted, from {}", self.origin),
            (Err(failure), true) if failure.kind == FailureKind::CredentialsRejected => {
                format!("refused, from {}", self.origin)
            }
            (Err(_), true) => format!("from {}", self.origin),
        };
        println!("credentials   {credentials}");
        good &= self.print_version(connector, offered);
        match self.notes.clock {
            Some(ahead) if ahead.abs() > CLOCKS_DIFFER => {
                let (seconds, word) = (ahead.abs().as_secs(), if ahead.is_positive() { "ahead of" } else { "behind" });
                println!(
                    "clock         this machine is {seconds} s {word} the vendor: signatures and tokens may be refused; set the clock"
                );
            }
            Some(_) => println!("clock         agrees with the vendor's"),
            None => {}
        }
        good
    }

    /// What is known of the version. Says whether it is served.
    fn print_version(&self, connector: &Connector, offered: &Offered) -> bool {
        let Some(requested) = &offered.system.api_version else { return true };
        let heard = self.heard.clone().unwrap_or_default();
        let calendar = preset::calendar(connector.spec.preset.as_deref(), Some(requested));
        let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
        let mut said = vec![format!("{requested} is asked for")];
        match &heard.served {
            Some(served) if served == requested => said.push(" and served".to_owned()),
            Some(served) => said.push(format!(", but {served} is served: set spec.apiVersion")),
            None => {}
        }
        if heard.unsupported {
            said.push(", and the vendor does not serve it any more: set spec.apiVersion".to_owned());
        }
        if let Some(notice) = &heard.notice {
            said.push("; the vendor says that it, or what was asked, is deprecated".to_owned());
            said.extend(notice.sunset_at.map(|at| format!(" and ends on {}", day(at))));
            said.extend(notice.link.as_ref().map(|link| format!(", see {link}")));
        } else if let Some(end) = calendar.and_then(|notice| notice.sunset_at) {
            said.push(format!("; by the vendor's calendar it ends on {}", day(end)));
        }
        println!("version       {}", said.concat());
        !heard.unsupported && heard.served.as_ref().is_none_or(|served| served == requested)
    }
}

/// A failure, and everything beneath it.
fn print_failure(what: &str, failure: &CallFailure) {
    println!("{what:14}{}: {failure}", failure.kind.as_str());
    let mut cause = failure.source();
    let mut last = String::new();
    while let Some(error) = cause {
        let text = error.to_string();
        if !last.contains(&text) {
            println!("              because {text}");
        }
        last = text;
        cause = error.source();
    }
    if let Some(wait) = failure.retry_after {
        println!("              try again in {} s", wait.as_secs());
    }
}
