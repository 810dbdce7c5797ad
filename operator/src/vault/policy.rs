//! Which secrets a namespace may use. Pure: the operator asks before anything is fetched.

use super::{Identity, SecretKey};

/// Patterns of secret names; `*` stands for any characters, `{namespace}` for the namespace that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretNamePolicy {
    patterns: Vec<String>,
}

impl SecretNamePolicy {
    /// A policy that allows what any of the patterns matches. Empty patterns match nothing.
    pub fn new(patterns: impl IntoIterator<Item = String>) -> Self {
        Self { patterns: patterns.into_iter().filter(|pattern| !pattern.is_empty()).collect() }
    }

    /// Whether a Connector of this namespace may use the secret. In a role it may use whatever the role may: whoever owns the role decides.
    pub fn admits(&self, namespace: &str, key: &SecretKey) -> bool {
        match &key.account.identity {
            Identity::Operator => self.allows(namespace, &key.secret_id),
            Identity::Role { .. } => true,
        }
    }

    /// Whether a Connector of this namespace may use the operator's own view of the secret.
    pub fn allows(&self, namespace: &str, secret_id: &str) -> bool {
        self.patterns_for(namespace).any(|pattern| matches(&pattern, secret_id))
    }

    /// The patterns as this namespace sees them, for messages.
    pub fn patterns_for(&self, namespace: &str) -> impl Iterator<Item = String> {
        self.patterns.iter().map(move |pattern| pattern.replace("{namespace}", namespace))
    }
}

/// Whether a pattern with `*` matches the whole text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    // `split` yields at least one part.
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(patterns: &[&str]) -> SecretNamePolicy {
        SecretNamePolicy::new(patterns.iter().map(|&pattern| pattern.to_owned()))
    }

    #[test]
    fn by_default_a_namespace_reaches_its_own_secrets_only() {
        let policy = policy(&["{namespace}/*"]);
        assert!(policy.allows("shop", "shop/shopify"));
        assert!(policy.allows("shop", "shop/eu/shopify"));
        assert!(!policy.allows("shop", "bank/stripe"));
        assert!(!policy.allows("shop", "shopping/stripe"));
        assert!(!policy.allows("shop", "shop"));
    }

    #[test]
    fn what_a_role_may_read_is_its_owners_affair() {
        let mut key = crate::vault::fetch::tests::key();
        assert!(!policy(&["{namespace}/*"]).admits("bank", &key));
        key.account.identity =
            Identity::Role { arn: "arn:aws:iam::123456789012:role/bank".into(), external_id: "bank/a".into() };
        assert!(policy(&["{namespace}/*"]).admits("bank", &key));
    }

    #[test]
    fn several_patterns_add_up() {
        let policy = policy(&["{namespace}/*", "shared/*/read", "crm"]);
        assert!(policy.allows("shop", "shared/hubspot/read"));
        assert!(policy.allows("shop", "crm"));
        assert!(!policy.allows("shop", "shared/hubspot/write"));
        assert!(!policy.allows("shop", "crm2"));
    }

    #[test]
    fn a_star_matches_also_nothing_but_parts_do_not_overlap() {
        assert!(matches("a*a", "aa"));
        assert!(!matches("a*a", "a"));
        assert!(matches("*", ""));
        assert!(matches("*b*", "abc"));
        assert!(!matches("", "a"));
    }

    #[test]
    fn no_pattern_allows_nothing() {
        assert!(!policy(&[""]).allows("shop", "shop/shopify"));
    }
}
