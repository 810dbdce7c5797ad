//! What AWS' errors mean, and the sentences that people read of them.

use std::error::Error;

use aws_runtime::retries::classifiers::THROTTLING_ERRORS;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use crosstie_crds::condition::Reason;

use crate::vault::{Identity, Read, SecretKey, Stage, VaultFault};

/// How much of AWS' own words goes into a message.
const LONGEST_DETAIL: usize = 300;

/// What an error means: absence is an answer, the rest is a fault.
pub fn explain(key: &SecretKey, stage: Stage, code: Option<&str>, message: Option<&str>) -> Read {
    let code = code.unwrap_or("unknown error");
    let detail = shorten(&format!("{code}: {}", message.unwrap_or("no further message")));
    match code {
        "ResourceNotFoundException" => Ok(None),
        // So AWS calls a secret that is marked for deletion.
        "InvalidRequestException" => {
            let message =
                format!("{key} cannot be read, AWS says {detail}: restore or create it, or correct spec.credentials");
            Err(VaultFault::new(Reason::SecretMissing, message))
        }
        code if is_refusal(code) || code == "DecryptionFailure" => {
            let who = match &key.account.identity {
                Identity::Operator => "the operator's role",
                Identity::Role { arn, .. } => arn.as_str(),
            };
            let message = format!(
                "AWS refused the operator {} of {key}, {detail}: allow {who} secretsmanager:GetSecretValue on it, and kms:Decrypt if it has \
                 a key of its own",
                stage.label()
            );
            Err(VaultFault::new(Reason::AccessDenied, message))
        }
        // The SDK retried it in vain by then.
        code if THROTTLING_ERRORS.contains(&code) => Err(throttled(key, stage, &detail)),
        _ => Err(unavailable(key, stage, &detail)),
    }
}

/// Why a call came to nothing that AWS Secrets Manager never answered: the role was refused, or AWS is away.
pub fn unanswered(key: &SecretKey, stage: Stage, error: &(dyn Error + 'static)) -> VaultFault {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(refusal) = inner.downcast_ref::<AssumeRoleError>() {
            return not_assumed(key, stage, refusal.code().unwrap_or("unknown error"), refusal.message());
        }
        cause = inner.source();
    }
    unavailable(key, stage, &root_cause(error))
}

/// What it means that STS did not give the role.
fn not_assumed(key: &SecretKey, stage: Stage, code: &str, message: Option<&str>) -> VaultFault {
    let detail = shorten(&format!("{code}: {}", message.unwrap_or("no further message")));
    match &key.account.identity {
        Identity::Role { arn, external_id } if is_refusal(code) => {
            let message = format!(
                "AWS does not let the operator assume {arn} with the external id {external_id}, {detail}: have the role's trust policy allow \
                 sts:AssumeRole to the operator's role under that external id, and allow the operator's role to assume it"
            );
            VaultFault::new(Reason::AccessDenied, message)
        }
        Identity::Role { .. } | Identity::Operator if THROTTLING_ERRORS.contains(&code) => {
            throttled(key, stage, &detail)
        }
        Identity::Role { .. } | Identity::Operator => unavailable(key, stage, &detail),
    }
}

/// Why a rotation was not started.
pub fn not_rotated(key: &SecretKey, code: Option<&str>, message: Option<&str>) -> VaultFault {
    let code = code.unwrap_or("unknown error");
    let detail = shorten(&format!("{code}: {}", message.unwrap_or("no further message")));
    let reason = if is_refusal(code) { Reason::AccessDenied } else { Reason::VaultUnavailable };
    let message = format!(
        "AWS did not start the rotation of {key}, {detail}: allow secretsmanager:RotateSecret on it, correct its rotation in AWS, or rotate it \
         yourself"
    );
    VaultFault::new(reason, message)
}

