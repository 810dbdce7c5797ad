//! Whether a webhook comes from whom it says: a keyed hash over what was received (HMAC, RFC 2104), or a secret text. Comparing takes the same
//! time wherever a difference is.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD},
};
use hmac::{Hmac, KeyInit, Mac};
use jiff::{Timestamp, fmt::rfc2822};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

use crate::{
    plan::{
        HashAlgorithm, HeaderPart, SentAt, SignatureEncoding, TimestampFormat, TokenPlace, Verification, WebhookHash,
        WebhookToken, signed_names,
    },
    template::Template,
};

/// Most parts of a header that are looked at.
const MOST_PARTS: usize = 16;
/// What secrets of Standard Webhooks begin with.
const SECRET_PREFIX: &str = "whsec_";
/// Key of the hashes of secret texts that are compared. It need not be secret.
const COMPARED: &[u8] = b"compared";

/// A webhook as it was received.
pub struct Received<'a> {
    /// Method, upper case.
    pub method: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// Scheme and host under which the vendor knows the receiver.
    pub origin: Option<&'a str>,
    /// The value of a header, by its name in lower case.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// The value of a parameter of the address, decoded.
    pub parameter: &'a dyn Fn(&str) -> Option<String>,
    /// The event's id, where the headers say it.
    pub id: Option<&'a str>,
    /// The body as it came.
    pub body: &'a [u8],
}

/// One version of the credentials: the value of a key.
pub type Secret<'a> = &'a dyn Fn(&str) -> Option<Zeroizing<String>>;

/// Why a webhook is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotVerified {
    /// It carries no signature, token or time where they should stand.
    #[error("it carries no signature")]
    Unsigned,
    /// What it carries is not what it should be.
    #[error("its signature is wrong")]
    Forged,
    /// It was sent too long ago, or in the future.
    #[error("its time of sending is too far from the present")]
    Stale,
    /// The credentials lack what it is verified with.
    #[error("the credentials lack a key that webhooks are verified with")]
    NoSecret,
}

/// Verifies a webhook with any of the versions of the credentials, the current one first.
///
/// # Errors
/// [`NotVerified`].
pub fn verify(
    verification: &Verification,
    received: &Received,
    secrets: &[Secret],
    now: Timestamp,
) -> Result<(), NotVerified> {
    match verification {
        Verification::Hash(hash) => verify_hash(hash, received, secrets, now),
        Verification::Token(token) => verify_token(token, received, secrets),
    }
}

fn verify_hash(hash: &WebhookHash, received: &Received, secrets: &[Secret], now: Timestamp) -> Result<(), NotVerified> {
    let timestamp = match &hash.timestamp {
        None => None,
        Some(sent) => Some(part(received, &sent.at).next().ok_or(NotVerified::Unsigned)?),
    };
    let given: Vec<Vec<u8>> = part(received, &hash.signature).filter_map(|text| decoded(hash.encoding, text)).collect();
    if given.is_empty() {
        return Err(NotVerified::Unsigned);
    }
    let message = message(&hash.message, received, timestamp).ok_or(NotVerified::Unsigned)?;
    let mut known = false;
    for secret in secrets {
        let Some(secret) = filled(&hash.secret, *secret) else { continue };
        let Some(key) = key(&secret, hash.secret_is_base64) else { continue };
        known = true;
        if is_signed(hash.algorithm, &key, &message, &given) {
            // Only whoever knows the secret learns that a time is wrong.
            return match (&hash.timestamp, timestamp) {
                (Some(sent), Some(text)) => in_time(sent, text, now),
                (None, _) | (_, None) => Ok(()),
            };
        }
    }
    Err(if known { NotVerified::Forged } else { NotVerified::NoSecret })
}

fn verify_token(token: &WebhookToken, received: &Received, secrets: &[Secret]) -> Result<(), NotVerified> {
    let given = match &token.at {
        TokenPlace::Header(name) => (received.header)(&name.to_ascii_lowercase()).map(str::to_owned),
        TokenPlace::Parameter(name) => (received.parameter)(name),
    };
    let given = Zeroizing::new(given.ok_or(NotVerified::Unsigned)?);
    let mut known = false;
    for secret in secrets {
        let Some(value) = filled(&token.value, *secret) else { continue };
        known = true;
        // Hashes of the two are compared, which takes the same time whatever they have in common.
        let expected = keyed::<Hmac<Sha256>>(COMPARED, &value).map(|mac| mac.finalize().into_bytes().to_vec());
        if expected.is_some_and(|it| is_signed(HashAlgorithm::Sha256, COMPARED, given.as_bytes(), &[it])) {
            return Ok(());
        }
    }
    Err(if known { NotVerified::Forged } else { NotVerified::NoSecret })
}

