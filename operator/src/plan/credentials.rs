//! What of stored credentials reaches workers. A version goes out only when it holds every key that is needed; until then, and
//! through every fault, the last good one stays.

use std::sync::Arc;

use crosstie_crds::condition::Reason;
use crosstie_engine::credentials::{ALLOWED_HOSTS, CredentialVersion, CredentialsDocument};

use super::objects::CredentialVersions;
use crate::vault::VaultFault;

/// What is stored for a Connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It was asked for and has not come yet.
    Asked,
    /// It may not be asked for, or cannot be.
    Refused(VaultFault),
    /// What was read.
    Known {
        /// The version to use; none if there never was one.
        current: Option<Arc<CredentialVersion>>,
        /// The version before it.
        previous: Option<Arc<CredentialVersion>>,
        /// Why the last read failed, if it did.
        fault: Option<VaultFault>,
    },
}

impl Stored {
    /// Whether the version to use has a key.
    pub fn holds(&self, key: &str) -> bool {
        match self {
            Self::Known { current: Some(current), .. } => current.values.contains_key(key),
            Self::Known { current: None, .. } | Self::Asked | Self::Refused(_) => false,
        }
    }

    /// What is known of a version by its id.
    fn version(&self, id: &str) -> Option<&CredentialVersion> {
        match self {
            Self::Known { current, previous, .. } => {
                [current, previous].into_iter().flatten().find(|version| version.version_id == id).map(AsRef::as_ref)
            }
            Self::Asked | Self::Refused(_) => None,
        }
    }
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What workers are to have; `None` leaves them what they have.
    pub publish: Option<CredentialsDocument>,
    /// What is wrong, if anything is.
    pub fault: Option<VaultFault>,
}

/// What a Connector does with its credentials.
#[derive(Clone, Copy, Debug)]
pub struct Use<'a> {
    /// Its name.
    pub connector: &'a str,
    /// Keys that its `auth` names.
    pub keys: &'a [&'a str],
    /// Keys that its webhooks are verified with, if it sends any: handed out where they are stored, and no need.
    pub webhook_keys: &'a [String],
    /// Hosts that it can send them to.
    pub hosts: &'a [&'a str],
}

impl Use<'_> {
    /// Whether a version holds every key that is needed, and may go to every host.
    fn can_do_with(&self, version: &CredentialVersion) -> bool {
        let has_keys = self.keys.iter().all(|&key| version.values.contains_key(key));
        has_keys && self.hosts.iter().all(|host| version.may_go_to(host))
    }

    /// The same of a version that was handed out, which may be older than everything that is remembered. Its hosts are not known then; the worker
    /// that has it keeps to them, and says so.
    pub fn goes_on_with(&self, handed_out: &CredentialVersions, stored: &Stored) -> bool {
        match stored.version(&handed_out.version_id) {
            Some(version) => self.can_do_with(version),
            None => handed_out.hold(self.keys),
        }
    }
}

/// Decides what of `stored` reaches the workers of a Connector. Keys that nothing names stay behind: what a worker does not have it cannot lose.
/// Only the hosts that a secret names go along with it, so that a worker whose plan is older or newer keeps to them too.
pub fn decide(usage: Use, stored: &Stored) -> Decision {
    let Use { connector, keys, webhook_keys, hosts } = usage;
    let (current, previous, fault) = match stored {
        Stored::Asked => {
            let message = "the credentials were asked for and have not come yet";
            return Decision { publish: None, fault: Some(VaultFault::new(Reason::Starting, message)) };
        }
        Stored::Refused(fault) => return Decision { publish: None, fault: Some(fault.clone()) },
        Stored::Known { current, previous, fault } => (current, previous, fault),
    };
    let Some(current) = current else { return Decision { publish: None, fault: fault.clone() } };
    let missing: Vec<&str> = keys.iter().filter(|&&key| !current.values.contains_key(key)).copied().collect();
    if !missing.is_empty() {
        return Decision { publish: None, fault: Some(key_missing(current, &missing)) };
    }
    if let Some(host) = hosts.iter().find(|host| !current.may_go_to(host)) {
        return Decision { publish: None, fault: Some(host_not_allowed(connector, current, host)) };
    }
    let document = CredentialsDocument {
        connector: connector.to_owned(),
        current: only(current, keys, webhook_keys),
        previous: previous
            .as_ref()
            .filter(|previous| usage.can_do_with(previous))
            .map(|previous| only(previous, keys, webhook_keys)),
    };
    Decision { publish: Some(document), fault: fault.clone() }
}

fn only(version: &CredentialVersion, keys: &[&str], webhook_keys: &[String]) -> CredentialVersion {
    let goes = |name: &String| *name == ALLOWED_HOSTS || keys.contains(&name.as_str()) || webhook_keys.contains(name);
    let values = version.values.iter().filter(|(name, _)| goes(name));
    CredentialVersion {
        version_id: version.version_id.clone(),
        values: values.map(|(name, value)| (name.clone(), value.clone())).collect(),
    }
}

