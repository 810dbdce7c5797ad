//! What is to be done about a Connector's access token. Pure: facts and the time come in, one decision comes out. It is asked twice for each
//! renewal: by plans, with what is remembered, and by whoever renews, with what is really there.

use jiff::{SignedDuration, Timestamp};

use super::ledger::{Claim, Ledger, Source, Token};

/// How long after a token was issued it is renewed when the vendor refuses it; twice as long for each one that was renewed so just before.
const FIRST_EARLY: SignedDuration = SignedDuration::from_secs(5);

/// What is known.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What is kept.
    pub ledger: &'a Ledger,
    /// What tokens are to be got with now.
    pub source: &'a Source,
    /// The version of the token that a worker says the vendor refuses, if any.
    pub rejected: Option<&'a str>,
    /// Before when the server is not asked again, because it granted nothing the last time it was asked with the same.
    pub not_before: Option<Timestamp>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing before that time.
    Wait(Timestamp),
    /// A token is to be got.
    Renew {
        /// Before its time, because the vendor refuses the one there is.
        early: bool,
    },
    /// Whoever made this claim never said what came of it, and the refresh token may be used up: what was stored decides.
    Recover(Claim),
    /// No token can be got until a person acts. The sentence says how.
    ReauthRequired(String),
}

/// Decides.
pub fn decide(facts: Facts, now: Timestamp) -> Decision {
    let Facts { ledger, source, .. } = facts;
    if let Some(spent) = ledger.spent.as_ref().filter(|spent| spent.stops(source)) {
        return Decision::ReauthRequired(spent.message.clone());
    }
    if let Some(claim) = &ledger.claim {
        if now < claim.until {
            return Decision::Wait(claim.until);
        }
        // With another refresh token than the claim's nothing can go wrong: either it was stored by who made the claim, or a person put it there.
        let unanswered = source.refresh.is_some() && claim.source.refresh == source.refresh;
        if unanswered && ledger.rotates != Some(false) {
            return Decision::Recover(claim.clone());
        }
    }
    let due = ledger.current.as_ref().map_or(Due::At(now), |token| due(token, facts));
    let (at, early) = match due {
        Due::At(at) => (at, false),
        Due::Early(at) => (at, true),
    };
    match at.max(facts.not_before.unwrap_or(at)) {
        at if at <= now => Decision::Renew { early },
        at => Decision::Wait(at),
    }
}

enum Due {
    At(Timestamp),
    Early(Timestamp),
}

fn due(token: &Token, facts: Facts) -> Due {
    if token.source != *facts.source {
        return Due::At(token.issued_at);
    }
    let half = token.renew_at();
    if facts.rejected != Some(token.version.version_id.as_str()) {
        return Due::At(half);
    }
    let wait = FIRST_EARLY.saturating_mul(1 << token.early.min(16));
    let early = token.issued_at.checked_add(wait).unwrap_or(half);
    if early < half { Due::Early(early) } else { Due::At(half) }
}

#[cfg(test)]
mod tests {
    use crosstie_engine::credentials::CredentialVersion;

    use super::*;
    use crate::broker::ledger::Spent;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn source(client: &str, refresh: Option<&str>) -> Source {
        Source { client: client.into(), refresh: refresh.map(str::to_owned), grant: "g".into() }
    }

    /// A token from second 1000 to second 2000.
    fn token(source: &Source, early: u32) -> Token {
        let version = CredentialVersion { version_id: "t1".into(), values: [("token".into(), "hush".into())].into() };
        Token { version, issued_at: at(1000), expires_at: at(2000), source: source.clone(), early }
    }

    fn claim(source: &Source, until: i64) -> Claim {
        Claim { id: "c1".into(), until: at(until), source: source.clone() }
    }

    fn held(source: &Source) -> Ledger {
        Ledger { current: Some(token(source, 0)), ..Ledger::default() }
    }

    fn decided(ledger: &Ledger, source: &Source, now: i64) -> Decision {
        decide(Facts { ledger, source, rejected: None, not_before: None }, at(now))
    }

    const RENEW: Decision = Decision::Renew { early: false };

    #[test]
    fn a_token_is_renewed_at_half_its_life_and_at_once_when_what_it_was_got_with_is_another() {
        let own = source("v1", None);
        let cases = [
            (Ledger::default(), own.clone(), 0, RENEW),
            (held(&own), own.clone(), 1499, Decision::Wait(at(1500))),
            (held(&own), own.clone(), 1500, RENEW),
            (held(&own), own.clone(), 5000, RENEW),
            (held(&own), source("v2", None), 1001, RENEW),
            (held(&own), Source { grant: "h".into(), ..own.clone() }, 1001, RENEW),
            (held(&source("v1", Some("r1"))), source("v1", Some("r2")), 1001, RENEW),
            (held(&source("v1", Some("r1"))), source("v1", Some("r1")), 1001, Decision::Wait(at(1500))),
        ];
        for (number, (ledger, source, now, expected)) in cases.into_iter().enumerate() {
            assert_eq!(decided(&ledger, &source, now), expected, "case {number}");
        }
    }

