//! What a vendor is to the simulator, and the list of those there are. What most vendors have in common is the default of a method; what a
//! dialect is made of is in [`crate::dialect`].
//!
//! A vendor answers one complete request at a time, without I/O, clocks or counting: the dispatcher has already applied
//! faults and limits and checked the credentials, and it counts and logs what comes back.

use std::borrow::Cow;

use serde_json::Value;

use crate::message::{Call, Reply};
use crate::store::{Layout, State};
use crate::tokens::{Identity, Tokens};
use crate::wire::{SeedRequest, Settings};
use crate::{
    dialect, generic, hubspot, intercom, jira, klaviyo, mailchimp, netsuite, salesforce, sap, shopify, slack, stripe,
    zendesk,
};

/// Every vendor. A new one is a module and a line here.
pub(crate) const REGISTRY: &[&dyn Vendor] = &[
    &generic::Generic,
    &hubspot::HubSpot,
    &intercom::Intercom,
    &jira::Jira,
    &klaviyo::Klaviyo,
    &mailchimp::Mailchimp,
    &netsuite::NetSuite,
    &salesforce::Salesforce,
    &sap::Sap,
    &shopify::Shopify,
    &slack::Slack,
    &stripe::Stripe,
    &zendesk::Zendesk,
];

/// Settings without limits and versions, with pages of this size when the request does not say, and at most.
pub(crate) fn settings(page_size_default: usize, page_size_max: usize) -> Settings {
    Settings { page_size_default, ..dialect::settings(page_size_max) }
}

/// Why a request was refused before it reached the vendor's own handling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Refusal {
    /// The credentials are missing or not accepted.
    Unauthorized,
    /// Too many requests in a time; the seconds for `Retry-After`, when a fault asked for a certain one.
    TooFast {
        /// Seconds, or the vendor's own choice.
        retry_after_seconds: Option<f64>,
    },
    /// Too many requests at once.
    TooConcurrent,
}

/// The version a request asked for and the one that answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Versions {
    /// As it stood in the request.
    pub(crate) requested: String,
    /// What the vendor uses.
    pub(crate) served: String,
}

/// What a finished answer is decorated with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finish<'a> {
    /// The instance's settings.
    pub(crate) settings: &'a Settings,
    /// The versions, for a versioned request.
    pub(crate) versions: Option<&'a Versions>,
    /// Requests in the rate limit's bucket.
    pub(crate) bucket_used: u32,
}

/// One vendor's dialect. A REST vendor with a bearer token, without versions and idempotency keys needs a name, settings, layouts, refusals
/// and answers.
pub(crate) trait Vendor: Send + Sync + 'static {
    /// The first segment of its paths.
    fn name(&self) -> &'static str;

    /// How a new instance behaves.
    fn settings(&self) -> Settings;

    /// Puts in what every account of this vendor has from the start.
    fn furnish(&self, _state: &mut State, _settings: &Settings) {}

    /// Gives where the records of a resource keep what indexes need; none when there is no such resource.
    fn layouts(&self) -> fn(&str) -> Option<Layout>;

    /// The path with its variable parts replaced by names, for counting. Must have few different values.
    fn route(&self, call: &Call) -> Cow<'static, str> {
        dialect::route(&call.path).into()
    }

    /// The versions in play; none for a path or a vendor without versions.
    fn versions(&self, _call: &Call, _settings: &Settings) -> Option<Versions> {
        None
    }

    /// Who the request says it is; a bearer token says it when a vendor has no other way.
    fn identify(&self, call: &Call, tokens: &mut Tokens) -> Identity {
        dialect::bearer(call, tokens)
    }

    /// The idempotency key the request carries.
    fn idempotency_key<'a>(&self, _call: &'a Call) -> Option<&'a str> {
        None
    }

    /// The vendor's own words for a refusal.
    fn refuse(&self, refusal: Refusal) -> Reply;

    /// Answers a request that passed everything else. Locks the state itself, as briefly as it can.
    fn answer(&self, call: &Call, settings: &Settings, state: &std::sync::Mutex<State>) -> Reply;

    /// Adds what every answer of this vendor carries, refusals included.
    fn finish(&self, reply: Reply, _call: &Call, _finish: Finish<'_>) -> Reply {
        reply
    }

    /// The `id`-th record of a seed, whose times are `at`; none when this resource cannot be seeded.
    fn generate(&self, _request: &SeedRequest, _settings: &Settings, _id: u64, _at: jiff::Timestamp) -> Option<Value> {
        None
    }

    /// A time as this vendor writes it; RFC 3339 in UTC when it has no other way.
    fn format_time(&self, time: jiff::Timestamp, _settings: &Settings) -> Value {
        dialect::utc(time).into()
    }
}

/// The vendor with this name.
pub(crate) fn find(name: &str) -> Option<&'static dyn Vendor> {
    REGISTRY.iter().copied().find(|vendor| vendor.name() == name)
}