fn key_missing(current: &CredentialVersion, missing: &[&str]) -> VaultFault {
    let found: Vec<&str> = current.values.keys().map(String::as_str).collect();
    let found = if found.is_empty() { "no keys".to_owned() } else { format!("only {}", found.join(", ")) };
    let message = format!(
        "version {} of the credentials has {found}, auth needs {}: add what is missing, or correct spec.auth",
        current.version_id,
        missing.join(", ")
    );
    VaultFault::new(Reason::KeyMissing, message)
}

pub(super) fn host_not_allowed(connector: &str, current: &CredentialVersion, host: &str) -> VaultFault {
    let message = format!(
        "version {} of the credentials may not be sent to {host}, which Connector {connector} can reach: correct spec.baseURL and \
         spec.egress.allowHosts, or have the host added to the secret's {ALLOWED_HOSTS}",
        current.version_id
    );
    VaultFault::new(Reason::HostNotAllowed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(connector: &str, keys: &[&str], stored: &Stored) -> Decision {
        super::decide(Use { connector, keys, webhook_keys: &[], hosts: &["acme.example.com"] }, stored)
    }

    fn bound(id: &str, hosts: &str) -> Arc<CredentialVersion> {
        let values = [("token", "hush"), (ALLOWED_HOSTS, hosts)].map(|(key, value)| (key.to_owned(), value.to_owned()));
        Arc::new(CredentialVersion { version_id: id.into(), values: values.into() })
    }

    #[test]
    fn a_secret_that_names_its_hosts_goes_to_no_connector_that_reaches_another() {
        let allowed =
            decide("shopify", &["token"], &known(Some(bound("v1", "acme.example.com")), None)).publish.unwrap();
        assert!(!allowed.current.may_go_to("evil.example.com"), "the list goes along");
        let decision = decide("shopify", &["token"], &known(Some(bound("v1", "other.example.com")), None));
        assert_eq!(decision.publish, None);
        let fault = decision.fault.unwrap();
        assert_eq!(fault.reason, Reason::HostNotAllowed);
        assert!(fault.message.contains("acme.example.com") && !fault.message.contains("hush"), "{fault}");
    }

    #[test]
    fn a_previous_version_that_may_not_go_there_is_left_out() {
        let stored = known(Some(version("v2", &["token"])), Some(bound("v1", "other.example.com")));
        assert_eq!(decide("shopify", &["token"], &stored).publish.unwrap().previous, None);
    }

    fn version(id: &str, keys: &[&str]) -> Arc<CredentialVersion> {
        let values = keys.iter().map(|&key| (key.to_owned(), format!("hush-{id}"))).collect();
        Arc::new(CredentialVersion { version_id: id.into(), values })
    }

    fn known(current: Option<Arc<CredentialVersion>>, previous: Option<Arc<CredentialVersion>>) -> Stored {
        Stored::Known { current, previous, fault: None }
    }

    #[test]
    fn both_versions_go_out_with_the_keys_that_are_named_only() {
        let stored = known(Some(version("v2", &["token", "refresh"])), Some(version("v1", &["token"])));
        let document = decide("shopify", &["token"], &stored).publish.unwrap();
        assert_eq!(document.current.values.keys().collect::<Vec<_>>(), ["token"]);
        assert_eq!(document.previous.as_ref().unwrap().version_id, "v1");
    }

    #[test]
    fn what_webhooks_are_verified_with_goes_out_where_it_is_stored_and_is_no_need() {
        let stored = known(Some(version("v2", &["token", "hook", "other"])), Some(version("v1", &["token"])));
        let usage = Use { connector: "shopify", keys: &["token"], webhook_keys: &["hook".to_owned()], hosts: &[] };
        let document = super::decide(usage, &stored).publish.unwrap();
        assert_eq!(document.current.values.keys().collect::<Vec<_>>(), ["hook", "token"]);
        assert_eq!(document.previous.unwrap().values.keys().collect::<Vec<_>>(), ["token"]);
    }

    #[test]
    fn a_version_without_a_needed_key_never_goes_out() {
        let decision = decide("shopify", &["token", "shop"], &known(Some(version("v2", &["tokn"])), None));
        assert_eq!(decision.publish, None);
        let fault = decision.fault.unwrap();
        assert_eq!(fault.reason, Reason::KeyMissing);
        assert!(fault.message.contains("only tokn") && fault.message.contains("token, shop"), "{fault}");
        assert!(!fault.message.contains("hush"), "{fault}");
    }

    #[test]
    fn a_previous_version_without_a_needed_key_is_left_out() {
        let stored = known(Some(version("v2", &["token"])), Some(version("v1", &["old"])));
        assert_eq!(decide("shopify", &["token"], &stored).publish.unwrap().previous, None);
    }

    #[test]
    fn a_fault_does_not_take_back_what_was_read() {
        let fault = VaultFault::new(Reason::VaultUnavailable, "away");
        let stored =
            Stored::Known { current: Some(version("v1", &["token"])), previous: None, fault: Some(fault.clone()) };
        let decision = decide("shopify", &["token"], &stored);
        assert!(decision.publish.is_some());
        assert_eq!(decision.fault, Some(fault));
    }

    #[test]
    fn what_has_not_come_yet_is_no_failure() {
        assert_eq!(decide("shopify", &["token"], &Stored::Asked).fault.unwrap().reason, Reason::Starting);
    }
}
