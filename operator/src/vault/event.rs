//! What the messages of a queue say: which secret changed. Pure. The events are EventBridge's, as AWS Secrets Manager and CloudTrail send them; they
//! name secrets and versions and never hold a value.

use serde::Deserialize;
use serde_json::Value;

use super::{Identity, SecretKey};

/// Calls that change which version is current, or whether there is one. Those that only touch a version that is still pending are among them:
/// looking once more does no harm.
const CHANGES: [&str; 8] = [
    "CreateSecret",
    "DeleteSecret",
    "PutSecretValue",
    "RestoreSecret",
    "RotateSecret",
    "RotationSucceeded",
    "UpdateSecret",
    "UpdateSecretVersionStage",
];
/// What stands at the end of an ARN after a secret's name: a dash and six characters.
const ARN_SUFFIX: usize = 7;

/// A secret that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Number of the account it belongs to.
    pub account: String,
    /// Its region.
    pub region: String,
    /// Its name.
    pub name: String,
}

/// Why a message cannot be understood. Says nothing of what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Poison {
    /// Not what EventBridge sends.
    #[error("it is no event of EventBridge")]
    NoEvent,
    /// A change of a secret that is not named.
    #[error("it names no secret")]
    NoSecret,
}

/// Reads the body of a message. Nothing comes of an event that changes no secret.
///
/// # Errors
/// [`Poison`], for what can never be understood.
pub fn read(body: &str) -> Result<Option<Changed>, Poison> {
    let event: Event = serde_json::from_str(body).map_err(|_| Poison::NoEvent)?;
    let detail = &event.detail;
    let named = match event.detail_type.as_str() {
        "Secret Label Updated" => detail.name.as_deref(),
        "AWS API Call via CloudTrail" | "AWS Service Event via CloudTrail" => {
            let changes = detail.event_name.as_deref().is_some_and(|name| CHANGES.contains(&name));
            if !changes || detail.error_code.is_some() {
                return Ok(None);
            }
            let of_call = [&detail.response_elements, &detail.request_parameters, &detail.additional_event_data];
            of_call.into_iter().find_map(named)
        }
        _ => return Ok(None),
    };
    // An ARN says more than a name, which in a call of the API may be either.
    let arn = event.resources.iter().map(String::as_str).find(|arn| is_secret(arn));
    let named = arn.or(named).ok_or(Poison::NoSecret)?;
    let name = name_of(named).ok_or(Poison::NoSecret)?;
    Ok(Some(Changed { account: event.account, region: event.region, name: name.to_owned() }))
}

impl Changed {
    /// Whether the operator knows the secret by this key. `region` is the operator's own, for keys that name none. Whose secret it is says only a
    /// role; a secret of the same name elsewhere is looked at once more than needed.
    pub fn concerns(&self, key: &SecretKey, region: Option<&str>) -> bool {
        let here = key.account.region.as_deref().or(region).is_none_or(|region| region == self.region);
        let theirs = match &key.account.identity {
            Identity::Operator => true,
            Identity::Role { arn, .. } => arn.split(':').nth(4) == Some(self.account.as_str()),
        };
        here && theirs && key.secret_id == self.name
    }
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "detail-type")]
    detail_type: String,
    account: String,
    region: String,
    #[serde(default)]
    resources: Vec<String>,
    detail: Detail,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    name: Option<String>,
    event_name: Option<String>,
    error_code: Option<String>,
    #[serde(default)]
    request_parameters: Value,
    #[serde(default)]
    response_elements: Value,
    #[serde(default)]
    additional_event_data: Value,
}

/// The secret as a part of a CloudTrail record names it: each call spells the field in its own way.
fn named(part: &Value) -> Option<&str> {
    ["arn", "ARN", "aRN", "secretId", "SecretId", "name"].iter().find_map(|field| part[*field].as_str())
}

fn is_secret(arn: &str) -> bool {
    arn.split(':').nth(2) == Some("secretsmanager")
}

