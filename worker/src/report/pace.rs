//! When a report is written: at once when something turned, seldom when only figures moved, and now and then to show that the worker lives. A
//! report that says nothing new is not written. Pure.

use std::time::Duration;

use crosstie_crds::{
    condition::Reason,
    sync_report::{ApiReport, CredentialReport, WorkerReport},
};
use jiff::Timestamp;

/// Least time between two writes.
const LEAST: Duration = Duration::from_secs(1);
/// Least time between two writes when only figures moved.
const FIGURES: Duration = Duration::from_secs(15);
/// The same when something that people look for came up or is over: nothing waits any more, or the first record does.
const ZERO: Duration = Duration::from_secs(5);
/// Time after which a report is written although nothing moved. The operator calls a worker silent after 45 s, so that it says so within a minute; until
/// then one write that fails as late as a write may is made up for.
const HEARTBEAT: Duration = Duration::from_secs(25);

/// Remembers what was written last.
#[derive(Debug, Default)]
pub struct Pace {
    written: Option<Written>,
}

#[derive(Debug)]
struct Written {
    at: Timestamp,
    turns: Turns,
    figures: Vec<[i64; 9]>,
    apis: Vec<ApiReport>,
}

/// What makes a report urgent when it changes.
#[derive(Clone, Debug, PartialEq)]
struct Turns {
    hashes: [Option<String>; 3],
    credentials: Vec<CredentialReport>,
    problems: Vec<(Reason, Option<String>)>,
    /// Flows, and whether each was ever read to its end.
    synced: Vec<(String, bool)>,
    /// Connectors that were heard, whether their version is served, and whether there is word of its end. What exactly is said waits like figures do, so
    /// that a vendor that says something else each time does not set the pace.
    apis: Vec<(String, bool, bool)>,
}

impl Turns {
    fn of(report: &WorkerReport) -> Self {
        // The order of problems says nothing new.
        let mut problems: Vec<_> =
            report.problems.iter().map(|problem| (problem.reason, problem.flow.clone())).collect();
        problems.sort();
        Self {
            hashes: [report.plan_hash.clone(), report.shares_hash.clone(), report.store_id.clone()],
            credentials: report.credentials.clone(),
            problems,
            apis: report.apis.iter().map(turn_of_api).collect(),
            synced: report.flows.iter().map(|flow| (flow.flow.clone(), flow.last_sync_time.is_some())).collect(),
        }
    }
}

fn turn_of_api(report: &ApiReport) -> (String, bool, bool) {
    let differs = report.served.is_some() && report.served != report.requested;
    (report.connector.clone(), differs || report.unsupported, report.lifecycle.is_some())
}

impl Pace {
    /// Whether the report is to be written now.
    pub fn is_due(&self, report: &WorkerReport, now: Timestamp) -> bool {
        let Some(written) = &self.written else { return true };
        // A clock that was set back makes this negative; the report is then written.
        let Ok(since) = Duration::try_from(now.duration_since(written.at)) else { return true };
        match since {
            since if since < LEAST => false,
            since if since >= HEARTBEAT => true,
            since => {
                let figures = figures(report);
                let moved = || written.figures != figures || written.apis != report.apis;
                written.turns != Turns::of(report)
                    || (since >= FIGURES && moved())
                    || (since >= ZERO && zeros(&written.figures) != zeros(&figures))
            }
        }
    }

    /// Remembers that the report was written.
    pub fn written(&mut self, report: &WorkerReport, now: Timestamp) {
        let (turns, figures, apis) = (Turns::of(report), figures(report), report.apis.clone());
        self.written = Some(Written { at: now, turns, figures, apis });
    }
}

/// Figures, to two digits. Times are left out: they move with every poll, and the heartbeat carries them soon enough.
fn figures(report: &WorkerReport) -> Vec<[i64; 9]> {
    let of_flow = |flow: &crosstie_crds::sync_report::FlowReport| {
        [
            flow.delivered,
            flow.unchanged,
            flow.queue_depth,
            flow.dead_letters,
            flow.held,
            flow.succeeded_24h,
            flow.failed_24h,
            flow.retrying,
            flow.awaiting_parent,
        ]
        .map(two_digits)
    };
    report.flows.iter().map(of_flow).collect()
}

/// Which of what waits, was set aside or is held is nothing.
fn zeros(figures: &[[i64; 9]]) -> Vec<[bool; 5]> {
    let of_flow = |[_, _, queue, dead, held, _, _, retrying, awaiting]: &[i64; 9]| {
        [queue, dead, held, retrying, awaiting].map(|figure| *figure == 0)
    };
    figures.iter().map(of_flow).collect()
}

