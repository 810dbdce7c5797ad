//! Story 8: the ledger answers 429. An order that is asked to wait is tried again; one that still fails after its retries, while others pass, is set
//! aside and told to a channel, by mail and to a URL, and replayed later. When every order is asked to wait, the queue waits, and nothing is set aside.

use anyhow::{Context as _, Result, ensure};
use crosstie_tests::{
    example,
    mail::MailServer,
    shop::Shop,
    wait::{Seen, until},
};
use crosstie_vendors::{
    control::Client,
    wire::{Fault, FaultRule, LogEntry},
};
use serde_json::{Value, json};

const NAMESPACE: &str = "rate-limited";
/// The channel that the example names.
const CHANNEL: &str = "C0OPERATIONS";
/// The order that is asked to wait twice, and the one that is asked to wait until somebody does something about it.
const PATIENT: u64 = 800_011;
const POISONED: u64 = 800_012;
/// The first of the orders that come meanwhile.
const OTHERS: u64 = 800_100;
/// The first of those that come during an outage.
const LATE: u64 = 900_000;

struct Story {
    shop: Shop,
    slack: Client,
    pager: Client,
    mail: MailServer,
    /// Who mails come from, which tells those of this run from any other's.
    sender: String,
}

#[tokio::test]
async fn an_order_that_is_limited_is_set_aside_and_an_outage_sets_nothing_aside() -> Result<()> {
    let story = Story::open().await?;
    story.start().await?;
    story.an_order_that_is_asked_to_wait_is_tried_again().await?;
    let delivered = story.a_poisoned_order_is_set_aside_while_others_pass().await?;
    story.the_channel_is_told_of_it().await?;
    story.others_are_told_of_it().await?;
    story.it_is_replayed_later(delivered).await?;
    story.an_outage_waits_in_order_and_is_told(delivered + 1).await?;
    story.shop.close().await
}

/// The ledger's 429, for one order.
fn limited(order: u64) -> FaultRule {
    FaultRule::new(Fault::RateLimited { retry_after_seconds: None }).path_contains(&format!("eid:{order}?"))
}

impl Story {
    async fn open() -> Result<Self> {
        let shop = Shop::open(NAMESPACE).await?;
        let slack = Client::new(&shop.world.vendors, "slack", NAMESPACE)?;
        slack.set_tokens(&["slack-1"]).await?;
        let channel = json!({"name": "operations", "is_channel": true, "is_member": true, "is_archived": false});
        slack.put_record("conversations", CHANNEL, &channel).await?;
        shop.world.secrets.put_json(&format!("{NAMESPACE}/slack"), &json!({"token": "slack-1"})).await?;
        let pager = Client::new(&shop.world.vendors, "rest", &format!("{NAMESPACE}-pager"))?;
        pager.set_tokens(&["pager-1"]).await?;
        shop.world.secrets.put_json(&format!("{NAMESPACE}/pager"), &json!({"token": "pager-1"})).await?;
        shop.world.secrets.put_json(&format!("{NAMESPACE}/mail"), &json!({"none": "none"})).await?;
        let mail = MailServer::start(&shop.world.cluster).await?;
        let sender = format!("crosstie-{}@example.com", jiff::Timestamp::now().as_second());
        Ok(Self { shop, slack, pager, mail, sender })
    }

    /// The Connectors of a mail relay and of a URL, and the channels through them.
    fn other_channels(&self) -> ([Value; 2], [Value; 2]) {
        let connector = |name: &str, base_url: String, auth: Value| {
            json!({
                "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector", "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": {
                    "baseURL": base_url, "auth": auth,
                    "credentials": {"awsSecretsManager": {"secretId": format!("{NAMESPACE}/{name}")}},
                },
            })
        };
        let mail = connector("mail", self.mail.base_url(), json!({"none": {}}));
        let pager = connector("pager", self.pager.base_url(), json!({"bearer": {"token": "{token}"}}));
        let by_mail = json!({
            "name": "mail", "groupSeconds": 1,
            "email": {"connectorRef": {"name": "mail"}, "from": self.sender, "to": ["operations@example.com"], "tls": "None"},
        });
        let by_request = json!({
            "name": "pager", "groupSeconds": 1, "webhook": {"connectorRef": {"name": "pager"}, "path": "/v1/events"},
        });
        ([mail, pager], [by_mail, by_request])
    }

