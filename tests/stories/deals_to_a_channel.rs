//! Story 4: new deals of HubSpot are formatted and posted to a channel, each once, across restarts of the worker and answers that never come.

use anyhow::{Context as _, Result, ensure};
use crosstie_tests::{
    example,
    shop::Shop,
    wait::{Seen, until},
};
use crosstie_vendors::{
    control::Client,
    wire::{Fault, FaultRule},
};
use serde_json::{Value, json};

const NAMESPACE: &str = "deals";
/// The channel that the example names.
const CHANNEL: &str = "C0123456789";
/// Deals that are won.
const WON: usize = 30;

#[tokio::test]
async fn deals_that_are_won_are_posted_once_each_whatever_restarts() -> Result<()> {
    let shop = Shop::open(NAMESPACE).await?;
    let hubspot = Client::new(&shop.world.vendors, "hubspot", NAMESPACE)?;
    let slack = Client::new(&shop.world.vendors, "slack", NAMESPACE)?;
    for (name, account) in [("hubspot", &hubspot), ("slack", &slack)] {
        account.set_tokens(&[name]).await?;
        shop.world.secrets.put_json(&format!("{NAMESPACE}/{name}"), &json!({"token": name})).await?;
    }
    let channel = json!({"name": "sales", "is_channel": true, "is_member": true, "is_archived": false});
    slack.put_record("conversations", CHANNEL, &channel).await?;
    hubspot.put_record("deals", "1", &deal("Won before", "closedwon")).await?;
    // Every second in place of every hour.
    let often = |deals: &mut Value| deals["spec"]["flows"][0]["triggers"] = json!([{"everySeconds": 1}]);
    example::apply(&shop, "deals-to-a-channel", &[("hubspot", &hubspot), ("slack", &slack)], often).await?;
    shop.ready("integration", "deals", "True", "Flowing").await?;

    slack.add_fault(&FaultRule::new(Fault::ErrorAfterCommit { code: 502 }).method("POST").percent(20, 4)).await?;
    for number in 0..WON {
        let id = (100 + number).to_string();
        hubspot.put_record("deals", &id, &deal(&format!("Deal {id}"), "closedwon")).await?;
        if number % 10 == 5 {
            let worker = "app.kubernetes.io/component=sync-worker";
            let kill = ["-n", NAMESPACE, "delete", "pod", "-l", worker, "--grace-period=0", "--force", "--wait=false"];
            shop.world.kubectl.run(&kill).await?;
        }
    }
    hubspot.put_record("deals", "300", &deal("Lost", "closedlost")).await?;
    posted(&shop, &slack, WON).await?;
    // A deal that changes later is a post already, and one that is won later is none yet.
    hubspot.patch_record("deals", "100", &json!({"properties": {"amount": "7.00"}})).await?;
    hubspot.patch_record("deals", "300", &json!({"properties": {"dealstage": "closedwon"}})).await?;
    posted(&shop, &slack, WON + 1).await?;
    let posts = slack.records("messages", 0, 100).await?.items;
    let mut keys: Vec<&str> =
        posts.iter().filter_map(|post| post["metadata"]["event_payload"]["key"].as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    ensure!((posts.len(), keys.len()) == (WON + 1, WON + 1), "{} posts of {} deals", posts.len(), keys.len());
    let first = posts.iter().find(|post| post["metadata"]["event_payload"]["key"] == "deal-100").context("no post")?;
    ensure!(first["text"] == ":moneybag: *Deal 100* won: 5.00", "{first}");
    shop.close().await
}

fn deal(name: &str, stage: &str) -> Value {
    json!({"properties": {"dealname": name, "amount": "5.00", "dealstage": stage}, "archived": false})
}

/// Waits until so many posts are in the channel.
async fn posted(shop: &Shop, slack: &Client, count: usize) -> Result<()> {
    let waited = until(&format!("{count} posts"), async || {
        let total = slack.records("messages", 0, 1).await?.total;
        Ok(if total >= count { Seen::Yes(()) } else { Seen::NotYet(format!("{total} posts")) })
    })
    .await;
    match waited {
        Ok(()) => Ok(()),
        Err(error) => anyhow::bail!("{error:#}\n{}", shop.describe().await),
    }
}
