//! Word of a version's end, from the vendor's answer to the worker's report, and taken back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Bench, until_report};
use crosstie_crds::{
    connector::LifecycleSource,
    sync_report::{ApiReport, WorkerReport},
};
use serde_json::json;

fn api<'r>(report: &'r WorkerReport, connector: &str) -> Option<&'r ApiReport> {
    report.apis.iter().find(|api| api.connector == connector)
}

/// A bench whose shop is asked for a version.
async fn bench(version: &str) -> Bench {
    let mut bench = Bench::new().await;
    ask_for(&mut bench, version);
    bench
}

fn ask_for(bench: &mut Bench, version: &str) {
    let source = &mut bench.plan.source;
    source.api_version = Some(version.into());
    source.served_version_header = Some("X-Shopify-API-Version".into());
    source.deprecated_reason_header = Some("X-Shopify-API-Deprecated-Reason".into());
    bench.plan.flows[0].stream.path = format!("/admin/api/{version}/orders.json");
    bench.write_plan();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_serves_another_version_is_reported_until_the_plan_asks_for_one_that_is_served() {
    let mut bench = bench("2025-01").await;
    bench.order(1, "").await;
    let worker = bench.start().await;
    let served = |report: &WorkerReport| api(report, "shop").and_then(|api| api.served.clone());
    let report = until_report(&worker, "another version", |report| served(report).as_deref() == Some("2026-01")).await;
    assert_eq!(api(&report, "shop").unwrap().requested.as_deref(), Some("2025-01"));
    ask_for(&mut bench, "2026-07");
    let report = until_report(&worker, "the same version", |report| served(report).as_deref() == Some("2026-07")).await;
    let expected = ApiReport {
        connector: "shop".into(),
        requested: Some("2026-07".into()),
        served: Some("2026-07".into()),
        ..ApiReport::default()
    };
    assert_eq!(api(&report, "shop"), Some(&expected));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_source_and_destination_reach_the_report_without_the_vendors_words() {
    let bench = bench("2026-07").await;
    let reason = json!({"2026-07": "orders of jane@example.com go away"});
    bench.shop.change_settings(&json!({"deprecatedReasons": reason})).await.unwrap();
    let headers = json!({
        "Sunset": "Fri, 01 Jan 2027 00:00:00 GMT",
        "Deprecation": "@1767225600",
        "Link": "<https://docs.example.com/v2?token=books-1>; rel=\"sunset\"",
    });
    bench.books.change_settings(&json!({"extraHeaders": headers})).await.unwrap();
    bench.order(1, "").await;
    let worker = bench.start().await;
    let both = |report: &WorkerReport| ["shop", "books"].iter().all(|name| api(report, name).is_some());
    let report = until_report(&worker, "both are heard", both).await;
    let lifecycle = |connector: &str| api(&report, connector).unwrap().lifecycle.clone().unwrap();
    assert_eq!(lifecycle("shop").source, LifecycleSource::VendorHeader);
    let books = lifecycle("books");
    let day = |time: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| time.unwrap().0.to_string();
    assert_eq!(
        (books.source, day(books.deprecated_at)),
        (LifecycleSource::SunsetHeader, "2026-01-01T00:00:00Z".into())
    );
    assert_eq!(day(books.sunset_at), "2027-01-01T00:00:00Z");
    assert_eq!(books.link.as_deref(), Some("https://docs.example.com/v2"));
    let text = serde_json::to_string(&report).unwrap();
    assert!(!text.contains("jane") && !text.contains("books-1"), "{text}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_gone_for_good_is_reported_as_a_version_that_is_not_served() {
    use crosstie_vendors::wire::{Fault, FaultRule};
    let bench = bench("2026-07").await;
    let gone = Fault::Status { code: 410, headers: [].into(), body: json!({"errors": "gone"}) };
    bench.shop.add_fault(&FaultRule::new(gone)).await.unwrap();
    let worker = bench.start().await;
    until_report(&worker, "the version is not served", |report| api(report, "shop").is_some_and(|api| api.unsupported))
        .await;
    worker.stop().await;
}
