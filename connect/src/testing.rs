//! Fixtures for the tests of single layers.

use std::time::Duration;

use bytes::Bytes;
use crosstie_engine::{
    credentials::{CredentialVersion, CredentialsDocument},
    plan::{Allowance, Authentication, Egress, System},
};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use url::Url;

use crate::{
    call::{Answer, Call, Reading, Setback},
    failure::{CallFailure, FailureKind},
    observe::Purpose,
};

/// Credentials with one key, `token`, whose value is `secret-of-` and the version's id.
pub fn document(current: &str, previous: Option<&str>) -> CredentialsDocument {
    let version = |id: &str| CredentialVersion {
        version_id: id.into(),
        values: [("token".into(), format!("secret-of-{id}"))].into(),
    };
    CredentialsDocument { connector: "shop".into(), current: version(current), previous: previous.map(version) }
}

/// A call for a page.
pub fn call(name: &str) -> Call {
    Call {
        purpose: Purpose::ReadPage,
        name: name.into(),
        method: Method::GET,
        url: Url::parse("https://api.example.com/orders").unwrap(),
        headers: HeaderMap::new(),
        body: None,
        reading: Reading::Whole,
        credential_version: None,
        identity: None,
    }
}

/// A vendor's answer.
pub fn answer(status: u16, headers: &[(&'static str, &str)], body: &'static str) -> Answer {
    let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: headers.collect(),
        body: Ok(Bytes::from_static(body.as_bytes())),
        code: None,
        asked_as: None,
    }
}

/// A setback of a call that surely took no effect.
pub fn setback(kind: FailureKind, retry_after: Option<u64>) -> Setback {
    Setback::never(CallFailure::new(kind, "as the test says").after(retry_after.map(Duration::from_secs)))
}

/// A system that is called with a bearer token.
pub fn system() -> System {
    System {
        connector: "shop".into(),
        base_url: Url::parse("https://api.example.com").unwrap(),
        api_version: None,
        authentication: Authentication::Bearer { token: "{token}".to_owned().try_into().unwrap() },
        tls: None,
        egress: Egress { allow_hosts: vec!["files.example.com".into()], allow_cidrs: Vec::new() },
        allowance: Allowance { requests: 1, per_seconds: 1, concurrency: 1 },
        served_version_header: None,
        deprecated_reason_header: None,
        request_id_header: None,
        errors: Vec::new(),
        csrf: None,
        webhook_keys: Vec::new(),
        grant: None,
        rate: crosstie_engine::plan::RateRules::default(),
        cache: None,
    }
}
