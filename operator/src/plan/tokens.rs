//! Where a Connector's credentials are access tokens that the operator gets: what of them is handed out, what is said of them, and whether an errand
//! has to be run. How old what they are got with is counts too: it is what somebody has to rotate.

use std::sync::Arc;

use crosstie_crds::{condition::Reason, sync_report::CredentialReport};
use crosstie_engine::{
    credentials::{ALLOWED_HOSTS, CredentialVersion},
    grant::{CLIENT_ID, Grant, GrantKind},
    plan::System,
};
use jiff::Timestamp;

use super::{
    age::{Aging, Lasting},
    credentials::{Stored, host_not_allowed},
    objects::Owner,
    rotation::Said,
};
use crate::{
    broker::{
        Entry, Errand,
        decision::{Decision, Facts, decide},
        ledger::{Ledger, Source, Token},
    },
    vault::{SecretKey, VaultFault},
};

/// What was observed of tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The secret with the refresh token, where there is one.
    pub refresh: Option<RefreshToken>,
    /// What is remembered of the tokens; none when nothing is.
    pub entry: Option<Entry>,
}

/// What is known of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The secret that holds it.
    pub secret: SecretKey,
    /// What is stored there.
    pub stored: Stored,
    /// What the vault says of it.
    pub said: Said,
}

/// What follows.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// What is handed out, as if it were stored so.
    pub stored: Stored,
    /// What is said of it.
    pub said: Said,
    /// What is to be run.
    pub errand: Option<Errand>,
    /// When to look again, if it is for the tokens' sake.
    pub look_again: Option<Timestamp>,
}

/// Plans for the tokens of one Connector. `client` is what is stored of the client's own credentials.
pub fn tokens(
    (owner, system, grant): (&Owner, &System, &Grant),
    client: &Stored,
    observed: &Observed,
    workers: &[Option<CredentialReport>],
    now: Timestamp,
) -> Tokens {
    let entry = observed.entry.clone().unwrap_or_default();
    let ledger = entry.ledger.clone().unwrap_or_default();
    let current = ledger.current.as_ref();
    let rejected = current.map(|token| &token.version.version_id).filter(|id| is_rejected(id, workers)).cloned();
    let material = material(system, grant, client, observed);
    let source = material.as_ref().ok().and_then(Option::as_ref).map(|(client, refresh)| Source {
        client: client.version_id.clone(),
        refresh: refresh.clone(),
        grant: grant.hash(),
    });
    let failure = entry.failure.filter(|failure| Some(&failure.source) == source.as_ref());
    let decision = source.as_ref().map(|source| {
        let not_before = failure.as_ref().map(|failure| failure.not_before);
        decide(Facts { ledger: &ledger, source, rejected: rejected.as_deref(), not_before }, now)
    });
    let (asked, look_again, reauth) = match decision {
        None => (false, None, None),
        // Also while what is kept is not known: whoever runs the errand reads it and decides anew.
        Some(Decision::Renew { .. } | Decision::Recover(_)) => (true, None, None),
        Some(Decision::Wait(at)) => (false, Some(at), None),
        Some(Decision::ReauthRequired(message)) => (false, None, Some(message)),
    };
    let errand = material.as_ref().ok().and_then(Option::as_ref).zip(source).filter(|_| asked);
    let errand = errand.map(|((client, _), source)| Errand {
        owner: owner.clone(),
        system: system.clone(),
        grant: grant.clone(),
        client: client.clone(),
        refresh: observed.refresh.as_ref().map(|refresh| refresh.secret.clone()),
        source,
        rejected,
    });
    let fault = material.err().or_else(|| reauth.map(|message| VaultFault::new(Reason::ReauthRequired, message)));
    let fault = fault.or_else(|| failure.map(|failure| failure.fault)).or_else(|| said_of(client));
    let ends = current.map(|token| token.expires_at).filter(|at| *at > now);
    Tokens {
        said: Said {
            made_at: current.map(|token| token.issued_at),
            expires_at: current.map(|token| token.expires_at),
            ..Said::default()
        },
        stored: handed_out(&ledger, fault),
        errand,
        look_again: [look_again, ends].into_iter().flatten().min(),
    }
}

