//! How an Integration receives webhooks, checked and resolved: the source's description of them, the Integration's wishes, and which events each
//! flow takes.

use std::{collections::BTreeSet, net::IpAddr};

use crosstie_crds::{
    Integration,
    connector::{
        HashAlgorithm, SignatureEncoding, TimestampFormat, WebhookChallenge, WebhookHmac, WebhookPart, WebhookPlace,
        WebhookRefusal, WebhookRoute, WebhookToken as SpecToken, WebhookVerification, Webhooks,
    },
    integration::Flow as SpecFlow,
};

use super::{
    Findings,
    connector::Resolved,
    flow::{direction, listed},
};
use crate::{
    glob,
    plan::{
        self, Brings, Challenge, Direction, EventLimit, EventRoute, HeaderPart, Place, Receiver, Rest, SentAt, Stream,
        Subscription, TokenPlace, Verification, WebhookHash, WebhookToken, signed_names,
    },
    template::Template,
};

/// Seconds by which a time of sending may differ, where nothing is said.
const TOLERANCE_SECONDS: u32 = 300;
/// Largest body, where nothing is said.
const MAX_BODY_BYTES: u32 = 1_048_576;
/// Days for which events are kept, where nothing is said.
const AUDIT_DAYS: u32 = 7;
/// Where the deletion of a record is said that webhooks bring, where the stream has no place of its own for it.
const DELETED: &str = "/crosstieDeleted";

/// Resolves how an Integration receives webhooks. None where no flow takes any, or together with findings.
pub(crate) fn resolve(integration: &Integration, source: &Resolved, findings: &mut Findings) -> Option<Receiver> {
    let forward = |flow: &&SpecFlow| direction(flow) == Direction::Forward;
    let flows: Vec<&SpecFlow> = integration.spec.flows.iter().filter(forward).collect();
    if !flows.iter().flat_map(|flow| &flow.triggers).any(|trigger| trigger.webhook.is_some()) {
        return None;
    }
    let Some(webhooks) = &source.webhooks else {
        let message = format!(
            "Connector {} does not say how its webhooks are verified: set spec.webhooks there, or use another trigger",
            source.name
        );
        findings.invalid("spec.flows", message);
        return None;
    };
    let spec = integration.spec.receiver.clone().unwrap_or_default();
    let namespace = integration.metadata.namespace.as_deref().unwrap_or_default();
    let name = integration.metadata.name.as_deref().unwrap_or_default();
    if !is_label(name) {
        let message = format!(
            "`{name}` cannot name the Service that webhooks reach the worker by: choose a name of letters, digits and `-` that begins with a letter"
        );
        findings.invalid("metadata.name", message);
    }
    // Problems of the description were found with its Connector.
    let verification = verification(webhooks, &mut Findings::new())?;
    if spec.host.is_none() && signs_url(&verification) {
        let message =
            format!("Connector {}'s webhooks sign the address they are sent to: set receiver.host", source.name);
        findings.invalid("spec.receiver.host", message);
    }
    let subscription = spec.host.is_some().then(|| subscription(&flows, webhooks, source, findings)).flatten();
    let standard = webhooks.verify.as_ref().is_some_and(|verify| verify.standard_webhooks.is_some());
    let event_id = webhooks.event_id.as_ref().map(place);
    Some(Receiver {
        path: format!("/{namespace}/{name}"),
        origin: spec.host.map(|host| format!("https://{host}")),
        verification,
        refusal_status: match webhooks.refusal.unwrap_or_default() {
            WebhookRefusal::Unauthorized => 401,
            WebhookRefusal::Unavailable => 503,
        },
        events: webhooks.events.clone(),
        event_id: event_id.or_else(|| standard.then(|| Place::Header("webhook-id".into()))),
        topic: webhooks.topic.as_ref().map(place),
        challenge: webhooks.challenge.as_ref().and_then(challenge),
        subscription,
        limit: spec.limit.map(|limit| EventLimit {
            key: limit.key.as_ref().map(place),
            requests: limit.requests,
            per_seconds: limit.per_seconds.unwrap_or(60),
        }),
        trusted_proxies: ranges(spec.trusted_proxies, findings),
        max_body_bytes: spec.max_body_bytes.unwrap_or(MAX_BODY_BYTES),
        audit_days: spec.audit_days.unwrap_or(AUDIT_DAYS),
    })
}

