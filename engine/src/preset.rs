//! Vendor presets: what is known of a vendor's API once, and how a Connector's spec is laid over it. Members that the spec sets win;
//! streams and operations are merged by name, member by member. The presets themselves are data, in `connectors/`.

mod sandbox;

use std::{
    collections::BTreeMap,
    sync::{LazyLock, OnceLock},
};

use crosstie_crds::{
    ConnectorSpec,
    connector::{
        Authentication, Cache, Csrf, ErrorRule, OAuth2, OnMaxAge, Operation, RateLimit, RotationPolicy, Stream,
        Webhooks,
    },
};
use serde::{Deserialize, Serialize};

use self::sandbox::usual_rate;
use crate::lifecycle::{Notice, Versions};

pub use self::sandbox::Sandbox;

/// What is known of a vendor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Preset {
    /// Name, as `spec.preset` has it.
    pub name: String,
    /// Version that applies when a Connector names none.
    #[serde(default)]
    pub api_version: Option<String>,
    /// How requests are authenticated.
    #[serde(default)]
    pub auth: Option<Authentication>,
    /// How access tokens are got, for Connectors that have `credentials.oauth2`.
    #[serde(rename = "oauth2", default, skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2>,
    /// How old the vendor's keys may become.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationPolicy>,
    /// What the vendor allows.
    #[serde(default)]
    pub rate_limit: Option<RateLimit>,
    /// Response header with the version that was really served.
    #[serde(default)]
    pub served_version_header: Option<String>,
    /// Response header that is there while the version, or something that was asked for, is deprecated. Its value may be an address to read more at.
    #[serde(default)]
    pub deprecated_reason_header: Option<String>,
    /// How versions are named and how long they live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<Versions>,
    /// Response header with the vendor's id of a request.
    #[serde(default)]
    pub request_id_header: Option<String>,
    /// What answers mean where HTTP alone does not say it.
    #[serde(default)]
    pub errors: Vec<ErrorRule>,
    /// A token that every write has to carry.
    #[serde(default)]
    pub csrf: Option<Csrf>,
    /// Answers that may be kept for a while.
    #[serde(default)]
    pub cache: Option<Cache>,
    /// What its webhooks look like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhooks: Option<Webhooks>,
    /// What there is to try things in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Sandbox>,
    /// What can be read.
    #[serde(default)]
    pub streams: Vec<Stream>,
    /// What can be written.
    #[serde(default)]
    pub operations: Vec<Operation>,
}

const SOURCES: &[&str] = &[
    include_str!("../../connectors/hubspot.yaml"),
    include_str!("../../connectors/intercom.yaml"),
    include_str!("../../connectors/jira.yaml"),
    include_str!("../../connectors/klaviyo.yaml"),
    include_str!("../../connectors/mailchimp.yaml"),
    include_str!("../../connectors/netsuite.yaml"),
    include_str!("../../connectors/rest.yaml"),
    include_str!("../../connectors/salesforce.yaml"),
    include_str!("../../connectors/sap.yaml"),
    include_str!("../../connectors/shopify.yaml"),
    include_str!("../../connectors/slack.yaml"),
    include_str!("../../connectors/stripe.yaml"),
    include_str!("../../connectors/zendesk.yaml"),
];

/// A preset by its text, and what was read of it when somebody first asked: few of them are used, and each takes some hundred kilobytes.
struct Entry {
    source: &'static str,
    preset: OnceLock<Option<Preset>>,
}

static PRESETS: LazyLock<BTreeMap<&'static str, Entry>> = LazyLock::new(|| {
    let named = |source: &'static str| Some((source.lines().find_map(|line| line.strip_prefix("name: "))?, source));
    let entry = |(name, source)| (name, Entry { source, preset: OnceLock::new() });
    SOURCES.iter().copied().filter_map(named).map(entry).collect()
});

/// The preset of a name.
pub fn find(name: &str) -> Option<&'static Preset> {
    let entry = PRESETS.get(name)?;
    // One that does not parse would be missing; a test makes sure that none is.
    entry.preset.get_or_init(|| serde_saphyr::from_str(entry.source).ok()).as_ref()
}

/// A preset's text as it was written, with where each fact came from.
pub fn source(name: &str) -> Option<&'static str> {
    PRESETS.get(name).map(|entry| entry.source)
}

