//! Story 3: a small company's systems, with presets and few lines: Stripe payments become HubSpot deals, and Intercom conversations are posted to a
//! channel, each once.

use anyhow::{Context as _, Result, ensure};
use crosstie_tests::{
    cluster::repository,
    example,
    shop::Shop,
    wait::{Seen, until},
};
use crosstie_vendors::control::Client;
use serde_json::{Value, json};

const NAMESPACE: &str = "small-stack";
/// The channel that the example names.
const CHANNEL: &str = "C0123456789";
/// An Integration has fewer lines than this, its comments among them.
const LINES: usize = 40;

struct Story {
    shop: Shop,
    stripe: Client,
    hubspot: Client,
    intercom: Client,
    slack: Client,
}

#[tokio::test]
async fn payments_become_deals_and_conversations_are_posted_with_few_lines() -> Result<()> {
    for folder in ["payments-to-deals", "conversations-to-a-channel"] {
        it_takes_few_lines(folder)?;
    }
    let story = Story::open().await?;
    story.start().await?;
    story.payments_become_deals().await?;
    story.a_refund_loses_the_deal().await?;
    story.conversations_are_posted_once().await?;
    let letters = |name| story.shop.condition("integration", name, "DeadLettersEmpty", "True", "NoDeadLetters");
    letters("payments-to-deals").await?;
    letters("conversations").await?;
    story.shop.close().await
}

/// The Integration is short, and its Connectors say no more than which preset, where, and which secret.
fn it_takes_few_lines(folder: &str) -> Result<()> {
    let text = std::fs::read_to_string(repository().join("examples").join(folder).join("integration.yaml"))?;
    let lines = text.lines().count();
    ensure!(lines < LINES, "the Integration of {folder} has {lines} lines");
    let documents = example::documents(folder)?;
    let kinds = |kind: &str| documents.iter().filter(|found| found["kind"] == kind).count();
    ensure!((kinds("Integration"), kinds("Connector")) == (1, 2), "{folder} holds something else");
    for connector in documents.iter().filter(|found| found["kind"] == "Connector") {
        let spec = connector["spec"].as_object().context("a Connector without spec")?;
        let said: Vec<&str> = spec.keys().map(String::as_str).collect();
        ensure!(said.len() == 3 && spec.contains_key("preset"), "a Connector of {folder} says {said:?}");
    }
    Ok(())
}

impl Story {
    async fn open() -> Result<Self> {
        let shop = Shop::open(NAMESPACE).await?;
        let account = async |name: &str| -> Result<Client> {
            let account = Client::new(&shop.world.vendors, name, NAMESPACE)?;
            account.set_tokens(&[name]).await?;
            shop.world.secrets.put_json(&format!("{NAMESPACE}/{name}"), &json!({"token": name})).await?;
            Ok(account)
        };
        let (stripe, hubspot) = (account("stripe").await?, account("hubspot").await?);
        let (intercom, slack) = (account("intercom").await?, account("slack").await?);
        let channel = json!({"name": "support", "is_channel": true, "is_member": true, "is_archived": false});
        slack.put_record("conversations", CHANNEL, &channel).await?;
        Ok(Self { shop, stripe, hubspot, intercom, slack })
    }

    async fn start(&self) -> Result<()> {
        // Every second in place of every minute.
        let often = |integration: &mut Value| {
            integration["spec"]["flows"][0]["triggers"] = json!([{"everySeconds": 1}]);
        };
        let of_deals = [("stripe", &self.stripe), ("hubspot", &self.hubspot)];
        example::apply(&self.shop, "payments-to-deals", &of_deals, often).await?;
        let of_posts = [("intercom", &self.intercom), ("slack", &self.slack)];
        example::apply(&self.shop, "conversations-to-a-channel", &of_posts, often).await?;
        self.shop.ready("integration", "payments-to-deals", "True", "Flowing").await?;
        self.shop.ready("integration", "conversations", "True", "Flowing").await.map(drop)
    }

    /// A charge as it is now, and the event that tells of it.
    async fn charge(&self, event: &str, kind: &str, id: &str, charge: &Value) -> Result<()> {
        self.stripe.put_record("charges", id, charge).await?;
        let told = json!({"object": "event", "type": kind, "data": {"object": {"id": id}}});
        self.stripe.put_record("events", event, &told).await.map(drop).map_err(Into::into)
    }