/// How the vendor is told where to send events. Problems of the description were found with its Connector.
fn subscription(
    flows: &[&SpecFlow],
    webhooks: &Webhooks,
    source: &Resolved,
    findings: &mut Findings,
) -> Option<Subscription> {
    let spec = webhooks.subscription.as_ref()?;
    let mut topics = BTreeSet::new();
    for flow in flows {
        for topic in
            flow.triggers.iter().filter_map(|trigger| trigger.webhook.as_ref()).flat_map(|webhook| &webhook.topics)
        {
            if topic.contains('*') {
                let message =
                    format!("name each topic in place of `{topic}`: the vendor is subscribed to each by itself");
                findings.invalid(format!("spec.flows[{}].triggers", flow.name), message);
            }
            topics.insert(topic.clone());
        }
    }
    let known = &mut Findings::new();
    Some(Subscription {
        stream: source.stream(&spec.stream, known)?,
        topic: spec.topic.clone(),
        address: spec.address.clone(),
        operation: source.operation(&spec.operation, known)?,
        topic_field: spec.topic_field.clone().unwrap_or_else(|| "topic".into()),
        address_field: spec.address_field.clone().unwrap_or_else(|| "address".into()),
        topics: topics.into_iter().collect(),
    })
}

/// Notes what is wrong with a Connector's description of its webhooks. Gives the keys of the credentials that they are verified with.
pub(super) fn check(webhooks: &Webhooks, offered: &Resolved, findings: &mut Findings) -> Vec<String> {
    let verification = verification(webhooks, findings);
    if let Some(subscription) = &webhooks.subscription {
        let unknown = |kind: &str, name: &str| format!("there is no {kind} `{name}`");
        if !offered.streams.iter().any(|stream| stream.name == subscription.stream) {
            findings.invalid("spec.webhooks.subscription.stream", unknown("stream", &subscription.stream));
        }
        if !offered.operations.iter().any(|operation| operation.name == subscription.operation) {
            findings.invalid("spec.webhooks.subscription.operation", unknown("operation", &subscription.operation));
        }
    }
    let streams = &offered.streams;
    for (index, route) in webhooks.routes.iter().enumerate() {
        let path = |field: &str| format!("spec.webhooks.routes[{index}].{field}");
        let Some(stream) = streams.iter().find(|stream| stream.name == route.stream) else {
            let known = listed(streams.iter().map(|stream| stream.name.as_str()));
            findings.invalid(path("stream"), format!("there is no stream `{}`; there is {known}", route.stream));
            continue;
        };
        if route.key.is_some() && route.deleted != Some(true) && stream.one.is_none() {
            let message = format!(
                "its events only name a record: set `one` on the stream `{}`, so that it can be read",
                stream.name
            );
            findings.invalid(path("key"), message);
        }
    }
    verification.iter().flat_map(Verification::keys).map(str::to_owned).collect()
}

fn verification(webhooks: &Webhooks, findings: &mut Findings) -> Option<Verification> {
    let mut site = Site { findings };
    let Some(verify) = &webhooks.verify else {
        site.invalid("verify", "set it: nothing that is not verified is taken");
        return None;
    };
    site.verification(verify)
}

fn signs_url(verification: &Verification) -> bool {
    match verification {
        Verification::Hash(hash) => hash.message.names().any(|name| name == signed_names::URL),
        Verification::Token(_) => false,
    }
}

fn place(spec: &WebhookPlace) -> Place {
    match (&spec.header, &spec.pointer) {
        (Some(header), _) => Place::Header(header.clone()),
        (None, pointer) => Place::Pointer(pointer.clone().unwrap_or_default()),
    }
}

fn challenge(spec: &WebhookChallenge) -> Option<Challenge> {
    match (&spec.pointer, &spec.parameter, &spec.allowed_origin) {
        (Some(pointer), _, _) => Some(Challenge::Pointer(pointer.clone())),
        (None, Some(parameter), _) => Some(Challenge::Parameter(parameter.clone())),
        (None, None, Some(_)) => Some(Challenge::AllowedOrigin),
        (None, None, None) => None,
    }
}

fn part(spec: &WebhookPart) -> HeaderPart {
    HeaderPart {
        header: spec.header.clone(),
        prefix: spec.prefix.clone().unwrap_or_default(),
        separator: spec.separator.as_ref().and_then(|separator| separator.chars().next()),
    }
}