/// The names of all presets, sorted.
pub fn names() -> Vec<&'static str> {
    PRESETS.keys().copied().collect()
}

/// What the calendar of a preset says of a version.
pub fn calendar(preset: Option<&str>, version: Option<&str>) -> Option<Notice> {
    find(preset?)?.versions.as_ref()?.notice(version?)
}

/// How old credentials may become in days, and what happens then; none where neither the spec nor its preset says it.
pub fn oldest(spec: &ConnectorSpec) -> Option<(u32, OnMaxAge)> {
    let under = spec.preset.as_deref().and_then(find).and_then(|preset| preset.rotation.as_ref());
    let policies = [spec.rotation.as_ref(), under];
    let days = policies.iter().flatten().find_map(|policy| policy.max_age_days)?;
    let then = policies.iter().flatten().find_map(|policy| policy.on_max_age).unwrap_or_default();
    Some((days, then))
}

/// A Connector's spec laid over its preset. Nothing is resolved or checked yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// The spec's, or the preset's default.
    pub api_version: Option<String>,
    /// The spec's, or the preset's.
    pub auth: Option<Authentication>,
    /// The spec's members over the preset's; none without the spec's.
    pub oauth2: Option<OAuth2>,
    /// The spec's members over the preset's.
    pub rate_limit: RateLimit,
    /// Both, merged by name.
    pub streams: Vec<Stream>,
    /// Both, merged by name.
    pub operations: Vec<Operation>,
    /// The preset's.
    pub served_version_header: Option<String>,
    /// The preset's.
    pub deprecated_reason_header: Option<String>,
    /// The preset's.
    pub request_id_header: Option<String>,
    /// The spec's, then the preset's.
    pub errors: Vec<ErrorRule>,
    /// The spec's, or the preset's.
    pub csrf: Option<Csrf>,
    /// The spec's, or the preset's.
    pub cache: Option<Cache>,
    /// The spec's members over the preset's.
    pub webhooks: Option<Webhooks>,
}

/// Lays a spec over a preset, or over nothing.
pub fn merge(spec: &ConnectorSpec, preset: Option<&Preset>) -> Merged {
    let of = |field: fn(&Preset) -> Option<String>| preset.and_then(field);
    Merged {
        api_version: spec.api_version.clone().or_else(|| of(|preset| preset.api_version.clone())),
        auth: spec.auth.as_deref().cloned().or_else(|| preset?.auth.clone()),
        oauth2: merge_oauth2(spec.credentials.oauth2.as_ref(), preset.and_then(|preset| preset.oauth2.as_ref())),
        rate_limit: merge_rates(spec.rate_limit.as_deref(), usual_rate(spec, preset).as_ref()),
        streams: merge_named(
            preset.map_or(&[], |preset| &preset.streams),
            &spec.streams,
            |stream| &stream.name,
            merge_streams,
        ),
        operations: merge_named(
            preset.map_or(&[], |preset| &preset.operations),
            &spec.operations,
            |operation| &operation.name,
            merge_operations,
        ),
        served_version_header: of(|preset| preset.served_version_header.clone()),
        deprecated_reason_header: of(|preset| preset.deprecated_reason_header.clone()),
        request_id_header: of(|preset| preset.request_id_header.clone()),
        cache: spec.cache.clone().or_else(|| preset?.cache.clone()),
        csrf: spec.csrf.clone().or_else(|| preset?.csrf.clone()),
        webhooks: merge_webhooks(spec.webhooks.as_deref(), preset.and_then(|preset| preset.webhooks.as_ref())),
        errors: spec.errors.iter().chain(preset.map_or(&[][..], |preset| &preset.errors)).cloned().collect(),
    }
}

fn merge_oauth2(over: Option<&OAuth2>, under: Option<&OAuth2>) -> Option<OAuth2> {
    let Some(under) = under else { return over.cloned() };
    let over = over?.clone();
    Some(OAuth2 {
        grant: over.grant.or(under.grant),
        token_url: over.token_url.or_else(|| under.token_url.clone()),
        client_authentication: over.client_authentication.or(under.client_authentication),
        scopes: if over.scopes.is_empty() { under.scopes.clone() } else { over.scopes },
        refresh_token_secret_id: over.refresh_token_secret_id,
        assertion: over.assertion.or_else(|| under.assertion.clone()),
        lifetime_seconds: over.lifetime_seconds.or(under.lifetime_seconds),
    })
}

