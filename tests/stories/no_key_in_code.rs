//! Story 7: HubSpot contacts go to an internal analytics API with OAuth 2.0, and every key is in AWS Secrets Manager alone. While contacts come in
//! without a pause, keys grow too old and are replaced, by hand and by AWS, one that leaked ends at once, and an access token ends before its time.
//! No record fails, no worker restarts, old keys are dead, and whatever was said or written meanwhile shows no secret value. What is searched for
//! them, and how, is in `search`.

#[path = "no_key_in_code/search.rs"]
mod search;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crosstie_tests::{
    aws_faults::{AwsFaults, Call, Fault, Rule},
    example,
    shop::Shop,
    wait::{Seen, until},
};
use crosstie_vendors::{control::Client, wire::OAuth2Client};
use serde_json::{Value, json};

const NAMESPACE: &str = "no-key";
const EXAMPLE: &str = "contacts-to-analytics";
/// HubSpot's keys, in their order. All begin with the mark that is searched for.
const KEYS: [&str; 3] = ["CTSEED-hubspot-1", "CTSEED-hubspot-2", "CTSEED-hubspot-3"];
const CLIENT_ID: &str = "crosstie";
/// The client's secrets at the analytics API, in their order.
const CLIENT_SECRETS: [&str; 2] = ["CTSEED-client-1", "CTSEED-client-2"];
/// Access tokens begin with this.
const ACCESS_TOKEN: &str = "CTSEED-access-";
/// Versions that are older than the example allows.
const OLD: [&str; 2] = ["00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"];
const OLD_DAYS: u32 = 91;
/// Contacts that are made and have not arrived yet, at the most.
const AHEAD: usize = 20;

struct Story {
    shop: Shop,
    hubspot: Client,
    analytics: Client,
    aws: AwsFaults,
    http: reqwest::Client,
}

#[tokio::test]
async fn keys_are_replaced_under_load_and_none_is_seen_anywhere() -> Result<()> {
    let story = Story::open().await?;
    let told = story.tell().await;
    if let Err(error) = told {
        anyhow::bail!("{error:#}\n{}", story.shop.describe().await);
    }
    story.shop.close().await
}

impl Story {
    async fn open() -> Result<Self> {
        let shop = Shop::open(NAMESPACE).await?;
        let hubspot = Client::new(&shop.world.vendors, "hubspot", NAMESPACE)?;
        let analytics = Client::new(&shop.world.vendors, "rest", NAMESPACE)?;
        hubspot.set_tokens(&KEYS[..1]).await?;
        let client = OAuth2Client {
            client_id: CLIENT_ID.into(),
            client_secret: CLIENT_SECRETS[0].into(),
            refresh_tokens: Vec::new(),
            lifetime_seconds: 3600,
            rotates: false,
            revokes: true,
            access_token_prefix: ACCESS_TOKEN.into(),
        };
        analytics.set_oauth2(&client).await?;
        let aws = shop.world.aws_faults(NAMESPACE)?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        let story = Self { shop, hubspot, analytics, aws, http };
        story.put("hubspot", &key(KEYS[0])).await?;
        story.put("analytics", &client_secret(CLIENT_SECRETS[0])).await?;
        story.shop.world.secrets.configure_rotation(&secret("analytics")).await?;
        Ok(story)
    }

    async fn tell(&self) -> Result<()> {
        search::no_key_is_in_the_manifests(EXAMPLE)?;
        self.start().await?;
        let worker = self.worker().await?;
        self.under_load(async {
            self.a_key_that_is_too_old_is_shown_and_replaced_by_hand().await?;
            self.a_key_that_leaked_ends_at_once().await?;
            self.an_access_token_that_ends_early_is_renewed().await?;
            self.a_clients_secret_that_is_too_old_is_rotated_by_aws().await
        })
        .await?;
        self.every_contact_arrived_once().await?;
        let after = self.worker().await?;
        ensure!(worker == after, "the worker was {worker}, and is {after}");
        self.no_record_failed().await?;
        search::no_secret_value_is_seen(&self.shop).await
    }

    async fn put(&self, connector: &str, value: &Value) -> Result<String> {
        self.shop.world.secrets.put_json(&secret(connector), value).await
    }