struct Site<'a> {
    findings: &'a mut Findings,
}

impl Site<'_> {
    fn invalid(&mut self, field: &str, message: impl Into<String>) {
        self.findings.invalid(format!("spec.webhooks.{field}"), message);
    }

    fn template(&mut self, field: &str, text: &str) -> Option<Template> {
        Template::parse(text).map_err(|error| self.invalid(field, error.to_string())).ok()
    }

    /// A template in which a key of the credentials has to stand: whoever verifies with a text that is not secret verifies nothing.
    fn secret(&mut self, field: &str, text: &str) -> Option<Template> {
        let template = self.template(field, text)?;
        if template.names().next().is_none() {
            self.invalid(field, "name a key of the credentials, for example {webhookSecret}");
            return None;
        }
        Some(template)
    }

    fn verification(&mut self, verify: &WebhookVerification) -> Option<Verification> {
        match (&verify.hmac, &verify.standard_webhooks, &verify.token) {
            (Some(hash), None, None) => self.hash(hash).map(Verification::Hash),
            (None, Some(standard), None) => {
                let secret = self.secret("verify.standardWebhooks.secret", &standard.secret)?;
                Some(Verification::Hash(standard_hash(secret, standard.tolerance_seconds)?))
            }
            (None, None, Some(token)) => self.token(token).map(Verification::Token),
            (_, _, _) => {
                self.invalid("verify", "set exactly one of hmac, standardWebhooks and token");
                None
            }
        }
    }

    fn hash(&mut self, hash: &WebhookHmac) -> Option<WebhookHash> {
        let secret = self.secret("verify.hmac.secret", &hash.secret);
        let message = self.template("verify.hmac.message", hash.message.as_deref().unwrap_or("{body}"))?;
        if let Some(stranger) = message.names().find(|name| !signed_names::ALL.contains(name)) {
            let known = listed(signed_names::ALL.into_iter());
            self.invalid("verify.hmac.message", format!("`{{{stranger}}}` is not known here; known are {known}"));
        }
        if !message.names().any(|name| name == signed_names::BODY) {
            self.invalid("verify.hmac.message", "put {body} into it: what is not signed can be changed by anybody");
        }
        if message.names().any(|name| name == signed_names::TIMESTAMP) && hash.timestamp.is_none() {
            self.invalid("verify.hmac.timestamp", "set it: the message has {timestamp}");
        }
        if hash.timestamp.is_some() && !message.names().any(|name| name == signed_names::TIMESTAMP) {
            self.invalid(
                "verify.hmac.message",
                "put {timestamp} into it: a time that is not signed can be changed by anybody",
            );
        }
        Some(WebhookHash {
            algorithm: match hash.algorithm {
                HashAlgorithm::Sha1 => plan::HashAlgorithm::Sha1,
                HashAlgorithm::Sha256 => plan::HashAlgorithm::Sha256,
                HashAlgorithm::Sha512 => plan::HashAlgorithm::Sha512,
            },
            secret: secret?,
            secret_is_base64: false,
            message,
            encoding: match hash.encoding {
                SignatureEncoding::Hex => plan::SignatureEncoding::Hex,
                SignatureEncoding::Base64 => plan::SignatureEncoding::Base64,
            },
            signature: part(&hash.signature),
            timestamp: hash.timestamp.as_ref().map(|sent| SentAt {
                at: part(&sent.at),
                format: match sent.format.unwrap_or_default() {
                    TimestampFormat::EpochSeconds => plan::TimestampFormat::EpochSeconds,
                    TimestampFormat::EpochMillis => plan::TimestampFormat::EpochMillis,
                    TimestampFormat::Rfc3339 => plan::TimestampFormat::Rfc3339,
                    TimestampFormat::HttpDate => plan::TimestampFormat::HttpDate,
                },
                tolerance_seconds: sent.tolerance_seconds.unwrap_or(TOLERANCE_SECONDS),
            }),
        })
    }

    fn token(&mut self, token: &SpecToken) -> Option<WebhookToken> {
        let value = self.secret("verify.token.value", &token.value)?;
        let at = match (&token.header, &token.parameter) {
            (Some(header), _) => TokenPlace::Header(header.clone()),
            (None, Some(parameter)) => TokenPlace::Parameter(parameter.clone()),
            (None, None) => {
                self.invalid("verify.token", "set exactly one of header and parameter");
                return None;
            }
        };
        Some(WebhookToken { at, value })
    }
}