/// Why a new refresh token was not stored.
pub fn not_kept(key: &SecretKey, code: Option<&str>, message: Option<&str>) -> VaultFault {
    let code = code.unwrap_or("unknown error");
    let detail = shorten(&format!("{code}: {}", message.unwrap_or("no further message")));
    let reason = match code {
        code if is_refusal(code) => Reason::AccessDenied,
        code if THROTTLING_ERRORS.contains(&code) => Reason::Throttled,
        _ => Reason::VaultUnavailable,
    };
    let message = format!(
        "AWS did not store the new refresh token in {key}, {detail}: allow secretsmanager:PutSecretValue and \
         secretsmanager:UpdateSecretVersionStage on it; it is tried again, and is lost when the operator ends before"
    );
    VaultFault::new(reason, message)
}

fn throttled(key: &SecretKey, stage: Stage, detail: &str) -> VaultFault {
    let message = format!(
        "AWS takes no more calls for {} of {key} at the moment, {detail}: it is read again with growing waits; values read before stay in use",
        stage.label()
    );
    VaultFault::new(Reason::Throttled, message)
}

/// Whether a code says that the operator may not do this, or is not known.
pub fn is_refusal(code: &str) -> bool {
    matches!(
        code,
        "AccessDeniedException"
            | "AccessDenied"
            | "NotAuthorized"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "ExpiredTokenException"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "OptInRequired"
    )
}

pub fn unavailable(key: &SecretKey, stage: Stage, detail: &str) -> VaultFault {
    let message = format!(
        "AWS Secrets Manager could not be asked for {} of {key}, {}: it is tried again; values read before stay in use",
        stage.label(),
        shorten(detail)
    );
    VaultFault::new(Reason::VaultUnavailable, message)
}

/// The innermost cause: the SDK's outer errors say little more than that there is one.
pub fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(LONGEST_DETAIL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::fetch::tests::key;

    fn answer(code: &str) -> Read {
        explain(&key(), Stage::Current, Some(code), Some("as AWS says"))
    }

    #[test]
    fn absence_is_an_answer() {
        assert!(answer("ResourceNotFoundException").unwrap().is_none());
    }

    #[test]
    fn a_refusal_is_told_apart_from_an_outage() {
        let cases = [
            ("AccessDeniedException", Reason::AccessDenied),
            ("UnrecognizedClientException", Reason::AccessDenied),
            ("DecryptionFailure", Reason::AccessDenied),
            ("InvalidRequestException", Reason::SecretMissing),
            ("ThrottlingException", Reason::Throttled),
            ("TooManyRequestsException", Reason::Throttled),
            ("InternalServiceError", Reason::VaultUnavailable),
        ];
        for (code, reason) in cases {
            let fault = answer(code).unwrap_err();
            assert_eq!(fault.reason, reason, "{code}");
            assert!(fault.message.contains("shop/shopify") && fault.message.contains(code), "{fault}");
        }
    }

    #[test]
    fn a_network_failure_is_an_outage() {
        let fault = unavailable(&key(), Stage::Previous, "connect timed out");
        assert_eq!(fault.reason, Reason::VaultUnavailable);
        assert!(fault.message.contains("connect timed out"), "{fault}");
    }

    #[test]
    fn a_role_that_is_not_given_names_the_external_id_to_allow() {
        let mut key = key();
        key.account.identity =
            Identity::Role { arn: "arn:aws:iam::123456789012:role/lent".into(), external_id: "shop/shopify".into() };
        for (code, reason) in [
            ("AccessDenied", Reason::AccessDenied),
            ("Throttling", Reason::Throttled),
            ("RegionDisabledException", Reason::VaultUnavailable),
        ] {
            assert_eq!(not_assumed(&key, Stage::Current, code, None).reason, reason, "{code}");
        }
        let fault = not_assumed(&key, Stage::Current, "AccessDenied", Some("as AWS says"));
        assert!(fault.message.contains("role/lent") && fault.message.contains("external id shop/shopify"), "{fault}");
    }
}