    async fn payments_become_deals(&self) -> Result<()> {
        for number in 1..=20 {
            self.charge(&format!("evt_{number}"), "charge.succeeded", &format!("ch_{number}"), &charge(1999, "usd"))
                .await?;
        }
        // A currency without minor units, and a payment that did not go through.
        self.charge("evt_21", "charge.succeeded", "ch_21", &charge(500, "jpy")).await?;
        let mut failed = charge(100, "usd");
        failed["status"] = json!("failed");
        self.charge("evt_22", "charge.failed", "ch_22", &failed).await?;
        self.deals(21).await?;
        let deal = self.hubspot.record("deals", "eid:ch_1").await?.context("the payment became no deal")?;
        let found = |field: &str| deal["properties"][field].as_str().unwrap_or_default().to_owned();
        let fields = ["dealname", "amount", "deal_currency_code", "dealstage"].map(found);
        ensure!(fields == ["A customer", "19.99", "USD", "closedwon"], "{deal}");
        let deal = self.hubspot.record("deals", "eid:ch_21").await?.context("the payment in yen became no deal")?;
        ensure!(deal["properties"]["amount"] == "500", "{deal}");
        ensure!(self.hubspot.record("deals", "eid:ch_22").await?.is_none(), "a payment that failed became a deal");
        let writes = self.hubspot.stats().await?.writes;
        ensure!(writes.applied == writes.distinct, "written twice: {:?}", writes.keys_with_more_than_one_write);
        Ok(())
    }

    async fn a_refund_loses_the_deal(&self) -> Result<()> {
        let mut refunded = charge(1999, "usd");
        refunded["refunded"] = json!(true);
        self.charge("evt_30", "charge.refunded", "ch_3", &refunded).await?;
        until("the deal is lost", async || {
            let deal = self.hubspot.record("deals", "eid:ch_3").await?.unwrap_or_default();
            let stage = &deal["properties"]["dealstage"];
            Ok(if stage == "closedlost" { Seen::Yes(()) } else { Seen::NotYet(stage.to_string()) })
        })
        .await?;
        self.deals(21).await?;
        let writes = self.hubspot.stats().await?.writes;
        ensure!((writes.creates, writes.updates) == (21, 1), "one payment changed, written were {writes:?}");
        Ok(())
    }

    async fn conversations_are_posted_once(&self) -> Result<()> {
        for number in 1..=10 {
            self.intercom.put_record("conversations", &number.to_string(), &conversation("open")).await?;
        }
        self.intercom.put_record("conversations", "11", &conversation("closed")).await?;
        self.posts(10).await?;
        // One that goes on is a post already; one that is opened now is none yet.
        self.intercom.patch_record("conversations", "1", &json!({"title": "Still there?"})).await?;
        self.intercom.patch_record("conversations", "11", &json!({"state": "open"})).await?;
        self.posts(11).await?;
        let posts = self.slack.records("messages", 0, 100).await?.items;
        let text = ":speech_balloon: A customer wrote: Where is my order?";
        ensure!(posts.iter().all(|post| post["text"] == text), "{posts:?}");
        let mut keys: Vec<String> =
            posts.iter().map(|post| post["metadata"]["event_payload"]["key"].to_string()).collect();
        keys.sort_unstable();
        keys.dedup();
        ensure!((posts.len(), keys.len()) == (11, 11), "{} posts of {} conversations", posts.len(), keys.len());
        Ok(())
    }

    async fn deals(&self, count: usize) -> Result<()> {
        self.count(&self.hubspot, "deals", count).await
    }

    async fn posts(&self, count: usize) -> Result<()> {
        self.count(&self.slack, "messages", count).await
    }

    /// Waits until an account holds so many records of a kind.
    async fn count(&self, account: &Client, resource: &str, count: usize) -> Result<()> {
        let waited = until(&format!("{count} {resource}"), async || {
            let total = account.records(resource, 0, 1).await?.total;
            Ok(if total == count { Seen::Yes(()) } else { Seen::NotYet(format!("{total} {resource}")) })
        })
        .await;
        match waited {
            Ok(()) => Ok(()),
            Err(error) => anyhow::bail!("{error:#}\n{}", self.shop.describe().await),
        }
    }
}

fn charge(amount: u32, currency: &str) -> Value {
    json!({
        "object": "charge", "amount": amount, "currency": currency, "status": "succeeded", "captured": true, "refunded": false,
        "billing_details": {"name": "A customer"},
    })
}

fn conversation(state: &str) -> Value {
    json!({
        "type": "conversation", "state": state, "open": state == "open", "title": null,
        "source": {"type": "conversation", "subject": "Where is my order?", "author": {"name": "A customer"}},
    })
}
