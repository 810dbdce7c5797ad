//! `bench-operator`: what the operator costs with many Connectors and suspended Integrations, on etcd and an API server alone. Run it through
//! `make bench BENCH=operator`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use crosstie_bench::{
    figure::{self, Bench},
    machine,
    operator::{
        api::{self, Api},
        audit::Mark,
        aws::SecretsManager,
        objects,
        progress::Progress,
        start::{self, Operator, Program},
    },
    usage,
};
use futures::{TryStreamExt as _, stream};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const BENCH: Bench = Bench("operator");
/// Objects that are created at the same moment.
const CREATES_AT_ONCE: usize = 4;
/// How long everything may take to become ready before the benchmark gives up.
const PATIENCE: Duration = Duration::from_mins(5);
/// What follows by itself is over after this time: Events at once, figures in status within a minute.
const SETTLE: Duration = Duration::from_secs(70);

#[derive(Parser)]
struct Options {
    /// The operator's program, a release build
    #[arg(long)]
    operator: PathBuf,
    /// The API server's audit log
    #[arg(long)]
    audit: PathBuf,
    /// The kubeconfig file of the API server
    #[arg(long, env = "KUBECONFIG")]
    kubeconfig: PathBuf,
    /// How many Connectors, and how many Integrations
    #[arg(long, env = "CROSSTIE_BENCH_OBJECTS", default_value_t = 1000)]
    objects: usize,
    /// How long the idle operator is watched, in seconds
    #[arg(long, env = "CROSSTIE_BENCH_IDLE_SECONDS", default_value_t = 120)]
    idle_seconds: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let api = Api::new(&options.kubeconfig)?;
    // Those of the Connectors that are created, and of the two that wait for a start.
    let numbers = (0..options.objects).chain([2 * options.objects, 2 * options.objects + 1]);
    let vault = SecretsManager::new(numbers.map(objects::secret_name));
    let address = vault.serve().await?;
    figure::line(&machine::note("operator", options.audit.parent().unwrap_or(Path::new("/"))))?;
    let program = Program {
        path: options.operator.clone(),
        kubeconfig: options.kubeconfig.clone(),
        aws: format!("http://{address}"),
        log: options.audit.with_file_name("operator.log"),
    };
    prepare(&api).await?;
    start_fresh(&api, &program).await?;
    let mut operator = start_waited_for(&api, &program, "standing", 2 * options.objects).await?;
    let (vault_before, mark) = (vault.calls(), Mark::now(&options.audit)?);

    let process = operator.process.id().context("the operator has ended")?;
    let progress = Arc::new(Progress::default());
    for path in [api::CONNECTORS, api::INTEGRATIONS] {
        let (api, progress) = (api.clone(), progress.clone());
        tokio::spawn(async move {
            if let Err(error) = api.watch(path, |object| progress.seen(object)).await {
                eprintln!("{error:#}");
            }
        });
    }
    let started = Instant::now();
    create(&api, &progress, options.objects).await?;
    BENCH.figure("creating", started.elapsed().as_secs_f64(), "s")?;
    progress.all_ready(2 * options.objects, PATIENCE).await?;
    eprintln!("everything is ready {:.1?} after the first create", started.elapsed());
    report_work(&progress, process, &vault, &vault_before)?;
    sleep(SETTLE).await;
    let writes = mark.writes()?;
    eprintln!("writes to the API server: {writes:?}");
    BENCH.figure("mutating_requests", f64::from(without_lease(&writes)), "1")?;

    let (quiet, before) = (Mark::now(&options.audit)?, usage::processor_seconds(process)?);
    eprintln!("watching the idle operator for {} s", options.idle_seconds);
    sleep(Duration::from_secs(options.idle_seconds)).await;
    report_idle(&quiet, before, process)?;
    ensure!(operator.process.try_wait()?.is_none(), "the operator has ended by itself");
    operator.kill().await?;
    start_waited_for(&api, &program, "restart", 2 * options.objects + 1).await?.kill().await
}

/// Definitions and namespaces. Nothing is asked of the kinds: the operator is to be the first.
async fn prepare(api: &Api) -> Result<()> {
    let definitions = objects::definitions()?;
    for definition in &definitions {
        api.create(api::DEFINITIONS, definition).await?;
    }
    for name in [objects::NAMESPACE, "crosstie-system"] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        api.create(api::NAMESPACES, &namespace).await?;
    }
    api.established(&definitions).await
}

