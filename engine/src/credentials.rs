//! The credentials document: what the operator writes into a Connector's Secret and the worker reads from the mounted file. The shape only;
//! values are held by types that print nothing, in the rooms that do I/O.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The key under which a version may name the only hosts that it is sent to, separated by commas.
pub const ALLOWED_HOSTS: &str = "allowedHosts";

/// Whether a list as [`ALLOWED_HOSTS`] has it names a host. Neither case nor the dot that may end a name counts.
pub fn names_host(list: &str, host: &str) -> bool {
    let plain = |host: &str| host.trim().trim_end_matches('.').to_ascii_lowercase();
    list.split(',').map(plain).any(|named| !named.is_empty() && named == plain(host))
}

/// Current and previous version of a Connector's credentials. A version that is still pending never stands here.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsDocument {
    /// Name of the Connector.
    pub connector: String,
    /// The version to use.
    pub current: CredentialVersion,
    /// The version before it, which the vendor may still accept, or accept again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<CredentialVersion>,
}

/// One version of a Connector's credentials.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CredentialVersion {
    /// The store's id of this version.
    pub version_id: String,
    /// The values by key.
    pub values: BTreeMap<String, String>,
}

impl CredentialVersion {
    /// Whether the version may be sent to a host: to any, unless it names those that it may be sent to.
    pub fn may_go_to(&self, host: &str) -> bool {
        self.values.get(ALLOWED_HOSTS).is_none_or(|list| names_host(list, host))
    }
}

impl std::fmt::Debug for CredentialsDocument {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("CredentialsDocument")
            .field("connector", &self.connector)
            .field("current", &self.current)
            .field("previous", &self.previous)
            .finish()
    }
}

impl std::fmt::Debug for CredentialVersion {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CredentialVersion").field("version_id", &self.version_id).finish_non_exhaustive()
    }
}

impl Zeroize for CredentialVersion {
    /// Overwrites the values. Their keys are not secret, and neither is the id.
    fn zeroize(&mut self) {
        // Without the crate's derive: it has none for maps, whose keys must keep their order.
        self.values.values_mut().for_each(Zeroize::zeroize);
    }
}

impl Drop for CredentialVersion {
    fn drop(&mut self) {
        self.zeroize();
    }
}

impl ZeroizeOnDrop for CredentialVersion {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_goes_only_to_the_hosts_that_it_names() {
        let version = |values: &[(&str, &str)]| CredentialVersion {
            version_id: "v1".into(),
            values: values.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        };
        assert!(version(&[("token", "hush")]).may_go_to("anywhere.example.com"));
        let bound = version(&[("token", "hush"), (ALLOWED_HOSTS, "acme.example.com, Files.Example.com.")]);
        for (host, may) in [
            ("acme.example.com", true),
            ("ACME.example.com.", true),
            ("files.example.com", true),
            ("example.com", false),
            ("evil-acme.example.com", false),
            ("acme.example.com.evil.com", false),
            ("", false),
        ] {
            assert_eq!(bound.may_go_to(host), may, "{host}");
        }
        assert!(!version(&[(ALLOWED_HOSTS, "")]).may_go_to("acme.example.com"), "an empty list names none");
    }

    #[test]
    fn printing_credentials_shows_no_value() {
        let version = CredentialVersion { version_id: "v1".into(), values: [("token".into(), "hush".into())].into() };
        let document = CredentialsDocument { connector: "shopify".into(), current: version, previous: None };
        let printed = format!("{document:?}");
        assert!(printed.contains("v1") && !printed.contains("hush"), "{printed}");
    }

    #[test]
    fn zeroing_leaves_the_keys_and_no_value() {
        let mut version = CredentialVersion {
            version_id: "v1".into(),
            values: [("token".into(), "hush".into()), ("key".into(), "hush".into())].into(),
        };
        version.zeroize();
        assert_eq!(version.values.keys().collect::<Vec<_>>(), ["key", "token"]);
        assert!(version.values.values().all(String::is_empty));
    }
}