    async fn start(&self) -> Result<()> {
        self.contact(1).await?;
        // Every second in place of every five minutes.
        let often = |integration: &mut Value| {
            integration["spec"]["flows"][0]["triggers"] = json!([{"everySeconds": 1}]);
        };
        let accounts = [("hubspot", &self.hubspot), ("analytics", &self.analytics)];
        example::apply(&self.shop, EXAMPLE, &accounts, often).await?;
        self.shop.ready("integration", "contacts", "True", "Flowing").await?;
        self.arrived(1).await?;
        for connector in ["hubspot", "analytics"] {
            self.shop.condition("connector", connector, "CredentialsFresh", "True", "Fresh").await?;
        }
        Ok(())
    }

    async fn contact(&self, number: usize) -> Result<()> {
        let properties = json!({"email": format!("{number}@example.com"), "company": "Acme", "lifecyclestage": "lead"});
        self.hubspot.put_record("contacts", &number.to_string(), &json!({"properties": properties})).await?;
        Ok(())
    }

    /// Makes contacts for as long as something else goes on, each as soon as not too many are under way.
    async fn under_load(&self, meanwhile: impl Future<Output = Result<()>>) -> Result<()> {
        let load = async {
            for number in 2_usize.. {
                self.arrived(number.saturating_sub(AHEAD)).await?;
                self.contact(number).await?;
            }
            Ok::<(), anyhow::Error>(())
        };
        tokio::select! { ended = meanwhile => ended, broken = load => broken.context("the load ended") }
    }

    /// Waits until so many contacts are at the destination.
    async fn arrived(&self, count: usize) -> Result<()> {
        until(&format!("{count} customers"), async || {
            let total = self.analytics.records("customers", 0, 1).await?.total;
            Ok(if total >= count { Seen::Yes(()) } else { Seen::NotYet(format!("{total} customers")) })
        })
        .await
    }

    /// Waits until more contacts arrive than were under way.
    async fn flows_on(&self) -> Result<()> {
        let total = self.analytics.records("customers", 0, 1).await?.total;
        self.arrived(total + 2 * AHEAD).await
    }

    async fn a_key_that_is_too_old_is_shown_and_replaced_by_hand(&self) -> Result<()> {
        self.age("hubspot", &key(KEYS[0]), OLD[0], &[]).await?;
        let message =
            self.shop.condition("connector", "hubspot", "CredentialsFresh", "False", "CredentialsOld").await?;
        ensure!(message.contains(OLD[0]) && message.contains("at least 90 days old: rotate it"), "{message}");
        self.shown_as_old("hubspot").await?;
        self.shop.ready("connector", "hubspot", "True", "Available").await?;
        // As docs/rotation.md says: make, store, wait, revoke.
        self.hubspot.set_tokens(&KEYS[..2]).await?;
        let version = self.put("hubspot", &key(KEYS[1])).await?;
        self.settled("hubspot", |status| status["versionId"] == version).await?;
        ensure!(self.hubspot.revoke_token(KEYS[0]).await?, "the old key was not valid any more");
        self.shop.condition("connector", "hubspot", "CredentialsFresh", "True", "Fresh").await?;
        self.flows_on().await?;
        self.hubspot_answers(KEYS[0], 401).await?;
        self.hubspot_answers(KEYS[1], 200).await
    }

    async fn a_key_that_leaked_ends_at_once(&self) -> Result<()> {
        self.hubspot.set_tokens(&KEYS[2..]).await?;
        let version = self.put("hubspot", &key(KEYS[2])).await?;
        self.settled("hubspot", |status| status["versionId"] == version).await?;
        self.flows_on().await?;
        self.hubspot_answers(KEYS[1], 401).await?;
        self.hubspot_answers(KEYS[2], 200).await
    }

    /// A token counts for an hour; the vendor ends this one now, and only the worker hears of it.
    async fn an_access_token_that_ends_early_is_renewed(&self) -> Result<()> {
        let before = self.analytics.oauth2().await?.access_token.context("no token was granted")?;
        ensure!(self.analytics.revoke_token(&before).await?, "the token was not valid any more");
        self.flows_on().await?;
        let after = self.analytics.oauth2().await?.access_token;
        ensure!(after.is_some_and(|after| after != before), "no other token was granted");
        Ok(())
    }