/// The operator's first start on a cluster whose kinds nobody has asked for, and the API server's own part of it.
async fn start_fresh(api: &Api, program: &Program) -> Result<()> {
    let mut operator = program.start()?;
    let times = operator.seen().await?;
    BENCH.figure("fresh_start_to_leading", times.leading.as_secs_f64(), "s")?;
    BENCH.figure("fresh_start_to_seen", times.seen.as_secs_f64(), "s")?;
    operator.kill().await?;
    let bare = start::bare(api).await?;
    BENCH.figure("fresh_bare_list", bare.list.as_secs_f64(), "s")?;
    eprintln!("lists and streams of new kinds were refused {} times", bare.refusals);
    Ok(BENCH.figure("fresh_bare_stream", bare.stream.as_secs_f64(), "s")?)
}

/// A start while a new Connector waits for it, and a list of all Connectors beside it.
async fn start_waited_for(api: &Api, program: &Program, name: &str, number: usize) -> Result<Operator> {
    let connector = objects::connector(number)?;
    api.create(api::CONNECTORS, &connector).await?;
    let path = format!("{}/{}", api::CONNECTORS, connector["metadata"]["name"].as_str().unwrap_or_default());
    let begun = Instant::now();
    api.get(api::CONNECTORS).await?;
    let list = begun.elapsed();
    let mut operator = program.start()?;
    let looked_at = operator.looked_at(api, &path).await?;
    let times = operator.seen().await?;
    BENCH.figure(&format!("{name}_start_to_leading"), times.leading.as_secs_f64(), "s")?;
    BENCH.figure(&format!("{name}_start_to_seen"), times.seen.as_secs_f64(), "s")?;
    BENCH.figure(&format!("{name}_start_to_first_status"), looked_at.as_secs_f64(), "s")?;
    BENCH.figure(&format!("{name}_bare_list"), list.as_secs_f64(), "s")?;
    Ok(operator)
}

async fn create(api: &Api, progress: &Progress, count: usize) -> Result<()> {
    let connectors = (0..count).map(|number| Ok((api::CONNECTORS, objects::connector(number)?)));
    let integrations = (0..count).map(|number| Ok((api::INTEGRATIONS, objects::integration(number, count)?)));
    let all = connectors.chain(integrations).collect::<Result<Vec<(&str, Value)>>>()?;
    stream::iter(all.into_iter().map(Ok))
        .map_ok(|(path, object)| async move {
            progress.creating(&object);
            api.create(path, &object).await
        })
        .try_buffer_unordered(CREATES_AT_ONCE)
        .try_for_each(|()| std::future::ready(Ok(())))
        .await
}

fn report_work(
    progress: &Progress,
    process: u32,
    vault: &SecretsManager,
    before: &std::collections::BTreeMap<String, u32>,
) -> Result<()> {
    let outcome = progress.outcome();
    BENCH.figure("all_reconciled_after_last_create", outcome.reconciled_after.as_secs_f64(), "s")?;
    BENCH.figure("status_after_create_p50", outcome.percentile(50).as_secs_f64(), "s")?;
    BENCH.figure("status_after_create_p95", outcome.percentile(95).as_secs_f64(), "s")?;
    BENCH.figure("peak_memory", usage::peak_memory_mib(process)?, "MiB")?;
    BENCH.figure("processor_time", usage::processor_seconds(process)?, "s")?;
    let calls = vault.calls();
    eprintln!("calls to AWS: {calls:?}, of them before: {before:?}");
    let count = calls.values().sum::<u32>() - before.values().sum::<u32>();
    Ok(BENCH.figure("aws_calls", f64::from(count), "1")?)
}

fn report_idle(quiet: &Mark, before: f64, process: u32) -> Result<()> {
    let writes = quiet.writes()?;
    ensure!(writes.contains_key("leases"), "the audit log shows no renewal of the Lease: the operator was not there");
    eprintln!("writes to the API server while idle: {writes:?}");
    BENCH.figure("idle_mutating_requests", f64::from(without_lease(&writes)), "1")?;
    BENCH.figure("idle_processor_time", usage::processor_seconds(process)? - before, "s")?;
    Ok(BENCH.figure("idle_peak_memory", usage::peak_memory_mib(process)?, "MiB")?)
}

fn without_lease(writes: &std::collections::BTreeMap<String, u32>) -> u32 {
    writes.iter().filter(|(resource, _)| *resource != "leases").map(|(_, count)| count).sum()
}
