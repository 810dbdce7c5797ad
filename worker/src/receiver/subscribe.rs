//! Sees to it that the vendor sends events here: looks from time to time which subscriptions there are, and makes those that are missing. Vendors drop
//! a subscription after its address failed for long, and people remove some by hand.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crosstie_connect::{CallFailure, Outgoing, Page, VendorClient, Written};
use crosstie_engine::{plan::Subscription, window::Position};
use serde_json::{Map, Value};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Reception;

/// How often it is looked while all are there.
const AGAIN: Duration = Duration::from_mins(10);
/// How often while something is missing.
const SOON: Duration = Duration::from_secs(15);
/// Most pages of subscriptions that are read.
const MOST_PAGES: usize = 40;

/// Looks until it is told to stop.
pub async fn keep_subscribed(reception: Arc<Reception>, client: VendorClient, stop: CancellationToken) {
    let (Some(subscription), Some(url)) = (&reception.rules.subscription, reception.rules.url()) else { return };
    loop {
        let looked = tokio::select! {
            () = stop.cancelled() => return,
            looked = subscribed(&client, subscription, &url) => looked,
        };
        let wait = if looked.is_ok() { AGAIN } else { SOON };
        reception.set_unsubscribed(looked.err());
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(wait) => {}
        }
    }
}

/// Makes what is missing. In words, what is still missing and why.
async fn subscribed(client: &VendorClient, subscription: &Subscription, url: &str) -> Result<(), String> {
    let there = there(client, subscription, url).await.map_err(|failure| {
        format!("which subscriptions there are cannot be read from `{}`: {}", subscription.stream.name, failure.detail)
    })?;
    let mut missing = Vec::new();
    for topic in subscription.topics.iter().filter(|topic| !there.contains(*topic)) {
        if let Err(problem) = subscribe(client, subscription, topic, url).await {
            missing.push(format!("`{topic}` ({problem})"));
        } else {
            tracing::info!(topic, url, "the source was subscribed");
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(format!("it could not be subscribed to {}", missing.join(", "))) }
}

/// The topics that are sent to an address.
async fn there(client: &VendorClient, subscription: &Subscription, url: &str) -> Result<BTreeSet<String>, CallFailure> {
    let mut topics = BTreeSet::new();
    let mut position = Position::First;
    for _ in 0..MOST_PAGES {
        let Page { records, next, .. } = client.read_page(&subscription.stream, None, &position).await?;
        let text = |record: &Value, pointer: &str| record.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let ours = records.iter().filter(|record| text(record, &subscription.address).as_deref() == Some(url));
        topics.extend(ours.filter_map(|record| text(record, &subscription.topic)));
        match next {
            Some(next) => position = next,
            None => break,
        }
    }
    Ok(topics)
}

async fn subscribe(client: &VendorClient, subscription: &Subscription, topic: &str, url: &str) -> Result<(), String> {
    let fields = [(&subscription.topic_field, topic), (&subscription.address_field, url)];
    let body: Map<String, Value> =
        fields.into_iter().map(|(field, value)| (field.clone(), Value::String(value.to_owned()))).collect();
    let outgoing = Outgoing { body: &Value::Object(body).into(), identifier: None, idempotency_key: None };
    match client.write(&subscription.operation, outgoing).await {
        Written::Applied { .. } => Ok(()),
        Written::Refused { fault } | Written::Ignored { fault } => Err(fault.detail),
        Written::Missing => Err("there is nothing to subscribe at".into()),
        // The next look shows whether it was made.
        Written::NotSent { failure } | Written::Unknown { failure } => Err(failure.detail),
    }
}
