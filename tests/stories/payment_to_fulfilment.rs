//! Story 5: a payment that Stripe tells of by a webhook is shipped at once, and once, however often Stripe says it and whatever restarts meanwhile;
//! one that is declined is told to a channel. The webhook comes in through the Service, as it does behind an Ingress.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crosstie_tests::{
    example,
    shop::Shop,
    wait::{Seen, until},
};
use crosstie_vendors::{control::Client, wire::WriteKind};
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::Sha256;

const NAMESPACE: &str = "fulfilment";
const NAME: &str = "payments-to-fulfilment";
const DECLINED: &str = "declined-payments";
/// The channel that the example names.
const CHANNEL: &str = "C0123456789";

/// The accounts of the story.
struct Story {
    shop: Shop,
    stripe: Client,
    tool: Client,
    slack: Client,
}

#[tokio::test]
async fn a_payment_is_shipped_once_however_often_stripe_tells_of_it() -> Result<()> {
    let story = Story::open().await?;
    story.start().await?;
    let url = story.receiver(NAME).await?;

    story.stripe.put_record("charges", "ch_1", &charge(1999, "succeeded")).await?;
    let told = json!({"id": "evt_1", "type": "charge.succeeded", "created": 1_790_000_000, "data": {"object": {"id": "ch_1"}}});
    let sent = Timestamp::now();
    for _ in 0..5 {
        ensure!(send(&url, "whsec_1", &told).await? == 200, "a webhook was not acknowledged");
    }
    story.shipped("ch_1").await?;
    story.it_took_no_reading(sent).await?;
    let shipment = story.tool.record("shipments", "ch_1").await?.context("it is there")?;
    ensure!(shipment["amount"] == json!(19.99), "{shipment}");

    story.a_declined_payment_is_told_once(&url).await?;
    ensure!(send(&url, "whsec_guess", &told).await? == 401, "a forged webhook was taken");

    story.a_signing_secret_is_changed(&url).await?;
    story.nothing_acknowledged_is_lost_when_the_worker_dies(&url).await?;
    story.a_person_sees_each_event().await?;
    ensure!(story.slack.records("messages", 0, 10).await?.total == 1, "more was told than the one declined payment");
    let writes = story.tool.stats().await?.writes;
    ensure!(writes.applied == writes.distinct, "shipped more than once: {:?}", writes.keys_with_more_than_one_write);
    ensure!(story.tool.record("shipments", "ch_2").await?.is_none(), "a declined payment was shipped");
    story.shop.close().await
}

impl Story {
    async fn open() -> Result<Self> {
        let shop = Shop::open(NAMESPACE).await?;
        let stripe = Client::new(&shop.world.vendors, "stripe", NAMESPACE)?;
        let tool = Client::new(&shop.world.vendors, "rest", NAMESPACE)?;
        stripe.set_tokens(&["stripe-1"]).await?;
        tool.set_tokens(&["tool-1"]).await?;
        let slack = Client::new(&shop.world.vendors, "slack", NAMESPACE)?;
        slack.set_tokens(&["slack-1"]).await?;
        let channel = json!({"name": "payments", "is_channel": true, "is_member": true, "is_archived": false});
        slack.put_record("conversations", CHANNEL, &channel).await?;
        let story = Self { shop, stripe, tool, slack };
        story.sign_with("whsec_1").await?;
        story.shop.world.secrets.put_json("fulfilment/fulfilment", &json!({"token": "tool-1"})).await?;
        story.shop.world.secrets.put_json("fulfilment/slack", &json!({"token": "slack-1"})).await?;
        Ok(story)
    }

    /// Stores a signing secret for Stripe's webhooks. Gives the version's id.
    async fn sign_with(&self, secret: &str) -> Result<String> {
        let value = json!({"token": "stripe-1", "webhookSecret": secret});
        self.shop.world.secrets.put_json("fulfilment/stripe", &value).await
    }

    async fn start(&self) -> Result<()> {
        let accounts = [("stripe", &self.stripe), ("fulfilment", &self.tool), ("slack", &self.slack)];
        let with_ingress =
            |integration: &mut Value| integration["spec"]["receiver"]["ingress"] = json!({"className": "none"});
        example::apply(&self.shop, NAME, &accounts, with_ingress).await?;
        self.shop.ready("integration", NAME, "True", "Flowing").await?;
        self.shop.ready("integration", DECLINED, "True", "Flowing").await.map(drop)
    }

    /// A payment that is declined is not shipped, and is told to the channel, once.
    async fn a_declined_payment_is_told_once(&self, url: &str) -> Result<()> {
        self.stripe.put_record("charges", "ch_2", &charge(500, "failed")).await?;
        let declined = json!({"id": "evt_2", "type": "charge.failed", "created": 1_790_000_000, "data": {"object": {"id": "ch_2"}}});
        // The other receiver is told too, as Stripe tells every endpoint, and no flow of it asks for that.
        for url in [url, &self.receiver(DECLINED).await?] {
            for _ in 0..2 {
                ensure!(send(url, "whsec_1", &declined).await? == 200, "a webhook was not acknowledged");
            }
        }
        until("the channel is told", async || {
            let posts = self.slack.records("messages", 0, 10).await?;
            let told = posts.items.iter().any(|post| post["text"].as_str().is_some_and(|text| text.contains("ch_2")));
            Ok(if told && posts.total == 1 { Seen::Yes(()) } else { Seen::NotYet(format!("{} posts", posts.total)) })
        })
        .await
    }

