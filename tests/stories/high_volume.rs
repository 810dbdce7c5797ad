//! Story 10: a delivery service's orders come in bursts by webhook. Each user may send 100 a minute, menus are looked up far less often than orders name
//! them, every event and every call is in the log, and order management never gets more at once than it takes.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, Result, ensure};
use crosstie_tests::{
    example,
    shop::Shop,
    wait::{Seen, until},
};
use crosstie_vendors::{control::Client, sign};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

const NAMESPACE: &str = "high-volume";
const NAME: &str = "deliveries";
/// What the example allows a user in a minute.
const ALLOWED: usize = 100;
const SECRET: &str = "whsec_Y3Jvc3N0aWUgdGVzdCBzZWNyZXQgb2YgdGhlIGFwcA==";
const MENUS: usize = 8;
/// How many callers send at once.
const CALLERS: usize = 16;

struct Story {
    shop: Shop,
    app: Client,
    orders: Client,
    http: reqwest::Client,
}

/// What a webhook was answered.
#[derive(Debug)]
struct Answer {
    id: String,
    status: u16,
    retry_after: Option<u64>,
}

#[tokio::test]
async fn bursts_of_orders_are_limited_by_user_and_spare_the_systems_behind() -> Result<()> {
    let story = Story::open().await?;
    story.start().await?;
    let url = story.receiver().await?;

    let mut taken = story.a_user_may_send_a_hundred(&url).await?;
    taken.extend(story.other_users_are_not_concerned(&url).await?);
    story.delivered(&taken).await?;
    story.menus_are_read_far_less_than_they_are_named(taken.len()).await?;
    story.load_is_bounded().await?;
    story.every_event_is_in_the_log(&taken).await?;
    story.every_call_is_in_the_log(&taken).await?;
    story.shop.close().await
}

impl Story {
    async fn open() -> Result<Self> {
        let shop = Shop::open(NAMESPACE).await?;
        let app = Client::new(&shop.world.vendors, "rest", &format!("{NAMESPACE}-app"))?;
        let orders = Client::new(&shop.world.vendors, "rest", &format!("{NAMESPACE}-orders"))?;
        app.set_tokens(&["app-1"]).await?;
        orders.set_tokens(&["orders-1"]).await?;
        // It refuses what comes beside four others.
        orders.change_settings(&json!({"concurrencyLimit": 4})).await?;
        let of_app = json!({"token": "app-1", "webhookSecret": SECRET});
        shop.world.secrets.put_json(&format!("{NAMESPACE}/app"), &of_app).await?;
        shop.world.secrets.put_json(&format!("{NAMESPACE}/order-management"), &json!({"token": "orders-1"})).await?;
        for menu in 0..MENUS {
            app.put_record("menus", &format!("m{menu}"), &json!({"name": format!("Dish {menu}")})).await?;
        }
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        Ok(Self { shop, app, orders, http })
    }

    async fn start(&self) -> Result<()> {
        let accounts = [("app", &self.app), ("order-management", &self.orders)];
        example::apply(&self.shop, NAME, &accounts, |_| ()).await?;
        self.shop.ready("integration", NAME, "True", "Flowing").await.map(drop)
    }

    /// The receiver's address within the cluster.
    async fn receiver(&self) -> Result<String> {
        let kubectl = &self.shop.world.kubectl;
        let integration = kubectl.get(NAMESPACE, "integration", NAME).await?.context("it exists")?;
        let service = integration["status"]["receiver"]["service"].as_str().context("no Service in status")?;
        let service = kubectl.get(NAMESPACE, "service", service).await?.context("there is no Service")?;
        let address = service["spec"]["clusterIP"].as_str().context("the Service has no address")?;
        Ok(format!("http://{address}/{NAMESPACE}/{NAME}"))
    }

    /// A user sends twice as much as is allowed. Gives the orders that were taken.
    async fn a_user_may_send_a_hundred(&self, url: &str) -> Result<Vec<String>> {
        let begun = std::time::Instant::now();
        let answers = self.send_all(url, "user-1", 2 * ALLOWED).await?;
        // What a bucket of 100 a minute gave back meanwhile.
        let regained = usize::try_from(begun.elapsed().as_secs() * 100 / 60)? + 2;
        let (taken, refused): (Vec<&Answer>, Vec<&Answer>) = answers.iter().partition(|answer| answer.status == 200);
        ensure!(
            (ALLOWED..=ALLOWED + regained).contains(&taken.len()),
            "{} of {} were taken, and {regained} more were due at most",
            taken.len(),
            answers.len()
        );
        ensure!(!refused.is_empty(), "nothing was refused");
        let told_when = |answer: &&&Answer| answer.status == 429 && answer.retry_after.is_some_and(|wait| wait > 0);
        ensure!(refused.iter().filter(told_when).count() == refused.len(), "refused otherwise: {refused:?}");
        Ok(taken.into_iter().map(|answer| answer.id.clone()).collect())
    }

