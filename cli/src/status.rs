//! `status`: how an Integration in the cluster is doing, with the person's own rights.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use crosstie_crds::{Integration, IntegrationStatus};

use crate::cluster::Of;

pub(crate) fn run(of: &Of) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let integration = runtime.block_on(fetch(of))?;
    let generation = integration.metadata.generation;
    let Some(status) = integration.status else {
        println!("the operator has not looked at it yet: is it running, and does it serve this namespace?");
        return Ok(ExitCode::FAILURE);
    };
    if status.observed_generation != generation {
        println!("(this describes an older spec; the operator has not looked at the newest one yet)");
    }
    print(&of.name, &status);
    let ready = status.conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn fetch(of: &Of) -> Result<Integration> {
    let integrations = of.objects::<Integration>().await?;
    integrations.get(&of.name).await.with_context(|| format!("cannot get the Integration {}", of.name))
}

fn print(name: &str, status: &IntegrationStatus) {
    for condition in &status.conditions {
        println!("{:<18} {:<8} {:<22} {}", condition.type_, condition.status, condition.reason, condition.message);
    }
    if let Some(drift) = &status.drift {
        println!("\nnext change of a vendor's API: {} (Connector {})", drift.summary, drift.connector);
    }
    if status.flows.is_empty() {
        return;
    }
    println!(
        "\n{:<20} {:>9} {:>9} {:>6} {:>5} {:>7} {:>7} {:>7}  LAST SYNC",
        "FLOW", "DELIVERED", "UNCHANGED", "QUEUE", "DEAD", "1H", "24H", "7D"
    );
    for flow in &status.flows {
        let last = flow.last_sync_time.as_ref().map_or_else(|| "never".to_owned(), |time| format!("{:.0}", time.0));
        let share = |success: &Option<String>| success.clone().unwrap_or_else(|| "-".to_owned());
        let [hour, day, week] = [&flow.success_1h, &flow.success, &flow.success_7d].map(share);
        println!(
            "{:<20} {:>9} {:>9} {:>6} {:>5} {hour:>7} {day:>7} {week:>7}  {last}",
            flow.name, flow.delivered, flow.unchanged, flow.queue_depth, flow.dead_letters
        );
        if let Some(oldest) = &flow.oldest_waiting_time {
            println!("  records wait since {:.0}", oldest.0);
        }
        if let Some(oldest) = &flow.oldest_dead_letter_time {
            println!("  dead letters since {:.0}: `kubectl crosstie dlq list {name}` shows them", oldest.0);
        }
        if let Some(problem) = &flow.problem {
            println!("  {problem}");
        }
    }
}
