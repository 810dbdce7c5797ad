//! A vendor's API that moves on, as a person sees it in the columns and conditions.

use anyhow::{Result, ensure};
use crosstie_tests::{
    shop::Shop,
    wait::{Seen, until},
};
use serde_json::{Value, json};

/// Waits until `kubectl get integrations` shows a text in the column DRIFT.
async fn drift_column(shop: &Shop, expected: &str) -> Result<()> {
    until(&format!("DRIFT shows {expected:?}"), async || {
        let table = shop.world.kubectl.run(&["-n", &shop.namespace, "get", "integrations"]).await?;
        let (head, line) = table.split_once('\n').unwrap_or((&table, ""));
        let (from, to) = (head.find("DRIFT").unwrap_or(0), head.find("AGE").unwrap_or(0));
        let shown = line.get(from..to).unwrap_or_default().trim();
        Ok(if shown == expected { Seen::Yes(()) } else { Seen::NotYet(table.clone()) })
    })
    .await
}

async fn event(shop: &Shop, kind: &str, reason: &str) -> Result<()> {
    until(&format!("an Event {reason} of the {kind}"), async || {
        let events = shop.world.kubectl.list(&shop.namespace, "events").await?;
        let found = events.iter().any(|event| event["reason"] == reason && event["involvedObject"]["kind"] == kind);
        Ok(if found { Seen::Yes(()) } else { Seen::NotYet(format!("{} Events", events.len())) })
    })
    .await
}

/// A version of Shopify's that came out this quarter, and the day it ends.
fn this_quarter() -> (String, String) {
    let today = jiff::Zoned::now().date();
    let month = (today.month() - 1) / 3 * 3 + 1;
    (format!("{}-{month:02}", today.year()), format!("{}-{month:02}-01", today.year() + 1))
}

#[tokio::test]
async fn a_version_that_is_served_by_another_is_seen_with_the_first_answer_and_clears_with_a_new_one() -> Result<()> {
    let shop = Shop::open("drift-served").await?;
    shop.add_orders(1, 3).await?;
    let mut source = shop.source();
    source["spec"]["apiVersion"] = json!("2025-07");
    shop.apply(&[&source, &shop.destination(), &shop.orders()?]).await?;
    let message = shop.condition("connector", "shopify", "VersionSupported", "False", "OtherVersionServed").await?;
    ensure!(message.contains("version 2025-07 is asked for and the vendor serves 2026-01"), "{message}");
    shop.condition("integration", "orders", "ApiVersionCurrent", "False", "OtherVersionServed").await?;
    drift_column(&shop, "Serves 2026-01").await?;
    event(&shop, "Connector", "OtherVersionServed").await?;
    event(&shop, "Integration", "OtherVersionServed").await?;
    // Data flows meanwhile.
    shop.ready("integration", "orders", "True", "Flowing").await?;
    shop.delivered(3).await?;
    let (version, ends) = this_quarter();
    shop.shopify.change_settings(&json!({"apiVersions": [version]})).await?;
    source["spec"]["apiVersion"] = json!(version);
    shop.apply(&[&source]).await?;
    shop.condition("connector", "shopify", "VersionSupported", "True", "VersionCurrent").await?;
    shop.condition("integration", "orders", "ApiVersionCurrent", "True", "VersionCurrent").await?;
    // By the calendar of the preset, without any header.
    drift_column(&shop, &format!("Sunset {ends}")).await?;
    until("status shows what is served, and the calendar's day", async || {
        let connector = shop.world.kubectl.get(&shop.namespace, "connector", "shopify").await?.unwrap_or_default();
        let status = &connector["status"]["apiVersion"];
        let shown = status["served"] == version && status["lifecycle"]["source"] == "VersionCalendar";
        Ok(if shown { Seen::Yes(()) } else { Seen::NotYet(status.to_string()) })
    })
    .await?;
    shop.close().await
}

#[tokio::test]
async fn a_sunset_header_of_the_destination_is_shown_with_its_day_and_its_page() -> Result<()> {
    let shop = Shop::open("drift-sunset").await?;
    let headers = json!({
        "Sunset": "Sat, 01 Jan 2101 00:00:00 GMT",
        "Link": "<https://docs.example.com/sunset?key=secret>; rel=\"sunset\"",
    });
    shop.netsuite.change_settings(&json!({"extraHeaders": headers})).await?;
    shop.add_orders(1, 3).await?;
    shop.start().await?;
    let message = shop.condition("integration", "orders", "ApiVersionCurrent", "False", "VersionDeprecated").await?;
    ensure!(message.starts_with("Connector netsuite: ") && message.contains("2101-01-01"), "{message}");
    drift_column(&shop, "Sunset 2101-01-01").await?;
    let connector = shop.world.kubectl.get(&shop.namespace, "connector", "netsuite").await?.unwrap_or_default();
    let expected: Value = json!({
        "sunsetAt": "2101-01-01T00:00:00Z", "source": "SunsetHeader", "link": "https://docs.example.com/sunset",
    });
    ensure!(connector["status"]["apiVersion"]["lifecycle"] == expected, "{}", connector["status"]);
    shop.ready("integration", "orders", "True", "Flowing").await?;
    shop.close().await
}