    /// The example, with seconds in place of its minutes.
    async fn start(&self) -> Result<()> {
        let documents = example::rendered(&self.shop, "orders-with-alerts").await?;
        let find = |kind: &str, name: &str| {
            let found = documents.iter().find(|found| found["kind"] == kind && found["metadata"]["name"] == name);
            found.cloned().with_context(|| format!("the example has no {kind} {name}"))
        };
        let mut orders = find("Integration", "orders")?;
        let policy = json!({"retries": 3, "backoff": {"initialSeconds": 120, "factor": 2, "maxSeconds": 3600}});
        ensure!(orders["spec"]["errorPolicy"] == policy, "the example retries otherwise: {}", orders["spec"]);
        orders["metadata"]["namespace"] = json!(NAMESPACE);
        orders["spec"]["flows"][0]["triggers"] = json!([{"everySeconds": 1}]);
        orders["spec"]["errorPolicy"]["backoff"] = json!({"initialSeconds": 1, "factor": 2, "maxSeconds": 30});
        orders["spec"]["alerts"][0]["groupSeconds"] = json!(1);
        let ([mail, pager], channels) = self.other_channels();
        orders["spec"]["alerts"].as_array_mut().context("the example tells somebody")?.extend(channels);
        let mut cases = find("ConfigMap", "order-cases")?;
        cases["metadata"]["namespace"] = json!(NAMESPACE);
        let mut slack = find("Connector", "slack")?;
        slack["metadata"]["namespace"] = json!(NAMESPACE);
        slack["spec"]["baseURL"] = json!(self.slack.base_url());
        slack["spec"]["credentials"]["awsSecretsManager"]["secretId"] = json!(format!("{NAMESPACE}/slack"));
        self.shop.add_orders(1, 5).await?;
        let (source, destination) = (self.shop.source(), self.shop.destination());
        self.shop.apply(&[&source, &destination, &slack, &mail, &pager, &cases, &orders]).await?;
        self.shop.ready("integration", "orders", "True", "Flowing").await?;
        self.shop.delivered(5).await?;
        self.shop.condition("integration", "orders", "AlertsDelivered", "True", "AlertsAccepted").await.map(drop)
    }

    async fn an_order_that_is_asked_to_wait_is_tried_again(&self) -> Result<()> {
        self.shop.netsuite.add_fault(&limited(PATIENT).times(2)).await?;
        self.shop.add_orders(PATIENT, 1).await?;
        self.shop.delivered(6).await?;
        let statuses: Vec<u16> = self.calls_for(PATIENT).await?.iter().map(|call| call.status).collect();
        ensure!(statuses == [429, 429, 204], "the order was answered {statuses:?}");
        self.shop.exactly_once().await
    }

    /// Gives how many sales orders there are then.
    async fn a_poisoned_order_is_set_aside_while_others_pass(&self) -> Result<usize> {
        self.shop.netsuite.add_fault(&limited(POISONED)).await?;
        self.shop.add_orders(POISONED, 1).await?;
        let mut others = 0;
        until("the order is set aside while others pass", async || {
            self.shop.add_orders(OTHERS + others, 1).await?;
            others += 1;
            let letters = self.letters().await?;
            Ok(if letters.is_empty() { Seen::NotYet(format!("{others} others")) } else { Seen::Yes(()) })
        })
        .await?;
        let delivered = 6 + usize::try_from(others)?;
        self.shop.delivered(delivered).await?;
        let refused = self.calls_for(POISONED).await?;
        ensure!(refused.len() >= 4 && refused.iter().all(|call| call.status == 429), "{refused:?}");
        let [letter] = self.letters().await?.try_into().map_err(|all| anyhow::anyhow!("not one letter: {all:?}"))?;
        ensure!(letter["key"] == POISONED.to_string() && letter["status"] == 429, "{letter}");
        ensure!(letter["attempts"] == json!(4), "three retries are four attempts: {letter}");
        let shown = self.dlq(&["show", "orders", &letter["id"].to_string()]).await?;
        let last = &refused.last().context("it was called")?.request_id;
        ensure!(shown.contains(last), "the letter does not name the request {last}:\n{shown}");
        self.shop.condition("integration", "orders", "DeadLettersEmpty", "False", "DeadLetters").await?;
        self.shop.ready("integration", "orders", "True", "Flowing").await?;
        Ok(delivered)
    }

