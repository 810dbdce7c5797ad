//! A Connector's credentials Secret: the one place where the operator puts values.

use crosstie_crds::names::{self, CREDENTIALS_FILE};
use crosstie_engine::{canonical, credentials::CredentialsDocument};
use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};

use super::{
    ANNOTATION_KEYS, ANNOTATION_PREVIOUS_VERSION_ID, ANNOTATION_SEEN_AT, ANNOTATION_VERSION_ID, CREDENTIALS_TYPE,
    Object, ObjectKind, Owner,
};

/// What the annotations of a credentials Secret say about what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialVersions {
    /// The current version's id.
    pub version_id: String,
    /// The previous version's id, if there is one.
    pub previous_version_id: Option<String>,
    /// When the operator first saw the current version.
    pub seen_at: Option<Timestamp>,
    /// Names of the keys in it.
    pub keys: Vec<String>,
}

impl CredentialVersions {
    /// Whether it holds every one of these keys.
    pub fn hold(&self, keys: &[&str]) -> bool {
        keys.iter().all(|key| self.keys.iter().any(|held| held == key))
    }

    /// Reads the annotations; `None` when they name no version.
    pub fn of(metadata: &ObjectMeta) -> Option<Self> {
        let annotations = metadata.annotations.as_ref()?;
        Some(Self {
            version_id: annotations.get(ANNOTATION_VERSION_ID)?.clone(),
            previous_version_id: annotations.get(ANNOTATION_PREVIOUS_VERSION_ID).cloned(),
            seen_at: annotations.get(ANNOTATION_SEEN_AT).and_then(|time| time.parse().ok()),
            keys: annotations
                .get(ANNOTATION_KEYS)
                .map(|keys| keys.split(',').map(str::to_owned).collect())
                .unwrap_or_default(),
        })
    }
}

/// Names of the keys of a document. Both versions hold the same ones.
pub fn key_names(document: &CredentialsDocument) -> Vec<String> {
    document.current.values.keys().cloned().collect()
}

/// The Secret that is mounted into workers. Its hash is made of version ids and key names, never of values: a hash of a short
/// secret could be reversed, and a version's values never change.
pub fn credentials(owner: &Owner, document: &CredentialsDocument, seen_at: Timestamp) -> Object {
    let name = names::credentials(&owner.name);
    let previous = document.previous.as_ref();
    let annotations = [
        (ANNOTATION_VERSION_ID, document.current.version_id.clone()),
        (ANNOTATION_SEEN_AT, seen_at.to_string()),
        (ANNOTATION_KEYS, key_names(document).join(",")),
    ]
    .into_iter()
    .chain(previous.map(|previous| (ANNOTATION_PREVIOUS_VERSION_ID, previous.version_id.clone())));
    let mut object = Secret {
        metadata: owner.meta(&name, "credentials", annotations),
        type_: Some(CREDENTIALS_TYPE.to_owned()),
        ..Secret::default()
    };
    let hash = canonical::short_hash(&object);
    let file = ByteString(canonical::json(document).into_bytes());
    object.data = Some([(CREDENTIALS_FILE.to_owned(), file)].into());
    Object::with_hash(ObjectKind::Secret, name, &object, hash)
}
