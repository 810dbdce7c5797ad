//! Versions in every state, as a Connector and an Integration show them.

use std::sync::Arc;

use super::*;
use crate::plan::conditions::{Truth, merge};

fn at(day: &str) -> Timestamp {
    format!("{day}T00:00:00Z").parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-11-25")
}

fn lifecycle(source: LifecycleSource, deprecated: Option<&str>, sunset: Option<&str>) -> Lifecycle {
    let time = |day: Option<&str>| day.map(|day| Time(at(day)));
    Lifecycle { deprecated_at: time(deprecated), sunset_at: time(sunset), source, link: None }
}

fn report(served: Option<&str>, lifecycle: Option<Lifecycle>) -> ApiReport {
    ApiReport {
        connector: "shopify".into(),
        requested: Some("2026-07".into()),
        served: served.map(str::to_owned),
        unsupported: false,
        lifecycle,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands beside None")]
fn calendar(sunset: &str) -> Option<Notice> {
    let source = LifecycleSource::VersionCalendar;
    Some(Notice { source, deprecated_at: None, sunset_at: Some(at(sunset)), link: None })
}

/// What the Connector's status says after a look.
fn look(reports: &[ApiReport], before: Option<&ConnectorStatus>, calendar: Option<Notice>) -> ConnectorStatus {
    let word = word(Some("2026-07"), before, reports, calendar, now());
    let drafts: Vec<Draft> = word.supported(now()).into_iter().collect();
    ConnectorStatus {
        conditions: merge(&[], &drafts, Some(1), now()),
        api_version: Some(word.status),
        ..ConnectorStatus::default()
    }
}

fn said(status: &ConnectorStatus) -> (&str, &str) {
    let condition = &status.conditions[0];
    (condition.status.as_str(), condition.reason.as_str())
}

fn connector(status: ConnectorStatus) -> Connector {
    let spec = serde_json::json!({"baseURL": "https://a.example.com", "credentials": {}});
    let mut connector = Connector::new("shopify", serde_json::from_value(spec).unwrap());
    connector.status = Some(status);
    connector
}

fn drift(status: ConnectorStatus) -> (Truth, String) {
    let (draft, drift) = current([("shopify", Some(&connector(status))), ("netsuite", None)]);
    (draft.truth, drift.map(|drift| drift.summary).unwrap_or_default())
}

#[test]
fn every_word_of_a_version_has_its_reason_and_its_place_in_the_column() {
    use LifecycleSource::{DeprecationHeader, SunsetHeader, VendorHeader, WarningHeader};
    let served = |lifecycle: Option<Lifecycle>| vec![report(Some("2026-07"), lifecycle)];
    let refused = ApiReport { unsupported: true, ..report(None, None) };
    for (reports, planned, supported, current, summary) in [
        (vec![], None, ("Unknown", "Starting"), Truth::Unknown, ""),
        (vec![], calendar("2027-07-01"), ("True", "VersionCurrent"), Truth::True, "Sunset 2027-07-01"),
        (vec![], calendar("2027-01-01"), ("True", "SunsetNear"), Truth::False, "Sunset 2027-01-01"),
        (vec![], calendar("2026-10-01"), ("False", "VersionUnsupported"), Truth::False, "Unsupported"),
        (served(None), None, ("True", "VersionCurrent"), Truth::True, ""),
        (served(None), calendar("2027-07-01"), ("True", "VersionCurrent"), Truth::True, "Sunset 2027-07-01"),
        (
            served(Some(lifecycle(VendorHeader, None, None))),
            None,
            ("True", "VersionDeprecated"),
            Truth::False,
            "Deprecated",
        ),
        (
            served(Some(lifecycle(WarningHeader, None, None))),
            calendar("2027-07-01"),
            ("True", "VersionDeprecated"),
            Truth::False,
            "Sunset 2027-07-01",
        ),
        (
            served(Some(lifecycle(DeprecationHeader, Some("2027-01-01"), None))),
            None,
            ("True", "VersionDeprecated"),
            Truth::False,
            "Deprecated",
        ),
        (
            served(Some(lifecycle(SunsetHeader, None, Some("2028-01-01")))),
            calendar("2027-07-01"),
            ("True", "VersionDeprecated"),
            Truth::False,
            "Sunset 2028-01-01",
        ),
        (
            served(Some(lifecycle(SunsetHeader, None, Some("2027-01-01")))),
            None,
            ("True", "SunsetNear"),
            Truth::False,
            "Sunset 2027-01-01",
        ),
        (
            vec![report(Some("2026-10"), None)],
            calendar("2027-07-01"),
            ("False", "OtherVersionServed"),
            Truth::False,
            "Serves 2026-10",
        ),
        (
            vec![report(None, None), refused],
            calendar("2027-07-01"),
            ("False", "VersionUnsupported"),
            Truth::False,
            "Unsupported",
        ),
    ] {
        let status = look(&reports, None, planned);
        assert_eq!(said(&status), supported, "{status:#?}");
        assert_eq!(drift(status.clone()), (current, summary.to_owned()), "{status:#?}");
    }
}

#[test]
fn a_sentence_says_what_who_and_until_when() {
    let message =
        |lifecycle: Lifecycle| look(&[report(None, Some(lifecycle))], None, None).conditions[0].message.clone();
    let with_link = Lifecycle {
        link: Some("https://dev.example.com/changes".into()),
        ..lifecycle(LifecycleSource::SunsetHeader, Some("2026-01-01"), Some("2027-01-01"))
    };
    assert_eq!(
        message(with_link),
        "version 2026-07, or something asked of it, is deprecated since 2026-01-01 and ends on 2027-01-01, says the Sunset header of its \
         answers, see https://dev.example.com/changes: try a newer one in spec.apiVersion of a Connector for a test account, then here"
    );
    let planned = look(&[], None, calendar("2027-07-01"));
    assert_eq!(
        planned.conditions[0].message,
        "version 2026-07 ends on 2027-07-01, says the vendor's calendar of versions"
    );
}

#[test]
fn the_vendors_word_stands_while_no_worker_runs_and_goes_when_a_worker_says_otherwise() {
    let deprecated = report(Some("2026-07"), Some(lifecycle(LifecycleSource::VendorHeader, None, None)));
    let heard = look(&[deprecated], None, None);
    let resting = look(&[], Some(&heard), None);
    assert_eq!((said(&resting), &resting.api_version), (("True", "VersionDeprecated"), &heard.api_version));
    let taken_back = look(&[report(Some("2026-07"), None)], Some(&resting), None);
    assert_eq!(said(&taken_back), ("True", "VersionCurrent"));
    let refused = look(&[ApiReport { unsupported: true, ..report(None, None) }], None, None);
    assert_eq!(said(&look(&[], Some(&refused), None)), ("False", "VersionUnsupported"));
    let ended = look(&[], None, calendar("2026-10-01"));
    let still = look(&[], Some(&ended), calendar("2026-10-01"));
    assert_eq!(still.conditions[0].message, ended.conditions[0].message, "an end that has passed is no refusal");
}

#[test]
fn what_was_said_of_another_version_counts_for_nothing() {
    let mut old = report(Some("2026-10"), Some(lifecycle(LifecycleSource::SunsetHeader, None, Some("2026-12-01"))));
    old.requested = Some("2025-10".into());
    let status = look(&[old.clone()], None, None);
    assert_eq!(said(&status), ("Unknown", "Starting"));
    let before = ConnectorStatus {
        api_version: Some(ApiVersionStatus { requested: old.requested, served: old.served, lifecycle: old.lifecycle }),
        ..ConnectorStatus::default()
    };
    assert_eq!(said(&look(&[], Some(&before), None)), ("Unknown", "Starting"));
}

#[test]
fn the_calendar_is_asked_again_and_not_recalled() {
    let before = look(&[], None, calendar("2026-12-01"));
    assert_eq!(said(&before), ("True", "SunsetNear"));
    assert_eq!(said(&look(&[], Some(&before), calendar("2027-07-01"))), ("True", "VersionCurrent"));
}

#[test]
fn an_api_without_a_version_of_which_nothing_is_known_has_no_condition() {
    assert_eq!(word(None, None, &[], None, now()).supported(now()), None);
    let sunset = Some(lifecycle(LifecycleSource::SunsetHeader, None, Some("2027-01-01")));
    let unversioned = ApiReport { requested: None, served: None, lifecycle: sunset, ..report(None, None) };
    let draft = word(None, None, &[unversioned], None, now()).supported(now()).unwrap();
    assert!(draft.message.starts_with("the API, or something asked of it,"), "{}", draft.message);
}

#[test]
fn of_two_connectors_the_worse_is_told_and_of_two_ends_the_nearer() {
    let ending = |sunset: &str| Arc::new(connector(look(&[], None, calendar(sunset))));
    let (soon, later) = (ending("2027-06-01"), ending("2027-09-01"));
    let told = |source: &Connector, destination: &Connector| {
        current([("source", Some(source)), ("destination", Some(destination))]).1.unwrap()
    };
    assert_eq!(
        told(&later, &soon),
        DriftStatus { summary: "Sunset 2027-06-01".into(), connector: "destination".into() }
    );
    let other = connector(look(&[report(Some("2026-10"), None)], None, None));
    assert_eq!(told(&soon, &other).summary, "Serves 2026-10");
    let plain = connector(look(&[report(None, None)], None, None));
    assert_eq!(told(&plain, &soon).summary, "Sunset 2027-06-01", "one that says nothing hides none that does");
}