    async fn a_clients_secret_that_is_too_old_is_rotated_by_aws(&self) -> Result<()> {
        let before = self.credentials("analytics").await?;
        // The emulator runs no function that rotates: what it would do in its own time is done here.
        let begin = Rule::new(Fault::BeginRotation).operation("RotateSecret").name(&secret("analytics"));
        self.age("analytics", &client_secret(CLIENT_SECRETS[0]), OLD[1], &[begin]).await?;
        let message =
            self.shop.condition("connector", "analytics", "CredentialsFresh", "False", "CredentialsOld").await?;
        ensure!(
            message.contains(OLD[1]) && message.contains("AWS Secrets Manager was asked to rotate it"),
            "{message}"
        );
        self.shown_as_old("analytics").await?;
        let next = self.rotation_asked_for().await?;
        self.analytics.set_client_secrets(&CLIENT_SECRETS).await?;
        let value = client_secret(CLIENT_SECRETS[1]);
        self.shop.world.secrets.put_version(&secret("analytics"), &value, &next, "AWSPENDING").await?;
        self.flows_on().await?;
        ensure!(self.rotation_asked_for().await? == next, "another rotation was asked for");
        let granted = self.analytics.oauth2().await?.granted;
        self.shop.world.secrets.promote(&secret("analytics"), &next, OLD[1]).await?;
        self.shop.condition("connector", "analytics", "CredentialsFresh", "True", "Fresh").await?;
        until("a token is got with the new secret", async || {
            let now = self.analytics.oauth2().await?.granted;
            Ok(if now > granted { Seen::Yes(()) } else { Seen::NotYet(now.to_string()) })
        })
        .await?;
        self.settled("analytics", |status| status["versionId"] != before["versionId"]).await?;
        self.analytics.set_client_secrets(&CLIENT_SECRETS[1..]).await?;
        self.flows_on().await?;
        let refused = self.ask_for_token(CLIENT_SECRETS[0]).await?;
        ensure!(refused == 401, "the old client's secret was answered {refused}");
        // Each token ended when the next one was granted.
        let first = self.http.get(format!("{}/v1/customers/1", self.analytics.base_url()));
        let refused = first.bearer_auth(format!("{ACCESS_TOKEN}1")).send().await?.status();
        ensure!(refused == 401, "the first access token was answered {refused}");
        ensure!(self.rotation_asked_for().await? == next, "another rotation was asked for");
        self.aws.clear().await
    }

    /// Stores the value that is there once more, as a version that AWS says to be old.
    async fn age(&self, connector: &str, value: &Value, version: &str, more: &[Rule]) -> Result<()> {
        let old = Rule::new(Fault::Aged { days: OLD_DAYS }).name(&secret(connector)).version(version);
        self.aws.set(&[&[old], more].concat()).await?;
        self.shop.world.secrets.put_version(&secret(connector), value, version, "AWSCURRENT").await
    }

    /// What else a person sees of it: the age in status, and an Event.
    async fn shown_as_old(&self, connector: &str) -> Result<()> {
        let status = self.credentials(connector).await?;
        ensure!(status["ageDays"] == OLD_DAYS, "status of {connector}: {status}");
        until(&format!("an Event says that the credentials of {connector} are old"), async || {
            let events = self.shop.world.kubectl.list(NAMESPACE, "events").await?;
            let is =
                |event: &&Value| event["reason"] == "CredentialsOld" && event["involvedObject"]["name"] == connector;
            Ok(if events.iter().any(|event| is(&event)) {
                Seen::Yes(())
            } else {
                Seen::NotYet(events.len().to_string())
            })
        })
        .await
    }

    /// The version that the vault was asked to make; fails when it was asked for more than one.
    async fn rotation_asked_for(&self) -> Result<String> {
        let is = |call: &Call| call.operation == "RotateSecret" && call.names == [secret("analytics")];
        let found = until("AWS is asked to rotate the client's secret", async || {
            let calls: Vec<Call> = self.aws.calls().await?.into_iter().filter(is).collect();
            Ok(if calls.is_empty() { Seen::NotYet("no call".into()) } else { Seen::Yes(calls) })
        })
        .await?;
        let [call] = found.as_slice() else { anyhow::bail!("{} calls: {found:?}", found.len()) };
        call.version.clone().context("a call without the id of the version to make")
    }

