//! Figures of status, from what workers report.

use crosstie_crds::{
    integration::{FlowStatus, SyncStatus},
    sync_report::{FlowReport, WorkerReport},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Figures over all flows, and of each. `flows` are the names to show, in order.
pub fn figures(report: &WorkerReport, flows: &[String]) -> (SyncStatus, Vec<FlowStatus>) {
    let shown: Vec<&FlowReport> =
        flows.iter().filter_map(|name| report.flows.iter().find(|flow| flow.flow == *name)).collect();
    let sum =
        |figure: fn(&FlowReport) -> i64| shown.iter().map(|flow| figure(flow).max(0)).fold(0, i64::saturating_add);
    let times: Option<Vec<&Time>> = shown.iter().map(|flow| flow.last_sync_time.as_ref()).collect();
    let sync = SyncStatus {
        success_1h: success(sum(|flow| flow.succeeded_1h), sum(|flow| flow.failed_1h)),
        success: success(sum(|flow| flow.succeeded_24h), sum(|flow| flow.failed_24h)),
        success_7d: success(sum(|flow| flow.succeeded_7d), sum(|flow| flow.failed_7d)),
        oldest_waiting_time: shown.iter().filter_map(|flow| flow.oldest_waiting_time.clone()).min(),
        next_run_time: shown.iter().filter_map(|flow| flow.next_run_time.clone()).min(),
        last_sync_time: times.filter(|_| shown.len() == flows.len()).and_then(|times| times.into_iter().min().cloned()),
        queue_depth: sum(|flow| flow.queue_depth),
        dead_letters: sum(|flow| flow.dead_letters),
        oldest_dead_letter_time: shown.iter().filter_map(|flow| flow.oldest_dead_letter_time.clone()).min(),
        held: sum(|flow| flow.held),
    };
    let each = shown.into_iter().map(|flow| FlowStatus {
        name: flow.flow.clone(),
        delivered: flow.delivered,
        unchanged: flow.unchanged,
        success_1h: success(flow.succeeded_1h, flow.failed_1h),
        success: success(flow.succeeded_24h, flow.failed_24h),
        success_7d: success(flow.succeeded_7d, flow.failed_7d),
        oldest_waiting_time: flow.oldest_waiting_time.clone(),
        queue_depth: flow.queue_depth,
        dead_letters: flow.dead_letters,
        oldest_dead_letter_time: flow.oldest_dead_letter_time.clone(),
        last_sync_time: flow.last_sync_time.clone(),
        next_run_time: flow.next_run_time.clone(),
        cursor: flow.cursor.clone(),
        problem: report
            .problems
            .iter()
            .find(|problem| problem.flow.as_ref() == Some(&flow.flow))
            .map(|problem| problem.message.clone())
            .or_else(|| flow.problem.clone()),
    });
    (sync, each.collect())
}

/// A share in percent with one decimal, rounded down so that only perfection shows as 100.
fn success(succeeded: i64, failed: i64) -> Option<String> {
    let all = i128::from(succeeded) + i128::from(failed);
    (all > 0).then(|| {
        let permille = i128::from(succeeded) * 1000 / all;
        format!("{}.{}%", permille / 10, permille % 10)
    })
}

#[cfg(test)]
mod tests {
    use crosstie_crds::{condition::Reason, sync_report::Problem};

    use super::*;

    fn time(second: i64) -> Time {
        Time(jiff::Timestamp::from_second(second).unwrap())
    }

    fn flow(name: &str, last_sync_time: Option<i64>) -> FlowReport {
        FlowReport {
            flow: name.into(),
            queue_depth: 2,
            dead_letters: 1,
            succeeded_24h: 998,
            failed_24h: 1,
            succeeded_7d: 5000,
            oldest_waiting_time: last_sync_time.map(|second| time(second + 5)),
            next_run_time: last_sync_time.map(|second| time(second + 900)),
            last_sync_time: last_sync_time.map(time),
            ..FlowReport::default()
        }
    }

    fn report(flows: Vec<FlowReport>) -> WorkerReport {
        WorkerReport {
            pod: "p".into(),
            reported_at: time(0),
            started_at: time(0),
            plan_hash: None,
            shares_hash: None,
            store_id: None,
            credentials: Vec::new(),
            apis: Vec::new(),
            flows,
            problems: Vec::new(),
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn figures_add_up_and_the_oldest_read_counts() {
        let report = report(vec![flow("refunds", Some(50)), flow("orders", Some(70)), flow("removed", None)]);
        let (sync, flows) = figures(&report, &names(&["orders", "refunds"]));
        assert_eq!((sync.queue_depth, sync.dead_letters), (4, 2));
        assert_eq!(sync.last_sync_time, Some(time(50)));
        assert_eq!(sync.success.as_deref(), Some("99.8%"));
        assert_eq!((sync.success_1h, sync.success_7d.as_deref()), (None, Some("100.0%")));
        assert_eq!((sync.oldest_waiting_time, sync.next_run_time), (Some(time(55)), Some(time(950))));
        assert_eq!(flows.iter().map(|flow| flow.name.as_str()).collect::<Vec<_>>(), ["orders", "refunds"]);
    }

    #[test]
    fn a_flow_says_what_is_wrong_with_all_of_it_or_else_why_records_wait() {
        let waits = FlowReport { problem: Some("3 records are tried again".into()), ..flow("orders", None) };
        let mut report = report(vec![waits]);
        let shown = |report: &WorkerReport| figures(report, &names(&["orders"])).1[0].problem.clone();
        assert_eq!(shown(&report).as_deref(), Some("3 records are tried again"));
        let (reason, flow) = (Reason::Throttled, Some("orders".to_owned()));
        report.problems = vec![Problem { reason, flow, message: "slow down".into(), since: time(0) }];
        assert_eq!(shown(&report).as_deref(), Some("slow down"));
    }

    #[test]
    fn a_flow_that_was_never_read_leaves_the_time_open() {
        assert_eq!(
            figures(&report(vec![flow("a", Some(5)), flow("b", None)]), &names(&["a", "b"])).0.last_sync_time,
            None
        );
        assert_eq!(figures(&report(vec![flow("a", Some(5))]), &names(&["a", "b"])).0.last_sync_time, None);
    }

    #[test]
    fn success_is_rounded_down() {
        assert_eq!(success(0, 0), None);
        assert_eq!(success(3, 0).as_deref(), Some("100.0%"));
        assert_eq!(success(99_999, 1).as_deref(), Some("99.9%"));
        assert_eq!(success(0, 7).as_deref(), Some("0.0%"));
    }
}