    /// While one user has nothing left, others are taken.
    async fn other_users_are_not_concerned(&self, url: &str) -> Result<Vec<String>> {
        let mut taken = Vec::new();
        for user in ["user-2", "user-3", "user-4"] {
            let answers = self.send_all(url, user, ALLOWED).await?;
            let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status != 200).collect();
            ensure!(refused.is_empty(), "another user was refused: {refused:?}");
            taken.extend(answers.into_iter().map(|answer| answer.id));
        }
        Ok(taken)
    }

    /// Orders of a user, from several callers at once.
    async fn send_all(&self, url: &str, user: &str, count: usize) -> Result<Vec<Answer>> {
        let one = |number: usize| {
            let id = format!("{user}-{number}");
            let now = jiff::Timestamp::now();
            let order = json!({
                "id": id, "userId": user, "menuId": format!("m{}", number % MENUS), "amount": 12.5, "updated_at": now.to_string(),
            });
            self.send(url, id, json!({"type": "order.placed", "data": order}))
        };
        stream::iter(0..count).map(one).buffer_unordered(CALLERS).try_collect().await
    }

    /// Sends an event as the app does.
    async fn send(&self, url: &str, id: String, event: Value) -> Result<Answer> {
        let (body, seconds) = (event.to_string(), jiff::Timestamp::now().as_second());
        let signature = sign::standard_webhooks(SECRET, &id, seconds, &body).context("the secret is none")?;
        let request = self.http.post(url).header("webhook-id", &id).header("webhook-timestamp", seconds);
        let response = request.header("webhook-signature", signature).body(body).send().await?;
        let wait = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Answer { id, status: response.status().as_u16(), retry_after: wait })
    }

    /// Every order that was acknowledged is there, once, with the name of its dish, and no other.
    async fn delivered(&self, taken: &[String]) -> Result<()> {
        let waited = until(&format!("{} orders", taken.len()), async || {
            let total = self.orders.records("orders", 0, 1).await?.total;
            Ok(if total >= taken.len() { Seen::Yes(()) } else { Seen::NotYet(format!("{total} orders")) })
        })
        .await;
        if let Err(error) = waited {
            anyhow::bail!("{error:#}\n{}", self.shop.describe().await);
        }
        let orders = self.orders.records("orders", 0, 10_000).await?.items;
        let found: BTreeSet<&str> = orders.iter().filter_map(|order| order["id"].as_str()).collect();
        let wanted: BTreeSet<&str> = taken.iter().map(String::as_str).collect();
        ensure!(found == wanted, "not the orders that were acknowledged: {:?}", found.symmetric_difference(&wanted));
        let named = |order: &Value| order["dish"].as_str().is_some_and(|dish| dish.starts_with("Dish "));
        ensure!(orders.iter().all(named), "an order without its dish");
        let writes = self.orders.stats().await?.writes;
        ensure!(writes.applied == writes.distinct, "written twice: {:?}", writes.keys_with_more_than_one_write);
        Ok(())
    }

    /// Each order names a menu: without the cache as many calls. 40% fewer are asked for.
    async fn menus_are_read_far_less_than_they_are_named(&self, orders: usize) -> Result<()> {
        let requests = self.app.stats().await?.requests;
        let reads: u64 = requests.iter().filter(|entry| entry.route.contains("/menus/")).map(|entry| entry.count).sum();
        let reads = usize::try_from(reads)?;
        ensure!(reads >= MENUS, "{reads} reads of {MENUS} menus: they are not looked up at all");
        ensure!(reads * 100 <= orders * 60, "{orders} orders took {reads} reads of menus");
        Ok(())
    }

    async fn load_is_bounded(&self) -> Result<()> {
        let stats = self.orders.stats().await?;
        ensure!(stats.peak_concurrency <= 4, "{} calls at once", stats.peak_concurrency);
        ensure!(stats.with_status(429) == 0, "order management had to refuse calls");
        Ok(())
    }

    async fn every_event_is_in_the_log(&self, taken: &[String]) -> Result<()> {
        let command = ["events", NAME, "-n", NAMESPACE, "--most", "10000", "-o", "json"];
        let events: Vec<Value> = serde_json::from_str(&self.shop.world.kubectl.crosstie(&command).await?)?;
        let logged: BTreeSet<&str> = events.iter().filter_map(|event| event["id"].as_str()).collect();
        let missing: Vec<&String> = taken.iter().filter(|id| !logged.contains(id.as_str())).collect();
        ensure!(missing.is_empty(), "not in the log: {missing:?}");
        Ok(())
    }
    /// As many calls as both systems counted, each with the vendor's id, each order's write with its key, and none of what they carried.
    async fn every_call_is_in_the_log(&self, taken: &[String]) -> Result<()> {
        let command = ["calls", NAME, "-n", NAMESPACE, "--most", "100000", "-o", "json"];
        let text = self.shop.world.kubectl.crosstie(&command).await?;
        let calls: Vec<Value> = serde_json::from_str(&text)?;
        let to = |system: &str| calls.iter().filter(|call| call["system"] == system).collect::<Vec<_>>();
        let writes = to("order-management");
        let counted = self.orders.stats().await?.total_requests;
        ensure!(writes.len() == usize::try_from(counted)?, "{} of {counted} calls are in the log", writes.len());
        let written: BTreeSet<&str> = writes.iter().filter_map(|call| call["key"].as_str()).collect();
        let missing: Vec<&String> = taken.iter().filter(|id| !written.contains(id.as_str())).collect();
        ensure!(missing.is_empty(), "orders whose write is not in the log: {missing:?}");
        ensure!(writes.iter().all(|call| call["requestId"].is_string()), "a call without the vendor's id");
        let menus = to("app").iter().filter(|call| call["purpose"] == "Consult").count();
        ensure!(menus >= MENUS, "{menus} look-ups of {MENUS} menus are in the log");
        for secret in ["app-1", "orders-1", SECRET, "Dish "] {
            ensure!(!text.contains(secret), "{secret} is in the log");
        }
        Ok(())
    }
}