fn two_digits(number: i64) -> i64 {
    let mut unit = 1;
    while number / unit >= 100 {
        unit *= 10;
    }
    number / unit * unit
}

#[cfg(test)]
mod tests {
    use crosstie_crds::{
        connector::{Lifecycle, LifecycleSource},
        sync_report::{FlowReport, Problem},
    };
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn report(delivered: i64) -> WorkerReport {
        WorkerReport {
            pod: "pod".into(),
            reported_at: Time(at(0)),
            started_at: Time(at(0)),
            plan_hash: None,
            shares_hash: None,
            store_id: None,
            credentials: Vec::new(),
            apis: Vec::new(),
            flows: vec![FlowReport { flow: "orders".into(), delivered, ..FlowReport::default() }],
            problems: Vec::new(),
        }
    }

    fn pace(delivered: i64) -> Pace {
        let mut pace = Pace::default();
        assert!(pace.is_due(&report(delivered), at(0)), "the first is always written");
        pace.written(&report(delivered), at(0));
        pace
    }

    #[test]
    fn nothing_new_is_written_every_25_seconds_only() {
        let pace = pace(5);
        let mut polled = report(5);
        polled.flows[0].next_run_time = Some(Time(at(24)));
        assert!((1..25).all(|second| !pace.is_due(&polled, at(second))));
        assert!(pace.is_due(&polled, at(25)));
    }

    #[test]
    fn figures_are_written_after_fifteen_seconds_and_only_when_they_moved_visibly() {
        let pace = pace(1230);
        assert!(!pace.is_due(&report(1299), at(24)));
        assert!(!pace.is_due(&report(1300), at(14)));
        assert!(pace.is_due(&report(1300), at(15)));
    }

    #[test]
    fn that_nothing_waits_any_more_is_written_after_five_seconds() {
        let waiting = |queue_depth| {
            let mut report = report(5);
            report.flows[0].queue_depth = queue_depth;
            report
        };
        let mut pace = Pace::default();
        pace.written(&waiting(144), at(0));
        assert!(!pace.is_due(&waiting(0), at(4)) && pace.is_due(&waiting(0), at(5)));
        assert!(!pace.is_due(&waiting(12), at(14)), "fewer is not none");
        pace.written(&waiting(0), at(5));
        assert!(!pace.is_due(&waiting(1), at(9)) && pace.is_due(&waiting(1), at(10)));
    }

    #[test]
    fn a_turn_is_written_at_once_but_never_twice_a_second() {
        let pace = pace(5);
        let turns: [fn(&mut WorkerReport); 4] = [
            |report| report.plan_hash = Some("h".into()),
            |report| report.shares_hash = Some("h".into()),
            |report| report.flows[0].last_sync_time = Some(Time(at(1))),
            |report| {
                let problem =
                    Problem { reason: Reason::Throttled, flow: None, message: "slow".into(), since: Time(at(0)) };
                report.problems.push(problem);
            },
        ];
        for turn in turns {
            let mut turned = report(5);
            turn(&mut turned);
            assert!(!pace.is_due(&turned, Timestamp::from_millisecond(999).unwrap()));
            assert!(pace.is_due(&turned, at(1)));
        }
    }

    #[test]
    fn first_word_of_a_versions_end_is_a_turn_and_other_words_wait_like_figures() {
        let with = |second: i64| {
            let lifecycle = Lifecycle {
                deprecated_at: None,
                sunset_at: Some(Time(at(second))),
                source: LifecycleSource::SunsetHeader,
                link: None,
            };
            let api = ApiReport { connector: "shop".into(), lifecycle: Some(lifecycle), ..ApiReport::default() };
            WorkerReport { apis: vec![api], ..report(5) }
        };
        let mut pace = pace(5);
        assert!(pace.is_due(&with(900), at(1)));
        pace.written(&with(900), at(1));
        assert!(!pace.is_due(&with(800), at(15)));
        assert!(pace.is_due(&with(800), at(16)));
    }

    #[test]
    fn another_wording_of_the_same_problem_is_no_turn() {
        let with = |message: &str| {
            let problem =
                Problem { reason: Reason::Throttled, flow: None, message: message.into(), since: Time(at(0)) };
            WorkerReport { problems: vec![problem], ..report(5) }
        };
        let mut pace = Pace::default();
        pace.written(&with("wait 4 s"), at(0));
        assert!(!pace.is_due(&with("wait 8 s"), at(24)));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_silence_the_worker() {
        assert!(pace(5).is_due(&report(5), at(-1000)));
    }
}
