//! Ready says what is wrong, each time with a reason of its own, within a minute of the fault, and is well again within a minute of the repair.
//! What disturbs the whole cluster is in the disruptions.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use crosstie_tests::{
    shop::Shop,
    wait::{Seen, until},
};
use crosstie_vendors::wire::{Fault, FaultRule};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::tampering;

/// Within which time a fault is said, and its end.
const SOON: Duration = Duration::from_mins(1);
/// A limit in which the worker starts, and a page of [`LARGE_ORDERS`] with [`MANY_LINES`] does not fit: it is killed whenever it reads them.
const TOO_LITTLE_MEMORY: &str = "10Mi";
const LARGE_ORDERS: u16 = 200;
const MANY_LINES: u32 = 100;
/// How many run side by side: each has a worker of its own.
const AT_ONCE: usize = 5;

/// A fault, as it is caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    SourceDown,
    DestinationDown,
    SlowedDown,
    KeyRevoked,
    AddressRefused,
    MappingBroken,
    MappingMisspelt,
    ConnectorGone,
    ConnectorInvalid,
    Suspended,
    FitsOnNoNode,
    KeyMissing,
    ReportsRefused,
    VolumeFull,
    ImageMissing,
    PodsForbidden,
    TooLittleMemory,
    WorkerHangs,
    SubscriptionRefused,
    NothingDue,
}

const CASES: [Case; 20] = [
    Case::SourceDown,
    Case::DestinationDown,
    Case::SlowedDown,
    Case::KeyRevoked,
    Case::AddressRefused,
    Case::MappingBroken,
    Case::MappingMisspelt,
    Case::ConnectorGone,
    Case::ConnectorInvalid,
    Case::Suspended,
    Case::FitsOnNoNode,
    Case::KeyMissing,
    Case::ReportsRefused,
    Case::VolumeFull,
    Case::ImageMissing,
    Case::PodsForbidden,
    Case::TooLittleMemory,
    Case::WorkerHangs,
    Case::SubscriptionRefused,
    Case::NothingDue,
];

#[tokio::test]
async fn every_fault_has_its_reason_within_a_minute_and_none_outlives_its_repair_by_more() -> Result<()> {
    let mut failed = Vec::new();
    for some in CASES.chunks(AT_ONCE) {
        let results = join_all(some.iter().map(|case| case.run())).await;
        failed.extend(results.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")));
    }
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

impl Case {
    /// Status and reason of Ready, and a word of its message.
    fn expected(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::SourceDown => ("False", "SourceUnavailable", "reading `orders`"),
            Self::DestinationDown => ("False", "DestinationUnavailable", "upsertSalesOrder"),
            Self::SlowedDown => ("False", "Throttled", "429"),
            Self::KeyRevoked => ("False", "CredentialsRejected", "netsuite"),
            Self::AddressRefused => ("False", "EgressRefused", "169.254.169.254"),
            Self::MappingBroken => ("False", "MappingFailing", "memo"),
            Self::MappingMisspelt => ("False", "PlanInvalid", "memo"),
            Self::ConnectorGone => ("False", "ConnectorNotFound", "netsuite"),
            Self::ConnectorInvalid => ("False", "ConnectorNotReady", "netsuite"),
            Self::Suspended => ("True", "Suspended", "suspend"),
            Self::FitsOnNoNode => ("False", "WorkerUnavailable", "fits on no node"),
            Self::KeyMissing => ("False", "KeyMissing", "webhookSecret"),
            Self::ReportsRefused => ("False", "ReportStale", "stopped reporting"),
            Self::VolumeFull => ("False", "StoreFailed", "volume is full"),
            Self::ImageMissing => ("False", "ImageUnavailable", "crosstie/worker:none"),
            Self::PodsForbidden => ("False", "WorkerUnavailable", "exceeded quota"),
            Self::TooLittleMemory => ("False", "WorkerCrashLooping", "keeps running out of memory"),
            Self::WorkerHangs => ("False", "WorkerUnavailable", "does not become ready"),
            Self::SubscriptionRefused => ("False", "SubscriptionMissing", "orders/create"),
            // No fault: a flow that waits for its time is well.
            Self::NothingDue => ("True", "Flowing", "every flow was read"),
        }
    }

    async fn run(self) -> Result<()> {
        let name = format!("health-{self:?}").to_lowercase();
        let shop = Shop::open(&name).await?;
        let subject = Subject { case: self, shop: &shop };
        let played = subject.play().await.with_context(|| format!("{self:?}"));
        if self == Self::VolumeFull {
            tampering::drop_volume(&shop).await?;
        }
        shop.close().await?;
        played
    }
}

/// A case in its shop.
struct Subject<'a> {
    case: Case,
    shop: &'a Shop,
}