    /// The receiver's address within the cluster; what status and Ingress say of it is what a person would enter at Stripe.
    async fn receiver(&self, name: &str) -> Result<String> {
        let kubectl = &self.shop.world.kubectl;
        let status =
            kubectl.get(NAMESPACE, "integration", name).await?.context("it exists")?["status"]["receiver"].clone();
        let path = format!("/{NAMESPACE}/{name}");
        ensure!(status["url"] == json!(format!("https://hooks.example.com{path}")), "{status}");
        let service = status["service"].as_str().context("no Service in status")?.to_owned();
        let ingress = kubectl.get(NAMESPACE, "ingress", &service).await?.context("there is no Ingress")?;
        let rule = &ingress["spec"]["rules"][0];
        ensure!(rule["host"] == "hooks.example.com" && rule["http"]["paths"][0]["path"] == json!(path), "{rule}");
        let service = kubectl.get(NAMESPACE, "service", &service).await?.context("there is no Service")?;
        let address = service["spec"]["clusterIP"].as_str().context("the Service has no address")?;
        Ok(format!("http://{address}{path}"))
    }

    /// Waits until a payment is shipped.
    async fn shipped(&self, id: &str) -> Result<()> {
        let waited = until(&format!("{id} is shipped"), async || {
            let shipment = self.tool.record("shipments", id).await?;
            Ok(if shipment.is_some() { Seen::Yes(()) } else { Seen::NotYet("it is not".into()) })
        })
        .await;
        match waited {
            Ok(()) => Ok(()),
            Err(error) => anyhow::bail!("{error:#}\n{}", self.shop.describe().await),
        }
    }

    /// The first shipment was made since the webhook was sent, and long before the example would have read for itself.
    async fn it_took_no_reading(&self, sent: Timestamp) -> Result<()> {
        let calls = self.tool.log(0).await?.entries;
        let made = calls.iter().find(|call| call.effect == Some(WriteKind::Created)).context("nothing was made")?;
        let latency = made.time.duration_since(sent);
        println!("from the webhook to the shipment: {} ms", latency.as_millis());
        ensure!(
            latency > SignedDuration::ZERO && latency < SignedDuration::from_secs(900),
            "shipped {latency:#} after the webhook"
        );
        Ok(())
    }

    /// Every event is in the log with its id, and says how often it came.
    async fn a_person_sees_each_event(&self) -> Result<()> {
        let table = self.shop.world.kubectl.crosstie(&["events", NAME, "-n", NAMESPACE, "--most", "1000"]).await?;
        let line = table.lines().find(|line| line.contains("evt_1 ")).with_context(|| table.clone())?;
        ensure!(line.contains("charge.succeeded") && line.contains(" 4  taken"), "{table}");
        ensure!((10..30).all(|number| table.contains(&format!("evt_{number} "))), "{table}");
        Ok(())
    }

    /// Webhooks signed with the secret before are taken for as long as the change goes round, and after it, too: the new one joins it.
    async fn a_signing_secret_is_changed(&self, url: &str) -> Result<()> {
        self.sign_with("whsec_2").await?;
        let (mut number, mut refused) = (0, 0);
        until("the new signing secret is at work", async || {
            number += 1;
            let told = |secret: &str| {
                let id = format!("evt_{secret}_{number}");
                json!({"id": id, "type": "charge.succeeded", "created": 1_790_000_000, "data": {"object": {"id": "ch_1"}}})
            };
            refused += u32::from(send(url, "whsec_1", &told("1")).await? != 200);
            let status = send(url, "whsec_2", &told("2")).await?;
            Ok(if status == 200 { Seen::Yes(()) } else { Seen::NotYet(format!("{status}")) })
        })
        .await?;
        ensure!(refused == 0, "the secret before was refused {refused} times of {number} during the change");
        Ok(())
    }

    /// The worker's pod is killed among webhooks that are sent until they are acknowledged.
    async fn nothing_acknowledged_is_lost_when_the_worker_dies(&self, url: &str) -> Result<()> {
        let kubectl = &self.shop.world.kubectl;
        for number in 10..30 {
            let id = format!("ch_{number}");
            self.stripe.put_record("charges", &id, &charge(100, "succeeded")).await?;
            let told = json!({
                "id": format!("evt_{number}"), "type": "charge.succeeded", "created": 1_790_000_000, "data": {"object": {"id": id}},
            });
            if number == 20 {
                let pods = "app.kubernetes.io/component=sync-worker";
                let kill =
                    ["-n", NAMESPACE, "delete", "pod", "-l", pods, "--grace-period=0", "--force", "--wait=false"];
                kubectl.run(&kill).await?;
            }
            until(&format!("{id} is acknowledged"), async || {
                let answer = send(url, "whsec_2", &told).await;
                Ok(match answer {
                    Ok(200) => Seen::Yes(()),
                    other => Seen::NotYet(format!("{other:?}")),
                })
            })
            .await?;
        }
        for number in 10..30 {
            self.shipped(&format!("ch_{number}")).await?;
        }
        Ok(())
    }
}

fn charge(amount: u32, status: &str) -> Value {
    json!({"amount": amount, "currency": "usd", "status": status, "captured": status == "succeeded", "refunded": false})
}

/// Sends an event as Stripe does. Gives the status of the answer.
async fn send(url: &str, secret: &str, event: &Value) -> Result<u16> {
    let body = event.to_string();
    let now = Timestamp::now().as_second();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    mac.update(format!("{now}.{body}").as_bytes());
    let signature = mac.finalize().into_bytes().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
    let request = client.post(url).header("Stripe-Signature", format!("t={now},v1={signature}")).body(body);
    Ok(request.send().await?.status().as_u16())
}