/// The stored secrets that tokens are got with, whose ages count: the client's own, if there is anything secret in it, and the refresh token's. A
/// Kubernetes Secret (`secret` is none then) does not say when it was written, so that it has no age.
pub fn aging(secret: Option<&SecretKey>, client: (&Stored, &Said), refresh: Option<&RefreshToken>) -> Aging {
    let refresh = refresh.map(|refresh| (&refresh.secret, &refresh.stored, &refresh.said, "the refresh token"));
    let client = secret.map(|secret| (secret, client.0, client.1, "the client's credentials"));
    let mut all = Vec::new();
    for (secret, stored, said, what) in client.into_iter().chain(refresh) {
        let Stored::Known { current: Some(current), .. } = stored else { return Aging::NotKnown };
        let is_secret = |key: &String| key != CLIENT_ID && key != ALLOWED_HOSTS;
        if current.values.keys().any(is_secret) {
            let (version_id, secret) = (current.version_id.clone(), Some(secret.clone()));
            all.push(Lasting { what, version_id, since: said.made_at, secret, said: said.clone() });
        }
    }
    Aging::GotWith(all)
}

/// The client's credentials and the version of the refresh token; nothing while they have not come yet.
type Material = Option<(Arc<CredentialVersion>, Option<String>)>;

fn material(system: &System, grant: &Grant, client: &Stored, observed: &Observed) -> Result<Material, VaultFault> {
    let Some(client) = newest(client)? else { return Ok(None) };
    let allowed = system.egress.allow_hosts.iter().map(String::as_str);
    let mut hosts = system.base_url.host_str().into_iter().chain(allowed);
    if let Some(host) = hosts.find(|host| !client.may_go_to(host)) {
        return Err(host_not_allowed(&system.connector, &client, host));
    }
    let refresh = match (grant.kind, &observed.refresh) {
        (GrantKind::RefreshToken, None) => return Ok(None),
        (GrantKind::RefreshToken, Some(refresh)) => match newest(&refresh.stored)? {
            None => return Ok(None),
            Some(version) => Some(version.version_id.clone()),
        },
        (GrantKind::ClientCredentials | GrantKind::JwtBearer, _) => None,
    };
    Ok(Some((client, refresh)))
}

/// The version to use; nothing while it has not come yet.
fn newest(stored: &Stored) -> Result<Option<Arc<CredentialVersion>>, VaultFault> {
    match stored {
        Stored::Asked | Stored::Known { current: None, fault: None, .. } => Ok(None),
        Stored::Refused(fault) | Stored::Known { current: None, fault: Some(fault), .. } => Err(fault.clone()),
        Stored::Known { current: Some(current), .. } => Ok(Some(current.clone())),
    }
}

fn said_of(stored: &Stored) -> Option<VaultFault> {
    match stored {
        Stored::Known { fault, .. } => fault.clone(),
        Stored::Asked | Stored::Refused(_) => None,
    }
}

fn handed_out(ledger: &Ledger, fault: Option<VaultFault>) -> Stored {
    let version = |token: &Token| Arc::new(token.version.clone());
    match (&ledger.current, fault) {
        (None, None) => Stored::Asked,
        (current, fault) => Stored::Known {
            current: current.as_ref().map(version),
            previous: ledger.previous.as_ref().map(version),
            fault,
        },
    }
}

/// Whether a worker says that the vendor refuses a version.
fn is_rejected(version_id: &str, workers: &[Option<CredentialReport>]) -> bool {
    workers.iter().flatten().any(|report| {
        report.rejected_version_id.as_deref() == Some(version_id)
            || (report.accepted == Some(false) && report.used_version_id == version_id)
    })
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
