//! The credentials an instance accepts. Holds test credentials only; what leaves is the start of a hash.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::wire::{OAuth1Credentials, TokenSet};

const FINGERPRINT_BYTES: usize = 6;
const REMEMBERED_NONCES: usize = 100_000;

/// The accepted credentials. Empty at first: nothing is valid until something is set.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    bearer: HashMap<String, String>,
    oauth1: HashMap<String, OAuth1Credentials>,
    nonces: HashSet<String>,
    nonce_order: VecDeque<String>,
}

/// Who a request said it was, and whether that is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The start of the token's SHA-256; none when the request carried no token.
    pub(crate) fingerprint: Option<String>,
    /// Whether the vendor accepts it.
    pub(crate) accepted: bool,
}

impl Identity {
    /// A request without a token.
    pub(crate) const ANONYMOUS: Self = Self { fingerprint: None, accepted: false };
}

impl Tokens {
    /// Replaces what is accepted.
    pub(crate) fn replace(&mut self, set: TokenSet) {
        self.bearer = set.valid.into_iter().map(|token| (token.clone(), fingerprint(&token))).collect();
        self.oauth1 = set.oauth1.into_iter().map(|one| (one.token.clone(), one)).collect();
    }

    /// Accepts one more bearer token.
    pub(crate) fn accept(&mut self, token: String) {
        let known = fingerprint(&token);
        self.bearer.insert(token, known);
    }

    /// Stops accepting one token; false when it was not accepted anyway.
    pub(crate) fn revoke(&mut self, token: &str) -> bool {
        let bearer = self.bearer.remove(token).is_some();
        self.oauth1.remove(token).is_some() || bearer
    }

    /// Judges a bearer or header token.
    pub(crate) fn identify(&self, token: &str) -> Identity {
        match self.bearer.get(token) {
            Some(known) => Identity { fingerprint: Some(known.clone()), accepted: true },
            None => Identity { fingerprint: Some(fingerprint(token)), accepted: false },
        }
    }

    /// The OAuth 1.0a credentials with this token.
    pub(crate) fn oauth1(&self, token: &str) -> Option<&OAuth1Credentials> {
        self.oauth1.get(token)
    }

    /// Remembers a nonce; false when it was used before (among the last 100,000).
    pub(crate) fn use_nonce(&mut self, nonce: &str) -> bool {
        if !self.nonces.insert(nonce.to_owned()) {
            return false;
        }
        self.nonce_order.push_back(nonce.to_owned());
        if self.nonce_order.len() > REMEMBERED_NONCES
            && let Some(oldest) = self.nonce_order.pop_front()
        {
            self.nonces.remove(&oldest);
        }
        true
    }
}

/// The first 12 hexadecimal digits of a token's SHA-256.
pub(crate) fn fingerprint(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().take(FINGERPRINT_BYTES).fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_valid_at_first() {
        assert!(!Tokens::default().identify("a").accepted);
    }

    #[test]
    fn a_new_set_replaces_the_old_one() {
        let mut tokens = Tokens::default();
        tokens.replace(TokenSet { valid: vec!["a".into()], oauth1: Vec::new() });
        tokens.replace(TokenSet { valid: vec!["b".into()], oauth1: Vec::new() });
        assert!(!tokens.identify("a").accepted);
        assert!(tokens.identify("b").accepted);
    }

    #[test]
    fn a_fingerprint_is_the_start_of_the_hash() {
        assert_eq!(fingerprint("abc"), "ba7816bf8f01");
    }

    #[test]
    fn a_nonce_works_once() {
        let mut tokens = Tokens::default();
        assert!(tokens.use_nonce("n"));
        assert!(!tokens.use_nonce("n"));
    }
}
