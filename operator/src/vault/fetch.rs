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
}

/// From what reading the current version came to: the secret with both its versions. When they are those already `known`, no value is read
/// any more: where the previous version went is asked for without one.
///
/// # Errors
/// [`VaultFault`], with every reason it knows.
pub async fn complete<V: Vault>(
    vault: &V,
    key: &SecretKey,
    known: Option<&Held>,
    mut current: Read,
) -> Result<Held, VaultFault> {
    for _ in 0..ATTEMPTS {
        let newest = current?.ok_or_else(|| missing(key))?;
        let described = vault.describe(key).await;
        if let Some(known) = known.filter(|known| known.current.version_id == newest.version_id)
            && known.is_still(described.as_ref())
        {
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
        return Ok(Held { current, previous, previous_version_id, made_at, description: described });
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
pub(crate) mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::vault::{Account, Identity, Stage};

    /// Version id and text, absence, or a fault.
    pub(crate) type Answer = Result<Option<(&'static str, &'static str)>, VaultFault>;

    /// A vault of one secret whose answers are given beforehand, in order; the last one repeats.
    #[derive(Default)]
    pub(crate) struct Scripted {
        answers: Mutex<Vec<Answer>>,
        pub(crate) asked: Mutex<Vec<Stage>>,
        /// What it says beside values.
        described: Mutex<Option<Description>>,
    }

    impl Scripted {
        pub(crate) fn new(answers: Vec<Answer>) -> Self {
            Self { answers: Mutex::new(answers), ..Self::default() }
        }
    }

    impl Scripted {
        fn answer(&self, stage: Stage) -> Read {
            self.asked.lock().unwrap().push(stage);
            let mut answers = self.answers.lock().unwrap();
            let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
            answer.map(|found| {
                found.map(|(id, text)| StoredValue {
                    version_id: id.into(),
                    made_at: None,
                    text: Some(Zeroizing::new(text.to_owned())),
                })
            })
        }
    }

    impl Vault for Scripted {
        async fn read_current(&self, keys: &[SecretKey]) -> Vec<Read> {
            keys.iter().map(|_| self.answer(Stage::Current)).collect()
        }

        async fn describe(&self, _key: &SecretKey) -> Option<Description> {
            self.described.lock().unwrap().clone()
        }

        async fn read_previous(&self, _key: &SecretKey) -> Read {
            self.answer(Stage::Previous)
        }

        async fn rotate(&self, _key: &SecretKey, _version_id: &str) -> Result<(), VaultFault> {
            Ok(())
        }

        fn forget(&self, _account: &Account) {}
    }

    async fn fetch(vault: &Scripted, key: &SecretKey, known: Option<&Held>) -> Result<Held, VaultFault> {
        let current = vault.read_current(slice::from_ref(key)).await.remove(0);
        complete(vault, key, known, current).await
    }

    pub(crate) fn key() -> SecretKey {
        named("shop/shopify")
    }

    /// A secret that the operator reads as itself in its own region.
    pub(crate) fn named(secret_id: &str) -> SecretKey {
        SecretKey { account: Account { region: None, identity: Identity::Operator }, secret_id: secret_id.into() }
    }

    #[tokio::test]
    async fn both_versions_are_read() {
        let vault = Scripted::new(vec![
            Ok(Some(("v2", r#"{"token":"new","port":8443,"tls":true}"#))),
            Ok(Some(("v1", r#"{"token":"old"}"#))),
        ]);
        let held = fetch(&vault, &key(), None).await.unwrap();
        assert_eq!(held.current.version_id, "v2");
        assert_eq!(held.current.values["token"], "new");
        assert_eq!((held.current.values["port"].as_str(), held.current.values["tls"].as_str()), ("8443", "true"));
        assert_eq!(held.previous.unwrap().version_id, "v1");
    }

    #[tokio::test]
    async fn an_unchanged_secret_costs_one_read() {
        let vault = Scripted::new(vec![Ok(Some(("v2", r#"{"token":"new"}"#))), Ok(None)]);
        let held = fetch(&vault, &key(), None).await.unwrap();
        vault.asked.lock().unwrap().clear();
        *vault.answers.lock().unwrap() = vec![Ok(Some(("v2", r#"{"token":"new"}"#)))];
        assert_eq!(fetch(&vault, &key(), Some(&held)).await.unwrap(), held);
        assert_eq!(*vault.asked.lock().unwrap(), [Stage::Current]);
    }

    #[tokio::test]
    async fn a_move_of_the_previous_version_alone_is_noticed_and_no_value_is_read_for_nothing() {
        let vault = Scripted::new(vec![Ok(Some(("v2", r#"{"token":"new"}"#))), Ok(Some(("v1", r#"{"token":"old"}"#)))]);
        let say = |previous: Option<&str>| {
            let previous = previous.map(str::to_owned);
            let description = Description { current: "v2".into(), previous, rotates: true, next_rotation: None };
            *vault.described.lock().unwrap() = Some(description);
        };
        say(Some("v1"));
        let first = fetch(&vault, &key(), None).await.unwrap();
        vault.asked.lock().unwrap().clear();
        *vault.answers.lock().unwrap() = vec![Ok(Some(("v2", r#"{"token":"new"}"#)))];
        assert_eq!(fetch(&vault, &key(), Some(&first)).await.unwrap(), first);
        assert_eq!(*vault.asked.lock().unwrap(), [Stage::Current]);
        say(Some("v0"));
        *vault.answers.lock().unwrap() =
            vec![Ok(Some(("v2", r#"{"token":"new"}"#))), Ok(Some(("v0", r#"{"token":"older"}"#)))];
        let moved = fetch(&vault, &key(), Some(&first)).await.unwrap();
        assert_eq!(moved.previous.as_ref().unwrap().version_id, "v0");
        say(None);
        *vault.answers.lock().unwrap() = vec![Ok(Some(("v2", r#"{"token":"new"}"#))), Ok(None)];
        assert_eq!(fetch(&vault, &key(), Some(&moved)).await.unwrap().previous, None);
    }

    #[tokio::test]
    async fn a_rotation_between_the_two_reads_is_noticed() {
        let vault = Scripted::new(vec![
            Ok(Some(("v1", r#"{"token":"a"}"#))),
            Ok(Some(("v1", r#"{"token":"a"}"#))),
            Ok(Some(("v2", r#"{"token":"b"}"#))),
            Ok(Some(("v1", r#"{"token":"a"}"#))),
        ]);
        let held = fetch(&vault, &key(), None).await.unwrap();
        assert_eq!((held.current.version_id.as_str(), held.previous.unwrap().version_id.as_str()), ("v2", "v1"));
    }

    #[tokio::test]
    async fn a_previous_version_that_cannot_be_read_now_holds_the_rotation_back() {
        let fault = VaultFault::new(Reason::VaultUnavailable, "AWS is away");
        let vault = Scripted::new(vec![Ok(Some(("v2", r#"{"token":"b"}"#))), Err(fault.clone())]);
        assert_eq!(fetch(&vault, &key(), None).await.unwrap_err(), fault);
    }

    #[tokio::test]
    async fn a_missing_secret_says_its_name() {
        let vault = Scripted::new(vec![Ok(None)]);
        let fault = fetch(&vault, &key(), None).await.unwrap_err();
        assert_eq!(fault.reason, Reason::SecretMissing);
        assert!(fault.message.contains("shop/shopify"), "{fault}");
    }

    #[tokio::test]
    async fn a_malformed_secret_is_refused_without_showing_it() {
        for text in ["hush", r#"["hush"]"#, r#"{"token":{"hush":"hush"}}"#, r#"{"token":null,"hush":"hush"}"#] {
            let vault = Scripted::new(vec![Ok(Some(("v1", text))), Ok(None)]);
            let fault = fetch(&vault, &key(), None).await.unwrap_err();
            assert_eq!(fault.reason, Reason::SecretMalformed);
            assert!(fault.message.contains("v1") && !fault.message.contains("hush"), "{fault}");
        }
    }

    #[test]
    fn printing_a_stored_value_shows_no_text() {
        let text = Some(Zeroizing::new("hush".to_owned()));
        let stored = StoredValue { version_id: "v1".into(), made_at: None, text };
        assert!(!format!("{stored:?}").contains("hush"));
    }
}