/// The parts of a header that begin with the prefix, without it.
fn part<'a>(received: &Received<'a>, place: &HeaderPart) -> impl Iterator<Item = &'a str> {
    let header = (received.header)(&place.header.to_ascii_lowercase()).unwrap_or_default();
    let parts: Vec<&str> = match place.separator {
        Some(separator) => header.split(separator).take(MOST_PARTS).collect(),
        None => vec![header],
    };
    let prefix = place.prefix.clone();
    let parts = parts.into_iter().filter_map(move |part| part.trim().strip_prefix(prefix.as_str()));
    parts.filter(|part| !part.is_empty())
}

fn decoded(encoding: SignatureEncoding, text: &str) -> Option<Vec<u8>> {
    match encoding {
        SignatureEncoding::Hex => hex(text),
        SignatureEncoding::Base64 => BASE64_STANDARD.decode(text).or_else(|_| BASE64_STANDARD_NO_PAD.decode(text)).ok(),
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// What is signed. None where something of it is not there.
fn message(template: &Template, received: &Received, timestamp: Option<&str>) -> Option<Vec<u8>> {
    template.fill_bytes(|name, out| {
        let text = match name {
            signed_names::BODY => {
                out.extend_from_slice(received.body);
                return true;
            }
            signed_names::TIMESTAMP => timestamp,
            signed_names::ID => received.id,
            signed_names::METHOD => Some(received.method),
            signed_names::PATH => Some(received.path),
            signed_names::URL => {
                let Some(origin) = received.origin else { return false };
                out.extend_from_slice(origin.as_bytes());
                Some(received.path)
            }
            _ => None,
        };
        text.map(|text| out.extend_from_slice(text.as_bytes())).is_some()
    })
}

fn filled(template: &Template, value: Secret) -> Option<Zeroizing<Vec<u8>>> {
    let filled =
        template.fill_bytes(|name, out| value(name).map(|value| out.extend_from_slice(value.as_bytes())).is_some());
    filled.map(Zeroizing::new).filter(|secret| !secret.is_empty())
}

/// The bytes to sign with.
fn key(secret: &Zeroizing<Vec<u8>>, is_base64: bool) -> Option<Zeroizing<Vec<u8>>> {
    if !is_base64 {
        return Some(secret.clone());
    }
    let text = std::str::from_utf8(secret).ok()?.trim();
    BASE64_STANDARD.decode(text.strip_prefix(SECRET_PREFIX).unwrap_or(text)).ok().map(Zeroizing::new)
}

/// Whether one of the signatures is a message's.
fn is_signed(algorithm: HashAlgorithm, key: &[u8], message: &[u8], given: &[Vec<u8>]) -> bool {
    match algorithm {
        HashAlgorithm::Sha1 => verified::<Hmac<Sha1>>(key, message, given),
        HashAlgorithm::Sha256 => verified::<Hmac<Sha256>>(key, message, given),
        HashAlgorithm::Sha512 => verified::<Hmac<Sha512>>(key, message, given),
    }
}

/// The message is hashed once, however many signatures there are: anybody may send both.
fn verified<M: Mac + KeyInit + Clone>(key: &[u8], message: &[u8], given: &[Vec<u8>]) -> bool {
    let mac = keyed::<M>(key, message);
    mac.is_some_and(|mac| given.iter().any(|given| mac.clone().verify_slice(given).is_ok()))
}

/// The hash of a message. A key of any length will do, so that there always is one.
fn keyed<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Option<M> {
    #[cfg(test)]
    tests::HASHED.set(tests::HASHED.get() + 1);
    <M as KeyInit>::new_from_slice(key).ok().map(|mac| mac.chain_update(message))
}

fn in_time(sent: &SentAt, text: &str, now: Timestamp) -> Result<(), NotVerified> {
    let at = match sent.format {
        TimestampFormat::EpochSeconds => text.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok()),
        TimestampFormat::EpochMillis => text.parse().ok().and_then(|millis| Timestamp::from_millisecond(millis).ok()),
        TimestampFormat::Rfc3339 => text.parse().ok(),
        TimestampFormat::HttpDate => rfc2822::parse(text).ok().map(|time| time.timestamp()),
    };
    let at: Timestamp = at.ok_or(NotVerified::Unsigned)?;
    let apart = now.as_second().saturating_sub(at.as_second()).unsigned_abs();
    if apart > u64::from(sent.tolerance_seconds) { Err(NotVerified::Stale) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
