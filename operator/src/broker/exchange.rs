//! What `connect::grants` makes of what is stored and granted, in the broker's terms: faults with the reason that status shows, and tokens with what the
//! ledger keeps of them. Pure.

use crosstie_connect::grants::{self, Granted, TokenRequest, Unasked};
use crosstie_crds::condition::Reason;
use crosstie_engine::{credentials::CredentialVersion, grant::Grant};
use jiff::{SignedDuration, Timestamp};

use super::ledger::{Source, Token};
use crate::vault::VaultFault;

/// The request that a grant makes of what is stored.
///
/// # Errors
/// When a key is missing, or a secret may not be sent there.
pub fn request(
    grant: &Grant,
    client: &CredentialVersion,
    refresh: Option<&CredentialVersion>,
) -> Result<TokenRequest, VaultFault> {
    grants::request(grant, client, refresh).map_err(|unasked| {
        let reason = match &unasked {
            Unasked::HostNotAllowed { .. } => Reason::HostNotAllowed,
            Unasked::KeyMissing { .. } => Reason::KeyMissing,
            Unasked::NoRefreshToken => Reason::SecretMissing,
            Unasked::NoAssertion => Reason::PlanInvalid,
        };
        VaultFault::new(reason, unasked.to_string())
    })
}

/// The token as workers are handed it: with what else is stored for them, and without what it was got with.
pub fn token(
    id: &str,
    granted: &Granted,
    grant: &Grant,
    client: &CredentialVersion,
    source: Source,
    asked_at: Timestamp,
) -> Token {
    let version = grants::handed_out(id, granted, client);
    let lifetime = granted.lifetime.and_then(|lifetime| SignedDuration::try_from(lifetime).ok());
    let lifetime = lifetime.unwrap_or(SignedDuration::from_secs(grant.lifetime_seconds.into()));
    Token { version, issued_at: asked_at, expires_at: asked_at + lifetime, source, early: 0 }
}