fn merge_rates(over: Option<&RateLimit>, under: Option<&RateLimit>) -> RateLimit {
    let member = |field: fn(&RateLimit) -> Option<u32>| over.and_then(field).or_else(|| under.and_then(field));
    RateLimit {
        requests: member(|rate| rate.requests),
        per_seconds: member(|rate| rate.per_seconds),
        concurrency: member(|rate| rate.concurrency),
        group: over.and_then(|rate| rate.group.clone()),
        endpoints: merge_named(
            under.map_or(&[], |rate| &rate.endpoints),
            over.map_or(&[], |rate| &rate.endpoints),
            |endpoint| &endpoint.name,
            |_, over| over.clone(),
        ),
        daily: over.and_then(|rate| rate.daily.clone()).or_else(|| under?.daily.clone()),
        cost: over.and_then(|rate| rate.cost.clone()).or_else(|| under?.cost.clone()),
        headers: over.and_then(|rate| rate.headers.clone()).or_else(|| under?.headers.clone()),
    }
}

fn merge_named<T: Clone>(under: &[T], over: &[T], name: fn(&T) -> &String, merge: fn(&T, &T) -> T) -> Vec<T> {
    let mut merged: Vec<T> = under
        .iter()
        .map(|item| {
            over.iter().find(|other| name(other) == name(item)).map_or_else(|| item.clone(), |other| merge(item, other))
        })
        .collect();
    merged.extend(over.iter().filter(|item| !under.iter().any(|other| name(other) == name(item))).cloned());
    merged
}

fn merge_streams(under: &Stream, over: &Stream) -> Stream {
    Stream {
        name: over.name.clone(),
        method: over.method.or(under.method),
        path: over.path.clone().or_else(|| under.path.clone()),
        query: merge_maps(&under.query, &over.query),
        headers: merge_maps(&under.headers, &over.headers),
        body: over.body.clone().or_else(|| under.body.clone()),
        format: over.format.or(under.format),
        csv: over.csv.clone().or_else(|| under.csv.clone()),
        records: over.records.clone().or_else(|| under.records.clone()),
        key: over.key.clone().or_else(|| under.key.clone()),
        version: over.version.clone().or_else(|| under.version.clone()),
        deleted: over.deleted.clone().or_else(|| under.deleted.clone()),
        parent: over.parent.clone().or_else(|| under.parent.clone()),
        one: over.one.clone().or_else(|| under.one.clone()),
        cursor: over.cursor.clone().or_else(|| under.cursor.clone()),
        pagination: over.pagination.clone().or_else(|| under.pagination.clone()),
    }
}

fn merge_operations(under: &Operation, over: &Operation) -> Operation {
    Operation {
        name: over.name.clone(),
        method: over.method.or(under.method),
        path: over.path.clone().or_else(|| under.path.clone()),
        query: merge_maps(&under.query, &over.query),
        headers: merge_maps(&under.headers, &over.headers),
        omit: if over.omit.is_empty() { under.omit.clone() } else { over.omit.clone() },
        replaces: over.replaces.or(under.replaces),
        creates: over.creates.or(under.creates),
        body_format: over.body_format.or(under.body_format),
        xml_root: over.xml_root.clone().or_else(|| under.xml_root.clone()),
        wrap: over.wrap.clone().or_else(|| under.wrap.clone()),
        fields: merge_maps(&under.fields, &over.fields),
        find: over.find.clone().or_else(|| under.find.clone()),
        create: over.create.clone().or_else(|| under.create.clone()),
        update: over.update.clone().or_else(|| under.update.clone()),
        if_match: over.if_match.clone().or_else(|| under.if_match.clone()),
        asynchronous: over.asynchronous.clone().or_else(|| under.asynchronous.clone()),
        identifier: over.identifier.clone().or_else(|| under.identifier.clone()),
        outcome: over.outcome.clone().or_else(|| under.outcome.clone()),
        batch: over.batch.clone().or_else(|| under.batch.clone()),
    }
}