fn ranges(ranges: Vec<String>, findings: &mut Findings) -> Vec<String> {
    for range in ranges.iter().filter(|range| !is_range(range)) {
        let message = format!("`{range}` is no address range: write one such as 10.0.0.0/8");
        findings.invalid("spec.receiver.trustedProxies", message);
    }
    ranges
}

/// Whether a text is a label of RFC 1035, as names of Services have to be.
fn is_label(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.ends_with(|last: char| last.is_ascii_lowercase() || last.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Whether a text is an address range in CIDR notation.
fn is_range(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let longest = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.parse::<u8>().is_ok_and(|length| length <= longest)
}

fn standard_hash(secret: Template, tolerance_seconds: Option<u32>) -> Option<WebhookHash> {
    let whole = |header: &str| HeaderPart { header: header.into(), prefix: String::new(), separator: None };
    Some(WebhookHash {
        algorithm: plan::HashAlgorithm::Sha256,
        secret,
        secret_is_base64: true,
        message: Template::parse("{id}.{timestamp}.{body}").ok()?,
        encoding: plan::SignatureEncoding::Base64,
        signature: HeaderPart { prefix: "v1,".into(), separator: Some(' '), ..whole("webhook-signature") },
        timestamp: Some(SentAt {
            at: whole("webhook-timestamp"),
            format: plan::TimestampFormat::EpochSeconds,
            tolerance_seconds: tolerance_seconds.unwrap_or(TOLERANCE_SECONDS),
        }),
    })
}

/// Which events a flow takes. Says on the stream where a deletion is told, if events tell one.
pub(super) fn events(
    at: &dyn Fn(&str) -> String,
    flow: &SpecFlow,
    source: &Resolved,
    stream: Option<&mut Stream>,
    findings: &mut Findings,
) -> Vec<EventRoute> {
    let wanted: Vec<String> = flow
        .triggers
        .iter()
        .filter_map(|trigger| trigger.webhook.as_ref())
        .flat_map(|webhook| webhook.topics.clone())
        .collect();
    if direction(flow) == Direction::Reverse && !wanted.is_empty() {
        let message =
            "webhooks come from spec.source alone, and this flow reads spec.destination: use everySeconds or cron";
        findings.invalid(at("triggers"), message);
        return Vec::new();
    }
    let (Some(webhooks), Some(stream), false) = (&source.webhooks, stream, wanted.is_empty()) else {
        return Vec::new();
    };
    let routes: Vec<&WebhookRoute> = webhooks.routes.iter().filter(|route| route.stream == flow.stream).collect();
    for topic in &wanted {
        if !routes.iter().flat_map(|route| &route.topics).any(|known| overlap(known, topic)) {
            let known = listed(routes.iter().flat_map(|route| &route.topics).map(String::as_str));
            let message = format!(
                "Connector {} does not say what events of `{topic}` bring to the stream `{}`; it knows {known}: choose one of these, or add a \
                 route to its webhooks",
                source.name, flow.stream
            );
            findings.invalid(at("triggers"), message);
        }
    }
    routes.into_iter().map(|route| event_route(route, &wanted, stream)).collect()
}

/// Whether two patterns may fit the same topic. One of them mostly has no `*`.
pub(super) fn overlap(known: &str, wanted: &str) -> bool {
    glob::matches(known, wanted) || glob::matches(wanted, known)
}

fn event_route(route: &WebhookRoute, wanted: &[String], stream: &mut Stream) -> EventRoute {
    let record = || route.record.clone().unwrap_or_default();
    let brings = if route.deleted == Some(true) && stream.version.is_some() {
        stream.deleted.get_or_insert_with(|| DELETED.into());
        let rest = route.key.clone().map_or_else(|| Rest::Record(record()), Rest::Key);
        Brings::Deleted { rest, version: route.version.as_ref().map(place) }
    } else if let Some(key) = &route.key {
        Brings::Key(key.clone())
    } else {
        // Without versions it is read anew, and then says by itself that it was deleted.
        Brings::Record(record())
    };
    EventRoute { wanted: wanted.to_vec(), topics: route.topics.clone(), brings }
}