    async fn the_channel_is_told_of_it(&self) -> Result<()> {
        let told = self.told("1 record lies in the dead letters").await?;
        let ids = self.calls_for(POISONED).await?;
        ensure!(ids.iter().any(|call| told.contains(&call.request_id)), "no request id in {told}");
        ensure!(told.contains(&format!("kubectl crosstie dlq list orders -n {NAMESPACE}")), "{told}");
        ensure!(!told.contains(&POISONED.to_string()), "a record's key was told to a channel: {told}");
        Ok(())
    }

    /// The same is told by mail and by a request as to the channel. Gives both.
    async fn told_otherwise(&self, what: &str) -> Result<(Value, Value)> {
        let has = |message: &Value, field: &str| message[field].as_str().is_some_and(|text| text.contains(what));
        let mail = until(&format!("a mail says: {what}"), async || {
            let mails = self.mail.mails(&self.sender).await?;
            let found = mails.iter().find(|mail| has(mail, "subject"));
            Ok(found.map_or_else(|| Seen::NotYet(format!("{mails:#?}")), |mail| Seen::Yes(mail.clone())))
        })
        .await?;
        let event = until(&format!("a request says: {what}"), async || {
            let events = self.pager.records("events", 0, 100).await?.items;
            let found = events.iter().find(|event| has(event, "title"));
            Ok(found.map_or_else(|| Seen::NotYet(format!("{events:#?}")), |event| Seen::Yes(event.clone())))
        })
        .await?;
        ensure!(mail["to"] == json!(["operations@example.com"]), "{mail}");
        ensure!(event["alert"] == "pager" && event["cause"] == "DeadLetters", "{event}");
        Ok((mail, event))
    }

    async fn others_are_told_of_it(&self) -> Result<()> {
        let (mail, event) = self.told_otherwise("1 record lies in the dead letters").await?;
        let command = format!("kubectl crosstie dlq list orders -n {NAMESPACE}");
        let text = mail["text"].as_str().unwrap_or_default();
        ensure!(text.contains(&command) && !text.contains(&POISONED.to_string()), "{mail}");
        let named = event["commands"].as_array().is_some_and(|commands| commands.contains(&json!(command)));
        ensure!(named && !event.to_string().contains(&POISONED.to_string()), "{event}");
        Ok(())
    }

    async fn it_is_replayed_later(&self, delivered: usize) -> Result<()> {
        self.shop.netsuite.clear_faults().await?;
        let table = self.dlq(&["list", "orders"]).await?;
        ensure!(table.contains(&POISONED.to_string()) && table.contains("1 dead letter"), "{table}");
        let replayed = self.dlq(&["replay", "orders", "--all"]).await?;
        ensure!(replayed.contains("1 replayed, 0 left"), "{replayed}");
        self.shop.delivered(delivered + 1).await?;
        self.shop.condition("integration", "orders", "DeadLettersEmpty", "True", "NoDeadLetters").await?;
        let over = "no record lies in the dead letters any more";
        self.told(&format!("resolved: {over}")).await?;
        self.told_otherwise(over).await?;
        self.shop.exactly_once().await
    }