    #[test]
    fn somebody_elses_claim_is_waited_for_and_what_it_leaves_depends_on_whether_the_refresh_token_may_be_used_up() {
        let (client, refresh) = (source("v1", None), source("v1", Some("r1")));
        let claimed = |source: &Source, rotates| Ledger { claim: Some(claim(source, 1560)), rotates, ..held(source) };
        let cases = [
            // While it counts, also when the token was changed meanwhile.
            (claimed(&client, None), client.clone(), 1559, Decision::Wait(at(1560))),
            (claimed(&refresh, None), source("v1", Some("r2")), 1559, Decision::Wait(at(1560))),
            // Afterwards anybody may ask again where asking twice does no harm.
            (claimed(&client, None), client.clone(), 1560, RENEW),
            (claimed(&refresh, Some(false)), refresh.clone(), 1560, RENEW),
            // A refresh token that rotates, or may, is not used a second time.
            (claimed(&refresh, Some(true)), refresh.clone(), 1560, Decision::Recover(claim(&refresh, 1560))),
            (claimed(&refresh, None), refresh.clone(), 1560, Decision::Recover(claim(&refresh, 1560))),
            // The store answered the claim, or a person did.
            (claimed(&refresh, Some(true)), source("v1", Some("r2")), 1560, RENEW),
        ];
        for (number, (ledger, source, now, expected)) in cases.into_iter().enumerate() {
            assert_eq!(decided(&ledger, &source, now), expected, "case {number}");
        }
    }

    #[test]
    fn a_spent_refresh_token_waits_for_a_person_and_another_one_ends_that() {
        let old = source("v1", Some("r1"));
        let spent = Spent { refresh: "r1".into(), message: "authorise the client again".into(), refused: None };
        let ledger = Ledger { spent: Some(spent), claim: Some(claim(&old, 1560)), rotates: Some(true), ..held(&old) };
        let again = Decision::ReauthRequired("authorise the client again".into());
        assert_eq!(decided(&ledger, &old, 1001), again);
        assert_eq!(decided(&ledger, &source("v2", Some("r1")), 9000), again, "another client's secret is no help");
        assert_eq!(decided(&ledger, &source("v1", Some("r2")), 1600), RENEW);
    }

    #[test]
    fn what_a_server_called_invalid_is_tried_once_more_by_another_client_or_grant() {
        let old = source("v1", Some("r1"));
        let message = "authorise the client again".to_owned();
        let spent = Spent { refresh: "r1".into(), message: message.clone(), refused: Some(old.clone()) };
        let ledger = Ledger { spent: Some(spent), rotates: Some(true), ..held(&old) };
        assert_eq!(decided(&ledger, &old, 9000), Decision::ReauthRequired(message));
        assert_eq!(decided(&ledger, &source("v2", Some("r1")), 1001), RENEW);
        assert_eq!(decided(&ledger, &Source { grant: "h".into(), ..old }, 1001), RENEW);
        assert_eq!(decided(&ledger, &source("v1", Some("r2")), 1001), RENEW);
    }

    #[test]
    fn a_token_that_the_vendor_refuses_is_renewed_early_and_more_and_more_seldom() {
        let own = source("v1", None);
        let refused = |early, rejected, now| {
            let ledger = Ledger { current: Some(token(&own, early)), ..Ledger::default() };
            decide(Facts { ledger: &ledger, source: &own, rejected: Some(rejected), not_before: None }, at(now))
        };
        assert_eq!(refused(0, "t1", 1004), Decision::Wait(at(1005)));
        assert_eq!(refused(0, "t1", 1005), Decision::Renew { early: true });
        assert_eq!(refused(0, "t0", 1005), Decision::Wait(at(1500)), "an older one is of no concern");
        assert_eq!(refused(3, "t1", 1005), Decision::Wait(at(1040)));
        assert_eq!(refused(40, "t1", 1005), Decision::Wait(at(1500)), "at half its life at the latest");
        assert_eq!(refused(40, "t1", 1500), RENEW);
    }

    #[test]
    fn a_server_that_granted_nothing_is_not_asked_again_before_its_time() {
        let own = source("v1", None);
        let held_off = |ledger: &Ledger, now| {
            let facts = Facts { ledger, source: &own, rejected: None, not_before: Some(at(1600)) };
            decide(facts, at(now))
        };
        assert_eq!(held_off(&held(&own), 1500), Decision::Wait(at(1600)));
        assert_eq!(held_off(&held(&own), 1600), RENEW);
        assert_eq!(held_off(&held(&own), 1400), Decision::Wait(at(1600)));
        assert_eq!(held_off(&Ledger::default(), 100), Decision::Wait(at(1600)));
    }
}