fn merge_webhooks(over: Option<&Webhooks>, under: Option<&Webhooks>) -> Option<Webhooks> {
    let (over, under) = match (over, under) {
        (None, None) => return None,
        (Some(one), None) | (None, Some(one)) => return Some(one.clone()),
        (Some(over), Some(under)) => (over.clone(), under.clone()),
    };
    Some(Webhooks {
        verify: over.verify.or(under.verify),
        refusal: over.refusal.or(under.refusal),
        events: over.events.or(under.events),
        event_id: over.event_id.or(under.event_id),
        topic: over.topic.or(under.topic),
        challenge: over.challenge.or(under.challenge),
        subscription: over.subscription.or(under.subscription),
        routes: over.routes.into_iter().chain(under.routes).collect(),
    })
}

fn merge_maps<T: Clone>(under: &BTreeMap<String, T>, over: &BTreeMap<String, T>) -> BTreeMap<String, T> {
    let mut merged = under.clone();
    merged.extend(over.iter().map(|(name, value)| (name.clone(), value.clone())));
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_parses_and_is_found_by_its_name() {
        for source in SOURCES {
            let preset: Preset = serde_saphyr::from_str(source).unwrap();
            assert_eq!(find(&preset.name), Some(&preset));
            assert_eq!(super::source(&preset.name), Some(*source));
        }
    }

    fn shopify(spec: &serde_json::Value) -> Merged {
        let mut whole = serde_json::json!({"baseURL": "https://x", "credentials": {}});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        merge(&serde_json::from_value(whole).unwrap(), find("Shopify"))
    }

    #[test]
    fn what_the_spec_sets_wins_member_by_member() {
        let merged = shopify(&serde_json::json!({
            "rateLimit": {"concurrency": 8},
            "streams": [{"name": "orders", "query": {"limit": "50"}}, {"name": "extra", "path": "/x"}],
        }));
        assert_eq!((merged.rate_limit.requests, merged.rate_limit.concurrency), (Some(40), Some(8)));
        let orders = &merged.streams[0];
        assert_eq!(orders.query["limit"].0, "50");
        assert_eq!(orders.query["status"].0, "any");
        assert_eq!(orders.key.as_deref(), Some("/id"));
        assert_eq!(
            merged.streams.iter().map(|stream| stream.name.as_str()).collect::<Vec<_>>(),
            [
                "orders",
                "customers",
                "refunds",
                "products",
                "locations",
                "webhookSubscriptions",
                "ordersGraphQL",
                "extra"
            ]
        );
        assert_eq!(merged.api_version.as_deref(), Some("2026-07"));
    }

    #[test]
    fn a_specs_rules_for_errors_are_asked_before_the_presets() {
        let rule = |status: u16| serde_json::json!({"when": {"statuses": [status]}, "means": "Retry"});
        let mut preset = find("Shopify").unwrap().clone();
        preset.errors = vec![serde_json::from_value(rule(423)).unwrap()];
        let spec = serde_json::json!({"baseURL": "https://x", "credentials": {}, "errors": [rule(409)]});
        let merged = merge(&serde_json::from_value(spec).unwrap(), Some(&preset));
        let statuses: Vec<u16> = merged.errors.iter().flat_map(|rule| rule.when.statuses.clone()).collect();
        assert_eq!(statuses, [409, 423]);
    }

    #[test]
    fn the_oldest_age_is_the_specs_or_the_presets() {
        let oldest = |spec: serde_json::Value| {
            let mut whole = serde_json::json!({"baseURL": "https://x", "credentials": {}});
            whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
            super::oldest(&serde_json::from_value(whole).unwrap())
        };
        assert_eq!(oldest(serde_json::json!({"preset": "Shopify"})), Some((90, OnMaxAge::Alert)));
        let spec = serde_json::json!({"preset": "Shopify", "rotation": {"onMaxAge": "Rotate"}});
        assert_eq!(oldest(spec), Some((90, OnMaxAge::Rotate)));
        let spec = serde_json::json!({"preset": "Shopify", "rotation": {"maxAgeDays": 30}});
        assert_eq!(oldest(spec), Some((30, OnMaxAge::Alert)));
        assert_eq!(oldest(serde_json::json!({"rotation": {"onMaxAge": "Rotate"}})), None);
    }

    #[test]
    fn a_union_of_the_spec_replaces_the_presets_whole() {
        let merged = shopify(&serde_json::json!({"auth": {"bearer": {"token": "{t}"}}}));
        let auth = merged.auth.unwrap();
        assert!(auth.header.is_none() && auth.bearer.is_some());
    }
}