    async fn credentials(&self, connector: &str) -> Result<Value> {
        let object = self.shop.world.kubectl.get(NAMESPACE, "connector", connector).await?.context("no Connector")?;
        Ok(object["status"]["credentials"].clone())
    }

    /// Waits until all workers use what was rotated to.
    async fn settled(&self, connector: &str, is: impl Fn(&Value) -> bool) -> Result<()> {
        until(&format!("the rotation of {connector} is settled"), async || {
            let status = self.credentials(connector).await?;
            let settled = is(&status) && status["state"] == "Settled" && status["workers"] == "1/1";
            Ok(if settled { Seen::Yes(()) } else { Seen::NotYet(status.to_string()) })
        })
        .await
    }

    async fn hubspot_answers(&self, key: &str, status: u16) -> Result<()> {
        let url = format!("{}/crm/objects/2026-09/contacts/1", self.hubspot.base_url());
        let answer = self.http.get(url).bearer_auth(key).send().await?.status();
        ensure!(answer == status, "a request with {key} was answered {answer}, not {status}");
        Ok(())
    }

    async fn ask_for_token(&self, secret: &str) -> Result<u16> {
        let request = self.http.post(format!("{}/oauth/token", self.analytics.base_url()));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let request = request.basic_auth(CLIENT_ID, Some(secret)).body("grant_type=client_credentials");
        Ok(request.send().await?.status().as_u16())
    }

    /// What would change if the worker were started again.
    async fn worker(&self) -> Result<Value> {
        let kubectl = &self.shop.world.kubectl;
        let pods = kubectl.list(NAMESPACE, "pods").await?;
        let sets = kubectl.list(NAMESPACE, "replicasets").await?;
        let pods: Vec<Value> = pods
            .iter()
            .map(|pod| json!([pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]]))
            .collect();
        ensure!(pods.len() == 1 && pods[0][1].is_u64(), "not one worker: {pods:?}");
        Ok(json!({"pods": pods, "rollouts": sets.len()}))
    }

    async fn every_contact_arrived_once(&self) -> Result<()> {
        let contacts = self.hubspot.records("contacts", 0, 10_000).await?;
        self.arrived(contacts.total).await?;
        let ids = |items: &[Value]| {
            items.iter().map(|item| item["id"].to_string()).collect::<std::collections::BTreeSet<_>>()
        };
        let customers = self.analytics.records("customers", 0, 10_000).await?;
        ensure!(ids(&contacts.items) == ids(&customers.items), "the contacts are not those that arrived");
        let writes = self.analytics.stats().await?.writes;
        let once = writes.applied == writes.distinct && usize::try_from(writes.applied)? == contacts.total;
        ensure!(once, "{} contacts, written were {writes:?}", contacts.total);
        println!("{} contacts arrived once each", contacts.total);
        Ok(())
    }

    async fn no_record_failed(&self) -> Result<()> {
        self.shop.condition("integration", "contacts", "DeadLettersEmpty", "True", "NoDeadLetters").await?;
        self.shop.ready("integration", "contacts", "True", "Flowing").await?;
        let total = self.hubspot.records("contacts", 0, 1).await?.total;
        until("the report counts every contact", async || {
            let report =
                self.shop.world.kubectl.get(NAMESPACE, "syncreport", "contacts").await?.context("no report")?;
            let flow = &report["status"]["workers"][0]["flows"][0];
            for field in ["failed1h", "failed24h", "failed7d", "deadLetters", "held"] {
                ensure!(flow[field] == 0, "{field} in {flow}");
            }
            Ok(if flow["delivered"] == total { Seen::Yes(()) } else { Seen::NotYet(flow.to_string()) })
        })
        .await
    }
}

/// Name of a Connector's secret.
fn secret(connector: &str) -> String {
    format!("{NAMESPACE}/{connector}")
}

fn key(token: &str) -> Value {
    json!({"token": token})
}

fn client_secret(secret: &str) -> Value {
    json!({"clientId": CLIENT_ID, "clientSecret": secret})
}