impl Subject<'_> {
    async fn play(&self) -> Result<()> {
        let (shop, (status, reason, word)) = (self.shop, self.case.expected());
        shop.add_orders(1, 5).await?;
        self.prepare().await?;
        shop.start().await?;
        shop.delivered(5).await?;
        let begun = Instant::now();
        self.cause().await?;
        if self.case == Case::MappingBroken {
            self.at_work().await?;
        }
        shop.add_orders(101, 5).await?;
        let message = shop.ready("integration", "orders", status, reason).await?;
        let said = begun.elapsed();
        ensure!(message.contains(word), "{reason} does not name {word:?}: {message}");
        if self.case == Case::NothingDue {
            self.stays_well().await?;
        }
        let begun = Instant::now();
        self.repair().await?;
        shop.ready("integration", "orders", "True", "Flowing").await?;
        let over = begun.elapsed();
        println!("{:?}: {reason} after {:.0} s, over after {:.0} s", self.case, said.as_secs_f32(), over.as_secs_f32());
        if said > SOON || over > SOON {
            bail!("{reason} was said after {said:?} and over after {over:?}");
        }
        // Nothing was lost meanwhile.
        if self.case == Case::MappingBroken {
            shop.world.kubectl.crosstie(&["dlq", "replay", "orders", "-n", &shop.namespace, "--all"]).await?;
        }
        shop.add_orders(201, 5).await?;
        let large = if self.case == Case::TooLittleMemory { LARGE_ORDERS } else { 0 };
        shop.delivered(15 + usize::from(large)).await
    }

    /// What a case needs before anything runs.
    async fn prepare(&self) -> Result<()> {
        match self.case {
            Case::VolumeFull => tampering::small_volume(self.shop).await,
            Case::SubscriptionRefused => self.sign_webhooks().await,
            Case::SourceDown
            | Case::DestinationDown
            | Case::SlowedDown
            | Case::KeyRevoked
            | Case::AddressRefused
            | Case::MappingBroken
            | Case::MappingMisspelt
            | Case::ConnectorGone
            | Case::ConnectorInvalid
            | Case::Suspended
            | Case::FitsOnNoNode
            | Case::KeyMissing
            | Case::ReportsRefused
            | Case::ImageMissing
            | Case::PodsForbidden
            | Case::TooLittleMemory
            | Case::WorkerHangs
            | Case::NothingDue => Ok(()),
        }
    }

    /// The shop's secret gets what webhooks are signed with.
    async fn sign_webhooks(&self) -> Result<()> {
        let secret = format!("{}/shopify", self.shop.namespace);
        let whole = json!({"token": "shopify-1", "webhookSecret": "hush"});
        self.shop.world.secrets.put_json(&secret, &whole).await.map(drop)
    }

    /// While nothing is due, Ready says so without a break, for longer than a worker may be silent.
    async fn stays_well(&self) -> Result<()> {
        let (shop, begun) = (self.shop, jiff::Timestamp::now());
        let ready = async || {
            let orders = shop.world.kubectl.get(&shop.namespace, "integration", "orders").await?.unwrap_or_default();
            let conditions = orders["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let found = conditions.into_iter().find(|condition| condition["type"] == "Ready");
            Ok::<_, anyhow::Error>((orders, found.unwrap_or_default()))
        };
        let (_, before) = ready().await?;
        until("the worker reported that nothing is due, for longer than it may be silent", async || {
            let (orders, now) = ready().await?;
            let report = shop.world.kubectl.get(&shop.namespace, "syncreport", "orders").await?.unwrap_or_default();
            let reported = &report["status"]["workers"][0]["reportedAt"];
            let time = |value: &Value| value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
            let late = time(reported).is_some_and(|at| at.duration_since(begun).as_secs() > 60);
            let far = time(&orders["status"]["sync"]["nextRunTime"]);
            let far = far.is_some_and(|next| next.duration_since(begun).as_secs() > 3600);
            if now["status"] != "True" || now["lastTransitionTime"] != before["lastTransitionTime"] {
                return Ok(Seen::Yes(Err(anyhow::anyhow!("Ready changed while nothing was due: {now}"))));
            }
            Ok(if late && far { Seen::Yes(Ok(())) } else { Seen::NotYet(format!("{reported} {orders}")) })
        })
        .await?
    }

    /// Waits until the worker runs the newest plan: only that one makes records fail.
    async fn at_work(&self) -> Result<()> {
        let shop = self.shop;
        until("the worker runs the newest plan", async || {
            let orders = shop.world.kubectl.get(&shop.namespace, "integration", "orders").await?.unwrap_or_default();
            let (status, newest) = (&orders["status"], &orders["metadata"]["generation"]);
            let runs =
                status["observedGeneration"] == *newest && status["plan"]["hash"] == status["plan"]["appliedHash"];
            Ok(if runs { Seen::Yes(()) } else { Seen::NotYet(status["plan"].to_string()) })
        })
        .await
    }

    async fn cause(&self) -> Result<()> {
        let shop = self.shop;
        let answering = |code| FaultRule::new(Fault::Status { code, headers: [].into(), body: Value::Null });
        match self.case {
            Case::SourceDown => shop.shopify.add_fault(&answering(503)).await.map(drop)?,
            Case::DestinationDown => shop.netsuite.add_fault(&answering(503).method("PUT")).await.map(drop)?,
            Case::SlowedDown => {
                let slow = FaultRule::new(Fault::RateLimited { retry_after_seconds: Some(1.0) });
                shop.netsuite.add_fault(&slow.method("PUT")).await.map(drop)?;
            }
            Case::KeyRevoked => shop.netsuite.revoke_token("netsuite-1").await.map(drop)?,
            Case::AddressRefused => {
                let mut source = shop.source();
                source["spec"]["baseURL"] = json!("http://169.254.169.254");
                shop.apply(&[&source]).await.map(drop)?;
            }
            Case::MappingBroken => self.map_memo("record.line_items[999].sku").await?,
            Case::MappingMisspelt => self.map_memo("record.(").await?,
            Case::ConnectorGone => {
                let delete = ["-n", &shop.namespace, "delete", "connector", "netsuite"];
                shop.world.kubectl.run(&delete).await.map(drop)?;
            }
            Case::ConnectorInvalid => {
                let mut destination = shop.destination();
                destination["spec"]["preset"] = json!("NetSweet");
                shop.apply(&[&destination]).await.map(drop)?;
            }
            Case::Suspended => self.change(|spec| spec["suspend"] = json!(true)).await?,
            Case::FitsOnNoNode => {
                let too_much = json!({"resources": {"requests": {"cpu": "900"}}});
                self.change(|spec| spec["workers"] = too_much).await?;
            }
            Case::KeyMissing => self.take_webhooks(json!({})).await?,
            Case::SubscriptionRefused => {
                let refused = Fault::Status { code: 422, headers: [].into(), body: json!({"errors": "no"}) };
                let refused = FaultRule::new(refused).method("POST").path_contains("/webhooks");
                shop.shopify.add_fault(&refused).await?;
                self.take_webhooks(json!({"host": "hooks.example.com"})).await?;
            }
            Case::TooLittleMemory => {
                let too_little = json!({"resources": {"limits": {"memory": TOO_LITTLE_MEMORY}}});
                self.change(|spec| spec["workers"] = too_little).await?;
                shop.add_large_orders(1001, LARGE_ORDERS.into(), MANY_LINES).await?;
            }
            Case::WorkerHangs => tampering::signal_worker(shop, "STOP").await?,
            Case::NothingDue => {
                let tomorrow = json!([{"everySeconds": 86_400}]);
                self.change(|spec| spec["flows"][0]["triggers"] = tomorrow).await?;
            }
            Case::ReportsRefused => tampering::refuse_reports(shop).await?,
            Case::VolumeFull => tampering::fill_volume(shop).await?,
            Case::ImageMissing => tampering::take_image(shop).await?,
            Case::PodsForbidden => tampering::forbid_pods(shop).await?,
        }
        Ok(())
    }

    async fn repair(&self) -> Result<()> {
        let shop = self.shop;
        match self.case {
            Case::SourceDown | Case::SubscriptionRefused => shop.shopify.clear_faults().await.map(drop)?,
            Case::DestinationDown | Case::SlowedDown => shop.netsuite.clear_faults().await.map(drop)?,
            Case::KeyRevoked => {
                shop.netsuite.set_tokens(&["netsuite-2"]).await?;
                let secret = format!("{}/netsuite", shop.namespace);
                shop.world.secrets.put_json(&secret, &json!({"token": "netsuite-2"})).await.map(drop)?;
            }
            Case::AddressRefused => shop.apply(&[&shop.source()]).await.map(drop)?,
            Case::ConnectorGone | Case::ConnectorInvalid => shop.apply(&[&shop.destination()]).await.map(drop)?,
            Case::MappingBroken
            | Case::MappingMisspelt
            | Case::Suspended
            | Case::FitsOnNoNode
            | Case::TooLittleMemory
            | Case::NothingDue => self.change(|_| ()).await?,
            Case::KeyMissing => self.sign_webhooks().await?,
            Case::WorkerHangs => tampering::signal_worker(shop, "CONT").await?,
            Case::ReportsRefused => tampering::take_reports(shop).await?,
            Case::VolumeFull => tampering::empty_volume(shop).await?,
            Case::ImageMissing => tampering::give_image(shop).await?,
            Case::PodsForbidden => tampering::allow_pods(shop).await?,
        }
        Ok(())
    }

    /// The flow takes webhooks too.
    async fn take_webhooks(&self, receiver: Value) -> Result<()> {
        self.change(|spec| {
            spec["receiver"] = receiver;
            spec["flows"][0]["triggers"] = json!([{"webhook": {"topics": ["orders/create"]}}, {"everySeconds": 1}]);
        })
        .await
    }

    async fn map_memo(&self, expression: &str) -> Result<()> {
        self.change(|spec| spec["flows"][0]["map"]["memo"] = json!(expression)).await
    }

    /// Applies the Integration, changed.
    async fn change(&self, change: impl FnOnce(&mut Value)) -> Result<()> {
        let mut orders = self.shop.orders()?;
        change(&mut orders["spec"]);
        self.shop.apply(&[&orders]).await.map(drop)
    }
}