/// The name in a name or an ARN.
fn name_of(named: &str) -> Option<&str> {
    let name = match named.strip_prefix("arn:") {
        None => named,
        Some(rest) => {
            // partition, service, region, account, `secret`, name
            let name = rest.splitn(6, ':').nth(5)?;
            let end = name.len().checked_sub(ARN_SUFFIX)?;
            if name.get(end..)?.starts_with('-') { &name[..end] } else { name }
        }
    };
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::fetch::tests::named as key_of;

    fn changed(name: &str) -> Changed {
        Changed { account: "123456789012".into(), region: "eu-west-1".into(), name: name.into() }
    }

    #[test]
    fn each_event_that_aws_sends_of_a_change_names_its_secret() {
        for (fixture, text) in [
            ("label-updated", include_str!("../../tests/events/label-updated.json")),
            ("rotation-succeeded", include_str!("../../tests/events/rotation-succeeded.json")),
            ("put-secret-value", include_str!("../../tests/events/put-secret-value.json")),
            ("update-secret-version-stage", include_str!("../../tests/events/update-secret-version-stage.json")),
        ] {
            assert_eq!(read(text).unwrap(), Some(changed("shop/shopify")), "{fixture}");
        }
    }

    #[test]
    fn events_that_change_no_secret_are_nothing() {
        for text in [
            include_str!("../../tests/events/get-secret-value.json"),
            include_str!("../../tests/events/put-secret-value-denied.json"),
            r#"{"detail-type":"EC2 Instance State-change Notification","account":"1","region":"eu-west-1","detail":{"state":"running"}}"#,
        ] {
            assert_eq!(read(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn what_can_never_be_understood_is_poison_and_is_not_repeated() {
        for (text, poison) in [
            ("", Poison::NoEvent),
            ("hush", Poison::NoEvent),
            ("[]", Poison::NoEvent),
            (r#"{"detail-type":"Secret Label Updated"}"#, Poison::NoEvent),
            (r#"{"detail-type":"Secret Label Updated","account":"1","region":"r","detail":{}}"#, Poison::NoSecret),
            (
                r#"{"detail-type":"Secret Label Updated","account":"1","region":"r","detail":{"name":""}}"#,
                Poison::NoSecret,
            ),
        ] {
            let found = read(text).unwrap_err();
            assert_eq!(found, poison, "{text}");
            assert!(!found.to_string().contains("hush"));
        }
    }

    #[test]
    fn a_name_is_found_in_every_arn() {
        for (text, name) in [
            ("shop/shopify", "shop/shopify"),
            ("arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/shopify-AbCdEf", "shop/shopify"),
            ("arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:a-b-c-AbCdEf", "a-b-c"),
            ("arn:aws:secretsmanager:eu-west-1:123456789012:secret:shopify", "shopify"),
        ] {
            assert_eq!(name_of(text), Some(name), "{text}");
        }
        assert_eq!(name_of("arn:aws:secretsmanager:eu-west-1:123456789012"), None);
    }

    #[test]
    fn a_change_concerns_every_view_of_the_secret_and_none_of_another_region_or_account() {
        let changed = changed("shop/shopify");
        let mut key = key_of("shop/shopify");
        assert!(changed.concerns(&key, Some("eu-west-1")) && !changed.concerns(&key, Some("us-east-1")));
        key.account.region = Some("us-east-1".into());
        assert!(!changed.concerns(&key, Some("eu-west-1")));
        key.account.region = Some("eu-west-1".into());
        assert!(changed.concerns(&key, None));
        for (account, concerned) in [("123456789012", true), ("210987654321", false)] {
            let arn = format!("arn:aws:iam::{account}:role/lent");
            key.account.identity = Identity::Role { arn, external_id: "shop/shopify".into() };
            assert_eq!(changed.concerns(&key, None), concerned, "{account}");
        }
        assert!(!changed.concerns(&key_of("shop/other"), Some("eu-west-1")));
    }
}