    async fn an_outage_waits_in_order_and_is_told(&self, delivered: usize) -> Result<()> {
        let everything = FaultRule::new(Fault::RateLimited { retry_after_seconds: Some(1.0) }).method("PUT");
        self.shop.netsuite.add_fault(&everything).await?;
        self.shop.add_orders(LATE, 40).await?;
        self.shop.ready("integration", "orders", "False", "Throttled").await?;
        // States of one order that come while it waits.
        for note in ["first", "second", "third"] {
            self.shop.shopify.patch_record("orders", &LATE.to_string(), &json!({"note": note})).await?;
        }
        // Told after all the time in which an order alone would have been set aside.
        let told = self.told("a system has failed for long, and records wait").await?;
        ensure!(told.contains("Throttled") && told.contains("429"), "{told}");
        self.shop.condition("integration", "orders", "DeadLettersEmpty", "True", "NoDeadLetters").await?;
        let letters = self.letters().await?;
        ensure!(letters.is_empty(), "an outage filled the dead letters: {letters:?}");
        until("40 orders wait", async || {
            let status = self.shop.world.kubectl.get(NAMESPACE, "integration", "orders").await?.unwrap_or_default();
            let queue = &status["status"]["sync"]["queueDepth"];
            let all = queue.as_i64().is_some_and(|queue| queue >= 40);
            Ok(if all { Seen::Yes(()) } else { Seen::NotYet(status["status"]["sync"].to_string()) })
        })
        .await?;

        self.shop.netsuite.clear_faults().await?;
        self.shop.delivered(delivered + 40).await?;
        self.shop.ready("integration", "orders", "True", "Flowing").await?;
        self.told("resolved: the systems answer again").await?;
        self.the_newest_state_is_last().await?;
        ensure!(self.letters().await?.is_empty(), "something was set aside after the outage");
        let times = self.posts().await?.iter().filter(|text| text.contains("dead letters")).count();
        ensure!(times == 2, "the channel was told {times} times of dead letters: {:#?}", self.posts().await?);
        Ok(())
    }

    /// Every order was written once, but for the one that changed while it waited, which was written as it was last, last.
    async fn the_newest_state_is_last(&self) -> Result<()> {
        until("the newest state", async || {
            let order = self.shop.netsuite.record("salesOrder", &format!("eid:{LATE}")).await?.unwrap_or_default();
            Ok(if order["memo"] == "third" { Seen::Yes(()) } else { Seen::NotYet(order["memo"].to_string()) })
        })
        .await?;
        let writes = self.shop.netsuite.stats().await?.writes;
        let more = writes.keys_with_more_than_one_write.keys;
        ensure!(more.iter().all(|key| *key == format!("salesOrder/{LATE}")), "written more than once: {more:?}");
        Ok(())
    }

    /// The calls that wrote an order, oldest first.
    async fn calls_for(&self, order: u64) -> Result<Vec<LogEntry>> {
        let mut calls = self.shop.netsuite.log(0).await?.entries;
        calls.retain(|call| call.method == "PUT" && call.path.contains(&format!("eid:{order}?")));
        Ok(calls)
    }

    async fn letters(&self) -> Result<Vec<Value>> {
        Ok(serde_json::from_str(&self.dlq(&["list", "orders", "-o", "json"]).await?)?)
    }

    async fn dlq(&self, arguments: &[&str]) -> Result<String> {
        let command = [&["dlq"], arguments, &["-n", NAMESPACE]].concat();
        self.shop.world.kubectl.crosstie(&command).await
    }

    /// What the channel was told so far.
    async fn posts(&self) -> Result<Vec<String>> {
        let posts = self.slack.records("messages", 0, 100).await?.items;
        Ok(posts.iter().filter_map(|post| post["text"].as_str()).map(ToOwned::to_owned).collect())
    }

    /// Waits until the channel was told this, and gives the whole message.
    async fn told(&self, what: &str) -> Result<String> {
        let waited = until(&format!("the channel is told: {what}"), async || {
            let posts = self.posts().await?;
            let found = posts.iter().find(|text| text.contains(what));
            Ok(found.map_or_else(|| Seen::NotYet(format!("{posts:#?}")), |text| Seen::Yes(text.clone())))
        })
        .await;
        match waited {
            Ok(text) => Ok(text),
            Err(error) => anyhow::bail!("{error:#}\n{}", self.shop.describe().await),
        }
    }
}
