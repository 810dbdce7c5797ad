//! How both versions of a secret are read so that they belong together, and how their values are understood.

use std::{collections::BTreeMap, fmt, slice, sync::Arc};

use crosstie_crds::condition::Reason;
use crosstie_engine::credentials::CredentialVersion;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de};
use zeroize::Zeroizing;

use super::{Description, Read, SecretKey, StoredValue, Vault, VaultFault};

/// How often both versions are read again when a rotation happens in between.
const ATTEMPTS: usize = 3;

/// What a vault holds of one secret: the version to use, and the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The version to use.
    pub current: Arc<CredentialVersion>,
    /// The version before it, if there is one that can be understood.
    pub previous: Option<Arc<CredentialVersion>>,
    /// Id of the version before it, also of one that cannot be understood.
    pub previous_version_id: Option<String>,
    /// When the version to use was made, if the vault says so.
    pub made_at: Option<Timestamp>,
    /// What the vault last said of the secret beside its values.
    pub description: Option<Description>,
}

impl Held {
    /// Whether the versions are still these two. Where the vault does not say it, the current one stands for both.
    fn is_still(&self, described: Option<&Description>) -> bool {
        described.is_none_or(|described| {
            described.current == self.current.version_id && described.previous == self.previous_version_id
        })
    }

    /// Whether a list says what is held, and nothing else. Where it says anything else it may be minutes behind as well as ahead.
    pub(super) fn is_confirmed_by(&self, says: &Description) -> bool {
        self.is_still(Some(says)) && self.description.as_ref().is_none_or(|held| held == says)
    }
}

/// What lists say of a secret that is being read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Listed {
    /// Nothing: the secret is described by itself.
    #[default]
    Nothing,
    /// This, the last time.
    Says(Description),
    /// Nothing yet, and a list is to come soon: a secret that was not described yet goes without a description until then.
    Soon,
}

impl Listed {
    /// What a list says, where that counts: it names the version that is current now, and nothing else than what is held.
    fn counting(&self, newest: &StoredValue, known: Option<&Held>) -> Option<&Description> {
        let Self::Says(says) = self else { return None };
        let counts = says.current == newest.version_id && known.is_none_or(|known| known.is_confirmed_by(says));
        counts.then_some(says)
    }
}

/// From what reading the current version came to: the secret with both its versions. When they are those already `known`, no value is read
/// any more: where the previous version went is asked for without one, unless a list has said that it is where it was.
///
/// # Errors
/// [`VaultFault`], with every reason it knows.
pub async fn complete<V: Vault>(
    vault: &V,
    key: &SecretKey,
    known: Option<&Held>,
    listed: &Listed,
    mut current: Read,
) -> Result<Held, VaultFault> {
    for _ in 0..ATTEMPTS {
        let newest = current?.ok_or_else(|| missing(key))?;
        let same = known.filter(|known| known.current.version_id == newest.version_id);
        let says = listed.counting(&newest, known);
        let is_news = known.is_some() && same.is_none();
        let described = match (says, listed) {
            (Some(says), _) => Some(says.clone()),
            (None, Listed::Soon) if !is_news => None,
            (None, _) => vault.describe(key).await,
        };
        if let Some(known) = same.filter(|known| known.is_still(described.as_ref())) {
            return Ok(Held { description: described.or_else(|| known.description.clone()), ..known.clone() });
        }
        let is_first = |described: &Description| described.previous.is_none() && described.current == newest.version_id;
        // A previous version that cannot be read now is no reason to go without one: the rotation is taken over later instead.
        let previous = if described.as_ref().is_some_and(is_first) { None } else { vault.read_previous(key).await? };
        if previous.as_ref().is_some_and(|previous| previous.version_id == newest.version_id) {
            current = vault.read_current(slice::from_ref(key)).await.pop().unwrap_or(Ok(None));
            continue;
        }
        let made_at = newest.made_at;
        let current = Arc::new(understand(key, newest)?);
        let previous_version_id = previous.as_ref().map(|previous| previous.version_id.clone());
        let previous = previous.and_then(|previous| understand(key, previous).ok()).map(Arc::new);
        let is_outdated = says.is_some_and(|says| says.previous != previous_version_id);
        let description = if is_outdated { vault.describe(key).await } else { described };
        return Ok(Held { current, previous, previous_version_id, made_at, description });
    }
    let message = format!("{key} changed each time it was read; it is read again shortly");
    Err(VaultFault::new(Reason::VaultUnavailable, message))
}

pub(super) fn missing(key: &SecretKey) -> VaultFault {
    let message = format!("{key} does not exist or has no current version: create it, or correct spec.credentials");
    VaultFault::new(Reason::SecretMissing, message)
}

/// Reads a JSON object of texts; numbers and truth values count as their text. The fault says what is wrong without showing any of it.
pub(super) fn understand(key: &SecretKey, stored: StoredValue) -> Result<CredentialVersion, VaultFault> {
    let malformed = |what: &str| {
        let message = format!(
            "{key} {what} in version {}: store a JSON object of strings, for example {{\"token\": \"…\"}}",
            stored.version_id
        );
        VaultFault::new(Reason::SecretMalformed, message)
    };
    let text = stored.text.as_ref().ok_or_else(|| malformed("is binary"))?;
    // The parser's own message may quote the value, so it is dropped.
    let values: BTreeMap<String, Text> =
        serde_json::from_str(text).map_err(|_| malformed("is not a JSON object of strings"))?;
    // The zeroed copy in `Text` is the intermediate one; `CredentialVersion` zeroes what it is given.
    let values = values.into_iter().map(|(name, mut text)| (name, std::mem::take(&mut *text.0))).collect();
    Ok(CredentialVersion { version_id: stored.version_id, values })
}

struct Text(Zeroizing<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Text;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(Zeroizing::new(text.to_owned())))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Text, E> {
                Ok(Text(Zeroizing::new(text)))
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Text, E> {
                Ok(Text(Zeroizing::new(value.to_string())))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Text, E> {
                Ok(Text(Zeroizing::new(value.to_string())))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Text, E> {
                Ok(Text(Zeroizing::new(value.to_string())))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Text, E> {
                Ok(Text(Zeroizing::new(value.to_string())))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
pub(crate) mod tests;
