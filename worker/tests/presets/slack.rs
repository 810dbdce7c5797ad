//! Slack: what is refused with status 200, what proves a post, and the story of the hourly deals.

use crosstie_vendors::control::Client;
use serde_json::{Value, json};

use crate::{
    common::{until, until_report},
    crm::{End, bench, delivered, distinct, doubted, doubts, end, flow, seed},
};

fn posts() -> Value {
    json!({
        "channel": "'C0SALES'", "text": "record.properties.dealname + ' closed for ' + record.properties.amount",
        "metadata.event_type": "'deal'", "metadata.event_payload.key": "'deal-' + record.id",
    })
}

async fn seed_one(client: &Client) {
    let deal = json!({"properties": {"dealname": "New", "amount": "5.00"}, "archived": false});
    client.put_record("deals", "9000", &deal).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deal_of_hubspot_is_posted_to_slack_once_across_restarts_and_changes() {
    let write = json!({"operation": "postMessage", "mode": "Create"});
    let bench = bench(&end("hubspot", "HubSpot"), &end("slack", "Slack"), &flow("deals", &posts(), &write)).await;
    seed(&bench.shop, "deals", 230).await;
    doubts(&bench.books, "POST", "/chat.postMessage").await;
    // A worker that is stopped in the middle, twice.
    for posted in [20, 90] {
        let worker = bench.start().await;
        until("some are posted", || async { bench.books.stats().await.unwrap().writes.creates >= posted }).await;
        worker.stop().await;
    }
    assert_eq!(delivered(&bench, 230, "messages").await.len(), 230);
    assert!(doubted(&bench.books).await > 0);
    // A deal that changes, and a worker that starts anew: it is a post already.
    bench.shop.patch_record("deals", "5", &json!({"properties": {"amount": "1.00"}})).await.unwrap();
    seed_one(&bench.shop).await;
    let messages = delivered(&bench, 231, "messages").await;
    assert_eq!((messages.len(), distinct(&messages, "/metadata/event_payload/key")), (231, 231));
    assert!(messages.iter().any(|message| message["text"] == "New closed for 5.00"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_a_slack_channel_become_orders_of_salesforce_once_each() {
    let source = End {
        spec: json!({"streams": [{"name": "messages", "query": {"channel": "C0SUPPORT"}}]}),
        ..end("slack", "Slack")
    };
    let map = json!({"External_Id__c": "record.ts", "Name": "record.text"});
    let flow = flow("messages", &map, &json!({"operation": "upsertCustomOrder"}));
    let bench = bench(&source, &end("salesforce", "Salesforce"), &flow).await;
    for number in 0..210 {
        let ts = format!("{}.{number:06}", 1_767_225_600 + number);
        let channel = if number % 3 == 0 { "C0SALES" } else { "C0SUPPORT" };
        let message = json!({"type": "message", "channel": channel, "text": format!("Message {number}"), "ts": ts});
        bench.shop.put_record("messages", &ts, &message).await.unwrap();
    }
    doubts(&bench.books, "PATCH", "/sobjects/Order__c").await;
    let orders = delivered(&bench, 140, "Order__c").await;
    assert_eq!((orders.len(), distinct(&orders, "/External_Id__c")), (140, 140));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_slack_refuses_with_200_goes_to_the_dead_letters_and_the_rest_goes_on() {
    let mut map = posts();
    map["channel"] = json!("record.id == '7' ? 'C0NONE' : 'C0SALES'");
    let write = json!({"operation": "postMessage", "mode": "Create"});
    let bench = bench(&end("hubspot", "HubSpot"), &end("slack", "Slack"), &flow("deals", &map, &write)).await;
    seed(&bench.shop, "deals", 20).await;
    let worker = bench.start().await;
    until_report(&worker, "one is dead and the others are posted", |report| {
        report.flows.first().is_some_and(|flow| flow.dead_letters == 1 && flow.delivered == 19)
    })
    .await;
    // A token that is refused, also with 200, is the system's trouble and no record's.
    bench.books.set_tokens(&[]).await.unwrap();
    seed_one(&bench.shop).await;
    until_report(&worker, "it waits", |report| {
        report.flows.first().is_some_and(|flow| flow.queue_depth == 1) && !report.problems.is_empty()
    })
    .await;
    bench.books.set_tokens(&["token-1"]).await.unwrap();
    let report =
        until_report(&worker, "it is posted", |report| report.flows.first().is_some_and(|flow| flow.delivered == 20))
            .await;
    assert_eq!(report.flows[0].dead_letters, 1);
    worker.stop().await;
}
