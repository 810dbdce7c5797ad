//! What is kept of a Connector's access tokens, in a Secret of the operator's own: the tokens, who is renewing them, and what cannot be renewed any
//! more. Facts only; what follows from them is decided in `decision`.

use crosstie_engine::credentials::CredentialVersion;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Everything that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// The token to use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Token>,
    /// The one before it, which the vendor may still accept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Token>,
    /// Who is renewing it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// A refresh token that is of no use any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<Spent>,
    /// Whether the server replaces refresh tokens; unknown before the first one was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotates: Option<bool>,
}

/// An access token, as workers are handed it. Prints ids and times only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// The token, and what of the stored credentials goes along with it.
    pub version: CredentialVersion,
    /// When it was asked for.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// What it was got with. The refresh token is the one that the next one is got with.
    pub source: Source,
    /// How many times in a row, up to this one, a token was renewed early because the vendor refused the one before.
    #[serde(default)]
    pub early: u32,
}

/// What tokens are got with: ids of versions, and a hash of how. Another one calls for another token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Version of the client's credentials.
    pub client: String,
    /// Version of the refresh token, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<String>,
    /// Hash of the grant.
    pub grant: String,
}

/// Written before a token is asked for, so that nobody else asks for one at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Names this renewal: the token that comes of it, and the version that a new refresh token is stored as.
    pub id: String,
    /// Until when it counts. Whoever made it and is still at work then makes it again.
    pub until: Timestamp,
    /// What the token is asked for with.
    pub source: Source,
}

/// A version of the refresh token that nothing can be got with, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spent {
    /// The version's id.
    pub refresh: String,
    /// A sentence for people: what happened, and what to do.
    pub message: String,
    /// What the server was asked with when it called it invalid: asked otherwise, it may not. Absent where it may be used up, which makes it of no use to anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Source>,
}

impl Spent {
    /// Whether nothing can be got with this. What the server called invalid may be good for another client, or at another server, as after a wrong
    /// `tokenURL` was corrected: each is tried once.
    pub fn stops(&self, source: &Source) -> bool {
        source.refresh.as_ref() == Some(&self.refresh) && self.refused.as_ref().is_none_or(|refused| refused == source)
    }
}

impl Token {
    /// When it is renewed: at half its life.
    pub fn renew_at(&self) -> Timestamp {
        self.issued_at + self.expires_at.duration_since(self.issued_at) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_what_is_kept_shows_no_token() {
        let values = [("token".to_owned(), "hush".to_owned())].into();
        let token = Token {
            version: CredentialVersion { version_id: "t1".into(), values },
            issued_at: Timestamp::from_second(100).unwrap(),
            expires_at: Timestamp::from_second(200).unwrap(),
            source: Source { client: "v1".into(), refresh: None, grant: "g".into() },
            early: 0,
        };
        assert_eq!(token.renew_at(), Timestamp::from_second(150).unwrap());
        let printed = format!("{:?}", Ledger { current: Some(token), ..Ledger::default() });
        assert!(printed.contains("t1") && !printed.contains("hush"), "{printed}");
    }
}
