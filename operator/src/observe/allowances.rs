//! How much of their accounts' allowances the Integrations of a namespace get, from who uses what at the moment.

use std::collections::BTreeMap;

use crosstie_crds::{Connector, Integration, names};
use crosstie_engine::{compile, plan::System};

use super::entries;
use crate::{
    cache::Cache,
    context::Context,
    plan::{
        diagnosis, in_force,
        integration::{Seen, ends},
        objects::{ANNOTATION_SHARES, ObjectKind},
        shares::{self, Granted, Peer, Published},
    },
    trigger::Key,
};

/// Shares of the allowances that the plan names, or the last good one where there is none.
pub(super) fn granted(cx: &Context, key: &Key, seen: &Seen) -> Option<Granted> {
    let good = || Some(&seen.last_good.as_deref()?.plan);
    let plan = in_force::compiled(seen).map(|(plan, _)| plan).or_else(good)?;
    let end = |connector: Option<&Connector>, system: &System| {
        Some(shares::End { account: compile::rate_group(connector?), whole: system.allowance })
    };
    let source = end(seen.source.as_deref(), &plan.source)?;
    let destination = end(seen.destination.as_deref(), &plan.destination)?;
    Some(grant(cx, key, &source, &destination))
}

/// Splits the accounts. Deciding and remembering the decision happen under one lock, so that two Integrations never take the same room.
fn grant(cx: &Context, key: &Key, source: &shares::End, destination: &shares::End) -> Granted {
    let users = cx.cache.integrations_in(&key.namespace);
    let mut everybody: BTreeMap<Key, Vec<String>> =
        users.iter().map(|user| (Key::of(&user.metadata), accounts(cx, user))).collect();
    let mut published = cx.memory.shares.lock();
    // Those who left are remembered until their pods are gone.
    published.retain(|other, _| {
        other.namespace != key.namespace || everybody.contains_key(other) || !cx.cache.pods_of(other).is_empty()
    });
    for other in published.keys().filter(|other| other.namespace == key.namespace) {
        everybody.entry(other.clone()).or_default();
    }
    let known = |other: &Key| published.get(other).cloned().or_else(|| published_before(cx, other));
    let concerns_us = |account: &str| account == source.account || account == destination.account;
    let peers: Vec<Peer> = everybody
        .into_iter()
        .filter(|(other, _)| other != key)
        .map(|(other, accounts)| (known(&other), other, accounts))
        .filter(|(known, _, accounts)| {
            accounts.iter().any(|account| concerns_us(account))
                || known.iter().flat_map(Published::parts).any(|part| concerns_us(&part.account))
        })
        .map(|(known, other, accounts)| peer(cx, &other, accounts, known))
        .collect();
    let granted = shares::grant(source, destination, known(key).as_ref(), &peers);
    published.insert(key.clone(), granted.published.clone());
    granted
}

fn published_before(cx: &Context, key: &Key) -> Option<Published> {
    let meta = cx.cache.meta(ObjectKind::ConfigMap, &key.sibling(&names::shares(&key.name)))?;
    Published::parse(meta.annotations.as_ref()?.get(ANNOTATION_SHARES)?)
}

/// Accounts an Integration uses: none while it is suspended or on its way out.
fn accounts(cx: &Context, user: &Integration) -> Vec<String> {
    if user.spec.suspend || user.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let key = Key::of(&user.metadata);
    let connectors = ends(user).into_iter().filter_map(|name| Cache::get(&cx.cache.connectors, &key.sibling(name)));
    connectors.map(|connector| compile::rate_group(&connector)).collect()
}

fn peer(cx: &Context, key: &Key, accounts: Vec<String>, published: Option<Published>) -> Peer {
    let pods = cx.cache.pods_of(key);
    let report = Cache::get(&cx.cache.reports, key);
    let running: Vec<_> = pods.iter().filter(|pod| diagnosis::is_running(pod)).collect();
    let confirmed = running.iter().all(|pod| {
        entries(report.as_deref()).any(|entry| {
            Some(&entry.pod) == pod.metadata.name.as_ref()
                && entry.shares_hash.as_ref() == published.as_ref().map(|published| &published.hash)
        })
    });
    Peer { accounts, published, confirmed, running: !running.is_empty() }
}
